"""Trials that people ask for: queued by hand, given as a list, repeated; and settings that are not searched."""

import re

import pytest
from telling import states, story

import tuneful as tn
from tuneful.errors import SpaceError, StudyError
from tuneful.history import State

SPACE = {
    "lr": tn.Log(1e-5, 1e-1, default=1e-3),
    "units": tn.Int(8, 64, default=16),
    "opt": tn.Switch({"adam": {}, "sgd": {"momentum": tn.Float(0, 0.99, default=0.5)}}, default="adam"),
}


def objective(lr, units, opt):
    return lr * units + opt.get("momentum", 0)


@pytest.fixture
def study(tmp_path):
    return tn.Study(SPACE, study=tmp_path / "a.db", seed=0)


def test_the_defaults_are_the_baseline_and_come_first(study):
    study.run(objective, trials=3, quiet=True)
    assert study.trials[0].params == {"lr": 1e-3, "units": 16, "opt": {"name": "adam"}}
    assert study.baseline.number == 0
    assert study.baseline.why == {"searcher": "default"}


def test_without_all_defaults_there_is_no_baseline(tmp_path):
    study = tn.Study({"lr": tn.Log(1e-5, 1e-1), "units": tn.Int(8, 64, default=16)}, seed=0)
    study.run(lambda lr, units: lr, trials=2, quiet=True)
    assert study.baseline is None


def test_what_is_queued_comes_next_in_order_and_is_completed(study):
    assert study.enqueue({"lr": 0.01}) == 1
    assert study.enqueue({"opt": {"name": "sgd", "momentum": 0.9}, "units": 32}) == 2
    assert study.enqueue({"opt.sgd.momentum": 0.1, "opt": "sgd"}) == 3
    study.run(objective, trials=6, quiet=True)
    assert [r.params for r in study.trials[1:4]] == [
        {"lr": 0.01, "units": 16, "opt": {"name": "adam"}},
        {"lr": 1e-3, "units": 32, "opt": {"name": "sgd", "momentum": 0.9}},
        {"lr": 1e-3, "units": 16, "opt": {"name": "sgd", "momentum": 0.1}},
    ]
    assert [r.why["searcher"] for r in study.trials[:4]] == ["default", "enqueued", "enqueued", "enqueued"]


def test_what_is_left_out_and_has_no_default_is_drawn_the_same_again(tmp_path):
    space = {"x": tn.Float(0, 1), "y": tn.Float(0, 1)}
    drawn = []
    for name in ("a", "b"):
        study = tn.Study(space, study=tmp_path / f"{name}.db", seed=4)
        study.enqueue({"x": 0.5})
        drawn.append(study.run(lambda x, y: x, trials=1, quiet=True).trials[0].params)
    assert drawn[0] == drawn[1]
    assert drawn[0]["x"] == 0.5
    assert 0 <= drawn[0]["y"] <= 1


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"learning_rate": 0.1}, r"`learning_rate`"),
        ({"lr": 5.0}, r"`lr`.*5\.0.*0\.1"),
        ({"lr": "high"}, r"`lr`.*'high'"),
        ({"units": 8.5}, r"`units`.*8\.5"),
        ({"opt": "lion"}, r"`opt`.*'lion'"),
        ({"opt": {"name": "adam", "momentum": 0.5}}, r"`opt\.adam\.momentum`.*`opt\.sgd\.momentum`"),
        ({"opt": "adam", "opt.sgd.momentum": 0.5}, r"`opt\.sgd\.momentum`.*adam.*Leave it out"),
        ({"lr": None}, r"`lr`.*None"),
        ({"lr": float("nan")}, r"`lr`.*nan"),
        ({1: 0.1}, r"enqueue\(\{1: 0\.1\}\): pass a dict from name"),
        ([0.1], r"enqueue\(\[0\.1\]\): pass a dict"),
    ],
)
def test_what_does_not_fit_the_space_is_refused_by_name_and_not_queued(study, params, message):
    with pytest.raises(SpaceError, match=message):
        study.enqueue(params)
    assert len(study.trials) == 1


