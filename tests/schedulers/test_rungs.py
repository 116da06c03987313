"""Who goes on at a rung, by hand."""

import math

import numpy as np
import pytest

import tuneful as tn
from tuneful.errors import StudyError
from tuneful.history import History, Job, Limits, Objective, Row, State
from tuneful.history.standing import standings
from tuneful.schedulers import Asha, Hyperband, OneEpoch, SuccessiveHalving
from tuneful.schedulers.hyperband import layout
from tuneful.schedulers.rungs import geometric, length
from tuneful.searchers import Random
from tuneful.space import Space

SPACE = Space({"x": tn.Float(0, 1)})


def history(*curves, until=1, steps=9, limits=None, **options):
    """Trials that are paused where their curves end; a curve may be of (step, value)."""
    made = History(SPACE, **options)
    made.limits = limits or Limits()
    for curve in curves:
        add(made, curve, until=until, steps=steps)
    return made


def add(made, curve, state=State.PAUSED, until=1, steps=9):
    points = [point if isinstance(point, tuple) else (k, point) for k, point in enumerate(curve, 1)]
    number, at = len(made), max((step for step, _ in points), default=0)
    made.rev += 1
    row = Row(number, {"x": number / 1000}, rev=made.rev, born=made.rev, begun=made.rev, state=state, attempt=1)
    row.until, row.length, row.saved, row.step = max(until, at) if until else None, steps, (at, 1) if at else None, at
    if state.final:
        row.ended, row.values = made.rev, {"value": points[-1][1]} if points else {}
    made.apply(row)
    for step, value in points:
        made.report(number, step, {"value": value})
    return number


def gone_on(jobs):
    return [(job.trial, job.until) for job in jobs if job.trial is not None]


def new(jobs):
    return [job.until for job in jobs if job.trial is None]


# ASHA


def test_asha_goes_on_with_the_best_third_of_a_rung_and_else_starts_a_new_trial():
    known = history([0.5], [0.4])
    jobs = Asha(Random()).plan(known, 1)
    assert (gone_on(jobs), new(jobs)) == ([], [1])
    add(known, [0.3])
    assert gone_on(Asha(Random()).plan(known, 1)) == [(2, 3)]


def test_asha_looks_at_the_highest_rung_first():
    known = history([0.5], [0.1], [0.3, 0.3, 0.3], [0.3, 0.2, 0.2], [0.6, 0.6, 0.6], [0.05])
    assert gone_on(Asha(Random()).plan(known, 3)) == [(3, None), (5, 3), (1, 3)]
    assert gone_on(Asha(Random(), eta=2).plan(known, 1)) == [(5, 2)]


def test_asha_goes_on_with_a_trial_once():
    known = history([0.5], [0.4], [0.3])
    row = known.row(2)
    row.turn(known.rev + 1, State.RUNNING, until=3, attempt=2, seen=known.rev)
    known.apply(row)
    jobs = Asha(Random()).plan(known, 2)
    assert (gone_on(jobs), new(jobs)) == ([], [1, 1])


def test_nan_infinity_and_failures_are_the_worst_of_a_rung():
    known = history([math.nan], [math.inf], [9.0])
    assert gone_on(Asha(Random()).plan(known, 1)) == [(2, 3)]
    add(known, [], state=State.FAILED)
    add(known, [], state=State.FAILED)
    add(known, [8.0])
    assert gone_on(Asha(Random()).plan(known, 2)) == [(5, 3), (2, 3)], "six have tried, so two go on"


def test_of_equal_trials_the_first_goes_on():
    assert gone_on(Asha(Random()).plan(history([0.5], [0.5], [0.5]), 1)) == [(0, 3)]


def test_where_steps_jump_over_a_rung_the_value_before_it_counts_and_else_the_first_after():
    known = history([(2, 0.9), (5, 0.1)], [(4, 0.5), (6, 0.2)], [0.7, 0.7, 0.7])
    assert standings(known, 3).tolist() == [0.9, 0.5, 0.7]
    assert standings(known, 1).tolist() == [0.9, 0.5, 0.7]
    assert np.isnan(standings(known, 6)).tolist() == [True, False, True]


