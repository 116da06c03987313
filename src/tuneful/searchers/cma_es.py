"""Covariance matrix adaptation: an evolution strategy for very many trials."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from tuneful.errors import StudyError
from tuneful.history import History, Proposal, State
from tuneful.history.ranking import ranks
from tuneful.protocols import rng
from tuneful.searchers.cells import Cells
from tuneful.searchers.cma import Cma
from tuneful.searchers.draws import BLOCK, Taken, first_new

Array = NDArray[np.float64]
Ints = NDArray[np.int64]

_RECENT = 16  # generations of which it is known how each trial was drawn; the older a trial, the less it matters


@dataclass(frozen=True)
class CmaEs:
    """Moves a cloud of configs towards the better ones, and learns how wide and along which lines to look.

    For many trials, from a thousand on, that cost little: what it learns from a generation, it keeps in a few
    numbers, so a trial costs the same after a million. It looks at the order of values alone. Stepped numbers and
    options keep a margin, so that none is given up for ever. It begins at the defaults (else in the middle). When it
    has come to rest it starts again elsewhere, with twice the population.

    A generation is the next trials to end, whoever proposed them: it goes on from what others have found, keeps any
    number of workers busy, and takes no longer steps after others' trials than after its own. Those that are done
    rank first, then those that were pruned, that break a constraint, and that failed.

    Attributes:
        population: Trials in a generation; 4 + 3 log(parameters) by default. More for noisy objectives. It is at
            least half of the trials that run.
        sigma: The standard deviation to begin with, as a share of each parameter's range.

    Raises:
        StudyError: the population is below 4, or sigma is not above 0.

    References:
        Hansen, "The CMA evolution strategy: a tutorial", 2016.
        Hamano et al., "CMA-ES with margin", GECCO 2022, and "CatCMA", GECCO 2024 (stepped numbers and options).
        Auger and Hansen, "A restart CMA evolution strategy with increasing population size", CEC 2005.
    """

    population: int | None = None
    sigma: float = 0.25

    def __post_init__(self) -> None:
        if self.population is not None and self.population < 4:
            raise StudyError(f"CmaEs: the population is {self.population}. Pass at least 4.")
        if not 0 < self.sigma < math.inf:
            raise StudyError(f"CmaEs: sigma is {self.sigma}. Pass a share of the range, such as 0.25.")

    def propose(self, history: History, n: int) -> list[Proposal]:
        if not len(history.space):
            return [Proposal({}, {"searcher": "cma_es"})] * n
        run = self._run(history) if n else None
        proposals: list[Proposal] = []
        taken = Taken()
        for number in range(len(history), len(history) + n):
            assert run is not None
            config = first_new(history, number, taken, run.rows(history, number))
            if config is None:
                break
            taken.add(config)
            proposals.append(Proposal(config, run.why))
        return proposals

    def _run(self, history: History) -> _Run:
        """Where it stands after all trials that have ended."""
        ended = _ended(history)
        facts = np.column_stack([ended, history.revision[ended]])
        known = history.recall(self)
        run, seen = known[1] if known else (_Run.begun(history, self), facts[:0])
        if not np.array_equal(facts[: len(seen)], seen):  # something that it has learned from has changed
            run = _Run.begun(history, self)
        while (further := run.after_one_more(history, ended)) is not None:
            run = further
        history.remember(self, (run, facts[: run.told]))
        return run


@dataclass(frozen=True)
class _Run:
    """What CMA-ES knows after some generations.

    Attributes:
        cells: How the parameters of the space lie in the arrays of the distribution.
        recent: The distributions of the last generations, by number; the last one is in use.
        least: Trials in a generation, at least.
        told: How many trials it has seen end.
        restarts: How often it started again, and after which revision the last time.
        bests: The best value of each generation since then.
    """

    settings: CmaEs
    cells: Cells
    least: int
    recent: dict[int, Cma]
    told: int = 0
    restarts: int = 0
    since: int = -1
    bests: tuple[float, ...] = ()

    @classmethod
    def begun(cls, history: History, settings: CmaEs) -> _Run:
        """Before any trial."""
        cells = Cells(history.space)
        population = settings.population or 4 + math.floor(3 * math.log(len(history.space)))
        cma = cells.around(cells.middle, settings.sigma, population)
        return cls(settings, cells, population, {0: cma})

    @property
    def generation(self) -> int:
        """How many generations it has seen, over all restarts."""
        return max(self.recent)

    @property
    def cma(self) -> Cma:
        """The distribution in use."""
        return self.recent[self.generation]

    def after_one_more(self, history: History, ended: Ints) -> _Run | None:
        """Where it stands a generation later; None if too few trials have ended."""
        members = self._next(history, ended)
        if members is None:
            return None
        order, best = _ranked(history, members)
        last = int(members[-1])
        run = replace(self, told=int(np.flatnonzero(ended == last)[0]) + 1, bests=(*self.bests, best))
        cma = self._learned(history, members[order])
        # Half of what runs: with less, a step is taken before the one before it can show.
        run = run.moved_on(cma.of_population(max(self.least, _running(history, last) // 2)))
        return run.restarted(history, last) if run.is_stuck else run

    def _next(self, history: History, ended: Ints) -> Ints | None:
        """The trials of the next generation, in the order in which they ended; None if there are not enough yet."""
        size = window = self.cma.population
        while True:
            trials = ended[self.told : self.told + window]
            trials = trials[history.born[trials] > self.since]
            if len(trials) >= size:
                return trials[:size]
            if self.told + window >= len(ended):
                return None
            window *= 2

    @property
    def is_stuck(self) -> bool:
        """Whether nothing more is to be expected."""
        if self.cma.is_spent:
            return True
        term = 10 + math.ceil(30 * len(self.cells.space) / self.cma.population)  # Auger and Hansen 2005, section 2
        return len(self.bests) > term and len(set(self.bests[-term:])) == 1

    def restarted(self, history: History, last: int) -> _Run:
        """The same, begun again anywhere with twice the population after the end of trial `last`."""
        mean = rng(history.seed, self.restarts + 1, "cma-es restart").random(len(self.cma.mean))
        cma = self.cells.around(mean, self.settings.sigma, 2 * self.least)
        since = int(history.ended[last])
        return replace(self, least=2 * self.least, restarts=self.restarts + 1, since=since, bests=()).moved_on(cma)

    def moved_on(self, cma: Cma) -> _Run:
        """The same with another distribution in use."""
        kept = list(self.recent.items())[1 - _RECENT :]
        return replace(self, recent={**dict(kept), self.generation + 1: cma})

    def rows(self, history: History, number: int) -> Iterator[Array]:
        """Raw rows (d,) drawn for a trial, without end."""
        for draws in _draws(self.cma, history, number):
            yield from self.cells.raw(*draws)

    @property
    def why(self) -> dict[str, object]:
        """In data, from what a trial was drawn."""
        cma = self.cma
        facts = {"generation": self.generation, "restarts": self.restarts, "population": cma.population}
        return {"searcher": "cma_es", **facts, "sigma": float(cma.sigma)}

    def _learned(self, history: History, members: Ints) -> Cma:
        """The distribution after a generation of trials, the best first."""
        low, high, options = self.cells.of(history.x[members])
        numbers = self.cma.within(low, high, rng(history.seed, int(members.min()), "cma-es place"))
        for place, trial in enumerate(members.tolist()):
            if (own := self._drawn(history, trial)) is not None:
                numbers[place] = own
        return self.cells.with_margin(self.cma.learned(numbers, options))

    def _drawn(self, history: History, trial: int) -> Array | None:
        """The numbers (k,) that were drawn for a trial before they were put in its cells; None if they were not."""
        why = history.text("why", trial)
        cma = self.recent.get(why.get("generation", -1)) if why.get("searcher") == "cma_es" else None
        for numbers, options in islice(_draws(cma, history, trial), 2) if cma else ():
            x = self.cells.space.encode(self.cells.raw(numbers, options))
            same = np.isclose(x, history.x[trial], rtol=0, atol=1e-9, equal_nan=True).all(axis=1)
            for own in numbers[same]:
                return np.asarray(own)
        return None


def _draws(cma: Cma, history: History, number: int) -> Iterator[tuple[Array, Ints]]:
    """Draws for a trial, first one, then block by block without end."""
    draw = rng(history.seed, number, "cma-es")
    yield cma.draw(draw, 1)
    while True:
        yield cma.draw(draw, BLOCK)


def _ended(history: History) -> Ints:
    """The trials of the current space that have come to an end, in that order, (t,)."""
    state = history.state
    over = history.inside & (state >= State.DONE) & (state != State.CANCELLED) & (history.repeat_of < 0)
    trials = np.flatnonzero(over)
    return trials[np.argsort(history.ended[trials], kind="stable")]


def _running(history: History, last: int) -> int:
    """How many trials had begun and not ended when trial `last` ended."""
    then = history.ended[last]
    born = int(np.searchsorted(history.born, then, side="right"))
    return born - int(np.count_nonzero((history.ended[:born] <= then) & (history.state[:born] >= State.DONE)))


def _ranked(history: History, trials: Ints) -> tuple[Ints, float]:
    """The order of `trials` (t,), the best first, from what is known of each alone; and a sign of the best."""
    state, y = history.state[trials], history.y[trials]
    value = y[:, 0].copy() if y.shape[1] == 1 else ranks(np.where(np.isfinite(y), y, np.nan))
    kind = np.where((state == State.DONE) & np.isfinite(value), 0, 3)
    broken = (kind == 0) & ~history.feasible[trials]
    kind[broken], value[broken] = 2, np.maximum(history.violations[trials[broken]], 0.0).sum(axis=1)
    reached = np.zeros(len(trials))
    for i in np.flatnonzero(state == State.PRUNED):
        steps, values = history.curve(int(trials[i]))
        if len(steps) and np.isfinite(values[-1]):
            kind[i], reached[i], value[i] = 1, steps[-1], values[-1]
    order = np.lexsort((value, -reached, kind))
    best = order[0]
    if y.shape[1] > 1:
        return order, float(trials[best])
    return order, float(value[best]) if kind[best] == 0 else math.nan
