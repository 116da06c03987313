"""A list of configs to try."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, ClassVar

from tuneful.errors import SpaceError
from tuneful.history import History, Proposal
from tuneful.protocols import rng
from tuneful.searchers.draws import Taken, is_new
from tuneful.space import Config

_DRAWS = 100  # of the parameters left out, until a constraint is taken for broken by those given


@dataclass(frozen=True)
class Given:
    """Tries the configs of a list in order: manual search, or a portfolio known to be good.

    Attributes:
        configs: Each nested or by path, as for `Study.enqueue`; a parameter left out takes its default, or is
            drawn at random so that the constraints hold.

    Raises:
        SpaceError: (when proposing) a config does not fit the space; it says which and why.
    """

    configs: Sequence[Mapping[str, Any]]

    learns: ClassVar[bool] = False

    def propose(self, history: History, n: int) -> list[Proposal]:
        proposals: list[Proposal] = []
        taken = Taken()
        for index, params in enumerate(self.configs):
            if len(proposals) == n:
                break
            config = _completed(history, index, params)
            if is_new(history, config, taken):
                taken.add(config)
                proposals.append(Proposal(config, {"searcher": "given", "index": index}))
        return proposals


def _completed(history: History, index: int, params: Mapping[str, Any]) -> Config:
    space = history.space
    draws = rng(history.seed, index, "given").random((_DRAWS if space.constraints else 1, len(space)))
    for q in draws[:-1]:
        with suppress(SpaceError):  # perhaps only these draws break a constraint
            return space.complete(params, q)
    return space.complete(params, draws[-1])
