"""The configs of all trials as one matrix, over every space that the study has had."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tuneful.errors import SpaceError
from tuneful.space import Choice, Config, Domain, Parameter, Scalar, Space

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]
Ints = NDArray[np.int64]


class Vocabulary:
    """One raw column for every parameter that any space of the study had, wide enough for all its values.

    The current space is encoded from it when asked, so changing the space loses nothing.
    """

    def __init__(self, space: Space) -> None:
        self._domains: dict[str, Domain] = {}
        self._places: dict[str, int] = {}
        self._raw = np.full((16, 0), np.nan)
        self._n = 0
        self._keys: dict[bytes, int] | None = None
        self._shapes: dict[bytes, int] = {}
        self._shape: NDArray[np.intp] = np.empty(0, dtype=np.intp)
        self._shaped = 0
        self.move_to(space)

    def move_to(self, space: Space) -> None:
        """Encode for `space` from now on."""
        self.learn(space)
        self._space = space
        self._columns = np.array([self._places[path] for path in space.paths], dtype=np.intp)
        self._choices = [(j, p.path, p.domain) for j, p in enumerate(space.parameters) if isinstance(p.domain, Choice)]
        numbers = [None if isinstance(p.domain, Choice) else p.domain for p in space.parameters]
        self._low = np.array([-math.inf if number is None else number.low for number in numbers])
        self._high = np.array([math.inf if number is None else number.high for number in numbers])
        self._unit = np.empty((0, len(space)))
        self._inside = np.empty(0, dtype=bool)
        self._encoded = 0

    def learn(self, space: Space) -> None:
        """Make room for the parameters and options of `space`.

        Raises:
            SpaceError: a parameter is of another kind than in an earlier space; nothing has changed then.
        """
        self._domains = self._domains | {p.path: self._wide(p) for p in space.parameters}
        missing = [path for path in self._domains if path not in self._places]
        if missing:
            self._places |= {path: len(self._places) + i for i, path in enumerate(missing)}
            more = np.full((len(self._raw), len(missing)), np.nan)
            self._raw = np.hstack([self._raw, more])
            self._keys = None
            self._shapes, self._shaped = {}, 0
        self._slots = {path: (self._places[path], _positions(domain)) for path, domain in self._domains.items()}

    def put(self, trial: int, config: Mapping[str, Scalar]) -> None:
        """Write the config of a trial."""
        row = self._row(config)
        if trial >= self._n:
            self._make_room(trial + 1)
        elif row.tobytes() == self._raw[trial].tobytes():
            return
        else:
            self._encoded, self._shaped = min(self._encoded, trial), min(self._shaped, trial)
            self._forget(trial)
        self._raw[trial] = row
        self._note(row, trial)

    def put_new(self, trials: Ints, configs: Sequence[Mapping[str, Scalar]]) -> None:
        """Write the configs of `trials` (n,) that have none yet."""
        self._make_room(max(self._n, int(trials.max()) + 1))
        rows = np.empty((len(configs), self._raw.shape[1]))
        for path, place in self._places.items():
            rows[:, place] = self._column(path, configs)
        if np.count_nonzero(~np.isnan(rows)) < sum(map(len, configs)):
            raise KeyError("A config has a parameter that no space of the study has.")
        self._raw[trials] = rows
        first = int(trials.min())
        self._encoded, self._shaped = min(self._encoded, first), min(self._shaped, first)
        for trial, row in zip(trials.tolist(), rows, strict=True) if self._keys is not None else ():
            self._note(row, trial)

    def config(self, trial: int) -> Config:
        """The values of a trial by path."""
        row = self._raw[trial].tolist()
        return {
            path: self._domains[path].to_value(row[place])
            for path, place in self._places.items()
            if row[place] == row[place]
        }

    def find(self, config: Mapping[str, Scalar], n: int, final: Flags | None) -> int | None:
        """The first of `n` trials that has this config; None if none has.

        Args:
            config: Values by path.
            n: How many trials there are.
            final: For a space that still grows, which trials are over, (n,): those have shown which parameters
                their configs have, and a config that agrees with one of them in all of these would repeat it.
        """
        try:
            row = self._row(config)
        except KeyError:  # a parameter or an option that the study never had
            return None
        keys = self._known()
        if (found := keys.get(row.tobytes(), n)) < n and (config or final is None):
            return found
        if final is None:
            return None
        known = ~np.isnan(row)
        for shape in self._shapes_of(n, final):
            if shape.any() and not (shape & ~known).any():
                found = keys.get(np.where(shape, row, np.nan).tobytes(), n)
                if found < n:
                    return found
        return None

    def encoded(self, n: int) -> tuple[Array, Flags]:
        """The first `n` configs in the unit cube of the current space (n, d), and which lie in it (n,)."""
        if self._encoded < n:
            self._encode(self._encoded, n)
            self._encoded = n
        return self._unit[:n], self._inside[:n]

    def _encode(self, start: int, stop: int) -> None:
        if len(self._unit) < stop:
            room = max(stop, 2 * len(self._unit))
            self._unit = np.vstack([self._unit, np.empty((room - len(self._unit), len(self._space)))])
            self._inside = np.append(self._inside, np.empty(room - len(self._inside), dtype=bool))
        raw = self._raw[start:stop]
        current = raw[:, self._columns]
        inside = ~((current < self._low) | (current > self._high)).any(axis=1)
        if raw.shape[1] > current.shape[1]:
            others = np.setdiff1d(np.arange(raw.shape[1]), self._columns)
            inside &= np.isnan(raw[:, others]).all(axis=1)
        for place, path, choice in self._choices:
            current[:, place], fits = _translated(current[:, place], self._domains[path], choice)
            inside &= fits
        current[~inside] = np.nan
        self._unit[start:stop] = self._space.encode(current)
        self._inside[start:stop] = inside

    def _make_room(self, n: int) -> None:
        if n > len(self._raw):
            wider = np.empty((max(n, 2 * len(self._raw)), self._raw.shape[1]))  # what nobody writes takes no memory
            wider[: self._n] = self._raw[: self._n]
            self._raw = wider
        self._raw[self._n : n] = np.nan
        self._n = n

    def _row(self, config: Mapping[str, Scalar]) -> Array:
        row = [math.nan] * self._raw.shape[1]
        for path, value in config.items():
            place, positions = self._slots[path]
            row[place] = value if positions is None else self._position(path, positions, value)  # type: ignore[assignment]
        return np.array(row, dtype=np.float64)

    def _column(self, path: str, configs: Sequence[Mapping[str, Scalar]]) -> list[Any]:
        _, positions = self._slots[path]
        if positions is None:
            return [config.get(path, math.nan) for config in configs]
        return [self._position(path, positions, c[path]) if path in c else math.nan for c in configs]

    def _position(self, path: str, positions: Mapping[tuple[type, Scalar], float], label: Scalar) -> float:
        position = positions.get((type(label), label))
        # NaN, which does not equal itself, or none of the options
        return self._domains[path].position(label) if position is None else position

    def _wide(self, parameter: Parameter) -> Domain:
        old = self._domains.get(parameter.path)
        if old is None:
            return parameter.domain
        if type(old) is not type(parameter.domain):
            raise SpaceError(
                f"`{parameter.path}` is {parameter.domain}, but the study has trials where it was {old}, which is of "
                "another kind. Give it another name."
            )
        return old.widened(parameter.domain)

    def _shapes_of(self, n: int, final: Flags) -> Iterator[Flags]:
        """Which parameters there are in configs of the `final` of `n` trials: (k,) for each such set."""
        if len(self._shape) < n:
            self._shape = np.append(self._shape, np.empty(2 * n - len(self._shape), dtype=np.intp))
        for trial in range(self._shaped, n):
            there = ~np.isnan(self._raw[trial])
            self._shape[trial] = self._shapes.setdefault(there.tobytes(), len(self._shapes))
        self._shaped = max(self._shaped, n)
        times = np.bincount(self._shape[:n][final], minlength=len(self._shapes))
        return (np.frombuffer(shape, dtype=bool) for shape, at in sorted(self._shapes.items()) if times[at])

    def _note(self, row: Array, trial: int) -> None:
        if self._keys is not None:
            key = row.tobytes()
            self._keys[key] = min(trial, self._keys.get(key, trial))

    def _forget(self, trial: int) -> None:
        """Let go of the config of a trial that gets another one."""
        key = self._raw[trial].tobytes()
        if self._keys is not None and self._keys.get(key) == trial:
            del self._keys[key]
            for later in range(trial + 1, self._n):  # few: a trial gets another config when it ends
                if self._raw[later].tobytes() == key:
                    self._keys[key] = later
                    break

    def _known(self) -> dict[bytes, int]:
        """The first trial of each config, of all trials: one that is asked about the past knows later ones too."""
        if self._keys is None:
            self._keys = {}
            for trial, row in enumerate(self._raw[: self._n]):
                self._keys.setdefault(row.tobytes(), trial)
        return self._keys


def _positions(domain: Domain) -> Mapping[tuple[type, Scalar], float] | None:
    """Where each label of a choice stands; None for numbers, which stand for themselves."""
    if not isinstance(domain, Choice):
        return None
    return {(type(label), label): float(place) for place, label in enumerate(domain.labels)}


def _translated(raw: Array, wide: Domain, current: Choice) -> tuple[Array, Flags]:
    """A column of the vocabulary as positions in the current choice, and where it fits or is absent."""
    assert isinstance(wide, Choice)
    if wide.keys == current.keys:
        return raw, np.ones(len(raw), dtype=bool)
    absent = np.isnan(raw)
    places = {key: place for place, key in enumerate(current.keys)}
    table = np.array([places.get(key, np.nan) for key in wide.keys])
    column = np.where(absent, np.nan, table[np.where(absent, 0, raw).astype(np.intp)])
    return column, absent | ~np.isnan(column)