def test_a_step_that_is_reported_again_counts_as_it_was_last_said():
    known = history([0.5], [0.4], [0.3])
    known.report(2, 1, {"value": 0.9})
    assert gone_on(Asha(Random()).plan(known, 1)) == [(1, 3)]


def test_a_trial_that_reports_nothing_is_in_nobodys_way():
    known = history([0.5], [0.4], [0.3])
    add(known, [], state=State.RUNNING)
    assert gone_on(Asha(Random()).plan(known, 1)) == [(2, 3)]
    assert standings(known, 1)[3] != standings(known, 1)[3]


def test_more_is_better_where_the_study_maximizes():
    known = history([0.5], [0.4], [0.3], objectives=(Objective(maximize=True),))
    assert gone_on(Asha(Random()).plan(known, 1)) == [(0, 3)]


def test_with_several_objectives_the_undominated_go_on():
    known = History(SPACE, (Objective("a"), Objective("b")))
    for number, (a, b) in enumerate([(2.0, 2.0), (3.0, 3.0), (1.0, 1.0)]):
        known.rev += 1
        known.apply(Row(number, {"x": number / 9}, rev=known.rev, born=known.rev, begun=known.rev, state=State.PAUSED,
                        attempt=1, until=1, length=9, saved=(1, 1), step=1))  # fmt: skip
        known.report(number, 1, {"a": a, "b": b})
    assert gone_on(Asha(Random()).plan(known, 1)) == [(2, 3)]


def test_at_the_limit_only_what_has_begun_goes_on():
    known = history([0.5], [0.4], [0.3], limits=Limits(trials=3))
    jobs = Asha(Random()).plan(known, 3)
    assert (gone_on(jobs), new(jobs)) == ([(2, 3)], [])


def test_a_trial_that_somebody_wants_held_stays_where_it_is():
    known = history([0.5], [0.4], [0.3])
    row = known.row(2)
    row.wish = "hold"
    known.apply(row)
    assert gone_on(Asha(Random()).plan(known, 1)) == []


def test_where_nothing_is_saved_asha_ends_what_is_not_among_the_best_third():
    known = History(SPACE)
    rule = Asha(Random())
    ended = []
    for number, value in enumerate([0.5, 0.4, 0.6, 0.3, 0.45]):
        known.rev += 1
        known.apply(Row(number, {"x": number / 9}, rev=known.rev, born=known.rev, begun=known.rev, state=State.RUNNING,
                        attempt=1, length=9))  # fmt: skip
        known.report(number, 1, {"value": value})
        ended.append(rule(known, number))
    assert ended == [False, False, True, False, True]
    known.report(1, 2, {"value": 9.0})
    assert not rule(known, 1), "2 is no rung"


def test_in_the_end_one_trial_gets_to_its_end():
    known = history([0.5], [0.4], [0.3, 0.3, 0.3], [0.3, 0.2, 0.2], limits=Limits(trials=4))
    assert gone_on(Asha(Random()).plan(known, 2)) == [(3, None)]
    add(known, [0.1] * 9, state=State.DONE)
    assert Asha(Random()).plan(known, 2) == []


# Brackets


def test_a_rung_is_decided_when_all_are_there_or_cannot_change_it():
    rule = SuccessiveHalving(Random(), size=9)
    known = history(*[[0.1 * k] for k in range(1, 9)])
    row = known.row(0)
    for number in (6, 7):
        row = known.row(number)
        row.turn(known.rev, State.RUNNING, until=1, attempt=1, seen=0)
        known.apply(row)
        known.restart(number, 0)
    assert gone_on(rule.plan(known, 1)) == [], "six are there, and any of the other three may be better"
    row = known.row(6)
    row.turn(known.rev, State.PAUSED, until=1, attempt=1, seen=0)
    known.apply(row)
    known.report(6, 1, {"value": 0.05})
    assert gone_on(rule.plan(known, 1)) == [(6, 3)], "of three, two are open: the best is certain"


