"""`tuneful worker`: this machine runs trials of a study that is decided elsewhere."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from tuneful.doors import open_study
from tuneful.engine.work import found_by_name


def register(commands: Any) -> None:
    """Add the command to those of the program."""
    parser = commands.add_parser(
        "worker",
        help="run trials of a study that another process decides",
        description="Run trials of a study that another process decides with study.run(...) or minimize(...).",
    )
    parser.add_argument("study", metavar="STUDY", help="where it lives: runs.db#name, postgresql://host/db#name")
    parser.add_argument("objective", metavar="MODULE:FUNCTION", help="what to run, importable from this folder")
    parser.add_argument(
        "-j",
        "--workers",
        metavar="N",
        type=_count,
        default=1,
        help="processes (default 1), or auto: one for each GPU",
    )
    parser.add_argument("--setup", metavar="MODULE:FUNCTION", help="called once in each process before its first trial")
    parser.add_argument("--checkpoints", metavar="FOLDER", help="where states are kept; the same for all machines")
    parser.add_argument("--prune", metavar="NAME", default="diverged", help="judges running trials (default diverged)")
    parser.add_argument("--trial-timeout", metavar="TIME", help="like 20m: a trial that takes longer fails")
    parser.add_argument("--trial-memory", metavar="SIZE", help="like 8GB: a trial whose process holds more fails")
    parser.add_argument(
        "--patience", metavar="TIME", default="10m", help="how long to wait while nobody has work (default 10m)"
    )
    parser.set_defaults(run=_work)


def _count(written: str) -> int | str:
    if written != "auto" and not written.isdecimal():
        raise argparse.ArgumentTypeError(f"{written!r} is neither a number nor auto")
    return written if written == "auto" else int(written)


def _work(arguments: argparse.Namespace) -> int:
    sys.path.insert(0, str(Path.cwd()))
    objective = found_by_name(arguments.objective)
    setup = None if arguments.setup is None else found_by_name(arguments.setup)
    study = open_study(arguments.study, prune=arguments.prune, checkpoints=arguments.checkpoints)
    study.work(
        objective,
        workers=arguments.workers,
        setup=setup,
        trial_timeout=arguments.trial_timeout,
        trial_memory=arguments.trial_memory,
        patience=arguments.patience,
    )
    study.close()
    return 0
