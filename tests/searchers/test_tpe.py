"""The tree-structured Parzen estimator: it learns from all that a history says, at a bounded cost."""

import json
import math

import numpy as np
import pytest

from tuneful.errors import StudyError
from tuneful.history import History, Row, State
from tuneful.searchers import Random
from tuneful.searchers.tpe import Tpe
from tuneful.space import Choice, Float, Int, Log, Space, Switch
from tuneful.space.beliefs import Normal
from tuneful.testing import check_searcher
from tuneful.testing.histories import begin, end

PLANE = Space({"x": Float(0, 1), "y": Float(0, 1)})
CUBE = Space({f"x{i}": Float(0, 1) for i in range(5)})
NETS = Space(
    {
        "model": Switch(
            {
                "net": {"lr": Log(1e-5, 1), "layers": Int(1, 8), "act": ["relu", "tanh", "gelu"]},
                "tree": {"depth": Int(1, 20), "eta": Log(1e-4, 1)},
                "linear": {"l2": Log(1e-6, 1e2)},
            }
        ),
        "scale": ["none", "standard", "rank"],
    }
)


def net_loss(config):
    scale = {"none": 0.2, "standard": 0.0, "rank": 0.1}[config["scale"]]
    match config["model"]:
        case "net":
            act = {"relu": 0.02, "tanh": 0.05, "gelu": 0.0}[config["model.net.act"]]
            lr, layers = math.log10(config["model.net.lr"]) + 2.5, config["model.net.layers"] - 4
            return scale + act + 0.03 * lr**2 + 0.01 * layers**2
        case "tree":
            return 0.15 + scale + 0.002 * (config["model.tree.depth"] - 7) ** 2
        case _:
            return 0.3 + scale + 0.01 * math.log10(config["model.linear.l2"]) ** 2


def play(searcher, history, value, trials=60, workers=1):
    while len(history) < trials:
        for proposal in searcher.propose(history, workers - len(history.of_state(State.RUNNING))):
            begin(history, proposal.config, why=proposal.why)
        running = history.of_state(State.RUNNING)
        if not running:
            return history
        found = value(history.config(running[0]))
        end(history, running[0], found, State.DONE if math.isfinite(found) else State.FAILED)
    return history


def told(space, rows, seed=0):
    """A history of (config, value); a value of None is a failure, of ... still runs."""
    history = History(space, seed=seed)
    for config, value in rows:
        trial = begin(history, config)
        if value is None:
            end(history, trial, state=State.FAILED)
        elif value is not ...:
            end(history, trial, value)
    return history


def plane(n, value, seed=0):
    points = np.random.default_rng(seed).random((n, 2)).round(6).tolist()
    return [({"x": x, "y": y}, value(x, y)) for x, y in points]


def asked(searcher, history, times=40):
    """What it would propose, over many seeds, with nothing changed in between."""
    found = []
    for seed in range(times):
        history.seed = seed
        found.append(searcher.propose(history, 1)[0].config)
    return found


@pytest.mark.parametrize("joint", [True, False])
def test_it_keeps_the_laws(joint):
    check_searcher(Tpe(joint=joint), learns=True)


@pytest.mark.parametrize(
    ("joint", "space", "value"),
    [
        (True, NETS, net_loss),
        (True, CUBE, lambda config: sum((u - 0.3) ** 2 for u in config.values())),
        (False, CUBE, lambda config: sum((u - 0.3) ** 2 for u in config.values())),
    ],
    ids=["joint, with conditions", "joint", "apart"],
)
def test_it_beats_random_search(joint, space, value):
    best = {}
    for searcher in (Tpe(joint=joint), Random()):
        studies = [play(searcher, History(space, seed=seed), value) for seed in range(6)]
        best[type(searcher)] = np.mean([study.y.min() for study in studies])
    assert best[Tpe] < 0.6 * best[Random]


