"""A process and its store, step by step, where no whole story can stop them."""

import gc
import sqlite3
import threading
import time
import weakref
from contextlib import closing
from dataclasses import replace

import pytest

import tuneful as tn
from tuneful.engine import session as sessions
from tuneful.errors import StudyError
from tuneful.history import Job, Row, State
from tuneful.schedulers import Full
from tuneful.searchers import Random

SPACE = {"x": tn.Float(0, 1)}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "a.db"


@pytest.fixture
def pair(path):
    """Two processes' views of one study."""
    made = [tn.Study(SPACE, study=path, seed=0, search="random") for _ in range(2)]
    yield made
    for study in made:
        study.close()


def facts(study):
    return [(r.number, r.state, r.config, r.metrics, r.attempt) for r in study.sync().trials]


# Deciding against others


def test_who_is_second_with_a_number_decides_again(pair):
    a, b = pair
    b.sync()
    first = a.ask()
    second = b.ask()  # without having read what `a` did
    assert (first.number, second.number) == (0, 1)
    assert second.row.seen > first.row.seen
    assert first.params != second.params


def test_who_is_second_with_a_waiting_trial_decides_again(pair):
    a, b = pair
    a.enqueue({"x": 0.25})
    b.sync()
    first = a.ask()
    b._session._read_at = time.monotonic()
    second = b.ask()
    assert (first.params, second.number) == ({"x": 0.25}, 1)


def test_of_several_jobs_those_that_can_be_had_are_started(pair):
    a, b = pair
    for x in (0.1, 0.2, 0.3):
        a.enqueue({"x": x})
    b.sync()
    a.ask()
    b._session._read_at = time.monotonic()
    started = b._decider.next(Full(Random()), 3)
    assert [trial.number for trial in started] == [1, 2]
    assert [trial.number for trial in b._decider.next(Full(Random()), 2)] == [3, 4]


def test_several_trials_may_be_asked_for_at_once(pair):
    a, b = pair
    trials = a._decider.next(Full(Random()), 4)
    assert [trial.number for trial in trials] == [0, 1, 2, 3]
    assert len({trial.params["x"] for trial in trials}) == 4
    for trial in trials:
        assert a.tell(trial, 1.0)
    assert facts(a) == facts(b)


def test_what_others_did_while_a_trial_ended_is_known_to_the_next_decision(pair, monkeypatch):
    monkeypatch.setattr(sessions, "_STALE", 1e9)
    a, b = pair
    first, second = a.ask(), b.ask()
    a.sync()
    b.tell(second, 0.25)
    a.tell(first, 0.5)
    third = a.ask()
    past = a.history.as_of(third.row.seen)
    assert past.y[:, 0].tolist() == [0.5, 0.25]


def test_what_a_decision_rests_on_is_known_to_all_from_the_revision_that_it_had_seen(pair):
    a, b = pair
    first = a.ask()
    first.report(0.5)
    assert a.history.as_of(a.history.rev).reached.tolist() == [0]
    second = a.ask()
    for study in (a, b.sync()):
        assert study.history.as_of(second.row.seen).reached.tolist() == [1]
        assert study.history.as_of(second.row.seen - 1).reached.tolist() == [0]


def test_jobs_decided_together_had_seen_the_same(pair):
    a, _ = pair
    for x in (0.25, 0.5):
        a.enqueue({"x": x})
    seen = a.history.rev
    first, second, new = a._decider.next(Full(Random()), 3)
    assert (first.row.past[-1].seen, second.row.past[-1].seen, new.row.seen) == (seen, seen, seen)


def test_two_who_add_a_trial_at_once_add_two(pair):
    a, b = pair
    b.sync()
    a.enqueue({"x": 0.25})
    b._session._read_at = time.monotonic()
    assert b.enqueue({"x": 0.75}) == 1
    with pytest.raises(StudyError, match="Trial 0 has this config"):
        b.enqueue({"x": 0.25})


def test_two_who_find_the_same_signature_add_one_baseline(path):
    def objective(x: float = 0.5, **rest):
        return x

    objective.__annotations__["x"] = __import__("typing").Annotated[float, tn.Float(0, 1)]
    a, b = (tn.Study(study=path, seed=0) for _ in range(2))
    a._take_signature(objective)
    assert not len(b.trials)
    b._session._read_at = time.monotonic()
    b._take_signature(objective)
    assert [r.params for r in b.sync().trials] == [{"x": 0.5}]
    assert a.run(objective, trials=2, quiet=True).baseline.value == 0.5


