"""How far to run trials is chosen by what they report, and told."""

import tuneful as tn
from tuneful.schedulers import Asha, Auto, FreezeThaw, Full
from tuneful.searchers import Random

SPACE = {"x": tn.Float(0, 1)}


def run(objective, trials=12, **options):
    study = tn.Study(SPACE, search="random", schedule="auto", seed=0, **options)
    return study.run(objective, trials=trials, quiet=True)


def test_where_nothing_is_reported_all_run_to_their_end():
    study = run(lambda x: x)
    assert isinstance(study._schedule.chosen(study.history), Full)
    assert [record.state for record in study.trials] == [tn.State.DONE] * 12


def test_two_or_three_steps_are_not_worth_a_rung(tmp_path):
    def train(trial, x):
        for step in trial.steps(3):
            trial.report(x)
            trial.save({"step": step})

    study = run(train, checkpoints=tmp_path)
    assert study.history.reached.tolist() == [3] * 12


def test_of_long_trials_the_best_go_on(tmp_path):
    def train(trial, x):
        trial.load()
        for step in trial.steps(27):
            trial.report(x + 1 / step)
            trial.save({"step": step})

    study = run(train, checkpoints=tmp_path)
    assert isinstance(study._schedule.chosen(study.history), FreezeThaw)
    assert study.history.reached.sum() < 6 * 27
    assert study.best.step == 27


def test_of_several_objectives_the_undominated_go_on(tmp_path):
    def train(trial, x):
        trial.load()
        for step in trial.steps(9):
            trial.report({"a": x + 1 / step, "b": x})
            trial.save({"step": step})

    study = run(train, checkpoints=tmp_path, minimize=["a", "b"])
    assert isinstance(study._schedule.chosen(study.history), Asha)
    assert study.front


def test_it_says_what_it_chose_and_why(capsys):
    study = tn.Study(SPACE, search="random", schedule="auto", seed=0)
    study.run(lambda x: x, trials=2)
    study.run(lambda x: x, trials=3)
    assert "schedule: Full: trials report no steps" in capsys.readouterr().err
    assert Auto(Random()).describe(tn.History(tn.Space(SPACE))).startswith("schedule: FreezeThaw: ")