def test_it_looks_where_the_good_are_and_the_bad_are_not():
    rows = plane(60, lambda x, y: (x - 0.8) ** 2 + (y - 0.2) ** 2)
    configs = asked(Tpe(), told(PLANE, rows))
    assert np.median([math.dist((c["x"], c["y"]), (0.8, 0.2)) for c in configs]) < 0.15


def test_joint_it_learns_that_values_go_together():
    rows = plane(80, lambda x, y: abs(x - y) + 0.1 * abs(x - 0.5))
    apart, joint = (
        np.mean([abs(c["x"] - c["y"]) for c in asked(Tpe(joint=which, gamma=0.3), told(PLANE, rows))])
        for which in (False, True)
    )
    assert joint < 0.7 * apart


def test_it_learns_which_branch_is_good_and_what_is_good_in_it():
    history = play(Tpe(), History(NETS, seed=3), net_loss, 50)
    late = [history.config(trial) for trial in range(20, 50)]
    nets = [config for config in late if config["model"] == "net"]
    assert len(nets) > 12
    assert np.median([abs(math.log10(config["model.net.lr"]) + 2.5) for config in nets]) < 0.8


@pytest.mark.parametrize("outcome", [None, ...], ids=["failed", "running"])
def test_it_keeps_away_from_what_failed_and_from_what_still_runs(outcome):
    rows = plane(200, lambda x, y: (x - 0.5) ** 2 + (y - 0.5) ** 2)
    there = [({"x": 0.5 + i / 1000, "y": 0.5 + j / 1000}, outcome) for i in range(-4, 5) for j in range(-4, 5)]

    def near(rows):
        configs = asked(Tpe(), told(PLANE, rows))
        return np.mean([math.dist((c["x"], c["y"]), (0.5, 0.5)) < 0.08 for c in configs])

    before = near(rows)
    assert before > 0.3
    assert near(rows + there) < before / 3


def test_a_batch_spreads_out():
    history = told(PLANE, plane(40, lambda x, y: (x - 0.5) ** 2 + (y - 0.5) ** 2))
    batch = [list(proposal.config.values()) for proposal in Tpe().propose(history, 8)]
    apart = [math.dist(a, b) for i, a in enumerate(batch) for b in batch[:i]]
    assert min(apart) > 1e-3
    assert np.mean(apart) > 0.05


def test_where_half_of_the_space_fails_it_learns_to_stay_in_the_other():
    def value(config):
        return math.inf if config["x"] + config["y"] > 1 else (config["x"] - 0.6) ** 2 + (config["y"] - 0.6) ** 2

    failed = [play(Tpe(), History(PLANE, seed=seed), value).state == State.FAILED for seed in range(5)]
    assert np.mean([late[30:] for late in failed]) < 0.5
    assert np.mean(failed) < 0.5


def test_noise_does_not_mislead_it():
    def value(config):
        key = int(1e6 * config["x"]) * 1009 + int(1e6 * config["y"])
        noise = np.random.default_rng(key).normal(0, 0.02)
        return (config["x"] - 0.3) ** 2 + (config["y"] - 0.7) ** 2 + noise

    history = play(Tpe(), History(PLANE, seed=1), value, 100)
    late = np.array([list(history.config(trial).values()) for trial in range(60, 100)])
    assert math.dist(np.median(late, axis=0), (0.3, 0.7)) < 0.15


def test_it_begins_where_the_user_believes():
    space = Space({"x": Float(0, 1, belief=Normal(0.2, 0.05)), "opt": Choice(["a", "b"], weights=[0, 1])})
    history = play(Tpe(), History(space, seed=0), lambda c: c["x"], 30)
    configs = [history.config(trial) for trial in range(5, 30)]
    assert {config["opt"] for config in configs} == {"b"}
    assert max(config["x"] for config in configs) < 0.6


