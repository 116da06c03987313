"""Who decides, and what the others know of trials that they only take."""

import time
from dataclasses import dataclass

import pytest

import tuneful as tn
from tuneful.engine import session as sessions
from tuneful.engine.decider import Decider
from tuneful.history import State
from tuneful.schedulers import Full
from tuneful.searchers import Random

SPACE = {"x": tn.Float(0, 1)}


@pytest.fixture
def pair(tmp_path):
    """A process that leads, and another one."""
    made = [tn.Study(SPACE, study=tmp_path / "a.db", seed=0, search="random") for _ in range(2)]
    leader = made[0]._session
    leader.alive(60.0)
    assert leader.store.lead(leader.name, leader.worker)
    yield made
    for study in made:
        study.close()


def provided(study, idle, workers=2):
    return study._decider.provide(Full(Random()), idle, workers)


def numbers(study, state):
    return [record.number for record in study.sync().trials if record.state == state]


def test_as_many_are_made_ready_as_wait_and_no_more(pair):
    a, b = pair
    assert provided(a, 3)
    assert provided(a, 3)
    assert numbers(b, State.QUEUED) == a.history.ready == [0, 1, 2]
    assert (b.history.begun > 0).all()
    assert b.ask().number == 0
    assert provided(a, 3)
    assert a.sync().history.ready == [1, 2, 3]


def test_a_limit_counts_what_is_ready(pair):
    a, _ = pair
    a.history.limits = tn.history.Limits(trials=2)
    assert provided(a, 5)
    assert provided(a, 5)
    assert len(a.history) == 2


def test_it_says_when_nothing_is_left(pair):
    a, b = pair
    a.history.limits = tn.history.Limits(trials=1)
    assert provided(a, 1)
    trial = b.ask()
    assert provided(a, 1), "one runs"
    b.tell(trial, 0.5)
    assert not provided(a, 1)


def test_what_is_held_is_neither_ready_nor_in_the_way(pair):
    a, b = pair
    provided(a, 2)
    a.pause(0)
    assert b.ask().number == 1
    provided(a, 1)
    assert a.history.ready == [2]
    a.resume(0)
    assert a.history.ready == [0, 2]


def test_nothing_is_made_ready_while_a_study_is_paused(pair):
    a, b = pair
    b.pause()
    assert provided(a, 3), "it is not over"
    assert len(a.history) == 0
    b.resume()
    provided(a, 3)
    assert len(a.history) == 3


def test_who_only_takes_need_not_read_before_it_tells(pair):
    a, b = pair
    provided(a, 6)
    known = len(b.history)
    trials = [b._decider.take() for _ in range(4)]
    assert [trial.number for trial in trials] == [0, 1, 2, 3]
    assert len(b.history) == known
    trials[3].report(0.25)
    trials[3].save({"w": 1})
    for trial in trials[1:]:
        assert b.tell(trial, 0.5)
    assert states(b.sync()) == ["running"] + ["done"] * 3 + ["queued"] * 2
    assert [record.params for record in b.trials] == [record.params for record in a.sync().trials]
    assert b.trials[3].curve()[1].tolist() == [0.25]
    assert (b.best.number, b.history.started) == (1, 6)
    assert b.history.known.all()


@pytest.fixture
def holding(pair):
    """Both; the second runs one trial of six, and has claimed three more."""
    a, b = pair
    provided(a, 6)
    b._decider._claimed = time.monotonic(), 2
    assert b.ask().number == 0
    assert states(a.sync()) == ["running"] * 4 + ["queued"] * 2
    return a, b


def test_short_trials_are_claimed_several_at_once(holding, monkeypatch):
    a, b = holding
    monkeypatch.setattr(b._session.store, "claim_ready", None)
    trials = [b._decider.take() for _ in range(3)]
    assert [trial.number for trial in trials] == [1, 2, 3]
    for trial in trials:
        assert b.tell(trial, 0.5)
    assert states(a.sync()) == ["running"] + ["done"] * 3 + ["queued"] * 2
    assert all(record.started is not None for record in a.trials[:4])


def test_one_trial_at_a_time_is_claimed_where_they_are_long(pair, monkeypatch):
    a, b = pair
    provided(a, 6)
    b._decider._claimed = time.monotonic() - 1.0, 16
    b.ask()
    assert states(a.sync()) == ["running"] + ["queued"] * 5


@pytest.mark.parametrize("how", ["close", "pulse", "pause", "given up"])
def test_what_is_claimed_and_not_started_is_ready_again_as_it_was(holding, monkeypatch, how):
    a, b = holding
    session = b._session
    if how == "close":
        b.close()
    elif how == "pulse":
        monkeypatch.setattr(sessions, "_HELD", 0.0)
        session.listen()
    elif how == "pause":
        a.pause()
        session.listen()
        assert b._decider.take() is None
        a.resume()
    else:
        session.store.beat(session.worker, -1.0)
        session._pulse.end()
        assert a._session.store.reap() == 4
        session.beat(60.0)
    attempts = [record.attempt for record in a.sync().trials]
    assert attempts[1:] == [0] * 5
    assert a.history.ready[-5:] == [1, 2, 3, 4, 5]
    if how != "close":
        taken = b._decider.take()
        assert (taken.number, taken.row.attempt) == {"given up": (0, 2)}.get(how, (1, 1))


def test_a_forked_child_starts_nothing_that_its_parent_has_claimed(holding):
    _, b = holding
    b._session._pid = -1
    b._session._after_fork()
    assert b._decider.take().number == 4


def states(study):
    return [str(record.state) for record in study.trials]


def test_who_has_only_taken_can_decide_when_the_leader_is_gone(pair):
    a, b = pair
    provided(a, 3)
    trials = [b._decider.take() for _ in range(3)]
    a.close()
    assert b.ask().number == 3
    assert states(b) == ["running"] * 4
    assert [record.params for record in b.trials][:3] == [trial.params for trial in trials]


def test_the_median_of_all_is_known_to_who_only_takes(tmp_path):
    a, b = (tn.Study(SPACE, study=tmp_path / "a.db", seed=0, search="random", prune="median") for _ in range(2))
    for _ in range(6):
        trial = a.ask()
        for step in trial.steps(5):
            trial.report(0.1 * step)
        a.tell(trial)
    provided(a, 1)
    worse = Decider(b._session).take()
    b._session._read_at = -1e9  # it is read again where it was not for half a second
    for _ in worse.steps(5):
        worse.report(1.0)
    assert (worse.row.step, worse.verdict) == (3, "pruned")


@dataclass(frozen=True)
class Learning:
    """A searcher whose answers results change."""

    def propose(self, history, n):
        return Random().propose(history, n)


@pytest.mark.parametrize(("searcher", "workers", "some"), [(Random(), 1, True), (Learning(), 1, False)])
def test_one_worker_gets_what_is_decided_from_all_results(pair, searcher, workers, some):
    a, _ = pair
    a._decider._pace = a._decider._pace[0] + 10**6, 0, 1000.0  # as if a thousand trials a second were started
    a._decider._took = 0.1
    a._decider.provide(Full(searcher), 1, workers)
    assert (len(a.history) > 1) == some
