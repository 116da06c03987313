"""Files of many finished trials: made fast, and opened in a process of its own to see what that takes.

`python benchmarks/files.py tuneful WARM FILE` prints the CPU seconds and megabytes of opening FILE as JSON. WARM is a
small file that is opened before it, so that imports do not count.
"""

from __future__ import annotations

import gc
import json
import resource
import sqlite3
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from contenders import NAMES, SPACE, STUDY, Optuna, optuna, rustuna

import tuneful as tn
from tuneful.history import Row, State
from tuneful.stores import open_store, parse_address

_PAGE = 5_000
_STARTED = 1.7e9


def write_tuneful(place: Path | str, n: int) -> None:
    """A file or database of ours with `n` done trials, written through the store."""
    tn.Study(SPACE, search="random", study=f"{place}#{STUDY}", seed=0).close()
    store = open_store(parse_address(f"{place}#{STUDY}"))
    raw = SPACE.draw(np.random.default_rng(0).random((n, len(NAMES))))
    for first in range(0, n, _PAGE):
        store.create(STUDY, [_row(number, raw[number]) for number in range(first, min(n, first + _PAGE))], None)
    store.close()


def _row(number: int, raw: np.ndarray) -> Row:
    began = _STARTED + number
    return Row(
        *(number, SPACE.config(raw)),
        state=State.DONE,
        begun=1,
        attempt=1,
        values={"value": float(raw.sum())},
        cost=0.25,
        why={"searcher": "random"},
        seen=number,
        started=began,
        finished=began + 0.25,
    )


def write_optuna(path: Path, n: int) -> None:
    """The same in Optuna's tables, which Rustuna reads too."""
    assert optuna is not None
    Optuna(path)
    domain = optuna.distributions.distribution_to_json(optuna.distributions.FloatDistribution(0, 1))
    values = np.random.default_rng(0).random((n, len(NAMES))).tolist()
    when = ("2026-01-01 00:00:00.000000", "2026-01-01 00:00:00.250000")
    with sqlite3.connect(path) as db:
        db.executemany(
            "INSERT INTO trials (trial_id, number, study_id, state, datetime_start, datetime_complete) "
            "VALUES (?, ?, 1, 'COMPLETE', ?, ?)",
            ((1 + number, number, *when) for number in range(n)),
        )
        db.executemany(
            "INSERT INTO trial_params (trial_id, param_name, param_value, distribution_json) VALUES (?, ?, ?, ?)",
            ((1 + t, name, values[t][i], domain) for t in range(n) for i, name in enumerate(NAMES)),
        )
        db.executemany(
            "INSERT INTO trial_values (trial_id, objective, value, value_type) VALUES (?, 0, ?, 'FINITE')",
            ((1 + t, sum(values[t])) for t in range(n)),
        )
    db.close()


def open_tuneful(path: str) -> object:
    """The study, with all its trials known."""
    return tn.open_study(f"{path}#{STUDY}")


def open_optuna(path: str) -> object:
    """Optuna's study and trials."""
    assert optuna is not None
    study = optuna.load_study(study_name=STUDY, storage=f"sqlite:///{path}")
    return study, study.get_trials(deepcopy=False)


def open_rustuna(path: str) -> object:
    """Rustuna's study and trials."""
    assert rustuna is not None
    study = rustuna.load_study(study_name=STUDY, storage=rustuna.storages.SQLite3Storage(path))
    return study, study.get_trials()


def _megabytes() -> tuple[float, float]:
    """The memory of this process: (now, at most so far)."""
    try:
        text = Path("/proc/self/status").read_text()
    except OSError:  # macOS: only the peak, in bytes
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        return peak, peak
    known = dict(line.split(":", 1) for line in text.splitlines())
    now, peak = (int(known[name].split()[0]) / 1024 for name in ("VmRSS", "VmHWM"))
    return now, peak


def _measured(opened: Callable[[str], object], warm: str, path: str) -> dict[str, float]:
    opened(warm)
    gc.collect()
    (before, _), started = _megabytes(), time.process_time()
    kept = opened(path)
    seconds = time.process_time() - started
    now, peak = _megabytes()
    del kept
    return {"seconds": seconds, "peak": peak - before, "after": now - before}


if __name__ == "__main__":
    library, *paths = sys.argv[1:]
    print(json.dumps(_measured(globals()[f"open_{library}"], *paths)))
