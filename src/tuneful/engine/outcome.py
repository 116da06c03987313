"""How trials end: what was returned, or why there is no result."""

from __future__ import annotations

import math
import time
import traceback
from typing import Any

from tuneful.engine.session import Session
from tuneful.errors import SpaceError, StudyError
from tuneful.history import State
from tuneful.trial import Trial
from tuneful.values import Diverged, final_values

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
    if state not in ("done", "pruned", "failed", "queued", "paused"):
        raise StudyError(f"state={state!r}: a trial ends as done, pruned, failed, queued or paused.")
    row = trial.row
    row.cost = trial.cost()
    if state in ("queued", "paused"):
        row.state = State.PAUSED if state == "paused" or row.arrived else State.QUEUED
        row.values, row.error, row.curve, row.finished = {}, None, None, None
        return session.finish(trial, "interrupted" if state == "queued" else None)
    curve = session.curve(trial)
    reported = {name: points[-1] for name, (_, points) in curve.items()}
    if state == "done":
        try:
            reported = final_values(value, curve, session.history.objectives, session.history.bounds, of)
        except Diverged as problem:
            state, error = "failed", problem
        unasked = row.note.get("given", {}).keys() - trial.asked.keys() if trial.asked else ()
        if unasked:
            state, error = (
                "failed",
                SpaceError(
                    f"The value enqueued for {min(unasked)!r} was never asked for. "
                    f"Asked for were {', '.join(trial.asked)}."
                ),
            )
    elif state == "pruned":
        broken = [o.metric for o in session.history.objectives if not math.isfinite(reported.get(o.metric, 0.0))]
        if broken:
            state, error = "failed", Diverged(f"{broken[0]!r} was {reported[broken[0]]} at step {row.step}.")
    row.state, row.values = State[state.upper()], reported
    row.finished = row.finished if trial.told and row.finished else time.time()  # told again, it is the same end
    if state != "failed":
        return session.finish(trial)
    row.error = told(error)
    return session.finish(trial, "error")


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
