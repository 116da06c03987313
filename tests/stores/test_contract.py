"""The laws of every store. Nothing here knows which one it is."""

import math
import signal
import time
from dataclasses import replace

import pytest
from contract import (
    FORM,
    SPACE,
    at_once,
    begun,
    done,
    everything,
    known,
    process,
    queued,
    reported,
    row,
    running,
    started,
)

from tuneful.errors import StudyNotFound
from tuneful.history import Checkpoint, Moment, State
from tuneful.protocols import Changes, Claim, Outcome

NAMES = {
    "plain": "digits",
    "space": "two words",
    "unicode": "Größe 数字 мир",
    "emoji": "🧪🔬",
    "quotes": """'; DROP TABLE study; -- "x" `y`""",
    "format": "%s {0} \\n ../..",
    "markup": "<script>alert(1)</script>",
    "long": "n" * 255,
    "long unicode": "数" * 255,
}
FLOATS = [0.0, -0.0, 1.0, 0.1, 1e-308, 5e-324, 1.7976931348623157e308, math.pi, 2**53 + 1.0, -1e300]
SPECIAL = [math.nan, math.inf, -math.inf]
STRINGS = [
    "",
    " ",
    "plain",
    "数字 🧪",
    "'\"`\\;--%s",
    "a\0b",
    "\ud800",
    "\udfff\ud800x",
    "x" * 255,
    "$float",
    "NaN",
    "null",
]


def same(a, b):
    """Whether two values are the same to the bit, with nan like nan and -0.0 unlike 0.0."""
    return repr(a) == repr(b)


# Studies


def test_a_study_is_created_once_and_then_opened(store):
    assert not store.open("s", {"other": 1}, {"parameters": {}}, {"x": 0.5})
    assert store.study("s").form == FORM
    assert store.spaces("s") == [(0, SPACE)]
    assert everything(store) == ({}, [])


def test_opening_a_study_at_once_makes_one(shared):
    stores = [shared.store() for _ in range(6)]
    made = at_once(*[lambda store=store: store.open("s", FORM, SPACE, {"x": 0.5}) for store in stores])
    assert sorted(made) == [False] * 5 + [True]
    assert [len(everything(store)[0]) for store in stores] == [1] * 6


def test_the_first_trial_is_queued_with_the_study(place):
    store = begun(place.store(), first={"x": 0.25})
    found = known(store)
    assert (found.state, found.config, found.attempt, found.begun) == (State.QUEUED, {"x": 0.25}, 0, 0)
    assert found.why == {"searcher": "default"}
    assert store.create("s", [row(0)], None) is None
    assert store.create("s", [row(1)], None) is not None


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_a_study_keeps_its_name(place, name):
    store = place.store()
    assert store.open(name, FORM, SPACE, None)
    assert store.studies() == [name]
    assert store.study(name).name == name
    assert not place.store().open(name, FORM, SPACE, None)


def test_studies_are_listed_from_the_oldest(place):
    store = place.store()
    for name in ("c", "a", "b"):
        store.open(name, FORM, SPACE, None)
    assert store.studies() == ["c", "a", "b"]


def test_studies_of_one_store_do_not_touch(place):
    store = place.store()
    for name in ("a", "b"):
        store.open(name, FORM, SPACE, None)
        store.create(name, [running(0, config={"x": name})], "w")
    assert [everything(store, name)[0][0].config for name in ("a", "b")] == [{"x": "a"}, {"x": "b"}]
    assert store.sync("a", 0).rev == store.sync("b", 0).rev


def test_what_is_kept_of_a_study_comes_back_exactly(place):
    store = place.store()
    form = {
        "text": STRINGS,
        "numbers": FLOATS + SPECIAL,
        "whole": [0, -1, 2**53 + 1, 10**30],
        "nested": {"$float": "x"},
    }
    store.open("s", form, SPACE, None)
    assert same(place.store().study("s").form, form)


@pytest.mark.parametrize("ask", ["sync", "spaces", "create", "claim", "report", "finish", "grow", "claim_of", "delete"])
def test_a_study_that_is_not_there_is_named(place, ask):
    store = place.store()
    claim, outcome = Claim(0, 1, "t"), done(row(0))
    given = {
        "sync": (0,),
        "create": ([row(0)], None),
        "claim": (row(0), None),
        "report": (claim, row(0), []),
        "finish": (claim, outcome),
        "grow": (1, SPACE),
        "claim_of": (0,),
    }.get(ask, ())
    with pytest.raises(StudyNotFound, match="'missing'"):
        getattr(store, ask)("missing", *given)
    assert store.study("missing") is None


