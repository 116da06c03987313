"""The laws of searchers."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from tuneful.history import History, Proposal, State
from tuneful.protocols import Searcher
from tuneful.searchers import Random
from tuneful.space import Config, Space
from tuneful.testing.histories import begin, end, rebuilt, situations, small_spaces, value_of
from tuneful.testing.laws import check_config, check_pure, claim, told

_TRIALS = 12
_TO_LEARN, _SEEDS = 30, 3


def check_searcher(
    searcher: Searcher,
    *,
    learns: bool = False,
    beats_random: bool = False,
    covers: bool = True,
    spaces: Mapping[str, Space] | None = None,
) -> None:
    """Claim that a searcher keeps the laws: valid, new configs, purely from the history, until none is left.

    Args:
        searcher: To be checked.
        learns: What it proposes depends on results. If not, a trial must get the same config whatever came of
            the others, and however many ran at once.
        beats_random: On a bowl over numbers it finds more in 30 trials than random search does.
        covers: It goes on until it has tried every config of a finite space.
        spaces: On which spaces, by name; `small_spaces` by default.

    Raises:
        AssertionError: it breaks a law; the message says which, on which space and in which situation.
    """
    for name, space in (small_spaces() if spaces is None else spaces).items():
        where = f"{searcher} on the space {name!r}"
        for what, history in situations(space).items():
            _check_answers(searcher, history, f"{where}, when {what}", learns=learns)
        _check_resumes(searcher, space, where)
        _check_recomputes(searcher, space, where)
        if not learns:
            _check_workers(searcher, space, where)
        if beats_random:
            _check_beats_random(searcher, space, where)
        if covers and space.size < math.inf:
            _check_covers(searcher, space, where)


def _check_answers(searcher: Searcher, history: History, where: str, *, learns: bool) -> None:
    for n in (0, 1, 4):
        check_pure(lambda who, known, n=n: _told(who, known, n, where), searcher, history, f"{where}, n={n}")
    stream = [proposal.config for proposal in _propose(searcher, history, 4, where)]
    for config in stream:
        begin(history, config)
    more = _propose(searcher, history, 3, f"{where}, and then all that it had proposed run")
    fewer = len(stream) < 4 and not learns
    claim(not (fewer and more), where, f"it proposed {len(stream)} of 4, though more were left.")


def _propose(searcher: Searcher, history: History, n: int, where: str) -> list[Proposal]:
    """What it proposes, once that has been checked."""
    proposals = searcher.propose(history, n)
    claim(isinstance(proposals, list), where, f"it answered {proposals!r:.80}, and not a list.")
    claim(len(proposals) <= n, where, f"asked for {n} proposals, it gave {len(proposals)}.")
    for proposal in proposals:
        claim(isinstance(proposal, Proposal), where, f"it answered {proposal!r:.80}, which is no Proposal.")
        check_config(history, proposal.config, where)
        twice = history.find(proposal.config)
        claim(twice is None, where, f"{proposal.config} is the config of trial {twice}; none may come twice.")
    different = {told(proposal.config) for proposal in proposals}
    claim(len(different) == len(proposals), where, "it proposed one config twice in one answer.")
    return proposals


def _told(searcher: Searcher, history: History, n: int, where: str) -> str:
    return told([[p.config, dict(p.why)] for p in _propose(searcher, history, n, where)], where)


def _check_resumes(searcher: Searcher, space: Space, where: str) -> None:
    """In one go, or opened anew after each trial: the same study."""
    one, several = (_played(searcher, space, 1, where, reopen=reopen) for reopen in (False, True))
    claim(_same(one, several), where, _differ("a study that is opened again", one, several))


def _check_workers(searcher: Searcher, space: Space, where: str) -> None:
    alone = _played(searcher, space, 1, where)
    for workers in (2, 4):
        together = _played(searcher, space, workers, where)
        claim(_same(alone, together), where, _differ(f"a study of {workers} workers", alone, together))
    failing = _played(searcher, space, 1, where, fails=True)
    claim(_same(alone, failing), where, _differ("a study with other results", alone, failing))


def _check_recomputes(searcher: Searcher, space: Space, where: str) -> None:
    """What was known when a trial was proposed gives the same proposal again."""
    history = _played(searcher, space, 3, where)
    for seen in sorted(set(history.seen.tolist())):
        batch = np.flatnonzero(history.seen == seen).tolist()
        configs = [history.config(trial) for trial in batch]
        again = [proposal.config for proposal in searcher.propose(history.as_of(seen), len(batch))]
        law = f"from what was known when it proposed {configs}, it now proposes {again}."
        claim(told(again) == told(configs), where, law)


def _same(one: History, other: History) -> bool:
    return told(_configs(one)) == told(_configs(other))


def _configs(history: History) -> list[Config]:
    return [history.config(trial) for trial in range(len(history))]


def _differ(who: str, one: History, other: History) -> str:
    pairs = enumerate(zip(_configs(one), _configs(other), strict=False))
    at = next((i for i, pair in pairs if told(pair[0]) != told(pair[1])), None)
    if at is None:
        return f"{who} came to {len(other)} trials instead of {len(one)}."
    return f"trial {at} of {who} is {other.config(at)}, and not {one.config(at)}."


def _played(
    searcher: Searcher,
    space: Space,
    workers: int,
    where: str,
    *,
    trials: int = _TRIALS,
    seed: int = 1,
    reopen: bool = False,
    fails: bool = False,
) -> History:
    """A study with so many trials at once, of which the one in the middle ends first."""
    history = History(space, seed=seed)
    while True:
        history = rebuilt(history) if reopen else history
        room = min(workers - len(history.of_state(State.RUNNING)), trials - len(history))
        seen = history.rev
        for proposal in _propose(searcher, history, room, where) if room else ():
            begin(history, proposal.config, why=proposal.why, seen=seen)
        if not (running := history.of_state(State.RUNNING)):
            return history
        trial = running[len(running) // 2]
        if fails:
            end(history, trial, state=State.FAILED)
        else:
            end(history, trial, value_of(space, history.config(trial)))


def _check_beats_random(searcher: Searcher, space: Space, where: str) -> None:
    if any(p.parent is not None or p.domain.size <= _TO_LEARN for p in space.parameters):
        return  # elsewhere it takes more trials to tell
    found, at_random = (
        float(np.mean([_played(who, space, 1, where, trials=_TO_LEARN, seed=s).y.min() for s in range(_SEEDS)]))
        for who in (searcher, Random())
    )
    law = f"after {_TO_LEARN} trials on a bowl it has found {found:.2g} on average, and random search {at_random:.2g}."
    claim(found < at_random, where, law)


def _check_covers(searcher: Searcher, space: Space, where: str) -> None:
    history = History(space, seed=2)
    while proposals := _propose(searcher, history, 5, where):
        for proposal in proposals:
            end(history, begin(history, proposal.config, why=proposal.why), value_of(space, proposal.config))
    law = f"it stopped after {len(history)} of {space.size} configs; a finite space must be tried completely."
    claim(len(history) == space.size, where, law)
