"""How parameters hang together: groups, switches, repeats and conditions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from tuneful.errors import SpaceError
from tuneful.space.choice import UNSET, Choice
from tuneful.space.domains import Domain
from tuneful.space.number import Int, fixed
from tuneful.space.options import Scalar

Node = Any  # a Domain, Switch, Repeat, When, Group, or a plain list of options

# They change how fast a model trains, not what it learns (mission: "not hyperparameters").
SYSTEM_SETTINGS = ("num_workers", "pin_memory", "persistent_workers", "prefetch_factor", "n_jobs")


@dataclass(frozen=True)
class Switch:
    """A choice between groups of parameters; those of the options not chosen do not exist.

    The objective gets `{"name": the option, …its parameters}`.

    Args:
        options: The parameters of each option, by name; `{}` for none.
        default: The option you would use without tuning.
        weights: How much more often random search draws an option than another.

    Raises:
        SpaceError: there is no option, an option's parameters are no dict, the default is none of them.

    >>> from tuneful.space import Float, Space
    >>> space = Space({"opt": Switch({"sgd": {"momentum": Float(0, 0.99)}, "adam": {}})})
    >>> space.paths
    ('opt', 'opt.sgd.momentum')
    """

    options: Mapping[str, Mapping[str, Node]]
    default: str | None = None
    weights: Sequence[float] | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.options, Mapping):
            raise SpaceError(f"Switch({self.options!r:.120}): pass the options as {{name: parameters}}.")
        for name, children in self.options.items():
            if not is_name(name):
                raise SpaceError(f"Switch: the option {name!r:.80} must be named by 1 to 255 printable characters.")
            if not isinstance(children, Mapping):
                raise SpaceError(
                    f"Switch: the option {name!r} has {children!r:.80} for its parameters. "
                    "Pass them as {name: domain}, or {} for none."
                )
            if "name" in children:
                raise SpaceError(
                    f"Switch: the option {name!r} has a parameter called 'name', "
                    "which is how the objective learns the option. Call the parameter something else."
                )
        if self.weights is not None:
            object.__setattr__(self, "weights", tuple(self.weights))
        _ = self.choice

    @cached_property
    def choice(self) -> Choice:
        """The choice between the options."""
        if not self.options:
            raise SpaceError("A Switch without options. Pass at least one.")
        default = UNSET if self.default is None else self.default
        return Choice(list(self.options), default=default, weights=self.weights)


@dataclass(frozen=True)
class Repeat:
    """The same parameters several times over: 1 to 4 layers, each with its own units and dropout.

    The objective gets a list with one entry for each repetition.

    Args:
        low, high: How often, at least and at most.
        body: The parameters of one repetition, or a single domain.
        default: How often you would repeat without tuning.

    Raises:
        SpaceError: the range is empty, the default outside.

    >>> from tuneful.space import Int, Space
    >>> space = Space({"layers": Repeat(1, 2, {"units": Int(8, 64)})})
    >>> space.paths
    ('layers', 'layers.0.units', 'layers.1.units')
    """

    low: int
    high: int
    body: Node
    default: int | None = None

    def __post_init__(self) -> None:
        whole = type(self.low) is type(self.high) is int
        if not whole or not 0 <= self.low <= self.high or self.high == 0:
            raise SpaceError(
                f"Repeat({self.low!r}, {self.high!r}, …): pass whole numbers, 0 <= low <= high, and high above 0."
            )
        _ = self.count

    @cached_property
    def count(self) -> Int:
        """The number of repetitions."""
        if self.low < self.high:
            return Int(self.low, self.high, default=self.default)
        if self.default not in (None, self.low):
            raise SpaceError(f"Repeat: the default {self.default!r} is not {self.low}. Leave it out.")
        return fixed(self.low)


@dataclass(frozen=True)
class When:
    """A parameter that exists only while another has one of certain values.

    Args:
        values: The other parameter's name (a sibling) and its value or values.
        body: The parameter, or a group of them.

    Raises:
        SpaceError: it names no parameter or more than one.

    >>> from tuneful.space import Float, Space
    >>> space = Space({"opt": ["sgd", "adam"], "momentum": When({"opt": "sgd"}, Float(0, 0.99))})
    >>> space.nested({"opt": "adam"})
    {'opt': 'adam'}
    """

    values: Mapping[str, Any]
    body: Node

    def __post_init__(self) -> None:
        if not isinstance(self.values, Mapping) or len(self.values) != 1:
            raise SpaceError(
                f"When({self.values!r:.120}, …): name one parameter, as {{name: value or list of values}}. "
                "For two, make one of them exist only under the other."
            )


@dataclass(frozen=True)
class Parameter:
    """One parameter of a space: its path, what it can be, and when it exists.

    Attributes:
        path: Where it is: `optimizer.sgd.momentum`, `layers.0.units`.
        domain: What it can be.
        parent: The position (in the space) of the parameter it depends on, or None.
        among: The values of the parent for which it exists.
    """

    path: str
    domain: Domain
    parent: int | None = None
    among: tuple[Scalar, ...] = ()


@dataclass(frozen=True)
class Group:
    """Parameters under one name."""

    children: Mapping[str, Node]


def is_name(name: object) -> bool:
    """Whether stores can keep it as a name."""
    return isinstance(name, str) and 0 < len(name) <= 255 and name.isprintable()


def check_name(name: object) -> None:
    """Refuse a name that no store can keep, or that is no hyperparameter's.

    Raises:
        SpaceError: it is not a string of 1 to 255 printable characters, or names a system setting.
    """
    if not is_name(name):
        raise SpaceError(f"A parameter is called {name!r:.80}: use a string of 1 to 255 printable characters.")
    if name in SYSTEM_SETTINGS:
        raise SpaceError(
            f"`{name}` is a system setting: it changes how fast a model trains, not what it learns. "
            f"Pass it as settings={{{name!r}: …}}; it is recorded with each trial and never searched."
        )


def joined(scope: str, name: str) -> str:
    """The path of `name` in the group at `scope`."""
    return f"{scope}.{name}" if scope else name