# New trials


def test_trials_are_numbered_without_gaps_and_revisions_count_changes(store):
    rev, claims = store.create("s", [running(0), row(1), running(2)], "w")
    assert [claim.number for claim in claims] == [0, 2]
    rows, _ = everything(store)
    assert sorted(rows) == [0, 1, 2]
    assert [rows[n].rev for n in range(3)] == [rev - 2, rev - 1, rev]
    assert [rows[n].born for n in range(3)] == [rev - 2, rev - 1, rev]
    assert [rows[n].begun for n in range(3)] == [rev - 2, 0, rev]


@pytest.mark.parametrize("number", [0, 1, 3, -1])
def test_a_trial_is_created_only_under_the_next_number(store, number):
    store.create("s", [row(0), row(1)], None)
    before = everything(store)
    assert store.create("s", [row(number)], None) is None
    assert everything(store) == before
    assert store.sync("s", 0).rev == max(found.rev for found in before[0].values())


def test_of_many_that_create_the_same_number_one_does(place):
    begun(place.store())
    stores = [place.store() for _ in range(4)]
    for number in range(10):
        made = at_once(*[lambda s=s: s.create("s", [running(number)], "w") for s in stores])
        assert sum(answer is not None for answer in made) == 1
    assert sorted(everything(place.store())[0]) == list(range(10))


def test_a_batch_is_created_whole_or_not_at_all(store):
    store.create("s", [row(0)], None)
    with pytest.raises(TypeError):
        store.create("s", [row(1), row(2, config={"x": object()})], None)
    assert sorted(everything(store)[0]) == [0]
    assert store.create("s", [row(1)], None) is not None


def test_every_fact_of_a_trial_comes_back(place, store):
    made = row(
        0,
        config={"a": 1, "b": 0.1, "c": True, "d": None, "e": "text", "layers.0.units": 2**53},
        until=27,
        parent=Checkpoint(3, 9),
        note={"bracket": 2, "rung": [1, 3]},
        why={"searcher": "tpe", "ei": 0.25},
        seen=17,
        settings={"workers": 4},
        started=1.5,
        past=(Moment(3, State.RUNNING, None, 0, 1, 0.0, 2), Moment(7, State.PAUSED, 9, 9, 1, 0.1, 0)),
        proposed=(2, {"a": 1, "b": math.inf}),
        limits=(50, None),
    )
    rev, _ = store.create("s", [made], None)
    assert known(place.store()) == replace(made, rev=rev, born=rev)
    repeat = row(1, repeat_of=0, imported=True)
    rev, _ = store.create("s", [repeat], None)
    assert known(place.store(), 1) == replace(repeat, rev=rev, born=rev)


@pytest.mark.parametrize("value", STRINGS + FLOATS + [0, -1, 2**53, 10**30, True, False, None], ids=repr)
def test_a_value_of_a_config_comes_back_exactly(place, store, value):
    name = value if isinstance(value, str) and value else "x"
    store.create("s", [row(0, config={name: value})], None)
    assert same(known(place.store()).config, {name: value})


@pytest.mark.parametrize("value", FLOATS + SPECIAL, ids=repr)
def test_a_metric_comes_back_exactly(place, store, value):
    made, claim = started(store)
    store.report("s", claim, replace(made, step=1), [reported(0, 1, **{"val/loss": value})])
    [(_, report)] = everything(place.store())[1]
    assert same(report.metrics, {"val/loss": value})
    store.finish("s", claim, done(made, value, curve={"val/loss": ([1, 2], [value, 0.5])}))
    found = known(place.store())
    assert same(found.values, {"value": value})
    assert same(found.curve, {"val/loss": ([1, 2], [value, 0.5])})


@pytest.mark.parametrize("name", [*NAMES.values(), "$float", "value"])
def test_a_metric_keeps_its_name(place, store, name):
    made, claim = started(store)
    store.report("s", claim, replace(made, step=1), [reported(0, 1, **{name: 1.5})])
    assert everything(place.store())[1][0][1].metrics == {name: 1.5}
    store.finish("s", claim, Outcome(replace(made, state=State.DONE, values={name: 1.5}, curve={name: ([1], [1.5])})))
    assert known(place.store()).values == {name: 1.5}
    assert known(place.store()).curve == {name: ([1], [1.5])}


