"""The command `tuneful`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from tuneful import __version__
from tuneful.cli import control, db, worker
from tuneful.errors import TunefulError

# Each has `register(commands)`, which adds a command whose `run(arguments)` returns the exit code.
COMMANDS = (worker, control, db)


def main(argv: Sequence[str] | None = None) -> int:
    """Do what a command line says.

    Args:
        argv: The words after `tuneful`; those of this process by default.

    Returns:
        0; 1 for a finding, or an error, which is told on stderr; 130 after Ctrl-C.

    Raises:
        SystemExit: with 2, the words are no command; with 0, help was asked for.
    """
    parser = argparse.ArgumentParser("tuneful", description="Tune hyperparameters, and look after studies.")
    parser.add_argument("--version", action="version", version=f"tuneful {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in COMMANDS:
        command.register(commands)
    arguments = parser.parse_args(argv)
    try:
        return int(arguments.run(arguments))
    except TunefulError as error:
        print(error, file=sys.stderr)  # noqa: T201 - plain, whatever is in it
        return 1
    except KeyboardInterrupt:
        return 130
