"""The thread that says that a process lives."""

import time

import tuneful as tn
from tuneful.engine import pulse


def until(is_so):
    deadline = time.monotonic() + 60  # only against a hang
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_it_looks_and_beats_and_hears_though_what_it_looks_at_fails(tmp_path, monkeypatch):
    monkeypatch.setattr(pulse, "_WATCH", 0.01)
    study = tn.Study({"x": [1, 2]}, study=tmp_path / "a.db")
    looked, beaten = [], []

    def broken():
        looked.append(1)
        raise RuntimeError("it cannot look")

    beat = study._session.beat
    monkeypatch.setattr(study._session, "beat", lambda lease: (beaten.append(lease), beat(lease)))
    study._session.watch = broken
    trial = study.ask(lease=0.06)
    until(lambda: len(looked) > 3 and len(beaten) > 3)
    assert study._session.store.reap() == 0
    assert study.tell(trial, 1.0)
    study.close()


def test_a_pulse_that_was_ended_says_no_more(tmp_path):
    study = tn.Study({"x": [1, 2]}, study=tmp_path / "a.db")
    study.ask(lease=0.06)
    study.close()
    other = tn.open_study(tmp_path / "a.db")
    assert other._session.store.members() == []
