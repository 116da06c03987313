"""The figures of a comparison: how far from the best known, who wins, and how sure that is.

The regret of a trial is (best loss so far - best known) / (median of random losses - best known), held within 0 and
1.5: at 0 nothing better is known, at 1 it is as good as one random config.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from problems.references import Reference
from runs import Run
from scipy import stats

Array = NDArray[np.float64]
Traces = Mapping[tuple[str, int], Run]  # the runs of one contestant, by task and seed

_CEILING = 1.5
_DRAWS = 4000
_FEW = 5
_LEVEL = (0.025, 0.975)


class Interval(NamedTuple):
    """A mean, and where it lies with 95%."""

    mean: float
    low: float
    high: float

    @property
    def verdict(self) -> str:
        """Which side of 0 it lies on: `ahead` (below), `behind` (above), or neither."""
        return "ahead" if self.high < 0 else "behind" if self.low > 0 else "open"


class Paired(NamedTuple):
    """A difference of regrets on what both have run, over tasks."""

    difference: Interval
    tasks: int
    pairs: int

    @property
    def verdict(self) -> str:
        """Of the difference; `few` where an interval over so few tasks would be too sure of itself."""
        return self.difference.verdict if self.tasks >= _FEW else "few"


def best_known(references: Mapping[str, Reference], runs: Iterable[Run]) -> dict[str, Reference]:
    """The references with the best that any run has found."""
    best = {task: reference.best for task, reference in references.items()}
    for run in runs:
        if run.task in best and len(run.best):
            best[run.task] = min(best[run.task], float(run.best[-1]))
    return {task: Reference(best[task], reference.median) for task, reference in references.items()}


def regret(loss: float, reference: Reference) -> float:
    """The regret of a loss.

    >>> regret(3.0, Reference(best=1.0, median=5.0))
    0.5
    """
    spread = max(reference.median - reference.best, 1e-12)
    return float(np.clip((loss - reference.best) / spread, 0, _CEILING))


def by_task(traces: Traces, references: Mapping[str, Reference], n: int) -> dict[str, dict[int, float]]:
    """The regret after `n` trials, by task and seed; of runs that got there."""
    found: dict[str, dict[int, float]] = {}
    for (task, seed), run in traces.items():
        if len(run.best) >= n:
            found.setdefault(task, {})[seed] = regret(float(run.best[n - 1]), references[task])
    return found


def means(regrets: Mapping[str, Mapping[int, float]]) -> dict[str, float]:
    """The mean over seeds, by task."""
    return {task: float(np.mean(list(seeds.values()))) for task, seeds in regrets.items()}


def bootstrap(values: Sequence[float]) -> Interval:
    """The mean of values, and its interval by drawing as many of them, again and again."""
    x = np.asarray(values, dtype=float)
    drawn = np.random.default_rng(0).choice(x, (_DRAWS, len(x))).mean(axis=1)
    return Interval(float(x.mean()), *map(float, np.quantile(drawn, _LEVEL)))


def ranks(scores: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """The mean rank by contestant, as a share: 1/k is first and 1 is last of k that have a task; ties share.

    Args:
        scores: By contestant, the mean regret by task.
    """
    found: dict[str, list[float]] = {name: [] for name in scores}
    for task in {task for tasks in scores.values() for task in tasks}:
        names = [name for name in scores if task in scores[name]]
        if len(names) > 1:
            order = stats.rankdata([scores[name][task] for name in names])
            for name, place in zip(names, order, strict=True):
                found[name].append(float(place) / len(names))
    return {name: float(np.mean(places)) if places else float("nan") for name, places in found.items()}


def wins(traces: Traces, others: Traces, n: int) -> float:
    """The share of tasks and seeds that both have where `traces` are better after `n` trials; ties count half."""
    each = [
        0.5 * float(run.best[n - 1] < others[key].best[n - 1]) + 0.5 * float(run.best[n - 1] <= others[key].best[n - 1])
        for key, run in traces.items()
        if key in others and min(len(run.best), len(others[key].best)) >= n
    ]
    return float(np.mean(each)) if each else float("nan")


def paired(mine: Mapping[str, Mapping[int, float]], theirs: Mapping[str, Mapping[int, float]]) -> Paired | None:
    """My regret less theirs, on tasks and seeds that both have; the interval is over tasks. None: they share none."""
    shared = {task: sorted(mine[task].keys() & theirs[task].keys()) for task in mine.keys() & theirs.keys()}
    shared = {task: seeds for task, seeds in sorted(shared.items()) if seeds}
    if not shared:
        return None
    each = [float(np.mean([mine[task][s] - theirs[task][s] for s in seeds])) for task, seeds in shared.items()]
    return Paired(bootstrap(each), len(shared), sum(map(len, shared.values())))


def over_seeds(mine: Mapping[int, float], theirs: Mapping[int, float]) -> Interval | None:
    """My regret less theirs on one task, over the seeds that both have, by Student's t; None for fewer than two."""
    each = np.array([mine[seed] - theirs[seed] for seed in sorted(mine.keys() & theirs.keys())])
    if len(each) < 2:
        return None
    error = float(each.std(ddof=1)) / np.sqrt(len(each))
    reach = float(stats.t.ppf(_LEVEL[1], len(each) - 1)) * error
    return Interval(float(each.mean()), float(each.mean()) - reach, float(each.mean()) + reach)


def cost_ms(runs: Iterable[Run], n: int) -> float:
    """CPU milliseconds of ask + tell around trial `n`: the mean of the five up to it, the median over runs."""
    each = [1e3 * run.cost[n - 5 : n].mean() for run in runs if len(run.cost) >= n >= 5]
    return float(np.median(each)) if each else float("nan")
