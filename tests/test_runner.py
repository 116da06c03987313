"""The loop that runs trials, where no whole story shows it: rules, gains, signals."""

import signal
import threading

import numpy as np
import pytest

import tuneful as tn
from tuneful import runner
from tuneful.runner import Rules, gainless


def study_of(values, **goal):
    study = tn.Study({"x": tn.Float(0, 1)}, seed=0, search="random", **goal)
    for value in values:
        trial = study.ask()
        study.tell(trial, value) if value is not None else study.tell(trial, state="failed")
    return study


@pytest.mark.parametrize(
    ("values", "count"),
    [([], 0), ([1.0], 0), ([None, None], 0), ([3.0, 2.0, 1.0], 0), ([1.0, 2.0, None, 1.0], 3), ([2.0, 1.0, 3.0], 1)],
)
def test_trials_without_a_gain_are_counted_in_the_order_of_their_ends(values, count):
    assert gainless(study_of(values).history) == count


def test_with_several_objectives_a_new_point_of_the_front_is_a_gain():
    study = study_of([], minimize=["a", "b"])
    for point in [(1, 9), (9, 1), (5, 5), (8, 8), (9, 9)]:
        study.tell(study.ask(), point)
    assert gainless(study.history) == 2


def test_without_rules_nothing_ends_a_study():
    history = study_of([1.0, 2.0]).history
    assert Rules().verdict(history, 1e9) is None
    assert Rules(timeout=5).verdict(history, 4.9) is None
    assert Rules(timeout=5).verdict(history, 5.0) == "timeout"
    assert Rules(target=1.0).verdict(history, 0) == "target"
    assert Rules(target=0.9).verdict(history, 0) is None
    assert Rules(target=0.9).verdict(study_of([None]).history, 0) is None
    assert Rules(patience=1).verdict(history, 0) == "converged"


@pytest.fixture
def signals():
    made = runner._Signals()
    with made.held():
        yield made


def test_a_signal_waits_until_user_code_runs(signals):
    signal.raise_signal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), signals.let_through():
        raise AssertionError("not reached")
    signal.raise_signal(signal.SIGTERM)
    with pytest.raises(runner._Terminated):
        signals.check()
    signals.check()


def test_a_signal_breaks_into_user_code_and_waits_for_the_engine_in_it(signals):
    done = []
    with pytest.raises(KeyboardInterrupt), signals.let_through():
        with signals.kept_out():
            signal.raise_signal(signal.SIGINT)
            done.append("whole")
        done.append("not reached")
    assert done == ["whole"]
    with pytest.raises(runner._Terminated), signals.let_through():
        signal.raise_signal(signal.SIGTERM)
        done.append("not reached")
    assert done == ["whole"]


def test_a_second_signal_breaks_in_anywhere(signals):
    signal.raise_signal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
    signals.check()


def test_a_signal_that_comes_at_the_very_end_is_not_swallowed():
    made = runner._Signals()
    with pytest.raises(KeyboardInterrupt), made.held():
        signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_other_threads_leave_the_signals_to_the_main_one(signals):
    seen = []

    def other():
        with signals.kept_out():
            seen.append(signals._open)

    with signals.let_through():
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
    assert seen == [True]


def test_values_of_an_objective_may_be_numpy_and_are_kept_as_floats():
    study = tn.minimize(lambda x: np.float32(0.5), {"x": [1, 2]}, quiet=True)
    assert {type(r.value) for r in study.trials} == {float}
