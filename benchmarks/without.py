"""`Gp` less one of its parts, to see what each is worth: `search.py --contestants "gp,Without('trend')"`."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any
from unittest.mock import patch

import numpy as np

from tuneful.history import History, Proposal
from tuneful.searchers import Gp, fitting, gp, ground
from tuneful.surrogates.features import Features
from tuneful.surrogates.likelihood import PRIOR, Likelihood, Prior


def _standard(y: np.ndarray) -> np.ndarray:
    return (y - y.mean()) / y.std()


def _as_drawn(_ground: Any, score: Any, x: np.ndarray, _rng: Any) -> tuple[np.ndarray, np.ndarray]:
    return x, score(x)


def _flat(self: Any, *_: np.ndarray) -> Features:
    options = tuple(int(p.domain.size) if p.domain.categorical else 0 for p in self.space.parameters)
    return Features(options, (False,) * len(options))


_features_of = Features.of


def _in_the_middle(self: Features, x: np.ndarray) -> Any:
    return _features_of(self, np.where(np.isnan(x), 0.5, x))


def _over_log_l(self: Likelihood, *args: Any) -> None:
    _begin(self, *args)
    self._over_l = np.zeros_like(self._over_l)


_begin = Likelihood.__init__


def _one_start(self: Prior, columns: int) -> list[np.ndarray]:
    return [np.append(np.full(columns, self.centre(columns)[0] - 3), [self.trend, self.noise])]


# What to put in the place of what.
PARTS: dict[str, list[tuple[Any, str, Any]]] = {
    "warp": [(gp, "_warped", _standard)],
    "climbing": [(gp, "climbed", _as_drawn)],
    "conditions": [(ground.Ground, "features", _flat), (Features, "of", _in_the_middle)],
    "prior over l": [(Likelihood, "__init__", _over_log_l)],
    "several starts": [(Prior, "starts", _one_start)],
    "success": [(gp, "_success", lambda *_: None)],
    "fantasies": [(gp, "_imagining", lambda process, *_: process)],
    "updates": [(fitting, "_BRIEF", 0)],
}
SETTINGS = {
    "trend": Gp(prior=replace(PRIOR, trend=-9.5, trend_spread=0.01)),
    "small start": Gp(start=10),
}


@dataclass(frozen=True)
class Without:
    """`Gp` without a part."""

    part: str

    def __post_init__(self) -> None:
        if self.part not in {*PARTS, *SETTINGS}:
            raise ValueError(f"there is no part {self.part!r}; there are {', '.join([*SETTINGS, *PARTS])}")

    def propose(self, history: History, n: int) -> list[Proposal]:
        with ExitStack() as changed:
            for place, name, other in PARTS.get(self.part, ()):
                changed.enter_context(patch.object(place, name, other))
            return SETTINGS.get(self.part, Gp()).propose(history, n)
