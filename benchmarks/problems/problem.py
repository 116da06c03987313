"""What is tuned: a space, and a loss over it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

import tuneful as tn

Params = Mapping[str, Any]


@dataclass(frozen=True)
class Problem:
    """A loss to be made small; deterministic for a seed.

    Attributes:
        name: Unique.
        family: What it is like: `numeric`, `structured`, `training`; or the panel's word.
        space: What can vary.
        loss: The loss at params in the shape of the space, under a seed; under None, the true one, without noise.
            It raises where a trial fails.
        noisy: Whether the seed changes the loss.
        optimum: The least loss there is, where that is known.
        needs: A library that the loss imports.
    """

    name: str
    family: str
    space: tn.Space
    loss: Callable[[Params, int | None], float]
    noisy: bool = False
    optimum: float | None = None
    needs: str | None = None


def exact(loss: Callable[[Params], float]) -> Callable[[Params, int | None], float]:
    """A loss that is the same under every seed."""

    def same(params: Params, _seed: int | None) -> float:
        return float(loss(params))

    return same


def with_noise(loss: Callable[[Params], float], deviation: float) -> Callable[[Params, int | None], float]:
    """A loss with normal noise; a trial of the same number meets the same noise, whoever asks."""

    def noisy(params: Params, seed: int | None) -> float:
        noise = 0.0 if seed is None else deviation * np.random.default_rng([seed, 1]).standard_normal()
        return float(loss(params) + noise)

    return noisy
