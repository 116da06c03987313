"""What a server may have forgotten when it comes back from a crash."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from tuneful.errors import StudyNotFound
from tuneful.stores.postgres.link import Link

_LONG = 30.0  # seconds after which everything is on the server's disk, whatever its settings
_WAIT = 3.0  # seconds for which others may take to bring back what one's own rests on
_CALM = 2.0  # seconds in which others come back, who may hold the numbers of what one would record anew
_PAUSE = 0.05


class _Act(NamedTuple):
    """Something that was done at a time, and how to do it again; that tells whether it could."""

    at: float
    again: Callable[[Link], bool]


class Undone:
    """What was acknowledged before it was on the server's disk: at most the last moments before a crash."""

    def __init__(self) -> None:
        self._acts: deque[_Act] = deque(maxlen=4096)

    def remember(self, again: Callable[[Link], bool]) -> None:
        """Take in something that was done, as what does it again if it was undone."""
        now = time.monotonic()
        while self._acts and now - self._acts[0].at > _LONG:
            self._acts.popleft()
        self._acts.append(_Act(now, again))

    def safe(self) -> None:
        """Forget it all: it is on the disk."""
        self._acts.clear()

    def redo(self, link: Link) -> None:
        """Do again, in their order, what the server has forgotten."""
        began = time.monotonic()
        left = [act for act in list(self._acts) if began - act.at < _LONG]
        while left and time.monotonic() < began + _WAIT:
            left = [act for act in left if not _done(act, link)]
            time.sleep(_PAUSE if left else 0)
        time.sleep(max(0.0, began + _CALM - time.monotonic()))


def _done(act: _Act, link: Link) -> bool:
    try:
        return act.again(link)
    except StudyNotFound:
        return True
