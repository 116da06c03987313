"""Every config of a finite space, by number: the order of grid search."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, NamedTuple, overload

import numpy as np
from numpy.typing import NDArray

from tuneful.errors import SpaceError
from tuneful.space.choice import Choice
from tuneful.space.domains import Domain
from tuneful.space.scales import Continuous
from tuneful.space.structure import Parameter

Array = NDArray[np.float64]


class Every(Sequence[float]):
    """The raw values of a finite domain in order, none of them computed before it is asked for."""

    def __init__(self, domain: Domain) -> None:
        self._domain = domain

    def __len__(self) -> int:
        return int(self._domain.size)

    @overload
    def __getitem__(self, index: int) -> float: ...
    @overload
    def __getitem__(self, index: slice) -> list[float]: ...
    def __getitem__(self, index: int | slice) -> float | list[float]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        if isinstance(self._domain, Choice):
            return float(index)
        scale = self._domain.scale
        assert not isinstance(scale, Continuous)
        return float(scale.at(np.array([float(index)]))[0])

    def index(self, value: float, start: int = 0, stop: int | None = None) -> int:
        """The position of a raw value that is one of them."""
        if isinstance(self._domain, Choice):
            return int(value)
        scale = self._domain.scale
        assert not isinstance(scale, Continuous)
        return int(scale.index(np.array([value]))[0])


def levels_of(parameter: Parameter, wanted: int | Sequence[Any] | None) -> Sequence[float]:
    """The raw values of a parameter to enumerate: these, at most so many, or all.

    Raises:
        SpaceError: it is continuous and nothing is wanted, a value lies outside, or there are none.
    """
    domain, path = parameter.domain, parameter.path
    if isinstance(wanted, int) and wanted < 1:
        raise SpaceError(f"`{path}`: {wanted} levels are none. Pass at least 1.")
    if wanted is None and domain.size == math.inf:
        raise SpaceError(
            f"`{path}` is continuous: a grid needs its levels, as in searchers.Grid(levels=5), "
            f"Grid(levels={{{path!r}: 5}}) or levels={{{path!r}: [values]}}."
        )
    if wanted is None or (isinstance(wanted, int) and (isinstance(domain, Choice) or domain.size <= wanted)):
        return Every(domain)
    if isinstance(wanted, int):
        return [domain.position(value) for value in domain.levels(wanted)]
    raws = [domain.to_raw(value, f"`{path}`: the level") for value in wanted]
    if not raws:
        raise SpaceError(f"`{path}` is given no levels. Pass at least one value.")
    return list(dict.fromkeys(raws))


class _Branch(NamedTuple):
    """A level under which other parameters exist."""

    level: int
    children: list[int]
    size: int


class Enumeration:
    """The configs over given levels of each parameter; the last parameter varies fastest.

    Parameters that exist only under a condition are enumerated only where it holds, so no config comes
    twice. Config `i` is computed from `i`, without the ones before it.

    Args:
        parameters: Those of a space, each after the one it depends on.
        levels: The raw values of each, all different, in the order to try them.
    """

    def __init__(self, parameters: Sequence[Parameter], levels: Sequence[Sequence[float]]) -> None:
        self._parameters = parameters
        self._levels = levels
        self._roots = [place for place, parameter in enumerate(parameters) if parameter.parent is None]

    @cached_property
    def size(self) -> int:
        """How many configs there are."""
        return math.prod(self._counts[root] for root in self._roots)

    @cached_property
    def _branches(self) -> Mapping[int, list[_Branch]]:
        """For each parameter, the levels on which others hang, in order."""
        return self._grown[0]

    @cached_property
    def _counts(self) -> Mapping[int, int]:
        """For each parameter, how many configs of it and what hangs on it there are."""
        return self._grown[1]

    @cached_property
    def _grown(self) -> tuple[dict[int, list[_Branch]], dict[int, int]]:
        branches: dict[int, list[_Branch]] = {}
        counts: dict[int, int] = {}
        hanging: list[dict[int, list[int]]] = [{} for _ in self._parameters]
        for place in reversed(range(len(self._parameters))):
            branches[place] = [
                _Branch(index, sorted(children), math.prod(counts[child] for child in children))
                for index, children in sorted(hanging[place].items())
            ]
            rest = len(self._levels[place]) - len(branches[place])
            counts[place] = rest + sum(branch.size for branch in branches[place])
            parameter = self._parameters[place]
            if parameter.parent is not None:
                for index in self._indexes(parameter.parent, parameter):
                    hanging[parameter.parent].setdefault(index, []).append(place)
        return branches, counts

    def _indexes(self, parent: int, parameter: Parameter) -> list[int]:
        """Which levels of its parent a parameter exists under."""
        raws = [self._parameters[parent].domain.position(value) for value in parameter.among]
        levels = self._levels[parent]
        return [levels.index(raw) for raw in raws if isinstance(levels, Every) or raw in levels]

    def row(self, index: int) -> Array:
        """The raw values (d,) of config `index`; NaN for parameters that do not exist in it.

        Raises:
            SpaceError: there are not that many.
        """
        if not 0 <= index < self.size:
            raise SpaceError(f"There is no config {index}: the space has {self.size}, counted from 0.")
        row = np.full(len(self._parameters), np.nan)
        self._fill(row, self._roots, index)
        return row

    def _fill(self, row: Array, places: Sequence[int], index: int) -> None:
        for place in reversed(places):
            index, within = divmod(index, self._counts[place])
            self._fill_one(row, place, within)

    def _fill_one(self, row: Array, place: int, index: int) -> None:
        level = 0
        for branch in self._branches[place]:
            if index < branch.level - level:
                break
            index -= branch.level - level
            if index < branch.size:
                row[place] = self._levels[place][branch.level]
                self._fill(row, branch.children, index)
                return
            index -= branch.size
            level = branch.level + 1
        row[place] = self._levels[place][level + index]