def test_the_last_of_a_bracket_gets_all_steps_and_then_the_next_bracket_begins():
    rule = SuccessiveHalving(Random())
    known = history(*[[0.1 * k] for k in range(1, 10)])
    assert gone_on(rule.plan(known, 9)) == [(0, 3), (1, 3), (2, 3)]
    for number in (0, 1, 2):
        row = known.row(number)
        row.until, row.step, row.saved = 3, 3, (3, 2)
        known.apply(row)
        for step in (2, 3):
            known.report(number, step, {"value": 0.3 - 0.1 * number})
    jobs = rule.plan(known, 2)
    assert (gone_on(jobs), new(jobs)) == ([(2, None)], [1])


def test_a_bracket_that_got_fewer_trials_ends_with_as_large_a_share():
    known = history(*[[0.1 * k] for k in range(1, 7)], limits=Limits(trials=6))
    assert gone_on(SuccessiveHalving(Random()).plan(known, 4)) == [(0, 3), (1, 3)]


def test_the_brackets_of_hyperband_are_those_of_the_paper():
    found = [[(n, level or 81) for n, level in zip(b.sizes, b.levels, strict=True)] for b in layout(81, 3)]
    assert found == [
        [(81, 1), (27, 3), (9, 9), (3, 27), (1, 81)],
        [(34, 3), (11, 9), (3, 27), (1, 81)],
        [(15, 9), (5, 27), (1, 81)],
        [(8, 27), (2, 81)],
        [(5, 81)],
    ]


def test_hyperband_trains_as_many_steps_in_each_bracket_as_the_table_says():
    found = tn.simulate(
        lambda params: ([params["x"]] * 81, 1.0), SPACE, search="random", schedule="hyperband", trials=143
    )
    ends = [np.bincount(found.history.reached[i:j], minlength=82) for i, j in ((0, 81), (81, 115), (115, 130))]
    assert [{step: int(n) for step, n in enumerate(end) if n} for end in ends] == [
        {1: 54, 3: 18, 9: 6, 27: 2, 81: 1},
        {3: 23, 9: 8, 27: 2, 81: 1},
        {9: 10, 27: 4, 81: 1},
    ]
    assert np.bincount(found.history.reached[130:138])[[27, 81]].tolist() == [6, 2]
    assert (found.history.reached[138:143] == 81).all()


def test_one_epoch_finishes_the_best_few():
    found = tn.simulate(
        lambda params: ([params["x"]] * 10, 1.0), SPACE, search="random", schedule="one_epoch", trials=27
    )
    assert np.bincount(found.history.reached, minlength=11)[[1, 10]].tolist() == [24, 3]
    x = found.history.x[:, 0]
    assert set(np.flatnonzero(found.history.reached == 10)) == set(np.argsort(x)[:3])


# Lengths


def test_rungs_are_whole_numbers_below_the_end():
    assert geometric(1, 10, 1000) == [1, 10, 100]
    assert geometric(1, 3, 1) == []
    assert geometric(4, 3, 3) == []


def test_the_length_of_trials_is_what_they_say_else_what_is_told_else_what_was_done():
    assert length(History(SPACE), None) is None
    assert length(History(SPACE), 7) == 7
    assert length(history([0.5]), 7) == 9
    known = History(SPACE)
    add(known, [0.5, 0.4, 0.3], state=State.DONE, steps=None)
    assert length(known, None) == 3


@pytest.mark.parametrize("rule", [Hyperband(Random()), SuccessiveHalving(Random()), Asha(Random()), OneEpoch(Random())])
def test_until_the_length_is_known_a_trial_begins_with_one_step(rule):
    [job] = rule.plan(History(SPACE), 1)
    assert (type(job), job.until) == (Job, 1)


def test_a_trial_shorter_than_the_first_rung_is_run_to_its_end():
    jobs = Asha(Random(), first=20).plan(history([0.5], steps=9), 1)
    assert new(jobs) == [None]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Asha(Random(), eta=1), r"Asha\(eta=1\): pass a whole number of at least 2"),
        (lambda: Asha(Random(), first=0), r"Asha\(first=0\): pass a whole number of at least 1"),
        (lambda: Hyperband(Random(), eta=2.5), r"Hyperband\(eta=2.5\)"),
        (lambda: SuccessiveHalving(Random(), first=True), r"SuccessiveHalving\(first=True\)"),
    ],
)
def test_impossible_rungs_are_refused(make, message):
    with pytest.raises(StudyError, match=message):
        make()
