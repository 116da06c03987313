"""A process that only reads: every change of a study as it comes, from the first revision on.

`python benchmarks/chaos_feed.py FOLDER`: it reads until FOLDER/over is there and nothing is new, and writes each trial
that it is told of as a line of FOLDER/feed.jsonl: [number, state, attempt, revision, value, time].
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import tuneful as tn
from tuneful.history import Row
from tuneful.stores import open_store, parse_address

_EVERY = 0.02  # seconds between reads
_OUTAGE = 60.0

T = TypeVar("T")


def follow(folder: Path) -> None:
    plan = json.loads((folder / "plan.json").read_text())
    address = parse_address(plan["address"])
    store, rev = patiently(open_store, address), 0
    with (folder / "feed.jsonl").open("w", buffering=1) as feed:
        while True:
            over = (folder / "over").exists()
            changes = patiently(store.sync, address.name, rev)
            now = time.time()
            feed.writelines(json.dumps([*facts(row), now]) + "\n" for row in changes.rows)
            if changes.rev == rev and over:
                break
            rev = changes.rev
            if not changes.more:
                time.sleep(_EVERY)
    store.close()


def facts(row: Row) -> list[Any]:
    """What a reader must know of a trial."""
    return [row.number, int(row.state), row.attempt, row.rev, row.values.get("value")]


def patiently(call: Callable[..., T], *args: Any, **options: Any) -> T:
    """The answer of a store that may be away, full or busy for a while."""
    deadline, pause = time.monotonic() + _OUTAGE, 0.02
    while True:
        try:
            return call(*args, **options)
        except tn.StoreError:
            if time.monotonic() > deadline:
                raise
        time.sleep(pause)
        pause = min(2 * pause, 0.5)


if __name__ == "__main__":
    follow(Path(sys.argv[1]))
