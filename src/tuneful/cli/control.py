"""`tuneful pause | resume | stop | cancel`: control of a study from outside."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

from tuneful.doors import open_study
from tuneful.study import Study

_VERBS: dict[str, tuple[Callable[[Study, int | None], Study], str, str]] = {
    "pause": (Study.pause, "start nothing more until it is resumed", "paused"),
    "resume": (Study.resume, "let it go on after a pause", "resumed"),
    "stop": (Study.stop, "end its runs as Ctrl-C would; or a trial, with what it has reached", "to stop"),
    "cancel": (Study.cancel, "end its trials that are not over, and its runs; or a trial, at once", "cancelled"),
}


def register(commands: Any) -> None:
    """Add the commands to those of the program."""
    for verb, (_, text, _) in _VERBS.items():
        parser = commands.add_parser(
            verb, help=f"{verb} a study or a trial: {text}", description=f"{text.capitalize()}."
        )
        parser.add_argument("study", metavar="STUDY", help="where it lives: runs.db, runs.db#name, postgresql://…#name")
        parser.add_argument("trial", metavar="TRIAL", nargs="?", type=int, help="the number of one trial")
        parser.set_defaults(run=_control, verb=verb)


def _control(arguments: argparse.Namespace) -> int:
    act, _, done = _VERBS[arguments.verb]
    study = open_study(arguments.study)
    act(study, arguments.trial)
    what = study.address if arguments.trial is None else f"trial {arguments.trial} of {study.address}"
    print(f"{what}: {done}")  # noqa: T201 - what the user asked for
    study.close()
    return 0
