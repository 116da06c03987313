"""The roles of the system: three that decide, two that act. This page is its map.

What to try, what to run next and whether a trial is still worth its time are each one pure function of the
history: they keep no state, do no I/O, and draw only from `rng`.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np

from tuneful.history import History, Job, Proposal, Report, Row
from tuneful.space import Config


@runtime_checkable
class Searcher(Protocol):
    """Decides what to try."""

    def propose(self, history: History, n: int) -> list[Proposal]:
        """Up to `n` configs that no trial has. Fewer: there are no more, or none before others finish.

        A searcher may also `describe(history)` in one line what it is going to do; it is shown when a run begins.
        """


@runtime_checkable
class Scheduler(Protocol):
    """Decides what to run next, and how far.

    A scheduler or searcher whose answers no result changes may say so with an attribute `learns` that is false: then
    trials are planned ahead where they are short.
    """

    def plan(self, history: History, n: int) -> list[Job]:
        """Up to `n` jobs. Fewer: wait for the running trials; or, if none runs, done."""


@runtime_checkable
class Pruner(Protocol):
    """Decides whether a running trial is still worth its time.

    What it ends is pruned; or done, if the pruner has an attribute `finishes` that is true: then the trial is not
    worse than others but has shown what it can. One that looks at nothing but the trial itself may say so with an
    attribute `alone` that is true: then no results of others are read for it.
    """

    def __call__(self, history: History, trial: int) -> bool:
        """Whether to end `trial` after the step that it has reached."""


class StudyRow(NamedTuple):
    """What a store keeps of a study itself: JSON values."""

    name: str
    form: Mapping[str, Any]


class Claim(NamedTuple):
    """The right to run an attempt of a trial; writes under an older one are refused."""

    number: int
    attempt: int
    token: str


class Changes(NamedTuple):
    """What happened to a study after a revision.

    Attributes:
        rev: The revision up to which everything is told.
        spaces: New (version, space as JSON), oldest first.
        rows: Trials that are new or changed, in the order of their changes.
        reports: What unfinished trials reported, with the revision; everything, for those started again.
        more: Whether there is more to ask for, after `rev`.
        leader: The living worker that alone decides, if one does.
        wish: What somebody wants of the study: None, `pause` or `stop`.
    """

    rev: int
    spaces: Sequence[tuple[int, Mapping[str, Any]]] = ()
    rows: Sequence[Row] = ()
    reports: Sequence[tuple[int, Report]] = ()
    more: bool = False
    leader: str | None = None
    wish: str | None = None


class Orders(NamedTuple):
    """What a worker must know between two syncs.

    Attributes:
        wish: What somebody wants of the study: None, `pause` or `stop`.
        trials: What the worker runs, with what is wanted of each (None, `hold` or `stop`). What it believes to run and
            is not in here is no longer its own.
        leader: The living worker that alone decides, if one does.
    """

    wish: str | None
    trials: Mapping[int, str | None]
    leader: str | None


class Member(NamedTuple):
    """A worker that is registered with a store.

    Attributes:
        worker: Its name.
        host: Where it runs.
        pid: Its process there.
        version: Its version of Tuneful.
        lease: Seconds from now until it is given up if it is not heard of before.
        running: The (study, number) of what it runs.
        waiting: Of a process with workers: the study, and how many of them wait for work on it.
    """

    worker: str
    host: str
    pid: int
    version: str
    lease: float
    running: Sequence[tuple[str, int]]
    waiting: tuple[str, int] | None = None


class Outcome(NamedTuple):
    """How an attempt ended.

    Attributes:
        row: The trial as it shall be: in a final state, paused, or back in the queue.
        why: For an attempt that ended early: interrupted, lost or error.
        config_changed: Whether the config has to be written again (define-by-run).
        reported: Whether reports of it are in the store.
    """

    row: Row
    why: str | None = None
    config_changed: bool = False
    reported: bool = False


class Store(Protocol):
    """Where studies live. Each method is one transaction: it happens fully or not at all.

    The revision of a study counts its changes, from 1. Methods that write return the new revision; None means that
    somebody else was faster: `sync` and decide again.
    """

    def open(self, name: str, form: Mapping[str, Any], space: Mapping[str, Any], first: Config | None) -> bool:
        """Create study `name` unless it is there, with `first` queued as trial 0. Whether it was created."""

    def study(self, name: str) -> StudyRow | None:
        """What is kept of a study itself; None if it is not there."""

    def studies(self) -> list[str]:
        """The names of all studies, oldest first."""

    def spaces(self, name: str) -> Sequence[tuple[int, Mapping[str, Any]]]:
        """The (version, space as JSON) that a study has had, oldest first."""

    def sync(self, name: str, rev: int) -> Changes:
        """What happened after revision `rev`, or the first part of it, which ends where the space changes."""

    def grow(self, name: str, version: int, space: Mapping[str, Any]) -> int | None:
        """Add a space as `version`, which must be the next one."""

    def create(self, name: str, rows: Sequence[Row], worker: str | None) -> tuple[int, list[Claim]] | None:
        """Record trials under the next numbers, which must be theirs; fills in their revisions, claims the running.

        A queued one with `begun` set is ready at once: it counts as begun, and any worker may claim it.
        """

    def claim(self, name: str, row: Row, worker: str | None) -> tuple[int, Claim] | None:
        """Run a queued or paused trial until `row.until`, if it has not changed since `row.rev`; `seen` stays.

        None also if somebody wants it held or stopped.
        """

    def claim_ready(self, name: str, worker: str | None, n: int = 1) -> Sequence[tuple[Claim, Row]]:
        """Run the first trials that are ready, `n` at most: queued, begun, and nothing else wanted of them.

        The rows are the trials as they are now: running. Behind the first, only such as nobody has run before; they
        are `started` when they are next told of, and ready again, as if they had not been claimed, if their worker is
        given up before that. Nothing is ready while a study is to pause or to stop.
        """

    def release(self, name: str, claims: Sequence[Claim]) -> None:
        """Make ready again what was claimed and has not started."""

    def offer(self, name: str, row: Row) -> int | None:
        """Make a queued or paused trial ready to go on until `row.until`, if it has not changed since `row.rev`."""

    def report(
        self, name: str, claim: Claim, row: Row, reports: Sequence[Report], *, config_changed: bool = False
    ) -> int | None:
        """Write what a running trial reported, its step, cost and checkpoint. None: the claim is void."""

    def finish(self, name: str, claim: Claim, outcome: Outcome) -> int | None:
        """End an attempt. None: the claim is void, and the result was set aside."""

    def claim_of(self, name: str, number: int) -> Claim | None:
        """The claim under which a trial runs now."""

    def wish(self, name: str, number: int | None, wish: str | None) -> bool:
        """Say what is wanted of a trial (`hold`, `stop`), or of the study if `number` is None (`pause`, `stop`).

        None takes it back. False: the trial is over, or was never there.
        """

    def prune_paused(self, name: str) -> int:
        """End all paused trials as pruned, with what they reported; how many."""

    def cancel(self, name: str, number: int | None) -> int:
        """End a trial, or all, as cancelled at once, with what they reported; how many. Their claims are void."""

    def deciding(self, name: str) -> AbstractContextManager[object]:
        """Let one process at a time decide, where that is cheap; who has waited for long goes ahead unasked."""

    def lead(self, name: str, worker: str) -> bool:
        """Be the one who alone decides, as long as `worker` lives. False: another living worker is."""

    def resign(self, name: str, worker: str) -> None:
        """Let others decide again."""

    def orders(self, name: str, worker: str) -> Orders:
        """What `worker` runs, and what is wanted of it: one cheap read."""

    def members(self) -> list[Member]:
        """The registered workers, oldest first."""

    def runs_elsewhere(self, name: str, worker: str | None) -> bool:
        """Whether other workers that are taken to live run trials of a study."""

    def beat(self, worker: str, seconds: float) -> bool:
        """Say that `worker` will live for so many seconds more. False: it had been given up."""

    def vouch(self, worker: str, seconds: float) -> None:
        """Say that another worker will live for so many seconds more, if it is registered."""

    def want(self, name: str, worker: str, n: int) -> None:
        """Say that so many workers of the process `worker` wait for work on a study."""

    def reap(self) -> int:
        """Queue again what workers that died were running; how many trials."""

    def delete(self, name: str) -> None:
        """Remove a study and all its trials."""

    def dump(self, name: str) -> Iterator[tuple[str, list[tuple[Any, ...]]]]:
        """All that is kept of a study, as it was at one moment: (table, rows of `stores.tables`), page by page."""

    def load(self, name: str, pages: Iterable[tuple[str, list[tuple[Any, ...]]]]) -> None:
        """Take in what another store dumped, under `name`, which must be new; all or nothing."""

    def check(self) -> list[str]:
        """What is wrong with what is kept, in sentences; empty if nothing is."""

    def close(self, worker: str | None = None) -> None:
        """Let go of everything; what `worker` still runs is queued again."""


ENDED_ITSELF = 75  # the exit code of a worker that ended with its trial (EX_TEMPFAIL): the next one can begin


class Said(NamedTuple):
    """What a team heard of a worker.

    Attributes:
        what: `ready`, `idle`, `busy`, `ended` (a trial), `refused` (it cannot do its work), `gone`.
        worker: Its name in the store; empty before it was ready.
        about: The number of the trial; the (kind, text) of an error; how a worker ended.
    """

    what: str
    worker: str
    about: Any = None


class Team(Protocol):
    """The workers that an executor has started. What they run and what comes of it is in the store."""

    @property
    def idle(self) -> int:
        """How many wait for work."""

    @property
    def living(self) -> int:
        """How many there are."""

    @property
    def sound(self) -> Sequence[str]:
        """The names of those that are known to live and to run, even if they say nothing."""

    def wait(self, seconds: float) -> list[Said]:
        """What workers said and which of them ended, as soon as there is anything, at the latest after `seconds`."""

    def wake(self) -> None:
        """Tell those that wait that there may be work."""

    def end(self, *, now: bool) -> None:
        """Have all workers end: when their trials are over, or `now`, giving them back."""

    def kill(self, worker: str | None = None) -> None:
        """End all workers at once, or the one of that name."""


@runtime_checkable
class Executor(Protocol):
    """Places workers, on this machine or on others, and replaces those that die. It never decides what they run."""

    def start(self, work: bytes, environment: Mapping[str, str]) -> Team:
        """Start workers; each calls `tuneful.engine.worker.serve` with `work`, and finds `environment` in its own."""


def rng(seed: int, number: int, purpose: str) -> np.random.Generator:
    """The generator for one purpose of one trial: same seed, number and purpose, same draws.

    >>> bool(rng(0, 3, "draw").random() == rng(0, 3, "draw").random())
    True
    """
    return np.random.default_rng([seed, number, zlib.crc32(purpose.encode())])