def test_a_job_that_cannot_be_run_is_not_claimed(path, monkeypatch):
    study = tn.Study(SPACE, study=path, seed=0)
    study.enqueue({"x": 0.5})

    def broken(self, config):
        raise RuntimeError("this space cannot be shown")

    with monkeypatch.context() as patched:
        patched.setattr(tn.Space, "nested", broken)
        for _ in range(2):
            with pytest.raises(RuntimeError):
                study.ask()
        assert facts_of_states(study) == [State.QUEUED]
        study.enqueue({"x": 0.75})
    assert study.ask().number == 0


def facts_of_states(study):
    return [State(int(state)) for state in study.history.state]


# Reading


def test_what_others_reported_is_known_before_their_trials_end(pair, monkeypatch):
    monkeypatch.setattr(sessions, "_FLUSH", 0.0)
    a, b = pair
    trial = a.ask()
    for step in trial.steps(3):
        trial.report(step / 10, other=step)
    b.sync()
    steps, values = b.history.curve(0)
    assert (steps.tolist(), values.tolist()) == ([1, 2, 3], [0.1, 0.2, 0.3])
    assert b.history.reached.tolist() == [3]
    assert b.history.curve(0, "other")[1].tolist() == [1, 2, 3]


def test_reports_wait_to_be_written_together(pair, monkeypatch):
    a, b = pair
    trial = a.ask()
    rev = a.sync()._session._known
    for _ in trial.steps(50):
        trial.report(0.5)
    assert a._session.store.sync("a", rev).rows == ()
    monkeypatch.setattr(sessions, "_FLUSH", 0.0)
    trial.report(0.5, step=51)
    assert b.sync().trials[0].step == 51


def test_an_attempt_that_begins_again_is_forgotten_beyond_its_beginning_by_everyone(pair):
    a, b = pair
    trial = a.ask()
    for step in trial.steps(4):
        trial.report(step / 10)
        if step == 2:
            trial.save({"w": 2})
    a.tell(trial, state="queued")
    assert b.sync().trials[0].curve()[0].tolist() == [1, 2, 3, 4]
    again = b.ask()
    again.load()
    again.report(0.9, step=3)
    again.save({"w": 3})
    expected = ([1, 2, 3], [0.1, 0.2, 0.9])
    for study in (a, b):
        assert tuple(part.tolist() for part in study.sync().trials[0].curve()) == expected
    b.tell(again)
    for study in (a, b, tn.open_study(a.address.path)):
        assert tuple(part.tolist() for part in study.sync().trials[0].curve()) == expected


def test_reports_that_were_not_written_are_forgotten_with_a_trial_that_was_given_up(pair):
    a, b = pair
    trial = a.ask()
    trial.report(0.5)
    a._session.store.beat(a._session.worker, -1.0)
    b._session.store.reap()
    assert states_and_steps(a.sync()) == states_and_steps(b.sync()) == [(State.QUEUED, [])]


def states_and_steps(study):
    return [(record.state, record.curve()[0].tolist()) for record in study.trials]


def test_an_attempt_that_says_nothing_leaves_no_words_of_the_one_before(path):
    """What the first attempt reported beyond its checkpoint must not come back when the study is opened again."""
    study = tn.Study(SPACE, study=path, seed=0)
    trial = study.ask()
    for step in (1, 2, 3):
        trial.report(step / 10, step=step)
    study.tell(trial, state="queued")
    again = study.ask()
    again.report(0.7, step=1)
    again.report(0.8, step=2)
    assert study.tell(again)
    study.close()
    record = tn.open_study(path).trials[0]
    assert tuple(part.tolist() for part in record.curve()) == ([1, 2], [0.7, 0.8])
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("SELECT count(*) FROM report").fetchone() == (0,)


def test_a_study_larger_than_a_page_is_read_with_the_reports_of_its_running_trials(path, monkeypatch):
    from tuneful.stores import sqlite

    monkeypatch.setattr(sqlite, "_PAGE", 7)
    a = tn.Study(SPACE, study=path, seed=0, search="random")
    trials = [a.ask() for _ in range(30)]
    for trial in trials:
        trial.report(trial.number / 100, step=1)
        a._session._flush(trial)
    for trial in reversed(trials[:20]):
        a.tell(trial)
    for trial in trials[20:]:
        trial.report(trial.number / 10, step=2)
        a._session._flush(trial)
    b = tn.open_study(path)
    assert len(b.trials) == 30
    for record in b.trials:
        n = record.number
        steps, values = record.curve()
        assert (steps.tolist(), values.tolist()) == ([1], [n / 100]) if n < 20 else ([1, 2], [n / 100, n / 10])


