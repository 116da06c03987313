"""Studies on known curves with a virtual clock."""

import numpy as np
import pytest

import tuneful as tn
from tuneful.errors import StudyError
from tuneful.history import State

SPACE = {"x": tn.Float(0, 1), "y": tn.Float(0, 1)}


def curve(params):
    return [abs(params["x"] - 0.3) + 0.5 * step ** -(0.3 + params["y"]) for step in range(1, 28)], 60.0


def simulated(schedule="asha", **options):
    return tn.simulate(curve, SPACE, **{"search": "random", "schedule": schedule, "seconds": 7200.0, **options})


def facts(found):
    history = found.history
    rows = [(r.state, r.step, r.attempt, r.config) for r in map(history.row, range(len(history)))]
    return rows, found.trace, found.time, found.steps, found.busy, found.decisions


def test_one_worker_trains_one_step_after_the_other():
    found = simulated("full", seconds=27 * 60.0 * 3)
    assert (found.steps, found.time, found.busy) == (81, 4860.0, 1.0)
    assert found.history.state.tolist()[:3] == [State.DONE] * 3
    best = [min(curve(found.history.config(t))[0]) for t in range(3)]
    assert found.trace[-1][1:] == (min(best), int(np.argmin(best)))


def test_the_same_arguments_give_the_same_result_and_others_another():
    options = {"workers": 8, "stragglers": 0.3, "failures": 0.02, "latency": 5.0}
    assert facts(simulated(**options)) == facts(simulated(**options))
    assert facts(simulated(**options)) != facts(simulated(**options, seed=1))


def test_more_workers_do_more_at_once():
    few, many = (simulated("full", trials=16, seconds=np.inf, workers=workers) for workers in (1, 16))
    assert (few.time, many.time) == (16 * 27 * 60.0, 27 * 60.0)
    assert few.history.y.tolist() == many.history.y.tolist()


def test_what_is_known_at_a_time_is_what_was_reported_until_then():
    found = simulated()
    assert found.at(59.0) is None
    assert found.at(60.0) == (curve(found.history.config(0))[0][0], 0)
    assert found.at(7200.0)[0] == min(value for _, value, _ in found.trace)


def test_stragglers_take_longer_and_nobody_waits_for_them():
    found = simulated(workers=20, stragglers=0.5)
    spent = np.diff(sorted({when for when, *_ in found.trace}))
    assert found.busy == 1.0
    assert found.steps < 0.75 * simulated(workers=20).steps
    assert (spent > 0).all()


def test_a_worker_that_dies_loses_the_step_and_its_trial_goes_on():
    calm, rough = (
        simulated("full", trials=10, seconds=np.inf),
        simulated("full", trials=10, seconds=np.inf, failures=0.1),
    )
    assert calm.history.y.tolist() == rough.history.y.tolist()
    lost = int(rough.history.attempt.sum()) - 10
    assert lost > 5
    assert rough.steps == calm.steps + lost


def test_without_saved_states_a_dead_workers_trial_begins_again():
    rough = simulated("full", trials=10, seconds=np.inf, failures=0.05, resumable=False)
    assert rough.steps > 270 + int(rough.history.attempt.sum()) - 10
    assert [rough.history.curve(t)[0].tolist() for t in range(10)] == [list(range(1, 28))] * 10


def test_trials_that_cannot_be_paused_are_ended_at_rungs():
    found = simulated(resumable=False, trials=30, seconds=np.inf)
    assert not found.history.of_state(State.PAUSED)
    assert set(found.history.reached.tolist()) <= {1, 3, 9, 27}
    assert (found.history.state == State.PRUNED).sum() > 15


def test_pruners_end_trials_too():
    found = simulated("full", prune="median", trials=30, seconds=np.inf)
    assert 5 < (found.history.state == State.PRUNED).sum() < 30


def test_who_is_free_waits_for_the_decision_that_is_under_way():
    quick, slow = (simulated(workers=50, latency=latency) for latency in (0.0, 30.0))
    assert slow.decisions <= 7200 / 30 + 1
    assert slow.busy < quick.busy
    assert slow.busy > 0.5


def test_a_curve_that_becomes_nan_ends_as_failed():
    found = tn.simulate(
        lambda p: ([p["x"], float("nan")], 1.0), {"x": tn.Float(0, 1)}, search="random", schedule="full", trials=3
    )
    assert found.history.state.tolist() == [State.FAILED] * 3
    assert found.history.best is None


def test_more_is_better():
    found = tn.simulate(
        lambda p: ([p["x"]], 1.0), {"x": [1.0, 3.0, 2.0]}, search="grid", schedule="full", trials=3, maximize=True
    )
    assert found.history.best == 1
    assert found.at(9.0) == (-3.0, 1)


def test_a_study_of_thousands_of_workers_takes_seconds():
    found = simulated(workers=2000, trials=4000, latency=10.0)
    assert found.history.started == 4000
    assert found.steps > 10_000


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seconds": np.inf}, "pass a limit, as in seconds=3600"),
        ({"failures": 1.0}, r"simulate\(failures=1.0\): pass a share of at least 0 and below 1"),
        ({"stragglers": -0.1}, r"simulate\(stragglers=-0.1\)"),
        ({"workers": 0}, "workers=0"),
        ({"schedule": "ahsa"}, "Did you mean 'asha'"),
    ],
)
def test_impossible_arguments_are_refused(options, message):
    with pytest.raises(StudyError, match=message):
        simulated(**options)


def test_a_curve_without_steps_is_refused():
    with pytest.raises(StudyError, match="has no steps"):
        tn.simulate(lambda p: ([], 1.0), SPACE, search="random", trials=1)
