"""Studies that learn: one study in one go or in several, and every trial teaches, also one that was pruned."""

import math

import pytest
from telling import story

import tuneful as tn
from tuneful.history import State

SPACE = {
    "lr": tn.Log(1e-5, 1e-1),
    "opt": tn.Switch({"adam": {}, "sgd": {"momentum": tn.Float(0, 0.99)}}),
    "units": tn.Int(8, 64, log=True),
}


def loss(params):
    opt = params["opt"]
    rest = 0.3 if opt["name"] == "adam" else (opt["momentum"] - 0.9) ** 2
    return (math.log10(params["lr"]) + 2) ** 2 + rest + 0.01 * abs(math.log2(params["units"]) - 5)


def go(trials, place=None, objective=lambda trial, **params: loss(params), **options):
    study = tn.Study(SPACE, search="gp", seed=7, study=place, **options)
    return study.run(objective, trials=trials, quiet=True)


def sometimes(trial, **params):
    """Fails for some configs, which teaches too."""
    if params["lr"] > 0.05:
        raise ArithmeticError
    return loss(params)


def stepwise(trial, **params):
    """Comes down to its loss in steps."""
    final = loss(params)
    for step in trial.steps(6):
        trial.report(final + 2.0 / step)
    return final


@pytest.mark.parametrize("cut", [3, 11])
def test_a_study_that_is_resumed_goes_on_as_if_it_never_stopped(tmp_path, cut):
    whole = story(go(18, tmp_path / "whole.db"))
    go(cut, tmp_path / "a.db").close()
    assert story(go(18, tmp_path / "a.db")) == whole
    assert story(go(18)) == whole


@pytest.mark.parametrize("merit", ["bound", "thompson"])
def test_so_it_is_with_other_settings(tmp_path, merit):
    def part(trials, place=None):
        study = tn.Study(SPACE, search=tn.searchers.Gp(merit=merit), seed=7, study=place)
        return study.run(lambda trial, **params: loss(params), trials=trials, quiet=True)

    part(8, tmp_path / "a.db").close()
    assert story(part(14, tmp_path / "a.db")) == story(part(14))


def test_so_it_is_when_trials_fail(tmp_path):
    whole = go(16, objective=sometimes)
    go(7, tmp_path / "a.db", sometimes).close()
    assert story(go(16, tmp_path / "a.db", sometimes)) == story(whole)
    assert {record.state for record in whole.trials} == {State.DONE, State.FAILED}


def test_so_it_is_when_trials_are_pruned(tmp_path):
    whole = go(16, objective=stepwise, prune="median")
    go(9, tmp_path / "a.db", stepwise, prune="median").close()
    assert story(go(16, tmp_path / "a.db", stepwise, prune="median")) == story(whole)


def test_pruned_trials_teach():
    study = go(24, objective=stepwise, prune="median")
    pruned = [record for record in study.trials if record.state == State.PRUNED]
    assert pruned
    last = study.trials[23]
    assert last.why["learned from"] == 23
    assert study.best.value < 0.1


def test_ask_and_tell_learn_as_run_does(tmp_path):
    study = tn.Study(SPACE, search="gp", seed=7, study=tmp_path / "a.db", trials=14)
    while trial := study.ask():
        study.tell(trial, loss(trial.params))
    assert story(study) == story(go(14))


def test_a_plain_function_is_minimized_in_few_trials():
    def train(lr: float, momentum: float) -> float:
        return (math.log10(lr) + 2) ** 2 + (momentum - 0.9) ** 2

    space = {"lr": tn.Log(1e-5, 1e-1), "momentum": tn.Float(0, 1)}
    study = tn.minimize(train, space, trials=30, search="gp", seed=1, quiet=True)
    assert study.best.value < 1e-3
    assert study.trials[29].why["model"] == "gaussian process"


def test_what_it_says_of_a_maximized_metric_is_in_its_units():
    study = tn.maximize(lambda x: 90 - 50 * (x - 0.4) ** 2, {"x": tn.Float(0, 1)}, trials=12, search="gp", quiet=True)
    why = study.trials[11].why
    assert study.best.value == pytest.approx(90, abs=0.1)
    assert why["predicted"] == pytest.approx(90, abs=5)
    assert why["best"] == pytest.approx(90, abs=1)


def test_a_study_that_grows_learns_from_its_older_trials(tmp_path):
    def grow(space, trials):
        study = tn.Study(space, search="gp", seed=3, study=tmp_path / "a.db")
        return study.run(lambda trial, x, z=0.5: (x - 1.4) ** 2 + (z - 0.2) ** 2, trials=trials, quiet=True)

    grow({"x": tn.Float(0, 1)}, 10).close()
    study = grow({"x": tn.Float(0, 2), "z": tn.Float(0, 1)}, 26)
    assert study.trials[10].why["learned from"] == 10
    assert study.best.value < 0.01
    assert study.best.params["x"] == pytest.approx(1.4, abs=0.1)
