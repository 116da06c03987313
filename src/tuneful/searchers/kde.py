"""The density model of BOHB: kernel densities of the good and the bad, where training got furthest."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from tuneful.errors import StudyError
from tuneful.history import History, Proposal, State
from tuneful.history.standing import standings
from tuneful.protocols import rng
from tuneful.searchers.draws import random_rows
from tuneful.searchers.evidence import Evidence
from tuneful.searchers.learned import Answer, learned
from tuneful.space import Space

Array = NDArray[np.float64]
Ints = NDArray[np.int64]

_TINY = 1e-32  # a density is not smaller


@dataclass(frozen=True)
class Kde:
    """Draws near good configs, and of these what is rather like the good than like the bad.

    Good and bad are told apart at one step: the furthest that enough trials have reached to fit both densities. With
    `schedule="hyperband"` this is BOHB, with its published defaults. `Tpe` is the better searcher where trials run to
    their end.

    Attributes:
        good: The share of trials that is good.
        candidates: Configs that are drawn and compared.
        random: The share of proposals that are drawn at random all the same.
        widening: By how much the kernels are widened to draw from.
        narrowest: The least width of a kernel, as a share of the range.

    Raises:
        StudyError: a share is not between 0 and 1.

    References:
        Falkner, Klein and Hutter, "BOHB: robust and efficient hyperparameter optimization at scale", ICML 2018.
    """

    good: float = 0.15
    candidates: int = 64
    random: float = 1 / 3
    widening: float = 3.0
    narrowest: float = 1e-3

    def __post_init__(self) -> None:
        for name in ("good", "random"):
            if not 0 < getattr(self, name) < 1:
                raise StudyError(f"Kde({name}={getattr(self, name)!r}): pass a share between 0 and 1.")

    def propose(self, history: History, n: int) -> list[Proposal]:
        return learned(history, n, "kde", len(history.space) + 2, partial(self._choose, history))

    def _choose(self, history: History, _: Evidence, number: int) -> Answer:
        draw, sides = rng(history.seed, number, "kde"), self._sides(history)
        if draw.random() < self.random or sides is None:
            return random_rows(history, number, "kde random"), lambda _: {"aim": "random"}
        step, good, bad = sides
        densities = [_Density.fitted(history.space, history.x[side], draw) for side in (good, bad)]
        x = densities[0].drawn(self.candidates, self.widening, self.narrowest, draw)
        score = np.log(densities[0](x)) - np.log(densities[1](x))
        space = history.space
        rows = space.decode(x[np.argsort(-score, kind="stable")])
        why: dict[str, Any] = {"model": "kde", "learned at step": step, "learned from": len(good) + len(bad)}
        return rows, lambda _: why

    def _sides(self, history: History) -> tuple[int, Ints, Ints] | None:
        """The furthest step with trials enough for a model: it, the good trials and the bad; None if there is none."""
        least = len(history.space) + 1
        ended = (history.state >= State.PAUSED) & (history.state != State.CANCELLED)
        for step in sorted(set(history.reached[ended & (history.reached > 0)].tolist()), reverse=True):
            standing = np.where(ended & history.inside, standings(history, step), np.nan)
            there = np.flatnonzero(~np.isnan(standing))
            if len(there) < 2 * least:
                continue
            ordered = there[np.argsort(standing[there], kind="stable")]
            many = max(least, math.floor(self.good * len(ordered)))
            return step, ordered[:many], ordered[many:]
        return _by_value(history, least, self.good)


def _by_value(history: History, least: int, share: float) -> tuple[int, Ints, Ints] | None:
    """The same where trials report no steps: by their values."""
    evidence = Evidence.of(history)
    ordered = np.concatenate([evidence.trials[np.argsort(evidence.y, kind="stable")], evidence.failures])
    if len(ordered) < 2 * least:
        return None
    many = max(least, math.floor(share * len(ordered)))
    return 0, ordered[:many], ordered[many:]


@dataclass(frozen=True)
class _Density:
    """A product kernel around each of n configs.

    Attributes:
        x: The configs, (n, d) in the unit cube.
        width: The width of the kernels in each column, (d,); of options, the probability of another one.
        options: The number of options of each column, (d,); 0 for a number.
    """

    x: Array
    width: Array
    options: Ints

    @classmethod
    def fitted(cls, space: Space, x: Array, draw: np.random.Generator) -> _Density:
        """By the rule of thumb of Scott, 1992, as in the reference's code; what is absent in a config is drawn."""
        domains = [parameter.domain for parameter in space.parameters]
        options = np.array([int(domain.size) if domain.categorical else 0 for domain in domains])
        filled = np.where(np.isnan(x), _snapped(draw.random(x.shape), options), x)
        codes = np.where(options > 0, np.floor(filled * options), filled)
        width = 1.059 * codes.std(axis=0) * len(x) ** (-1.0 / (4 + x.shape[1]))
        return cls(filled, np.where(options > 0, np.minimum(width, 1.0 - 1.0 / np.maximum(options, 2)), width), options)

    def __call__(self, x: Array) -> Array:
        """The density at points (m, d), (m,); not below a tiny number."""
        width = np.maximum(self.width, 1e-3)
        apart = x[:, None, :] - self.x[None, :, :]
        normal = np.exp(-0.5 * (apart / width) ** 2) / (width * math.sqrt(2.0 * math.pi))
        other = self.width / np.maximum(self.options - 1, 1)
        option = np.where(np.abs(apart) < 1e-9, 1.0 - self.width, other)
        density: Array = np.where(self.options > 0, option, normal).prod(axis=2).mean(axis=1)
        return np.maximum(density, _TINY)

    def drawn(self, n: int, widening: float, narrowest: float, draw: np.random.Generator) -> Array:
        """Points (n, d) from widened kernels."""
        middle = self.x[draw.integers(len(self.x), size=n)]
        width = widening * np.maximum(self.width, narrowest)
        low, high = ndtr(-middle / width), ndtr((1.0 - middle) / width)
        number = middle + width * ndtri(low + (high - low) * draw.random(middle.shape))
        other = _snapped(draw.random(middle.shape), self.options)
        option = np.where(draw.random(middle.shape) < self.width, other, middle)
        return np.clip(np.where(self.options > 0, option, number), 0.0, 1.0)


def _snapped(q: Array, options: Ints) -> Array:
    """Quantiles (n, d), those of options in the middle of one."""
    many = np.maximum(options, 1)
    return np.where(options > 0, (np.minimum(np.floor(q * many), many - 1) + 0.5) / many, q)
