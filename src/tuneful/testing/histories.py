"""Small spaces, and histories in which algorithms go wrong."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import cycle
from typing import Any

import numpy as np

from tuneful.errors import SpaceError
from tuneful.history import Bound, History, Objective, Row, State
from tuneful.history.curves import metrics_of
from tuneful.protocols import rng
from tuneful.space import Bool, Choice, Config, Domain, Float, Int, Log, Repeat, Scalar, Space, Switch


def small_spaces() -> dict[str, Space]:
    """A space of each kind, by name."""
    units, activation = Int(16, 512, log=True, step=2), Choice(["relu", None, 1, 1.0, True])
    sgd, adam = {"lr": Log(1e-3, 1), "momentum": Float(0, 0.99)}, {"lr": Log(1e-5, 1e-2)}
    layer = {"units": Int(4, 64, log=True), "dropout": Float(0, 0.5)}
    conditional = {
        "batch": Choice([16, 32, 64], ordered=True),
        "optimizer": Switch({"sgd": sgd, "adam": adam}),
        "layers": Repeat(1, 3, layer),
    }
    finite = {"a": Int(1, 3), "s": Switch({"on": {"k": Bool()}, "off": {}}), "b": [1, True]}
    return {
        "continuous": Space({"x": Float(0, 1, default=0.25), "lr": Log(1e-5, 1e-1, default=1e-3)}),
        "mixed": Space({"units": units, "activation": activation, "p": Float(0, 1)}),
        "conditional": Space(conditional),
        "constrained": Space({"a": Int(1, 8), "b": Int(1, 8), "c": Float(0, 1)}, ["b <= a"]),
        "one option": Space({"only": ["this"]}),
        "finite": Space(finite, ["a + b <= 3"]),
    }


def value_of(space: Space, config: Mapping[str, Scalar]) -> float:
    """What a config is worth: a bowl in the unit cube."""
    unit = space.encode(space.row(config)[None])[0]
    return float(np.mean((np.where(np.isnan(unit), 0.5, unit) - 0.3) ** 2))


def begin(history: History, config: Config, state: State = State.RUNNING, **facts: Any) -> int:
    """One more trial; its number."""
    history.rev += 1
    row = Row(len(history), dict(config), history.space_number, state, rev=history.rev, born=history.rev)
    if state != State.QUEUED:
        row = replace(row, begun=history.rev, attempt=1)
    history.apply(replace(row, **facts))
    return row.number


def end(history: History, trial: int, value: float | Mapping[str, float] = math.nan, state: State = State.DONE) -> None:
    """End a trial with a value of the first objective, or with metrics."""
    values = value if isinstance(value, Mapping) else {history.objectives[0].metric: value}
    history.rev += 1
    row = replace(history.row(trial), state=state, rev=history.rev, ended=history.rev, values=values)
    history.apply(row)


def rebuilt(history: History) -> History:
    """The history that a process would have that opens the study now."""
    goals, seed, limits = (history.objectives, history.bounds), history.seed, history.limits
    made = History(history.space, *goals, seed=seed, limits=limits)
    made.space_number = history.space_number
    for trial in range(len(history)):
        row, curve = history.row(trial), metrics_of(history.curves, trial)
        made.apply(replace(row, curve=curve) if row.state.final else row)
        steps = sorted({step for known, _ in curve.values() for step in known})
        for step in () if row.state.final else steps:
            told = {name: dict(zip(*points, strict=True)).get(step) for name, points in curve.items()}
            made.report(trial, step, {name: v for name, v in told.items() if v is not None}, row.rev)
    made.rev = history.rev
    return made


def situations(space: Space) -> dict[str, History]:
    """Histories of studies on `space`, by name, from empty ones to such where everything has failed."""
    configs = drawn(space, 6)
    moves = {"wider": widened(space), "narrower": narrowed(space), "larger by a parameter": _grown(space)}
    return {
        "nothing was tried": History(space, seed=3),
        "one trial is done": _filled(space, configs[:1]),
        "one trial runs": _filled(space, configs[:1], [State.RUNNING]),
        "all trials failed": _filled(space, configs, [State.FAILED]),
        "all values are equal": _filled(space, configs, value=1.0),
        "all values are NaN": _filled(space, configs, value=math.nan),
        "all trials are pending": _filled(space, configs, [State.RUNNING, State.QUEUED, State.PAUSED]),
        "there is a bit of everything": _filled(space, configs, _EVERYTHING),
        "there are two objectives and a constraint": _with_goals(space, configs),
        **{
            f"the space became {name}": _filled(space, configs, _EVERYTHING, moved_to=other)
            for name, other in moves.items()
            if other is not None
        },
    }


def drawn(space: Space, n: int) -> list[Config]:
    """Up to `n` different configs."""
    found: dict[str, Config] = {}
    for row in space.draw(rng(11, 0, "situations").random((400, len(space)))):
        config = space.config(row)
        if space.satisfies(config):
            found.setdefault(repr(config), config)
    return list(found.values())[:n]


def widened(space: Space) -> Space | None:
    """`space` with more values of its first parameter; None if that cannot be."""
    path, domain = space.parameters[0].path, space.parameters[0].domain
    if isinstance(domain, Choice):
        return _with(space, path, Choice([*domain.options, "one more"]))
    step = domain.step or 1
    more: Any = domain.high * step if domain.log and domain.step else domain.high + step
    return _with(space, path, replace(domain, high=more))


def narrowed(space: Space) -> Space | None:
    """`space` with fewer values of its first parameter; None if that cannot be."""
    path, domain = space.parameters[0].path, space.parameters[0].domain
    if isinstance(domain, Choice):
        return _with(space, path, Choice(domain.options[:-1])) if domain.size > 1 else None
    middle: Any = domain.levels(3)[1]
    return _with(space, path, replace(domain, high=middle))


def _with(space: Space, path: str, domain: Domain) -> Space | None:
    form = space.to_json()
    if form["parameters"].get(path) != space[path].to_json():
        return None  # it is more than a domain
    with suppress(SpaceError):  # a constraint or a condition may need what is left out
        return Space.from_json({**form, "parameters": {**form["parameters"], path: domain.to_json()}})
    return None


def _grown(space: Space) -> Space:
    return space.grown("one more", Int(1, 3))


_EVERYTHING = (State.DONE, State.FAILED, State.PRUNED, State.RUNNING, State.DONE, State.QUEUED)


def _filled(
    space: Space,
    configs: Sequence[Config],
    states: Sequence[State] = (State.DONE,),
    *,
    value: float | None = None,
    moved_to: Space | None = None,
) -> History:
    """A history of trials that come to these states in turn, and have reported if they were begun."""
    history = History(space, seed=3)
    for config, state in zip(configs, cycle(states), strict=False):
        trial = begin(history, config, State.RUNNING if state.final else state)
        found = value_of(space, config) if value is None else value
        for step in range(1, 4) if state != State.QUEUED else ():
            history.report(trial, step, {"value": found + 1 / step, "other": math.nan})
        if state.final:
            end(history, trial, found, state)
    if moved_to is not None:
        history.move_to(moved_to, 1)
    return history


def _with_goals(space: Space, configs: Sequence[Config]) -> History:
    goals = (Objective("loss"), Objective("accuracy", maximize=True))
    history = History(space, goals, [Bound("memory", 0.1)], seed=3)
    for config in configs:
        value = value_of(space, config)
        end(history, begin(history, config), {"loss": value, "accuracy": 1 - value, "memory": value})
    return history
