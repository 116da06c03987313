"""Bayesian optimization with a Gaussian process: ahead of chance, and at home in any study."""

import json
import math

import numpy as np
import pytest

from tuneful.errors import StudyError
from tuneful.history import History, Objective, State
from tuneful.searchers import Gp, Random
from tuneful.space import Choice, Float, Int, Log, Repeat, Space, Switch
from tuneful.testing import check_searcher, small_spaces
from tuneful.testing.histories import begin, end, value_of

PLANE = Space({"x": Float(0, 1), "y": Float(0, 1)})
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
MERITS = ["improvement", "bound", "thompson"]


def bowl(config):
    return (config["x"] - 0.3) ** 2 + (config["y"] - 0.7) ** 2


def wavy(config):
    return math.sin(9 * config["x"]) * math.cos(7 * config["y"]) + 0.3 * config["x"]


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


def play(searcher, history, value, trials=30, workers=1):
    while len(history) < trials:
        for proposal in searcher.propose(history, min(workers - len(history.of_state(State.RUNNING)), trials)):
            begin(history, proposal.config, why=proposal.why)
        running = history.of_state(State.RUNNING)
        if not running:
            return history
        found = value(history.config(running[0]))
        end(history, running[0], found, State.DONE if math.isfinite(found) else State.FAILED)
    return history


def told(space, rows, objective=None, seed=0):
    """A history of (config, value); a value of ... still runs, of None failed."""
    history = History(space, [objective or Objective()], seed=seed)
    for config, value in rows:
        trial = begin(history, config)
        if value is None:
            end(history, trial, state=State.FAILED)
        elif value is not ...:
            end(history, trial, value)
    return history


def scattered(n, value, seed=0):
    points = np.random.default_rng(seed).random((n, 2)).round(6).tolist()
    return [({"x": x, "y": y}, value({"x": x, "y": y})) for x, y in points]


def regret(searcher, space, value, trials, seeds):
    return np.array([play(searcher, History(space, seed=s), value, trials).y.min() for s in seeds])


def places(history):
    return np.array([list(history.config(trial).values()) for trial in range(len(history))])


@pytest.mark.parametrize("merit", ["bound", "thompson"])
def test_every_merit_keeps_the_laws(merit):
    spaces = {name: small_spaces()[name] for name in ("conditional", "finite")}
    check_searcher(Gp(merit=merit), learns=True, spaces=spaces)


@pytest.mark.parametrize("merit", MERITS)
def test_every_merit_leaves_random_search_far_behind_on_a_bowl(merit):
    model, chance = (regret(who, PLANE, bowl, 30, range(4)) for who in (Gp(merit=merit), Random()))
    assert model.max() < 1e-3
    assert np.all(model < 0.1 * np.median(chance))


def test_it_leaves_random_search_behind_where_there_are_choices_and_conditions():
    model, chance = (regret(who, NETS, net_loss, 30, range(3)) for who in (Gp(), Random()))
    assert model.mean() < 0.3 * chance.mean()
    assert model.max() < 0.03


def test_it_finds_the_better_of_two_valleys():
    def value(config):
        deep = 0.8 * math.exp(-25 * ((config["x"] - 0.85) ** 2 + (config["y"] - 0.15) ** 2))
        return 1 - deep - 0.5 * math.exp(-6 * ((config["x"] - 0.2) ** 2 + (config["y"] - 0.8) ** 2))

    assert np.median(regret(Gp(), PLANE, value, 40, range(3))) < 0.25


def test_noise_does_not_lead_it_astray():
    def value(config):
        key = int(1e6 * config["x"]) * 1009 + int(1e6 * config["y"])
        return bowl(config) + np.random.default_rng(key).normal(0, 0.05)

    for seed in range(2):
        late = places(play(Gp(), History(PLANE, seed=seed), value, 60))[30:]
        off = np.array([bowl({"x": x, "y": y}) for x, y in late])
        assert np.median(off) < 0.02
        assert len({tuple(row) for row in late.round(3)}) > 15


def test_a_trend_is_followed_to_the_end_of_the_range():
    history = play(Gp(), History(PLANE, seed=1), lambda c: 100 - 3 * c["x"] + c["y"], 15)
    assert history.y.min() == pytest.approx(97, abs=1e-6)


def test_every_config_of_a_finite_space_is_tried_and_none_twice():
    space = Space({"a": Int(1, 5), "b": list("vwxyz"), "c": Choice([1, 2, 3, 4, 5], ordered=True)})

    def value(config):
        return (config["a"] - 2.2) ** 2 + (config["b"] != "x") + config["c"] / 10

    history = play(Gp(), History(space), value, 60)
    assert len(history) == len({str(history.config(i)) for i in range(60)}) == 60
    assert np.argmin(history.y) < 30
    assert len(play(Gp(), history, value, 200)) == 125