def test_a_study_in_memory_is_read_only_when_there_is_a_reason(monkeypatch):
    study = tn.Study(SPACE, seed=0, search="random")
    calls = []
    sync = study._session.store.sync
    monkeypatch.setattr(study._session.store, "sync", lambda *a: calls.append(a) or sync(*a))
    for _ in range(5):
        study.tell(study.ask(), 0.5)
    assert calls == []


def test_another_space_of_another_process_does_not_change_ones_own(path):
    a = tn.Study(SPACE, study=path, seed=0, search="random")
    b = tn.Study({"x": tn.Float(0, 5), "y": tn.Bool()}, study=path, search="random")
    theirs = b.ask()
    b.tell(theirs, 1.0)
    mine = a.ask()
    assert mine.params.keys() == {"x"}
    assert a.space == tn.Space(SPACE)
    assert a.sync().trials[0].params == theirs.params
    a.tell(mine, 2.0)
    assert b.sync().trials[1].params == mine.params


def test_two_who_change_the_space_at_once_both_get_theirs(path):
    a, b = (tn.Study(study=path, seed=0) for _ in range(2))
    one, two = a.ask(), b.ask()
    assert one.suggest_float("x", 0, 1) >= 0
    assert two.suggest_float("y", 0, 1) >= 0  # without having read of x
    assert two.suggest_float("x", 0, 2) >= 0
    a.tell(one, 1.0)
    b.tell(two, 2.0)
    assert b.space["x"] == tn.Float(0, 2)
    assert set(b.space.paths) == {"x", "y"}
    assert a.sync().space == b.space


def test_a_conflict_of_two_spaces_is_told_to_who_is_second(path):
    a, b = (tn.Study(study=path, seed=0) for _ in range(2))
    one, two = a.ask(), b.ask()
    one.suggest_float("x", 0, 1)
    with pytest.raises(tn.SpaceError, match="`x`"):
        two.suggest_int("x", 0, 1)
    assert b.tell(two, error="conflict")
    assert a.tell(one, 1.0)


# Being alive


def test_a_forgotten_session_stops_beating(path):
    others = set(threading.enumerate())  # of studies that live on in other tests
    study = tn.Study(SPACE, study=path)
    study.ask(lease=0.3)
    [beat] = [thread for thread in set(threading.enumerate()) - others if thread.name == "tuneful pulse"]
    gone = weakref.ref(study._session)
    del study
    gc.collect()
    beat.join(60)  # only against a hang
    assert not beat.is_alive()
    assert gone() is None


def test_a_beat_survives_a_store_that_is_away(path, monkeypatch):
    study = tn.Study(SPACE, study=path)
    calls = []
    beat = study._session.store.beat

    def flaky(*args):
        calls.append(args)
        if len(calls) in (2, 3):
            raise tn.StoreBusy("away")
        return beat(*args)

    monkeypatch.setattr(study._session.store, "beat", flaky)
    trial = study.ask(lease=0.06)
    deadline = time.monotonic() + 30
    while len(calls) < 6:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert study.tell(trial, 1.0)
    study.close()


def test_a_study_that_is_closed_twice_or_forgotten_gives_back_once(path):
    study = tn.Study(SPACE, study=path)
    study.ask()
    study.close()
    study.close()
    other = tn.open_study(path)
    assert (other.trials[0].state, other.trials[0].attempt) == (State.QUEUED, 1)
    other.ask()
    del other
    gc.collect()
    assert tn.open_study(path).trials[0].state == State.QUEUED


# Ends


def test_an_end_that_was_written_although_it_seemed_not_counts_as_it_was_written(path, monkeypatch):
    study = tn.Study(SPACE, study=path, seed=0)
    finish = study._session.store.finish

    def lost(*args):
        finish(*args)
        raise tn.StoreError("the answer was lost")

    trial = study.ask()
    with monkeypatch.context() as patched:
        patched.setattr(study._session.store, "finish", lost)
        with pytest.raises(tn.StoreError, match="answer was lost"):
            study.tell(trial, 0.25)
    other = study.ask()  # settles it
    assert other.number == 1
    assert (study.trials[0].state, study.trials[0].value) == (State.DONE, 0.25)
    assert study.history.ended[0] == tn.open_study(path).history.ended[0]
    study.tell(other, 0.5)


