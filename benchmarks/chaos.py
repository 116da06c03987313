"""Hurts workers and stores while a study runs, and checks that nothing is lost, doubled, wrong or left behind.

`make chaos`; `make chaos ARGS="T1 T4 --seed 7"` runs some. The exit code is 1 if a run breaks a promise; its folder
is kept then, with the store, what each process said and did, and the seed.
"""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median

from chaos_check import Findings
from chaos_crew import Crew
from chaos_places import place_of
from chaos_run import Plan, Run

ROOT = Path(__file__).resolve().parents[1]

PLANS = {
    plan.name: plan
    for plan in (
        Plan("T1"),
        Plan("T1w", by="workers"),
        Plan("T2", trials=10_000, workers=8, kills=1.0, stops=0.2),
        Plan("T2w", by="joined", trials=10_000, workers=4, kills=1.0),
        Plan("T3", store="postgres", trials=10_000, workers=8, kills=1.0, stops=0.2, most=600.0),
        Plan("T3w", store="postgres", by="joined", trials=10_000, workers=4, kills=1.0, most=600.0),
        Plan("T4", by="ask", trials=4_000, workers=8, kills=0.5, stops=0.2, pause=0.02),
        Plan("T4p", store="postgres", by="ask", trials=4_000, workers=8, kills=0.5, stops=0.2, pause=0.02),
        Plan("T5", by="ask", kills=0.0, forget=50),
        Plan("T6", store="postgres", workers=8, kills=0.0, pause=0.05, restarts=3),
        Plan("T6w", store="postgres", by="joined", kills=0.0, pause=0.05, restarts=3),
        Plan("T7", store="postgres", workers=8, kills=0.0, pause=0.02, ends=0.3, cut=5.0),
        Plan("T8", by="ask", kills=0.0, full=50),
    )
}


def broken(plan: Plan, root: Path) -> list[str]:
    """Run a plan in a new folder of `root` and print what came of it; the promises that it broke."""
    folder = Path(tempfile.mkdtemp(prefix=f"chaos-{plan.name}-", dir=root))
    began = time.monotonic()
    with place_of(plan.store, folder, proxied=bool(plan.cut)) as place:
        run = Run(plan, folder, place)
        found, crew = run()
    print(_line(plan, found, crew, run.away, time.monotonic() - began), flush=True)
    problems = found.broken + [f"process {pid} ended with {code}" for pid, code in crew.deaths]
    problems += [f"process {pid} was left over" for pid in crew.left]
    if problems:
        print(f"  {plan.name} broke: {', '.join(problems)}. Seed {plan.seed}; see {folder}.")
        print(*(f"    {sentence}" for sentence in found.damage), sep="\n")
    else:
        shutil.rmtree(folder)
    return problems


_COLUMNS = (
    *("plan", "store", "by", "trials", "kill", "stop", "away", "L", "D", "W", "N", "Z", "F", "I", "deaths"),
    *("late", "given up", "requeued s", "after stop s", "stall s", "seconds"),
)
_WIDTHS = 5, 9, 8, 7, 5, 5, 5, 4, 4, 4, 4, 4, 4, 4, 7, 5, 9, 12, 13, 8, 8


def _line(plan: Plan, found: Findings, crew: Crew, away: Sequence[float], seconds: float) -> str:
    kinds = Counter(fault.kind for fault in crew.faults)
    broken = found.lost, found.doubled, found.wrong, found.gaps, found.unfinished, found.missed, len(found.damage)
    facts = plan.name, plan.store, plan.by, f"{plan.trials:,}", kinds["kill"], kinds["stop"], len(away)
    times = (_both(found.requeued.get(kind, [])) for kind in ("kill", "stop"))
    return _cells(
        (*facts, *broken, len(crew.deaths), found.late, found.given_up, *times, f"{found.stall:.1f}", f"{seconds:.1f}")
    )


def _both(seconds: Sequence[float]) -> str:
    """The median and the longest."""
    return f"{median(seconds):.2f} / {max(seconds):.2f}" if seconds else "-"


def _cells(cells: Sequence[object]) -> str:
    return "".join(str(cell).rjust(width) for cell, width in zip(cells, _WIDTHS, strict=True))


_LEGEND = """
L lost acknowledged results   D trials with two results   W wrong values   N numbers missing or too many
Z trials that are not over    F missed by a reader        I damage         deaths: of workers, by no fault
late: results set aside, as another worker had the trial   away: times the store was away, on purpose
requeued: from a kill to the trial's being queued or run again, median / longest; stall: without any result
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("plans", nargs="*", metavar="PLAN", help=f"of {', '.join(PLANS)}; all by default")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1000))
    parser.add_argument("--by", choices=("peers", "ask", "run", "workers", "joined"), help="how workers work")
    parser.add_argument("--store", choices=("sqlite", "postgres"), help="only the plans on this store")
    parser.add_argument("--trials", type=int)
    given = parser.parse_args()
    plans = [PLANS[name] for name in given.plans or PLANS]
    changes = {name: value for name in ("by", "trials") if (value := getattr(given, name)) is not None}
    root = ROOT / "build"
    root.mkdir(exist_ok=True)
    print(_LEGEND, f"seed {given.seed}\n", _cells(_COLUMNS), sep="\n")
    chosen = [replace(plan, seed=given.seed, **changes) for plan in plans if given.store in (None, plan.store)]
    kept = [not broken(plan, root) for plan in chosen]
    print(f"\n{sum(kept)} of {len(kept)} runs kept every promise.")
    return 0 if all(kept) else 1


if __name__ == "__main__":
    sys.exit(main())
