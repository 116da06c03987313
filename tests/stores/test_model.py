"""Every store against a model of it: a dict, and the rules that a session relies on."""

import tempfile
from dataclasses import dataclass, field, replace

import pytest
from contract import FORM, PLACES, SPACE, everything, reported, row, running
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tuneful.history import State
from tuneful.protocols import Claim, Outcome
from tuneful.stores import MemoryStore

ENDS = [State.DONE, State.PRUNED, State.FAILED, State.QUEUED, State.PAUSED]
PICKS = st.integers(0, 1000)
VALUES = st.floats()


@dataclass
class Modelled:
    """A trial as it should be."""

    state: State
    attempt: int = 0
    token: str | None = None
    worker: str | None = None
    told_by: str | None = None
    values: dict = field(default_factory=dict)
    curve: dict | None = None
    reports: dict = field(default_factory=dict)  # step: (attempt, value)
    lost: int = 0
    begun: bool = False
    wish: str | None = None
    started: bool = False
    told: bool = False  # something but its first start was decided

    @property
    def fresh(self):
        return self.attempt == 0 and not self.told

    @property
    def waits(self):
        return self.state in (State.QUEUED, State.PAUSED) and self.wish is None

    @property
    def ready(self):
        return self.state == State.QUEUED and self.begun and self.wish is None

    def run(self, claim, worker, started=True):
        assert claim.attempt == self.attempt + 1
        self.started |= started
        self.state, self.attempt, self.token = State.RUNNING, claim.attempt, claim.token
        self.worker, self.begun = worker, True

    def release(self):
        self.state, self.attempt, self.token, self.worker = State.QUEUED, 0, None, None

    def fold(self, state):
        steps = sorted(self.reports)
        self.curve = {"value": (steps, [self.reports[s][1] for s in steps])} if steps else {}
        self.values = {"value": self.reports[steps[-1]][1]} if steps else {}
        self.state, self.token, self.worker, self.wish, self.reports = state, None, None, None, {}


