"""Random search: the distributions that the space asks for, and no config twice."""

import numpy as np
import pytest
from scipy import stats

from tuneful.history import History
from tuneful.searchers import Random, draws
from tuneful.searchers.draws import BLOCK
from tuneful.space import Choice, Float, Int, Log, Space, Switch
from tuneful.space.beliefs import LogNormal, Normal
from tuneful.testing.histories import begin

N = 1_000


@pytest.fixture(scope="module")
def columns():
    spec = {
        "uniform": Float(-2, 3),
        "log": Log(1e-5, 1e-1),
        "int": Int(1, 10),
        "normal": Float(0, 1, belief=Normal(0.3, 0.2)),
        "lognormal": Log(1e-5, 1, belief=LogNormal(1e-3, 3)),
        "weighted": Choice(["a", "b", "c"], weights=[1, 2, 5]),
        "plain": ["x", "y", "z", None],
        "switch": Switch({"on": {"inner": Float(0, 1)}, "off": {}}, weights=[3, 1]),
    }
    history = History(Space(spec), seed=7)
    configs = [proposal.config for proposal in Random().propose(history, N)]
    return {path: [config[path] for config in configs if path in config] for path in history.space.paths}


def truncated(mean, sd, low, high):
    return stats.truncnorm((low - mean) / sd, (high - mean) / sd, mean, sd).cdf


@pytest.mark.parametrize(
    ("path", "changed", "cdf"),
    [
        ("uniform", None, stats.uniform(-2, 5).cdf),
        ("log", np.log, stats.uniform(np.log(1e-5), np.log(1e4)).cdf),
        ("normal", None, truncated(0.3, 0.2, 0, 1)),
        ("lognormal", np.log, truncated(np.log(1e-3), np.log(3), np.log(1e-5), 0)),
        ("switch.on.inner", None, stats.uniform(0, 1).cdf),
    ],
)
def test_a_number_is_drawn_from_its_scale_or_from_what_is_believed(columns, path, changed, cdf):
    values = np.array(columns[path]) if changed is None else changed(columns[path])
    assert stats.kstest(values, cdf).pvalue > 0.01


@pytest.mark.parametrize(
    ("path", "shares"),
    [
        ("int", dict.fromkeys(range(1, 11), 1 / 10)),
        ("weighted", {"a": 1 / 8, "b": 2 / 8, "c": 5 / 8}),
        ("plain", {"x": 1 / 4, "y": 1 / 4, "z": 1 / 4, None: 1 / 4}),
        ("switch", {"on": 3 / 4, "off": 1 / 4}),
    ],
)
def test_an_option_is_drawn_as_often_as_its_weight_says(columns, path, shares):
    values = columns[path]
    assert set(values) == set(shares)
    found = [values.count(option) for option in shares]
    assert stats.chisquare(found, [share * len(values) for share in shares.values()]).pvalue > 0.01


def test_parameters_are_drawn_apart_from_each_other(columns):
    numbers = np.array([columns[path] for path in ("uniform", "log", "int", "normal")])
    apart = np.abs(np.corrcoef(numbers))[~np.eye(len(numbers), dtype=bool)]
    assert apart.max() < 0.1


def test_the_seed_and_the_number_of_a_trial_decide_its_config():
    space = Space({"x": Float(0, 1)})
    streams = [[p.config["x"] for p in Random().propose(History(space, seed=seed), 3 * BLOCK)] for seed in (0, 0, 1)]
    assert streams[0] == streams[1]
    assert not set(streams[0]) & set(streams[2])
    assert len(set(streams[0])) == 3 * BLOCK


def test_a_finite_space_is_drawn_to_its_last_config_and_no_further():
    space = Space({"a": Int(1, 7), "b": [True, False, None]}, ["a != 3"])
    history = History(space, seed=1)
    drawn = []
    while proposals := Random().propose(history, 4):
        drawn += [repr(proposal.config) for proposal in proposals]
        for proposal in proposals:
            begin(history, proposal.config)
    assert len(drawn) == len(set(drawn)) == space.size == 18


def test_a_space_that_begins_empty_gets_empty_configs():
    assert [p.config for p in Random().propose(History(Space({}, open=True)), 3)] == [{}, {}, {}]


def test_a_space_that_cannot_be_listed_is_given_up_at_last(monkeypatch):
    monkeypatch.setattr(draws, "_LISTED", 2)
    monkeypatch.setattr(draws, "_TRIED", {True: 4, False: 50})
    history = History(Space({"a": Int(1, 3)}))
    while proposals := Random().propose(history, 1):
        begin(history, proposals[0].config)
    assert sorted(history.config(trial)["a"] for trial in range(len(history))) == [1, 2, 3]