def test_trials_at_once_are_apart_from_each_other_and_from_those_that_run():
    history = told(PLANE, [*scattered(25, wavy), ({"x": 0.2, "y": 0.5}, ...)])
    batch = [list(proposal.config.values()) for proposal in Gp().propose(history, 8)]
    gaps = [math.dist(a, b) for i, a in enumerate(batch) for b in batch[:i]]
    assert min(gaps) > 1e-3
    assert np.median(gaps) > 0.05
    assert min(math.dist(a, (0.2, 0.5)) for a in batch) > 1e-3


@pytest.mark.parametrize("merit", MERITS)
def test_with_many_workers_it_is_still_far_ahead(merit):
    history = play(Gp(merit=merit), History(PLANE, seed=2), bowl, 40, workers=8)
    assert history.y[np.isfinite(history.y)].min() < 2e-3


def test_a_batch_asks_the_process_of_what_has_ended_only():
    history = told(PLANE, scattered(15, bowl))
    one, two, three = Gp().propose(history, 3)
    assert [p.why.get("running", 0) for p in (one, two, three)] == [0, 1, 2]
    assert {p.why["learned from"] for p in (one, two, three)} == {15}


@pytest.mark.parametrize("merit", MERITS)
def test_why_is_in_data_in_the_sign_and_the_units_of_the_user(merit):
    rows = scattered(25, lambda c: 1000 - 500 * bowl(c))
    history = told(PLANE, rows, Objective("accuracy", maximize=True))
    (proposal,) = Gp(merit=merit).propose(history, 1)
    why = json.loads(json.dumps(dict(proposal.why), allow_nan=False))
    assert why["searcher"] == "gp"
    assert why["model"] == "gaussian process"
    assert why["of"] == "accuracy"
    assert why["learned from"] == 25
    assert 500 < why["predicted"] < 1010
    assert 0 < why["spread"] < 100
    assert why["best"] == pytest.approx(max(value for _, value in rows), abs=20)
    assert why["aim"] == ("exploit" if why["predicted"] > why["best"] else "explore")
    nearest = min(range(25), key=lambda i: math.dist(rows[i][0].values(), proposal.config.values()))
    assert nearest in why["alike"]
    assert len(why["alike"]) <= 3
    assert {"running", "chance of success"}.isdisjoint(why)


def test_why_tells_of_failures_and_of_what_runs():
    rows = [(config, None if config["x"] > 0.6 else value) for config, value in scattered(25, bowl)]
    history = told(PLANE, [*rows, ({"x": 0.5, "y": 0.1}, ...)])
    why = Gp().propose(history, 1)[0].why
    assert why["running"] == 1
    assert 0 < why["chance of success"] < 1
    assert why["learned from"] == sum(value is not None for _, value in rows)


def test_with_several_objectives_why_speaks_of_ranks():
    history = History(PLANE, [Objective("a"), Objective("b", maximize=True)])
    for config, _ in scattered(12, bowl):
        end(history, begin(history, config), {"a": config["x"] ** 2, "b": config["y"] - config["x"]})
    assert Gp().propose(history, 1)[0].why["of"] == "rank"


@pytest.mark.parametrize("maximize", [False, True])
def test_the_direction_changes_nothing_but_signs(maximize):
    sign = -1 if maximize else 1
    history = told(PLANE, [(c, sign * v) for c, v in scattered(20, bowl)], Objective("m", maximize=maximize))
    assert Gp().propose(history, 1)[0].config == Gp().propose(told(PLANE, scattered(20, bowl)), 1)[0].config


def test_the_first_trials_fill_the_space_and_are_no_model():
    proposals = Gp(start=7).propose(History(PLANE), 7)
    assert {proposal.why["aim"] for proposal in proposals} == {"start"}
    x = np.array([list(proposal.config.values()) for proposal in proposals])
    assert np.ptp(x, axis=0).min() > 0.5


@pytest.mark.parametrize(
    "value",
    [
        lambda x: 1e300 * (x - 0.5),
        lambda x: 1e-300 * x,
        lambda x: 5e-324 * int(10 * x),
        lambda x: 7.0 if x < 0.5 else 7.0 + 1e-15,
        lambda x: math.nan if x < 0.5 else x,
        lambda x: math.nan,
        lambda x: math.inf if x < 0.9 else x,
        lambda x: 3.0,
        lambda x: float(int(3 * x)),
        lambda x: 10.0 ** (300 * x),
        lambda x: -1.7e308 * x,
    ],
    ids=[
        "huge",
        "tiny",
        "denormal",
        "nearly-equal",
        "half-nan",
        "nan",
        "mostly-inf",
        "equal",
        "ties",
        "all-sizes",
        "overflow",
    ],
)
def test_it_gets_along_with_values_that_are(value):
    history = play(Gp(), History(PLANE), lambda c: value(c["x"]), 20, workers=2)
    assert len(history) == 20
    for trial in range(20):
        json.dumps(dict(history.text("why", trial)), allow_nan=False)


