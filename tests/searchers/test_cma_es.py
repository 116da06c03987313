"""An evolution strategy for very many trials."""

import math
from itertools import pairwise

import numpy as np
import pytest

from tuneful.errors import StudyError
from tuneful.history import Bound, History, Objective, State
from tuneful.searchers import Sobol
from tuneful.searchers.cma_es import CmaEs
from tuneful.searchers.then import Then
from tuneful.space import Float, Int, Log, Space, Switch
from tuneful.testing import check_searcher
from tuneful.testing.histories import begin, end, rebuilt

CUBE = Space({f"x{i}": Float(0, 1) for i in range(10)})


def sphere(config):
    return sum((x - 0.37) ** 2 for x in config.values())


def ellipsoid(config):
    return sum(10 ** (4 * i / 9) * (x - 0.37) ** 2 for i, x in enumerate(config.values()))


def rosenbrock(config):
    x = [4 * value - 2 for value in config.values()]
    return sum(100 * (b - a * a) ** 2 + (1 - a) ** 2 for a, b in pairwise(x))


def play(searcher, history, value, trials, workers=1):
    """So many more trials; the one that has run longest ends first. What `value` cannot say has failed."""
    until = len(history) + trials
    while len(history) < until or history.of_state(State.RUNNING):
        room = min(workers - len(history.of_state(State.RUNNING)), until - len(history))
        for proposal in searcher.propose(history, room) if room else ():
            begin(history, proposal.config, why=proposal.why, seen=history.rev)
        running = history.of_state(State.RUNNING)
        if not running:
            break
        found = value(history.config(running[0]))
        end(history, running[0], found, State.FAILED if math.isnan(found) else State.DONE)
    return history


def best(history):
    return float(np.nanmin(np.where(np.isfinite(history.y[:, 0]), history.y[:, 0], np.nan)))


def test_it_keeps_the_laws():
    check_searcher(CmaEs(), learns=True)


@pytest.mark.parametrize("value", [sphere, ellipsoid, rosenbrock])
def test_it_is_far_ahead_of_an_even_filling_when_trials_are_many(value):
    found = best(play(CmaEs(), History(CUBE), value, 800))
    assert found < 0.1 * best(play(Sobol(), History(CUBE), value, 800))


def test_a_bowl_is_followed_to_its_ground():
    assert best(play(CmaEs(), History(CUBE), sphere, 1200)) < 1e-6


@pytest.mark.parametrize("workers", [10, 40])
def test_many_workers_are_no_hindrance(workers):
    assert best(play(CmaEs(), History(CUBE), sphere, 1500, workers)) < 1e-3


def test_numbers_stepped_numbers_and_options_together():
    space = Space(
        {
            **{f"x{i}": Float(0, 1) for i in range(3)},
            **{f"k{i}": Int(0, 20) for i in range(3)},
            **{f"c{i}": list("abcde") for i in range(3)},
            "units": Int(1, 1000, log=True),
        }
    )

    def value(config):
        numbers = sum((config[f"x{i}"] - 0.37) ** 2 + ((config[f"k{i}"] - 13) / 20) ** 2 for i in range(3))
        return (
            numbers + sum(0.2 * (config[f"c{i}"] != "d") for i in range(3)) + math.log(config["units"] / 200) ** 2 / 49
        )

    history = play(CmaEs(), History(space), value, 900)
    found = history.config(history.best)
    assert [found[f"k{i}"] for i in range(3)] == [13] * 3
    assert [found[f"c{i}"] for i in range(3)] == ["d"] * 3
    assert best(history) < 1e-4


def test_an_optimum_in_a_corner_is_met_exactly():
    assert best(play(CmaEs(), History(CUBE), lambda config: sum(config.values()), 600)) == 0


def test_it_goes_round_where_trials_fail():
    history = play(CmaEs(), History(CUBE), lambda c: math.nan if c["x0"] < 0.3 or c["x1"] > 0.6 else sphere(c), 900)
    assert best(history) < 1e-4


