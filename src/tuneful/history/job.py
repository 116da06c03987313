"""What searchers and schedulers answer: proposals and jobs; and what they are bound by."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tuneful.errors import StudyError
from tuneful.history.row import Checkpoint, State
from tuneful.space import Config

if TYPE_CHECKING:
    from tuneful.history.history import History


@dataclass(frozen=True)
class Objective:
    """A metric that is studied, and which way is better."""

    metric: str = "value"
    maximize: bool = False

    @property
    def sign(self) -> float:
        """What to multiply a value with so that lower is better."""
        return -1.0 if self.maximize else 1.0


@dataclass(frozen=True)
class Bound:
    """An outcome constraint: `metric` must be at most (or at least) `limit`."""

    metric: str
    limit: float
    at_least: bool = False

    def violation(self, value: float) -> float:
        """By how much `value` breaks it; at most 0 if it does not. NaN breaks it: it is not known to keep it."""
        if math.isnan(value):
            return math.inf
        return self.limit - value if self.at_least else value - self.limit


@dataclass(frozen=True)
class Limits:
    """How far a study may go.

    Attributes:
        trials: Distinct configs started, over resumes and workers; repeats, forks and imports do not count.
        total_steps: Steps trained, all trials together.
    """

    trials: int | None = None
    total_steps: int | None = None


@dataclass(frozen=True)
class Proposal:
    """A config, and in data why it was proposed."""

    config: Config
    why: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Job:
    """One decision: train `config` until `until`, from scratch or from a checkpoint.

    Build one with `new`, `resume` or `fork`; between them they cover every algorithm.

    Attributes:
        config: The parameter values to train with.
        until: The step to train up to, counted from the start of the trial (not from here); None for the end.
        trial: The trial this goes on with; None for a new one.
        source: The checkpoint another trial's weights come from; None for scratch.
        why: The searcher's reasons.
        note: JSON values the scheduler wants to find again in the history, written once.
    """

    config: Config
    until: int | None = None
    trial: int | None = None
    source: Checkpoint | None = None
    why: Mapping[str, Any] = field(default_factory=dict)
    note: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def new(cls, proposal: Proposal, until: int | None = None, **note: Any) -> Job:
        """Train a new config from scratch."""
        return cls(proposal.config, until, why=proposal.why, note=note)

    @classmethod
    def resume(cls, history: History, trial: int, until: int | None = None) -> Job:
        """Go on with a trial that is queued or paused.

        Raises:
            StudyError: it is neither, or has already got to `until`.
        """
        state = State(int(history.state[trial]))
        if state not in (State.QUEUED, State.PAUSED):
            raise StudyError(f"Cannot resume trial {trial}: it is {state}. Only queued and paused trials go on.")
        step = int(history.reached[trial])
        if until is not None and until <= step:
            raise StudyError(
                f"Cannot resume trial {trial} until step {until}: it is at step {step}. Pass `until` above {step}."
            )
        return cls(history.config(trial), until, trial)

    @classmethod
    def fork(cls, source: Checkpoint, proposal: Proposal, until: int | None = None, **note: Any) -> Job:
        """Train a new config from another trial's weights."""
        return cls(proposal.config, until, source=source, why=proposal.why, note=note)