class Machine(RuleBasedStateMachine):
    """Two handles write, a third reads what changed, and a dict says what it must find."""

    place = None

    def __init__(self):
        super().__init__()
        self.folder = tempfile.TemporaryDirectory(prefix="tuneful-model-")
        self.at = self.place(self.folder.name)
        self.stores = [self.at.store(), self.at.store()]
        self.stores[0].open("s", FORM, SPACE, None)
        self.model = []
        self.claims = []
        self.spaces = 1
        self.wish_of_all = None
        self.rows, self.reports, self.rev = {}, {}, 0

    def teardown(self):
        store, copy = self.stores[0], MemoryStore()
        assert store.check() == []
        copy.load("s", store.dump("s"))
        assert list(copy.dump("s")) == list(store.dump("s"))
        self.at.__exit__()
        self.folder.cleanup()

    def store(self, which):
        return self.stores[which]

    def fresh(self, number):
        """Whether the reader knows a trial as it is."""
        return everything(self.stores[0])[0][number].rev == self.rows[number].rev

    @rule(which=st.booleans(), count=st.integers(1, 3), how=st.sampled_from("nrp"), worker=st.sampled_from("ab"))
    def create(self, which, count, how, worker):
        first, runs = len(self.model), how == "r"
        state = State.RUNNING if runs else State.QUEUED
        make = running if runs else row
        made = [make(first + k, begun=int(how == "p")) for k in range(count)]
        _, claims = self.store(which).create("s", made, worker)
        for k in range(count):
            token = claims[k].token if runs else None
            holder = worker if runs else None
            self.model.append(Modelled(state, int(runs), token, holder, begun=how != "n", started=runs))
        self.claims += claims

    @precondition(lambda self: self.rows)
    @rule(which=st.booleans(), pick=PICKS, worker=st.sampled_from("ab"), until=st.integers(1, 9) | st.none())
    def claim(self, which, pick, worker, until):
        waiting = [n for n, found in self.rows.items() if found.state in (State.QUEUED, State.PAUSED)]
        number = (waiting or list(self.rows))[pick % len(waiting or self.rows)]
        known = self.rows[number]  # perhaps out of date
        fresh, model = self.fresh(number), self.model[number]
        claimed = self.store(which).claim("s", replace(known, until=until), worker)
        may = fresh and model.waits
        assert (claimed is not None) == may
        if may:
            model.run(claimed[1], worker)
            self.claims.append(claimed[1])

    @rule(which=st.booleans(), worker=st.sampled_from("ab"), n=st.integers(1, 4))
    def claim_ready(self, which, worker, n):
        first, *others = [number for number, model in enumerate(self.model) if model.ready][:n] or [None]
        wanted = [number for number in others if self.model[number].fresh]
        wanted = [] if first is None or self.wish_of_all is not None else [first, *wanted]
        claimed = self.store(which).claim_ready("s", worker, n)
        assert [claim.number for claim, _ in claimed] == wanted
        for k, (claim, found) in enumerate(claimed):
            model = self.model[claim.number]
            model.run(claim, worker, started=k == 0)
            assert (found.state, found.attempt) == (State.RUNNING, claim.attempt)
            assert (found.started is not None) == model.started
            self.claims.append(claim)

    @precondition(lambda self: self.claims)
    @rule(which=st.booleans(), picks=st.lists(PICKS, min_size=1, max_size=3))
    def release(self, which, picks):
        claims = [self.claims[pick % len(self.claims)] for pick in picks]
        self.store(which).release("s", claims)
        for claim in claims:
            model = self.model[claim.number]
            if model.state == State.RUNNING and model.token == claim.token and not model.started:
                model.release()

    @precondition(lambda self: self.rows)
    @rule(which=st.booleans(), pick=PICKS, until=st.integers(1, 9) | st.none())
    def offer(self, which, pick, until):
        number = list(self.rows)[pick % len(self.rows)]
        fresh, model = self.fresh(number), self.model[number]
        rev = self.store(which).offer("s", replace(self.rows[number], until=until))
        assert (rev is not None) == (fresh and model.waits)
        if rev is not None:
            model.told |= model.begun
            model.state, model.begun = State.QUEUED, True

    @rule(which=st.booleans(), pick=PICKS, wish=st.sampled_from(["hold", "stop", None, None]))
    def wish(self, which, pick, wish):
        number = pick % (len(self.model) + 1)
        there = number < len(self.model) and not self.model[number].state.final
        assert self.store(which).wish("s", number, wish) == there
        if there:
            self.model[number].wish = wish

    @rule(which=st.booleans(), wish=st.sampled_from(["pause", "stop", None, None, None]))
    def wish_for_all(self, which, wish):
        assert self.store(which).wish("s", None, wish)
        self.wish_of_all = wish

    @rule(which=st.booleans(), pick=PICKS)
    def cancel(self, which, pick):
        every = pick % 20 == 0
        number = pick % (len(self.model) + 1)
        numbers = range(len(self.model)) if every else [number]
        going = [n for n in numbers if n < len(self.model) and not self.model[n].state.final]
        assert self.store(which).cancel("s", None if every else number) == len(going)
        for each in going:
            self.model[each].fold(State.CANCELLED)

    @precondition(lambda self: self.claims)
    @rule(which=st.booleans(), pick=PICKS, step=st.integers(1, 5), began=st.integers(0, 3), value=VALUES)
    def report(self, which, pick, step, began, value):
        claim = self.claims[pick % len(self.claims)]
        model = self.model[claim.number]
        made = row(claim.number, step=step, began=began, attempt=claim.attempt, started=1.0)
        rev = self.store(which).report("s", claim, made, [reported(claim.number, step, value=value)])
        valid = model.state == State.RUNNING and model.token == claim.token
        assert (rev is not None) == valid
        if valid:
            model.started = True
            if claim.attempt > 1:
                model.reports = {s: r for s, r in model.reports.items() if r[0] >= claim.attempt or s <= began}
            model.reports[step] = (claim.attempt, value)

    @precondition(lambda self: self.claims)
    @rule(which=st.booleans(), pick=PICKS, end=st.sampled_from(ENDS), value=VALUES)
    def finish(self, which, pick, end, value):
        claim = self.claims[pick % len(self.claims)]
        model = self.model[claim.number]
        curve = {"value": ([1], [value])} if end.final else None
        values = {"value": value} if end.final else {}
        made = row(claim.number, state=end, attempt=claim.attempt, values=values, curve=curve, started=1.0)
        why = {State.FAILED: "error", State.QUEUED: "interrupted"}.get(end)
        rev = self.store(which).finish("s", claim, Outcome(made, why, reported=True))
        runs = model.state == State.RUNNING and model.token == claim.token
        again = not runs and (model.told_by, model.state) == (claim.token, end)
        late = not runs and not again and end.final and model.state == State.QUEUED and model.attempt == claim.attempt
        assert (rev is not None) == (runs or again or late)
        if runs or late:
            model.state, model.token, model.worker, model.told_by = end, None, None, claim.token
            model.values, model.started = values, True
            if end.final:
                model.curve, model.reports, model.wish = curve, {}, None

    @rule(which=st.booleans(), off=st.sampled_from([-2, -1, 1]))
    def what_rests_on_old_knowledge_is_refused(self, which, off):
        store = self.store(which)
        assert store.create("s", [row(len(self.model) + off)], None) is None
        assert store.grow("s", self.spaces + off, SPACE) is None
        assert store.finish("s", Claim(0, 99, "f" * 32), Outcome(row(0, state=State.DONE))) is None
        assert store.grow("s", self.spaces, SPACE) is not None
        self.spaces += 1

    @precondition(lambda self: self.at.shared and any(model.state == State.RUNNING for model in self.model))
    @rule(which=st.booleans(), worker=st.sampled_from("ab"))
    def a_worker_falls_silent(self, which, worker):
        third = self.at.store()
        assert third.beat(worker, -1.0)
        running = [model for model in self.model if model.worker == worker and model.state == State.RUNNING]
        assert self.store(which).reap() == len(running)
        for model in running:
            if not model.started:
                model.release()
                continue
            model.lost += 1
            model.token, model.worker, model.state = None, None, State.QUEUED
            if model.lost == 3:
                model.fold(State.FAILED)
        third.close()

    @rule()
    def read(self):
        more = True
        while more:
            changes = self.stores[1].sync("s", self.rev)
            assert changes.rev >= self.rev
            for found in changes.rows:
                self.rows[found.number] = found
                if found.state.final or found.attempt > 1:
                    self.reports[found.number] = {}
            for _, report in changes.reports:
                self.reports.setdefault(report.number, {})[report.step] = report.metrics["value"]
            self.rev, more = changes.rev, changes.more
        assert sorted(self.rows) == list(range(len(self.model)))
        for number, model in enumerate(self.model):
            found = self.rows[number]
            assert (found.state, found.attempt) == (model.state, model.attempt)
            assert (found.begun > 0, found.wish, found.ready) == (model.begun, model.wish, model.ready)
            assert repr(found.values) == repr(model.values)
            assert repr(found.curve) == repr(model.curve if model.state.final else None)
            reports = {step: value for step, (_, value) in sorted(model.reports.items())}
            assert repr(dict(sorted(self.reports.get(number, {}).items()))) == repr(reports)

    @invariant()
    def the_claim_of_a_running_trial_is_known(self):
        for number, model in enumerate(self.model):
            claim = self.stores[0].claim_of("s", number)
            assert claim == (Claim(number, model.attempt, model.token) if model.state == State.RUNNING else None)

    @invariant()
    def every_worker_knows_what_it_runs(self):
        running = [(n, model) for n, model in enumerate(self.model) if model.state == State.RUNNING]
        for worker in "ab":
            mine = {number: model.wish for number, model in running if model.worker == worker}
            assert self.stores[1].orders("s", worker) == (self.wish_of_all, mine, None)


@pytest.mark.parametrize("place", PLACES)
def test_a_store_behaves_like_a_dict(place):
    machine = type("Machine", (Machine,), {"place": PLACES[place]})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=80,
            stateful_step_count=50,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
