"""A list of configs to try."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tuneful.history import History, Proposal
from tuneful.protocols import rng
from tuneful.searchers.draws import is_new
from tuneful.space import Config


@dataclass(frozen=True)
class Given:
    """Tries the configs of a list in order: manual search, or a portfolio known to be good.

    Attributes:
        configs: Each nested or by path, as for `Study.enqueue`; a parameter left out takes its default, or is
            drawn at random.

    Raises:
        SpaceError: (when proposing) a config does not fit the space; it says which and why.
    """

    configs: Sequence[Mapping[str, Any]]

    def propose(self, history: History, n: int) -> list[Proposal]:
        proposals: list[Proposal] = []
        taken: list[Config] = []
        for index, params in enumerate(self.configs):
            if len(proposals) == n:
                break
            q = rng(history.seed, index, "given").random(len(history.space))
            config = history.space.complete(params, q)
            if is_new(history, config, taken):
                taken.append(config)
                proposals.append(Proposal(config, {"searcher": "given", "index": index}))
        return proposals
