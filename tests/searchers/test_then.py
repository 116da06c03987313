"""One searcher after another."""

import pytest

from tuneful.errors import StudyError
from tuneful.history import History
from tuneful.searchers import Given, Grid, OneAtATime, Random, Sobol
from tuneful.searchers.then import Then
from tuneful.space import Float, Int, Space
from tuneful.testing import check_searcher
from tuneful.testing.histories import begin, end

SPACE = Space({"x": Float(0, 1), "k": Int(1, 3)})


def names(searcher, trials, n=1, space=SPACE):
    history = History(space)
    while len(history) < trials and (found := searcher.propose(history, min(n, trials - len(history)))):
        for proposal in found:
            end(history, begin(history, proposal.config, why=proposal.why), 1.0)
    return [history.text("why", trial)["searcher"] for trial in range(len(history))]


@pytest.mark.parametrize(
    "searcher",
    [
        Then(Sobol(), 3, Random()),
        Then(Given([{}]), 20, Sobol()),
        Then(Then(Random(), 2, Grid(levels=3)), 6, Sobol()),
        Then(OneAtATime(), 5, Random()),
    ],
)
def test_it_keeps_the_laws(searcher):
    check_searcher(searcher, learns=True)


@pytest.mark.parametrize("n", [1, 4])
def test_the_first_gets_so_many_trials_and_the_next_the_others(n):
    assert names(Then(Sobol(), 3, Random()), 8, n) == ["sobol"] * 3 + ["random"] * 5


def test_a_chain_of_three():
    searcher = Then(Sobol(), 2, Then(Random(), 5, Grid(levels=2)))
    assert names(searcher, 7) == ["sobol"] * 2 + ["random"] * 3 + ["grid"] * 2


def test_when_the_first_has_no_more_the_next_goes_on():
    assert names(Then(Given([{"x": 0.5, "k": 1}]), 20, Sobol()), 4, n=3) == ["given"] + ["sobol"] * 3


def test_while_the_first_waits_for_results_the_next_is_asked():
    history = History(SPACE)
    begin(history, OneAtATime().propose(history, 1)[0].config, why={"searcher": "one_at_a_time"})
    searcher = Then(OneAtATime(), 20, Random())
    for _ in range(12):
        (proposal,) = searcher.propose(history, 1)
        begin(history, proposal.config, why=proposal.why)
    assert history.text("why", 12)["searcher"] == "random"


def test_it_ends_when_the_last_does():
    finite = Space({"a": Int(1, 2), "b": Int(1, 2)})
    assert len(names(Then(Grid(), 3, Given([{"a": 2, "b": 2}])), 20, space=finite)) == 4


def test_a_negative_number_is_refused():
    with pytest.raises(StudyError, match=r"-1 trials. Pass 0 or more"):
        Then(Sobol(), -1, Random())
