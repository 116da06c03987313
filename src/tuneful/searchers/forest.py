"""Bayesian optimization with a forest of extremely randomized trees."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tuneful.errors import StudyError
from tuneful.history import History, Proposal
from tuneful.protocols import rng
from tuneful.searchers.evidence import Evidence, measure, telling
from tuneful.searchers.ground import Ground
from tuneful.searchers.learned import Answer, learned
from tuneful.space import Space
from tuneful.surrogates import forest
from tuneful.surrogates.improvement import log_improvement
from tuneful.surrogates.warps import normal_scores

Array = NDArray[np.float64]
Ints = NDArray[np.int64]

_MOST = 400  # trials that a model learns from; a forest of more is hardly better, and slower
_DRAWN = 500  # candidates from everywhere; and as many around the best trials
_CLIMBERS = 10  # the best candidates and the best trials, from which it climbs
_NEIGHBOURS, _ROUNDS = 20, 6
_STEPS = 0.006, 0.2  # of a number, as shares of its range: from the shortest to the longest
_NOISE = 1e-6  # added to variances, of values whose variance is 1
_SHOWN = 3


@dataclass(frozen=True)
class Forest:
    """Models values with a forest of random trees, and tries where it expects the largest improvement.

    At its best where choices and conditions decide: trees do not care how parameters are measured or whether values
    are smooth, and cost the same with any number of parameters. It looks at the ranks of values, so outliers do no
    harm. Failed trials count as the worst, running ones as what the model expects of them.

    Attributes:
        start: Trials of a Sobol sequence before the first model.
        trees: In the forest. More are smoother and slower.

    Raises:
        StudyError: either is below 2.

    References:
        Hutter, Hoos and Leyton-Brown, "Sequential model-based optimization for general algorithm configuration",
        LION 2011 (SMAC).
        Lindauer et al., "SMAC3: a versatile Bayesian optimization package for hyperparameter optimization", JMLR 2022.
        Geurts, Ernst and Wehenkel, "Extremely randomized trees", Machine Learning 2006.
    """

    start: int = 8
    trees: int = 30

    def __post_init__(self) -> None:
        for name in ("start", "trees"):
            if (value := getattr(self, name)) < 2:
                raise StudyError(f"Forest: {name} is {value}. Pass at least 2.")

    def propose(self, history: History, n: int) -> list[Proposal]:
        return learned(history, n, "forest", self.start, lambda known, number: self._choose(history, known, number))

    def _choose(self, history: History, known: Evidence, number: int) -> Answer:
        space, draw = history.space, rng(history.seed, number, "forest")
        model = _Model.of(space, known, self.trees, draw)
        x, value = _candidates(Ground.of(history), model, draw)
        _, sign = measure(history)
        return space.decode(x[np.argsort(-value, kind="stable")]), partial(model.why, sign=sign)


@dataclass(frozen=True)
class _Model:
    """A forest that has learned from a history.

    Attributes:
        forest: Over normal scores of the values.
        trials: The numbers of the trials that it has learned from, (n,).
        x, y, scores: Their configs (n, d), values and normal scores, (n,).
        best: The lowest score that it expects at any of them.
        pending: Which rows the forest was told are only expected, of trials that run.
    """

    forest: forest.Forest
    trials: Ints
    x: Array
    y: Array
    scores: Array
    best: float
    pending: Ints

    @classmethod
    def of(cls, space: Space, known: Evidence, trees: int, draw: np.random.Generator) -> _Model:
        """A model of the evidence: with many trials, of the best and an even choice of the others."""
        kept = telling(known.y, _MOST)
        x, y = known.x[kept], known.y[kept]
        scores = normal_scores(y)
        options = [int(p.domain.size) if p.domain.categorical else 0 for p in space.parameters]
        settings = forest.Settings(trees=trees)
        rows = np.vstack([x, known.failed[-_MOST:]])
        values = np.append(scores, np.full(len(rows) - len(x), scores.max()))
        model = forest.grown(rows, values, options, draw, settings)
        pending = known.pending[-_MOST:]
        if len(pending):
            rows, values = np.vstack([rows, pending]), np.append(values, model.predict(pending)[0])
            model = forest.grown(rows, values, options, draw, settings)
        return cls(
            model,
            known.trials[kept],
            x,
            y,
            scores,
            float(model.predict(x)[0].min()),
            np.arange(len(rows) - len(pending), len(rows)),
        )

    def improvement(self, x: Array) -> Array:
        """The logarithm of the improvement on the best that configs (m, d) promise, (m,)."""
        mean, variance = self.forest.predict(x)
        spread = np.sqrt(variance + _NOISE)
        promised = log_improvement((self.best - mean) / spread)[0] + np.log(spread)
        if len(self.pending):  # less, where what runs will tell as much
            promised = promised + np.log1p(_NOISE - self.forest.sharing(x, self.pending))
        return promised

    def why(self, x: Array, sign: float) -> dict[str, Any]:
        """What speaks for a config (d,): what is expected of it in the user's units, and which trials say so."""
        mean, variance = self.forest.predict(x[None])
        spread = np.sqrt(variance + _NOISE)
        low, middle, high = np.interp([mean - spread, mean, mean + spread], *self._scale)[:, 0].tolist()
        weights = self.forest.weights(x[None])[0, : len(self.x)]
        heaviest = np.argsort(-weights, kind="stable")[:_SHOWN]
        return {
            "model": "forest",
            "predicted": sign * middle,
            "spread": (high - low) / 2,
            "aim": "exploit" if mean[0] <= self.best else "explore",
            "alike": [int(self.trials[i]) for i in heaviest if weights[i] > 0],
            "learned from": len(self.x),
        }

    @property
    def _scale(self) -> tuple[Array, Array]:
        """Scores, and the values that they stand for, both rising."""
        order = np.argsort(self.y, kind="stable")
        return self.scores[order], self.y[order]