def test_why_a_trial_failed_comes_back(place, store):
    made, claim = started(store)
    error = {"type": "ValueError", "message": "数 \ud800 \0 '\"", "traceback": "x" * 16_000}
    store.finish("s", claim, Outcome(replace(made, state=State.FAILED, error=error), "error"))
    assert known(place.store()).error == error
    assert known(place.store()).state == State.FAILED


# Claims


@pytest.mark.parametrize("state", [State.QUEUED, State.PAUSED])
def test_a_waiting_trial_can_be_claimed(place, store, state):
    store.create("s", [row(0, state=state)], None)
    before = known(store)
    rev, claim = store.claim("s", replace(before, until=9, seen=4), "w")
    after = known(place.store())
    assert (claim.number, claim.attempt) == (0, 1)
    assert (after.state, after.attempt, after.until) == (State.RUNNING, 1, 9)
    assert (after.rev, after.begun, after.seen) == (rev, rev, before.seen)
    assert after.past == (Moment(rev, State.RUNNING, 9, 0, 1, 0.0, 4),)
    assert after.started > 0
    assert store.claim_of("s", 0) == claim


@pytest.mark.parametrize("state", [State.RUNNING, State.DONE, State.PRUNED, State.FAILED, State.CANCELLED])
def test_only_a_waiting_trial_can_be_claimed(store, state):
    store.create("s", [row(0, state=state)], "w")
    before = known(store)
    assert store.claim("s", before, "w") is None
    assert known(store) == before


@pytest.mark.parametrize("off", [-1, 1])
def test_a_trial_is_claimed_only_as_it_is_known(store, off):
    store.create("s", [row(0)], None)
    before = known(store)
    assert store.claim("s", replace(before, rev=before.rev + off), "w") is None
    assert known(store) == before


def test_a_trial_that_is_not_there_cannot_be_claimed(store):
    assert store.claim("s", row(7, rev=1), "w") is None
    assert store.claim_of("s", 7) is None


def test_of_many_claimers_one_wins(place):
    begun(place.store()).create("s", [row(n) for n in range(10)], None)
    stores = [place.store() for _ in range(4)]
    for number in range(10):
        waiting = known(stores[0], number)
        won = [w for w in at_once(*[lambda s=s: s.claim("s", waiting, "w") for s in stores]) if w is not None]
        assert len(won) == 1
        assert stores[0].claim_of("s", number) == won[0][1]


def test_a_second_attempt_keeps_when_it_first_began(store):
    made, first = started(store, started=5.0)
    store.finish("s", first, queued(made))
    before = known(store)
    rev, second = store.claim("s", before, "w")
    after = known(store)
    assert (second.attempt, after.attempt) == (2, 2)
    assert after.begun == before.begun < rev
    assert after.started == 5.0
    assert first.token != second.token


def test_each_claim_has_a_token_of_its_own(store):
    _, claims = store.create("s", [running(n) for n in range(50)], "w")
    assert len({claim.token for claim in claims}) == 50


# Fencing


def test_a_result_is_taken_once_and_telling_it_again_changes_nothing(place, store):
    made, claim = started(store)
    first = store.finish("s", claim, done(made, 0.25))
    before = everything(store)
    assert store.finish("s", claim, done(made, 0.75)) == first
    assert everything(place.store()) == before
    assert known(store).values == {"value": 0.25}


def test_of_two_results_under_one_claim_the_first_counts(store):
    """Somebody told the trial by its number, and then its own process did."""
    made, claim = started(store)
    assert store.finish("s", store.claim_of("s", 0), done(made, 0.25, finished=1.0)) is not None
    before = everything(store)
    assert store.finish("s", claim, done(made, 0.75, finished=2.0)) is None
    assert everything(store) == before


def test_an_interrupted_attempt_that_is_told_again_stays_queued(store):
    made, claim = started(store)
    store.finish("s", claim, queued(made))
    store.finish("s", claim, queued(made))
    assert known(store).state == State.QUEUED


def test_a_void_claim_can_report_nothing(store):
    made, claim = started(store)
    store.finish("s", claim, queued(made))
    _, second = store.claim("s", known(store), "v")
    before = everything(store)
    assert store.report("s", claim, replace(made, step=5), [reported(0, 5)]) is None
    assert everything(store) == before
    assert store.report("s", second, known(store), [reported(0, 1)]) is not None


