"""Several objectives, constraints on outcomes, several metrics a report."""

import numpy as np
import pytest
from telling import states, story

import tuneful as tn
from tuneful.errors import StudyError

SPACE = {"x": tn.Float(0, 1), "y": tn.Float(0, 1)}


def go(path=None, trials=25, objective=None, **options):
    options = {"minimize": "loss", "maximize": "speed", "constraints": "memory <= 1.2"} | options
    study = tn.Study(SPACE, study=path, seed=0, search="random", **options)
    return study.run(
        objective or (lambda x, y: {"loss": x, "speed": x * y, "memory": x + y}), trials=trials, quiet=True
    )


def test_the_front_is_what_is_feasible_and_not_beaten(tmp_path):
    study = go(tmp_path / "a.db")
    points = {r.number: (r.metrics["loss"], -r.metrics["speed"]) for r in study.trials if r.metrics["memory"] <= 1.2}
    best = {
        n
        for n, p in points.items()
        if not any(all(a <= b for a, b in zip(q, p, strict=True)) and q != p for q in points.values())
    }
    assert {r.number for r in study.front} == best
    assert 1 < len(best) < len(points) < len(study.trials)
    assert all(r.feasible == (r.metrics["memory"] <= 1.2) for r in study.trials)
    assert study.best.value == min(study.trials[n].value for n in best)
    assert "front" in str(study)


def test_they_are_the_same_after_opening_again(tmp_path):
    before = go(tmp_path / "a.db", trials=12)
    found = story(before), [r.number for r in before.front]
    before.close()
    after = tn.open_study(tmp_path / "a.db")
    assert (story(after), [r.number for r in after.front]) == found
    np.testing.assert_array_equal(after.history.violations[:, 0], [r.metrics["memory"] - 1.2 for r in after.trials])
    assert after.trials[3].values.keys() == {"loss", "speed"}


@pytest.mark.parametrize(
    "returned",
    [
        lambda x, y: {"loss": x, "speed": y},
        lambda x, y: (x, y),
        lambda x, y: [np.float32(x), np.array(y)],
    ],
)
def test_a_dict_or_a_tuple_gives_all_metrics(returned):
    study = go(objective=returned, constraints=(), trials=3)
    assert states(study) == ["done"] * 3
    assert [r.values["loss"] for r in study.trials] == pytest.approx([r.params["x"] for r in study.trials])


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        (0.5, "2 metrics are studied. Return a dict with loss, speed"),
        ((1, 2, 3), "2 metrics are studied"),
        ({"loss": 1.0}, "never gave 'speed'.*'loss'"),
        ({"loss": 1.0, "speed": "fast"}, "'speed' must be a number, and is 'fast'"),
    ],
)
def test_what_is_missing_of_several_is_told(returned, message):
    with pytest.raises(tn.ObjectiveError, match=message):
        go(objective=lambda x, y: returned, constraints=(), trials=5)


def test_every_metric_of_a_report_has_a_curve(tmp_path):
    def objective(trial, x, y):
        for step in trial.steps(3):
            trial.report({"loss": x / step, "speed": y * step, "val/accuracy": step / 3}, lr=0.1 / step)
            trial.report({"late": step})

    study = go(tmp_path / "a.db", trials=2, objective=objective, constraints=())
    study.close()
    record = tn.open_study(tmp_path / "a.db").trials[1]
    x, y = record.params["x"], record.params["y"]
    expected = {
        "loss": [x, x / 2, x / 3],
        "speed": [y, 2 * y, 3 * y],
        "val/accuracy": [1 / 3, 2 / 3, 1.0],
        "lr": [0.1, 0.05, 0.1 / 3],
        "late": [1.0, 2.0, 3.0],
    }
    for name, values in expected.items():
        steps, found = record.curve(name)
        assert (steps.tolist(), found.tolist()) == ([1, 2, 3], values)
    assert record.metrics == {name: values[-1] for name, values in expected.items()}


def test_two_reports_at_one_step_add_up_and_the_later_word_counts(tmp_path):
    study = tn.Study(SPACE, study=tmp_path / "a.db", minimize="loss", seed=0)
    trial = study.ask()
    trial.report(0.5, step=1)
    trial.report(step=1, accuracy=0.9)
    trial.report(0.25, step=1)
    trial.report(step=2, accuracy=0.95)
    trial.save({"w": 1})
    expected = {"loss": ([1], [0.25]), "accuracy": ([1, 2], [0.9, 0.95])}
    for view in (study, tn.open_study(tmp_path / "a.db")):
        record = view.sync().trials[0]
        assert {name: tuple(part.tolist() for part in record.curve(name)) for name in expected} == expected
    assert study.tell(trial)
    record = tn.open_study(tmp_path / "a.db").trials[0]
    assert {name: tuple(part.tolist() for part in record.curve(name)) for name in expected} == expected


def test_a_constraint_that_is_not_met_by_any_trial_leaves_no_best():
    study = go(objective=lambda x, y: {"loss": x, "speed": y, "memory": 99.0}, trials=3)
    with pytest.raises(StudyError):
        _ = study.best
    assert len(study.front) == 0


def test_another_goal_on_opening_is_refused(tmp_path):
    go(tmp_path / "a.db", trials=1).close()
    for options, message in [
        ({"minimize": "loss"}, "minimizes 'loss' and maximizes 'speed', and not minimizes 'loss'"),
        ({"minimize": ["loss", "speed"]}, "maximizes 'speed'.*and not minimizes 'loss' and minimizes 'speed'"),
        ({"constraints": "memory <= 2"}, "has the constraints"),
    ]:
        with pytest.raises(StudyError, match=message):
            tn.Study(SPACE, study=tmp_path / "a.db", **options)
    assert len(tn.open_study(tmp_path / "a.db").trials) == 1
