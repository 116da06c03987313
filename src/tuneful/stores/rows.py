"""Trials as rows of a table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tuneful.history import Checkpoint, Row, State
from tuneful.stores.codec import dumps, loads

COLUMNS = (
    "number, rev, state, config, space, born, begun, ended, until, step, attempt, began, saved_step, saved_attempt, "
    "metrics, cost, parent, parent_step, repeat_of, imported, note, why, seen, settings, error, started, finished, curve"
)


def to_columns(row: Row) -> tuple[Any, ...]:
    """The values of `COLUMNS` for a trial."""
    saved_step, saved_attempt = row.saved or (None, None)
    parent, parent_step = row.parent or (None, None)
    return (
        *(row.number, row.rev, int(row.state), dumps(row.config), row.space, row.born, row.begun, row.ended),
        *(row.until, row.step, row.attempt, row.began, saved_step, saved_attempt),
        *(text(row.values), row.cost, parent, parent_step, row.repeat_of, int(row.imported)),
        *(text(row.note), text(row.why), row.seen, text(row.settings), text(row.error)),
        *(row.started, row.finished, curve_text(row)),
    )


def text(value: Mapping[str, Any] | None) -> str | None:
    """JSON, or None for nothing."""
    return dumps(value) if value else None


def curve_text(row: Row) -> str | None:
    """The curves of a finished trial as JSON."""
    return dumps({name: [list(steps), list(values)] for name, (steps, values) in row.curve.items()}) if row.curve else None


def from_columns(found: Sequence[tuple[Any, ...]]) -> Iterator[Row]:
    """The trials of many rows of `COLUMNS`."""
    reasons: dict[str | None, Any] = {None: {}}
    for values in found:
        (number, rev, state, config, space, born, begun, ended, until, step, attempt, began, saved_step,
         saved_attempt, metrics, cost, parent, parent_step, repeat_of, imported, note, why, seen, settings, error,
         started, finished, curve) = values  # fmt: skip
        if why not in reasons:
            reasons[why] = loads(why)
        yield Row(
            number, loads(config), space, State(state), rev, born, begun, ended, until, step, attempt, began,
            None if saved_step is None else (saved_step, saved_attempt),
            loads(metrics) if metrics else {}, cost,
            None if parent is None else Checkpoint(parent, parent_step), repeat_of, bool(imported),
            loads(note) if note else {}, reasons[why], seen, loads(settings) if settings else {},
            loads(error) if error else None, started, finished,
            _curve(curve) if state >= State.DONE else None,
        )  # fmt: skip


def _curve(written: str | None) -> dict[str, tuple[list[int], list[float]]]:
    return {name: (steps, values) for name, (steps, values) in loads(written).items()} if written else {}
