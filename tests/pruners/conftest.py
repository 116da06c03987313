import pytest

from tuneful.history import History, Objective
from tuneful.space import Float, Space
from tuneful.testing.histories import begin, end


@pytest.fixture
def reported():
    """A history with a running trial for each curve; those of `finished` are over."""

    def make(*curves, maximize=False, finished=(), metric="value"):
        history = History(Space({"x": Float(0, 1)}), (Objective(maximize=maximize),))
        for trial, curve in enumerate(curves):
            begin(history, {"x": trial / 100})
            for step, value in enumerate(curve, 1):
                history.report(trial, step, {metric: value})
        for trial in finished:
            end(history, trial, float(curves[trial][-1]))
        return history

    return make


@pytest.fixture
def stopped(reported):
    """The first step at which a pruner ends a trial that reports these values; None if it never does."""

    def find(pruner, curve, **settings):
        for step in range(1, len(curve) + 1):
            if pruner(reported(curve[:step], **settings), 0):
                return step
        return None

    return find
