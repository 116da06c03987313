"""Algorithms by name, and what is said when there is none of that name."""

import pytest

from tuneful import pruners, schedulers, searchers
from tuneful.errors import StudyError
from tuneful.lookup import names, pruner_of, scheduler_of, searcher_of
from tuneful.pruners import AnyOf, Diverged, Median, Patience
from tuneful.schedulers import Full
from tuneful.searchers import Grid, OneAtATime, Random


def test_a_name_is_the_class_in_lower_case():
    assert searcher_of("one_at_a_time") == OneAtATime()
    assert searcher_of("random") == Random()
    assert scheduler_of("full", Random()) == Full(Random())
    assert pruner_of("median") == Median()


FIND = {searchers: searcher_of, schedulers: lambda name: scheduler_of(name, Random()), pruners: pruner_of}
NEED_SETTINGS = {"Given", "Mix", "Then", "AnyOf", "Threshold"}
EVERY = [(package, kind, name) for package in FIND for kind, name in zip(package.__all__, names(package), strict=True)]


@pytest.mark.parametrize(("package", "kind", "name"), EVERY, ids=[name for _, _, name in EVERY])
def test_every_algorithm_that_needs_no_settings_is_found_by_its_name(package, kind, name):
    assert name == name.lower()
    assert name.replace("_", "") == kind.lower()
    if kind in NEED_SETTINGS:
        with pytest.raises(StudyError, match=kind):
            FIND[package](name)
    else:
        assert type(FIND[package](name)) is getattr(package, kind)


def test_what_is_built_is_taken_as_it_is():
    grid, full, patience = Grid(levels=3), Full(Grid()), Patience(7)
    assert searcher_of(grid) is grid
    assert scheduler_of(full, Random()) is full
    assert pruner_of(patience) is patience
    assert pruner_of(None) is None


def test_several_pruners_are_one():
    assert pruner_of(["median", Patience(7)]) == AnyOf((Median(), Patience(7)))
    assert pruner_of(("diverged", None)) == AnyOf((Diverged(),))
    assert pruner_of([]) is None
    assert pruner_of([None]) is None


def test_any_function_of_a_history_and_a_trial_is_a_pruner():
    def never(history, trial):
        return False

    assert pruner_of(never) is never


@pytest.mark.parametrize(
    ("find", "message"),
    [
        (lambda: searcher_of("randm"), "There is no search='randm'. Did you mean 'random'"),
        (lambda: searcher_of("Grid"), "Did you mean 'grid'"),
        (lambda: searcher_of("one-at-a-time"), "Did you mean 'one_at_a_time'"),
        (lambda: searcher_of("zzz"), "There is no search='zzz'. There are auto, cma_es, forest, given, gp, grid"),
        (lambda: scheduler_of("ful", Random()), "There is no schedule='ful'. Did you mean 'full'"),
        (lambda: pruner_of("meidan"), "There is no prune='meidan'. Did you mean 'median'"),
        (lambda: pruner_of(["median", "patiance"]), "Did you mean 'patience'"),
    ],
)
def test_a_typo_is_answered_with_the_nearest_name(find, message):
    with pytest.raises(StudyError, match=message):
        find()


@pytest.mark.parametrize(
    ("find", "message"),
    [
        (lambda: searcher_of("given"), r"search='given' needs settings. Build it: tuneful.searchers.Given\(...\)"),
        (lambda: pruner_of("any_of"), r"prune='any_of' needs settings. Build it: tuneful.pruners.AnyOf\(...\)"),
        (lambda: pruner_of("threshold"), "pass `upper`, `lower` or both"),
    ],
)
def test_what_needs_settings_must_be_built(find, message):
    with pytest.raises(StudyError, match=message):
        find()


@pytest.mark.parametrize(
    ("find", "message"),
    [
        (lambda: searcher_of(Random), r"search=Random is a class. Build one: Random\(...\)"),
        (lambda: scheduler_of(Full, Random()), r"schedule=Full is a class. Build one: Full\(...\)"),
        (lambda: pruner_of(Median), r"prune=Median is a class. Build one: Median\(...\)"),
        (lambda: searcher_of(None), "search=None has no `propose`. Pass a searcher, or one of auto"),
        (lambda: searcher_of(Median()), "has no `propose`"),
        (
            lambda: scheduler_of(Random(), Random()),
            "has no `plan`. Pass a scheduler, or one of asha, auto, freeze_thaw, full",
        ),
        (lambda: pruner_of(7), "prune=7 cannot be called. Pass a pruner, or one of any_of"),
    ],
)
def test_what_is_no_algorithm_is_refused(find, message):
    with pytest.raises(StudyError, match=message):
        find()
