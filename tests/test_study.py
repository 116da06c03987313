"""A study as an object: what it tells of itself, where it lives, what it is made from."""

import dataclasses
import json
import os
import pickle
from pathlib import Path
from typing import Annotated, Literal

import pytest

import tuneful as tn
from tuneful.errors import StudyError
from tuneful.history import State
from tuneful.study import _checkpoints_beside

SPACE = {"x": tn.Float(0, 1), "opt": ["adam", "sgd"]}


def bowl(x, opt):
    return (x - 0.5) ** 2 + (opt == "sgd")


# Opening


def test_opening_says_whether_it_was_made(tmp_path):
    first = tn.Study(SPACE, study=tmp_path / "a.db")
    assert (first.created, first.status, str(first.address)) == (True, "new", str(tmp_path / "a.db"))
    first.close()
    again = tn.Study(SPACE, study=tmp_path / "a.db")
    assert (again.created, again.status) == (False, "open")


def test_several_studies_live_in_one_file(tmp_path):
    names = ["a", "数字 🧪", "..", "x" * 255, "a/b\\c", "%41"]
    for k, name in enumerate(names):
        study = tn.Study({"x": [k]} if k else {"x": [0, 1]}, study=f"{tmp_path / 'f.db'}#{name}", seed=k)
        trial = study.ask()
        trial.report(float(k))
        trial.save({"name": name})
        study.tell(trial, state="queued")
        study.close()
    folders = set((tmp_path / "f.db.checkpoints").iterdir())
    assert len(folders) == len(names)
    assert {path.name for path in tmp_path.iterdir()} == {"f.db", "f.db-lock", "f.db.checkpoints"}
    for k, name in enumerate(names):
        study = tn.open_study(f"{tmp_path / 'f.db'}#{name}")
        assert (study.seed, study.ask().load()) == (k, {"name": name})


@pytest.mark.parametrize("name", [".", "..", ".hidden", "a/b", "a\\b", "a:b", "con", "数" * 255, " ", "~", "%2F"])
def test_checkpoints_of_any_name_lie_beside_the_file(tmp_path, name):
    folder = _checkpoints_beside(tmp_path / "f.db", name)
    assert folder.parent == tmp_path / "f.db.checkpoints"
    assert folder.resolve().parent == folder.parent.resolve()
    folder.mkdir(parents=True)
    assert folder != _checkpoints_beside(tmp_path / "f.db", name + "2")


