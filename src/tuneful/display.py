"""What people read about a study: lines while it runs, a summary, a table in a notebook."""

from __future__ import annotations

import html as markup
import sys
import time
from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from tuneful.history import History, Limits, State
from tuneful.protocols import Scheduler, Searcher
from tuneful.record import Record

if TYPE_CHECKING:
    from tuneful.study import Study

_ENDINGS = {
    "complete": "complete",
    "exhausted": "there is nothing left to try",
    "timeout": "the time is up",
    "target": "the target is reached",
    "converged": "no gain for a while",
    "stopped": "stopped on request",
    "idle": "nobody has work",
    "interrupted": "interrupted; what ran is queued again",
    "terminated": "terminated; what ran is queued again",
}
_WIDTH, _HEIGHT = 100, 10


class Lines:
    """One line for each finished trial, to stderr."""

    def __init__(self, study: Study, limits: Limits, *deciding: Searcher | Scheduler) -> None:
        self._study, self._limits, self._deciding = study, limits, deciding

    def begin(self) -> None:
        """Say what is run, and whether it goes on or begins."""
        study, history = self._study, self._study.history
        if history.started:
            _say(f"{study.address}: going on, {counts(history)}")
            if outside := int(np.count_nonzero(~history.inside)):
                _say(f"the space has changed: {outside} of the trials lie outside it, and are kept as results only")
        elif not study.address.in_memory:
            _say(f"{study.address}: a new study")
        for each in self._deciding:
            if (describe := getattr(each, "describe", None)) is not None:
                _say(describe(history))

    def finished(self, record: Record) -> None:
        """Say how a trial ended."""
        history = self._study.history
        over = int(np.count_nonzero((history.state >= State.DONE) & history.distinct))
        limit = "" if self._limits.trials is None else f"{over}/{self._limits.trials}  "
        parts = [f"{time.strftime('%H:%M:%S')}  {limit}trial {record.number}", f"{record.state!s:<6}"]
        if record.state == State.FAILED and record.error:
            message = record.error["message"].splitlines() or [""]
            parts += [f"{record.error['type']}: {message[0]}"]
        else:
            parts += [f"{name} {shown(value)}" for name, value in record.values.items()]
            if record.number == 0 and self._study.baseline is not None:
                parts.append("(baseline)")
            elif not record.feasible:
                parts.append("(breaks a constraint)")
            elif record.number in history.front:
                parts.append("*best*" if len(history.objectives) == 1 else "*front*")
        parts += [f"attempt {record.attempt}"] if record.attempt > 1 else []
        parts += [duration(record.seconds), assignments(record.config)]
        _say("  ".join(parts))

    def end(self, status: str) -> None:
        """Say why it ended, and what came of it."""
        _say(f"{_ENDINGS.get(status, status)}: {counts(self._study.history)}")
        if status in ("interrupted", "terminated") and not self._study.address.in_memory:
            _say(f"Run it again to go on: everything is in {self._study.address}")


def counts(history: History) -> str:
    """Like "12 done, 3 pruned, 1 failed"."""
    found = Counter(history.state.tolist())
    order = (State.DONE, State.PRUNED, State.FAILED, State.RUNNING, State.QUEUED, State.PAUSED, State.CANCELLED)
    return ", ".join(f"{found[state]} {state}" for state in order if found[state])


def summary(study: Study) -> str:
    """A study in at most ten lines."""
    history = study.history
    goals = ", ".join(f"{'maximize' if o.maximize else 'minimize'} {o.metric}" for o in history.objectives)
    failures = [record for record in study.trials if record.state == State.FAILED]
    lines = [f"study     {study.address} ({goals}, seed {history.seed})", f"trials    {counts(history) or 'none yet'}"]
    if len(history.objectives) > 1:
        lines += [f"front     {len(study.front)} trials: {', '.join(f'#{r.number}' for r in study.front[:12])}"]
    elif history.best is not None:
        best, baseline = study.best, study.baseline
        lines.append(f"best      {history.objectives[0].metric} {shown(best.mean)} (trial {best.number})")
        if baseline is not None:
            lines.append(f"baseline  {_compared(baseline, best)}")
        rows = [f"  {path} = {_value(value)}"[:_WIDTH] for path, value in best.config.items()]
        room = _HEIGHT - len(lines) - bool(failures)
        lines += rows if len(rows) <= room else [*rows[: room - 1], f"  … {len(rows) - room + 1} more"]
    if failures:
        last = f"failed    last: trial {failures[-1].number}, {_cause(failures[-1])}"
        lines.append(last if len(last) <= _WIDTH else last[: _WIDTH - 1] + "…")
    return "\n".join(lines)


def html(study: Study) -> str:
    """The best trials of a study as a table; those that break a constraint after the others."""
    history = study.history
    records = sorted((r for r in study.trials if r.state == State.DONE and r.value is not None), key=_rank(history))[
        :10
    ]
    paths = list(dict.fromkeys(path for record in records for path in record.config))
    names = [objective.metric for objective in history.objectives]
    head = "".join(f"<th>{markup.escape(name)}</th>" for name in ["trial", *names, *paths])
    body = "".join(
        f"<tr><td>{r.number}</td>"
        + "".join(f"<td>{shown(r.values.get(name))}</td>" for name in names)
        + "".join(f"<td>{markup.escape(_value(r.config[p])) if p in r.config else ''}</td>" for p in paths)
        + "</tr>"
        for r in records
    )
    title = markup.escape(f"{study.address}: {counts(history) or 'no trials yet'}")
    return f"<div><b>{title}</b><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"


def shown(value: float | None) -> str:
    """A number with four significant digits.

    >>> shown(0.000123456), shown(1234567.0), shown(0.5)
    ('0.0001235', '1.235e+06', '0.5')
    """
    return "–" if value is None else f"{value:.4g}"


def duration(seconds: float) -> str:
    """Seconds for people.

    >>> duration(0.034), duration(75), duration(7300)
    ('34 ms', '1 min 15 s', '2 h 1 min')
    """
    if seconds < 1:
        return f"{1000 * seconds:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def assignments(config: Mapping[str, Any], width: int = _WIDTH) -> str:
    """A config on one line, as much of it as fits into `width`."""
    text = ""
    for path, value in config.items():
        more = f"{text} {path}={_value(value)}".lstrip()
        if len(more) > width - 2:
            return f"{text or more[: width - 2]} …"
        text = more
    return text


def _compared(baseline: Record, best: Record) -> str:
    if baseline.mean is None or best.mean is None:
        return f"trial 0 is {baseline.state}"
    if baseline.number == best.number:
        return "the defaults are the best so far"
    change = f" ({(best.mean - baseline.mean) / abs(baseline.mean):+.1%})" if baseline.mean else ""
    return f"{shown(baseline.mean)} → {shown(best.mean)}{change}"


def _cause(record: Record) -> str:
    error = record.error or {"type": "unknown", "message": ""}
    return f"{error['type']}: {(error['message'].splitlines() or [''])[0]}"


def _rank(history: History) -> Any:
    return lambda record: (not record.feasible, float(history.y[record.number, 0]))


def _value(value: Any) -> str:
    text = f"{value:.4g}" if isinstance(value, float) else str(value)
    return text if text.isprintable() else repr(value)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)  # noqa: T201 - this is the display