def test_a_broken_constraint_is_told(tmp_path):
    study = tn.Study(tn.Space({"a": tn.Int(1, 9), "b": tn.Int(1, 9)}, ["b <= a"]), seed=0)
    with pytest.raises(SpaceError, match="b <= a"):
        study.enqueue({"a": 2, "b": 5})
    assert len(study.trials) == 0


def test_what_was_tried_is_refused_unless_it_is_a_repeat(study):
    study.run(objective, trials=1, quiet=True)
    with pytest.raises(StudyError, match=r"Trial 0 has this config already.*repeat=True"):
        study.enqueue({})
    study.enqueue({"units": 32})
    with pytest.raises(StudyError, match="Trial 1 has"):
        study.enqueue({"units": 32})
    assert len(study.trials) == 2


def test_repeats_have_seeds_of_their_own_and_are_averaged(study):
    seeds = []

    def noisy(trial):
        seeds.append(trial.seed)
        return [1.0, 0.4, 5.0, 0.5][trial.number]

    study.run(noisy, trials=2, quiet=True)
    assert study.enqueue(study.trials[1].params, repeat=True) == 2
    assert study.enqueue(study.trials[1].config, repeat=True) == 3
    study.run(noisy, trials=2, quiet=True)
    assert states(study) == ["done"] * 4
    assert len(set(seeds)) == 4
    assert [r.repeat_of for r in study.trials] == [None, None, 1, 1]
    assert study.history.started == 2, "repeats do not count"
    assert study.trials[1].mean == pytest.approx((0.4 + 5.0 + 0.5) / 3)
    assert study.best.number == 0


def test_a_trial_keeps_its_seed_when_it_is_started_again(study):
    first = study.ask()
    study.tell(first, state="queued")
    assert study.ask().seed == first.seed
    assert isinstance(first.seed, int)


def test_what_is_queued_while_a_study_is_over_is_run_by_the_next_go(tmp_path):
    study = tn.Study({"x": [1, 2, 3]}, study=tmp_path / "a.db", seed=0)
    study.run(lambda x: x, trials=2, quiet=True)
    left = ({1, 2, 3} - {r.params["x"] for r in study.trials}).pop()
    study.enqueue({"x": left})
    study.run(lambda x: x, trials=2, quiet=True)
    assert states(study) == ["done", "done", "queued"], "the limit counts what is queued too"
    study.run(lambda x: x, trials=3, quiet=True)
    assert states(study) == ["done"] * 3
    assert study.status == "complete"


def test_given_configs_are_tried_in_order_and_then_it_is_over(tmp_path):
    configs = [{"lr": 0.01}, {"units": 9}, {"lr": 0.01, "units": 16}, {"opt": "sgd"}]
    space = {**SPACE, "extra": tn.Float(0, 1)}
    for name in ("a", "b"):
        study = tn.Study(space, study=tmp_path / f"{name}.db", seed=0, search=tn.searchers.Given(configs))
        study.run(lambda **params: 1.0, trials=2 if name == "b" else None, quiet=True)
        study.run(lambda **params: 1.0, quiet=True)
        assert study.status == "exhausted"
    a, b = tn.open_study(tmp_path / "a.db"), tn.open_study(tmp_path / "b.db")
    assert story(a) == story(b)
    assert [r.config["lr"] for r in a.trials] == [0.01, 1e-3, 0.01, 1e-3]


# Define-by-run


