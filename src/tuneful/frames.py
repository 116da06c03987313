"""Trials as tables and files."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tuneful.record import Record

if TYPE_CHECKING:
    from tuneful.study import Study

_FORMULA = ("=", "+", "-", "@", "\t", "\r")  # a spreadsheet runs a cell that begins so


def columns(trials: Iterable[Record]) -> dict[str, list[Any]]:
    """One column a field, one entry a trial: number, state, metrics, parameters (`params.` + path), times, error.

    A metric that has the name of another column, like `error`, is `metrics.error`.
    """
    records = list(trials)
    configs, metrics = [record.config for record in records], [record.metrics for record in records]
    first: dict[str, list[Any]] = {
        "number": [record.number for record in records],
        "state": [str(record.state) for record in records],
    }
    paths = dict.fromkeys(path for config in configs for path in config)
    params = {f"params.{path}": [config.get(path) for config in configs] for path in paths}
    last: dict[str, list[Any]] = {
        "step": [record.step for record in records],
        "seconds": [record.seconds for record in records],
        "started": [record.started for record in records],
        "finished": [record.finished for record in records],
        "error": [f"{r.error['type']}: {r.error['message']}" if r.error else None for r in records],
    }
    table = first
    for name in dict.fromkeys(name for found in metrics for name in found):
        column = name
        while column in table or column in params or column in last:
            column = f"metrics.{column}"
        table[column] = [found.get(name) for found in metrics]
    return table | params | last


def to_pandas(trials: Iterable[Record]) -> Any:
    """A pandas DataFrame; times are in UTC.

    Raises:
        ImportError: pandas is not installed.
    """
    import pandas as pd  # noqa: PLC0415 - an extra

    table = pd.DataFrame(columns(trials))
    for name in ("started", "finished"):
        table[name] = pd.to_datetime(table[name], unit="s", utc=True)
    return table


def to_polars(trials: Iterable[Record]) -> Any:
    """A polars DataFrame; times are in UTC, choices of mixed kinds are text.

    Raises:
        ImportError: polars is not installed.
    """
    import polars as pl  # noqa: PLC0415 - an extra

    table = columns(trials)
    series = [pl.Series(name, _of_one_kind(values), strict=False) for name, values in table.items()]
    times = [
        pl.from_epoch((pl.col(n) * 1e6).cast(pl.Int64), time_unit="us").dt.replace_time_zone("UTC").alias(n)
        for n in ("started", "finished")
    ]
    return pl.DataFrame(series).with_columns(times)


def to_csv(trials: Iterable[Record], path: str | Path | None) -> str:
    """CSV text, also written to `path` if given; cells that a spreadsheet would run begin with a quote."""
    table = columns(trials)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")  # RFC 4180; and so a cell with either is quoted
    writer.writerow(_safe(name) for name in table)
    writer.writerows([_safe(cell) for cell in row] for row in zip(*table.values(), strict=True))
    return _written(text.getvalue(), path)


def to_json(study: Study, path: str | Path | None) -> str:
    """Everything about a study as JSON text, also written to `path` if given; NaN and infinities are strings."""
    history = study.history
    form = {
        "study": str(study.address),
        "objectives": [{"metric": o.metric, "maximize": o.maximize} for o in history.objectives],
        "seed": history.seed,
        "space": study.space.to_json(),
        "trials": [_trial(record, study) for record in study.trials],
    }
    return _written(json.dumps(_plain(form), indent=1), path)


def _trial(record: Record, study: Study) -> dict[str, Any]:
    curves = {}
    for name in study.history.curves:
        steps, values = record.curve(name)
        if len(steps):
            curves[name] = {"steps": steps.tolist(), "values": values.tolist()}
    return {
        "number": record.number,
        "state": str(record.state),
        "config": record.config,
        "metrics": record.metrics,
        "curves": curves,
        "attempt": record.attempt,
        "seconds": record.seconds,
        "started": record.started,
        "finished": record.finished,
        "why": dict(record.why),
        "error": dict(record.error) if record.error else None,
        "settings": dict(record.settings),
        "repeat_of": record.repeat_of,
        "parent": list(record.parent) if record.parent else None,
    }


def _plain(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, (list, tuple)) else value


def _safe(cell: Any) -> Any:
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA) else cell


def _of_one_kind(values: Sequence[Any]) -> Sequence[Any]:
    kinds = {type(value) for value in values if value is not None}
    mixed = len(kinds) > 1 and not kinds <= {int, float}
    return [None if value is None else str(value) for value in values] if mixed else values


def _written(text: str, path: str | Path | None) -> str:
    if path is not None:
        # Messages may quote file names that are no Unicode.
        Path(path).write_text(text, encoding="utf-8", errors="backslashreplace", newline="")
    return text