def _candidates(ground: Ground, model: _Model, draw: np.random.Generator) -> tuple[Array, Array]:
    """Configs (m, d) and what improvement they promise (m,): from everywhere, near the best trials, and uphill."""
    tops = model.x[np.argsort(model.scores, kind="stable")[:_CLIMBERS]]
    drawn = ground.drawn(draw.random((_DRAWN, len(ground.space))))
    near = _moved(ground, tops[draw.integers(len(tops), size=_DRAWN)], draw)
    x = [np.vstack([drawn, near, tops])]
    values = [model.improvement(x[0])]
    best = np.argsort(-values[0][: 2 * _DRAWN], kind="stable")[:_CLIMBERS]
    here = np.vstack([x[0][best], tops])
    height = np.append(values[0][best], values[0][2 * _DRAWN :])
    for _ in range(_ROUNDS):
        x.append(_moved(ground, np.repeat(here, _NEIGHBOURS, axis=0), draw))
        values.append(model.improvement(x[-1]))
        around = values[-1].reshape(len(here), _NEIGHBOURS)
        steepest = np.arange(len(here)) * _NEIGHBOURS + around.argmax(axis=1)
        up = around.max(axis=1) > height
        here, height = np.where(up[:, None], x[-1][steepest], here), np.where(up, values[-1][steepest], height)
    return np.vstack(x), np.concatenate(values)


def _moved(ground: Ground, x: Array, draw: np.random.Generator) -> Array:
    """A neighbour of each config (m, d): one parameter is another, sometimes more; what newly exists is drawn."""
    m, d = x.shape
    redrawn = ground.anywhere((m, d), draw)
    unit = np.where(np.isnan(x), redrawn, x)
    changed = draw.random((m, d)) < draw.choice([0.0, 1 / d], size=(m, 1))
    changed[np.arange(m), draw.integers(d, size=m)] = True
    shortest, longest = _STEPS
    length = shortest * (longest / shortest) ** draw.random((m, 1))
    stepped = np.clip(unit + length * draw.standard_normal((m, d)), 0.0, 1.0)
    moved = np.where(ground.space.categorical, redrawn, stepped)
    return ground.nearest(np.where(changed, moved, unit), draw)
