"""A study as it is kept in memory."""

from __future__ import annotations

import heapq
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from operator import attrgetter

from tuneful.errors import StoreError
from tuneful.history import Report, Row, State
from tuneful.protocols import Outcome
from tuneful.stores.codec import dumps, loads
from tuneful.stores.rows import from_columns, text, to_columns
from tuneful.stores.tables import Page, checked, paged

_facts = attrgetter(*(fact.name for fact in fields(Row)))


@dataclass(slots=True)
class Kept:
    """A trial, and who runs it.

    Attributes:
        row: The trial.
        worker, token: Who runs it, and under which claim.
        told_by: The claim under which it was last told.
        reports: (revision, attempt, metrics) by step.
        aside: The ends that did not count, (time, metrics, error) by attempt and why.
    """

    row: Row
    worker: str | None = None
    token: str | None = None
    told_by: str | None = None
    reports: dict[int, tuple[int, int, Mapping[str, float]]] = field(default_factory=dict)
    aside: dict[tuple[int, str], tuple[float, str | None, str | None]] = field(default_factory=dict)

    def set_aside(self, attempt: int, why: str, outcome: Outcome) -> None:
        """Remember how an attempt ended, if that is not known."""
        row = outcome.row
        self.aside.setdefault((attempt, why), (time.time(), text(row.values), text(row.error)))

    def news(self, rev: int, upto: int) -> Iterator[tuple[int, Report]]:
        """What was reported after `rev`; everything, if the trial was started again after that."""
        again = self.row.attempt > 1 and rev < self.row.rev <= upto
        for step, (at, _, metrics) in sorted(self.reports.items()):
            if again or rev < at <= upto:
                yield at, Report(self.row.number, step, metrics)

    def fold(self, rev: int, state: State) -> None:
        """End it with what it has reported."""
        row = self.row
        values, curves, revs = dict[str, float](), dict[str, tuple[list[int], list[float]]](), list[int]()
        for step, (at, _, metrics) in sorted(self.reports.items()):
            revs.append(at)
            for name, value in metrics.items():
                steps, points = curves.setdefault(name, ([], []))
                steps.append(step)
                points.append(value)
                values[name] = value
        row.values, row.curve, row.revs = values, curves, revs or ()
        row.state, row.rev, row.ended, row.finished, row.wish = state, rev, rev, time.time(), None
        self.worker = self.token = None
        self.reports.clear()


@dataclass(slots=True)
class KeptStudy:
    """A study with all that happened to it.

    Attributes:
        form: What is kept of the study itself, as JSON.
        spaces: The (revision, space as JSON) of each version.
        running: The trials under a claim, by number.
        queue: A heap of the numbers that were ready when they came in.
    """

    form: str
    spaces: list[tuple[int, str]]
    created: float
    trials: list[Kept] = field(default_factory=list)
    rev: int = 1
    wish: str | None = None
    leader: str | None = None
    running: dict[int, Kept] = field(default_factory=dict)
    queue: list[int] = field(default_factory=list)

    def bump(self) -> int:
        """The next revision."""
        self.rev += 1
        return self.rev

    def at(self, number: int) -> Kept | None:
        """A trial; None if there is none of that number."""
        return self.trials[number] if 0 <= number < len(self.trials) else None

    def wait(self, trial: Kept) -> None:
        """Take a trial into the queue, if any worker may run it."""
        if trial.row.ready:
            heapq.heappush(self.queue, trial.row.number)

    def first_ready(self, n: int) -> list[Kept]:
        """Up to `n` trials that any worker may run, the first by number; they are in the queue no more."""
        found = dict[int, Kept]()
        while self.queue and self.wish is None and len(found) < n:
            number = heapq.heappop(self.queue)
            if self.trials[number].row.ready:
                found[number] = self.trials[number]  # once, though it may have come in twice
        return list(found.values())

    def release(self, trial: Kept) -> None:
        """Make ready again what was claimed and has not started."""
        row = trial.row
        row.rev, row.state, row.attempt = self.bump(), State.QUEUED, 0
        trial.worker = trial.token = None
        self.running.pop(row.number, None)
        self.wait(trial)

    def unclaimed(self) -> list[tuple[int, int]]:
        """The (number, state) of trials that run and nobody holds, or the other way round."""
        rows = ((trial.row, trial.token) for trial in self.trials)
        return [(row.number, row.state) for row, token in rows if (row.state == State.RUNNING) == (token is None)]

    def pages(self) -> Iterator[Page]:
        """All of it, as the rows of `tables`."""
        yield "study", [(self.form, self.created)]
        yield "head", [(len(self.trials), self.rev, self.wish)]
        yield from paged("space", ((version, rev, body) for version, (rev, body) in enumerate(self.spaces)))
        yield from paged("trial", ((*to_columns(trial.row), trial.told_by) for trial in self.trials))
        reports = (
            (trial.row.number, step, rev, attempt, dumps(metrics))
            for trial in self.trials
            for step, (rev, attempt, metrics) in sorted(trial.reports.items())
        )
        yield from paged("report", reports)
        aside = (
            (trial.row.number, *which, *ended) for trial in self.trials for which, ended in sorted(trial.aside.items())
        )
        yield from paged("attempt", aside)


def taken(pages: Iterable[Page]) -> KeptStudy:
    """The study that was dumped.

    Raises:
        StoreError: it is no dump of a study.
    """
    study = KeptStudy("", [], 0.0)
    for table, rows in checked(pages):
        if table == "study":
            [(study.form, study.created)] = rows
        elif table == "head":
            [(_, study.rev, study.wish)] = rows
        elif table == "space":
            study.spaces += [(rev, body) for _, rev, body in rows]
        elif table == "trial":
            told = (row[-1] for row in rows)
            found = from_columns([row[:-1] for row in rows])
            study.trials += [Kept(row, told_by=token) for row, token in zip(found, told, strict=True)]
            if study.trials[-1].row.number != len(study.trials) - 1:
                raise StoreError("A number is missing in the trials of a dump. Dump the study again.")
        elif table == "report":
            for number, step, rev, attempt, metrics in rows:
                study.trials[number].reports[step] = rev, attempt, loads(metrics)
        else:
            for number, attempt, why, *ended in rows:
                study.trials[number].aside[attempt, why] = (ended[0], ended[1], ended[2])
    study.queue = [trial.row.number for trial in study.trials if trial.row.ready]
    return study


def copied(row: Row) -> Row:
    """A trial that changes without the first."""
    return Row(*_facts(row))
