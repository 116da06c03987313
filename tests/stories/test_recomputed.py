"""Every decision can be made again from what was known then: in one go, opened again, together, growing, interrupted."""

import hashlib
from contextlib import closing
from dataclasses import dataclass

import numpy as np
import pytest

import tuneful as tn
from tuneful.engine import session as sessions
from tuneful.history import Proposal
from tuneful.schedulers import Full

SPACE = {"x": tn.Float(0, 1), "opt": ["adam", "sgd"], "n": tn.Int(1, 9)}
FACTS = ("state", "reached", "until", "attempt", "begun", "ended", "y", "x", "inside", "seen", "repeat_of")


@dataclass(frozen=True)
class Attentive:
    """Proposes what it draws from everything that is known: with anything else known, another config."""

    def propose(self, history, n):
        text = hashlib.sha256(repr(told(history)).encode()).digest()
        draws = np.random.default_rng(list(text)).random((n, len(history.space)))
        configs = map(history.space.config, history.space.draw(draws))
        return [Proposal(config, {"searcher": "attentive", "of": n}) for config in configs]


def told(history):
    curves = {
        name: [tuple(part.tolist() for part in curve.of(trial)) for trial in range(len(history))]
        for name, curve in history.curves.items()
        if len(curve)
    }
    facts = [getattr(history, name).tolist() for name in FACTS]
    configs = [sorted(history.config(trial).items()) for trial in range(len(history))]
    return sorted(curves.items()), facts, configs, history.space.paths, history.limits, history.started


def studied(place=None, space=SPACE, search=None, **settings):
    return tn.Study(space, study=place, search=search or Attentive(), seed=3, **settings)


def check_spaces(study):
    """The space of then is found by the revision alone."""
    found = [study.explain(number) for number in range(len(study.trials))]
    assert [study.history.as_of(each.seen).space for each in found] == [each.known.space for each in found]
    assert len({each.known.space_number for each in found}) > 3


def check(study, count, batches=1):
    found = [study.explain(number) for number in range(len(study.trials))]
    assert len(found) == count
    for explanation in found:
        assert explanation.same, str(explanation)
        assert explanation.again.why == explanation.why
    assert max(len(explanation.batch) for explanation in found) == batches


def train(trial, **params):
    for step in trial.steps(1 + trial.number % 4):
        trial.report(params["x"] + 1 / step, other=step)


@pytest.fixture(params=[None, "a.db"], ids=["memory", "file"])
def place(request, tmp_path):
    return request.param and tmp_path / request.param


def again(study, space=SPACE, **settings):
    """The same study, read anew, if it is in a file."""
    if study.address.path is None:
        return study
    study.close()
    return studied(study.address.path, space, **settings)


def test_trials_that_ran_one_after_the_other(place):
    study = studied(place)
    study.run(train, trials=9, quiet=True)
    check(study, 9)
    check(again(study), 9)


def test_trials_that_ran_beside_each_other_and_had_seen_parts_of_curves(place):
    study, running = studied(place), []
    for k in range(24):
        if len(running) < 3:
            running.append(study.ask())
        trial = running[k % len(running)]
        trial.report(trial.params["x"] + k)
        if k % 4 == 3:
            study.tell(running.pop(k % 3), state="pruned" if k % 8 == 3 else "done")
    check(study, len(study.trials))
    check(again(study), len(study.trials))


def test_trials_of_two_processes_that_knew_different_things(tmp_path, monkeypatch):
    monkeypatch.setattr(sessions, "_STALE", 0.0)
    both, running = [studied(tmp_path / "a.db"), studied(tmp_path / "a.db")], []
    for k in range(30):
        study = both[k % 2]
        if len(running) < 4:
            running.append((study, study.ask()))
        owner, trial = running[(7 * k) % len(running)]
        trial.report(trial.params["x"] + k)
        if k % 3 == 2:
            owner, trial = running.pop(k % len(running))
            trial.report(0.5)
            owner.tell(trial)
    count = len(both[0].sync().trials)
    for study in both:
        check(study.sync(), count)
        study.close()
    with closing(studied(tmp_path / "a.db")) as study:
        check(study, count)


