"""Two bars that no regret shows: searchers learn where trials fail, and try no config twice."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from contestants import Contestant
from driving import drive
from problems import Problem
from runs import repeated

HALF_FAILS, GRID = "half-fails", "grid125"
_FAILED_OF_LAST_40, _DISTINCT = 10, 125


class Bars(NamedTuple):
    """What a contestant did, the worst over seeds.

    Attributes:
        failed: Of the last 40 of 100 trials, on the problem of which half fails.
        twice: Configs among the first 60 on the grid that came before.
        distinct: Configs among 125 trials on the grid.
    """

    failed: int
    twice: int
    distinct: int

    @property
    def met(self) -> bool:
        return self.failed <= _FAILED_OF_LAST_40 and self.twice == 0 and self.distinct == _DISTINCT


def measured(contestant: Contestant, problems: dict[str, Problem], seeds: Sequence[int], workers: int) -> Bars:
    """The bars of a contestant. It is not told how many trials there will be, so that none just lists the grid."""
    each = []
    for seed in seeds:
        optimizer = contestant.start(problems[HALF_FAILS], seed, 1000)
        losses = drive(optimizer, problems[HALF_FAILS], seed, 100, workers).losses
        optimizer = contestant.start(problems[GRID], seed, 1000)
        params = drive(optimizer, problems[GRID], seed, _DISTINCT, workers).params
        each.append((losses[60:].count(None), repeated(params[:60]), len(params) - repeated(params)))
    failed, twice, distinct = np.array(each).T
    return Bars(int(failed.max()), int(twice.max()), int(distinct.min()))


def show(contestants: Sequence[Contestant], problems: Sequence[Problem], seeds: Sequence[int], workers: int) -> None:
    """Measure and print, a line each."""
    known = {problem.name: problem for problem in problems}
    print(f"The worst over {len(seeds)} seeds.\n")
    print(f"{'':24}{'failed of last 40':>20}{'twice in 60':>14}{'distinct of 125':>18}")
    print(f"{'budget':24}{f'at most {_FAILED_OF_LAST_40}':>20}{0:>14}{_DISTINCT:>18}\n{'-' * 84}")
    for contestant in contestants:
        bars = measured(contestant, known, seeds, workers)
        verdict = "met" if bars.met else "NOT met"
        print(f"{contestant.label:24}{bars.failed:>20}{bars.twice:>14}{bars.distinct:>18}   {verdict}", flush=True)
