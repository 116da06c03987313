"""What searchers that learn share: the first trials, batches, and that nothing comes twice."""

import numpy as np
import pytest

from tuneful.history import History, State
from tuneful.searchers.learned import learned
from tuneful.searchers.sobol import Sobol
from tuneful.space import Float, Int, Space
from tuneful.testing.histories import begin, end

PLANE = Space({"x": Float(0, 1), "y": Float(0, 1)})


def done(space, n, value=float):
    history = History(space, seed=4)
    for i, proposal in enumerate(Sobol().propose(history, n)):
        end(history, begin(history, proposal.config), value(i))
    return history


def always(*configs):
    """A model that wants these, the best first, and says how it was asked."""
    asked = []

    def choose(evidence, number):
        asked.append((number, len(evidence.pending)))
        rows = [PLANE.row(config) for config in configs]
        return rows, lambda point: {"point": point.tolist()}

    return choose, asked


def never(evidence, number):
    raise AssertionError("there is nothing to learn from")


def test_the_first_trials_are_those_of_a_sobol_sequence():
    history = History(PLANE, seed=4)
    proposals = learned(history, 5, "mine", 5, never)
    assert [p.config for p in proposals] == [p.config for p in Sobol().propose(history, 5)]
    assert proposals[0].why == {"searcher": "mine", "aim": "start"}


def test_then_the_model_is_asked_for_each():
    choose, asked = always({"x": 0.1, "y": 0.1}, {"x": 0.2, "y": 0.2}, {"x": 0.3, "y": 0.3})
    proposals = learned(done(PLANE, 4), 3, "mine", 5, choose)
    assert [p.config["x"] for p in proposals[1:]] == [0.1, 0.2]
    assert asked == [(5, 1), (6, 2)]
    assert proposals[1].why == {"searcher": "mine", "point": [0.1, 0.1]}


def test_as_long_as_values_do_not_differ_the_sequence_goes_on():
    for history in (done(PLANE, 12, lambda i: 7.0), done(PLANE, 1)):
        assert len(learned(history, 2, "mine", 1, never)) == 2


def test_what_was_tried_runs_or_is_proposed_is_passed_over():
    history = done(PLANE, 6)
    begin(history, {"x": 0.1, "y": 0.1})
    end(history, begin(history, {"x": 0.2, "y": 0.2}), state=State.FAILED)
    choose, _ = always(*({"x": x, "y": x} for x in (0.1, 0.2, 0.3, 0.3)))
    configs = [p.config for p in learned(history, 3, "mine", 5, choose)]
    assert configs[0] == {"x": 0.3, "y": 0.3}
    assert len({c["x"] for c in configs} - {0.1, 0.2}) == 3


def test_a_model_without_an_answer_is_made_up_for_at_random():
    choose, _ = always()
    proposals = learned(done(PLANE, 6), 3, "mine", 5, choose)
    assert len({p.config["x"] for p in proposals}) == 3


def test_what_breaks_a_constraint_is_passed_over():
    space = Space({"x": Float(0, 1), "y": Float(0, 1)}, ["x <= y"])
    choose, _ = always({"x": 0.5, "y": 0.4}, {"x": 0.4, "y": 0.5})
    (proposal,) = learned(done(space, 6), 1, "mine", 5, choose)
    assert proposal.config == {"x": 0.4, "y": 0.5}


@pytest.mark.parametrize("start", [1, 100])
def test_a_space_that_is_exhausted_ends(start):
    space = Space({"a": Int(1, 3), "b": Int(1, 3)}, ["a <= b"])
    history = History(space)

    def choose(evidence, number):
        return [space.row({"a": 1, "b": 1})], lambda point: {}

    while proposals := learned(history, 4, "mine", start, choose):
        for proposal in proposals:
            end(history, begin(history, proposal.config), float(len(history)))
    assert len(history) == 6
    assert len({str(history.config(i)) for i in range(6)}) == 6


def test_a_space_without_parameters_yet_is_an_empty_config():
    proposals = learned(History(Space({}, open=True)), 2, "mine", 5, never)
    assert [p.config for p in proposals] == [{}, {}]


def test_none_wanted_none_given():
    assert learned(done(PLANE, 6), 0, "mine", 5, never) == []


def test_a_batch_is_as_if_each_were_asked_for_while_the_others_run():
    history = done(PLANE, 6)

    def choose(evidence, number):
        far = evidence.pending.sum(axis=0) if len(evidence.pending) else np.zeros(2)
        return [np.round((far + 0.1 * number) % 1.0, 6)], lambda point: {}

    together = [p.config for p in learned(history, 3, "mine", 5, choose)]
    singly = []
    for _ in range(3):
        (proposal,) = learned(history, 1, "mine", 5, choose)
        begin(history, proposal.config)
        singly.append(proposal.config)
    assert together == singly
