"""Bayesian optimization with a forest."""

import numpy as np
import pytest

from tuneful.errors import StudyError
from tuneful.history import History, State
from tuneful.searchers import Random
from tuneful.searchers.forest import Forest
from tuneful.space import Choice, Float, Int, Log, Space, Switch
from tuneful.testing import check_searcher
from tuneful.testing.histories import begin, end, value_of

MIXED = Space(
    {
        "model": Switch({"net": {"lr": Log(1e-5, 1), "layers": Int(1, 6)}, "tree": {"depth": Int(1, 20)}, "line": {}}),
        "scale": Float(0, 1),
        "kind": list("abcdef"),
    }
)


def value(config):
    """0 at best: the net with lr 1e-2 and 4 layers, scale 0.7, kind d."""
    rest = (config["scale"] - 0.7) ** 2 + 0.3 * (config["kind"] != "d")
    if config["model"] == "net":
        return rest + 0.1 * (np.log10(config["model.net.lr"]) + 2) ** 2 + 0.1 * abs(config["model.net.layers"] - 4)
    return rest + (0.5 if config["model"] == "line" else 0.2 + 0.02 * abs(config["model.tree.depth"] - 7))


def play(searcher, history, value, trials):
    while len(history) < trials:
        (proposal,) = searcher.propose(history, 1)
        found = value(proposal.config)
        trial = begin(history, proposal.config, why=proposal.why)
        end(history, trial, found, State.DONE if np.isfinite(found) else State.FAILED)
    return history


def test_it_keeps_the_laws():
    check_searcher(Forest(start=3, trees=10), learns=True)


def test_choices_and_conditions_are_where_it_is_far_ahead_of_random_search():
    model, random = (
        [play(who, History(MIXED, seed=s), value, 60).y.min() for s in range(3)] for who in (Forest(), Random())
    )
    assert np.mean(model) < 0.4 * np.mean(random)
    assert np.mean(model) < 0.08


def test_it_goes_round_where_trials_fail():
    space = Space({"x": Float(0, 1), "y": Float(0, 1)})
    history = play(
        Forest(), History(space), lambda c: np.inf if c["x"] > 0.5 else (c["x"] - 0.45) ** 2 + (c["y"] - 0.2) ** 2, 60
    )
    assert (history.state[-30:] == State.FAILED).sum() < 12
    assert history.means[history.best, 0] < 0.003


def test_trials_at_once_spread_out():
    space = Space({"x": Float(0, 1), "y": Float(0, 1)})
    history = play(Forest(), History(space), lambda c: (c["x"] - 0.4) ** 2 + (c["y"] - 0.4) ** 2, 30)
    x = np.array([list(p.config.values()) for p in Forest().propose(history, 8)])
    gaps = np.linalg.norm(x[:, None] - x[None], axis=2)[np.triu_indices(8, 1)]
    assert np.quantile(gaps, 0.2) > 1e-3
    assert gaps.max() > 0.05


def test_it_says_what_it_expects_and_from_what():
    history = play(Forest(), History(MIXED), lambda c: 1000 * value(c) + 5000, 40)
    (proposal,) = Forest().propose(history, 1)
    why = proposal.why
    y = history.y[:, 0]
    assert why["searcher"] == why["model"] == "forest"
    assert why["learned from"] == 40
    assert y.min() <= why["predicted"] <= np.median(y)
    assert 0 < why["spread"] < np.ptp(y)
    assert why["aim"] in ("explore", "exploit")
    assert np.mean(y[why["alike"]]) < np.median(y)


def test_only_the_order_of_values_counts():
    plain = play(Forest(), History(MIXED), value, 30)
    huge = play(Forest(), History(MIXED), lambda c: 1e140 * (value(c) - 0.4), 12)
    tiny = play(Forest(), History(MIXED), lambda c: 1e-300 * value(c), 30)
    assert [plain.config(t) for t in range(30)] == [tiny.config(t) for t in range(30)]
    assert [plain.config(t) for t in range(12)] == [huge.config(t) for t in range(12)]


def test_of_many_trials_it_learns_from_the_best_and_some_of_all_others():
    space = Space({"x": Float(0, 1), "k": list("abc")})
    history = History(space)
    for row in space.draw(np.random.default_rng(0).random((1500, 2))):
        config = space.config(row)
        end(history, begin(history, config), value_of(space, config))
    (proposal,) = Forest().propose(history, 1)
    assert proposal.why["learned from"] == 400
    assert proposal.config["k"] == "a"
    assert abs(proposal.config["x"] - 0.3) < 0.02


def test_a_space_of_many_parameters():
    space = Space({f"x{i}": Float(0, 1) for i in range(150)} | {f"c{i}": list("abc") for i in range(50)})
    history = play(Forest(), History(space), lambda c: c["x0"] + (c["c0"] != "b"), 15)
    assert history.text("why", 14)["model"] == "forest"


@pytest.mark.parametrize("name", ["start", "trees"])
def test_settings_that_cannot_be_are_refused(name):
    with pytest.raises(StudyError, match=f"Forest: {name} is 1. Pass at least 2"):
        Forest(**{name: 1})


def test_options_of_no_weight_are_left_out_while_there_are_others():
    space = Space({"x": Float(0, 1), "o": Choice(["never", "a", "b"], weights=[0, 1, 1])})
    history = play(Forest(), History(space, seed=1), lambda config: config["x"], 25)
    assert {history.config(trial)["o"] for trial in range(25)} == {"a", "b"}
