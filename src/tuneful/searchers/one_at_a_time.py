"""One parameter at a time, the others held at the best config so far."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tuneful.errors import SpaceError
from tuneful.history import History, Proposal, State
from tuneful.protocols import rng
from tuneful.searchers.draws import Taken, is_new
from tuneful.searchers.random import Random
from tuneful.space import Config, Space
from tuneful.space.tree import suggest


@dataclass(frozen=True)
class OneAtATime:
    """Sweeps one parameter while all others stay at the best config so far, then the next; and again.

    Right for building intuition by hand, and enough when parameters act apart from each other. Each trial differs
    from the best config at the start of its sweep in one parameter (and what exists only under its value).

    Attributes:
        levels: How many values of a parameter one sweep tries.
        order: The parameters in the order to sweep them, by path; that of the space by default.

    Raises:
        SpaceError: (when proposing) the order names what is not a parameter.

    References:
        Greff et al., "LSTM: a search space odyssey", 2017: hyperparameters there act nearly independently.
    """

    levels: int = 5
    order: tuple[str, ...] | None = None

    def propose(self, history: History, n: int) -> list[Proposal]:
        if len(history) == 0:
            return [Proposal(_start(history), {"searcher": "one_at_a_time", "parameter": None})][:n]
        first = self._first(history)
        if first is None or n == 0:
            return []
        proposals = [first]
        while len(proposals) < n and "centre" in first.why:
            taken = Taken(proposal.config for proposal in proposals)
            found = self._sweep(history, first.why["centre"], first.why["parameter"], taken)
            if found is None:
                break
            proposals.append(found)
        return proposals

    def _first(self, history: History) -> Proposal | None:
        """The next change of the sweep that is under way, else the first of the sweeps after it."""
        paths = self._paths(history.space)
        reasons = (history.text("why", trial) for trial in reversed(range(len(history))))
        last = next((why for why in reasons if why.get("parameter") in paths), None)
        if last is not None and (found := self._sweep(history, last["centre"], last["parameter"], Taken())):
            return found
        if history.of_state(State.RUNNING) or history.ready:
            return None  # what is best is known when the trials of the sweep are over
        centre = _best(history)
        if centre is None:
            return next(iter(Random().propose(history, 1)), None)
        begin = 0 if last is None else paths.index(last["parameter"]) + 1
        sweeps = (paths[place % len(paths)] for place in range(begin, begin + len(paths)))
        return next((found for path in sweeps if (found := self._sweep(history, centre, path, Taken()))), None)

    def _paths(self, space: Space) -> tuple[str, ...]:
        for path in self.order or ():
            if path not in space and not space.open:
                raise SpaceError(f"OneAtATime: `{path}` in `order` is not a parameter.{suggest(path, space.paths)}")
        return self.order or space.paths

    def _sweep(self, history: History, centre: int, path: str, taken: Taken) -> Proposal | None:
        """The first new config that differs from that of trial `centre` in `path`."""
        base = history.config(centre)
        if path not in base or not history.inside[centre]:
            return None
        domain = history.space[path]
        for value in domain.levels(int(min(self.levels, domain.size))):
            config = _changed(history, {**base, path: value}, centre)
            if is_new(history, config, taken):
                return Proposal(config, {"searcher": "one_at_a_time", "parameter": path, "centre": centre})
        return None


def _best(history: History) -> int | None:
    """The best trial that lies in the current space; None if none does."""
    if (best := history.best) is None or history.inside[best]:
        return best
    y = np.where(history.inside & history.feasible, history.means[:, 0], np.nan)
    return int(np.nanargmin(y)) if np.isfinite(y).any() else None


def _start(history: History) -> Config:
    """The defaults, with draws for parameters that have none."""
    space = history.space
    try:
        return space.complete({}, rng(history.seed, 0, "one at a time").random(len(space)))
    except SpaceError:  # they break a constraint together
        return Random().propose(history, 1)[0].config


def _changed(history: History, values: Config, centre: int) -> Config:
    """A whole config from `values`: without what no longer exists, with draws for what newly does."""
    space = history.space
    row = space.row(values)
    q = rng(history.seed, centre, "one at a time").random((len(space), 1))
    drawn = np.array([p.domain.draw(q[place])[0] for place, p in enumerate(space.parameters)])
    return space.config(space.masked(np.where(np.isnan(row), drawn, row)[None])[0])