@pytest.mark.parametrize(
    "space",
    [
        Space({f"p{i}": Float(0, 1) if i % 3 else ["a", "b", "c"] for i in range(200)}),
        Space({"only": ["this"], "x": Float(0, 1)}),
        Space({"x": Float(-1e300, 1e300 / 2), "tiny": Log(1e-300, 1e-290), "huge": Log(1e-300, 1e300)}),
        Space({"steps": Int(1, 10**12, log=True), "even": Int(-(2**48), 2**48), "k": Int(1, 10**6)}),
        Space({"which": [str(i) for i in range(300)], "x": Float(0, 1)}),
        Space({"x": Float(0, 1), "y": Float(0, 1)}, ["x + y <= 0.1"]),
        Space({"n": Repeat(0, 2, {"u": Int(0, 16), "d": Float(0, 1, step=0.125)}), "k": Int(0, 15)}),
    ],
    ids=["200 parameters", "one option", "extreme", "many steps", "300 options", "tight", "conditions"],
)
@pytest.mark.parametrize("merit", MERITS)
def test_it_gets_along_with_a_space_that_is(space, merit):
    history = play(Gp(merit=merit), History(space), lambda c: value_of(space, c), 10, workers=3)
    assert len(history) == len({str(history.config(i)) for i in range(10)}) == 10
    assert all(space.satisfies(history.config(i)) for i in range(10))
    assert history.text("why", 9)["model"] == "gaussian process"


def test_where_there_is_but_one_config_it_is_tried_once():
    assert len(play(Gp(), History(Space({"only": ["this"]})), lambda c: 1.0)) == 1


@pytest.mark.parametrize("values", [[1.0], [1.0, 2.0], [1.0, 1.0, 1.0, 1.0, 1.0, 1.0 + 1e-12]])
def test_a_few_results_are_enough_to_go_on(values):
    history = told(PLANE, [(config, value) for (config, _), value in zip(scattered(6, bowl), values, strict=False)])
    assert len({str(proposal.config) for proposal in Gp(start=1).propose(history, 5)}) == 5


def test_a_single_disaster_does_not_blind_it():
    def value(config):
        return 1e30 if config["x"] > 0.8 else bowl(config)

    assert np.median(regret(Gp(), PLANE, value, 30, range(3))) < 1e-3


def test_of_many_trials_it_learns_from_the_best():
    history = told(PLANE, scattered(700, bowl))
    proposals = Gp().propose(history, 3)
    assert {proposal.why["learned from"] for proposal in proposals} == {400}
    assert min(bowl(proposal.config) for proposal in proposals) < 1e-3


def grown(before, after, config_after):
    """Trials of a smaller space that say where the best is, and then a larger space; what is proposed."""
    history = told(before, scattered(25, lambda c: -c["x"] + 0.2 * (c["y"] - 0.6) ** 2))
    history.move_to(after, 1)
    proposals = Gp().propose(history, 4)
    assert {proposal.why["learned from"] for proposal in proposals} == {25}
    return [config_after(proposal.config) for proposal in proposals]


def test_in_a_wider_range_it_goes_on_with_what_it_knows():
    after = Space({"x": Float(0, 2), "y": Float(0, 1)})
    found = grown(PLANE, after, lambda c: c["x"])
    assert max(found) > 1.2
    assert np.mean(found) > 1.0


def test_one_more_parameter_joins_what_it_knows():
    after = Space({"x": Float(0, 1), "y": Float(0, 1), "z": Float(0, 1), "w": ["a", "b"]})
    found = grown(PLANE, after, lambda c: (c["x"], c["z"], c["w"]))
    assert np.median([x for x, _, _ in found]) > 0.8
    assert len({z for _, z, _ in found}) > 1
    history = told(PLANE, scattered(25, lambda c: -c["x"]))
    history.move_to(after, 1)
    history = play(Gp(), history, lambda c: -c["x"] + (c["z"] - 0.5) ** 2 + (c["w"] == "a") - 0.1, 50)
    best = history.config(int(np.argmin(history.y)))
    assert history.y.min() < -1.08
    assert best["w"] == "b"
    assert best["z"] == pytest.approx(0.5, abs=0.15)