def test_what_is_queued_before_the_space_is_known_is_tried(tmp_path):
    study = tn.Study(study=tmp_path / "a.db", seed=0)
    study.enqueue({"x": 0.25, "opt": "sgd"})
    study.close()

    def objective(trial):
        trial.suggest_categorical("opt", ["adam", "sgd"])
        return trial.suggest_float("x", 0, 1) + trial.suggest_int("n", 1, 9)

    study = tn.Study(study=tmp_path / "a.db", seed=0).run(objective, trials=3, quiet=True)
    assert states(study) == ["done"] * 3
    assert (study.trials[0].config["x"], study.trials[0].config["opt"]) == (0.25, "sgd")
    assert study.enqueue({"x": 0.75, "opt": "adam", "n": 3}) == 3
    assert study.enqueue({"x": 0.8}) == 4
    study.run(objective, trials=5, quiet=True)
    assert study.trials[3].config == {"x": 0.75, "opt": "adam", "n": 3}
    assert study.trials[4].config["x"] == 0.8
    with pytest.raises(StudyError, match="Trial 3 has this config"):
        study.enqueue({"x": 0.75, "opt": "adam", "n": 3})
    with pytest.raises(SpaceError, match=r"`n`.*11"):
        study.enqueue({"x": 0.7, "opt": "adam", "n": 11})


@pytest.mark.parametrize(
    ("params", "kind", "message"),
    [
        ({"x": 0.5, "typo": 1}, "SpaceError", "'typo'.*never asked for.*x"),
        ({"x": 7.0}, "SpaceError", r"`x`.*enqueued value.*7\.0"),
        ({"x": "high"}, "SpaceError", "`x`.*'high'"),
    ],
)
def test_what_does_not_fit_a_space_found_later_fails_by_name(tmp_path, params, kind, message):
    study = tn.Study(study=tmp_path / "a.db", seed=0)
    study.enqueue(params)
    study.run(lambda trial: trial.suggest_float("x", 0, 1), trials=3, quiet=True)
    assert states(study) == ["failed", "done", "done"]
    error = study.trials[0].error
    assert error["type"] == kind
    assert re.search(message, error["message"])


def test_what_no_store_can_keep_is_not_queued():
    study = tn.Study(seed=0)
    with pytest.raises(StudyError, match=r"enqueue: 'x' is .*object"):
        study.enqueue({"x": object()})
    assert len(study.trials) == 0


# System settings


def test_settings_are_handed_over_and_recorded_but_no_part_of_a_config(tmp_path):
    seen = []

    def train(trial, x, workers, pinned=False):
        seen.append((x, workers, pinned, trial.settings["workers"]))
        return x

    def go(trials, **settings):
        study = tn.Study({"x": [1, 2, 3, 4]}, study=tmp_path / "a.db", seed=0, settings=settings)
        study.run(train, trials=trials, quiet=True)
        return study

    go(2, workers=2, pinned=True).close()
    study = go(9, workers=4)
    assert study.status == "exhausted", "other settings make no other config"
    assert sorted(x for x, *_ in seen) == [1, 2, 3, 4]
    assert [each[1:] for each in seen] == [(2, True, 2)] * 2 + [(4, False, 4)] * 2
    assert [r.settings for r in study.trials] == [{"workers": 2, "pinned": True}] * 2 + [{"workers": 4}] * 2
    assert all(r.config.keys() == {"x"} for r in study.trials)
    assert "workers" not in study.space


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"device": object()}, "settings: 'device' is .*Pass text, numbers, lists or dicts"),
        ({"rung": (1, 2)}, "settings: 'rung'"),
        ({1: 2}, "settings: 1 is 2"),
        ({"x": 1}, "`x` is in the space and in settings="),
    ],
)
def test_impossible_settings_are_refused_before_anything_is_made(tmp_path, settings, message):
    with pytest.raises((StudyError, SpaceError), match=message):
        tn.Study({"x": [1, 2]}, study=tmp_path / "a.db", settings=settings)
    assert not (tmp_path / "a.db").exists()


def test_a_trial_told_as_another_state_is_what_was_told(study):
    for state in ("pruned", "failed"):
        trial = study.ask()
        trial.report(0.5)
        assert study.tell(trial, state=state)
        assert study.trials[trial.number].state == State[state.upper()]
    trial = study.ask()
    study.tell(trial, error=ValueError("out of memory"))
    assert study.trials[trial.number].error["message"] == "out of memory"
    trial = study.ask()
    study.tell(trial, error="by hand")
    assert study.trials[trial.number].error["message"] == "by hand"
