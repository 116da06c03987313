"""The laws of every store for many workers on one study: what is ready, what is wanted, who decides, who works."""

import ast
import time
from contextlib import ExitStack
from dataclasses import replace

import pytest
from contract import (
    FORM,
    PLACES,
    SPACE,
    at_once,
    begun,
    claim_next,
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
from storied import planned, storied

from tuneful import __version__
from tuneful.errors import StoreError, StudyError, StudyNotFound
from tuneful.history import Moment, State
from tuneful.protocols import Claim, Outcome

FINAL = [State.DONE, State.PRUNED, State.FAILED, State.CANCELLED]
ASKS = {
    "claim_ready": ("w",),
    "offer": (row(0),),
    "wish": (0, "stop"),
    "cancel": (None,),
    "lead": ("w",),
    "resign": ("w",),
    "orders": ("w",),
}


def states(store):
    return [found.state for _, found in sorted(everything(store)[0].items())]


def heard(other):
    """What another process tells next."""
    line = other.stdout.readline()
    assert line, "it died"
    return ast.literal_eval(line)


def told(other):
    """Let another process go on."""
    other.stdin.write("\n")
    other.stdin.flush()


@pytest.mark.parametrize("ask", [*ASKS, "dump"])
def test_a_study_that_is_not_there_is_named(place, ask):
    with pytest.raises(StudyNotFound, match="'missing'"):
        list(getattr(place.store(), ask)("missing", *ASKS.get(ask, ())))


@pytest.mark.parametrize("ask", [*ASKS, "dump", "check", "members"])
def test_a_closed_store_says_so(place, ask):
    store = begun(place.store())
    store.sync("s", 0)
    store.close()
    name = () if ask in ("check", "members") else ("s",)
    with pytest.raises(StoreError, match="closed"):
        list(getattr(store, ask)(*name, *ASKS.get(ask, ())))


@pytest.mark.parametrize("ask", ["claim_ready", "offer", "wish", "cancel", "orders", "dump"])
def test_a_study_that_was_deleted_meanwhile_is_named(shared, ask):
    store, other = begun(shared.store()), shared.store()
    store.create("s", [planned(0)], None)
    other.sync("s", 0)
    store.delete("s")
    with pytest.raises(StudyNotFound, match="'s'"):
        list(getattr(other, ask)("s", *ASKS.get(ask, ())))


# What is ready


def test_a_trial_that_was_planned_ahead_is_ready_and_counts_as_begun(store):
    rev, claims = store.create("s", [planned(0, until=9, seen=4), row(1)], "w")
    assert claims == []
    rows, _ = everything(store)
    assert [rows[n].begun for n in (0, 1)] == [rev - 1, 0]
    assert [rows[n].ready for n in (0, 1)] == [True, False]


def test_what_is_ready_is_claimed_with_the_lowest_number_first(store):
    store.create("s", [row(0), planned(1, until=3), row(2), planned(3), planned(4)], None)
    taken = [claim_next(store, "s", worker) for worker in ("a", "b", None)]
    assert [claim.number for _, claim, _ in taken] == [1, 3, 4]
    assert claim_next(store, "s", "w") is None
    for rev, claim, found in taken:
        assert found == known(store, claim.number)
        assert (found.state, found.attempt, found.rev) == (State.RUNNING, claim.attempt, rev)
        assert store.claim_of("s", claim.number) == claim
    assert len({claim.token for _, claim, _ in taken}) == 3


def test_what_is_given_back_goes_before_what_is_new(store):
    made, claim = started(store)
    store.create("s", [planned(1)], None)
    store.finish("s", claim, queued(made))
    assert [claim_next(store, "s", "w")[1].number for _ in range(2)] == [0, 1]


def test_the_first_start_of_what_was_planned_ahead_needs_no_moment(store):
    rev, _ = store.create("s", [planned(0, until=9, seen=4)], None)
    again, claim, found = claim_next(store, "s", "w")
    assert again == rev + 1
    assert (claim.attempt, found.begun, found.until, found.seen, found.past) == (1, rev, 9, 4, ())
    assert found.started > 0


def test_every_later_start_is_remembered(store):
    made, first = started(store, until=9, seen=4)
    rev = known(store).begun
    store.report("s", first, replace(made, step=2, cost=0.1 + 0.2), [reported(0, 1), reported(0, 2)])
    back = store.finish("s", first, queued(replace(made, step=2, cost=0.1 + 0.2)))
    again, second, found = claim_next(store, "s", "w")
    assert (second.attempt, found.begun, found.step, found.started) == (2, rev, 2, known(store).started)
    assert found.past == (
        Moment(rev, State.RUNNING, 9, 0, 1, 0.0, 4),
        Moment(back, State.QUEUED, 9, 2, 1, 0.1 + 0.2, 4),
        Moment(again, State.RUNNING, 9, 2, 2, 0.1 + 0.2, 4),
    )


def test_what_a_lost_worker_ran_is_ready(shared):
    store, other = begun(shared.store()), shared.store()
    other.beat("w", -1.0)
    _, claim = started(other, until=7)
    assert claim_next(store, "s", "v") is None
    store.reap()
    _, second, found = claim_next(store, "s", "v")
    assert (second.number, second.attempt, found.until) == (0, 2, 7)
    assert other.report("s", claim, found, [reported(0, 1)]) is None


@pytest.mark.parametrize("state", [State.RUNNING, State.PAUSED, *FINAL])
def test_only_what_is_queued_is_ready(store, state):
    store.create("s", [row(0, state=state, begun=1)], "w")
    before = known(store)
    assert claim_next(store, "s", "v") is None
    assert known(store) == before


def test_what_was_enqueued_is_ready_only_when_it_is_offered(store):
    store.create("s", [row(0)], None)
    assert claim_next(store, "s", "w") is None
    rev = store.offer("s", replace(known(store), until=5))
    found = known(store)
    assert (found.rev, found.begun, found.state, found.until, found.attempt) == (rev, rev, State.QUEUED, 5, 0)
    assert (found.past, found.ready) == ((), True)
    _, claim, found = claim_next(store, "s", "w")
    assert (claim.number, claim.attempt, found.until, found.begun, found.past) == (0, 1, 5, rev, ())


def test_what_pauses_is_ready_when_it_is_offered(place, store):
    made, claim = started(store, until=3, seen=4)
    rev = known(store).begun
    paused = store.finish("s", claim, Outcome(replace(made, state=State.PAUSED, step=3, cost=0.5)))
    assert claim_next(store, "s", "w") is None
    offered = store.offer("s", replace(known(store), until=9))
    found = known(place.store())
    assert (found.state, found.until, found.rev, found.begun, found.seen) == (State.QUEUED, 9, offered, rev, 4)
    again, _, found = claim_next(store, "s", "w")
    assert found.past == (
        Moment(rev, State.RUNNING, 3, 0, 1, 0.0, 4),
        Moment(paused, State.PAUSED, 3, 3, 1, 0.5, 4),
        Moment(offered, State.QUEUED, 9, 3, 1, 0.5, 4),
        Moment(again, State.RUNNING, 9, 3, 2, 0.5, 4),
    )


def test_what_was_planned_ahead_may_be_offered_again_until_another_step(store):
    rev, _ = store.create("s", [planned(0, until=3)], None)
    offered = store.offer("s", replace(known(store), until=9))
    again, claim, found = claim_next(store, "s", "w")
    assert (claim.attempt, found.until) == (1, 9)
    assert [(m.rev, m.state, m.until, m.attempt) for m in found.past] == [
        (rev, State.RUNNING, 3, 1),
        (offered, State.QUEUED, 9, 0),
        (again, State.RUNNING, 9, 1),
    ]


@pytest.mark.parametrize("state", [State.RUNNING, *FINAL])
def test_only_what_waits_can_be_offered(store, state):
    store.create("s", [row(0, state=state)], "w")
    before = known(store)
    assert store.offer("s", before) is None
    assert store.offer("s", row(7, rev=1)) is None
    assert known(store) == before


@pytest.mark.parametrize("off", [-1, 1])
def test_a_trial_is_offered_only_as_it_is_known(store, off):
    store.create("s", [row(0)], None)
    before = everything(store), store.sync("s", 0).rev
    assert store.offer("s", replace(known(store), rev=known(store).rev + off)) is None
    assert (everything(store), store.sync("s", 0).rev) == before


def test_of_many_that_offer_and_claim_a_trial_one_does(place):
    begun(place.store()).create("s", [row(n) for n in range(10)], None)
    stores = [place.store() for _ in range(4)]
    for number in range(10):
        waiting = known(stores[0], number)
        calls = [lambda s=s: s.offer("s", waiting) for s in stores[:2]]
        calls += [lambda s=s: s.claim("s", waiting, "w") for s in stores[2:]]
        assert sum(answer is not None for answer in at_once(*calls)) == 1


def test_nothing_is_told_when_nothing_is_ready(store):
    store.create("s", [row(0)], None)
    before = store.sync("s", 0).rev
    assert claim_next(store, "s", "w") is None
    assert store.sync("s", 0).rev == before


def test_threads_that_claim_what_is_ready_get_each_trial_once(place):
    begun(place.store()).create("s", [planned(n) for n in range(200)], None)

    def claim_all(store, worker):
        taken = []
        while (found := claim_next(store, "s", worker)) is not None:
            taken.append(found[1])
        return taken

    stores = [place.store() for _ in range(8)]
    taken = at_once(*[lambda s=s, n=n: claim_all(s, f"w{n}") for n, s in enumerate(stores)])
    claims = [claim for each in taken for claim in each]
    assert sorted(claim.number for claim in claims) == list(range(200))
    assert all(stores[0].claim_of("s", claim.number) == claim for claim in claims)


CLAIMER = """
store = {store}
store.beat("w{n}", 600.0)
tell(ready=True)
sys.stdin.readline()
taken = []
while found := store.claim_ready("s", "w{n}"):
    [(claim, made)] = found
    made.state, made.values = State.DONE, {{"value": made.config["x"]}}
    assert store.finish("s", claim, Outcome(made)) is not None
    taken.append(claim.number)
tell(taken=taken)
"""


def test_processes_that_claim_what_is_ready_run_each_trial_once(shared):
    store = begun(shared.store())
    store.create("s", [planned(n) for n in range(200)], None)
    with ExitStack() as stack:
        others = [stack.enter_context(process(CLAIMER.format(store=shared.code, n=n))) for n in range(4)]
        for each in others:
            assert heard(each) == {"ready": True}
        for each in others:
            told(each)
        taken = [number for each in others for number in heard(each)["taken"]]
    assert sorted(taken) == list(range(200))
    assert {(found.state, found.attempt) for found in everything(store)[0].values()} == {(State.DONE, 1)}


# What is wanted


@pytest.mark.parametrize("wish", ["hold", "stop"])
@pytest.mark.parametrize("made", [row(0), planned(0), row(0, state=State.PAUSED)], ids=["new", "ready", "paused"])
def test_what_shall_not_run_is_not_claimed_until_that_is_taken_back(store, made, wish):
    store.create("s", [made], None)
    rev = known(store).rev
    assert store.wish("s", 0, wish)
    held = known(store)
    assert (held.wish, held.state, held.ready) == (wish, made.state, False)
    assert held.rev > rev
    assert store.claim("s", held, "w") is None
    assert store.offer("s", held) is None
    assert claim_next(store, "s", "w") is None
    assert known(store) == held
    assert store.wish("s", 0, None)
    free = known(store)
    assert (free.wish, free.rev) == (None, held.rev + 1)
    assert (claim_next(store, "s", "w") is not None) == bool(made.begun)
    assert made.begun or store.claim("s", free, "w") is not None


def test_who_decided_before_a_wish_was_said_is_refused(store):
    store.create("s", [row(0)], None)
    before = known(store)
    store.wish("s", 0, "hold")
    store.wish("s", 0, None)
    assert store.claim("s", before, "w") is None
    assert store.offer("s", before) is None


def test_a_wish_for_a_running_trial_leaves_it_running_and_is_told(place, store):
    made, claim = started(store)
    rev = known(store).rev
    assert store.wish("s", 0, "stop")
    [changed] = place.store().sync("s", rev).rows
    assert (changed.wish, changed.state) == ("stop", State.RUNNING)
    assert store.orders("s", "w").trials == {0: "stop"}
    assert store.report("s", claim, replace(made, step=1), [reported(0, 1)]) is not None
    assert known(store).wish == "stop"


@pytest.mark.parametrize("state", [State.QUEUED, State.PAUSED])
def test_a_wish_outlives_an_attempt_that_ends_early(store, state):
    made, claim = started(store)
    store.wish("s", 0, "hold")
    store.finish("s", claim, Outcome(replace(made, state=state), "interrupted"))
    assert (known(store).wish, known(store).state) == ("hold", state)
    assert claim_next(store, "s", "w") is None


def test_a_wish_outlives_the_worker(shared):
    store, other = begun(shared.store()), shared.store()
    other.beat("w", -1.0)
    started(other)
    store.wish("s", 0, "stop")
    store.reap()
    assert (known(store).wish, known(store).state) == ("stop", State.QUEUED)
    assert claim_next(store, "s", "v") is None


@pytest.mark.parametrize("state", [State.DONE, State.PRUNED, State.FAILED])
def test_a_wish_ends_with_the_trial(store, state):
    made, claim = started(store)
    store.wish("s", 0, "stop")
    store.finish("s", claim, Outcome(replace(made, state=state)))
    assert (known(store).wish, known(store).state) == (None, state)


@pytest.mark.parametrize("state", FINAL)
@pytest.mark.parametrize("wish", ["hold", "stop", None])
def test_nothing_can_be_wanted_of_a_trial_that_is_over_or_was_never_there(store, state, wish):
    store.create("s", [row(0, state=state)], None)
    before = everything(store), store.sync("s", 0).rev
    assert not store.wish("s", 0, wish)
    assert not store.wish("s", 7, wish)
    assert not store.wish("s", -1, wish)
    assert (everything(store), store.sync("s", 0).rev) == before


@pytest.mark.parametrize("wish", ["pause", "stop"])
def test_while_a_study_shall_not_go_on_nothing_is_ready(place, store, wish):
    store.create("s", [planned(0)], None)
    rev = store.sync("s", 0).rev
    assert store.wish("s", None, wish)
    other = place.store()
    assert claim_next(other, "s", "w") is None
    assert other.sync("s", rev) == other.sync("s", rev)._replace(rev=rev, rows=(), wish=wish)
    assert other.sync("s", 0).wish == wish
    assert other.orders("s", "w").wish == wish
    assert store.wish("s", None, None)
    assert other.sync("s", rev).wish is other.orders("s", "w").wish is None
    assert claim_next(other, "s", "w") is not None


def test_while_a_study_is_to_pause_what_somebody_decides_may_run(store):
    """The wish speaks to those who decide; a trial that is claimed by name has been decided."""
    store.create("s", [row(0)], None)
    store.wish("s", None, "pause")
    assert store.claim("s", known(store), "w") is not None


def test_a_wish_for_one_study_says_nothing_to_another(store):
    store.open("t", FORM, SPACE, None)
    store.create("t", [planned(0)], None)
    store.wish("s", None, "stop")
    assert store.sync("t", 0).wish is None
    assert claim_next(store, "t", "w") is not None


# Cancelling


@pytest.mark.parametrize("made", [row(0), planned(0), row(0, state=State.PAUSED)], ids=["new", "ready", "paused"])
def test_what_waits_is_cancelled_at_once(place, store, made):
    store.create("s", [made], None)
    store.wish("s", 0, "hold")
    before = time.time()
    assert store.cancel("s", 0) == 1
    found = known(place.store())
    assert (found.state, found.values, found.wish, found.ended) == (State.CANCELLED, {}, None, found.rev)
    assert before <= found.finished <= time.time()
    assert claim_next(store, "s", "w") is None
    assert store.claim("s", found, "w") is None


def test_what_runs_is_cancelled_with_its_curve_and_its_late_result_set_aside(place, store):
    made, claim = started(store)
    first = store.report("s", claim, replace(made, step=1), [reported(0, 1, loss=0.5, acc=0.1)])
    second = store.report("s", claim, replace(made, step=3), [reported(0, 2, loss=0.25), reported(0, 3, loss=0.75)])
    assert store.cancel("s", 0) == 1
    rows, reports = everything(place.store())
    assert reports == []
    found = rows[0]
    assert (found.state, found.step, found.ended) == (State.CANCELLED, 3, found.rev)
    assert found.values == {"loss": 0.75, "acc": 0.1}
    assert found.curve == {"loss": ([1, 2, 3], [0.5, 0.25, 0.75]), "acc": ([1], [0.1])}
    assert list(found.revs) == [first, second, second]
    assert store.claim_of("s", 0) is None
    assert store.report("s", claim, replace(made, step=4), [reported(0, 4)]) is None
    assert store.finish("s", claim, done(made, 0.125)) is None
    assert known(place.store()) == found
    aside = [row for table, rows in store.dump("s") if table == "attempt" for row in rows]
    assert [(number, attempt, why, metrics) for number, attempt, why, _, metrics, _ in aside] == [
        (0, 1, "late", '{"value":0.125}')
    ]


@pytest.mark.parametrize("state", FINAL)
def test_what_is_over_cannot_be_cancelled(store, state):
    store.create("s", [row(0, state=state)], None)
    before = everything(store), store.sync("s", 0).rev
    assert [store.cancel("s", number) for number in (0, 7, -1, None)] == [0] * 4
    assert (everything(store), store.sync("s", 0).rev) == before


def test_all_of_a_study_is_cancelled_and_nothing_of_another(store):
    store.create("s", [row(0, state=State.DONE), running(1), row(2), row(3, state=State.PAUSED), planned(4)], "w")
    store.open("t", FORM, SPACE, {"x": 0.5})
    rev = store.sync("s", 0).rev
    assert store.cancel("s", None) == 4
    assert states(store) == [State.DONE, *[State.CANCELLED] * 4]
    assert [found.number for found in store.sync("s", rev).rows] == [1, 2, 3, 4]
    assert [found.rev for found in store.sync("s", rev).rows] == [rev + 1, rev + 2, rev + 3, rev + 4]
    assert store.sync("t", 0).rows[0].state == State.QUEUED
    assert store.cancel("s", None) == 0


def test_a_worker_whose_trial_was_cancelled_or_lost_is_told_by_what_is_missing(shared):
    store, other = begun(shared.store()), shared.store()
    other.beat("w", 600.0)
    other.create("s", [running(n) for n in range(3)], "w")
    assert other.orders("s", "w").trials == {0: None, 1: None, 2: None}
    store.cancel("s", 1)
    store.wish("s", 2, "hold")
    assert other.orders("s", "w").trials == {0: None, 2: "hold"}
    other.beat("w", -1.0)
    store.reap()
    assert other.orders("s", "w").trials == {}


def test_orders_are_of_one_study_and_one_worker(store):
    store.open("t", FORM, SPACE, None)
    for name, worker in (("s", "a"), ("t", "b")):
        store.create(name, [running(0), row(1)], worker)
    assert store.orders("s", "a").trials == {0: None}
    assert store.orders("s", "b").trials == store.orders("t", "a").trials == {}


# Who decides


def test_one_worker_leads_until_it_resigns(place, store):
    other = place.store()
    store.beat("a", 600.0)
    other.beat("b", 600.0)
    assert store.sync("s", 0).leader is store.orders("s", "a").leader is None
    assert store.lead("s", "a")
    assert store.lead("s", "a")
    assert not other.lead("s", "b")
    rev = store.sync("s", 0).rev
    assert other.sync("s", 0).leader == other.sync("s", rev).leader == other.orders("s", "b").leader == "a"
    other.resign("s", "b")
    assert not other.lead("s", "b")
    store.resign("s", "a")
    assert other.sync("s", 0).leader is other.orders("s", "b").leader is None
    assert other.lead("s", "b")
    assert not store.lead("s", "a")


def test_each_study_has_its_own_leader(store):
    store.open("t", FORM, SPACE, None)
    store.beat("a", 600.0)
    store.beat("b", 600.0)
    assert store.lead("s", "a")
    assert store.lead("t", "b")
    assert (store.sync("s", 0).leader, store.sync("t", 0).leader) == ("a", "b")


def test_of_many_that_want_to_lead_one_does(place):
    begun(place.store())
    stores = [place.store() for _ in range(6)]
    for n, each in enumerate(stores):
        each.beat(f"w{n}", 600.0)
    led = at_once(*[lambda s=s, n=n: s.lead("s", f"w{n}") for n, s in enumerate(stores)])
    assert sorted(led) == [False] * 5 + [True]


def test_a_leader_that_closes_makes_room(shared):
    store, other = begun(shared.store()), shared.store()
    other.beat("a", 600.0)
    store.beat("b", 600.0)
    assert other.lead("s", "a")
    other.close("a")
    assert store.sync("s", 0).leader is store.orders("s", "b").leader is None
    assert store.lead("s", "b")


def test_a_leader_that_falls_silent_makes_room(shared):
    store, other = begun(shared.store()), shared.store()
    other.beat("a", 600.0)
    store.beat("b", 600.0)
    assert other.lead("s", "a")
    other.beat("a", -1.0)
    store.reap()
    assert store.sync("s", 0).leader is None
    assert store.lead("s", "b")
    assert not other.beat("a", 600.0)
    assert not other.lead("s", "a")


LEADER = """
store = {store}
store.beat("leader", 3600.0)
tell(leads=store.lead("s", "leader"))
sys.stdin.readline()
tell(beaten=store.beat("leader", 0.5))
sys.stdin.read()
"""


def test_the_lead_is_taken_over_when_the_leader_is_dead_and_not_before(shared):
    store = begun(shared.store())
    store.beat("mine", 3600.0)
    with process(LEADER.format(store=shared.code)) as other:
        assert heard(other) == {"leads": True}
        for _ in range(3):
            assert store.reap() == 0
            assert not store.lead("s", "mine")
        assert store.sync("s", 0).leader == "leader"
        told(other)
        assert heard(other) == {"beaten": True}
        other.kill()
        other.wait()
        deadline = time.monotonic() + 60
        while not store.lead("s", "mine"):
            assert time.monotonic() < deadline
            time.sleep(0.05)
            store.reap()
    assert store.sync("s", 0).leader == "mine"


# Who works


def test_workers_are_listed_with_what_they_run(place, store):
    assert store.members() == []
    store.open("t", FORM, SPACE, None)
    other = place.store()
    store.beat("a", 600.0)
    other.beat("b", 500.0)
    store.create("s", [running(0), row(1), running(2)], "a")
    store.create("t", [running(0)], "a")
    store.create("t", [running(1)], None)
    first, second = place.store().members()
    assert (first.worker, sorted(first.running)) == ("a", [("s", 0), ("s", 2), ("t", 0)])
    assert (second.worker, list(second.running)) == ("b", [])
    assert first.version == __version__
    assert first.host == second.host != ""
    assert first.pid > 0
    assert 400 < second.lease < 600


def test_a_worker_that_is_gone_is_listed_no_more(shared):
    store, other = begun(shared.store()), shared.store()
    store.beat("a", 600.0)
    other.beat("b", 600.0)
    other.close("b")
    assert [member.worker for member in store.members()] == ["a"]
    third = shared.store()
    third.beat("c", -1.0)
    store.reap()
    assert [member.worker for member in store.members()] == ["a"]


# From one store to another


@pytest.fixture(params=[f"{here}-{there}" for here in PLACES for there in PLACES])
def ends(request, tmp_path):
    """Two places: (from, to)."""
    with ExitStack() as stack:
        places = []
        for name, kind in zip(("here", "there"), request.param.split("-"), strict=True):
            (tmp_path / name).mkdir()
            places.append(stack.enter_context(PLACES[kind](tmp_path / name)))
        yield places


def read(store, name):
    """All that a new reader is told of a study, page by page."""
    pages, rev, more = [], 0, True
    while more:
        changes = store.sync(name, rev)
        pages.append(repr(changes._replace(leader=None, rows=[replace(r, revs=list(r.revs)) for r in changes.rows])))
        rev, more = changes.rev, changes.more
    return pages


def test_what_is_dumped_and_loaded_is_the_same_study(ends):
    here, there = (place.store() for place in ends)
    storied(here)
    there.open("s", FORM, SPACE, {"x": 0.0})
    pages = list(here.dump("s"))
    there.load("taken", pages)
    assert list(there.dump("taken")) == pages
    assert read(there, "taken") == read(here, "s")
    assert there.study("taken").form == here.study("s").form
    assert there.spaces("taken") == here.spaces("s")
    assert sorted(there.studies()) == ["s", "taken"]
    here.load("back", there.dump("taken"))
    assert list(here.dump("back")) == pages


def test_a_dump_holds_plain_values_and_nothing_of_workers(place):
    store = storied(place.store())
    tokens = {store.claim_of("s", 1).token}
    cells = [cell for _, rows in store.dump("s") for found in rows for cell in found]
    assert {type(cell) for cell in cells} <= {str, int, float, type(None)}
    assert not tokens & {*cells}
    assert "w" not in cells


def test_a_study_that_was_loaded_goes_on(ends):
    here, there = (place.store() for place in ends)
    storied(here)
    there.load("s", here.dump("s"))
    assert there.claim_of("s", 1) is None
    assert not there.runs_elsewhere("s", None)
    there.wish("s", None, None)
    assert there.sync("s", 0).leader is None
    _, claim, found = claim_next(there, "s", "v")
    assert (claim.number, claim.attempt, found.until) == (4, 1, 3)
    assert there.finish("s", claim, done(found, 0.5)) is not None
    rev = there.sync("s", 0).rev
    assert there.create("s", [running(7)], "v")[0] > rev
    assert there.grow("s", 2, SPACE) is not None
    assert there.cancel("s", 1) == 1
    assert repr(known(there, 1).curve["value"]) == "([1, 2, 3], [1.0, 2.0, nan])"


def test_a_result_that_was_told_before_a_study_was_moved_is_not_taken_again(ends):
    here, there = (place.store() for place in ends)
    made, claim = started(begun(here))
    here.finish("s", claim, done(made, 0.25))
    there.load("s", here.dump("s"))
    assert there.finish("s", claim, done(made, 0.25)) == known(there).rev
    assert known(there) == known(here)


def test_a_study_is_dumped_as_it_was_at_one_moment(shared):
    store = begun(shared.store())
    for first in range(0, 3000, 1000):
        store.create("s", [row(n) for n in range(first, first + 1000)], None)
    pages = store.dump("s")
    met = [next(pages) for _ in range(4)]
    other = shared.store()
    other.cancel("s", None)
    other.create("s", [row(3000)], None)
    store.create("s", [row(3001)], None)
    met += pages
    trials = [found for table, rows in met if table == "trial" for found in rows]
    assert [found[2] for found in trials] == [State.QUEUED] * 3000
    assert [rows for table, rows in met if table == "head"] == [[(3000, 3001, None)]]


def test_a_study_can_be_loaded_from_a_dump_of_the_same_store(place):
    store = storied(place.store())
    store.load("copy", store.dump("s"))
    assert list(store.dump("copy")) == list(store.dump("s"))


def test_a_name_that_is_taken_is_refused(place, store):
    before = list(store.dump("s"))
    with pytest.raises(StudyError, match="'s'"):
        store.load("s", store.dump("s"))
    assert list(store.dump("s")) == before


class BrokenOffError(Exception):
    """Raised in the midst of a dump."""


def test_a_dump_that_breaks_off_leaves_nothing_behind(place):
    store = storied(place.store())
    pages = list(store.dump("s"))

    def broken(upto):
        yield from pages[:upto]
        raise BrokenOffError

    for upto in range(len(pages) + 1):
        with pytest.raises(BrokenOffError):
            store.load("t", broken(upto))
        assert store.studies() == ["s"]
    assert store.load("t", iter(pages)) is None
    assert list(store.dump("t")) == pages


@pytest.mark.parametrize("what", ["nothing", "cut", "order", "table", "width", "number"])
def test_what_is_no_dump_is_refused_and_leaves_nothing_behind(place, what):
    store = storied(place.store())
    pages = list(store.dump("s"))
    wrong = {
        "nothing": [],
        "cut": pages[:1],
        "order": pages[::-1],
        "table": [*pages, ("worker", [("w",)])],
        "width": [*pages, ("report", [(1, 9)])],
        "number": [*pages, ("report", [("1", 9, 9, 1, "{}")])],
    }
    with pytest.raises(StoreError, match="dump"):
        store.load("t", iter(wrong[what]))
    assert store.studies() == ["s"]


def test_a_claim_of_what_was_loaded_running_is_nobodys(place):
    store = begun(place.store())
    _, claim = started(store)
    store.load("t", store.dump("s"))
    assert store.finish("t", claim, done(running(0))) is None
    assert store.finish("t", Claim(0, 1, ""), done(running(0))) is None
    assert store.cancel("t", 0) == 1


# Workers and who looks after them


def test_another_may_vouch_for_a_worker_that_is_registered(shared):
    store, other = begun(shared.store()), shared.store()
    other.beat("w", 60.0)
    store.vouch("w", 1e6)
    store.vouch("nobody", 60.0)
    [member] = store.members()
    assert (member.worker, member.lease > 1e5) == ("w", True)


def test_a_process_says_for_how_many_trials_its_workers_wait(shared):
    store, other = begun(shared.store()), shared.store()
    other.beat("w", 60.0)
    assert [member.waiting for member in store.members()] == [None]
    for n in (3, 0):
        other.want("s", "w", n)
        assert [member.waiting for member in store.members()] == [("s", n)]
