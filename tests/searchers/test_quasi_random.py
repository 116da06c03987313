"""Sobol and Halton: the space filled more evenly than by chance."""

import numpy as np
import pytest
from scipy.stats import qmc

from tuneful.history import History
from tuneful.searchers import Halton, Random, Sobol
from tuneful.searchers.draws import BLOCK
from tuneful.searchers.sobol import _points
from tuneful.space import Choice, Float, Int, Log, Space
from tuneful.testing.histories import begin, rebuilt

CUBE = Space({name: Float(0, 1) for name in "abcd"})


def filled(searcher, space, n, seed=0):
    history = History(space, seed=seed)
    for proposal in searcher.propose(history, n):
        begin(history, proposal.config)
    return history.x


@pytest.mark.parametrize("n", [32, 128])
@pytest.mark.parametrize("searcher", [Sobol(), Halton()], ids=str)
def test_it_leaves_smaller_holes_than_random_search(searcher, n):
    for seed in range(3):
        random = qmc.discrepancy(filled(Random(), CUBE, n, seed))
        assert qmc.discrepancy(filled(searcher, CUBE, n, seed)) < 0.5 * random


@pytest.mark.parametrize("searcher", [Sobol(), Halton()], ids=str)
def test_a_choice_among_others_is_filled_evenly_by_its_weights(searcher):
    space = Space({"x": Float(0, 1), "c": Choice(["a", "b"], weights=[1, 3]), "i": Int(1, 4), "lr": Log(1e-4, 1)})
    configs = [p.config for p in searcher.propose(History(space), 128)]
    chosen = [config["c"] for config in configs]
    assert abs(chosen.count("b") - 96) <= 2
    assert all(abs([config["i"] for config in configs].count(i) - 32) <= 2 for i in range(1, 5))
    assert abs(sum(config["lr"] < 1e-2 for config in configs) - 64) <= 2


@pytest.mark.parametrize("searcher", [Sobol(), Halton()], ids=str)
def test_the_sequence_goes_on_in_one_go_or_one_by_one(searcher):
    n = BLOCK + 8
    whole = [p.config for p in searcher.propose(History(CUBE, seed=4), n)]
    history = History(CUBE, seed=4)
    for k in range(n):
        begin(history, searcher.propose(history, 1)[0].config)
        if k % 20 == 0:
            history = rebuilt(history)
    assert [history.config(trial) for trial in range(n)] == whole


@pytest.mark.parametrize("searcher", [Sobol(), Halton()], ids=str)
def test_the_trials_are_the_points_of_the_sequence_in_its_order(searcher):
    kind = type(searcher).__name__.lower()
    points = np.vstack([_points(kind, 4, 4, first) for first in (0, BLOCK)])
    found = [proposal.config for proposal in searcher.propose(History(CUBE, seed=4), 2 * BLOCK)]
    assert found == [CUBE.config(row) for row in CUBE.draw(points)]


@pytest.mark.parametrize("searcher", [Sobol(), Halton()], ids=str)
def test_another_seed_scrambles_it_otherwise(searcher):
    assert not set(filled(searcher, CUBE, 16, 0).ravel()) & set(filled(searcher, CUBE, 16, 1).ravel())


@pytest.mark.parametrize("kind", ["sobol", "halton"])
def test_points_from_further_on_are_those_that_the_sequence_comes_to(kind):
    engine = {"sobol": qmc.Sobol, "halton": qmc.Halton}[kind](3, scramble=True, rng=5)
    engine.random(128)
    assert np.array_equal(_points(kind, 3, 5, 128), engine.random(BLOCK))


@pytest.mark.parametrize("searcher", [Sobol(), Halton()], ids=str)
def test_a_point_that_is_taken_is_replaced_by_one_from_far_behind(searcher):
    history = History(CUBE, seed=0)
    ahead = searcher.propose(history, 3)
    begin(history, ahead[0].config)
    begin(history, ahead[2].config)  # somebody tried by hand what was to come third
    found = searcher.propose(history, 1)[0].config
    assert found not in [proposal.config for proposal in ahead]
    assert found in [
        CUBE.config(row) for row in CUBE.draw(_points(str(searcher)[:-2].lower(), 4, 0, 2**15 + 2 * BLOCK))
    ]


@pytest.mark.parametrize("searcher", [Sobol(), Halton()], ids=str)
def test_a_space_that_begins_empty_gets_empty_configs(searcher):
    assert [p.config for p in searcher.propose(History(Space({}, open=True)), 2)] == [{}, {}]
