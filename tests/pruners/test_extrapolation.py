"""Extrapolation: what a learning curve may come to."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from tuneful.errors import StudyError
from tuneful.history import History, Objective
from tuneful.pruners import Extrapolation
from tuneful.pruners.extrapolation import Forecast, extrapolated, families
from tuneful.space import Float, Space
from tuneful.testing.histories import begin, end

NAN, INF = math.nan, math.inf
T = np.arange(1.0, 51.0)
CURVES = {
    "power": 0.3 + 0.7 * T**-0.8,
    "exponential": 0.3 + 0.7 * np.exp(-T / 6),
    "log power": 0.3 + 0.7 / (1 + (T / 4) ** 2),
    "late": 0.3 + 0.7 / (1 + np.exp((T - 15) / 3)),
}
NOISE = np.random.default_rng(0).normal(0, 0.01, len(T))


def ending(reported, curve, best, **settings):
    """The step at which a trial is ended that is to run for 50 steps, beside one that is done at `best`."""
    for n in range(1, len(curve) + 1):
        history = reported(curve[:n], [best] * 50, finished=(1,))
        history.length[:] = 50
        if Extrapolation(**settings)(history, 0):
            return n
    return None


@pytest.mark.parametrize("name", CURVES)
@pytest.mark.parametrize("noise", [0.0, 1.0])
def test_a_curve_ends_early_that_will_be_far_worse(reported, name, noise):
    hopeless = ending(reported, CURVES[name] + noise * NOISE, 0.1)
    assert hopeless is not None
    assert 8 <= hopeless <= 45


@pytest.mark.parametrize("name", CURVES)
def test_a_curve_goes_on_that_will_win(reported, name):
    curve = CURVES[name] + NOISE
    assert ending(reported, curve, curve[-10:].min() + 0.02) is None
    assert ending(reported, curve, 0.6) is None


@pytest.mark.parametrize("name", ["power", "exponential", "log power"])
@pytest.mark.parametrize("n", [10, 20, 40])
def test_the_forecast_covers_what_came(name, n):
    curve = CURVES[name] + NOISE
    forecast = extrapolated(T[:n].astype(int), curve[:n], 50)
    assert 0.001 < forecast.below(curve[-1:])[0] < 0.999
    assert forecast.weight.sum() == pytest.approx(1.0)


def test_it_is_the_less_sure_the_farther_ahead_it_looks_and_the_noisier_the_curve():
    def width(noise, end):
        forecast = extrapolated(T[:15].astype(int), CURVES["exponential"][:15] + noise * NOISE[:15], end)
        mean = forecast.weight @ forecast.mean
        return float(np.sqrt(forecast.weight @ (forecast.spread**2 + (forecast.mean - mean) ** 2)))

    assert width(1, 16) < width(1, 30) < width(1, 300)
    assert width(1, 30) < width(3, 30) < width(9, 30)


def test_an_end_far_ahead_is_still_forecast():
    near, far = (extrapolated(T[:40].astype(int), (CURVES["power"] + NOISE)[:40], end) for end in (50, 100_000))
    assert near.below(np.array([0.1]))[0] < 0.01
    assert near.below(np.array([0.1]))[0] < far.below(np.array([0.1]))[0] < 0.9


@pytest.mark.parametrize(
    "curve", [np.linspace(1, 9, 12), [1.0, 1.2, 0.9, 1.1, 1.0, 1.3, 1.1, 1.2, 1.15, 1.25, 1.2, 1.3], [5.0] * 9], ids=str
)
def test_what_does_not_fall_has_no_forecast(curve):
    assert extrapolated(np.arange(1, len(curve) + 1), np.array(curve), 50) is None


def test_a_forecast_is_a_mixture():
    forecast = Forecast(np.array([0.25, 0.75]), np.array([0.0, 1.0]), np.array([1.0, 2.0]), 5.0)
    expected = 0.25 * stats.t(5).cdf(0.5) + 0.75 * stats.t(5, 1, 2).cdf(0.5)
    assert forecast.below(np.array([0.5]))[0] == pytest.approx(expected)


def test_the_families_fall_and_share_the_weight():
    t = T / 50
    shapes, weight = families(t, 4.0)
    assert shapes.shape == (len(weight), len(t) + 1)
    assert np.isfinite(shapes).all()
    assert np.all(np.diff(shapes, axis=1) <= 0)
    assert weight.sum() == pytest.approx(1.0)


@pytest.mark.parametrize(
    "curve",
    [
        [5.0] * 12,
        list(np.linspace(1, 9, 12)),  # rises
        [5.0, 4.0, 3.0, 2.0, *np.linspace(2, 9, 12)],  # falls, then rises
        [NAN] * 12,
        [INF] * 12,
        [5.0, NAN] * 6,  # six points
        [9.0, 8.0, 7.0, 6.5, 6.2, 6.1, 6.05],  # seven points
        [1.7e308, -1.7e308] * 6,
        [1e308 / k for k in range(1, 13)],
        [5e-324, 0.0] * 6,
        [],
    ],
    ids=str,
)
def test_it_goes_on_where_too_little_is_known(reported, curve):
    history = reported(curve, [-1e308 if max(map(abs, curve), default=0) > 1e300 else -1.0] * 50, finished=(1,))
    assert Extrapolation()(history, 0) is False


def test_points_that_are_not_finite_are_left_out(reported):
    curve = list(CURVES["exponential"][:40])
    curve[3], curve[9], curve[20] = NAN, INF, -INF
    assert Extrapolation()(reported(curve, [0.1] * 50, finished=(1,)), 0)


def test_steps_count_and_not_reports(reported):
    history = reported([], [0.1] * 300, finished=(1,))
    for k, value in enumerate(CURVES["exponential"][:20], 1):
        history.report(0, 10 * k, {"value": value})
    assert Extrapolation()(history, 0)
    sparse = [int(k) for k in (1, 2, 4, 9, 10, 11, 13, 20, 24, 31)]
    history = reported([], [0.1] * 50, finished=(1,))
    for k in sparse:
        history.report(0, k, {"value": CURVES["exponential"][k - 1]})
    assert Extrapolation()(history, 0)


def test_without_an_end_or_a_best_value_nothing_is_ended(reported):
    curve = list(CURVES["power"][:30])
    assert not Extrapolation()(reported(curve), 0)
    assert not Extrapolation()(reported(curve, [0.1] * 50), 0)
    history = reported(curve, [0.1] * 50, finished=(1,))
    assert Extrapolation()(history, 0)
    history.length[0] = 30  # it is over
    assert not Extrapolation()(history, 0)


def test_its_own_end_counts(reported):
    line = [10 - 0.1 * k for k in range(20)]
    history = reported(line, [5.0] * 25, finished=(1,))
    assert Extrapolation()(history, 0)
    history.length[0] = 200
    assert not Extrapolation()(history, 0)


def test_one_that_was_as_good_at_any_step_goes_on(reported):
    curve = list(CURVES["exponential"][:40])
    assert Extrapolation()(reported(curve, [0.1] * 50, finished=(1,)), 0)
    curve[12] = 0.1
    assert not Extrapolation()(reported(curve, [0.1] * 50, finished=(1,)), 0)


@pytest.mark.parametrize(
    ("setting", "ends"), [({"points": 20}, True), ({"points": 21}, False), ({"warmup": 20}, False)]
)
def test_it_waits_for_so_many_points_and_steps(reported, setting, ends):
    history = reported(list(CURVES["power"][:20] + NOISE[:20]), [0.1] * 50, finished=(1,))
    assert Extrapolation(**setting)(history, 0) is ends


def test_a_higher_chance_ends_sooner(reported):
    curve = CURVES["power"] + NOISE
    assert ending(reported, curve, 0.2, chance=0.4) <= ending(reported, curve, 0.2, chance=0.001)


def test_with_maximize_the_low_ones_end(reported):
    curve = list(1 - CURVES["exponential"][:25])
    assert Extrapolation()(reported(curve, [0.9] * 50, finished=(1,), maximize=True), 0)
    assert not Extrapolation()(reported(curve, [0.5] * 50, finished=(1,), maximize=True), 0)


def test_other_metrics_alone_end_nothing(reported):
    history = reported([], [0.1] * 50, finished=(1,))
    for step, value in enumerate(CURVES["power"][:30], 1):
        history.report(0, step, {"other": value})
    assert not Extrapolation()(history, 0)


def test_with_several_objectives_it_must_have_no_chance_in_any():
    def judged(loss, size):
        history = History(Space({"x": Float(0, 1)}), (Objective("loss"), Objective("size", maximize=True)))
        done = begin(history, {"x": 0.1})
        for step in range(1, 51):
            history.report(done, step, {"loss": 0.1, "size": 0.9})
        end(history, done, {"loss": 0.1, "size": 0.9})
        running = begin(history, {"x": 0.9})
        for step in range(1, 31):
            history.report(running, step, {"loss": loss[step - 1], "size": size[step - 1]})
        return Extrapolation()(history, running)

    falls, rises = CURVES["exponential"], 1 - CURVES["exponential"]  # to 0.3, and to 0.7
    assert judged(falls, rises)
    assert not judged(falls - 0.3, rises)
    assert not judged(falls, rises + 0.3)
    assert not judged(falls, [0.5] * 50)  # of a flat one nothing can be said


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.one_of(st.floats(), st.floats(-5, 5)), max_size=30), st.floats(-5, 5), st.integers(1, 60), st.booleans()
)
def test_whatever_was_reported_it_answers_and_ends_nothing_that_has_won(curve, best, length, maximize):
    history = History(Space({"x": Float(0, 1)}), (Objective(maximize=maximize),))
    done = begin(history, {"x": 0.1})
    history.report(done, 40, {"value": best})
    end(history, done, best)
    trial = begin(history, {"x": 0.2}, length=length)
    for step, value in enumerate(curve, 1):
        history.report(trial, step, {"value": value})
    verdict = Extrapolation(points=5)(history, trial)
    assert type(verdict) is bool
    known = [value for value in curve if math.isfinite(value)]
    if verdict:
        assert min(known) > best if not maximize else max(known) < best
        assert len(curve) < length


def test_an_ensemble_of_curves_is_judged_well():
    """Of curves that come out on top few are ended, and of the others most."""
    rng = np.random.default_rng(1)
    low, high, rate = rng.uniform(0, 0.5, 80), rng.uniform(0.3, 1, 80), rng.uniform(2, 15, 80)
    curves = low[:, None] + high[:, None] * np.exp(-T / rate[:, None]) + rng.normal(0, 0.01, (80, len(T)))
    bar = np.quantile(curves[:, -1], 0.2)
    ended = np.full(len(curves), len(T))
    for k, curve in enumerate(curves):
        for n in range(8, len(T)):
            forecast = extrapolated(T[:n].astype(int), curve[:n], len(T))
            if curve[:n].min() > bar and forecast is not None and forecast.below(np.array([bar]))[0] < 0.05:
                ended[k] = n
                break
    good = curves[:, -1] <= bar
    assert np.count_nonzero(ended[good] < len(T)) <= 2
    assert np.mean(ended[~good] < len(T)) > 0.8
    assert ended.mean() < 0.6 * len(T)


@pytest.mark.parametrize("wrong", [{"chance": 0.0}, {"chance": 1.0}, {"points": 4}])
def test_impossible_settings_are_refused(wrong):
    with pytest.raises(StudyError, match=r"Extrapolation\("):
        Extrapolation(**wrong)
