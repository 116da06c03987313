"""The store is away for a while, or answers are lost: training goes on, results come later, and count once."""

import signal

import pytest
from telling import check_curve, running, script, states

import tuneful as tn
from tuneful.engine import patience
from tuneful.engine import session as sessions
from tuneful.errors import StoreAway

SPACE = {"x": tn.Float(0, 1)}


class Weather:
    """A store that is away at times: `until` it has refused so many calls of a method; of others too, unless `only`.

    What is `lost` are answers: the call is done, and then it seems to be away.
    """

    def __init__(self, store):
        self._store = store
        self.until, self.lost, self.refused = {}, {}, []
        self.then, self.only = None, False

    def __getattr__(self, name):
        known = getattr(self._store, name)
        return (lambda *args, **options: self._call(name, known, *args, **options)) if callable(known) else known

    def _call(self, name, known, *args, **options):
        if self.until and (name in self.until or not self.only):
            self.refused.append(name)
            if name in self.until:
                self.until[name] -= 1
                self.until = {} if self.until[name] == 0 else self.until
                if self.then is not None:
                    self.then()
            raise StoreAway("The store cannot be reached.")
        answer = known(*args, **options)
        if self.lost.get(name):
            self.lost[name] -= 1
            raise StoreAway("The answer was lost.")
        return answer


@pytest.fixture
def study(tmp_path, monkeypatch):
    monkeypatch.setattr(sessions, "_FLUSH", 0.0)
    monkeypatch.setattr(patience, "_PAUSES", (0.001, 0.01))
    made = tn.Study(SPACE, study=tmp_path / "a.db", seed=0, search="random")
    made._session.store = Weather(made._session.store)
    yield made
    made._session.store = made._session.store._store
    made.close()


def check(study, trials):
    assert states(study) == ["done"] * trials
    assert [r.value for r in study.trials] == [r.params["x"] for r in study.trials]
    assert {r.attempt for r in study.trials} == {1}
    again = tn.open_study(study.address.path)
    assert [(r.state, r.value) for r in again.trials] == [(r.state, r.value) for r in study.trials]
    again.close()


def test_away_in_the_middle_of_a_trial_it_trains_on_and_tells_later(study):
    ran = []

    def objective(trial, x):
        assert trial.load() is None
        for step in trial.steps(8):
            ran.append((trial.number, step))
            if (trial.number, step) == (1, 3):
                study._session.store.until = {"report": 15}
            trial.report(x)
            trial.save({"step": step})
        return x

    study.run(objective, trials=3, quiet=True)
    assert ran == [(number, step) for number in range(3) for step in range(1, 9)]
    assert study._session.store.refused.count("report") == 15  # 12 in the trial, then until it is back
    check(study, 3)
    for record in study.trials:
        check_curve(record, 8)
        assert record.saved == 8


def test_back_in_the_middle_of_a_trial_all_its_steps_are_known(study):
    def objective(trial, x):
        for step in trial.steps(8):
            if (trial.number, step) == (1, 3):
                study._session.store.until = {"report": 3}
            trial.report(x)
        return x

    study.run(objective, trials=3, quiet=True)
    check(study, 3)
    for record in study.trials:
        check_curve(record, 8)


def test_a_state_saved_while_away_is_the_one_to_go_on_from(study):
    def objective(trial, x):
        state = trial.load()
        for step in trial.steps(8):
            if (trial.number, step, state) == (1, 3, None):
                study._session.store.until = {"report": 4}
            trial.report(x)
            trial.save({"step": step})
            if (trial.number, step, state) == (1, 7, None):
                raise KeyboardInterrupt
        return x

    study.run(objective, trials=3, quiet=True)
    assert study.status == "interrupted"
    assert (study.trials[1].saved, str(study.trials[1].state)) == (7, "queued")
    study.run(objective, trials=3, quiet=True)
    assert states(study) == ["done"] * 3
    check_curve(study.trials[1], 8)