def test_an_end_that_waits_is_dropped_when_another_worker_has_the_trial(path, monkeypatch):
    study = tn.Study(SPACE, study=path, seed=0)
    trial = study.ask()

    def away(*args):
        raise tn.StoreBusy("away")

    with monkeypatch.context() as patched:
        patched.setattr(study._session.store, "finish", away)
        with pytest.raises(tn.StoreBusy):
            study.tell(trial, 0.25)
    other = tn.open_study(path)
    assert other.tell(0, 0.75)
    study.sync()
    assert study.ask().number == 1
    assert study.trials[0].value == 0.75
    assert not study._session._unsettled


class Rungs:
    """Two steps, then two more."""

    def plan(self, history, n):
        if not len(history):
            return [Job({"x": 0.5}, 2, note={"rung": 0})]
        return [Job.resume(history, 0, 4)] if history.state[0] in (State.QUEUED, State.PAUSED) else []


def trained(trial, save):
    seen = []
    for step in trial.steps(9):
        seen.append(step)
        trial.report(step / 10)
        if save:
            trial.save({"step": step})
    return seen


def test_a_trial_of_a_scheduler_goes_until_its_step(path):
    study = tn.Study(SPACE, study=path, seed=0)
    [trial] = study._decider.next(Rungs(), 1)
    assert trained(trial, save=True) == [1, 2]
    assert study.tell(trial, 7.0)
    assert [str(record.state) for record in study.trials] == ["paused"]
    [again] = study._decider.next(Rungs(), 1)
    assert again.load() == {"step": 2}
    assert trained(again, save=True) == [3, 4]
    assert again.row.note == {"rung": 0}
    assert study._decider.next(Rungs(), 1) == []
    assert study.history.length[0] == 9


def test_a_trial_that_saves_nothing_cannot_be_paused_and_goes_on(path):
    study = tn.Study(SPACE, study=path, seed=0)
    [trial] = study._decider.next(Rungs(), 1)
    assert trained(trial, save=False) == list(range(1, 10))
    assert study.tell(trial)
    assert study.trials[0].value == 0.9


def test_a_trial_made_by_a_space_that_this_process_never_searched_is_shown_in_its_own(path):
    a = tn.Study(SPACE, study=path, seed=0)
    b = tn.Study({"z": tn.Int(1, 9)}, study=path)
    b.enqueue({"z": 3})
    b.close()
    trial = a.ask()
    assert trial.params == {"z": 3}
    assert a.tell(trial, 1.0)
    assert tn.open_study(path).trials[0].params == {"z": 3}


def test_a_row_made_by_hand_is_recorded_as_it_is(path):
    study = tn.Study(SPACE, study=path, seed=0)
    assert study._session.add(lambda history: None) is None
    made = Row(0, {"x": 0.5}, state=State.DONE, values={"value": 3.0}, imported=True, finished=1.0)
    assert study._session.add(lambda history: replace(made)) == 0
    assert (study.best.value, study.history.started) == (3.0, 0)


def test_what_is_wanted_of_a_running_trial_is_known_after_it(path):
    study, other = tn.Study(SPACE, study=path, seed=0, search="random"), tn.Study(SPACE, study=path)
    trial = study.ask()
    trial.report(0.5)
    trial.save({"step": 1})
    other.pause(0)
    study.sync()
    study._session.listen()
    assert trial.should_stop()
    study.tell(trial)
    assert study.history.text("wish", 0) == "hold"
    assert study.ask().number == 1
    assert other.sync().history.text("wish", 0) == "hold"


def test_a_trial_that_goes_on_in_place_while_orders_come_in_is_still_its_own(path):
    study = tn.Study(SPACE, study=path, seed=0, schedule=Rungs())
    trial = study.ask()
    session, asked = study._session, study._session.store.orders

    def paused_just_then(*args):
        study.tell(trial)
        orders = asked(*args)
        again = study.ask()
        assert again.number == trial.number
        trial.go_on_as(again)
        return orders

    steps = trial.steps(9)
    for _ in range(2):
        next(steps)
        trial.report(0.5)
        trial.save({"w": 1})
    assert trial.should_stop()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(session.store, "orders", paused_just_then)
        session.listen()
    assert trial.verdict is None
    assert trial.claim.attempt == 2
    assert not trial.told