def test_a_relative_file_stays_where_it_was_when_the_folder_changes(tmp_path, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    study = tn.Study(SPACE, study="a.db", seed=0)
    monkeypatch.chdir(tmp_path / "elsewhere")
    trial = study.ask()
    trial.report(0.5)
    trial.save({"w": 1})
    pid = os.fork()  # after which the file is opened again
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    assert study.tell(trial)
    study.close()
    assert list((tmp_path / "elsewhere").iterdir()) == []
    assert tn.open_study(tmp_path / "a.db").trials[0].value == 0.5


def test_checkpoints_may_go_elsewhere(tmp_path):
    study = tn.Study(SPACE, study=tmp_path / "a.db", checkpoints=tmp_path / "states")
    trial = study.ask()
    trial.report(0.5)
    trial.save({"w": 1})
    assert (tmp_path / "states" / "0").is_dir()
    assert not (tmp_path / "a.db.checkpoints").exists()


# What it is made from


def test_a_space_may_be_written_in_several_ways():
    @dataclasses.dataclass
    class Config:
        x: Annotated[float, tn.Float(0, 1)] = 0.25
        opt: Literal["adam", "sgd"] = "adam"

    spaces = [tn.Study(spec).space for spec in (SPACE, tn.Space(SPACE), tn.Space(SPACE).to_json()["parameters"])]
    assert spaces[0] == spaces[1] == spaces[2]
    study = tn.Study(Config, seed=0)
    assert study.space.paths == ("x", "opt")
    study.run(lambda x, opt: x, trials=1, quiet=True)
    assert study.trials[0].params == {"x": 0.25, "opt": "adam"}


def test_a_signature_may_declare_the_space(tmp_path):
    def train(x: Annotated[float, tn.Float(0, 1)] = 0.25, opt: Literal["adam", "sgd"] = "adam"):
        return bowl(x, opt)

    for make in (
        lambda: tn.minimize(train, trials=4, seed=0, quiet=True),
        lambda: tn.Study(seed=0).run(train, trials=4, quiet=True),
        lambda: tn.Study(seed=0, study=tmp_path / "a.db").run(train, trials=4, quiet=True),
    ):
        study = make()
        assert study.baseline.params == {"x": 0.25, "opt": "adam"}
        assert len(study.trials) == 4
        assert study.space.paths == ("x", "opt")
    study.close()
    again = tn.Study(seed=0, study=tmp_path / "a.db").run(train, trials=6, quiet=True)
    assert [r.why["searcher"] for r in again.trials].count("default") == 1


def test_a_signature_without_all_defaults_has_no_baseline():
    def train(x: Annotated[float, tn.Float(0, 1)], n: Annotated[int, tn.Int(1, 3)] = 2):
        return x

    study = tn.Study(seed=0).run(train, trials=2, quiet=True)
    assert study.baseline is None
    assert len(study.trials) == 2


def test_an_objective_that_says_nothing_of_what_varies_is_refused():
    with pytest.raises(tn.ObjectiveError, match="Nothing says what .* may vary"):
        tn.minimize(lambda x: x, trials=2, quiet=True)


# What it tells


@pytest.fixture
def study(tmp_path):
    made = tn.Study(SPACE, study=tmp_path / "a.db", seed=0, search="random")
    return made.run(bowl, trials=8, quiet=True)


def test_it_tells_its_trials_lazily_and_up_to_date(study):
    trials = study.trials
    assert len(trials) == 8
    assert [r.number for r in trials] == list(range(8))
    assert [r.number for r in trials[2:4]] == [2, 3]
    assert trials[-1].number == 7
    asked = study.ask()
    running = study.trials[8]
    assert (running.state, running.value, running.finished) == (State.RUNNING, None, None)
    study.tell(asked, 0.125)
    assert (running.state, running.value) == (State.DONE, 0.125)
    assert running.finished >= running.started > 0


def test_the_best_is_the_lowest_or_the_highest(study):
    assert study.best.value == min(r.value for r in study.trials)
    assert [r.number for r in study.front] == [study.best.number]
    up = tn.maximize(bowl, SPACE, seed=0, search="random", trials=8, quiet=True)
    assert up.best.value == max(r.value for r in up.trials)


def test_it_is_written_in_short_and_in_full(study):
    assert repr(study) == f"<study {study.address}: 8 done>"
    assert repr(tn.Study(SPACE)) == "<study memory: no trials>"
    assert "8 done" in str(study)
    assert len(str(study).splitlines()) <= 10
    assert "<table>" in study._repr_html_()


def test_it_goes_into_tables_and_files(study, tmp_path):
    pandas, polars = study.to_pandas(), study.to_polars()
    assert list(pandas["value"]) == polars["value"].to_list() == [r.value for r in study.trials]
    assert study.to_csv(tmp_path / "a.csv") == (tmp_path / "a.csv").read_bytes().decode()
    form = json.loads(study.to_json(tmp_path / "a.json"))
    assert form == json.loads((tmp_path / "a.json").read_text())
    assert [trial["metrics"]["value"] for trial in form["trials"]] == [r.value for r in study.trials]


def test_each_decision_tells_what_it_had_seen(study):
    asked = study.ask()
    history = study.history.as_of(asked.row.seen)
    assert len(history) == 8
    again = study._schedule.plan(history, 1)
    assert again[0].config == asked.row.config


def test_its_history_can_be_sent_to_another_process(study):
    history = pickle.loads(pickle.dumps(study.history))
    assert history.best == study.best.number
    assert history.x.tolist() == study.history.x.tolist()


def test_a_study_in_memory_leaves_no_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    study = tn.Study(SPACE, seed=0).run(bowl, trials=3, quiet=True)
    assert study.address.path is None
    assert list(Path.cwd().iterdir()) == []


def test_a_closed_file_leaves_no_journal(tmp_path):
    tn.Study(SPACE, study=tmp_path / "a.db", seed=0).run(bowl, trials=3, quiet=True).close()
    assert {path.name for path in tmp_path.iterdir()} == {"a.db", "a.db-lock"}


def test_records_show_options_as_the_objects_they_are():
    study = tn.Study({"kind": tn.Choice({"list": list, "none": None})}, seed=0)
    study.run(lambda kind: 1.0, quiet=True)
    assert {r.params["kind"] for r in study.trials} == {list, None}
    assert {r.config["kind"] for r in study.trials} == {"list", "none"}


def test_minimize_takes_arguments_of_both_the_study_and_the_run(tmp_path):
    seen = []
    study = tn.minimize(
        lambda x, opt: {"loss": bowl(x, opt), "size": x},
        SPACE,
        metric="loss",
        study=tmp_path / "a.db",
        seed=1,
        search="sobol",
        constraints="size <= 0.9",
        trials=5,
        timeout="1h",
        callbacks=[lambda study, record: seen.append(record.number)],
        quiet=True,
    )
    assert (len(study.trials), seen) == (5, list(range(5)))
    assert study.best.metrics["size"] <= 0.9


def test_the_lines_of_a_run_go_to_stderr_and_can_be_silenced(capsys):
    tn.Study(SPACE, seed=0).run(bowl, trials=2, quiet=True)
    assert capsys.readouterr() == ("", "")
    tn.Study(SPACE, seed=0).run(bowl, trials=2)
    out, err = capsys.readouterr()
    assert out == ""
    assert "2 done" in err


def test_a_study_made_with_an_impossible_space_leaves_no_file(tmp_path):
    with pytest.raises(tn.SpaceError):
        tn.Study({"x": tn.Float(0, 1), "y": 3}, study=tmp_path / "a.db")
    with pytest.raises(StudyError):
        tn.Study(SPACE, study=tmp_path / "a.db", search="nothing")
    assert list(tmp_path.iterdir()) == []