def test_a_study_that_has_grown_is_ahead_of_one_that_begins_anew():
    after = Space({"x": Float(0, 1), "y": Float(0, 1), "z": Float(0, 1), "w": ["a", "b"]})

    def value(config):
        return wavy(config) + 0.3 * (config["z"] - 0.5) ** 2 + 0.1 * (config["w"] == "a")

    grown, anew = [], []
    for seed in range(3):
        history = play(Gp(), History(PLANE, seed=seed), wavy, 30)
        history.move_to(after, 1)
        grown.append(play(Gp(), history, value, 42).y[30:].min())
        anew.append(play(Gp(), History(after, seed=seed), value, 12).y.min())
    assert np.mean(grown) < np.mean(anew) - 0.1


def test_one_more_option_is_tried_beside_what_it_knows():
    options = Space({"x": Float(0, 1), "opt": ["a", "b"]})
    rows = [({"x": c["x"], "opt": "ab"[i % 2]}, -c["x"] + i % 2) for i, (c, _) in enumerate(scattered(20, bowl))]
    history = told(options, rows)
    history.move_to(Space({"x": Float(0, 1), "opt": ["new", "a", "b"]}), 1)
    history = play(Gp(), history, lambda c: -c["x"] + {"a": 0, "b": 1, "new": -0.5}[c["opt"]], 32)
    late = [history.config(trial) for trial in range(20, 32)]
    assert "new" in {config["opt"] for config in late[:4]}
    assert sum(config["opt"] == "new" for config in late) > 5
    assert history.y[20:].min() == pytest.approx(-1.5, abs=0.05)


def test_a_new_branch_is_tried_beside_what_it_knows():
    before = Space({"s": Switch({"one": {"u": Float(0, 1)}, "two": {}})})
    after = Space({"s": Switch({"one": {"u": Float(0, 1)}, "two": {}, "three": {"v": Float(0, 1)}})})

    def value(config):
        return {"one": config.get("s.one.u"), "two": 0.9, "three": (config.get("s.three.v", 0) - 0.4) ** 2 - 1}[
            config["s"]
        ]

    history = play(Gp(), History(before), value, 12)
    history.move_to(after, 1)
    assert play(Gp(), history, value, 30).y.min() < -0.99


@pytest.mark.parametrize(
    "fails",
    [lambda c: c["x"] > 0.5, lambda c: c["x"] + c["y"] > 1],
    ids=["behind a border", "behind a slanting border"],
)
def test_it_learns_to_stay_where_trials_succeed_though_the_best_lies_behind_the_border(fails):
    def value(config):
        return math.inf if fails(config) else (config["x"] - 0.6) ** 2 + (config["y"] - 0.6) ** 2

    history = play(Gp(), History(PLANE, seed=0), value, 100)
    assert np.count_nonzero(history.state[-40:] == State.FAILED) <= 10
    assert history.y[history.best, 0] < 0.03


def test_failures_by_chance_do_not_hide_what_is_good():
    lost = np.random.default_rng(0).random(200) < 0.15
    history = History(PLANE, seed=0)
    play(Gp(), history, lambda config: math.inf if lost[len(history)] else bowl(config), 60)
    assert history.y[history.best, 0] < 0.01


def test_it_leaves_a_branch_in_which_nothing_is_to_be_gained():
    space = Space({"s": Switch({"dull": {"k": Int(1, 3)}, "rich": {"u": Float(0, 1), "v": Float(0, 1)}})})

    def value(config):
        if config["s"] == "dull":
            return 0.2 + 0.01 * config["s.dull.k"]
        return 0.1 + 4 * (abs(config["s.rich.u"] - 0.2) + abs(config["s.rich.v"] - 0.3))

    for seed in range(3):
        assert min(play(Gp(), History(space, seed=seed), value, 80).y[:, 0]) < 0.2


def test_options_of_no_weight_are_left_out_while_there_are_others():
    option = Choice(["never", "a", "b"], weights=[0, 1, 1])
    for space, value in (
        (Space({"x": Float(0, 1), "o": option}), lambda c: c["x"]),
        (Space({"k": Int(1, 20), "o": option}), lambda c: c["k"]),
    ):
        history = play(Gp(), History(space, seed=1), value, 25)
        assert {history.config(trial)["o"] for trial in range(25)} == {"a", "b"}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"merit": "ei"}, "Gp: merit is 'ei'. Pass one of improvement, bound, thompson"),
        ({"start": 0}, "Gp: start is 0. Pass at least 1"),
        ({"kappa": -1.0}, "Gp: kappa is -1.0. Pass 0 or more"),
        ({"kappa": math.nan}, "Gp: kappa is nan. Pass 0 or more"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings, message):
    with pytest.raises(StudyError, match=message):
        Gp(**settings)
