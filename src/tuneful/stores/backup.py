"""A copy of a SQLite file that others may be writing to."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path


def copy_whole(db: sqlite3.Connection, target: Path) -> None:
    """Copy an open database to `target`, which appears when it is complete and replaces what was there."""
    draft = target.with_name(f"{target.name}.part")
    draft.unlink(missing_ok=True)
    try:
        db.execute("VACUUM INTO ?", (str(draft),))
        with draft.open("rb+") as written:
            os.fsync(written.fileno())
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)
