"""The tables of a SQLite store, and how older files become today's."""

from __future__ import annotations

import sqlite3
import uuid

VERSION = 4
APPLICATION = 0x74756E65  # "tune", in the header of every file of ours

# Forward only: step i takes a file from version i to i + 1.
MIGRATIONS: tuple[str, ...] = (
    """
    CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE study (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE, form TEXT NOT NULL,
        created REAL NOT NULL);
    CREATE TABLE head (study INTEGER PRIMARY KEY REFERENCES study ON DELETE CASCADE,
        next INTEGER NOT NULL, rev INTEGER NOT NULL);
    CREATE TABLE space (study INTEGER NOT NULL REFERENCES study ON DELETE CASCADE,
        version INTEGER NOT NULL, rev INTEGER NOT NULL, body TEXT NOT NULL, PRIMARY KEY (study, version)) WITHOUT ROWID;
    CREATE TABLE trial (id INTEGER PRIMARY KEY,
        study INTEGER NOT NULL REFERENCES study ON DELETE CASCADE, number INTEGER NOT NULL, rev INTEGER NOT NULL,
        state INTEGER NOT NULL, config TEXT NOT NULL, space INTEGER NOT NULL,
        born INTEGER NOT NULL, begun INTEGER NOT NULL, ended INTEGER NOT NULL DEFAULT 0,
        until INTEGER, step INTEGER NOT NULL DEFAULT 0, attempt INTEGER NOT NULL DEFAULT 0,
        began INTEGER NOT NULL DEFAULT 0, saved_step INTEGER, saved_attempt INTEGER,
        metrics TEXT, cost REAL NOT NULL DEFAULT 0,
        parent INTEGER, parent_step INTEGER, repeat_of INTEGER, imported INTEGER NOT NULL DEFAULT 0,
        note TEXT, why TEXT, seen INTEGER NOT NULL DEFAULT 0, settings TEXT, error TEXT,
        started REAL, finished REAL, curve TEXT, worker TEXT, token TEXT, told_by TEXT);
    CREATE INDEX trial_feed ON trial (study, rev);
    CREATE INDEX trial_running ON trial (worker) WHERE state = 1;
    CREATE TABLE report (trial INTEGER NOT NULL REFERENCES trial ON DELETE CASCADE,
        step INTEGER NOT NULL, study INTEGER NOT NULL, rev INTEGER NOT NULL, attempt INTEGER NOT NULL,
        metrics TEXT NOT NULL, PRIMARY KEY (trial, step)) WITHOUT ROWID;
    CREATE INDEX report_feed ON report (study, rev);
    CREATE TABLE attempt (trial INTEGER NOT NULL REFERENCES trial ON DELETE CASCADE,
        attempt INTEGER NOT NULL, token TEXT, worker TEXT, why TEXT NOT NULL, ended REAL NOT NULL, metrics TEXT,
        error TEXT, PRIMARY KEY (trial, attempt, why)) WITHOUT ROWID;
    CREATE TABLE worker (slot INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, host TEXT NOT NULL,
        pid INTEGER NOT NULL, lease_until REAL NOT NULL);
    """,
    # What was known when: of trials that are in a file of version 1, this is not known.
    """
    ALTER TABLE trial ADD COLUMN revs TEXT;
    ALTER TABLE trial ADD COLUMN past TEXT;
    ALTER TABLE trial ADD COLUMN proposed TEXT;
    ALTER TABLE trial ADD COLUMN most_trials INTEGER;
    ALTER TABLE trial ADD COLUMN most_steps INTEGER;
    """,
    # Many workers on one study: what is wanted of its trials, who decides, which trials any worker may run.
    """
    ALTER TABLE trial ADD COLUMN wish TEXT;
    ALTER TABLE head ADD COLUMN leader TEXT;
    ALTER TABLE head ADD COLUMN wish TEXT;
    ALTER TABLE worker ADD COLUMN version TEXT NOT NULL DEFAULT '';
    ALTER TABLE worker ADD COLUMN study INTEGER;
    ALTER TABLE worker ADD COLUMN wants INTEGER NOT NULL DEFAULT 0;
    CREATE INDEX trial_ready ON trial (study, number) WHERE state = 0 AND begun > 0 AND wish IS NULL;
    """,
    # How far a trial would go, as it has said.
    "ALTER TABLE trial ADD COLUMN length INTEGER",
)


def version_of(db: sqlite3.Connection) -> int | None:
    """The schema version of a file: 0 for an empty one, None for another program's."""
    (application,) = db.execute("PRAGMA application_id").fetchone()
    (version,) = db.execute("PRAGMA user_version").fetchone()
    (tables,) = db.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if not tables:
        return 0
    return int(version) if application == APPLICATION else None


def migrate(db: sqlite3.Connection, version: int) -> None:
    """Bring an open transaction's file from `version` to today's."""
    for step in MIGRATIONS[version:]:
        for statement in filter(str.strip, step.split(";")):
            db.execute(statement)
    if version == 0:
        db.execute("INSERT INTO meta VALUES ('uuid', ?)", (str(uuid.uuid4()),))
    db.execute(f"PRAGMA application_id = {APPLICATION}")
    db.execute(f"PRAGMA user_version = {VERSION}")
