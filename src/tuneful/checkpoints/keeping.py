"""Which checkpoints of a trial something may still go on from: told by what is known of the study, not counted."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from tuneful.history import History, State
from tuneful.history.ranking import ranks

Saved = tuple[int, int]  # (step, attempt)


def kept(history: History, trial: int, there: Collection[Saved], best: int = 1) -> set[Saved]:
    """Those of a trial's checkpoints that must stay.

    - The last: its next attempt resumes there, and others may be forked from there. While it runs also the one before,
      which a process may have chosen that has not heard of the last; and whatever is newer than what is known here, for
      its worker may just have saved it.
    - Those from which forks begin, until they are over or have saved a state of their own.
    - The `best`, by what it reported of the studied metric at their steps; with several objectives by its rank.

    Args:
        history: What is known of the study, read just now: a fork of which it has not heard pins nothing. Of a trial
            that it does not know, all is kept.
        trial: Which trial.
        there: The (step, attempt) of its checkpoints, as `Checkpoints.there` lists them.
        best: How many of the best to keep; 1 holds the weights of the best epoch beside those of the last.

    Returns:
        The (step, attempt) of those to keep; a part of `there`.

    Example:
        >>> from tuneful.space import Float, Space
        >>> from tuneful.testing.histories import begin, end
        >>> history = History(Space({"lr": Float(0, 1)}))
        >>> trial = begin(history, {"lr": 0.5}, saved=(3, 1))
        >>> for step, loss in ((1, 0.9), (2, 0.3), (3, 0.4)):
        ...     history.report(trial, step, {"value": loss})
        >>> end(history, trial, 0.4)
        >>> sorted(kept(history, trial, [(1, 1), (2, 1), (3, 1)]))
        [(2, 1), (3, 1)]
    """
    if trial >= len(history):
        return set(there)
    order = sorted(there, key=_age)
    pinned = _pinned(history, trial)
    return {
        *_latest(history, trial, order),
        *(saved for saved in order if saved[0] in pinned),
        *_best(history, trial, order, best),
    }


def _age(saved: Saved) -> tuple[int, int]:
    """What orders checkpoints as they were saved: a later attempt may begin at an earlier step."""
    step, attempt = saved
    return attempt, step


def _latest(history: History, trial: int, order: list[Saved]) -> list[Saved]:
    """Of what was saved, in order: the last that is known, what is newer; and while it runs, the one before."""
    state, known = history.state[trial], history.text("saved", trial)
    if known is None:
        return [] if state >= State.DONE else order
    if state >= State.DONE:
        return [saved for saved in order if saved == known]
    before = [saved for saved in order if _age(saved) < _age(known)]
    return before[len(before) - (state == State.RUNNING) :] + order[len(before) :]


def _pinned(history: History, trial: int) -> set[int]:
    """The steps of a trial from which its forks begin that have no state of their own yet."""
    forks = np.flatnonzero((history.parent == trial) & (history.state < State.DONE))
    return {int(history.parent_step[fork]) for fork in forks if history.text("saved", int(fork)) is None}


def _best(history: History, trial: int, order: list[Saved], n: int) -> list[Saved]:
    """The `n` best of what was saved; of several at one step, the newest."""
    newest = dict(order)
    y = np.full((len(newest), len(history.objectives)), np.nan)
    for j, objective in enumerate(history.objectives):
        steps, values = history.curve(trial, objective.metric)
        told = dict(zip(steps.tolist(), values.tolist(), strict=True))
        y[:, j] = [told.get(step, np.nan) for step in newest]
    rank = np.where(np.isfinite(y).all(axis=1), y[:, 0] if y.shape[1] == 1 else ranks(y), np.nan)
    chosen = np.argsort(rank, kind="stable")[: min(n, int(np.count_nonzero(~np.isnan(rank))))]
    return [list(newest.items())[k] for k in chosen]
