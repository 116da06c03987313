"""What people read about a study."""

import html
import math
import re
from html.parser import HTMLParser

import pytest

import tuneful as tn
from tuneful.display import assignments, counts, duration, shown
from tuneful.history import History, State
from tuneful.space import Choice, Float, Int, Space
from tuneful.testing.histories import begin

HOSTILE = "<img src=x onerror=alert(1)>&\"'"


def told(space, *values, **settings):
    """A study of trials that were told these values: numbers, dicts or errors."""
    study = tn.Study(space, seed=0, **settings)
    for value in values:
        trial = study.ask()
        if isinstance(value, Exception):
            study.tell(trial, error=value)
        else:
            study.tell(trial, value)
    return study


class Cells(HTMLParser):
    """The tags and the texts of a page."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.texts, self.rows = [], [], []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, attrs))
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_data(self, data):
        self.texts.append(data)
        if self.rows and self.rows[-1]:
            self.rows[-1][-1] += data


# Printed


def test_a_study_prints_what_is_studied_the_counts_the_best_and_its_parameters():
    study = told({"x": Float(0, 1, default=0.5)}, 4.0, 1.0, ValueError("no\nmore"))
    best = study.best.config["x"]
    assert str(study).splitlines() == [
        "study     memory (minimize value, seed 0)",
        "trials    2 done, 1 failed",
        "best      value 1 (trial 1)",
        "baseline  4 → 1 (-75.0%)",
        f"  x = {best:.4g}",
        "failed    last: trial 2, ValueError: no",
    ]


def test_a_study_without_trials_prints_two_lines():
    assert str(tn.Study({"x": [1, 2]}, seed=3)).splitlines() == [
        "study     memory (minimize value, seed 3)",
        "trials    none yet",
    ]


@pytest.mark.parametrize("parameters", [1, 6, 7, 40])
@pytest.mark.parametrize("fails", [False, True])
def test_however_large_a_study_is_it_prints_at_most_ten_short_lines(parameters, fails):
    space = {f"parameter {i}": Choice(["y" * 300, "x"], default="y" * 300) for i in range(parameters)}
    study = told(space, 2.0, 1.0, *([ValueError("z" * 500)] if fails and parameters > 1 else []))
    lines = str(study).splitlines()
    assert len(lines) <= 10
    assert max(map(len, lines)) <= 100
    listed = sum(line.startswith("  parameter") for line in lines)
    more = re.search(r"… (\d+) more", str(study))
    assert listed + (int(more[1]) if more else 0) == parameters
    assert bool(more) == (4 + parameters + (fails and parameters > 1) > 10)
    assert lines[-1].startswith("failed") == (fails and parameters > 1)


def test_options_with_line_ends_and_control_codes_stay_on_their_line():
    study = told({"prompt": ["two\nlines", "\x1b[31mred"]}, 1.0, 2.0)
    assert "\x1b" not in str(study)
    assert str(study).splitlines()[-1] == f"  prompt = {study.best.params['prompt']!r}"


def test_the_baseline_is_shown_as_it_stands():
    space = {"x": Float(0, 1, default=0.5)}
    assert "baseline  the defaults are the best so far" in str(told(space, 1.0, 2.0))
    assert "baseline  trial 0 is failed" in str(told(space, ValueError("no"), 2.0))
    assert "baseline  0 → -2\n" in str(told(space, 0.0, -2.0))
    assert "baseline  -2 → -3 (-50.0%)" in str(told(space, -2.0, -3.0))
    assert "baseline" not in str(told({"x": Float(0, 1)}, 1.0, 2.0))


def test_several_objectives_print_their_front():
    values = [{"loss": k, "acc": k} for k in range(3)] + [{"loss": 9, "acc": 0}]
    study = told({"x": Float(0, 1)}, *values, minimize="loss", maximize="acc")
    assert "study     memory (minimize loss, maximize acc, seed 0)" in str(study)
    assert "front     3 trials: #0, #1, #2" in str(study)


def test_the_mean_over_repeats_is_what_is_best():
    study = told({"x": Float(0, 1)}, 1.0, 2.0)
    study.enqueue(study.trials[0].config, repeat=True)
    study.tell(study.ask(), 5.0)
    assert "best      value 2 (trial 1)" in str(study)


def test_repr_is_one_line():
    assert repr(told({"x": [1, 2]}, 1.0)) == "<study memory: 1 done>"
    assert repr(tn.Study({"x": [1, 2]})) == "<study memory: no trials>"


# Notebooks


def test_hostile_names_and_values_are_text_in_a_notebook():
    space = {HOSTILE: Choice([HOSTILE, "plain"], default=HOSTILE)}
    study = told(space, {HOSTILE: 1.0}, {HOSTILE: 2.0}, minimize=HOSTILE)
    page = Cells(study._repr_html_())
    assert {tag for tag, _ in page.tags} == {"div", "b", "table", "thead", "tbody", "tr", "th", "td"}
    assert all(not attrs for _, attrs in page.tags)
    assert page.rows == [["trial", HOSTILE, HOSTILE], ["0", "1", HOSTILE], ["1", "2", "plain"]]
    assert html.escape(HOSTILE) in study._repr_html_()


def test_a_notebook_shows_the_ten_best_trials_the_best_first():
    study = told({"x": Float(0, 1)}, *[float((7 * k) % 13) for k in range(13)], ValueError("no"))
    pruned = study.ask()
    pruned.report(-1.0)
    study.tell(pruned, state="pruned")
    rows = Cells(study._repr_html_()).rows
    assert [row[1] for row in rows[1:]] == [str(k) for k in range(10)]
    assert all(row[0] == str(next(r.number for r in study.trials if r.value == float(row[1]))) for row in rows[1:])


def test_in_a_notebook_what_breaks_a_constraint_comes_after_the_others_and_what_is_absent_is_empty():
    space = {"opt": tn.Switch({"a": {"p": [1]}, "b": {}})}
    study = tn.Study(space, minimize="loss", constraints="memory <= 1", seed=0)
    for opt, loss, memory in [("a", 1.0, 9.0), ("b", 2.0, 0.5)]:
        study.enqueue({"opt": opt})
        study.tell(study.ask(), {"loss": loss, "memory": memory})
    rows = Cells(study._repr_html_()).rows
    assert sorted(rows[0][2:]) == ["opt", "opt.a.p"]
    cells = [dict(zip(rows[0], row, strict=True)) for row in rows[1:]]
    assert [(row["trial"], row["loss"], row["opt.a.p"]) for row in cells] == [("1", "2", ""), ("0", "1", "1")]


def test_an_empty_study_has_an_empty_table():
    page = Cells(tn.Study({"x": [1, 2]}, seed=0)._repr_html_())
    assert page.texts[0] == "memory: no trials yet"
    assert page.rows == [["trial", "value"]]


# Lines


def test_a_run_prints_a_line_for_each_trial_and_how_it_ended(capsys):
    def train(x):
        if x == 2:
            raise ValueError("bad luck\nand more")
        return float(x)

    tn.minimize(train, {"x": Int(1, 3, default=3)}, seed=0, trials=3)
    out, err = capsys.readouterr()
    assert out == ""
    lines = err.splitlines()
    assert len(lines) == 5
    assert lines[0] == "grid search: 3 configs, each once"
    assert re.fullmatch(r"\d\d:\d\d:\d\d  1/3  trial 0  done    value 3  \(baseline\)  \d+ ms  x=3", lines[1])
    assert any(re.search(r"done    value 1  \*best\*  \d+ ms  x=1$", line) for line in lines)
    assert any(re.search(r"failed  ValueError: bad luck  \d+ ms  x=2$", line) for line in lines)
    assert lines[-1] == "complete: 2 done, 1 failed"


def test_a_study_in_a_file_says_whether_it_begins_or_goes_on(capsys, tmp_path):
    for trials in (1, 2):
        with_file = tn.Study({"x": Float(0, 1)}, study=tmp_path / "a.db", seed=0)
        with_file.run(lambda x: x, trials=trials)
        with_file.close()
    err = capsys.readouterr().err
    assert re.search(r"a\.db\S*: a new study", err)
    assert re.search(r"a\.db\S*: going on, 1 done", err)


def test_a_changed_space_is_said_with_how_many_trials_lie_outside(capsys, tmp_path):
    for high in (10, 2):
        study = tn.Study({"x": Int(1, high)}, study=tmp_path / "a.db", seed=0, search="grid")
        study.run(lambda x: x / 2, trials=5)
        study.close()
    assert "the space has changed: 3 of the trials lie outside it" in capsys.readouterr().err


@pytest.mark.parametrize("in_file", [False, True])
def test_an_interrupted_run_says_how_to_go_on_if_it_can(capsys, tmp_path, in_file):
    def train(x):
        raise KeyboardInterrupt

    study = tn.Study({"x": Float(0, 1)}, study=tmp_path / "a.db" if in_file else None, seed=0)
    study.run(train, trials=5)
    study.close()
    err = capsys.readouterr().err
    assert "interrupted; what ran is queued again: 1 queued" in err
    assert ("Run it again to go on: everything is in" in err) == in_file


def test_a_run_says_what_breaks_a_constraint_and_what_is_on_the_front(capsys):
    settings = {"minimize": ["loss", "size"], "constraints": "memory <= 1", "search": "grid", "seed": 0}
    study = tn.Study({"x": Int(1, 3)}, **settings)
    study.run(lambda x: {"loss": x, "size": -x, "memory": x / 2})
    lines = capsys.readouterr().err.splitlines()
    assert ["*front*" in line for line in lines[1:4]] == [True, True, False]
    assert ["(breaks a constraint)" in line for line in lines[1:4]] == [False, False, True]


def test_quiet_prints_nothing(capsys):
    tn.minimize(lambda x: x, {"x": [1, 2]}, trials=2, quiet=True)
    assert capsys.readouterr() == ("", "")


# Pieces


def test_counts_name_every_state_that_occurs():
    history = History(Space({"x": Float(0, 1)}))
    for k, state in enumerate(State):
        for _ in range(k + 1):
            begin(history, {"x": 0.5}, state)
    assert counts(history) == "4 done, 5 pruned, 6 failed, 2 running, 1 queued, 3 paused, 7 cancelled"
    assert counts(History(Space({"x": Float(0, 1)}))) == ""


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "–"), (0.0, "0"), (math.inf, "inf"), (math.nan, "nan"), (-1234.5678, "-1235"), (1e-9, "1e-09")],
)
def test_numbers_are_shown_with_four_digits(value, text):
    assert shown(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 ms"),
        (0.25, "250 ms"),
        (1, "1.0 s"),
        (59.94, "59.9 s"),
        (60, "1 min 0 s"),
        (61, "1 min 1 s"),
        (3599, "59 min 59 s"),
        (3600, "1 h 0 min"),
    ],
)
def test_durations_are_shown_in_the_units_that_people_use(seconds, text):
    assert duration(seconds) == text


def test_a_config_on_one_line_is_cut_where_there_is_no_room():
    config = {f"p{i}": i / 3 for i in range(30)}
    line = assignments(config, 40)
    assert line.startswith("p0=0 p1=0.3333 p2=0.6667")
    assert line.endswith("…")
    assert len(line) <= 40
    assert assignments({"text": "x" * 500}, 40).endswith("…")
    assert assignments({"a": 1, "b": None, "c": "x"}) == "a=1 b=None c=x"