def test_trials_that_were_proposed_together(place):
    study = studied(place)
    for n in (3, 1, 4):
        for trial in study._decider.next(Full(Attentive()), n):
            study.tell(trial, trial.params["x"])
    check(study, 8, batches=4)
    assert [study.explain(number).batch for number in (1, 3, 5)] == [(0, 1, 2), (3,), (4, 5, 6, 7)]
    check(again(study), 8, batches=4)


def test_trials_that_were_put_back_and_went_on(place):
    study = studied(place)
    first, second = study.ask(), study.ask()
    for step in (1, 2):
        first.report(step / 2, step=step)
        second.report(step / 3, step=step)
    first.save({"w": 1})
    study.tell(first, state="queued")
    first, third = study._decider.next(Full(Attentive()), 2)
    assert first.load() == {"w": 1}
    first.report(0.25)
    study.tell(second)
    study.ask()
    study.tell(first)
    study.ask()
    check(study, 5)
    check(again(study), 5)
    assert study.trials[0].attempt == 2


def test_trials_of_a_space_that_grew_while_they_ran(place):
    def grows(trial):
        for k in range(1 + trial.number % 3):
            trial.suggest_float(f"x{k}", 0, 1 + trial.number)
        if trial.suggest_categorical("opt", ["adam", f"opt{trial.number // 4}"]) == "adam":
            return trial.suggest_int("n", 1, 5)
        return trial.suggest_float("rate", 1e-3, 1, log=True)

    study = studied(place, None)
    study.run(grows, trials=12, quiet=True)
    check(study, 12)
    check_spaces(study)
    study = again(study, None)
    check(study, 12)
    check_spaces(study)


def test_trials_that_grew_the_space_beside_each_other(place):
    study, running = studied(place, None), []
    for k in range(16):
        if len(running) < 3:
            running.append(study.ask())
        trial = running[k % len(running)]
        trial.suggest_float(f"x{k % 5}", 0, 1)
        if k % 3 == 2:
            study.tell(running.pop(k % len(running)), k)
    check(study, len(study.trials))
    check(again(study, None), len(study.trials))


def test_trials_of_another_space_than_that_of_today(tmp_path):
    place = tmp_path / "a.db"
    for space in (SPACE, {**SPACE, "x": tn.Float(0, 9)}, {"x": tn.Float(0, 9), "z": tn.Log(1e-3, 1)}):
        study = studied(place, space)
        study.run(train, trials=len(study.trials) + 4, quiet=True)
        study.close()
    with closing(studied(place, SPACE)) as study:
        check(study, 12)
    with closing(studied(place, None)) as study:
        check(study, 12)


def test_trials_that_were_proposed_under_another_limit(place):
    study = studied(place, {"x": [1, 2, 3, 4]}, search="auto")
    study.run(lambda x: x, trials=2, quiet=True)
    study.run(lambda x: x, trials=4, quiet=True)
    study = again(study, None, search="auto")
    check(study, 4)
    assert [record.why["searcher"] for record in study.trials] == ["gp", "gp", "grid", "grid"]


@pytest.mark.parametrize("search", ["auto", "random", "sobol", "halton", "grid", "one_at_a_time"])
def test_trials_of_every_searcher(search, place):
    space = {"x": [1, 2, 3, 4, 5], "opt": ["adam", "sgd"]}
    study = studied(place, space, search=search)
    study.run(train, trials=8, quiet=True)
    check(again(study, space, search=search), 6 if search == "one_at_a_time" else 8)


def test_what_a_lost_attempt_had_reported_is_not_kept_and_that_is_said(tmp_path):
    study = studied(tmp_path / "a.db")
    first = study.ask()
    for step in (1, 2, 3):
        first.report(1 / step, step=step)
    study.tell(study.ask(), 0.5)
    study.tell(first, state="queued")
    first = study.ask()
    first.report(0.75, step=1)
    study.tell(first)
    explanation = study.explain(1)
    assert not explanation.same
    assert "begun again, and not all is kept of their first attempts (0)" in str(explanation)
