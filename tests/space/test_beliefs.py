"""Weights and beliefs change what is drawn, exactly as they say."""

import json
import math

import numpy as np
import pytest
from scipy import stats

from tuneful.errors import SpaceError
from tuneful.space import Choice, Float, Int, Log, Space, Switch
from tuneful.space.beliefs import LogNormal, Normal, belief_from_json

Q = (np.arange(20_000) + 0.5) / 20_000  # a stratified sample: far closer to the distribution than a random one


def truncated(distribution, low, high):
    """The distribution function of `distribution` between `low` and `high`."""
    below, above = distribution.cdf([low, high])
    return lambda x: (distribution.cdf(x) - below) / (above - below)


@pytest.mark.parametrize(
    ("domain", "distribution"),
    [
        (Float(0, 1, belief=Normal(0.3, 0.1)), stats.norm(0.3, 0.1)),
        (Float(0, 1, belief=Normal(2, 0.5)), stats.norm(2, 0.5)),
        (Float(-5, 5, belief=Normal(-6, 3)), stats.norm(-6, 3)),
        (Log(1e-4, 1, belief=Normal(0.1, 0.2)), stats.norm(0.1, 0.2)),
        (Log(1e-5, 1, belief=LogNormal(1e-3, 3)), stats.lognorm(math.log(3), scale=1e-3)),
        (Float(-1, 4, belief=LogNormal(1, 2)), stats.lognorm(math.log(2), scale=1)),
    ],
    ids=str,
)
def test_continuous_draws_follow_the_belief(domain, distribution):
    drawn = domain.draw(Q)
    assert stats.kstest(drawn, truncated(distribution, domain.low, domain.high)).statistic < 1e-3
    random = domain.draw(np.random.default_rng(0).random(5_000))
    assert stats.kstest(random, truncated(distribution, domain.low, domain.high)).pvalue > 0.01


@pytest.mark.parametrize(
    ("domain", "distribution", "borders"),
    [
        (Int(1, 6, belief=Normal(2, 1)), stats.norm(2, 1), np.arange(0.5, 7)),
        (Int(1, 6, log=True, belief=LogNormal(3, 2)), stats.lognorm(math.log(2), scale=3), np.arange(0.5, 7)),
        (Float(0, 0.5, step=0.1, belief=Normal(0, 0.3)), stats.norm(0, 0.3), np.arange(-0.05, 0.6, 0.1)),
        (
            Int(8, 128, log=True, step=2, belief=LogNormal(32, 2)),
            stats.lognorm(math.log(2), scale=32),
            8 * 2.0 ** np.arange(-0.5, 5),
        ),
    ],
    ids=str,
)
def test_stepped_draws_have_the_mass_of_their_cells(domain, distribution, borders):
    values, counts = np.unique(domain.draw(Q), return_counts=True)
    expected = np.diff(distribution.cdf(borders))
    assert [domain.to_value(value) for value in values] == domain.levels()
    assert counts / len(Q) == pytest.approx(expected / expected.sum(), abs=2e-4)


def test_draws_without_a_belief_are_uniform_on_the_scale():
    assert stats.kstest(Float(-2, 2).draw(Q), stats.uniform(-2, 4).cdf).statistic < 1e-3
    assert (
        stats.kstest(np.log(Log(1e-5, 1).draw(Q)), stats.uniform(math.log(1e-5), -math.log(1e-5)).cdf).statistic < 1e-3
    )


def test_weights_are_shares_of_the_draws():
    choice = Choice(["a", "b", "c", "d"], weights=[0, 1, 3, 0])
    values, counts = np.unique(choice.draw(Q), return_counts=True)
    assert values.tolist() == [1.0, 2.0]
    assert (counts / len(Q)).tolist() == [0.25, 0.75]
    assert choice.draw(np.array([0.0, 1.0])).tolist() == [1.0, 2.0]
    tenths = Choice(list(range(11)), weights=[0.1] * 10 + [0])
    assert tenths.draw(np.array([1.0, 1 - 2**-53])).tolist() == [9.0, 9.0]
    switch = Space({"opt": Switch({"a": {}, "b": {}}, weights=[1, 3])})
    assert np.mean(switch.draw(Q[:, None])) == 0.75


@pytest.mark.parametrize("mean", [-1e3, -45.0, 45.0, 1e6])
def test_a_belief_far_outside_draws_from_the_near_end(mean):
    drawn = Float(0, 1, belief=Normal(mean, 1)).draw(np.linspace(0, 1, 1001))
    assert ((drawn >= 0) & (drawn <= 1)).all()
    assert np.median(drawn) == pytest.approx(float(mean > 0), abs=0.1)
    assert (np.diff(drawn) >= 0).all()


def test_draws_stay_inside_and_rise_with_the_quantile():
    for domain in (
        Int(1, 9, belief=Normal(20, 3)),
        Log(1e-3, 1, belief=LogNormal(100, 2)),
        Float(0, 1, belief=Normal(0, 9)),
    ):
        drawn = domain.draw(np.linspace(0, 1, 999))
        assert (np.diff(drawn) >= 0).all()
        assert (drawn[0], drawn[-1]) == (domain.low, domain.high)


@pytest.mark.parametrize("belief", [Normal(0.1, 2), Normal(np.float32(3), 1), LogNormal(1e-3, 3)], ids=str)
def test_beliefs_survive_json(belief):
    assert belief_from_json(json.loads(json.dumps(belief.to_json()))) == belief


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Normal(0, 0), r"Normal\(mean=0\.0, sd=0\.0\): pass a finite mean and a positive, finite sd"),
        (lambda: Normal(math.nan, 1), r"Normal\(mean=nan, sd=1\.0\): pass a finite mean"),
        (lambda: Normal("x", 1), r"Normal: mean must be a number, and is 'x'"),
        (lambda: LogNormal(0, 2), r"LogNormal\(median=0\.0, spread=2\.0\): pass a positive median"),
        (lambda: LogNormal(1, 1), r"a spread above 1 \(2 means"),
        (
            lambda: Float(-2, -1, belief=LogNormal(1, 2)),
            r"Float\(-2, -1\): LogNormal.* expects positive values, and there are none",
        ),
        (
            lambda: Float(0, 1, belief=0.5),
            r"Float\(0, 1\): the belief 0\.5 is not one\. Pass Normal\(mean, sd\)",
        ),
        (
            lambda: belief_from_json({"type": "beta"}),
            r"Unknown belief \{'type': 'beta'\}\. Write \{'type': 'normal'",
        ),
        (lambda: belief_from_json({"type": "normal", "mean": 0}), r"Unknown belief"),
        (lambda: belief_from_json("normal"), r"Unknown belief 'normal'"),
    ],
)
def test_what_cannot_be_believed_is_refused(make, message):
    with pytest.raises(SpaceError, match=message):
        make()
