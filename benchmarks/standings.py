"""From runs to figures as plain data, and from figures to tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import isnan
from typing import Any

import regret
from problems.references import Reference
from regret import Interval, Traces

Figures = dict[str, Any]
_RANDOM = ("random", "random (recorded)")


def figures(
    entries: Mapping[str, Traces], ours: Sequence[str], references: Mapping[str, Reference], at: Iterable[int]
) -> Figures:
    """All figures of a comparison, as JSON values.

    Args:
        entries: The runs by who made them, the first contestant first.
        ours: Those of them that are contestants; the others are peers.
        references: By task.
        at: The numbers of trials to look at.
    """
    scores = {n: {name: regret.by_task(runs, references, n) for name, runs in entries.items()} for n in at}
    scores = {n: {name: tasks for name, tasks in found.items() if tasks} for n, found in scores.items()}
    last = max((n for n, found in scores.items() if found), default=None)
    return {
        "standings": {n: _standings(entries, scores[n], n) for n in scores if scores[n]},
        "paired": {name: _differences(name, entries, scores) for name in ours},
        "tasks": {} if last is None else _tasks(scores[last], ours),
        "tasks_at": last,
        "ours": list(ours),
    }


def _standings(entries: Mapping[str, Traces], scores: Mapping[str, Any], n: int) -> Figures:
    first = next(iter(entries))
    means = {name: regret.means(tasks) for name, tasks in scores.items()}
    ranks = regret.ranks(means)
    found = {}
    for name in sorted(scores, key=lambda name: sum(means[name].values()) / len(means[name])):
        interval = regret.bootstrap([means[name][task] for task in sorted(means[name])])
        found[name] = {
            "regret": interval.mean,
            "interval": [interval.low, interval.high],
            "rank": ranks[name],
            f"wins vs {first}": regret.wins(entries[name], entries[first], n),
            "ms": regret.cost_ms(entries[name].values(), n),
            "tasks": len(means[name]),
            "runs": sum(map(len, scores[name].values())),
        }
    return found


def _differences(name: str, entries: Mapping[str, Traces], scores: Mapping[int, Mapping[str, Any]]) -> Figures:
    """The paired differences of one contestant to all others, by the other and the number of trials."""
    found: Figures = {}
    for other in entries:
        for n, tasks in scores.items():
            pair = regret.paired(tasks.get(name, {}), tasks.get(other, {})) if other != name else None
            if pair is not None:
                found.setdefault(other, {})[n] = _interval(pair.difference) | {
                    "verdict": pair.verdict,
                    "tasks": pair.tasks,
                    "pairs": pair.pairs,
                }
    return found


def _tasks(scores: Mapping[str, Any], ours: Sequence[str]) -> Figures:
    """By task and name the mean regret, and for ours the difference to random search over seeds."""
    baseline: Mapping[str, Any] = next((scores[name] for name in _RANDOM if name in scores), {})
    found: Figures = {}
    for task in sorted({task for tasks in scores.values() for task in tasks}):
        row = found[task] = {}
        for name, tasks in scores.items():
            if task in tasks:
                row[name] = {"regret": sum(tasks[task].values()) / len(tasks[task])}
                beside = regret.over_seeds(tasks[task], baseline.get(task, {})) if name in ours else None
                if beside is not None and baseline is not tasks:
                    row[name]["less random"] = _interval(beside)
    return found


def _interval(found: Interval) -> Figures:
    return {"mean": found.mean, "interval": [found.low, found.high], "verdict": found.verdict}


def show(found: Figures) -> None:
    """Print the tables."""
    for n, rows in found["standings"].items():
        _show_standings(n, rows)
    for name, others in found["paired"].items():
        if others and name not in _RANDOM:
            _show_paired(name, others)
    if found["tasks"]:
        _show_tasks(found["tasks"], found["tasks_at"], found["ours"])


def _show_standings(n: int, rows: Mapping[str, Any]) -> None:
    versus = next(key for key in next(iter(rows.values())) if key.startswith("wins vs"))
    head = ["regret", "95% over tasks", "rank", versus, "CPU ms", "tasks", "runs"]
    body = {
        name: [
            f"{row['regret']:.4f}",
            _span(row["interval"], "{:.3f}"),
            _number(row["rank"], ".2f"),
            "" if versus == f"wins vs {name}" else _number(row[versus], ".2f"),
            _number(row["ms"], ".1f"),
            f"{row['tasks']}",
            f"{row['runs']}",
        ]
        for name, row in rows.items()
    }
    _show(f"After {n} trials", head, body)


def _show_paired(name: str, others: Mapping[str, Any]) -> None:
    counts = sorted({n for each in others.values() for n in each})
    body = {}
    for other, each in others.items():
        cells = []
        for n in counts:
            pair = each.get(n)
            cells.append(
                f"{pair['mean']:+.3f} {_span(pair['interval'], '{:+.3f}')} {pair['verdict']:6}"
                if pair
                else "-" + 7 * " "
            )
        most = each[max(each)]
        body[other] = [*cells, f"{most['tasks']}", f"{most['pairs']}"]
    _show(f"{name} less ...", [*(f"at {n} trials{7 * ' '}" for n in counts), "tasks", "pairs"], body)


def _show_tasks(rows: Mapping[str, Any], n: int, ours: Sequence[str]) -> None:
    shown = [name for name in ours if any(name in row for row in rows.values())]
    body = {}
    for task, row in rows.items():
        cells = [f"{row[name]['regret']:.3f}{_flag(row[name])}" if name in row else "- " for name in shown]
        peers = {name: cell["regret"] for name, cell in row.items() if name not in ours}
        best = min(peers, key=lambda name: peers[name]) if peers else None
        body[task] = [*cells, f"{best} {peers[best]:.3f}" if best is not None else "-"]
    _show(f"By task, after {n}", [*(f"{name} " for name in shown), "best peer"], body)
    worse = [
        f"{name} on {task}" for task, row in rows.items() for name in shown if name in row and _flag(row[name]) == "!"
    ]
    if shown:
        print(f"! worse than random search over seeds: {', '.join(worse) or 'none'}.\n")


def _flag(cell: Mapping[str, Any]) -> str:
    return "!" if cell.get("less random", {}).get("verdict") == "behind" else " "


def _show(title: str, head: Sequence[str], body: Mapping[str, Sequence[str]]) -> None:
    """Print a table; its first column to the left, the others to the right."""
    widths = [max(len(row[i]) for row in [head, *body.values()]) for i in range(len(head))]
    first = max(map(len, [title, *body]))
    lines = [(title, head), *body.items()]
    for label, cells in lines:
        print(label.ljust(first), *(cell.rjust(width) for cell, width in zip(cells, widths, strict=True)), sep="  ")
        if cells is head:
            print("-" * (first + sum(widths) + 2 * len(widths)))
    print()


def _span(interval: Sequence[float], form: str) -> str:
    return f"[{form.format(interval[0])}, {form.format(interval[1])}]"


def _number(value: float, form: str) -> str:
    return "-" if isnan(value) else format(value, form)
