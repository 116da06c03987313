"""Compares what the workers and a reader know to have happened with what the store says."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from chaos_crew import Fault
from chaos_worker import STEPS, steps_of, value_of

import tuneful as tn
from tuneful.record import Record

_BROKEN = ("lost", "doubled", "wrong", "gaps", "unfinished", "missed", "damage")


class Findings(NamedTuple):
    """What came of a run; the first seven must be 0.

    Attributes:
        lost: Results that a worker knows to be kept, and that are not, or otherwise.
        doubled: Trials with two accepted results, or with a result that changed.
        wrong: Trials whose value or curve is not what their config comes to.
        gaps: Numbers that are missing or too many.
        unfinished: Trials that are not over.
        missed: Trials of which a reader that follows all changes does not know how they ended.
        damage: What the store finds wrong with itself.
        given_up: Trials that were given up because workers died of them; harmless here.
        late: Results that were set aside because another worker had the trial by then.
        requeued: By kind of fault, the seconds from it until its trial was queued again or run by another.
        stall: The longest time in which no result was acknowledged, in seconds.
    """

    lost: int
    doubled: int
    wrong: int
    gaps: int
    unfinished: int
    missed: int
    damage: list[str]
    given_up: int
    late: int
    requeued: Mapping[str, list[float]]
    stall: float

    @property
    def broken(self) -> list[str]:
        """The names of those that must be 0 and are not."""
        return [name for name in _BROKEN if getattr(self, name)]


def check(folder: Path, plan: Mapping[str, Any], faults: Sequence[Fault], damage: list[str]) -> Findings:
    """Read the study, the ledgers and what the reader wrote."""
    ledgers = {int(path.stem.split("-")[1]): _lines(path) for path in folder.glob("ledger-*.jsonl")}
    events = [event for ledger in ledgers.values() for event in ledger]
    feed = _lines(folder / "feed.jsonl")
    study = tn.open_study(plan["address"])
    try:
        records = list(study.trials)
        told = [event for event in events if event[0] == "told"]
        last = {number: facts for number, *facts in feed}
        return Findings(
            lost=sum(not _is_kept(records, number, value) for _, number, _, value, _ in told),
            doubled=len(_told_twice(told) | _changed(feed)),
            wrong=sum(not _is_right(record) for record in records),
            gaps=abs(plan["trials"] - len(records)) + sum(i != record.number for i, record in enumerate(records)),
            unfinished=sum(not record.state.final for record in records),
            missed=sum(not _is_known(record, last.get(record.number)) for record in records),
            damage=damage,
            given_up=sum(record.state == tn.State.FAILED for record in records),
            late=sum(event[0] == "late" for event in events),
            requeued=_requeued(ledgers, feed, faults),
            stall=_stall([event[-1] for event in told]),
        )
    finally:
        study.close()


def _lines(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def _is_kept(records: Sequence[Record], number: int, value: float) -> bool:
    return number < len(records) and records[number].state == tn.State.DONE and records[number].value == value


def _is_known(record: Record, facts: Sequence[Any] | None) -> bool:
    """Whether the last that a reader was told of a trial is how it ended."""
    if not record.state.final:
        return facts is not None
    return facts is not None and (facts[0], facts[3]) == (record.state, record.value)


def _told_twice(told: Sequence[Any]) -> set[int]:
    times = Counter(number for _, number, *_ in told)
    return {number for number, count in times.items() if count > 1}


def _changed(feed: Sequence[Any]) -> set[int]:
    """The trials that were over and then became something else."""
    over: dict[int, Any] = {}
    changed = set()
    for number, state, attempt, _, value, _ in feed:
        if over.setdefault(number, (state, attempt, value)) != (state, attempt, value):
            changed.add(number)
        if state < tn.State.DONE:
            del over[number]
    return changed


def _is_right(record: Record) -> bool:
    if record.state == tn.State.FAILED:  # given up, for nothing that it did
        return (record.error or {}).get("type") == "WorkerLost"
    if record.state != tn.State.DONE:
        return not record.state.final
    value = value_of(record.params)
    steps, values = record.curve()
    expected = list(range(1, steps_of(record.number) + 1))
    return (
        record.value == value
        and steps.tolist() == expected
        and values.tolist() == [value * (s / STEPS) for s in expected]
    )


def _requeued(ledgers: Mapping[int, Sequence[Any]], feed: Sequence[Any], faults: Sequence[Fault]) -> dict[str, Any]:
    seen = defaultdict(list)
    for number, state, attempt, _, _, when in feed:
        seen[number].append((when, state, attempt))
    found = defaultdict(list)
    for kind, pid, at in faults:
        held = _held(ledgers.get(pid, ()), at)
        if held is None:
            continue
        number, attempt = held
        again = [when for when, state, of in seen[number] if when > at and (of > attempt or state == tn.State.QUEUED)]
        if again:
            found[kind].append(again[0] - at)
    return found


def _held(ledger: Sequence[Any], at: float) -> tuple[int, int] | None:
    """The (number, attempt) that a process ran at a time; None if it ran none."""
    before = [event for event in ledger if event[-1] <= at]
    if not before or before[-1][0] != "began":
        return None
    return before[-1][1], before[-1][2]


def _stall(times: Sequence[float]) -> float:
    ordered = sorted(times)
    return max((b - a for a, b in pairwise(ordered)), default=0.0)
