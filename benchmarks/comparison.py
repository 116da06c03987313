"""A comparison on one arena: makes the runs that are missing, and prints what all of them say."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path

import peers
import regret
import runs
import standings
from arenas import Arena, seeds_of
from contestants import Contestant
from problems import panel
from regret import Traces


def of(arena: Arena, ours: Sequence[Contestant], options: Namespace) -> standings.Figures:
    """Make what is missing, print the tables and return their figures."""
    folder = options.out if options.workers == 1 else options.out / f"workers-{options.workers}"
    # What others recorded had one worker.
    recorded = arena.recorded if options.workers == 1 else {}
    there = peers.installed()
    wanted = _wanted(options, recorded, there)
    live = [*ours, *(there[name] for name in wanted if name in there and name not in recorded)]
    print(f"== {arena.title}: {len(arena.problems)} problems\n")
    for name in wanted:
        if name not in there and name not in recorded:
            print(f"Left out: {name} is not installed, or cannot be run from here.")
    _make(live, arena, folder, options)
    files = {contestant.label: runs.path_of(folder, contestant.label) for contestant in live}
    files |= {
        name if name not in files else f"{name} (recorded)": recorded[name] for name in wanted if name in recorded
    }
    entries = _entries(files, arena, seeds_of(options))
    _remark(entries, {contestant.label: contestant.code for contestant in live})
    kept = [run for path in options.out.rglob("*.jsonl") for run in runs.read(path)]
    known = [run for path in arena.recorded.values() for run in runs.read(path)]
    references = regret.best_known(arena.references, [*kept, *known])
    at = [n for n in options.at if n <= options.trials] or [options.trials]
    labels = [contestant.label for contestant in ours if contestant.label in entries]
    found = standings.figures(entries, labels, references, at)
    standings.show(found)
    return found


def _wanted(options: Namespace, recorded: Mapping[str, Path], there: Mapping[str, Contestant]) -> list[str]:
    """The peers of `--peers`.

    Raises:
        SystemExit: one of them is not known, here or in the panel.
    """
    groups = {"recorded": [*recorded], "installed": [*there], "none": []}
    groups["all"] = [*groups["recorded"], *groups["installed"]]
    names = [name for part in options.peers.split(",") if part for name in groups.get(part, [part])]
    known = dict.fromkeys([*peers.NAMES, *panel.recorded(options.panel)])
    if unknown := [name for name in names if name not in known]:
        raise SystemExit(f"--peers: there is no {unknown[0]!r}. There are {', '.join(known)}.")
    return [*dict.fromkeys(names)]


def _make(live: Sequence[Contestant], arena: Arena, folder: Path, options: Namespace) -> None:
    kept = {contestant.label: _kept(runs.path_of(folder, contestant.label)) for contestant in live}
    jobs = [
        runs.Job(contestant, problem, seed)
        for seed in seeds_of(options)
        for contestant in live
        for problem in arena.problems
        if _missing(kept[contestant.label].get((problem.name, seed)), contestant, options)
    ]
    if not jobs:
        return
    makers = {job.contestant.label: job.contestant for job in jobs}
    print(f"{len(jobs)} runs of {options.trials} trials are to be made, of {', '.join(makers)}.")
    libraries = [problem.needs for problem in arena.problems if problem.needs is not None]
    peers.load([*libraries, *(name for maker in makers.values() for name in maker.imports)])
    runs.make(jobs, runs.Settings(options.trials, options.workers, options.cap, options.jobs), folder)
    print()


def _kept(path: Path) -> dict[tuple[str, int], runs.Run]:
    return {(run.task, run.seed): run for run in runs.read(path)}


def _missing(run: runs.Run | None, contestant: Contestant, options: Namespace) -> bool:
    if run is None or not run.done or run.wanted < options.trials:
        return True
    # Of peers, another version's runs stay.
    mine = contestant.code.startswith("tuneful") and not contestant.pinned
    return bool(options.again) and mine and run.code != contestant.code


def _entries(files: Mapping[str, Path], arena: Arena, seeds: Sequence[int]) -> dict[str, Traces]:
    """The runs on these problems and seeds, by who made them."""
    tasks = {problem.name for problem in arena.problems}
    found = {}
    for label, path in files.items():
        chosen = {key: run for key, run in _kept(path).items() if key[0] in tasks and key[1] in seeds}
        found |= {label: chosen} if chosen else {}
    return found


def _remark(entries: Mapping[str, Traces], codes: Mapping[str, str]) -> None:
    """Say which runs ended early, and which are of other code than there is now."""
    for label, traces in entries.items():
        for (task, seed), run in traces.items():
            if run.early:
                print(f"{label} on {task}, seed {seed}, ended after {len(run.best)} trials: {run.early}")
        old = sum(label in codes and run.code != codes[label] for run in traces.values())
        if old:
            print(f"{label}: {old} of {len(traces)} runs are of other code than today's (--again makes ours anew).")
    print()
