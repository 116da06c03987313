"""Bayesian optimization with a Gaussian process."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from tuneful.errors import StudyError
from tuneful.history import History, Proposal
from tuneful.protocols import rng
from tuneful.searchers.acquisition import Acquisition, improvement, lower_bound
from tuneful.searchers.climb import climbed
from tuneful.searchers.evidence import Evidence
from tuneful.searchers.fitting import SEEN, Fitting, seen
from tuneful.searchers.ground import Ground
from tuneful.searchers.learned import Answer, learned
from tuneful.searchers.reasons import Reasons
from tuneful.surrogates.features import Features, Points
from tuneful.surrogates.gaussian_process import GaussianProcess
from tuneful.surrogates.likelihood import PRIOR, Prior
from tuneful.surrogates.warps import Warp

Array = NDArray[np.float64]
Rng = np.random.Generator

_MERITS = ("improvement", "bound", "thompson")
_FANTASIES = 16  # ways in which the running trials may end
_DRAWN, _NEAR = 384, 256  # candidates from all over the space, and near the best
_TOP = 5  # configs near which they lie
_CLIMBERS = 6
_APART = 0.05  # that two of them begin, in some column
_LITTLE = float(np.log(1e-3))  # improvement, in standard deviations of the warped values: see docs/searchers.md
_SAMPLED = 320  # candidates among which a draw from the process decides


@dataclass(frozen=True)
class Gp:
    """Bayesian optimization: fits a Gaussian process to what is known and tries where it promises most.

    Right when trials are dear: it needs the fewest. The process has a length scale for each parameter, a trend over
    the whole space, and knows of choices, conditions and noise. Values are warped to look normal. A suggestion costs
    milliseconds, up to some hundred trials; beyond, it learns from the best and a sample of the others.

    Attributes:
        merit: What it maximises: the logarithm of the expected improvement, how low the value may well be, or one
            draw from the process (Thompson sampling).
        kappa: For "bound", by how many standard deviations.
        start: Trials that fill the space evenly before there is a model. 5: `docs/searchers.md`.
        prior: What is believed of the process before there is data.

    References:
        Jones, Schonlau and Welch, "Efficient global optimization of expensive black-box functions", 1998.
        Ament et al., "Unexpected improvements to expected improvement for Bayesian optimization", NeurIPS 2023.
        Thompson, "On the likelihood that one unknown probability exceeds another", Biometrika 1933.
    """

    merit: Literal["improvement", "bound", "thompson"] = "improvement"
    kappa: float = 2.0
    start: int = 5
    prior: Prior = PRIOR

    def __post_init__(self) -> None:
        if self.merit not in _MERITS:
            raise StudyError(f"Gp: merit is {self.merit!r}. Pass one of {', '.join(_MERITS)}.")
        if self.start < 1:
            raise StudyError(f"Gp: start is {self.start}. Pass at least 1.")
        if not 0 <= self.kappa < np.inf:
            raise StudyError(f"Gp: kappa is {self.kappa}. Pass 0 or more standard deviations.")

    def propose(self, history: History, n: int) -> list[Proposal]:
        return learned(history, n, "gp", self.start, lambda e, number: self._choose(history, e, number))

    def _choose(self, history: History, evidence: Evidence, number: int) -> Answer:
        draw = rng(history.seed, number, "gp")
        ground = Ground.of(history)
        features = ground.features(evidence.x, evidence.failed, evidence.pending)
        fitting = Fitting(history, features, self.prior)
        known = fitting.process("gp", evidence.x, evidence.y, _warped)
        merit = lower_bound(self.kappa) if self.merit == "bound" else improvement
        success, results = _success(fitting, evidence), len(evidence.y)
        evidence = evidence.only(seen(evidence.y))
        process = _imagining(_warned(known, success), features, evidence, draw)
        score = Acquisition(features, process, merit, success)
        reasons = Reasons(history, evidence, known, score, Warp.fitted(evidence.y), results)
        pool = _pool(ground, score, evidence, draw)
        if self.merit == "thompson":
            return _sampled(ground, score, pool, draw), reasons.of
        return _ranked(ground, score, pool, evidence, draw), reasons.of


def _warped(y: Array) -> Array:
    return Warp.fitted(y)(y)


def _imagining(process: GaussianProcess, features: Features, evidence: Evidence, draw: Rng) -> GaussianProcess:
    """The process, if need be with a guess of what the running trials will come to: so it looks elsewhere."""
    pending = evidence.pending
    if not len(pending):
        return process
    return process.imagining(features.of(pending), draw.standard_normal((len(pending), _FANTASIES)))


def _warned(process: GaussianProcess, success: GaussianProcess | None) -> GaussianProcess:
    """The process, as if trials that failed had been as bad as the worst; or, where others succeed, as expected.

    Where failures can be foreseen this keeps it from hoping for ever better values behind their border; those that
    come by chance must not hide what is good.
    """
    if success is None:
        return process
    failed = np.flatnonzero(success.y[:, 0] < 0)
    points = Points(success.points.near[failed], success.points.far[failed])
    foreseen, doubt = success.left_out()
    chance = ndtr(foreseen[failed] / doubt[failed])[:, None]
    expected = process.means(points)
    return process.supposing(points, chance * expected + (1.0 - chance) * np.maximum(process.y.max(), expected))


def _success(fitting: Fitting, evidence: Evidence) -> GaussianProcess | None:
    """What is known of where trials fail, if any did."""
    if not len(evidence.failed):
        return None
    order = np.argsort(np.append(evidence.trials, evidence.failures), kind="stable")
    order = order[:: 1 << int(np.log2(max(1, len(order) // SEEN)))]  # doubled, so that it is mostly the same trials
    labels = np.repeat([1.0, -1.0], [len(evidence.x), len(evidence.failed)])
    return fitting.process("gp success", np.vstack([evidence.x, evidence.failed])[order], labels[order])


def _pool(ground: Ground, score: Acquisition, evidence: Evidence, draw: Rng) -> Array:
    """Candidates (m, d): all configs where they are few; else some drawn, and some near the best."""
    pool = ground.every
    if pool is None:
        near = ground.near(_best(score, evidence, _TOP), _NEAR, draw)
        pool = np.vstack([ground.drawn(draw.random((_DRAWN, len(ground.space)))), near])
    return pool[ground.allowed(pool)]


def _best(score: Acquisition, evidence: Evidence, n: int) -> Array:
    """The `n` configs that are best by the mean of the process."""
    mean = score.process.smoothed[: len(evidence.x)].mean(axis=1)
    return evidence.x[np.argsort(mean, kind="stable")[:n]]


def _ranked(ground: Ground, score: Acquisition, pool: Array, evidence: Evidence, draw: Rng) -> Iterator[Array]:
    """Raw rows by their score, the highest first; after random ones, if the process hopes for no more.

    It then looks where it has never been, as in a branch that looked bad by chance.
    """
    values = score(pool)
    order = np.argsort(-values, kind="stable")
    if ground.every is None:
        begin = np.vstack([pool[_diverse(pool, order)], _best(score, evidence, 1)])
        x, heights = climbed(ground, score, begin, draw)
        if score.merit is improvement and heights.max() < _LITTLE:
            anywhere = ground.drawn(draw.random((_DRAWN, len(ground.space))))
            yield from ground.rows(anywhere[score.chance(anywhere) > 0.5])
        yield from ground.rows(x[np.argsort(-heights, kind="stable")])
    yield from ground.rows(pool[order])


def _sampled(ground: Ground, score: Acquisition, pool: Array, draw: Rng) -> Iterator[Array]:
    """Raw rows by their value in one draw from the process, the lowest first."""
    view = score.process.at(score.features.of(pool))
    hopeful = np.argsort(view.mean[:, 0] - 2.0 * view.spread, kind="stable")[:_SAMPLED]
    drawn = score.process.drawn(score.features.of(pool[hopeful]), draw.standard_normal(len(hopeful)))
    drawn -= np.log(np.maximum(score.chance(pool[hopeful]), 1e-9))
    yield from ground.rows(pool[hopeful[np.argsort(drawn, kind="stable")]])


def _diverse(pool: Array, order: NDArray[np.int64]) -> list[int]:
    """The best of the pool that are not close to one another."""
    whole = np.where(np.isnan(pool), -1.0, pool)
    chosen: list[int] = []
    for i in order[: 10 * _CLIMBERS].tolist():
        if all(np.abs(whole[i] - whole[j]).max() > _APART for j in chosen):
            chosen.append(i)
            if len(chosen) == _CLIMBERS:
                break
    return chosen
