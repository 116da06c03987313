"""Explanations: what is said of where a trial comes from, and when its config does not come out again."""

import pytest

import tuneful as tn
from tuneful.errors import StudyError
from tuneful.explain import explained
from tuneful.history import Checkpoint, History, State
from tuneful.searchers import Given, Grid
from tuneful.space import Float, Space
from tuneful.testing.histories import begin, end

SPACE = {"x": tn.Float(0, 1, default=0.5), "opt": tn.Choice(["adam", "sgd"], default="adam")}


def bowl(x, opt):
    return x**2


@pytest.fixture
def study():
    return tn.Study(SPACE, search="sobol", seed=0).run(bowl, trials=4, quiet=True)


def test_it_reads_as_a_few_lines(study):
    config = study.trials[2].config
    assert str(study.explain(2)).splitlines() == [
        "trial       2: proposed by sobol",
        f"  x = {config['x']!r}",
        f"  opt = {config['opt']!r}",
        f"had seen    revision {study.trials[2].seen}: 2 done",
        "once more   the same config",
    ]


def test_it_holds_what_was_known(study):
    explanation = study.explain(3)
    assert (explanation.number, explanation.batch, explanation.same) == (3, (3,), True)
    assert explanation.config == explanation.again.config == study.trials[3].config
    assert explanation.why == study.trials[3].why == {"searcher": "sobol"}
    assert (len(explanation.known), explanation.known.rev, explanation.seen) == (
        3,
        explanation.seen,
        study.trials[3].seen,
    )


def test_the_defaults_and_what_a_user_enqueued_come_from_no_searcher(study):
    repeat, given = study.enqueue(study.trials[1].params, repeat=True), study.enqueue({"x": 0.125})
    found = {number: study.explain(number) for number in (0, repeat, given)}
    assert [str(each).splitlines()[0] for each in found.values()] == [
        "trial       0: the defaults of the space",
        "trial       4: a repeat of trial 1, as you wished",
        "trial       5: enqueued by you",
    ]
    assert {(each.same, each.again, each.batch) for each in found.values()} == {(None, None, ())}
    assert "once more" not in str(found[0])


def test_what_was_enqueued_between_changes_no_explanation(study):
    study.enqueue({"x": 0.125})
    study.run(bowl, trials=8, quiet=True)
    assert [study.explain(number).same for number in range(8)] == [None, True, True, True, None, True, True, True]


def test_imports_and_forks_come_from_no_searcher():
    history = History(Space({"x": Float(0, 1)}))
    begin(history, {"x": 0.1}, State.DONE, imported=True)
    begin(history, {"x": 0.2}, parent=Checkpoint(0, 7))
    assert explained(history, Grid(), 0).because == "imported; it was run elsewhere"
    assert explained(history, Grid(), 1).because == "forked by the scheduler from trial 0 at step 7"


def test_another_searcher_is_named(tmp_path):
    tn.Study(SPACE, search="sobol", seed=0, study=tmp_path / "a.db").run(bowl, trials=3, quiet=True).close()
    explanation = tn.Study(SPACE, search="random", study=tmp_path / "a.db").explain(2)
    assert (explanation.same, explanation.again.why["searcher"]) == (False, "random")
    assert explanation.because.startswith(f"another config (x = {explanation.again.config['x']!r}, opt = ")
    assert explanation.because.endswith("it was proposed by sobol, and the study has random now")
    assert f"once more   {explanation.because}" in str(explanation)


def test_other_settings_are_guessed():
    history = History(Space({"x": Float(0, 1)}))
    begin(history, {"x": 0.1}, why={"searcher": "given"})
    found = explained(history, Given([{"x": 0.2}]), 0)
    assert found.because == "another config (x = 0.2): given has other settings now, or is of another version"


def test_a_searcher_that_has_nothing_or_refuses_is_told():
    history = History(Space({"x": Float(0, 1)}))
    end(history, begin(history, {"x": 0.1}, why={"searcher": "given"}), 1.0)
    begin(history, {"x": 0.2}, why={"searcher": "given"}, seen=2)
    assert "nothing: the searcher has only 0 proposals left" in str(explained(history, Given([{"x": 0.1}]), 1))
    refused = explained(history, Given([{"x": 7.0}]), 1)
    assert (refused.same, refused.again) == (False, None)
    assert refused.because.startswith("nothing: the searcher cannot propose from it. `x`")


def test_options_that_are_equal_in_python_are_told_apart():
    history = History(Space({"a": [1, True, 1.0]}))
    begin(history, {"a": True}, why={"searcher": "given"})
    assert explained(history, Given([{"a": True}]), 0).same
    assert not explained(history, Given([{"a": 1}]), 0).same


def test_a_trial_that_does_not_say_what_it_had_seen_is_not_recomputed():
    history = History(Space({"x": Float(0, 1)}))
    for x, seen in ((0.1, 0), (0.2, 1), (0.3, 0)):
        begin(history, {"x": x}, why={"searcher": "mine"}, seen=seen)
    found = explained(history, Given([{"x": 0.2}]), 2)
    assert (found.same, found.because) == (None, "recorded by a program that does not say what it had seen")


def test_a_large_config_and_long_reasons_are_cut():
    space = Space({f"x{k}": Float(0, 1) for k in range(40)})
    history, config = History(space), {f"x{k}": 0.5 for k in range(40)}
    begin(history, config, why={"searcher": "given", "index": 0, "share": 1 / 3, "all": list(range(99))})
    lines = str(explained(history, Given([config]), 0)).splitlines()
    assert lines[16] == "  … 25 more"
    assert lines[17].startswith("why         index: 0, share: 0.3333, all: [0, 1, 2")
    assert max(map(len, lines)) < 120


@pytest.mark.parametrize("number", [4, -1, True, "0", 1.5, None])
def test_a_trial_that_is_not_there_is_refused(study, number):
    with pytest.raises(StudyError, match=r"There is no trial .*; the study has 4, counted from 0\."):
        study.explain(number)
