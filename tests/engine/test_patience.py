"""Waiting for a store that is away."""

import signal

import pytest

from tuneful.engine import patience
from tuneful.engine.patience import patiently
from tuneful.engine.signals import Signals
from tuneful.errors import StoreAway, StoreError, StoreFull, StudyNotFound


@pytest.fixture(autouse=True)
def soon(monkeypatch):
    monkeypatch.setattr(patience, "_PAUSES", (0.001, 0.004))


def failing(errors):
    left = list(errors)

    def call():
        if left:
            raise left.pop(0)
        return "answer"

    return call


def test_it_is_tried_until_there_is_an_answer():
    assert patiently(failing([]), Signals()) == "answer"
    assert patiently(failing([StoreAway("")] * 20), Signals()) == "answer"
    assert patiently(failing([StoreFull(""), StoreAway("")]), Signals(), StoreError) == "answer"


@pytest.mark.parametrize("error", [StoreFull("full"), StudyNotFound("deleted"), ZeroDivisionError()])
def test_errors_of_other_kinds_are_not_waited_for(error):
    with pytest.raises(type(error)):
        patiently(failing([StoreAway(""), error]), Signals())


def test_it_gives_up_in_the_end_with_the_last_error(monkeypatch):
    monkeypatch.setattr(patience, "OUTAGE", 0.02)
    with pytest.raises(StoreAway, match="away"):
        patiently(failing([StoreAway("away")] * 10**6), Signals())


def test_a_ctrl_c_ends_the_wait():
    signals = Signals()

    def call():
        signal.raise_signal(signal.SIGINT)
        raise StoreAway("away")

    with signals.held(), pytest.raises(KeyboardInterrupt):
        patiently(call, signals)
