"""What schedulers gain with more and more workers: on invented curves, with a virtual clock; so the same everywhere.

`python benchmarks/schedules.py` prints the table of docs/schedules.md.
"""

from __future__ import annotations

import math
from statistics import mean
from typing import Any

import numpy as np

import tuneful as tn
from tuneful.simulation import Simulated

EPOCHS = 81
SPACE = tn.Space(
    {
        "lr": tn.Log(1e-4, 1.0),
        "width": tn.Int(16, 512, log=True),
        "decay": tn.Log(1e-6, 1e-1),
        "momentum": tn.Float(0, 0.99),
    }
)
FULL = 5_000.0  # virtual seconds that a trial takes to its end, about
CASES = ((1, 30.0, 4), (4, 15.0, 4), (32, 5.0, 3), (256, 3.0, 2), (4096, 1.0, 1))  # workers, full runs of each, seeds
SCHEDULES = ("one_epoch", "hyperband", "asha")


def curve(params: dict[str, Any]) -> tuple[list[float], float]:
    """A loss that falls by a power law, faster with a high learning rate, to what the config can do; and noise."""
    lr, width, decay = math.log10(params["lr"]), math.log2(params["width"]), math.log10(params["decay"])
    end = 0.05 + 0.02 * (lr + 1.8) ** 2 + 0.004 * (width - 7.5) ** 2 + 0.004 * (decay + 3.5) ** 2
    end += 0.05 * (params["momentum"] - 0.85) ** 2
    speed = 0.45 + 0.35 * min(max(lr + 3.0, 0.0), 3.0) / 3.0
    noise = np.random.default_rng([int(1e6 * params["momentum"]), params["width"]]).standard_normal(EPOCHS)
    steps = np.arange(1, EPOCHS + 1)
    return (end + (0.9 - end) * steps**-speed + 0.002 * noise).tolist(), 60.0 * (0.5 + params["width"] / 256)


def main() -> None:
    print("| workers | full runs of each | `full` | " + " | ".join(f"`{name}`" for name in SCHEDULES) + " |")
    print("|---" * (3 + len(SCHEDULES)) + "|")
    for workers, runs, seeds in CASES:
        found = {name: [simulated(name, workers, runs, seed) for seed in range(seeds)] for name in ("full", *SCHEDULES)}
        goal = mean(lowest(each, math.inf) for each in found["full"])
        cells = [f"{goal:.4f}"]
        for name in SCHEDULES:
            end = mean(lowest(each, math.inf) for each in found[name])
            sooner = mean(when(each, goal) for each in found[name]) / (runs * FULL)
            cells.append(f"{end:.4f}, as good after {100 * sooner:.0f}%" if sooner < 1 else f"{end:.4f}")
        print(f"| {workers:,} | {runs:g} | " + " | ".join(cells) + " |", flush=True)


def simulated(schedule: str, workers: int, runs: float, seed: int) -> Simulated:
    """A study of so many workers, of which one in twenty is slow, and so many full runs of each."""
    seconds = runs * FULL
    options: dict[str, Any] = {"workers": workers, "seconds": seconds, "latency": 10.0, "stragglers": 0.05}
    return tn.simulate(curve, SPACE, search="random", schedule=schedule, seed=seed, **options)


def lowest(found: Simulated, seconds: float) -> float:
    """What the config that looks best after so many seconds comes to at its end."""
    known = found.at(seconds)
    return math.inf if known is None else at_the_end(found, known[1])


def when(found: Simulated, goal: float) -> float:
    """When the config that looks best first is as good as `goal` at its end; the whole time if never."""
    return next((at for at, _, trial in found.trace if at_the_end(found, trial) <= goal), found.time)


def at_the_end(found: Simulated, trial: int) -> float:
    return curve(SPACE.nested(found.history.config(trial)))[0][-1]


if __name__ == "__main__":
    main()
