"""Workers are killed and replies are lost while a study runs: nothing else is. The plans are those of `make chaos`."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def chaos():
    """The harness; no name of that folder is left behind."""
    before, path = set(sys.modules), list(sys.path)
    sys.path.insert(0, str(BENCHMARKS))
    import chaos

    yield chaos
    sys.path[:] = path
    for name in set(sys.modules) - before:
        if str(BENCHMARKS) in (getattr(sys.modules[name], "__file__", None) or ""):
            del sys.modules[name]


@pytest.mark.parametrize("by", ["peers", "workers"])
def test_killed_workers_lose_double_and_break_nothing(chaos, tmp_path, by):
    plan = replace(chaos.PLANS["T1"], by=by, trials=300, kills=0.3, pause=0.01, most=600, seed=1)
    assert chaos.broken(plan, tmp_path) == []


def test_lost_replies_lose_double_and_break_nothing(chaos, tmp_path):
    plan = replace(chaos.PLANS["T5"], trials=300, workers=2, most=600, seed=1)
    assert chaos.broken(plan, tmp_path) == []
