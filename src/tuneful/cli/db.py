"""`tuneful db`: look after the files and databases in which studies live."""

from __future__ import annotations

import argparse
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console

from tuneful.errors import StoreError, StudyError
from tuneful.protocols import Store
from tuneful.stores import Address, open_store, parse_address
from tuneful.stores.copying import back_up_file, back_up_studies, copy_studies, refuse_missing
from tuneful.stores.upgrading import upgrade


class Place(NamedTuple):
    """An address as it was written.

    Attributes:
        address: The store, and a study in it.
        named: Whether the study was named; otherwise the whole store is meant.
    """

    address: Address
    named: bool

    def __str__(self) -> str:
        return str(self.address)


def register(commands: Any) -> None:
    """Add `db` and what it can do."""
    about = "look after the files and databases in which studies live"
    parser = commands.add_parser("db", help=about, description=f"{about.capitalize()}.")
    actions = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    check = actions.add_parser("check", help="say what is wrong with a store")
    check.add_argument("store", type=_store, help="a file, or postgresql://host/database")
    check.set_defaults(run=_check)

    backup = actions.add_parser("backup", help="keep all studies of a store, which may be in use, in a new file")
    backup.add_argument("store", type=_store, help="a file, or postgresql://host/database")
    backup.add_argument("file", type=Path, help="the file to write; it must not be there")
    backup.set_defaults(run=_backup)

    newer = actions.add_parser("upgrade", help="bring a store up to this version of Tuneful")
    newer.add_argument("store", type=_store, help="a file, or postgresql://host/database")
    newer.set_defaults(run=_upgrade)

    copy = actions.add_parser("copy", help="copy studies to another store, or under another name")
    copy.add_argument("source", metavar="from", type=_place, help="runs.db for all of its studies, or runs.db#digits")
    copy.add_argument("target", metavar="to", type=_place, help="a store; with #name behind it, the new name")
    copy.set_defaults(run=_copy, usage=copy.error)


def _check(arguments: argparse.Namespace) -> int:
    place = arguments.store
    with closing(_opened(place)) as store:
        names, found = store.studies(), store.check()
    for sentence in found:
        _say(sentence)
    _say(f"{place}: {_studies(len(names))}, {f'{len(found)} findings' if found else 'all is well'}.")
    return 1 if found else 0


def _backup(arguments: argparse.Namespace) -> int:
    place, file = arguments.store, arguments.file
    if (path := place.address.path) is not None:
        _there(path)
        back_up_file(path, file)
        _say(f"{place} is kept as {file}.")
    else:
        with closing(_opened(place)) as store:
            copied = back_up_studies(store, file)
        _say(f"{_studies(len(copied))} of {place} are kept in {file}.")
    _say_checkpoints(place)
    return 0


def _upgrade(arguments: argparse.Namespace) -> int:
    place = arguments.store
    if place.address.path is not None:
        _there(place.address.path)
    kept = upgrade(place.address)
    _say(f"{place} is up to date{'' if kept is None else f' now; as it was, it is kept as {kept}'}.")
    return 0


def _copy(arguments: argparse.Namespace) -> int:
    source, target = arguments.source, arguments.target
    with closing(_opened(source)) as here:
        names = [source.address.name] if source.named else here.studies()
        if target.named and len(names) != 1:
            arguments.usage(
                f"{source} holds {_studies(len(names))}, which cannot all be called {target.address.name!r}"
            )
        refuse_missing(here, names)
        renamed = {name: target.address.name if target.named else name for name in names}
        with closing(open_store(target.address)) as there:
            for copied in copy_studies(here, there, renamed):
                queued = f"; {copied.queued} of them ran, and are queued in the copy" if copied.queued else ""
                _say(f"{copied.name}: {copied.trials} trials copied{queued}.")
    _say_checkpoints(source)
    return 0


def _opened(place: Place) -> Store:
    """The store at a place, which must be there already."""
    if place.address.path is not None:
        _there(place.address.path)
    return open_store(place.address)


def _there(path: Path) -> None:
    if not path.is_file():
        raise StoreError(f"There is no file {path}.")


def _say_checkpoints(place: Place) -> None:
    if place.address.path is not None and (folder := Path(f"{place.address.path}.checkpoints")).is_dir():
        _say(f"What trials saved is not in it, and stays in {folder}.")


def _place(text: str) -> Place:
    try:
        return Place(parse_address(text), "#" in text)
    except StudyError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _store(text: str) -> Place:
    place = _place(text)
    if place.named:
        raise argparse.ArgumentTypeError(f"{place} is one study of a store; leave out #{place.address.name}")
    return place


def _studies(count: int) -> str:
    return f"{count} {'study' if count == 1 else 'studies'}"


def _say(line: str) -> None:
    Console(soft_wrap=True, markup=False, highlight=False, emoji=False).print(line)
