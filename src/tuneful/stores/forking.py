"""What has to stand still while a process forks, and begins anew in the child."""

from __future__ import annotations

import os
import weakref
from typing import Protocol


class Halting(Protocol):
    """Something that a fork must not cut through."""

    def halt(self) -> None:
        """Let no thread in until the fork is over."""

    def go_on(self) -> None:
        """In the parent: go on."""

    def leave(self) -> None:
        """In the child: hold nothing of the parent's."""


_all: weakref.WeakSet[Halting] = weakref.WeakSet()
_halted: list[Halting] = []


def halts_at_forks(thing: Halting) -> None:
    """Have `thing` stand still at each fork, as long as it lives."""
    _all.add(thing)


def _before() -> None:
    for thing in list(_all):
        thing.halt()
        _halted.append(thing)


def _in_parent() -> None:
    while _halted:
        _halted.pop().go_on()


def _in_child() -> None:
    while _halted:
        _halted.pop().leave()


os.register_at_fork(before=_before, after_in_parent=_in_parent, after_in_child=_in_child)