def test_a_foreign_token_is_refused(store):
    made, claim = started(store)
    before = everything(store)
    forged = claim._replace(token="0" * 32)
    assert store.report("s", forged, made, [reported(0, 1)]) is None
    assert store.finish("s", forged, done(made)) is None
    rows, reports = everything(store)
    assert (rows, reports) == before
    assert store.finish("s", claim, done(made)) is not None


def test_a_result_that_comes_after_the_trial_was_started_again_is_set_aside(shared):
    store = begun(shared.store())
    made, late, _ = lost(store, shared.store())
    _, second = store.claim("s", known(store), "v")
    assert store.finish("s", late, done(made, 0.1)) is None
    assert known(store).state == State.RUNNING
    assert store.claim_of("s", 0) == second
    assert store.finish("s", second, done(made, 0.9)) is not None
    assert store.finish("s", late, done(made, 0.1)) is None
    assert known(store).values == {"value": 0.9}


def test_a_late_result_of_a_trial_that_nobody_has_started_again_counts(shared):
    store = begun(shared.store())
    made, late, _ = lost(store, shared.store())
    assert known(store).state == State.QUEUED
    rev = store.finish("s", late, done(made, 0.1))
    found = known(shared.store())
    assert (found.state, found.values, found.rev, found.ended) == (State.DONE, {"value": 0.1}, rev, rev)
    assert store.claim("s", found, "w") is None


def test_a_late_interruption_changes_nothing(shared):
    store = begun(shared.store())
    made, late, _ = lost(store, shared.store())
    before = everything(store)
    assert store.finish("s", late, queued(made)) is None
    assert everything(store) == before


def test_a_result_of_an_attempt_before_the_last_is_not_taken_while_queued(shared):
    store = begun(shared.store())
    made, first, _ = lost(store, shared.store(), "a")
    _, second = shared_claim(store, shared.store(), "b")
    store.reap()
    assert known(store).attempt == 2
    assert store.finish("s", first, done(made, 0.1)) is None
    assert known(store).state == State.QUEUED
    assert store.finish("s", second, done(made, 0.2)) is not None
    assert known(store).values == {"value": 0.2}


def test_trials_end_in_the_order_in_which_they_are_told(store):
    made = [started(store, n) for n in range(3)]
    revs = [store.finish("s", made[n][1], done(made[n][0])) for n in (2, 0, 1)]
    rows, _ = everything(store)
    assert [rows[n].ended for n in (2, 0, 1)] == revs == sorted(revs)


def test_telling_keeps_the_config_unless_it_changed(store):
    made, claim = started(store, config={"x": 0.5})
    store.finish("s", claim, done(made, config={"x": 0.9}))
    assert known(store).config == {"x": 0.5}
    made, claim = started(store, 1, config={"x": 0.5})
    store.finish("s", claim, done(made, config={"y": 2}, space=1, config_changed=True))
    assert (known(store, 1).config, known(store, 1).space) == ({"y": 2}, 1)


# Reports


def test_reports_are_seen_while_a_trial_runs_and_become_its_curve(place, store):
    made, claim = started(store)
    for step in (1, 2, 3):
        store.report("s", claim, replace(made, step=step, cost=step / 10), [reported(0, step, value=step, lr=0.1)])
    rows, reports = everything(place.store())
    assert [(report.step, report.metrics) for _, report in reports] == [(s, {"value": s, "lr": 0.1}) for s in (1, 2, 3)]
    assert (rows[0].step, rows[0].cost, rows[0].state) == (3, 0.3, State.RUNNING)
    curve = {"value": ([1, 2, 3], [1.0, 2.0, 3.0])}
    store.finish("s", claim, done(made, curve=curve, step=3, reported=True))
    rows, reports = everything(place.store())
    assert reports == []
    assert rows[0].curve == curve


def test_what_a_finished_trial_reported_is_told_no_more(store):
    """Not even if the one who ended it did not know of it."""
    made, claim = started(store)
    store.report("s", claim, replace(made, step=1), [reported(0, 1)])
    store.finish("s", claim, done(made, curve={"value": ([1], [5.0])}, reported=False))
    rows, reports = everything(store)
    assert (rows[0].curve, reports) == ({"value": ([1], [5.0])}, [])


@pytest.mark.parametrize("revs", [(), [4], [4, 4, 9], [0, 4, 0, 7], [0, 0, 0, 3, 3, 3, 1]])
def test_when_the_steps_of_a_curve_became_known_comes_back(place, store, revs):
    made, claim = started(store)
    steps = list(range(1, 8))
    curve = {"value": (steps, [0.5] * 7), "loss": (steps[:3], [1.0] * 3)}
    store.finish("s", claim, done(made, curve=curve, revs=revs))
    assert list(known(place.store()).revs) == list(revs)


