"""Trials as rows of a table."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from tuneful.history import Checkpoint, Row, State
from tuneful.stores.codec import dumps, loads

COLUMNS = (
    "number, rev, state, config, space, born, begun, ended, until, step, attempt, began, saved_step, "
    "saved_attempt, metrics, cost, parent, parent_step, repeat_of, imported, note, why, seen, "
    "settings, error, started, finished, curve"
)

_CONFIG, _METRICS = (COLUMNS.split(", ").index(name) for name in ("config", "metrics"))
_STATES = {state.value: state for state in State}


def to_columns(row: Row) -> tuple[Any, ...]:
    """The values of `COLUMNS` for a trial."""
    saved_step, saved_attempt = row.saved or (None, None)
    parent, parent_step = row.parent or (None, None)
    return (
        row.number, row.rev, int(row.state), dumps(row.config), row.space, row.born, row.begun, row.ended,
        row.until, row.step, row.attempt, row.began, saved_step, saved_attempt,
        text(row.values), row.cost, parent, parent_step, row.repeat_of, int(row.imported),
        text(row.note), text(row.why), row.seen, text(row.settings), text(row.error),
        row.started, row.finished, curve_text(row),
    )  # fmt: skip


def text(value: Mapping[str, Any] | None) -> str | None:
    """JSON, or None for nothing."""
    return dumps(value) if value else None


def curve_text(row: Row) -> str | None:
    """The curves of a finished trial as JSON."""
    return (
        dumps({name: [list(steps), list(values)] for name, (steps, values) in row.curve.items()}) if row.curve else None
    )


def folded(reports: Iterable[tuple[int, str]]) -> tuple[str | None, str | None]:
    """The last values and the curves of a trial as JSON, from its (step, metrics) in order of step."""
    curves: dict[str, tuple[list[int], list[float]]] = {}
    for step, metrics in reports:
        for name, value in loads(metrics).items():
            steps, values = curves.setdefault(name, ([], []))
            steps.append(step)
            values.append(value)
    return text({name: values[-1] for name, (_, values) in curves.items()}), text(curves)


def from_columns(found: Sequence[tuple[Any, ...]]) -> Iterator[Row]:
    """The trials of many rows of `COLUMNS`."""
    reasons: dict[str | None, Any] = {None: {}}
    configs, finals = (_read_all([row[place] for row in found]) for place in (_CONFIG, _METRICS))
    for values, config, metrics in zip(found, configs, finals, strict=True):
        (number, rev, state, _, space, born, begun, ended, until, step, attempt, began, saved_step,
         saved_attempt, _, cost, parent, parent_step, repeat_of, imported, note, why, seen, settings, error,
         started, finished, curve) = values  # fmt: skip
        if why not in reasons:
            reasons[why] = loads(why)
        yield Row(
            number, config, space, _STATES[state], rev, born, begun, ended, until, step, attempt, began,
            None if saved_step is None else (saved_step, saved_attempt),
            metrics, cost,
            None if parent is None else Checkpoint(parent, parent_step), repeat_of, bool(imported),
            loads(note) if note else {}, reasons[why], seen, loads(settings) if settings else {},
            loads(error) if error else None, started, finished,
            _curve(curve) if state >= State.DONE else None,
        )  # fmt: skip


def _read_all(texts: Sequence[str | None]) -> list[Any]:
    """The values of many JSON texts, read as one, which is faster; {} for None."""
    found: list[Any] = loads(f"[{','.join([text or '{}' for text in texts])}]")
    return found


def _curve(written: str | None) -> dict[str, tuple[list[int], list[float]]]:
    return {name: (steps, values) for name, (steps, values) in loads(written).items()} if written else {}
