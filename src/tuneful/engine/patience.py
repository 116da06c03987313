"""Waiting for a store that is away."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TypeVar

from tuneful.engine.signals import Signals
from tuneful.errors import StoreAway, StoreError

T = TypeVar("T")

OUTAGE = 600.0  # seconds; a restart takes some, a failover a minute or two
_log = logging.getLogger("tuneful")
_PAUSES = 0.1, 5.0  # seconds between tries, growing from one to the other


def patiently(call: Callable[[], T], signals: Signals, kinds: type[StoreError] = StoreAway) -> T:
    """The answer of `call`, tried again for as long as an outage may last.

    Args:
        call: What needs the store, and may be done twice.
        signals: Let through while waiting.
        kinds: The errors to wait after.

    Raises:
        StoreError: the store did not come back in time.
    """
    pause, longest = _PAUSES
    deadline = time.monotonic() + OUTAGE
    while True:
        try:
            return call()
        except kinds as error:
            if time.monotonic() > deadline:
                raise
            if pause == _PAUSES[0]:
                _log.warning("Waiting for the store, for up to %.0f minutes: %s", OUTAGE / 60, error)
        with signals.let_through():
            time.sleep(pause)
        pause = min(2 * pause, longest)
