"""The space changes from one go to the next, or is found out as trials ask for parameters."""

import numpy as np
import pytest
from telling import running, script, states, story

import tuneful as tn
from tuneful.errors import SpaceError
from tuneful.history import State


def go(path, space, trials, **options):
    """Open, run and close: the story, the encoded trials and which of them are inside."""
    study = tn.Study(space, study=path, seed=0, search="random", **options)
    study.run(
        lambda trial, **params: float(sum(v for v in params.values() if not isinstance(v, str))),
        trials=trials,
        quiet=True,
    )
    found = story(study), study.history.x.copy(), study.history.inside.tolist(), [r.params for r in study.trials]
    study.close()
    return found


@pytest.fixture
def path(tmp_path):
    return tmp_path / "a.db"


BASE = {"x": tn.Float(0, 1), "opt": ["adam", "sgd"]}


def test_a_wider_range_keeps_the_old_trials_in_use(path):
    before, old, _, _ = go(path, BASE, 6)
    after, x, inside, _ = go(path, BASE | {"x": tn.Float(0, 2)}, 20)
    assert after[:6] == before
    assert inside == [True] * 20
    np.testing.assert_allclose(x[:6, 0], old[:, 0] / 2)
    assert max(config["x"] for _, _, config, _, _ in after) > 1


def test_one_more_option_keeps_the_old_trials_in_use(path):
    before, _, _, _ = go(path, BASE, 6)
    after, x, inside, params = go(path, BASE | {"opt": ["lion", "adam", "sgd"]}, 20)
    assert after[:6] == before
    assert inside == [True] * 20
    study = tn.open_study(path)
    decoded = [study.space.nested(study.space.config(row))["opt"] for row in study.space.decode(study.history.x)]
    assert decoded == [each["opt"] for each in params]
    assert "lion" in decoded[6:]


def test_a_narrower_range_keeps_the_results_and_hides_what_is_outside(path):
    before, _, _, _ = go(path, BASE, 10)
    after, x, inside, params = go(path, BASE | {"x": tn.Float(0.25, 0.75)}, 20)
    assert after[:10] == before
    xs = [each["x"] for each in params]
    assert inside == [0.25 <= each <= 0.75 for each in xs]
    assert not all(inside)
    assert all(inside[10:])
    assert np.isnan(x[~np.array(inside)]).all()
    study = tn.open_study(path)
    assert study.best.number == min(range(20), key=lambda n: xs[n])


def test_an_option_less_hides_its_trials(path):
    go(path, BASE, 10)
    _, _, inside, params = go(path, BASE | {"opt": ["adam", "lion"]}, 16)
    assert inside == [each["opt"] != "sgd" for each in params]


def test_an_added_parameter_is_searched_from_then_on(path):
    before, _, _, _ = go(path, BASE, 6)
    after, x, inside, params = go(path, BASE | {"y": tn.Float(0, 1)}, 12)
    assert after[:6] == before
    assert inside == [True] * 12
    assert ["y" in each for each in params] == [False] * 6 + [True] * 6
    assert np.isnan(x[:, 2]).tolist() == [True] * 6 + [False] * 6


def test_going_back_to_an_earlier_space_brings_everything_back(path):
    first, x, _, _ = go(path, BASE, 6)
    go(path, BASE | {"x": tn.Float(0.4, 0.6), "y": tn.Float(0, 1)}, 6)
    again, y, inside, _ = go(path, BASE, 6)
    assert again == first
    assert inside == [True] * 6
    np.testing.assert_array_equal(x, y)


def test_the_stored_space_is_taken_if_none_is_given(path):
    go(path, BASE, 3)
    go(path, BASE | {"x": tn.Float(0, 3)}, 3)
    assert tn.open_study(path).space == tn.Space(BASE | {"x": tn.Float(0, 3)})


@pytest.mark.parametrize("other", [tn.Int(0, 1), ["a", "b"], tn.Bool()])
def test_another_kind_under_the_same_name_is_an_error_that_changes_nothing(path, other):
    before, *_ = go(path, BASE, 4)
    with pytest.raises(SpaceError, match=r"`x`.*Float\(0.*(kind|name)"):
        tn.Study(BASE | {"x": other}, study=path)
    study = tn.open_study(path)
    assert story(study) == before
    assert study.space == tn.Space(BASE)


