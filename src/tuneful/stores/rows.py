"""Trials as rows of a table."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate, groupby
from typing import Any

from tuneful.history import Checkpoint, Moment, Row, State
from tuneful.protocols import Claim, Outcome
from tuneful.space import Config
from tuneful.stores.codec import dumps, loads

COLUMNS = (
    "number, rev, state, config, space, born, begun, ended, until, step, attempt, began, saved_step, "
    "saved_attempt, metrics, cost, parent, parent_step, repeat_of, imported, note, why, seen, "
    "settings, error, started, finished, curve, revs, past, proposed, most_trials, most_steps, wish, length"
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
        row.started, row.finished, curve_text(row), revs_text(row.revs), past_text(row.past),
        dumps(row.proposed) if row.proposed else None, *row.limits, row.wish, row.length,
    )  # fmt: skip


def text(value: Mapping[str, Any] | None) -> str | None:
    """JSON, or None for nothing."""
    return dumps(value) if value else None


def curve_text(row: Row) -> str | None:
    """The curves of a finished trial as JSON."""
    return (
        dumps({name: [list(steps), list(values)] for name, (steps, values) in row.curve.items()}) if row.curve else None
    )


def revs_text(revs: Sequence[int]) -> str | None:
    """When the steps of a curve became known as JSON, without those that did at its end.

    Steps are written many at a time, so: how much later than those before, how many, and so on.
    """
    last = max((place for place, rev in enumerate(revs, 1) if rev), default=0)
    written, before = list[int](), 0
    for rev, group in groupby(revs[:last]):
        written += [rev - before, sum(1 for _ in group)]
        before = rev
    return dumps(written) if written else None


def past_text(past: Sequence[Moment]) -> str | None:
    """Moments as JSON, without the brackets around them: so more can be written behind."""
    return ",".join(dumps(moment) for moment in past) if past else None


def end_values(outcome: Outcome, rev: int, claim: Claim) -> dict[str, Any]:
    """What an attempt that ends changes of a trial, by the names of the statements."""
    row, final = outcome.row, outcome.row.state.final
    moment = Moment(rev, row.state, row.until, row.step, claim.attempt, row.cost, row.seen)
    return {
        "state": int(row.state),
        "rev": rev,
        "ended": rev if final else 0,
        "metrics": text(row.values),
        "error": text(row.error),
        "curve": curve_text(row),
        "revs": revs_text(row.revs) if final else None,
        "step": row.step,
        "cost": row.cost,
        "started": row.started,
        "finished": row.finished,
        "length": row.length,
        "settings": text(row.settings),
        "moment": None if final else past_text([moment]),
        "config": dumps(row.config) if outcome.config_changed else None,
        "space": row.space,
        "token": claim.token,
        "attempt": claim.attempt,
    }


def folded(reports: Iterable[tuple[int, int, str]]) -> tuple[str | None, str | None, str | None]:
    """The last values, the curves and when they became known as JSON, from a trial's (step, revision, metrics)."""
    curves: dict[str, tuple[list[int], list[float]]] = {}
    revs = []
    for step, rev, metrics in reports:
        revs.append(rev)
        for name, value in loads(metrics).items():
            steps, values = curves.setdefault(name, ([], []))
            steps.append(step)
            values.append(value)
    return text({name: values[-1] for name, (_, values) in curves.items()}), text(curves), revs_text(revs)


def from_columns(found: Sequence[tuple[Any, ...]]) -> Iterator[Row]:
    """The trials of many rows of `COLUMNS`."""
    reasons: dict[str | None, Any] = {None: {}}
    configs, finals = (_read_all([row[place] for row in found]) for place in (_CONFIG, _METRICS))
    for values, config, metrics in zip(found, configs, finals, strict=True):
        (number, rev, state, _, space, born, begun, ended, until, step, attempt, began, saved_step,
         saved_attempt, _, cost, parent, parent_step, repeat_of, imported, note, why, seen, settings, error,
         started, finished, curve, revs, past, proposed, most_trials, most_steps, wish, length) = values  # fmt: skip
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
            _revs(revs) if revs else (), _past(past) if past else (), _proposed(proposed) if proposed else None,
            (most_trials, most_steps), wish, length,
        )  # fmt: skip


def _read_all(texts: Sequence[str | None]) -> list[Any]:
    """The values of many JSON texts, read as one, which is faster; {} for None."""
    found: list[Any] = loads(f"[{','.join([text or '{}' for text in texts])}]")
    return found


def _curve(written: str | None) -> dict[str, tuple[list[int], list[float]]]:
    return {name: (steps, values) for name, (steps, values) in loads(written).items()} if written else {}


def _revs(written: str) -> list[int]:
    numbers = loads(written)
    revs = accumulate(numbers[::2])
    return [rev for rev, count in zip(revs, numbers[1::2], strict=True) for _ in range(count)]


def _past(written: str) -> tuple[Moment, ...]:
    return tuple(
        Moment(rev, _STATES[state], until, step, attempt, cost, seen)
        for rev, state, until, step, attempt, cost, seen in loads(f"[{written}]")
    )


def _proposed(written: str) -> tuple[int, Config]:
    space, config = loads(written)
    return space, config