def test_every_start_and_every_pause_is_remembered(place, store):
    made, claim = started(store, until=3, seen=17)
    began = known(store).begun
    store.report("s", claim, replace(made, step=2, cost=0.5), [reported(0, 2)])
    paused = store.finish("s", claim, Outcome(replace(made, state=State.PAUSED, step=3, cost=0.1 + 0.2)))
    again, claim = store.claim("s", replace(known(store), until=9, seen=paused), "w")
    after = known(place.store())
    assert after.past == (
        Moment(began, State.RUNNING, 3, 0, 1, 0.0, 17),
        Moment(paused, State.PAUSED, 3, 3, 1, 0.1 + 0.2, 17),
        Moment(again, State.RUNNING, 9, 3, 2, 0.1 + 0.2, paused),
    )
    store.finish("s", claim, done(after, step=9))
    assert known(place.store()).past == after.past
    assert (after.rev, after.seen) == (again, 17)


def test_a_trial_that_runs_through_has_no_past(store):
    made, claim = started(store)
    store.report("s", claim, replace(made, step=1), [reported(0, 1)])
    store.finish("s", claim, done(made))
    assert known(store).past == ()


def test_the_config_that_was_proposed_is_kept_when_it_changes(place, store):
    made, claim = started(store, config={"x": 0.5}, space=0)
    first, second = replace(made, config={"x": 0.5, "y": "数"}, space=1), replace(made, config={"z": 1}, space=2)
    store.report("s", claim, first, [], config_changed=True)
    assert known(place.store()).proposed == (0, {"x": 0.5})
    store.finish("s", claim, done(second, config_changed=True))
    found = known(place.store())
    assert (found.space, found.config, found.proposed) == (2, {"z": 1}, (0, {"x": 0.5}))


def test_the_space_that_was_proposed_for_is_kept_when_only_it_changes(place, store):
    made, claim = started(store, config={"x": 0.5}, space=0)
    store.report("s", claim, made, [])
    assert known(store).proposed is None
    store.finish("s", claim, done(replace(made, space=3)))
    assert known(place.store()).proposed == (0, {"x": 0.5})


def test_a_new_space_ends_what_is_told_at_once_so_that_its_revision_is_known(store):
    revs = []
    for version in (1, 2):
        store.create("s", [row(2 * version - 2)], None)
        revs.append(store.grow("s", version, SPACE))
        store.create("s", [row(2 * version - 1)], None)
    told, rev, more = [], 0, True
    while more:
        changes = store.sync("s", rev)
        told.append(([version for version, _ in changes.spaces], changes.rev, [found.number for found in changes.rows]))
        rev, more = changes.rev, changes.more
    assert told == [([0, 1], revs[0], [0]), ([2], revs[1], [1, 2]), ([], revs[1] + 1, [3])]


def test_a_step_reported_again_is_replaced(store):
    made, claim = started(store)
    store.report("s", claim, replace(made, step=1), [reported(0, 1, value=1.0)])
    store.report("s", claim, replace(made, step=1), [reported(0, 1, value=2.0)])
    assert [report.metrics for _, report in everything(store)[1]] == [{"value": 2.0}]


def test_a_restart_drops_the_reports_beyond_where_it_begins(store):
    made, claim = started(store)
    store.report("s", claim, replace(made, step=4, saved=(2, 1)), [reported(0, step) for step in (1, 2, 3, 4)])
    store.finish("s", claim, queued(replace(made, step=4)))
    _, second = store.claim("s", known(store), "w")
    again = replace(known(store), began=2, step=3)
    store.report("s", second, again, [reported(0, 3, value=30.0)])
    found = [(report.step, report.metrics["value"]) for _, report in everything(store)[1]]
    assert found == [(1, 1.0), (2, 2.0), (3, 30.0)]


def test_a_reader_is_told_all_reports_of_a_trial_that_was_started_again(store):
    made, claim = started(store)
    store.report("s", claim, replace(made, step=2), [reported(0, 1), reported(0, 2)])
    rev = everything_rev(store)
    store.finish("s", claim, queued(replace(made, step=2)))
    store.claim("s", known(store), "w")
    changes = store.sync("s", rev)
    assert [r.step for r in changes.rows] == [2]
    assert [report.step for _, report in changes.reports] == [1, 2]