def test_what_waits_in_the_queue_is_made_to_fit_the_new_space(path):
    study = tn.Study(BASE, study=path, seed=0)
    study.enqueue({"x": 0.5, "opt": "sgd"})
    study.enqueue({"x": 0.9, "opt": "adam"})
    study.close()
    wide = {"x": tn.Float(0, 0.7), "opt": ["adam", "sgd", "lion"], "y": tn.Float(0, 1, default=0.125)}
    study = tn.Study(wide, study=path, seed=0)
    seen = []
    study.run(lambda **params: seen.append(params) or 1.0, trials=2, quiet=True)
    assert seen == [{"x": 0.5, "opt": "sgd", "y": 0.125}, {"x": 0.9, "opt": "adam"}]
    study.close()
    study = tn.open_study(path)
    assert [r.params for r in study.trials] == seen
    assert study.history.inside.tolist() == [True, False]
    assert not running(study)


def test_what_was_interrupted_goes_on_when_a_parameter_was_added(path):
    study = tn.Study(BASE, study=path, seed=0)
    trial = study.ask()
    trial.report(1.0, step=1)
    trial.save({"w": 1})
    config = dict(trial.params)
    study.tell(trial, state="queued")
    study.close()
    for _ in range(2):  # again, and what was filled in is the same
        study = tn.Study(BASE | {"y": tn.Float(0, 1)}, study=path, seed=0)
        again = study.ask()
        assert (again.number, again.load()) == (0, {"w": 1})
        assert {name: again.params[name] for name in config} == config
        filled = again.params["y"]
        study.tell(again, state="queued")
        study.close()
    study = tn.Study(BASE | {"y": tn.Float(0, 1)}, study=path, seed=0)
    study.tell(study.ask(), 2.0)
    study.close()
    assert tn.open_study(path).trials[0].params == config | {"y": filled}


def test_a_switch_may_gain_a_case(path):
    cases = {"sgd": {"momentum": tn.Float(0, 0.99)}, "adam": {}}
    go_on = {"lion": {"beta": tn.Float(0.8, 1)}}

    def run(cases, trials):
        study = tn.Study({"opt": tn.Switch(cases)}, study=path, seed=0, search="random")
        study.run(lambda opt: float(len(opt)), trials=trials, quiet=True)
        found = [r.params for r in study.trials]
        study.close()
        return found

    before = run(cases, 5)
    after = run(cases | go_on, 25)
    assert after[:5] == before
    assert {each["opt"]["name"] for each in after} == {"sgd", "adam", "lion"}


def test_options_may_be_any_objects_that_the_code_has_again(path):
    kinds = {"list": list, "tuple": tuple, "none": None, "print": print}
    space = {"kind": tn.Choice(kinds), "size": tn.Choice([(8, 8), (16,)])}
    seen = []

    def objective(kind, size):
        seen.append((kind, size))
        return 1.0

    tn.Study(space, study=path, seed=0).run(objective, trials=4, quiet=True).close()
    study = tn.Study(space, study=path, seed=0).run(objective, trials=8, quiet=True)
    assert [(r.params["kind"], r.params["size"]) for r in study.trials] == seen
    assert len(set(seen)) == 8


# Define-by-run


def wild(trial):
    """A network whose shape is found out as it is built."""
    total = 0.0
    for k in range(trial.suggest_int("layers", 1, 3)):
        total += trial.suggest_int(f"units{k}", 8, 64, log=True)
        if trial.suggest_categorical(f"drop{k}", [True, False]):
            total += trial.suggest_float(f"rate{k}", 0.1, 0.5, step=0.1)
    if trial.suggest_categorical("opt", ["adam", "sgd"]) == "sgd":
        total *= trial.suggest_float("momentum", 0.0, 0.99)
    return total


def expected(config):
    """The very names that `wild` asks for under these values."""
    names = {"layers", "opt"} | ({"momentum"} if config["opt"] == "sgd" else set())
    for k in range(config["layers"]):
        names |= {f"units{k}", f"drop{k}"} | ({f"rate{k}"} if config[f"drop{k}"] else set())
    return names


def check_wild(study):
    for record in study.trials:
        assert record.state == State.DONE
        assert record.config.keys() == expected(record.config)
    history, first = study.history, {}
    for record in study.trials:
        earlier = first.setdefault(str(record.config), record.number)
        # What two ask for that run at the same time, neither can know before.
        assert earlier == record.number or history.seen[record.number] < history.ended[earlier]


