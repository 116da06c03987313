"""What is known of trials, turned back to what was known at an earlier revision."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tuneful.history.row import Moment, State

Flags = NDArray[np.bool_]
Ints = NDArray[np.int64]
Facts = dict[str, NDArray[Any]]
Texts = dict[str, dict[int, Any]]


def texts_at(texts: Texts, rev: int, later: Flags) -> Texts:
    """The texts of the first n trials at `rev`, where `later` (n,) tells which were not over."""
    found = {kind: {t: text for t, text in known.items() if t < len(later)} for kind, known in texts.items()}
    for kind in ("error", "proposed"):
        found[kind] = {trial: text for trial, text in found[kind].items() if not later[trial]}
    moments = ((trial, tuple(m for m in past if m.rev <= rev)) for trial, past in found["past"].items())
    found["past"] = {trial: past for trial, past in moments if past}
    return found


def facts_at(facts: Mapping[str, NDArray[Any]], rev: int, later: Flags, reached: Ints, texts: Texts) -> Facts:
    """The columns of the first n trials at `rev`.

    Args:
        facts: The columns of now, at least n long.
        rev: The revision.
        later: Which trials were not over, (n,).
        reached: The last step that each had reported then, (n,).
        texts: The texts of then.
    """
    found = {name: column[: len(later)].copy() for name, column in facts.items()}
    begun = (found["begun"] > 0) & (found["begun"] <= rev)
    found["until"][(found["begun"] > 0) & ~begun] = np.inf
    found["begun"][~begun], found["attempt"][~begun], found["started_at"][~begun] = 0, 0, np.nan
    found["state"][later] = np.where(begun, State.RUNNING, State.QUEUED)[later]
    found["ended"][later], found["finished_at"][later] = 0, np.nan
    found["length"][later & (reached == 0)] = 0
    found["reached"][later], found["cost"][later] = reached[later], 0.0
    for trial, moments in texts["past"].items():
        if later[trial]:
            _stand(found, trial, moments[-1])
    return found


def _stand(facts: Facts, trial: int, moment: Moment) -> None:
    """Write how a trial stood at a moment; how far a running one has come, its reports say."""
    facts["state"][trial], facts["attempt"][trial], facts["cost"][trial] = moment.state, moment.attempt, moment.cost
    facts["until"][trial] = np.inf if moment.until is None else moment.until
    if moment.state != State.RUNNING:
        facts["reached"][trial] = moment.step
