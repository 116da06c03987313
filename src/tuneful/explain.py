"""Why a trial has the config it has: what was known when it was proposed, and whether that leads to it again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tuneful.display import counts
from tuneful.errors import StudyError, TunefulError
from tuneful.history import History, Limits, Proposal, State
from tuneful.protocols import Searcher
from tuneful.space import Config

_LINES = 16  # parameters that are written out


@dataclass(frozen=True)
class Explanation:
    """How a trial came about; printed, it is told in a few lines.

    Attributes:
        number: The trial.
        config: What was proposed, by path; an objective that asks its trial may have used less, or more.
        why: Why, in data: the searcher's words.
        seen: The revision of the study that was known.
        known: What was known then: `study.history` as it was.
        batch: The trials that were proposed together with it, itself among them; empty if no searcher did.
        again: What the study's searcher proposes from what was known then; None if it was not asked, or has nothing.
        same: Whether that is the same config; None if no searcher proposed it.
        because: Why it is not, or why no searcher was asked; empty if it is.
    """

    number: int
    config: Config
    why: Mapping[str, Any]
    seen: int
    known: History = field(repr=False, compare=False)
    batch: tuple[int, ...] = ()
    again: Proposal | None = None
    same: bool | None = None
    because: str = ""

    def __str__(self) -> str:
        rows = [f"  {path} = {value!r}" for path, value in self.config.items()]
        lines = [f"trial       {self.number}: {self._origin()}"]
        lines += rows if len(rows) <= _LINES else [*rows[: _LINES - 1], f"  … {len(rows) - _LINES + 1} more"]
        if reasons := {name: reason for name, reason in self.why.items() if name != "searcher"}:
            lines.append(f"why         {', '.join(f'{name}: {_short(reason)}' for name, reason in reasons.items())}")
        lines.append(f"had seen    revision {self.seen}: {counts(self.known) or 'no trials'}")
        if len(self.batch) > 1:
            lines.append(f"together    trials {self.batch[0]} to {self.batch[-1]} were proposed at once")
        if self.same is not None:
            lines.append(f"once more   {'the same config' if self.same else self.because}")
        return "\n".join(lines)

    def _origin(self) -> str:
        return self.because if self.same is None else f"proposed by {self.why.get('searcher', 'the searcher')}"


def explained(history: History, searcher: Searcher, number: int) -> Explanation:
    """Why a trial has its config, and whether `searcher` proposes it again from what was known then.

    Raises:
        StudyError: there is no such trial.
    """
    if not isinstance(number, (int, np.integer)) or isinstance(number, bool) or not 0 <= number < len(history):
        raise StudyError(f"There is no trial {number!r}; the study has {len(history)}, counted from 0.")
    row = history.row(int(number))
    space, config = row.proposed or (row.space, row.config)
    known = history.as_of(row.seen, space)
    known.limits = Limits(*row.limits)
    found = Explanation(row.number, dict(config), row.why, row.seen, known)
    if because := _not_searched(history, row.number):
        return _with(found, because=because)
    batch = _batch(history, len(known), row.seen)
    if row.number not in batch:
        return _with(found, because="recorded by a program that does not say what it had seen")
    found = _with(found, batch=tuple(batch))
    try:
        proposals = searcher.propose(known, len(batch))
    except TunefulError as error:
        return _with(found, same=False, because=f"nothing: the searcher cannot propose from it. {error}")
    place = batch.index(row.number)
    again = proposals[place] if place < len(proposals) else None
    if again is None:
        return _with(found, same=False, because=f"nothing: the searcher has only {len(proposals)} proposals left")
    if _alike(again.config, config):
        return _with(found, again=again, same=True)
    return _with(found, again=again, same=False, because=_difference(history, found, again))


def _with(found: Explanation, **facts: Any) -> Explanation:
    return Explanation(**{**found.__dict__, **facts})


def _not_searched(history: History, number: int) -> str:
    """Where the config of a trial comes from, if not from a searcher."""
    row = history.row(number)
    who = row.why.get("searcher")
    if row.imported:
        return "imported; it was run elsewhere"
    if row.repeat_of is not None:
        return f"a repeat of trial {row.repeat_of}, as you wished"
    if row.parent is not None:
        return f"forked by the scheduler from trial {row.parent.trial} at step {row.parent.step}"
    return {"default": "the defaults of the space", "enqueued": "enqueued by you"}.get(str(who), "")


def _batch(history: History, first: int, seen: int) -> list[int]:
    """The trials that the searcher proposed in one go: the next ones after `first` trials that had seen the same."""
    end = first
    while end < len(history) and history.seen[end] == seen:
        end += 1
    return [trial for trial in range(first, end) if not _not_searched(history, trial)]


def _difference(history: History, found: Explanation, again: Proposal) -> str:
    """Why another config comes out, as far as can be told."""
    then, now = found.why.get("searcher"), again.why.get("searcher")
    config = ", ".join(f"{path} = {value!r}" for path, value in list(again.config.items())[:4])
    told = f"another config ({config}{', …' if len(again.config) > 4 else ''}): "
    if then != now:
        return f"{told}it was proposed by {then}, and the study has {now} now"
    lost = _begun_again(history, found.known)
    if lost:
        trials = ", ".join(map(str, lost[:5])) + (", …" if len(lost) > 5 else "")
        return f"{told}trials that ran then were begun again, and not all is kept of their first attempts ({trials})"
    return f"{told}{now} has other settings now, or is of another version"


def _begun_again(history: History, known: History) -> list[int]:
    """The trials that ran then and had to be started again from an earlier step."""
    return [
        trial
        for trial in known.of_state(State.RUNNING)
        if any(m.state == State.QUEUED and m.attempt == known.attempt[trial] for m in history.row(trial).past)
    ]


def _alike(config: Config, other: Config) -> bool:
    """Whether two configs are one; the options 1, 1.0 and True are three."""
    return repr(sorted(config.items())) == repr(sorted(other.items()))


def _short(reason: Any) -> str:
    text = f"{reason:.4g}" if isinstance(reason, float) else str(reason)
    return text if len(text) <= 60 else f"{text[:59]}…"