def test_a_checkpoint_is_kept_with_the_reports(place, store):
    made, claim = started(store)
    store.report("s", claim, replace(made, step=3, saved=(3, 1)), [])
    assert known(place.store()).saved == (3, 1)
    store.finish("s", claim, done(made))
    assert known(place.store()).saved == (3, 1)


def test_a_config_that_grew_is_kept_with_the_reports(place, store):
    made, claim = started(store, config={})
    store.report("s", claim, replace(made, config={"x": 0.5}, space=0), [], config_changed=True)
    assert known(place.store()).config == {"x": 0.5}
    store.report("s", claim, replace(made, config={"x": 0.9}), [])
    assert known(place.store()).config == {"x": 0.5}


# Reading what changed


def test_a_reader_gets_each_change_once_and_nothing_when_nothing_changed(store):
    made, claim = started(store)
    store.create("s", [row(1)], None)
    first = store.sync("s", 0)
    assert [found.number for found in first.rows] == [0, 1]
    assert store.sync("s", first.rev) == Changes(first.rev)
    store.finish("s", claim, done(made))
    second = store.sync("s", first.rev)
    assert [(found.number, found.state) for found in second.rows] == [(0, State.DONE)]
    assert second.rev > first.rev


def test_more_than_a_page_of_trials_is_read_in_parts(store):
    n = 12_001
    for start in range(0, n, 1000):
        store.create("s", [row(k) for k in range(start, min(n, start + 1000))], None)
    sizes, rev, more = [], 0, True
    while more:
        changes = store.sync("s", rev)
        assert changes.rev > rev
        sizes.append(len(changes.rows))
        rev, more = changes.rev, changes.more
    assert len(sizes) > 2
    assert sum(sizes) == n
    assert sorted(everything(store)[0]) == list(range(n))


def test_reports_and_spaces_are_not_lost_between_pages(store):
    made, claim = started(store)
    store.report("s", claim, replace(made, step=1), [reported(0, 1)])
    store.grow("s", 1, SPACE)
    store.create("s", [row(k) for k in range(1, 6001)], None)
    store.report("s", claim, replace(made, step=2), [reported(0, 2)])
    store.grow("s", 2, SPACE)
    rows, reports = everything(store)
    assert len(rows) == 6001
    assert sorted(report.step for _, report in reports) == [1, 2]
    spaces, rev, more = [], 0, True
    while more:
        changes = store.sync("s", rev)
        spaces += [version for version, _ in changes.spaces]
        rev, more = changes.rev, changes.more
    assert spaces == [0, 1, 2]


WRITER = """
store = {store}
for k in range(100):
    while True:
        rows = store.sync("s", 0).rows
        made = Row(len(rows), {{"x": k}}, state=State.RUNNING, attempt=1)
        created = store.create("s", [made], None)
        if created is not None:
            break
    store.report("s", created[1][0], made, [Report(made.number, 1, {{"value": float(k)}})])
    made.state, made.values = State.DONE, {{"value": float(k)}}
    store.finish("s", created[1][0], Outcome(made, reported=True))
tell(done=True)
"""


def test_a_reader_misses_nothing_while_others_write(shared):
    store = begun(shared.store())
    rows, rev = {}, 0
    with process(WRITER.format(store=shared.code)) as a, process(WRITER.format(store=shared.code)) as b:
        while a.poll() is None or b.poll() is None:
            changes = store.sync("s", rev)
            rows |= {found.number: found for found in changes.rows}
            assert sorted(rows) == list(range(len(rows)))
            rev = changes.rev
        assert a.returncode == b.returncode == 0
    rows |= {found.number: found for found in store.sync("s", rev).rows}
    assert rows == everything(store)[0]
    assert len(rows) == 200
    assert all(found.state == State.DONE for found in rows.values())


# Spaces


def test_a_space_is_added_only_as_the_next_version(place, store):
    other = {"parameters": {"y": ["数", None, True, 0.1]}}
    assert store.grow("s", 2, other) is None
    assert store.grow("s", 0, other) is None
    rev = store.grow("s", 1, other)
    assert rev is not None
    assert store.grow("s", 1, SPACE) is None
    assert place.store().spaces("s") == [(0, SPACE), (1, other)]
    assert list(store.sync("s", rev - 1).spaces) == [(1, other)]


