"""The facts of one trial, as stores keep them and histories take them in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, NamedTuple

from tuneful.space import Config


class State(IntEnum):
    """Where a trial stands; those from `DONE` on are final."""

    QUEUED = 0
    RUNNING = 1
    PAUSED = 2
    DONE = 3
    PRUNED = 4
    FAILED = 5
    CANCELLED = 6

    @property
    def final(self) -> bool:
        """Whether nothing more happens to the trial."""
        return self >= State.DONE

    def __str__(self) -> str:
        return self.name.lower()


class Checkpoint(NamedTuple):
    """Where a trial's saved state is: trial `trial`, after `step` steps."""

    trial: int
    step: int


Curve = tuple[Sequence[int], Sequence[float]]  # steps, values


class Moment(NamedTuple):
    """How a trial stood from revision `rev` on, until the next moment or its end.

    Attributes:
        rev: When it became so: it was started, paused, or queued again.
        state: Where it stood.
        until: The step it was to train up to; None for as far as the objective goes.
        step: The last step it had reported.
        attempt: How often it had been started.
        cost: Seconds of training, up to then.
        seen: If it was started, the revision that was known when that was decided.
    """

    rev: int
    state: State
    until: int | None
    step: int
    attempt: int
    cost: float
    seen: int


@dataclass(slots=True)
class Row:
    """One trial.

    Attributes:
        number: Which trial; they are numbered 0, 1, 2 …
        config: Its values by path.
        space: The version of the space it was proposed for.
        state: Where it stands.
        rev: The revision of the study at its last change; `born`, `begun` and `ended` those at which it was
            recorded, first started (or made ready for any worker to start) and finished (0: not yet). They give the
            order of starting and finishing.
        until: The step it is to train up to (cumulative); None for as far as the objective goes.
        step: The last step it reported.
        attempt: How often it was started.
        began: The step after which this attempt started: 0, or that of the checkpoint it loaded.
        saved: The (step, attempt) of its last checkpoint.
        values: The final value of each metric, as reported.
        cost: Seconds of training, over all attempts.
        parent: The checkpoint it was forked from.
        repeat_of: The trial of which it repeats the config.
        imported: It was run elsewhere and does not count against limits.
        note: JSON values of the scheduler; `why`, of the searcher; `seen`, the revision both knew when they proposed
            it, and `limits`, the (trials, total_steps) they were to keep.
        settings: The system settings it ran with.
        error: Why it failed: `type`, `message`, `traceback`.
        started, finished: Unix times in seconds; None before.
        curve: For a finished trial, every metric it reported: (steps, values). None leaves what is known.
        revs: When the steps of the curve became known, by step: a revision each; 0, or none, for its end.
        past: The moments at which it was started, paused or queued again; empty if it was started as it was recorded
            and has run ever since.
        proposed: The (space, config) it was recorded with, if they are others now.
        wish: What somebody wants of it: None, `hold` (do not run it) or `stop` (end it with what it has).
        length: The step at which it is over if nobody ends it before, as it has said; None before.
    """

    number: int
    config: Config
    space: int = 0
    state: State = State.QUEUED
    rev: int = 0
    born: int = 0
    begun: int = 0
    ended: int = 0
    until: int | None = None
    step: int = 0
    attempt: int = 0
    began: int = 0
    saved: tuple[int, int] | None = None
    values: Mapping[str, float] = field(default_factory=dict)
    cost: float = 0.0
    parent: Checkpoint | None = None
    repeat_of: int | None = None
    imported: bool = False
    note: Mapping[str, Any] = field(default_factory=dict)
    why: Mapping[str, Any] = field(default_factory=dict)
    seen: int = 0
    settings: Mapping[str, Any] = field(default_factory=dict)
    error: Mapping[str, str] | None = None
    started: float | None = None
    finished: float | None = None
    curve: Mapping[str, Curve] | None = None
    revs: Sequence[int] = ()
    past: tuple[Moment, ...] = ()
    proposed: tuple[int, Config] | None = None
    limits: tuple[int | None, int | None] = (None, None)
    wish: str | None = None
    length: int | None = None

    @property
    def distinct(self) -> bool:
        """Whether it counts against a limit of trials: it is no repeat, fork or import."""
        return self.repeat_of is None and self.parent is None and not self.imported

    @property
    def ready(self) -> bool:
        """Whether any worker may run it now: that and how far is decided, and nobody runs it."""
        return self.state == State.QUEUED and self.begun > 0 and self.wish is None

    @property
    def arrived(self) -> bool:
        """Whether it has got to where another decision is due and saved its state there, and is not over."""
        return (
            self.until is not None and self.saved is not None and self.until <= self.saved[0] < (self.length or 2**62)
        )

    @property
    def start(self) -> Moment:
        """Its first start, if it was started as it was recorded."""
        return Moment(self.begun, State.RUNNING, self.until, 0, 1, 0.0, self.seen)

    def turn(self, rev: int, state: State, *, until: int | None, attempt: int, seen: int) -> None:
        """Stand otherwise from `rev` on, and remember how it stood."""
        past = self.past or ((self.start,) if self.begun else ())
        self.past = (*past, Moment(rev, state, until, self.step, attempt, self.cost, seen))
        self.rev, self.state, self.until, self.attempt = rev, state, until, attempt

    def change(self, config: Config, space: int) -> None:
        """Have another config, of another space; remember those it was recorded with."""
        if self.proposed is None and (config, space) != (self.config, self.space):
            self.proposed = self.space, self.config
        self.config, self.space = config, space


class Report(NamedTuple):
    """All metrics that trial `number` reported at `step`."""

    number: int
    step: int
    metrics: Mapping[str, float]
