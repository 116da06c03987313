"""Files as earlier versions wrote them."""

import json
import sqlite3
from contextlib import closing

from contract import FORM, SPACE

from tuneful.stores import schema

WHY, CURVE = '{"searcher":"random"}', '{"value":[[1,2],[0.5,0.25]]}'
PAST = "[4,1,9,0,1,0.0,3],[6,2,9,1,1,0.25,3],[7,1,27,1,2,0.25,6]"
# Of each version the columns that are new in it, and what a file of then has in them: a finished trial with a curve,
# one that runs and has reported, one that waits.
COLUMNS = {
    1: {
        "id": [(1 << 40) + number for number in range(3)],
        "study": [1, 1, 1],
        "number": [0, 1, 2],
        "rev": [6, 8, 9],
        "state": [3, 1, 0],
        "config": ['{"x":0.1}', '{"x":0.2}', '{"x":0.3}'],
        "space": [0, 0, 0],
        "born": [2, 4, 9],
        "begun": [2, 4, 0],
        "ended": [6, 0, 0],
        "until": [None, 27, None],
        "step": [2, 1, 0],
        "attempt": [1, 2, 0],
        "saved_step": [None, 1, None],
        "saved_attempt": [None, 1, None],
        "metrics": ['{"value":0.25}', None, None],
        "cost": [0.5, 0.25, 0.0],
        "why": [WHY, WHY, None],
        "seen": [1, 3, 8],
        "started": [1.0, 1.5, None],
        "finished": [2.0, None, None],
        "curve": [CURVE, None, None],
        "worker": [None, "w", None],
        "token": [None, "t1", None],
        "told_by": ["t0", None, None],
    },
    2: {
        "revs": ["[3,1]", None, None],
        "past": [None, PAST, None],
        "proposed": ['[0,{"x":0.5}]', None, None],
        "most_trials": [50, 50, None],
        "most_steps": [None, 900, None],
    },
    3: {"wish": [None, None, None]},
}


def older(path, version):
    """A file as `version` wrote it, and as its worker died."""
    values = {name: given for since in range(1, version + 1) for name, given in COLUMNS[since].items()}
    with closing(sqlite3.connect(path)) as db:
        for step in schema.MIGRATIONS[:version]:
            for statement in filter(str.strip, step.split(";")):
                db.execute(statement)
        db.execute("INSERT INTO meta VALUES ('uuid', 'u')")
        db.execute("INSERT INTO study VALUES (1, 's', ?, 1.0)", (json.dumps(FORM),))
        db.execute("INSERT INTO head (study, next, rev) VALUES (1, 3, 9)")
        db.execute("INSERT INTO space VALUES (1, 0, 1, ?)", (json.dumps(SPACE),))
        marks = ", ".join("?" * len(values))
        db.executemany(f"INSERT INTO trial ({', '.join(values)}) VALUES ({marks})", zip(*values.values(), strict=True))
        db.execute("INSERT INTO report VALUES (?, 1, 1, 8, 1, ?)", ((1 << 40) + 1, '{"value":0.75}'))
        db.execute("INSERT INTO worker (slot, id, host, pid, lease_until) VALUES (1, 'w', 'elsewhere', 7, 0.0)")
        db.execute(f"PRAGMA application_id = {schema.APPLICATION}")
        db.execute(f"PRAGMA user_version = {version}")
        db.commit()
