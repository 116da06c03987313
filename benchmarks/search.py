"""Search quality: our searchers beside other libraries, on a panel of tuning problems.

  python benchmarks/search.py
      Auto beside every peer that is installed or recorded, on everything. Long: see --jobs, --seeds and --on.
  python benchmarks/search.py --contestants "auto,sobol,Halton()" --peers optuna-tpe --on own --seeds 3 --jobs 2
      Searchers by name or built, beside one peer.
  python benchmarks/search.py --contestants old:auto
  python benchmarks/search.py --contestants auto,old:auto --again
      Before and after a change of the code: runs under a label of your own stay.
  python benchmarks/search.py --contestants auto --check
      Only the bars for failures and duplicates.

The problems are of two kinds, each with tables of its own. `own`: those in benchmarks/problems, which need nothing but
the test dependencies. `panel`: a folder outside the project with problems and with recorded runs of other libraries,
which are not run again there. Decide settings on --half dev, and confirm them on --half held-out.

What the tables say:
  regret    (best so far - best known) / (median random loss - best known), held within 0 and 1.5; and a 95%
            bootstrap interval over tasks. The best known moves down with all that any run in --out or in the panel
            has found, so regrets of different days differ slightly.
  rank      the mean over tasks as a share of those that ran it: towards 0 is first, 1 is last
  wins vs   how often its best is better than the first contestant's, on tasks and seeds that both ran; ties count half
  CPU ms    of ask + tell, the mean of the last five trials; the median over runs. Recorded runs may be of another
            machine.
  less ...  a contestant's regret less another's, on the tasks and seeds that both ran: `ahead` or `behind` where the
            bootstrap interval over tasks excludes 0, else `open`; `few` for fewer than five tasks. This is the table
            to go by where a peer has run fewer tasks or seeds: the means above are over what each has run.
  !         worse than random search on a task: Student's t over seeds excludes 0
"""

from __future__ import annotations

import os

# Before numpy loads: a run has one thread.
os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"))

import argparse
import json
from pathlib import Path

import arenas
import bars
import comparison
import contestants
import peers
from problems import bundled, references

HERE = Path(__file__).resolve().parent


def main() -> None:
    options = _parser().parse_args()
    peers.quiet()
    if options.references:
        references.write(bundled())
    elif options.check:
        ours = contestants.ours(options.contestants)
        others = [peer for name, peer in peers.installed().items() if name in options.peers.split(",")]
        bars.show([*ours, *others], bundled(), arenas.seeds_of(options), options.workers)
    else:
        compare(options)


def compare(options: argparse.Namespace) -> None:
    """Make the runs that are missing, and print the tables."""
    ours = [] if options.contestants == "none" else contestants.ours(options.contestants)
    if ours and all(contestant.label != "random" for contestant in ours):
        ours += contestants.ours("random")
    names, families = ([part for part in typed.split(",") if part] for typed in (options.tasks, options.families))
    found = {}
    for name, make in {"panel": lambda: arenas.of_panel(options.panel), "own": arenas.own}.items():
        if options.on in (name, "both"):
            arena = make().only(names, families, options.half)
            if arena.problems:
                found[name] = comparison.of(arena, ours, options)
    if not found:
        print("No problem is selected. Look at --on, --tasks, --families and --half.")
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add(
        "--contestants", default="auto", help="ours: names, calls like Halton(), or label:either; random is added; none"
    )
    add("--peers", default="all", help=f"all, recorded, installed, none, or of {', '.join(peers.NAMES)}; default all")
    add("--on", choices=("panel", "own", "both"), default="both", help="which problems; default both")
    add("--panel", type=Path, default=HERE.parents[1] / "shared/bench", help="the panel; default %(default)s")
    add("--tasks", default="", help="only problems whose names begin with one of these")
    add(
        "--families",
        default="",
        help="only these: numeric, structured, training; of the panel yahpo, synthetic, sklearn",
    )
    add("--half", choices=("dev", "held-out"), help="every other problem and seed, or those left")
    add("--trials", type=int, default=100, help="of a run; default %(default)s")
    add("--at", type=counts, default="25,50,100", help="after how many trials to compare; default %(default)s")
    add("--seeds", type=seeds, default="5", help="N for 0 to N-1, or a-b; default %(default)s")
    add("--workers", type=int, default=1, help="trials that run at any time in a run, of simulated durations")
    add("--jobs", type=int, default=1, help="runs at any time, a process each; default %(default)s")
    add(
        "--cap", type=float, default=600, help="seconds for a run; what it reached by then is kept; default %(default)s"
    )
    add("--out", type=Path, default=HERE / ".results", help="where runs are kept; default %(default)s")
    add("--again", action="store_true", help="make anew the contestants' runs that older code has made")
    add("--json", type=Path, metavar="FILE", help="write all figures there")
    add("--check", action="store_true", help="only the bars for failures and duplicates")
    add("--references", action="store_true", help="only draw the references of our own problems anew (half an hour)")
    return parser


def counts(typed: str) -> list[int]:
    """25,50 is 25 and 50."""
    counts = sorted({int(part) for part in typed.split(",")})
    if counts[0] < 1:
        raise argparse.ArgumentTypeError(f"{counts[0]} is no number of trials")
    return counts


def seeds(typed: str) -> list[int]:
    """5 is 0 to 4, and 2-4 is 2, 3, 4."""
    first, _, last = typed.partition("-")
    return list(range(int(first), int(last) + 1) if last else range(int(first)))


if __name__ == "__main__":
    main()
