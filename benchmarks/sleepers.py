"""Workers whose trials only wait, so that what remains is our own: prints it as JSON.

`python benchmarks/sleepers.py SEARCH WORKERS TRIALS`
"""

from __future__ import annotations

import json
import resource
import sys
import time

import tuneful as tn

SECONDS = 1.0
SPACE = {"x": tn.Float(0, 1), "y": tn.Float(0, 1), "n": tn.Int(1, 100), "kind": ["a", "b", "c"]}


def wait(x: float, y: float, n: int, kind: str) -> float:
    time.sleep(SECONDS)
    return (x - 0.3) ** 2 + y * n + (kind == "a")


def main(search: str, workers: int, trials: int) -> dict[str, float]:
    study = tn.Study(SPACE, search=search, seed=0)
    before = resource.getrusage(resource.RUSAGE_SELF)
    study.run(wait, workers=workers, trials=trials, quiet=True)
    after = resource.getrusage(resource.RUSAGE_SELF)
    began = min(record.started for record in study.trials)
    seconds = max(record.finished for record in study.trials) - began
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"rate": trials / seconds, "cpu": cpu / seconds}


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))))
