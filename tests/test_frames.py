"""Trials as tables and files: nothing lost, nothing that a spreadsheet would run."""

import csv
import io
import json
import math
from datetime import UTC, datetime

import pandas as pd
import polars as pl
import pytest

import tuneful as tn
from tuneful import frames
from tuneful.history import Checkpoint, History, State
from tuneful.record import Records
from tuneful.space import Choice, Float, Int, Space, Switch
from tuneful.testing.histories import begin, end

FORMULAS = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", '=HYPERLINK("http://x","y")']
HOSTILE = ["plain", "a,b", 'say "hi"', "two\nlines", "a\rb", "ünïcode 学习 🎛", " =1", "'quoted", ""]


def trials_of(history):
    return Records(range(len(history)), history, {0: history.space})


def with_option(*options):
    """One done trial for each option."""
    history = History(Space({"opt": list(options)}))
    for option in options:
        end(history, begin(history, {"opt": option}), 1.0)
    return trials_of(history)


def read(text):
    rows = list(csv.reader(io.StringIO(text, newline="")))
    return [dict(zip(rows[0], row, strict=True)) for row in rows[1:]]


@pytest.fixture
def study():
    """Done, failed, pruned and running trials, with repeats, forks, curves and conditions."""
    spec = {
        "lr": Float(0, 1),
        "opt": Switch({"sgd": {"m": Int(1, 9)}, "adam": {}}),
        "act": Choice([None, 1, "1", True]),
    }
    study = tn.Study(spec, seed=0, settings={"num_workers": 2})
    configs = [
        {"lr": 0.5, "opt": "sgd", "opt.sgd.m": 3, "act": None},
        {"lr": 0.25, "opt": "adam", "act": 1},
        {"lr": 0.125, "opt": "adam", "act": "1"},
        {"lr": 0.75, "opt": "adam", "act": True},
    ]
    for config in configs:
        study.enqueue(config)
    trials = [study.ask() for _ in configs]
    trials[0].report(2.0, grad=math.inf)
    trials[0].report(1.0, grad=math.nan)
    study.tell(trials[0], {"value": 0.5, "val/acc": 0.9, "huge": math.inf})
    study.tell(trials[1], error=ValueError("=cmd|' /C calc'!A0"))
    study.tell(trials[2], state="pruned")
    return study


def test_there_is_one_column_a_field_and_one_entry_a_trial(study):
    table = frames.columns(study.trials)
    params, last = ["lr", "opt", "opt.sgd.m", "act"], ["step", "seconds", "started", "finished", "error"]
    assert list(table)[:2] == ["number", "state"]
    assert set(list(table)[2:-9]) == {"value", "val/acc", "huge"}
    assert list(table)[-9:] == [f"params.{path}" for path in params] + last
    assert table["number"] == [0, 1, 2, 3]
    assert table["state"] == ["done", "failed", "pruned", "running"]
    assert table["value"] == [0.5, None, None, None]
    assert table["val/acc"] == [0.9, None, None, None]
    assert table["huge"][0] == math.inf
    assert table["params.opt.sgd.m"] == [3, None, None, None]
    assert list(map(repr, table["params.act"])) == ["None", "1", "'1'", "True"]
    assert table["step"] == [2, 0, 0, 0]
    assert table["error"] == [None, "ValueError: =cmd|' /C calc'!A0", None, None]


@pytest.mark.parametrize("name", ["number", "state", "step", "seconds", "started", "finished", "error", "params.x"])
def test_a_metric_that_is_called_like_a_column_has_one_of_its_own(name):
    history = History(Space({"x": Float(0, 1)}))
    end(history, begin(history, {"x": 0.25}), {"value": 1.0, name: 7.0, f"metrics.{name}": 8.0})
    table = frames.columns(trials_of(history))
    assert len(table) == 11
    assert table[f"metrics.{name}"] == [7.0]
    assert table[f"metrics.metrics.{name}"] == [8.0]
    assert (table["params.x"], table["state"], table["error"]) == ([0.25], ["done"], [None])


def test_pandas_gets_every_value_and_times_in_utc(study):
    table = study.to_pandas()
    assert list(table.columns) == list(frames.columns(study.trials))
    assert table["params.lr"].tolist() == [0.5, 0.25, 0.125, 0.75]
    assert table["huge"][0] == math.inf
    assert math.isnan(table["value"][1])
    assert str(table["started"].dtype).endswith("UTC]")
    assert pd.isna(table["finished"][3])
    assert abs((table["started"][0] - pd.Timestamp.now(tz="UTC")).total_seconds()) < 600


def test_polars_gets_every_value_and_times_in_utc(study):
    table = study.to_polars()
    assert table.columns == list(frames.columns(study.trials))
    assert table["params.lr"].to_list() == [0.5, 0.25, 0.125, 0.75]
    assert table["params.opt.sgd.m"].to_list() == [3, None, None, None]
    assert table["huge"].to_list()[0] == math.inf
    assert table["started"].dtype == pl.Datetime("us", "UTC")
    assert table["finished"].to_list()[3] is None
    assert abs((table["started"][0] - datetime.now(UTC)).total_seconds()) < 600


