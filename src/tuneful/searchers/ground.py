"""The configs of a space as points of the unit cube: drawn, changed and listed as arrays."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from tuneful.history import History
from tuneful.searchers.draws import combinations
from tuneful.space import Choice, Domain, Space
from tuneful.surrogates.features import Features

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]
Rng = np.random.Generator

FEW = 16  # levels up to which each one is tried
_LISTED = 512  # configs up to which all are
_WIDTHS = (0.1, 0.02, 0.004)  # of the changes to a number
_CHANGED = (2.0, 4.0, 20.0)  # how many columns change, about (20: those of a space of 20; Eriksson 2019 has it so)


@dataclass(frozen=True)
class Ground:
    """Where a searcher looks for the next config. All its points are configs, to the last bit.

    Attributes:
        space: The space they are of.
    """

    space: Space

    @classmethod
    def of(cls, history: History) -> Ground:
        """That of the current space of a study."""
        known = history.recall("ground")
        ground: Ground = cls(history.space) if known is None else known[1]
        history.remember("ground", ground)
        return ground

    def features(self, *known: Array) -> Features:
        """How a kernel sees its configs, and the `known` ones (n, d), which may be older than some parameters."""
        parameters = self.space.parameters
        missing = np.any([np.isnan(x).any(axis=0) for x in known], axis=0)
        options = tuple(int(p.domain.size) if p.domain.categorical else 0 for p in parameters)
        return Features(
            options, tuple(p.parent is not None or bool(m) for p, m in zip(parameters, missing, strict=True))
        )

    @cached_property
    def levels(self) -> list[Array | None]:
        """The values of each column in the unit cube where there are few; None where they are many.

        Options that are never to be drawn are left out.
        """
        return [
            _levels(p.domain) if p.domain.size <= FEW or p.domain.categorical else None for p in self.space.parameters
        ]

    @cached_property
    def every(self) -> Array | None:
        """All configs (n, d), if they are few enough to be listed."""
        if combinations(self.space) > _LISTED:
            return None
        listed = self.space.enumeration()
        every = self.space.encode(np.array([listed.row(i) for i in range(listed.size)]))
        for j in self._weighted:
            levels = self.levels[j]
            assert levels is not None
            every = every[np.isnan(every[:, j]) | (every[:, j, None] == levels).any(axis=1)]
        return every

    def drawn(self, q: Array) -> Array:
        """Configs at the quantiles (m, d) of what is believed."""
        return self.space.encode(self.space.draw(q))

    def anywhere(self, shape: tuple[int, ...], rng: Rng) -> Array:
        """Points (m, d) anywhere, options by their weights."""
        unit = rng.random(shape)
        for j in self._weighted:
            domain = self.space.parameters[j].domain
            unit[:, j] = domain.encode(domain.draw(unit[:, j]))
        return unit

    def nearest(self, x: Array, rng: Rng) -> Array:
        """The nearest configs to points (m, d); what newly exists in one is drawn."""
        return self.space.encode(self.space.decode(self._whole(x, rng)))

    def near(self, x: Array, n: int, rng: Rng) -> Array:
        """`n` configs near those of `x` (k, d): a few of their columns changed, by much or little."""
        d = x.shape[1]
        unit = self._whole(x[rng.integers(len(x), size=n)], rng)
        changed = rng.random((n, d)) < rng.choice(_CHANGED, size=(n, 1)) / d
        changed[np.arange(n), rng.integers(d, size=n)] = True
        moved = np.clip(unit + rng.standard_normal((n, d)) * rng.choice(_WIDTHS, size=(n, 1)), 0.0, 1.0)
        moved = np.where(self._few, self.anywhere((n, d), rng), moved)
        return self.space.encode(self.space.decode(np.where(changed, moved, unit)))

    def swept(self, x: Array, column: int, rng: Rng) -> Array:
        """Configs (k, d) with every value of a column that has few, (k, levels, d)."""
        levels = self.levels[column]
        assert levels is not None
        unit = np.repeat(self._whole(x, rng), len(levels), axis=0)
        unit[:, column] = np.tile(levels, len(x))
        return self.space.encode(self.space.decode(unit)).reshape(len(x), len(levels), -1)

    def allowed(self, x: Array) -> Flags:
        """Which configs (m, d) satisfy the constraints of the space, (m,)."""
        if not self.space.constraints:
            return np.ones(len(x), dtype=bool)
        return self.space.feasible(self.rows(x))

    def rows(self, x: Array) -> Array:
        """Configs (m, d) as raw rows."""
        return self.space.decode(np.where(np.isnan(x), 0.5, x))

    @cached_property
    def _few(self) -> Flags:
        return np.array([levels is not None for levels in self.levels])

    @cached_property
    def _weighted(self) -> list[int]:
        """The columns of choices whose options have weights."""
        domains = [parameter.domain for parameter in self.space.parameters]
        return [j for j, domain in enumerate(domains) if isinstance(domain, Choice) and domain.weights is not None]

    def _whole(self, x: Array, rng: Rng) -> Array:
        """The points (m, d) with any value where one is absent."""
        return np.where(np.isnan(x), self.anywhere(x.shape, rng), x)


def _levels(domain: Domain) -> Array:
    if not isinstance(domain, Choice):
        return domain.encode(domain.scale.levels(int(domain.size)))
    options = np.arange(float(domain.size))
    return domain.encode(options if domain.weights is None else options[np.array(domain.weights) > 0])