def test_of_many_that_grow_a_space_one_does(place):
    begun(place.store())
    stores = [place.store() for _ in range(4)]
    for version in range(1, 6):
        grown = at_once(*[lambda s=s: s.grow("s", version, SPACE) for s in stores])
        assert sum(answer is not None for answer in grown) == 1
    assert [version for version, _ in stores[0].spaces("s")] == list(range(6))


# Workers that die


def lost(store, other, worker="w"):
    """A trial whose worker has given no sign of life for too long, queued again: (row, claim, queued trials)."""
    other.beat(worker, -1.0)
    made, claim = started(other, worker=worker)
    return made, claim, store.reap()


def shared_claim(store, other, worker):
    """The queued trial 0, claimed by a worker that gives no sign of life."""
    other.beat(worker, -1.0)
    return other.claim("s", known(store), worker)


def test_what_a_silent_worker_runs_is_queued_again(shared):
    store, other = begun(shared.store()), shared.store()
    other.beat("w", -1.0)
    other.create("s", [running(0), row(1), running(2)], "w")
    other.create("s", [running(3)], None)
    assert store.reap() == 2
    states = [found.state for _, found in sorted(everything(store)[0].items())]
    assert states == [State.QUEUED, State.QUEUED, State.QUEUED, State.RUNNING]
    assert store.reap() == 0


def test_what_a_living_worker_runs_is_left_alone(shared):
    store, other = begun(shared.store()), shared.store()
    other.beat("w", 60.0)
    started(other)
    assert store.reap() == other.reap() == 0
    assert known(store).state == State.RUNNING


def test_a_store_does_not_give_up_its_own_worker(place):
    store = begun(place.store())
    store.beat("w", -1.0)
    started(store)
    assert store.reap() == 0
    assert known(store).state == State.RUNNING


def test_a_trial_under_nobodys_lease_never_expires(shared):
    store = begun(shared.store())
    started(store, worker=None)
    assert shared.store().reap() == 0
    assert known(store).state == State.RUNNING


def test_a_worker_is_told_that_it_was_given_up(shared):
    store, other = begun(shared.store()), shared.store()
    assert other.beat("w", 60.0)
    assert other.beat("w", -1.0)
    store.reap()
    assert not other.beat("w", 60.0)
    assert other.beat("w", 60.0)
    assert store.reap() == 0


def test_a_checkpoint_survives_the_worker(shared):
    store, other = begun(shared.store()), shared.store()
    other.beat("w", -1.0)
    made, claim = started(other)
    other.report("s", claim, replace(made, step=3, saved=(3, 1)), [reported(0, step) for step in (1, 2, 3)])
    store.reap()
    assert (known(store).saved, known(store).step) == ((3, 1), 3)


def test_a_trial_that_three_workers_died_of_is_failed_with_its_curve(shared):
    store, other = begun(shared.store()), shared.store()
    started(other, worker="none")
    claim = other.claim_of("s", 0)
    other.finish("s", claim, queued(known(other)))
    for attempt in (1, 2, 3):
        assert known(store).state == State.QUEUED
        _, claim = shared_claim(store, other, f"w{attempt}")
        step = known(store).step + 1
        other.report("s", claim, replace(known(store), began=step - 1, step=step), [reported(0, step, value=step / 2)])
        store.reap()
    rows, reports = everything(store)
    assert rows[0].state == State.FAILED
    assert rows[0].error["type"] == "WorkerLost"
    assert "3 workers died while they ran it" in rows[0].error["message"]
    assert rows[0].ended == rows[0].rev
    assert rows[0].curve == {"value": ([1, 2, 3], [0.5, 1.0, 1.5])}
    assert rows[0].values == {"value": 1.5}
    assert reports == []


def test_workers_that_saved_the_same_step_again_before_they_died_count(shared):
    store, other = begun(shared.store()), shared.store()
    started(other, worker="none")
    claim = other.claim_of("s", 0)
    other.finish("s", claim, queued(known(other)))
    for attempt in (1, 2, 3):
        assert known(store).state == State.QUEUED
        _, claim = shared_claim(store, other, f"w{attempt}")
        other.report("s", claim, replace(known(store), step=1, saved=(1, claim.attempt)), [reported(0, 1)])
        store.reap()
    assert known(store).state == State.FAILED


def test_workers_that_saved_a_step_before_they_died_do_not_count(shared):
    store, other = begun(shared.store()), shared.store()
    started(other, worker="none")
    other.finish("s", other.claim_of("s", 0), queued(known(other)))
    for attempt in range(2, 9):
        _, claim = shared_claim(store, other, f"w{attempt}")
        saved = replace(known(store), began=attempt - 2, step=attempt - 1, saved=(attempt - 1, attempt))
        other.report("s", claim, saved, [])
        store.reap()
        assert known(store).state == State.QUEUED
    for attempt in (9, 10, 11):
        shared_claim(store, other, f"w{attempt}")
        store.reap()
    assert known(store).state == State.FAILED