def test_in_polars_options_of_several_kinds_are_text_and_numbers_stay_numbers():
    mixed = frames.to_polars(with_option(None, 1, "1", True, 1.5))
    assert mixed["params.opt"].to_list() == [None, "1", "1", "True", "1.5"]
    numbers = frames.to_polars(with_option(1, 2.5, None))
    assert numbers["params.opt"].to_list() == [1.0, 2.5, None]
    assert frames.to_polars(with_option(True, False))["params.opt"].to_list() == [True, False]


def test_whole_numbers_that_do_not_fit_a_machine_word_are_not_lost():
    large = [10**20, 1]
    assert [int(value) for value in frames.to_polars(with_option(*large))["params.opt"].to_list()] == large
    assert [int(value) for value in frames.to_pandas(with_option(*large))["params.opt"]] == large


@pytest.mark.parametrize("option", FORMULAS)
def test_no_cell_of_a_csv_file_is_run_by_a_spreadsheet(option):
    assert read(frames.to_csv(with_option(option), None))[0]["params.opt"] == f"'{option}"


def test_no_name_or_message_in_a_csv_file_is_run_by_a_spreadsheet(study):
    assert read(study.to_csv())[1]["error"] == "ValueError: =cmd|' /C calc'!A0"
    history = History(Space({"x": Float(-1, 1)}))
    end(history, begin(history, {"x": -0.5}), {"value": -1.0, "=1+1": 2.0})
    (row,) = read(frames.to_csv(trials_of(history), None))
    assert row["'=1+1"] == "2.0"
    assert (row["value"], row["params.x"]) == ("-1.0", "-0.5")  # numbers are no formulas


def test_csv_keeps_separators_quotes_line_ends_and_unicode(tmp_path):
    trials = with_option(*HOSTILE)
    text = frames.to_csv(trials, tmp_path / "trials.csv")
    assert [row["params.opt"] for row in read(text)] == HOSTILE
    with (tmp_path / "trials.csv").open(newline="", encoding="utf-8") as file:
        assert [row["params.opt"] for row in csv.DictReader(file)] == HOSTILE
    again = pd.read_csv(tmp_path / "trials.csv", keep_default_na=False)
    assert again["params.opt"].tolist() == HOSTILE


def test_csv_keeps_numbers_to_the_last_bit():
    values = [0.1 + 0.2, 1 / 3, 5e-324, 1e308]
    rows = read(frames.to_csv(with_option(*values, math.inf, math.nan), None))
    assert [float(row["params.opt"]) for row in rows][:5] == [*values, math.inf]
    assert rows[5]["params.opt"] == "nan"


def test_a_message_with_a_file_name_that_is_no_unicode_is_written_all_the_same(tmp_path):
    history = History(Space({"x": Float(0, 1)}))
    error = {"type": "OSError", "message": "no file \udcff", "traceback": ""}
    begin(history, {"x": 0.5}, error=error)
    frames.to_csv(trials_of(history), tmp_path / "trials.csv")
    assert "OSError: no file \\udcff" in (tmp_path / "trials.csv").read_text(encoding="utf-8")


def test_json_holds_everything_about_a_study(study, tmp_path):
    study.enqueue({"lr": 0.5, "opt": {"name": "sgd", "m": 3}, "act": None}, repeat=True)
    text = study.to_json(tmp_path / "study.json")
    assert (tmp_path / "study.json").read_text(encoding="utf-8") == text
    form = json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert (form["study"], form["seed"]) == ("memory", 0)
    assert form["objectives"] == [{"metric": "value", "maximize": False}]
    assert Space.from_json(form["space"]) == study.space
    first, failed, pruned, running, repeat = form["trials"]
    assert first["config"] == {"lr": 0.5, "opt": "sgd", "opt.sgd.m": 3, "act": None}
    assert first["metrics"]["huge"] == "inf"
    assert first["curves"]["grad"] == {"steps": [1, 2], "values": ["inf", "nan"]}
    assert first["curves"]["value"] == {"steps": [1, 2], "values": [2.0, 1.0]}
    assert first["settings"] == {"num_workers": 2}
    assert failed["error"]["type"] == "ValueError"
    assert [t["state"] for t in form["trials"]] == ["done", "failed", "pruned", "running", "queued"]
    assert (pruned["finished"] is None, running["finished"]) == (False, None)
    assert (repeat["repeat_of"], repeat["parent"]) == (0, None)
    assert [type(t["config"]["act"]).__name__ for t in form["trials"][:4]] == [
        "NoneType",
        "int",
        "str",
        "bool",
    ]


def test_json_tells_where_a_fork_came_from():
    study = tn.Study({"x": Float(0, 1)}, seed=0)
    begin(study.history, {"x": 0.5})
    begin(study.history, {"x": 0.6}, State.QUEUED, parent=Checkpoint(0, 3))
    assert [trial["parent"] for trial in json.loads(study.to_json())["trials"]] == [None, [0, 3]]


def test_a_study_without_trials_makes_empty_tables():
    study = tn.Study({"x": Float(0, 1)}, seed=0)
    names = ["number", "state", "step", "seconds", "started", "finished", "error"]
    assert list(study.to_pandas().columns) == study.to_polars().columns == names
    assert len(study.to_pandas()) == len(study.to_polars()) == 0
    assert read(study.to_csv()) == []
    assert json.loads(study.to_json())["trials"] == []
