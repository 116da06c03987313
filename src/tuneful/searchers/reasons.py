"""Why a Gaussian process proposed a config, in data and in the user's units."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tuneful.history import History
from tuneful.searchers.acquisition import Acquisition
from tuneful.searchers.evidence import Evidence, measure
from tuneful.surrogates.gaussian_process import GaussianProcess
from tuneful.surrogates.kernel import matern, squared_distances
from tuneful.surrogates.warps import Warp

Array = NDArray[np.float64]

_NAMED = 3  # trials that are named
_ALIKE = 0.05  # correlation below which a trial says nothing of a config


@dataclass(frozen=True)
class Reasons:
    """What speaks for a config.

    Attributes:
        history: What the process was fitted to; `evidence` of it.
        process: The process without guesses about the running trials.
        score: What was maximised.
        warp: From the values to those that the process knows.
        results: How many values there are; the process may know fewer.
    """

    history: History
    evidence: Evidence
    process: GaussianProcess
    score: Acquisition
    warp: Warp
    results: int

    def of(self, point: Array) -> Mapping[str, Any]:
        """What speaks for the config at a point (d,).

        The value predicted, and its spread; the best, and whether it is expected to be better (exploit) or might be
        (explore); the trials most like it; and the chance that it succeeds, once trials have failed.
        """
        points = self.score.features.of(point[None])
        view = self.process.at(points)
        mean, spread = float(view.mean[0, 0]), float(view.spread[0])
        best = float(self.process.smoothed.min())
        low, middle, high, goal = self.warp.back(np.array([mean - spread, mean, mean + spread, best])).tolist()
        metric, sign = measure(self.history)
        why: dict[str, Any] = {
            "model": "gaussian process",
            "of": metric,
            "predicted": sign * middle,
            "spread": (high - low) / 2.0,
            "best": sign * goal,
            "aim": "exploit" if mean < best else "explore",
            "alike": self._alike(points.near),
            "learned from": len(self.evidence.y),
        }
        if len(self.evidence.y) < self.results:
            why["of results"] = self.results
        if len(self.evidence.pending):
            why["running"] = len(self.evidence.pending)
        if self.score.success is not None:
            why["chance of success"] = float(self.score.chance(point[None])[0])
        return why

    def _alike(self, near: Array) -> list[int]:
        """The trials whose values say most of it."""
        lengths = self.process.kernel.lengths
        every = self.score.features.of(self.evidence.x).near
        alike, _ = matern(squared_distances(near / lengths, every / lengths))
        order = np.argsort(-alike[0], kind="stable")[:_NAMED]
        return [int(self.evidence.trials[i]) for i in order if alike[0, i] > _ALIKE]