@pytest.mark.parametrize("method", ["create", "sync", "reap", "finish"])
def test_away_between_trials_it_waits(study, method):
    def callback(study, record):
        if record.number == 1:
            study._session._stale = True
            study._session._reaped_at = -1e9
            study._session.store.until, study._session.store.only = {method: 3}, True

    study.run(lambda x: x, trials=3, callbacks=[callback], quiet=True)
    assert study._session.store.refused
    study._session.store.until = {}
    check(study, 3)


def test_away_for_longer_than_anybody_waits_is_an_error_and_nothing_is_lost(study, monkeypatch):
    monkeypatch.setattr(patience, "OUTAGE", 0.05)

    def objective(trial, x):
        if trial.number == 1 and not study._session.store.refused:
            study._session.store.until = {"never": 1}
        return x

    with pytest.raises(StoreAway, match="cannot be reached"):
        study.run(objective, trials=3, quiet=True)
    assert study.status == "error"
    study._session.store.until = {}
    study.run(objective, trials=3, quiet=True)
    check(study, 3)


def test_a_ctrl_c_while_a_result_waits_ends_the_run_and_the_result_is_kept(study):
    weather = study._session.store

    def objective(trial, x):
        if trial.number == 1 and not weather.refused:
            weather.until = {"finish": 10**9}
            weather.then = lambda: signal.raise_signal(signal.SIGINT) if len(weather.refused) > 3 else None
        return x

    study.run(objective, trials=3, quiet=True)
    assert study.status == "interrupted"
    weather.until, weather.then = {}, None
    study.run(objective, trials=3, quiet=True)
    check(study, 3)


@pytest.mark.parametrize("method", ["finish", "report", "create", "claim_ready", "beat", "sync", "reap"])
def test_an_answer_that_is_lost_changes_nothing(study, method):
    """The call was done: it is not done twice, and what it has begun is run."""
    weather = study._session.store

    def objective(trial, x):
        for _ in trial.steps(3):
            trial.report(x)
        if trial.number in (0, 1):
            weather.lost = {method: 1}
        return x

    study.run(objective, trials=4, quiet=True)
    weather.lost = {}
    assert study.status == "complete"
    assert not running(study)
    assert states(study) == ["done"] * 4
    assert [r.value for r in study.trials] == [r.params["x"] for r in study.trials]
    for record in study.trials:
        check_curve(record, 3)


def test_by_hand_a_result_that_could_not_be_told_is_told_again(study):
    weather = study._session.store
    trial = study.ask()
    weather.until = {"finish": 1}
    with pytest.raises(StoreAway):
        study.tell(trial, trial.params["x"])
    assert study.tell(trial, trial.params["x"])
    lost = study.ask()
    weather.lost = {"finish": 1}
    with pytest.raises(StoreAway):
        study.tell(lost, lost.params["x"])
    assert study.tell(lost, lost.params["x"])
    check(study, 2)


# In workers

FAULTS = """
from tuneful.engine import patience, session
from tuneful.stores import SqliteStore
from tuneful.errors import StoreAway

weather = {"until": None, "refused": 0, "stores": []}

def setup():
    patience._PAUSES, session._FLUSH = (0.01, 0.05), 0.0
    def refusing(name, known):
        def call(self, *args, **options):
            if weather["until"] is not None:
                weather["refused"] += 1
                weather["until"] -= name in ("report", "finish")
                if weather["until"] == 0:
                    weather["until"] = None
                raise StoreAway("The store cannot be reached.")
            return known(self, *args, **options)
        return call
    for name in ("sync", "report", "finish", "claim_ready", "orders", "beat", "reap"):
        setattr(SqliteStore, name, refusing(name, getattr(SqliteStore, name)))
    begin = SqliteStore.__init__
    def __init__(self, path):
        begin(self, path)
        weather["stores"].append(self)
    SqliteStore.__init__ = __init__

def objective(trial, x):
    trial.load()
    for step in trial.steps(8):
        say("step", os.getpid(), trial.number, step)
        if (trial.number, step) == (1, 3):
            FAULT
        trial.report(x, **{f"metric{k}": k / step for k in range(400)})
        trial.save({"step": step})
    return x

study = tn.Study({"x": tn.Float(0, 1)}, study=PATH, seed=0, search="random")
study.run(objective, trials=4, workers=1, setup=setup, quiet=True)
say("end", study.status)
"""