def test_being_interrupted_does_not_count_as_a_lost_worker(store):
    made, claim = started(store)
    for _ in range(5):
        store.finish("s", claim, queued(made))
        _, claim = store.claim("s", known(store), "w")
    assert known(store).state == State.RUNNING


HOLDER = """
store = {store}
store.beat("held", 3600.0)
made = Row(0, {{"x": 1}}, state=State.RUNNING, attempt=1)
store.create("s", [made], "held")
tell(ready=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("kind", [signal.SIGKILL, signal.SIGTERM])
def test_what_a_process_ran_is_queued_as_soon_as_it_is_dead(shared, kind):
    store = begun(shared.store())
    with process(HOLDER.format(store=shared.code)) as other:
        assert other.stdout.readline()
        assert store.reap() == 0
        assert known(store).state == State.RUNNING
        other.send_signal(kind)
        other.wait()
        assert store.reap() == 1
    assert known(store).state == State.QUEUED


def test_a_stopped_process_keeps_its_trial_until_its_lease_is_over(shared):
    store = begun(shared.store())
    with process(HOLDER.format(store=shared.code)) as other:
        assert other.stdout.readline()
        other.send_signal(signal.SIGSTOP)
        assert store.reap() == 0
        assert store.runs_elsewhere("s", "mine")
        other.kill()
        other.wait()
        assert store.reap() == 1


def test_others_are_known_to_run_trials(shared):
    store, other = begun(shared.store()), shared.store()
    assert not store.runs_elsewhere("s", "mine")
    _, claim = started(other, worker="theirs")
    assert store.runs_elsewhere("s", "mine")
    assert store.runs_elsewhere("s", None)
    assert not store.runs_elsewhere("s", "theirs")
    other.finish("s", claim, done(known(other)))
    started(other, 1, worker=None)
    assert not store.runs_elsewhere("s", "mine")


def test_a_worker_that_closes_gives_back_what_it_runs(shared):
    store, other = begun(shared.store()), shared.store()
    other.beat("w", 60.0)
    started(other)
    started(store, 1, worker=None)
    other.close("w")
    assert [found.state for _, found in sorted(everything(store)[0].items())] == [State.QUEUED, State.RUNNING]
    assert store.reap() == 0


# Deleting


def test_a_deleted_study_leaves_nothing(place, store):
    made, claim = started(store)
    store.report("s", claim, made, [reported(0, 1)])
    store.open("t", FORM, SPACE, {"x": 0.5})
    store.delete("s")
    assert store.studies() == ["t"]
    assert begun(store).sync("s", 0).rows == []
    assert everything(store) == ({}, [])
    assert len(everything(place.store(), "t")[0]) == 1


def test_who_works_on_a_deleted_study_is_told_and_writes_nowhere_else(shared):
    store, other = begun(shared.store()), shared.store()
    made, claim = started(other)
    store.delete("s")
    store.open("t", FORM, SPACE, {"x": 0.5})
    before = everything(store, "t")
    for call in (
        lambda: other.finish("s", claim, done(made)),
        lambda: other.report("s", claim, made, [reported(0, 1)]),
        lambda: other.claim("s", made, "w"),
        lambda: other.sync("s", 1),
        lambda: other.spaces("s"),
    ):
        with pytest.raises(StudyNotFound, match="'s'"):
            call()
    assert everything(store, "t") == before


def test_a_deleted_trial_is_not_taken_for_one_of_the_next_study(shared):
    store, other = begun(shared.store()), shared.store()
    other.sync("s", 0)
    store.delete("s")
    store.open("t", FORM, SPACE, None)
    with pytest.raises(StudyNotFound):
        for _ in range(2):  # the first answer may be that somebody else was faster
            assert other.create("s", [row(0)], None) is None
            other.sync("s", 0)
    assert everything(store, "t") == ({}, [])


def everything_rev(store):
    """The revision that a reader has reached who has read everything."""
    return store.sync("s", 0).rev


def test_a_store_says_what_it_takes_for_time(store):
    before = time.time()
    store.create("s", [row(0)], None)
    store.claim("s", known(store), "w")
    assert before <= known(store).started <= time.time()