@pytest.mark.parametrize("search", ["auto", "random", "sobol"])
def test_the_space_grows_as_trials_ask(path, search):
    study = tn.Study(study=path, seed=1, search=search).run(wild, trials=12, quiet=True)
    check_wild(study)
    study.close()
    study = tn.Study(study=path, seed=1, search=search).run(wild, trials=30, quiet=True)
    check_wild(study)
    assert set(study.space.paths) == set().union(*(r.config for r in study.trials))
    assert study.history.inside.all()
    asked = [[path in r.config for path in study.space.paths] for r in study.trials]
    np.testing.assert_array_equal(~np.isnan(study.history.x), asked)


def test_two_processes_find_out_a_space_together(path):
    code = """
def wild(trial):
    total = 0.0
    for k in range(trial.suggest_int("layers", 1, 3)):
        total += trial.suggest_int(f"units{k}", 8, 64, log=True)
        if trial.suggest_categorical(f"drop{k}", [True, False]):
            total += trial.suggest_float(f"rate{k}", 0.1, 0.5, step=0.1)
    if trial.suggest_categorical("opt", ["adam", "sgd"]) == "sgd":
        total *= trial.suggest_float("momentum", 0.0, 0.99)
    time.sleep(0.002)
    return total

study = tn.Study(study=PATH, seed=1)
say("ready")
sys.stdin.readline()
study.run(wild, trials=80, quiet=True)
say(study.status, sum(1 for _ in study.trials))
"""
    with script(code, path=str(path)) as a, script(code, path=str(path)) as b:
        for each in (a, b):
            each.until("ready")
        for each in (a, b):
            each.go()
        assert a.rest() == b.rest() == [("complete", 80)]
    study = tn.open_study(path)
    assert len(study.trials) == 80
    check_wild(study)


def test_an_interrupted_trial_asks_again_and_gets_the_same(path):
    asked = []

    def interrupted(trial):
        asked.append((trial.number, trial.suggest_float("x", 0, 1), trial.suggest_categorical("c", ["a", "b"])))
        if trial.number == 2 and len(asked) == 3:
            trial.suggest_float("only_now", 0, 1)
            raise KeyboardInterrupt
        return 1.0

    study = tn.Study(study=path, seed=1).run(interrupted, trials=4, quiet=True)
    assert (study.status, states(study)) == ("interrupted", ["done", "done", "queued"])
    study.close()
    study = tn.Study(study=path, seed=1).run(interrupted, trials=4, quiet=True)
    assert asked[2] == asked[3]
    assert study.trials[2].config.keys() == {"x", "c"}


def test_asking_wider_widens_and_asking_as_another_kind_fails_the_trial_by_name(path):
    def objective(trial):
        if trial.number == 5:
            return trial.suggest_int("x", 0, 1)
        return trial.suggest_float("x", 0, 1 + trial.number)

    study = tn.Study(study=path, seed=1).run(objective, trials=8, quiet=True)
    assert study.space["x"] == tn.Float(0, 8)
    assert states(study) == ["done"] * 5 + ["failed"] + ["done"] * 2
    assert study.trials[5].error["type"] == "SpaceError"
    assert "`x`" in study.trials[5].error["message"]
    assert all(0 <= r.config["x"] <= 1 + r.number for r in study.trials if r.state == State.DONE)


def test_asking_twice_gives_the_same_and_within_a_narrower_range_another(path):
    def objective(trial):
        a, b = trial.suggest_float("x", 0, 1), trial.suggest_float("x", 0, 1)
        c = trial.suggest_float("x", 0.5, 0.6)
        assert a == b
        assert 0.5 <= c <= 0.6
        return c

    study = tn.Study(study=path, seed=1).run(objective, trials=6, quiet=True)
    assert states(study) == ["done"] * 6
    assert [r.config["x"] for r in study.trials] == [r.value for r in study.trials]


def test_a_declared_space_may_grow_too(path):
    def objective(trial):
        return trial.params["x"] + trial.suggest_float("y", 0, 1)

    study = tn.Study({"x": tn.Float(0, 1)}, study=path, seed=1).run(objective, trials=6, quiet=True)
    assert all(r.config.keys() == {"x", "y"} for r in study.trials)
    study.close()
    study = tn.open_study(path)
    assert [r.params.keys() for r in study.trials] == [{"x", "y"}] * 6
    assert set(study.space.paths) == {"x", "y"}