def test_it_says_why_in_data():
    rows = plane(40, lambda x, y: (x - 0.8) ** 2 + (y - 0.2) ** 2)
    history = told(PLANE, rows)
    (proposal,) = Tpe().propose(history, 1)
    why = json.loads(json.dumps(dict(proposal.why), allow_nan=False))
    assert why.keys() == {"searcher", "model", "aim", "alike", "learned from"}
    best = np.argsort(history.y[:, 0])[:4]
    assert set(why["alike"]) == set(best.tolist())
    assert why["aim"] in ("explore", "exploit")
    assert Tpe().propose(History(PLANE), 1)[0].why == {"searcher": "tpe", "aim": "start"}


def test_what_has_been_tried_is_not_tried_again_and_every_config_of_a_finite_space_is():
    space = Space({"a": Int(1, 6), "b": ["x", "y", "z"]})
    history = play(Tpe(), History(space), lambda c: c["a"] + (c["b"] == "y"), 100)
    assert len(history) == space.size == 18


@pytest.mark.parametrize(
    "space",
    [
        Space({f"p{i}": Float(0, 1) if i % 3 else ["a", "b", "c"] for i in range(200)}),
        Space({"only": ["this"], "x": Float(0, 1)}),
        Space({"x": Float(-1e300, 1e300 / 2), "tiny": Log(1e-300, 1e-290), "huge": Log(1e-300, 1e300)}),
        Space({"steps": Int(1, 10**12, log=True), "even": Int(-(2**48), 2**48), "k": Int(1, 10**6)}),
    ],
    ids=["200 parameters", "one option", "extreme ranges", "very many values"],
)
@pytest.mark.parametrize("joint", [True, False])
def test_it_gets_along_with(space, joint):
    history = play(Tpe(joint=joint), History(space), lambda c: float(len(str(c))), 16, workers=3)
    assert len(history) == 16


@pytest.mark.parametrize(
    "value",
    [
        lambda x: 1e300 * (x - 0.5),
        lambda x: 1e-300 * x,
        lambda x: 7.0 if x < 0.5 else 7.0 + 1e-15,
        lambda x: math.nan if x < 0.5 else x,
        lambda x: 3.0,
    ],
    ids=["huge", "tiny", "nearly equal", "half unknown", "equal"],
)
def test_it_gets_along_with_values_that_are(value):
    history = play(Tpe(), History(PLANE), lambda c: value(c["x"]), 30)
    assert len(history) == 30


def test_a_hundred_thousand_trials_are_learned_from():
    space = Space({"x": Float(0, 1), "k": Int(1, 10**6), "opt": ["a", "b"]})
    history = History(space)
    x = space.draw(np.random.default_rng(0).random((100_000, 3)))
    rows = []
    for trial, row in enumerate(x):
        config = space.config(row)
        value = (config["x"] - 0.3) ** 2 + (config["opt"] == "a")
        rows.append(
            Row(
                trial,
                config,
                state=State.DONE,
                rev=trial + 1,
                born=trial + 1,
                begun=trial + 1,
                ended=trial + 1,
                values={"value": value},
            )
        )
    history.apply_all(rows)
    configs = [proposal.config for proposal in Tpe().propose(history, 20)]
    assert np.median([abs(config["x"] - 0.3) for config in configs]) < 0.1
    assert {config["opt"] for config in configs} <= {"a", "b"}
    assert sum(config["opt"] == "b" for config in configs) > 15


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"gamma": 1}, r"gamma is 1\. Pass a number above 0 and below 1\."),
        ({"gamma": 0}, "gamma is 0"),
        ({"width": -1}, r"width is -1\. Pass a number above 0\."),
        ({"prior": math.nan}, "prior is nan"),
        ({"start": 0}, r"start is 0\. Pass at least 1\."),
        ({"candidates": 0}, "candidates is 0"),
    ],
)
def test_a_setting_out_of_range_is_refused(settings, message):
    with pytest.raises(StudyError, match=message):
        Tpe(**settings)
