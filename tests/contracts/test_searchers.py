"""Every searcher keeps the laws; and the laws catch those that do not."""

from dataclasses import replace
from itertools import count

import numpy as np
import pytest

from tuneful import searchers
from tuneful.history import Limits, Proposal, State
from tuneful.protocols import Searcher
from tuneful.searchers import Given, Grid, Mix, Random, Sobol, Then, Tpe
from tuneful.testing import check_searcher, small_spaces

BUILT = {
    "Given": Given([{}] * 60),
    "Grid": Grid(levels=3),
    "Mix": Mix([Random(), Tpe(start=3)]),
    "Then": Then(Sobol(), 3, Tpe(start=3)),
}
LEARN = {"Auto", "CmaEs", "Forest", "Gp", "Kde", "Mix", "OneAtATime", "Then", "Tpe"}
STOP_EARLY = {"Given", "OneAtATime"}


@pytest.mark.parametrize("name", searchers.__all__)
def test_every_searcher_keeps_the_laws(name):
    searcher = BUILT.get(name) or getattr(searchers, name)()
    assert isinstance(searcher, Searcher)
    modelled = name in LEARN - {"Kde", "OneAtATime"}
    check_searcher(searcher, learns=name in LEARN, beats_random=modelled, covers=name not in STOP_EARLY)


@pytest.mark.parametrize("name", searchers.__all__)
def test_a_searcher_cannot_be_changed_and_equals_one_of_the_same_settings(name):
    searcher = BUILT.get(name) or getattr(searchers, name)()
    assert replace(searcher) == searcher
    with pytest.raises(AttributeError):
        searcher.levels = 7


def test_the_laws_can_be_claimed_on_spaces_of_ones_own():
    spaces = {"mine": small_spaces()["finite"]}
    check_searcher(Random(), spaces=spaces)
    with pytest.raises(AssertionError, match="on the space 'mine'"):
        check_searcher(Stops(), spaces=spaces)


class Faulty:
    def propose(self, history, n):
        return self.changed(history, n, Random().propose(history, n))


class SameAgain(Faulty):
    def changed(self, history, n, proposals):
        return [Proposal(history.config(0))] if len(history) and n else proposals


class TwiceAtOnce(Faulty):
    def changed(self, history, n, proposals):
        return [*proposals[:1], *proposals[:-1]]


class TooMany(Faulty):
    def changed(self, history, n, proposals):
        return Random().propose(history, n + 1)


class NoList(Faulty):
    def changed(self, history, n, proposals):
        return tuple(proposals)


class NoProposals(Faulty):
    def changed(self, history, n, proposals):
        return [proposal.config for proposal in proposals]


class Incomplete(Faulty):
    def changed(self, history, n, proposals):
        return [Proposal(dict(list(p.config.items())[1:])) for p in proposals]


class Unbound(Faulty):
    def changed(self, history, n, proposals):
        return [Proposal(p.config | {"x": 7.0} if "x" in p.config else p.config) for p in proposals]


class WrongType(Faulty):
    def changed(self, history, n, proposals):
        return [Proposal({k: float(v) if type(v) is int else v for k, v in p.config.items()}) for p in proposals]


class NoJson(Faulty):
    def changed(self, history, n, proposals):
        return [Proposal(p.config, {"score": np.float32(1)}) for p in proposals]


class Counting(Faulty):
    ticks = count()

    def changed(self, history, n, proposals):
        return [Proposal(p.config, {"tick": next(self.ticks)}) for p in proposals]


class MeddlesWithHistory(Faulty):
    def changed(self, history, n, proposals):
        history.limits = Limits(trials=len(proposals))
        return proposals


class DecidesByMemo(Faulty):
    def changed(self, history, n, proposals):
        known = history.recall("asked") is not None
        history.remember("asked", 1)
        return proposals[:1] if known else proposals


class DecidesByResults:
    def propose(self, history, n):
        skip = int(np.any(history.state == State.FAILED))
        return Random().propose(history, n + skip)[skip:]


class DecidesByNumberAskedFor:
    def propose(self, history, n):
        return Random().propose(history, n)[::-1]


class DecidesByVersion:
    def propose(self, history, n):
        return Random().propose(history, 1)[:n] if history.version % 3 else Random().propose(history, n)[1:]


class Stops:
    def propose(self, history, n):
        return Random().propose(history, n) if len(history) < 6 else []


class Hesitates:
    def propose(self, history, n):
        return Random().propose(history, min(n, 1))


@pytest.mark.parametrize(
    ("faulty", "message"),
    [
        (SameAgain, "is the config of trial 0; none may come twice"),
        (TwiceAtOnce, "one config twice in one answer"),
        (TooMany, r"asked for \d proposals, it gave"),
        (NoList, "and not a list"),
        (NoProposals, "which is no Proposal"),
        (Incomplete, r"should be .*lr"),
        (Unbound, r"is no config of the space.*7\.0"),
        (WrongType, "should be"),
        (NoJson, "it is no JSON"),
        (Counting, "asked twice, it answered differently"),
        (MeddlesWithHistory, "changed the history"),
        (DecidesByMemo, "answered differently"),
        (DecidesByResults, "a study with other results"),
        (DecidesByNumberAskedFor, "a study of 2 workers"),
        (Stops, r"stopped after \d+ of 12 configs"),
        (Hesitates, "proposed 1 of 4, though more were left"),
    ],
)
def test_the_laws_catch_a_searcher_that(faulty, message):
    with pytest.raises(AssertionError, match=message):
        check_searcher(faulty())


def test_a_searcher_that_reads_more_than_was_known_cannot_be_recomputed():
    with pytest.raises(AssertionError, match=r"from what was known when it proposed|opened again"):
        check_searcher(DecidesByVersion(), learns=True, covers=False)


def test_a_searcher_that_claims_it_must_beat_random_search():
    with pytest.raises(AssertionError, match="after 30 trials on a bowl it has found .* and random search"):
        check_searcher(Random(), learns=True, beats_random=True)


def test_a_searcher_must_travel_to_another_process():
    class Local:
        def propose(self, history, n):
            return []

    with pytest.raises(AssertionError, match="cannot be sent to another process"):
        check_searcher(Local())
