"""Every pruner keeps the laws; and the laws catch those that do not."""

from itertools import count

import numpy as np
import pytest

from tuneful import pruners
from tuneful.protocols import Pruner
from tuneful.pruners import AnyOf, Diverged, Median, Patience, Threshold
from tuneful.testing import check_pruner

BUILT = {"AnyOf": AnyOf((Median(), Diverged(), Patience(3))), "Threshold": Threshold(upper=2.5, lower=-4.0)}


@pytest.mark.parametrize("name", pruners.__all__)
def test_every_pruner_keeps_the_laws(name):
    pruner = BUILT.get(name) or getattr(pruners, name)()
    assert isinstance(pruner, Pruner)
    check_pruner(pruner)


class Numpy:
    def __call__(self, history, trial):
        return np.bool_(history.reached[trial] > 3)


class Eager:
    def __call__(self, history, trial):
        return history.reached[trial].item() < 1


class Alternating:
    ticks = count()

    def __call__(self, history, trial):
        return bool(history.reached[trial]) and next(self.ticks) % 2 == 0


class JudgesOthers:
    def __call__(self, history, trial):
        asked = (history.recall("asked") or (0, ()))[1]
        history.remember("asked", {*asked, trial})
        return bool(history.reached[trial]) and bool({*asked} - {trial})


class Meddles:
    def __call__(self, history, trial):
        history.report(trial, 1, {"value": 0.0})
        return False


@pytest.mark.parametrize(
    ("faulty", "message"),
    [
        (Numpy, "and not True or False"),
        (Eager, "has reported nothing yet"),
        (Alternating, "answered differently"),
        (JudgesOthers, "depends on those it was asked about before"),
        (Meddles, "changed the history"),
    ],
)
def test_the_laws_catch_a_pruner_that(faulty, message):
    with pytest.raises(AssertionError, match=message):
        check_pruner(faulty())
