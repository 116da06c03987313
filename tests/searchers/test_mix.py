"""Several searchers that share the trials of a study."""

from collections import Counter

import pytest

from tuneful.errors import StudyError
from tuneful.history import History
from tuneful.searchers import Given, Grid, Random, Sobol
from tuneful.searchers.mix import Mix
from tuneful.space import Float, Int, Space
from tuneful.testing import check_searcher
from tuneful.testing.histories import begin, end

SPACE = Space({"x": Float(0, 1), "k": Int(1, 3)})


def names(searcher, trials, n=1, seed=0):
    history = History(SPACE, seed=seed)
    while len(history) < trials:
        for proposal in searcher.propose(history, min(n, trials - len(history))):
            end(history, begin(history, proposal.config, why=proposal.why), 1.0)
    return [history.text("why", trial)["searcher"] for trial in range(trials)]


@pytest.mark.parametrize(
    "searcher", [Mix([Sobol(), Random()]), Mix({Grid(levels=3): 1, Random(): 3}), Mix([Mix([Sobol()])])]
)
def test_it_keeps_the_laws(searcher):
    check_searcher(searcher, learns=True)


def test_trials_are_shared_by_weight():
    shared = Counter(names(Mix({Random(): 3, Sobol(): 1}), 400))
    assert 270 < shared["random"] < 330


def test_whose_turn_it_is_depends_on_seed_and_number_alone():
    mix = Mix([Sobol(), Random()])
    assert names(mix, 40) == names(mix, 40, n=7)
    assert names(mix, 40) != names(mix, 40, seed=1)


def test_who_has_no_more_gives_its_turn_away():
    shared = Counter(names(Mix([Given([{"x": 0.5, "k": 1}]), Random()]), 30))
    assert shared == {"given": 1, "random": 29}


def test_when_none_has_more_it_ends():
    finite = Space({"a": Int(1, 2)})
    history = History(finite)
    while found := Mix([Grid(), Random()]).propose(history, 3):
        for proposal in found:
            end(history, begin(history, proposal.config), 1.0)
    assert len(history) == 2


def test_pairs_dicts_and_bare_searchers_say_the_same():
    assert Mix([Sobol(), (Random(), 1)]) == Mix({Sobol(): 1, Random(): 1.0}) == Mix([Sobol(), Random()])


@pytest.mark.parametrize(
    ("searchers", "message"),
    [([], "no searcher"), ({Random(): 0}, r"Random\(\) is 0. Pass"), ([(Sobol(), -1)], "above 0")],
)
def test_what_cannot_be_mixed_is_refused(searchers, message):
    with pytest.raises(StudyError, match=message):
        Mix(searchers)
