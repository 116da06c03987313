"""The folders in which checkpoints are kept."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
import weakref
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from tuneful.checkpoints.contents import read_contents, write_contents
from tuneful.checkpoints.scratch import discard, listed, put, recover, scratch, sweep
from tuneful.checkpoints.tree import Leaves, encode
from tuneful.errors import CheckpointError

_ASIDE = ".old-"
_LOOKS = 100  # another process may replace it just while it is read
_FULL = frozenset((errno.ENOSPC, errno.EDQUOT))


class Checkpoints:
    """States that trials saved, as immutable folders `number/step/attempt` under one root.

    A checkpoint appears whole or not at all, and is on the disk when `save` returns: a crash, a full disk or
    a power cut at any moment leaves the former one. Any number of processes may use the same root. There is
    no pickle in it.

    A state is any nesting of dicts, lists and tuples of None, bool, int, float, str, bytes, numpy arrays and
    scalars, torch tensors, and `pathlib.Path` to files or folders, which are copied. Subclasses come back as
    their base class (an OrderedDict as a dict, a namedtuple as a tuple), tensors on the CPU, shared memory as
    copies, and paths as paths to the copy, which stays until the checkpoint is dropped or saved again, and is
    not to be changed.

    Attributes:
        root: the absolute path of the root, made by the first `save`.

    Args:
        root: the root; None for a private temporary folder, which is removed when the object dies.

    Raises:
        CheckpointError: the root is a file.

    >>> import numpy as np
    >>> checkpoints = Checkpoints()
    >>> checkpoints.save(0, 3, 1, {"epoch": 3, "weights": np.array([0.5, 1.5]), "seen": {(1, 2): None}})
    >>> checkpoints.load(0, 3, 1)
    {'epoch': 3, 'weights': array([0.5, 1.5]), 'seen': {(1, 2): None}}
    >>> checkpoints.drop(0)
    """

    root: Path

    def __init__(self, root: Path | str | None = None) -> None:
        if root is None:
            self.root = Path(tempfile.mkdtemp(prefix="tuneful-"))
            weakref.finalize(self, _remove, self.root, os.getpid())
        else:
            self.root = Path(root).absolute()
            if self.root.is_file():
                raise CheckpointError(f"Cannot keep checkpoints in {self.root}: it is a file. Pass a folder.")

    def save(self, number: int, step: int, attempt: int, state: object) -> None:
        """Save a state for good. Saving the same one again replaces it.

        Args:
            number: the trial's number.
            step: the step that the state has reached.
            attempt: which attempt at the trial saves it.
            state: see the class.

        Raises:
            CheckpointError: the state holds something that cannot be saved (nothing is written then), or
                the disk is full or cannot be written. What was saved before is intact.
        """
        target = self._folder(number, step, attempt)
        with _explained("save", target):
            tree, leaves = encode(state)
            self._refuse_own_root(leaves)
            try:
                with scratch(self._trial(number)) as folder:
                    write_contents(folder, tree, leaves)
                    put(folder, target, self._aside(number, step, attempt))
            except BaseException:
                _prune(target.parent, self._trial(number))
                raise

    def load(self, number: int, step: int, attempt: int | None = None) -> Any:
        """Load a state as it was saved.

        Args:
            number: the trial's number.
            step: the step that the state had reached.
            attempt: which attempt at the trial saved it; by default the last that saved that step.

        Raises:
            CheckpointError: it was never saved, was dropped, or is damaged; the message names its folder.
        """
        if attempt is None:
            attempts = [saved[1] for saved in self.there(number) if saved[0] == step]
            if not attempts:
                raise _missing(self._trial(number) / f"{step:d}")
            attempt = max(attempts)
        folder = self._folder(number, step, attempt)
        for _ in range(_LOOKS):
            recover(folder, self._aside(number, step, attempt))
            before = _identity(folder)
            try:
                state = read_contents(folder)
            except CheckpointError:
                if before is not None and before == _identity(folder):
                    raise
            else:
                if before == _identity(folder):
                    return state
        raise _missing(folder)

    def there(self, number: int) -> list[tuple[int, int]]:
        """The (step, attempt) of the checkpoints of a trial, the oldest attempt first, each in order of step."""
        trial = self._trial(number)
        found = {
            (int(step.name), int(folder.name))
            for step in listed(trial)
            if step.name.isdecimal()
            for folder in listed(step)
            if folder.name.isdecimal()
        }
        for aside in listed(trial, _ASIDE):  # its replacement was cut short, or is under way
            _, step, attempt = aside.name.split("-")
            found.add((int(step), int(attempt)))
        return sorted(found, key=lambda saved: saved[::-1])

    def prune(self, number: int, keep: Callable[[list[tuple[int, int]]], Collection[tuple[int, int]]]) -> None:
        """Delete those checkpoints of a trial that need not stay. What is saved meanwhile stays.

        So any process may do this to any trial, while its worker saves. `kept` says what has to stay:

        >>> from functools import partial
        >>> from tuneful.checkpoints import kept
        >>> from tuneful.history import History
        >>> from tuneful.space import Float, Space
        >>> from tuneful.testing.histories import begin
        >>> history, checkpoints = History(Space({"lr": Float(0, 1)})), Checkpoints()
        >>> trial = begin(history, {"lr": 0.5}, saved=(3, 1))
        >>> for step in (1, 2, 3):
        ...     checkpoints.save(trial, step, 1, "state")
        >>> checkpoints.prune(trial, partial(kept, history, trial))
        >>> checkpoints.there(trial)
        [(2, 1), (3, 1)]

        Args:
            number: the trial's number.
            keep: says of the (step, attempt) that are there which ones stay.

        Raises:
            CheckpointError: the folder cannot be written.
        """
        trial, there = self._trial(number), self.there(number)
        unwanted = set(there).difference(keep(there))
        with _explained("drop", trial):
            for step, attempt in unwanted:
                folder = self._folder(number, step, attempt)
                discard(self._aside(number, step, attempt), trial)
                discard(folder, trial)
                _prune(folder.parent)
            sweep(trial)
            _prune(trial)

    def drop(self, number: int, keep: Collection[tuple[int, int]] = ()) -> None:
        """Delete the checkpoints of a trial, and what crashes left of it. Missing ones are fine.

        Args:
            number: the trial's number.
            keep: the (step, attempt) of those that stay.

        Raises:
            CheckpointError: the folder cannot be written.
        """
        trial = self._trial(number)
        kept = {self._folder(number, step, attempt) for step, attempt in keep}
        with _explained("drop", trial):
            for aside in listed(trial, _ASIDE):
                _, step, attempt = aside.name.split("-")
                folder = self._folder(number, int(step), int(attempt))
                if folder in kept:
                    recover(folder, aside)
                discard(aside, trial)
            steps = [folder for folder in listed(trial) if folder.name.isdecimal()]
            for folder in [folder for step in steps for folder in listed(step)]:
                if folder not in kept:
                    discard(folder, trial)
            sweep(trial)
            _prune(*steps, trial)

    def _trial(self, number: int) -> Path:
        return self.root / f"{number:d}"

    def _folder(self, number: int, step: int, attempt: int) -> Path:
        return self._trial(number) / f"{step:d}" / f"{attempt:d}"

    def _aside(self, number: int, step: int, attempt: int) -> Path:
        """Where a checkpoint is while another takes its place."""
        return self._trial(number) / f"{_ASIDE}{step:d}-{attempt:d}"

    def _refuse_own_root(self, leaves: Leaves) -> None:
        for path in leaves.paths.values():
            if self.root.resolve().is_relative_to(path.resolve()):
                raise CheckpointError(
                    f"Cannot save the folder {path.resolve()}: the checkpoints themselves are in it, in "
                    f"{self.root}. Pass a folder beside them."
                )


def _missing(folder: Path) -> CheckpointError:
    return CheckpointError(
        f"There is no checkpoint {folder}: it was dropped, or never saved. Start from another one or from scratch."
    )


@contextmanager
def _explained(doing: str, folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        remedy = "Free space there" if error.errno in _FULL else "Put that right"
        raise CheckpointError(
            f"Cannot {doing} the checkpoint {folder}: {error}. {remedy}, and {doing} again; what "
            f"was saved before is intact."
        ) from error


def _identity(folder: Path) -> tuple[int, int] | None:
    try:
        stat = folder.stat()
    except OSError:
        return None
    return stat.st_ino, stat.st_ctime_ns


def _prune(*folders: Path) -> None:
    """Remove those folders that are empty."""
    for folder in folders:
        with suppress(OSError):
            folder.rmdir()


def _remove(root: Path, owner: int) -> None:
    if os.getpid() == owner:  # a forked child has a copy of the object, but not the right to the folder
        shutil.rmtree(root, ignore_errors=True)
