"""The density model of BOHB."""

import numpy as np
import pytest

import tuneful as tn
from tuneful.errors import StudyError
from tuneful.history import History, Row, State
from tuneful.searchers import Kde, Random
from tuneful.searchers.kde import _Density
from tuneful.space import Space

SPACE = Space({"x": tn.Float(0, 1), "y": tn.Float(0, 1)})


def history(n, at=lambda k: 1, space=SPACE, value=lambda config: (config["x"] - 0.3) ** 2 + config["y"]):
    """Trials of random configs, paused after `at(k)` steps."""
    made = History(space, seed=1)
    for k in range(n):
        [proposal] = Random().propose(made, 1)
        made.rev += 1
        row = Row(k, proposal.config, rev=made.rev, born=made.rev, begun=made.rev, state=State.PAUSED, attempt=1)
        row.step = at(k)
        made.apply(row)
        for step in range(1, at(k) + 1):
            made.report(k, step, {"value": value(proposal.config) + 1 / step})
    return made


def proposed(known, n=40, **settings):
    searcher, found = Kde(**settings), []
    for seed in range(n):
        known.seed = seed
        found += searcher.propose(known, 1)
    return found


def test_it_draws_near_the_good():
    found = [p.config for p in proposed(history(60), random=0.01)]
    x, y = (np.array([config[name] for config in found]) for name in "xy")
    assert np.median(np.abs(x - 0.3)) < 0.17
    assert np.median(y) < 0.25


def test_about_a_third_is_random():
    aims = [p.why.get("aim") for p in proposed(history(60), 200)]
    assert 0.2 < np.mean([aim == "random" for aim in aims]) < 0.47


def test_it_learns_at_the_furthest_step_that_enough_have_reached():
    steps = {p.why["learned at step"] for p in proposed(history(60, lambda k: 9 if k < 5 else 3), random=0.01)
             if "learned at step" in p.why}  # fmt: skip
    assert steps == {3}, "nine steps have five trials, and six are needed"
    steps = {p.why["learned at step"] for p in proposed(history(60, lambda k: 9 if k < 6 else 3), random=0.01)
             if "learned at step" in p.why}  # fmt: skip
    assert steps == {9}


def test_what_is_good_at_a_step_is_told_by_its_value_there():
    def value(config):
        return config["x"]

    known = history(40, lambda k: 3, value=value)
    for trial in range(40):
        known.report(trial, 4, {"value": -known.config(trial)["x"]})
    found = [p.config["x"] for p in proposed(known, random=0.01) if p.why.get("learned at step") == 4]
    assert np.median(found) > 0.75


def test_options_and_absent_parameters_are_part_of_the_densities():
    space = Space({"opt": tn.Switch({"sgd": {"m": tn.Float(0, 1)}, "adam": {}}), "x": tn.Float(0, 1)})
    known = history(60, space=space, value=lambda c: (c["opt"] == "adam") + c.get("opt.sgd.m", 0.0) + c["x"])
    found = [p.config for p in proposed(known, random=0.01)]
    assert np.mean([config["opt"] == "sgd" for config in found]) > 0.8


def test_a_density_is_the_mean_of_its_kernels():
    x = np.array([[0.2], [0.6]])
    density = _Density(x, np.array([0.1]), np.array([0]))
    z = (0.3 - x[:, 0]) / 0.1
    assert density(np.array([[0.3]]))[0] == pytest.approx(np.mean(np.exp(-0.5 * z**2) / (0.1 * np.sqrt(2 * np.pi))))
    grid = np.linspace(-1, 2, 4001)[:, None]
    assert density(grid).mean() * 3 == pytest.approx(1.0, abs=1e-3)


def test_the_probabilities_of_options_add_up_to_one():
    middle = np.array([[1 / 6], [0.5], [5 / 6]])
    density = _Density(middle[:2], np.array([0.3]), np.array([3]))
    assert density(middle).sum() == pytest.approx(1.0)


def test_points_are_drawn_inside():
    density = _Density(np.array([[0.0], [1.0]]), np.array([0.2]), np.array([0]))
    drawn = density.drawn(500, 3.0, 1e-3, np.random.default_rng(0))
    assert drawn.min() >= 0
    assert drawn.max() <= 1
    assert 0.2 < drawn.std() < 0.45


def test_failures_are_bad():
    known = history(30)
    for k in range(30, 50):
        known.rev += 1
        config = {"x": 0.3 + k / 1e6, "y": 0.001}
        known.apply(Row(k, config, rev=known.rev, born=known.rev, begun=known.rev, ended=known.rev, state=State.FAILED))
    found = [p.config for p in proposed(known, random=0.01)]
    assert np.mean([abs(c["x"] - 0.3) < 0.05 and c["y"] < 0.05 for c in found]) < 0.3


@pytest.mark.parametrize("settings", [{"good": 0.0}, {"random": 1.0}])
def test_impossible_shares_are_refused(settings):
    with pytest.raises(StudyError, match="pass a share between 0 and 1"):
        Kde(**settings)