def test_parameters_that_do_not_exist_do_not_disturb():
    sgd, adam = {"lr": Log(1e-3, 1), "momentum": Float(0, 0.99)}, {"lr": Log(1e-5, 1e-2)}
    space = Space({"optimizer": Switch({"sgd": sgd, "adam": adam}), "x": Float(0, 1)})

    def value(config):
        lr = config["optimizer.sgd.lr"] if config["optimizer"] == "sgd" else 100 * config["optimizer.adam.lr"]
        return (config["optimizer"] == "adam") + math.log10(lr / 0.03) ** 2 + (config["x"] - 0.2) ** 2

    history = play(CmaEs(), History(space), value, 500)
    assert history.config(history.best)["optimizer"] == "sgd"
    assert best(history) < 1e-4


def test_only_the_order_of_values_counts():
    plain, huge = History(CUBE), History(CUBE)
    play(CmaEs(), plain, sphere, 60)
    play(CmaEs(), huge, lambda config: 1e300 * sphere(config) ** 3 - 1e290, 60)
    assert [plain.config(t) for t in range(60)] == [huge.config(t) for t in range(60)]


def test_a_study_that_is_opened_again_goes_on_in_the_same_way():
    history = play(CmaEs(), History(CUBE, seed=4), ellipsoid, 157, workers=3)
    again = rebuilt(history)
    assert CmaEs().propose(again, 5) == CmaEs().propose(history, 5)
    play(CmaEs(), history, ellipsoid, 60, workers=3)
    play(CmaEs(), again, ellipsoid, 60, workers=3)
    assert [again.config(t) for t in range(217)] == [history.config(t) for t in range(217)]


def test_a_result_that_changes_afterwards_is_learned_anew():
    history = play(CmaEs(), History(CUBE), sphere, 60)
    before = CmaEs().propose(history, 1)
    end(history, 3, -5.0)
    after = CmaEs().propose(history, 1)
    assert after != before
    assert after == CmaEs().propose(rebuilt(history), 1)


def test_it_begins_around_the_defaults():
    space = Space({"x": Float(0, 1, default=0.9), "lr": Log(1e-4, 1, default=1e-3)})
    x = space.encode(np.array([space.row(p.config) for p in CmaEs(sigma=0.01).propose(History(space), 20)]))
    assert np.allclose(x.mean(axis=0), [0.9, 0.25], atol=0.02)


def test_trials_of_others_are_generations_too():
    history = play(Then(Sobol(), 30, CmaEs()), History(CUBE), sphere, 31)
    assert history.text("why", 30)["generation"] == 3


def test_at_rest_it_begins_again_elsewhere_with_twice_the_population():
    space = Space({"x": Float(0, 1), "y": Float(0, 1)})
    history = play(CmaEs(), History(space), lambda c: (c["x"] - 0.3) ** 2 + (c["y"] - 0.6) ** 2, 900)
    whys = [history.text("why", trial) for trial in range(len(history))]
    first, second = (next(why for why in whys if why["restarts"] == k) for k in (0, 1))
    assert second["population"] == 2 * first["population"]
    assert second["sigma"] == first["sigma"] == 0.25


def test_pruned_trials_rank_by_how_far_they_got_and_behind_those_that_are_done():
    def history_with(last):
        history = History(CUBE)
        for proposal in CmaEs().propose(history, 10):
            trial = begin(history, proposal.config, why=proposal.why)
            for step in range(1, 3):
                history.report(trial, step, {"value": last if trial == 4 else 10.0 + trial})
            end(history, trial, 20.0 + trial, State.PRUNED if trial % 2 == 0 else State.DONE)
        return CmaEs().propose(history, 1)

    assert history_with(1.0) != history_with(50.0)  # the best of the pruned, or the worst
    assert history_with(1.0) == history_with(2.0)


def test_several_objectives_and_constraints_rank_too():
    history = History(CUBE, (Objective("a"), Objective("b")), [Bound("memory", 0.9)])
    for _ in range(60):
        (proposal,) = CmaEs().propose(history, 1)
        x = list(proposal.config.values())
        values = {"a": sum(x), "b": sum((v - 0.5) ** 2 for v in x), "memory": max(x)}
        end(history, begin(history, proposal.config, why=proposal.why), values)
    assert history.text("why", 59)["generation"] == 5


@pytest.mark.parametrize(
    ("settings", "message"), [({"population": 3}, "population is 3. Pass at least 4"), ({"sigma": 0}, "sigma is 0")]
)
def test_settings_that_cannot_be_are_refused(settings, message):
    with pytest.raises(StudyError, match=message):
        CmaEs(**settings)
