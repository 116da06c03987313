"""The disk fills while a study runs: it says so, and when there is space the same process goes on."""

import errno
from contextlib import contextmanager

import pytest
from telling import check_curve, running, states

import tuneful as tn
from tuneful.engine import session as sessions
from tuneful.errors import StoreFull

LONG = {"text": "n" * 20_000}


class Disk:
    """The room that a study has, as SQLite is told it."""

    def __init__(self, study):
        self._store = study._session.store

    def fill(self):
        for db in (self._store._connection._db,):
            (pages,) = db.execute("PRAGMA page_count").fetchone()
            db.execute(f"PRAGMA max_page_count = {pages}")

    def free(self):
        for db in (self._store._connection._db,):
            db.execute("PRAGMA max_page_count = 1073741823")


@pytest.fixture
def study(tmp_path):
    made = tn.Study({"x": tn.Float(0, 1)}, study=tmp_path / "a.db", seed=0, search="random")
    yield made
    made.close()


def check(study, trials):
    """Everything is done, once, and with its own value; and so says the file."""
    assert not running(study)
    assert states(study) == ["done"] * trials
    assert [r.value for r in study.trials] == [r.params["x"] for r in study.trials]
    study.close()
    again = tn.open_study(study.address.path)
    assert [r.value for r in again.trials] == [r.params["x"] for r in again.trials]
    again.close()


def test_full_when_a_trial_is_to_be_started(study):
    disk, ran = Disk(study), []

    def objective(trial, x):
        ran.append(trial.number)
        return x

    study._session.settings = LONG  # so that a trial takes room
    study.run(objective, trials=2, quiet=True)
    disk.fill()
    with pytest.raises(StoreFull, match="Free some space and go on"):
        study.run(objective, trials=5, quiet=True)
    assert study.status == "error"
    assert states(study) == ["done", "done"]
    disk.free()
    study.run(objective, trials=5, quiet=True)
    assert ran == [0, 1, 2, 3, 4]
    check(study, 5)


def test_full_when_a_result_is_to_be_kept(study):
    disk, ran = Disk(study), []

    def objective(trial, x):
        ran.append(trial.number)
        for step in trial.steps(2000):
            trial.report(x, **{f"metric{step % 7}": 1 / step})
        if trial.number == 2:
            disk.fill()
        return x

    with pytest.raises(StoreFull):
        study.run(objective, trials=5, quiet=True)
    assert states(study)[:2] == ["done", "done"]
    disk.free()
    study.run(objective, trials=5, quiet=True)
    assert ran == [0, 1, 2, 3, 4], "what had its result was not run again"
    check_curve(study.trials[2], 2000)
    check(study, 5)


def test_a_result_that_could_not_be_kept_is_not_lost_by_asking_on(study):
    disk = Disk(study)
    trial = study.ask()
    for step in range(1, 2000):
        trial.report(trial.params["x"], step=step)
    disk.fill()
    with pytest.raises(StoreFull):
        study.tell(trial)
    with pytest.raises(StoreFull):
        study.ask()
    disk.free()
    other = study.ask()
    assert (other.number, states(study)) == (1, ["done", "running"])
    assert study.tell(other, other.params["x"])
    check(study, 2)


def test_a_result_told_again_when_there_is_space_counts_once(study):
    disk = Disk(study)
    trial = study.ask()
    for step in range(1, 2000):
        trial.report(trial.params["x"], step=step)
    disk.fill()
    with pytest.raises(StoreFull):
        study.tell(trial)
    disk.free()
    assert study.tell(trial)
    check_curve(study.trials[0], 1999)
    check(study, 1)


def test_full_when_reports_are_to_be_kept(study, monkeypatch):
    """Training goes on; what it reported is written when there is room."""
    monkeypatch.setattr(sessions, "_FLUSH", 0.0)
    disk = Disk(study)

    def objective(trial, x):
        for step in trial.steps(300):
            if trial.number == 1 and step == 100:
                disk.fill()
            if trial.number == 1 and step == 250:
                disk.free()
            trial.report(x, **{f"metric{k}": k / step for k in range(20)})
        return x

    study.run(objective, trials=3, quiet=True)
    for record in study.trials:
        check_curve(record, 300)
    check(study, 3)


def test_full_when_a_state_is_to_be_saved(study):
    """The trial goes on later, from that very state; it has not failed."""
    disk, ran = Disk(study), []

    def objective(trial, x):
        state = trial.load()
        for step in trial.steps(60):
            ran.append((trial.number, step))
            if trial.number == 0 and step == 20 and trial.row.attempt == 1:
                disk.fill()
            trial.report(x, **{f"metric{k}": k / step for k in range(40)})
            trial.save({"step": step, "before": state})
        return x

    with pytest.raises(StoreFull):
        study.run(objective, trials=3, quiet=True)
    disk.free()
    study.run(objective, trials=3, quiet=True)
    assert [record.attempt for record in study.trials] == [2, 1, 1]
    for record in study.trials:
        check_curve(record, 60)
    assert ran == [(number, step) for number in range(3) for step in range(1, 61)], "no step was done twice"
    check(study, 3)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS])
def test_a_disk_of_checkpoints_that_fails_is_no_fault_of_the_trial(study, monkeypatch, code):
    from tuneful.checkpoints import folder

    broken = []
    write = folder.write_contents

    def failing(*args):
        if broken:
            raise OSError(code, "the disk")
        return write(*args)

    monkeypatch.setattr(folder, "write_contents", failing)

    def objective(trial, x):
        trial.load()
        for step in trial.steps(3):
            if (trial.number, step, trial.row.attempt) == (1, 2, 1):
                broken.append(1)
            trial.report(x)
            trial.save({"step": step})
        return x

    with pytest.raises(tn.CheckpointError, match="the disk"):
        study.run(objective, trials=3, quiet=True)
    assert states(study) == ["done", "queued"]
    assert study.trials[1].saved == 1
    broken.clear()
    study.run(objective, trials=3, quiet=True)
    assert study.trials[1].attempt == 2
    for record in study.trials:
        check_curve(record, 3)
    check(study, 3)


@contextmanager
def blocked(study):
    """Nobody can write."""
    from contextlib import closing
    from sqlite3 import connect

    with closing(connect(study.address.path, isolation_level=None)) as db:
        db.execute("BEGIN IMMEDIATE")
        yield
        db.execute("ROLLBACK")


def test_a_store_that_is_away_at_the_end_of_a_trial_is_not_the_trials_fault(study, monkeypatch):
    for db in (study._session.store._connection._db,):
        db.execute("PRAGMA busy_timeout = 50")
    study.run(lambda x: x, trials=1, quiet=True)
    trial = study.ask()
    with blocked(study), pytest.raises(tn.StoreBusy, match="locked by another program"):
        study.tell(trial, trial.params["x"])
    study.run(lambda x: x, trials=3, quiet=True)
    check(study, 3)