AWAY = 'weather["until"] = 15'
FILL = """
            for db in (weather["stores"][0]._connection._db,):
                (pages,) = db.execute("PRAGMA page_count").fetchone()
                db.execute(f"PRAGMA max_page_count = {pages}")
"""
FREE = """
    from tuneful.errors import StoreFull
    refused, finish = [], SqliteStore.finish
    def patient(self, *args):
        try:
            return finish(self, *args)
        except StoreFull:
            refused.append(1)
            if len(refused) == 3:
                for db in (self._connection._db,):
                    db.execute("PRAGMA max_page_count = 1073741823")
            raise
    SqliteStore.finish = patient
"""


def faulty(tmp_path, fault, *, setup="", saves=True, first=1):
    """A script with a fault in a worker, in the third step of a trial."""
    code = FAULTS.replace("FAULT\n", fault + "\n").replace("def setup():\n", "def setup():\n" + setup)
    code = code.replace("(1, 3)", f"({first}, 3)")
    return script(code if saves else code.replace("trial.save(", "("), path=str(tmp_path / "a.db"))


def test_a_worker_survives_an_outage_and_delivers_what_it_has(tmp_path):
    with faulty(tmp_path, AWAY) as other:
        *steps, end = other.rest()
    assert end == ("end", "complete")
    assert len({pid for _, pid, *_ in steps}) == 1
    assert [tuple(rest) for _, _, *rest in steps] == [(n, step) for n in range(4) for step in range(1, 9)]
    study = tn.open_study(tmp_path / "a.db")
    check(study, 4)
    for record in study.trials:
        check_curve(record, 8)
        assert record.saved == 8


def test_a_worker_whose_disk_is_full_at_the_end_of_a_trial_waits_for_space(tmp_path):
    with faulty(tmp_path, FILL, setup=FREE, saves=False) as other:
        *steps, end = other.rest()
    assert end == ("end", "complete")
    assert len({pid for _, pid, *_ in steps}) == 1
    study = tn.open_study(tmp_path / "a.db")
    check(study, 4)
    for record in study.trials:
        check_curve(record, 8)


def test_a_worker_whose_disk_is_full_when_it_saves_ends_the_run_and_the_next_goes_on(tmp_path):
    with faulty(tmp_path, FILL, first=0) as other:
        assert ("end", "complete") not in other.rest(1)
    assert "StoreFull: The disk is full" in "".join(other._complaints)
    study = tn.open_study(tmp_path / "a.db")
    assert set(states(study)) == {"queued"}
    with faulty(tmp_path, "pass") as other:
        assert other.rest()[-1] == ("end", "complete")
    assert states(study) == ["done"] * 4
    for record in study.trials:
        check_curve(record, 8)


def test_a_parent_survives_an_outage(study):
    weather = study._session.store

    def callback(study, record):
        if record.number == 2:
            weather.until = {"sync": 5}

    study.run(lambda x: x, trials=6, workers=2, callbacks=[callback], quiet=True)
    assert weather.refused.count("sync") == 5
    check(study, 6)


def test_a_parent_that_cannot_say_that_it_leads_says_it_later(study):
    weather = study._session.store
    weather.only, weather.until = True, {"lead": 5}
    study.run(lambda x: x, trials=6, workers=2, quiet=True)
    assert weather.refused == ["lead"] * 5
    check(study, 6)
