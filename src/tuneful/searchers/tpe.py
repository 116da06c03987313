"""Search by densities: where good configs are dense and bad ones are not."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tuneful.errors import StudyError
from tuneful.history import History, Proposal
from tuneful.protocols import rng
from tuneful.searchers.evidence import Evidence
from tuneful.searchers.learned import Answer, learned
from tuneful.space import Choice, Domain, Space
from tuneful.space.scales import LogCells
from tuneful.surrogates.parzen import Parzen
from tuneful.surrogates.parzen_axes import FLAT, Axes

Array = NDArray[np.float64]
Ints = NDArray[np.int64]

_CELLS = 16  # numbers of at most so many values get a probability for each; a kernel costs as much as it has cells
# Bad trials that are kept of each sort, so that any number costs the same; keeping all finds nothing better.
_NEAR, _RECENT, _SPREAD = 24, 24, 48
_ROUNDS = 2  # of as many candidates near the best of those before
_TOLD = 5  # trials that are named in why


@dataclass(frozen=True)
class Tpe:
    """Tries what is likely under the good configs so far and unlikely under the others.

    The tree-structured Parzen estimator: cheap, at home with options and conditions, and untroubled by noise and by
    failures, of which it keeps away as of bad trials; and of those that still run. A suggestion takes a millisecond,
    and after 10,000 trials little more. Choose it where a Gaussian process is too slow or finds no smooth
    function: many conditions, thousands of trials.

    Figures below are the mean regret after 100 trials on the 16 problems on which the defaults were chosen; between
    two runs of one setting it differs by about 0.01.

    Attributes:
        start: Trials of a Sobol sequence before the model. Three found less (0.13 to 0.11), ten no more.
        joint: Learn which values go together (0.11). If not, each parameter is looked at by itself (0.14).
        gamma: Which share of the trials is good; 0.07 and 0.15 found no more.
        most: At most so many are good.
        candidates: Configs that are drawn and compared for each suggestion; then twice as many near the best of them.
        width: The width of a kernel around a single config, as a share of the range. 0.1 finds more than the usual
            0.2 (0.14). Chosen anew for each suggestion by leave-one-out likelihood, it found less (0.18).
        prior: How many trials the prior counts: the uniform distribution, or what the space believes.

    Raises:
        StudyError: a setting is out of its range.

    References:
        Bergstra et al., "Algorithms for hyper-parameter optimization", NeurIPS 2011.
        Watanabe, "Tree-structured Parzen estimator: understanding its algorithm components and their roles for
        better empirical performance", 2023.
    """

    start: int = 5
    joint: bool = True
    gamma: float = 0.1
    most: int = 25
    candidates: int = 64
    width: float = 0.1
    prior: float = 1.0

    def __post_init__(self) -> None:
        for name, low, high in (("gamma", 0, 1), ("width", 0, math.inf), ("prior", 0, math.inf)):
            if not low < (value := getattr(self, name)) < high:
                raise StudyError(f"Tpe: {name} is {value}. Pass a number above 0{' and below 1' * (high == 1)}.")
        for name in ("start", "most", "candidates"):
            if (number := getattr(self, name)) < 1:
                raise StudyError(f"Tpe: {name} is {number}. Pass at least 1.")

    def propose(self, history: History, n: int) -> list[Proposal]:
        return learned(history, n, "tpe", self.start, partial(self._choose, history))

    def _choose(self, history: History, evidence: Evidence, number: int) -> Answer:
        space, axes = history.space, _axes(history)
        trials, good, bad = self._estimators(axes, evidence)
        generator = rng(history.seed, number, "tpe")
        x = _existing(space, good.draw(generator, self.candidates))
        score = _rated(axes, good, bad, x)
        for _ in range(_ROUNDS):
            best = np.argsort(-score, kind="stable")[: max(1, self.candidates // 4)]
            near = _existing(space, good.vary(generator, x[np.resize(best, self.candidates)]))
            x, score = np.vstack([x, near]), np.append(score, _rated(axes, good, bad, near))
        order = np.argsort(-score, kind="stable")

        def explain(point: Array) -> dict[str, Any]:
            parts = good.parts(point)
            told = np.argsort(-parts[:-1], kind="stable")[:_TOLD]
            return {
                "model": "tpe",
                "aim": "explore" if parts[-1] > 0.5 else "exploit",
                "alike": [int(trial) for trial in trials[told]],
                "learned from": len(evidence.y),
            }

        return space.decode(x[order]), explain

    def _estimators(self, axes: Axes, evidence: Evidence) -> tuple[Ints, Parzen, Parzen]:
        """The trials that are good, and the densities of the good and of the bad."""
        x, n = evidence.x, len(evidence.y)
        many = min(math.ceil(self.gamma * (n + len(evidence.failed))), self.most, n)
        first = _lowest(evidence.y, many + _NEAR)
        good, near = first[:many], first[many:]
        # By rank, as in Hansen, "The CMA evolution strategy: a tutorial", 2016, eq. 49: the best count most.
        weights = math.log(many + 0.5) - np.log(np.arange(1, many + 1))
        others, counts = _thinned(n, first)
        failed, losses = _thinned(len(evidence.failed), first[:0])
        pending = evidence.pending[-_SPREAD:]
        bad = np.vstack([x[near], x[others], evidence.failed[failed], pending])
        counts = np.concatenate([np.ones(len(near)), counts, losses, np.ones(len(pending))])
        fit = partial(Parzen.fit, axes, width=self.width, prior=self.prior, joint=self.joint)
        return evidence.trials[good], fit(x[good], weights / weights.mean()), fit(bad, counts)


def _rated(axes: Axes, good: Parzen, bad: Parzen, x: Array) -> Array:
    """The logarithm of the density of the good over that of the bad at rows (n, d): (n,)."""
    features = axes.features(x)
    return good.log_density(features) - bad.log_density(features)


def _lowest(y: Array, k: int) -> Ints:
    """The places of the `k` lowest values of `y` (n,) in order; of equal ones the first."""
    if k >= len(y):
        return np.argsort(y, kind="stable")
    few = np.flatnonzero(y <= np.partition(y, k - 1)[k - 1])
    return np.asarray(few[np.argsort(y[few], kind="stable")][:k])


def _thinned(n: int, without: Ints) -> tuple[Ints, Array]:
    """Some of `n` trials, all of the last and every so-many-th of those before, and for how many each counts."""
    there = np.ones(n, dtype=bool)
    there[without] = False
    recent = max(n - _RECENT, 0)
    early, late = np.flatnonzero(there[:recent]), recent + np.flatnonzero(there[recent:])
    step = 1
    while len(early) > step * _SPREAD:  # doubled, so that it is mostly the same trials from one to the next
        step *= 2
    kept = early[::step]
    counts = np.full(len(kept), len(early) / max(len(kept), 1))
    return np.concatenate([kept, late]), np.concatenate([counts, np.ones(len(late))])


def _existing(space: Space, x: Array) -> Array:
    """Rows of the unit cube (n, d) with NaN where a parameter does not exist, in place."""
    parents = {p.parent for p in space.parameters if p.parent is not None}
    if parents:
        raw = np.zeros_like(x)
        for place in parents:
            raw[:, place] = space.parameters[place].domain.decode(x[:, place])
        x[np.isnan(space.masked(raw))] = np.nan
    return x


def _axes(history: History) -> Axes:
    """What the model must know of the parameters; remembered as long as the space stays."""
    known = history.recall("tpe axes")
    if known is not None and known[1][0] is history.space:
        found: Axes = known[1][1]
        return found
    made = _axes_of(history.space)
    history.remember("tpe axes", (history.space, made))
    return made


def _axes_of(space: Space) -> Axes:
    q = (np.arange(256) + 0.5) / 256
    priors = [domain.encode(domain.draw(q)) if _believes(domain) else None for domain in _domains(space)]
    return Axes(
        mean=np.array([0.5 if prior is None else prior.mean() for prior in priors]),
        sd=np.array([FLAT if prior is None else max(prior.std(), 0.01) for prior in priors]),
        cells=tuple(map(_cells, _domains(space))),
        shares=tuple(map(_shares, _domains(space))),
        width=np.array([0.5 / domain.size for domain in _domains(space)]),
    )


def _domains(space: Space) -> list[Domain]:
    return [parameter.domain for parameter in space.parameters]


def _believes(domain: Domain) -> bool:
    """Whether the user has said where the good values of a parameter lie."""
    return (domain.weights if isinstance(domain, Choice) else domain.belief) is not None


def _shares(domain: Domain) -> Array | None:
    if not (isinstance(domain, Choice) and domain.categorical):
        return None
    weights = np.ones(len(domain.labels)) if domain.weights is None else np.array(domain.weights)
    return np.asarray(weights / weights.sum())


def _cells(domain: Domain) -> Array | None:
    if domain.size > _CELLS and not domain.categorical:
        return None
    if not isinstance(domain, Choice) and isinstance(domain.scale, LogCells):
        between = np.arange(domain.low, domain.high) + 0.5
        return np.concatenate([[0.0], domain.scale.encode(between), [1.0]])
    return np.arange(int(domain.size) + 1) / domain.size
