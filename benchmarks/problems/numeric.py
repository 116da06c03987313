"""Functions of numbers: narrow, rugged, flat, mostly irrelevant or noisy. Nothing but numpy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

import tuneful as tn
from problems.problem import Params, Problem, exact, with_noise

Array = NDArray[np.float64]


def _point(seed: int, d: int, low: float, high: float) -> Array:
    """Where an optimum lies: drawn once, off the centre and clear of the borders."""
    return low + (high - low) * np.random.default_rng(seed).uniform(0.1, 0.9, d)


_ROTATION = np.linalg.qr(np.random.default_rng(8).standard_normal((8, 8)))[0]
_STRETCH = 100.0 ** (np.arange(8) / 7)
_WEIGHTS = np.array([1.0, 2.0, 1.0, 3.0, 1.0])
_ELLIPSOID, _RASTRIGIN, _GRIEWANK = _point(1, 8, -5, 5), _point(2, 4, -5, 5), _point(3, 5, -30, 30)
_PLATEAUS, _BOWL, _INTEGERS = _point(4, 5, 0, 1), _point(5, 4, -1, 1), np.array([3, 11, 7, 14, 1, 9, 5, 12])


def ellipsoid(x: Array) -> float:
    """A rotated valley a hundred times steeper across than along; the distance, so that no scale rules."""
    return float(np.sqrt(_STRETCH @ (_ROTATION @ (x - _ELLIPSOID)) ** 2))


def rastrigin(x: Array) -> float:
    """A bowl with ripples that are shallow enough to be seen through."""
    z = x - _RASTRIGIN
    return float((z**2 + 3 * (1 - np.cos(2 * np.pi * z))).sum())


def griewank(x: Array) -> float:
    """Ripples in a product of all dimensions, on a bowl no higher than they are."""
    z = x - _GRIEWANK
    return float((z**2).sum() / 4000 - np.prod(np.cos(z / np.sqrt(np.arange(1, 6)))) + 1)


def plateaus(x: Array) -> float:
    """Steps: flat almost everywhere, and many configs tie."""
    return float(_WEIGHTS @ np.floor(10 * np.abs(x - _PLATEAUS)))


def sparse(x: Array) -> float:
    """Three of twenty dimensions count, in a product."""
    near = np.exp(-8 * ((x[3] - 0.7) ** 2 + (x[11] - 0.2) ** 2))
    return float(1 - near * (0.6 + 0.4 * np.cos(9 * (x[17] - 0.4))))


def michalewicz(x: Array) -> float:
    """Steep valleys that say nothing of where they cross; its least value in five dimensions is known."""
    return float(-(np.sin(x) * np.sin(np.arange(1, 6) * x**2 / np.pi) ** 20).sum())


def styblinski_tang(x: Array) -> float:
    """Two valleys a dimension, of which one is deeper."""
    return float(0.5 * (x**4 - 16 * x**2 + 5 * x).sum())


def bowl(x: Array) -> float:
    """The plainest there is."""
    return float(((x - _BOWL) ** 2).sum())


def integers(x: Array) -> float:
    """A rotated bowl of whole numbers."""
    return float(np.sqrt((np.sqrt(_STRETCH) / 4) @ (_ROTATION @ (x - _INTEGERS)) ** 2))


def step_size(params: Params) -> float:
    """What a learning rate is like: only its ratio to batch and momentum counts, and too large a step diverges."""
    step = np.log10(params["rate"] / (1 - params["momentum"]) * 64 / params["batch"])
    if step > -0.5:
        return 1.0
    away = 0.05 * (step + 1.5) ** 2 + 0.02 * (np.log10(params["decay"]) + 3.5) ** 2
    return float(min(0.1 + away + 0.0025 * (np.log2(params["batch"]) - 5) ** 2, 1.0))


_STEP_SIZE = {
    "rate": tn.Log(1e-5, 1),
    "batch": tn.Int(8, 512, log=True),
    "momentum": tn.Float(0, 0.99),
    "decay": tn.Log(1e-6, 1e-1),
}


def problems() -> list[Problem]:
    return [
        _of("ellipsoid8", ellipsoid, _box(8, -5, 5), optimum=0),
        _of("rastrigin4", rastrigin, _box(4, -5, 5), optimum=0),
        _of("griewank5", griewank, _box(5, -30, 30), optimum=0),
        _of("plateaus5", plateaus, _box(5, 0, 1), optimum=0),
        _of("sparse20", sparse, _box(20, 0, 1), optimum=0),
        _of("michalewicz5", michalewicz, _box(5, 0, float(np.pi)), optimum=-4.687658),
        _of("integers8", integers, {f"x{i}": tn.Int(0, 15) for i in range(8)}, optimum=0),
        Problem("step-size4", "numeric", tn.Space(_STEP_SIZE), exact(step_size), optimum=0.1),
        _of("bowl4-noisy", bowl, _box(4, -1, 1), deviation=0.3, optimum=0),
        _of("styblinski5-noisy", styblinski_tang, _box(5, -5, 5), deviation=15, optimum=-5 * 39.166166),
    ]


def _box(d: int, low: float, high: float) -> dict[str, Any]:
    return {f"x{i}": tn.Float(low, high) for i in range(d)}


def _of(
    name: str, function: Callable[[Array], float], spec: dict[str, Any], *, optimum: float, deviation: float = 0.0
) -> Problem:
    def loss(params: Params) -> float:
        return function(np.array([params[f"x{i}"] for i in range(len(spec))], dtype=float))

    told = with_noise(loss, deviation) if deviation else exact(loss)
    return Problem(name, "numeric", tn.Space(spec), told, noisy=deviation > 0, optimum=optimum)
