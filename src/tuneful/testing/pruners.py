"""The laws of pruners."""

from __future__ import annotations

import pickle
from collections.abc import Mapping, Sequence

from tuneful.history import History, Objective, State
from tuneful.protocols import Pruner
from tuneful.testing.histories import begin, drawn, end, small_spaces
from tuneful.testing.laws import check_pure, claim

_NAN, _INF = float("nan"), float("inf")
_CURVES: Mapping[str, Sequence[Sequence[float]]] = {
    "nothing was reported": [[]] * 6,
    "each reported once": [[float(k)] for k in range(6)],
    "one trial runs": [[1.0, 0.5, 0.7]],
    "all curves are equal": [[1.0, 1.0, 1.0, 1.0]] * 6,
    "curves fall, rise and cross": [
        *([5.0, 4.0, 3.0, 2.0, 1.0, 0.5], [1.0, 2.0, 3.0, 4.0, 5.0, 6.0], [3.0, 3.0, 3.0, 3.0, 3.0, 3.0]),
        *([9.0, 1.0, 9.0, 1.0], [2.0, 8.0], [4.0]),
    ],
    "some are NaN and infinite": [
        *(
            [_NAN] * 5,
            [1.0, _NAN, 1.0, _NAN, 1.0],
            [_INF] * 5,
            [-_INF] * 5,
            [1.0, 2.0, _INF, _NAN],
            [1.0] * 5,
        ),
    ],
    "some reported nothing": [[], [1.0, 2.0, 3.0], [], [3.0, 2.0, 1.0], [2.0] * 5, [1.0] * 5, [_NAN], []],
}
_GOALS = {
    "minimizing": (Objective(),),
    "maximizing": (Objective(maximize=True),),
    "with two objectives": (Objective(), Objective("size", maximize=True)),
}


def check_pruner(pruner: Pruner) -> None:
    """Claim that a pruner keeps the laws: yes or no, purely from the history, whatever the curves look like.

    Args:
        pruner: To be checked.

    Raises:
        AssertionError: it breaks a law; the message says which, and in which situation.
    """
    for goal, objectives in _GOALS.items():
        for what, curves in _CURVES.items():
            for studied in (True, False):
                history = _reported(objectives, curves, studied=studied)
                where = f"{pruner}, {goal}, when {what}" + ("" if studied else " (of another metric)")
                _check_verdicts(pruner, history, where)


def _check_verdicts(pruner: Pruner, history: History, where: str) -> None:
    running = history.of_state(State.RUNNING)
    alone = {}
    for trial in running:
        fresh = pickle.loads(pickle.dumps(history))  # noqa: S301 - our own bytes
        verdict = pruner(fresh, trial)
        claim(type(verdict) is bool, where, f"of trial {trial} it said {verdict!r}, and not True or False.")
        here = f"{where}, trial {trial}"
        check_pure(lambda who, known, trial=trial: str(who(known, trial)), pruner, fresh, here)
        if not history.reached[trial]:
            claim(not verdict, where, f"it ends trial {trial}, which has reported nothing yet.")
        alone[trial] = verdict
    for order in (running, running[::-1]):
        asked = {trial: pruner(history, trial) for trial in order}
        claim(asked == alone, where, "its verdict on one trial depends on those it was asked about before.")


def _reported(objectives: Sequence[Objective], curves: Sequence[Sequence[float]], *, studied: bool) -> History:
    """Trials with these curves, of which every third is over."""
    space = small_spaces()["continuous"]
    history = History(space, objectives)
    for k, (config, curve) in enumerate(zip(drawn(space, len(curves)), curves, strict=True)):
        trial = begin(history, config)
        for step, value in enumerate(curve, 1):
            metrics = {objective.metric: objective.sign * value for objective in objectives}
            history.report(trial, step, (metrics if studied else {}) | {"other": value})
        if k % 3 == 2:
            end(history, trial, {objective.metric: 1.0 for objective in objectives})
    return history
