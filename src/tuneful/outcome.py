"""How trials end: what was returned, or why there is no result."""

from __future__ import annotations

import math
import time
import traceback
from dataclasses import replace
from typing import Any

from tuneful.errors import StudyError
from tuneful.history import State
from tuneful.session import Session
from tuneful.trial import Trial
from tuneful.values import NotFinite, final_values

_TEXT = 4_000  # characters of a message that are kept
_TRACEBACK = 16_000  # characters of a traceback that are kept, from its end


def ended(
    session: Session,
    trial: Trial,
    value: Any,
    of: str,
    *,
    state: str = "done",
    error: BaseException | str | None = None,
) -> bool:
    """End the attempt of a trial. Whether it counts: False if it had been given to another worker.

    Raises:
        ObjectiveError: it is done, and its value cannot be read or a studied metric is missing.
        StudyError: there is no such state.
    """
    if state not in ("done", "pruned", "failed", "queued"):
        raise StudyError(f"state={state!r}: a trial ends as done, pruned, failed or queued.")
    row = replace(trial.row, cost=trial.cost())
    if state == "queued":
        return session.finish(trial, replace(row, state=State.QUEUED), "interrupted")
    curve = session.curve(trial)
    row = replace(row, finished=time.time(), values={name: points[-1] for name, (_, points) in curve.items()})
    if state == "done":
        try:
            row = replace(row, state=State.DONE, values=final_values(value, curve, session.history.objectives, of))
        except NotFinite as problem:
            state, error = "failed", problem
    if state == "pruned":
        broken = [o.metric for o in session.history.objectives if not math.isfinite(row.values.get(o.metric, 0.0))]
        row = replace(row, state=State.PRUNED)
        if broken:
            metric = broken[0]
            state, error = "failed", f"Diverged: {metric!r} was {row.values[metric]} at step {row.step}."
    if state == "failed":
        row = replace(row, state=State.FAILED, error=told(error))
        return session.finish(trial, row, "error")
    return session.finish(trial, row)


def told(error: BaseException | str | None) -> dict[str, str]:
    """Why a trial failed, as text of bounded length: type, message and traceback."""
    if not isinstance(error, BaseException):
        return {"type": "Failed", "message": (error or "It was told as failed.")[:_TEXT], "traceback": ""}
    written = traceback.TracebackException.from_exception(error)  # survives a broken __str__
    message = str(written)
    return {
        "type": type(error).__name__,
        "message": message[:_TEXT],
        "traceback": "".join(written.format())[-_TRACEBACK:],
    }
