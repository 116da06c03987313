"""Spaces written in signatures and dataclasses; every annotation in this file is text."""

from __future__ import annotations

import dataclasses
import enum
import functools
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, Literal

import pytest

import tuneful.space as tn
from tuneful.errors import SpaceError
from tuneful.space import Choice, Float, Int, Log, Repeat, Space, Switch, When, spec_of

if TYPE_CHECKING:
    from nowhere import Model

Rate = Annotated[float, Log(1e-5, 1e-1)]


class Act(enum.Enum):
    RELU = 1
    TANH = 2


def train(  # noqa: PLR0913 - one of each kind
    data: Model,
    lr: Rate = 1e-3,
    layers: Annotated[int, "how many", tn.Int(1, 6)] = 2,
    opt: Literal["adam", "sgd", 3] = "adam",
    *,
    units: Annotated[int, Log(16, 512)] = 64,
    batch: Annotated[int, [16, 32]] = 32,
    wide: Annotated[Literal[True, False], "documented"] = False,
    free: Annotated[float, Float(0, 1)],
    epochs: int = 3,
    **rest: Annotated[float, Float(0, 1)],
) -> float:
    return 0.0


SPEC = {
    "lr": Log(1e-5, 1e-1, default=1e-3),
    "layers": Int(1, 6, default=2),
    "opt": Choice(["adam", "sgd", 3], default="adam"),
    "units": Int(16, 512, log=True, default=64),
    "batch": Choice([16, 32], default=32),
    "wide": Choice([True, False], default=False),
    "free": Float(0, 1),
}


def decorated(function):
    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        return function(*args, **kwargs)

    return wrapper


class Trainer:
    def __call__(self, lr: Rate = 1e-2) -> float: ...

    def method(self, lr: Rate = 1e-2) -> float: ...

    @classmethod
    def of_class(cls, lr: Rate = 1e-2) -> float: ...

    @staticmethod
    def static(lr: Rate = 1e-2) -> float: ...

    @decorated
    def wrapped(self, lr: Rate = 1e-2) -> float: ...


@dataclass
class Net:
    units: Annotated[int, Int(8, 64)] = 16
    act: Literal[Act.RELU, Act.TANH] = Act.TANH
    name: str = "net"


@dataclass
class Settings:
    lr: Rate = 1e-3
    net: Net = field(default_factory=lambda: Net(units=32))
    other: Net = field(default_factory=Net)
    hidden: Annotated[float, Float(0, 1)] = field(default=0.5, init=False)
    plain: list[int] = field(default_factory=list)


@dataclass
class More(Settings):
    lr: Rate = 1e-2
    drop: Annotated[float, Float(0, 0.5)] = 0.1


def test_a_signature_declares_a_space():
    assert spec_of(train) == SPEC
    assert list(spec_of(train)) == list(SPEC)
    assert Space(SPEC)["lr"].default == 1e-3


def test_decorated_and_bound_functions_keep_their_signature():
    assert spec_of(decorated(train)) == SPEC
    expected = {"lr": Log(1e-5, 1e-1, default=1e-2)}
    thing = Trainer()
    for function in (
        thing,
        thing.method,
        thing.of_class,
        Trainer.of_class,
        Trainer.static,
        thing.static,
        thing.wrapped,
    ):
        assert spec_of(function) == expected


def test_what_a_partial_has_fixed_is_not_searched():
    rest = {name: node for name, node in SPEC.items() if name not in ("opt", "lr")}
    fixed = functools.partial(train, None, 1e-2, opt="sgd")
    assert spec_of(fixed) == rest
    assert spec_of(functools.partial(fixed, units=3)) == {k: v for k, v in rest.items() if k != "units"}
    assert spec_of(functools.partial(Trainer().method)) == {"lr": Log(1e-5, 1e-1, default=1e-2)}
    assert spec_of(functools.partial(Trainer(), lr=1)) == {}


def test_a_dataclass_declares_a_space_also_inside_of_another():
    assert spec_of(Net) == {
        "units": Int(8, 64, default=16),
        "act": Choice([Act.RELU, Act.TANH], default=Act.TANH),
    }
    space = Space(spec_of(Settings))
    assert space.paths == ("lr", "net.units", "net.act", "other.units", "other.act")
    assert space.nested(space.default) == {
        "lr": 1e-3,
        "net": {"units": 32, "act": Act.TANH},
        "other": {"units": 16, "act": Act.TANH},
    }
    assert Space(spec_of(More)).default == {**space.default, "lr": 1e-2, "drop": 0.1}

    def objective(settings: Settings, epochs: int = 3) -> float: ...

    assert Space(spec_of(objective)).paths == tuple(f"settings.{path}" for path in space.paths)


def test_structures_take_their_defaults_from_the_signature():
    opt = Switch({"sgd": {"lr": Log(1e-3, 1), "m": Float(0, 1)}, "adam": {}})

    def function(
        a: Annotated[Any, opt] = MappingProxyType({"name": "sgd", "lr": 0.1}),
        b: Annotated[Any, opt] = "adam",
        c: Annotated[list, Repeat(1, 4, Int(1, 9))] = (3, 3),
        d: Annotated[int, Repeat(1, 4, Int(1, 9))] = 3,
        e: Annotated[float, When({"b": "adam"}, Float(0, 1))] = 0.5,
        f: Annotated[float | None, Float(0, 1)] = None,
        g: Annotated[int, When({"b": "adam"}, Float(1, 9))] = 5,
    ) -> float: ...

    function.__annotations__ = {
        name: eval(hint, {**globals(), "opt": opt}) for name, hint in function.__annotations__.items()
    }
    space = Space(spec_of(function))
    assert (space["a"].default, space["a.sgd.lr"].default, space["a.sgd.m"].default) == ("sgd", 0.1, None)
    assert (space["b"].default, space["c"].default, space["d"].default) == ("adam", 2, 3)
    assert (space["e"].default, space["f"].default) == (0.5, None)
    assert space["g"] == Int(1, 9, default=5)


def test_what_declares_nothing_is_left_alone():
    def plain(a, b: int = 2, *args: Rate, c: Annotated[int, "words"] = 1, d: undefined = 3, e: 3 = 4): ...  # noqa: F821 - on purpose

    class Empty: ...

    @dataclass
    class Nothing:
        a: int = 1

    def inside(nothing: Nothing): ...

    inside.__annotations__ = {"nothing": Nothing}
    for source in (plain, Empty, Trainer, Nothing, inside, len, dict.get, type, min):
        assert spec_of(source) == {}


def test_a_dataclass_without_its_module_is_read_from_itself():
    made = dataclasses.make_dataclass("Made", [("a", Annotated[int, Int(1, 3)], 2)], namespace={"__module__": "gone"})
    assert spec_of(made) == {"a": Int(1, 3, default=2)}


def bad_default(lr: Rate = 5): ...
def bad_literal(opt: Literal["a", "b"] = "c"): ...
def bad_switch(opt: Annotated[str, Switch({"a": {}})] = "b"): ...
def bad_repeat(layers: Annotated[list, Repeat(1, 2, Int(1, 3))] = ()): ...
def bad_int(n: Annotated[int, Float(0.5, 3)] = 1): ...
def bad_str(n: Annotated[str, Int(1, 3)]): ...
def bad_marks(n: Annotated[int, Int(1, 3), Int(1, 4)]): ...
def bad_range(n: Annotated[int, Int(3, 1)]): ...


def bad_name(n: Annotated[int, local_name(1, 3)]): ...  # noqa: F821 - on purpose


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (
            bad_default,
            r"The default of `lr` does not fit: The default 5 is not in Float\(1e-05, 0\.1, log=True\)\.",
        ),
        (
            bad_literal,
            r"The default of `opt` does not fit: The default 'c' is none of the options \['a', 'b'\]",
        ),
        (bad_switch, r"The default of `opt` does not fit: The default 'b' is none of the options \['a'\]"),
        (
            bad_repeat,
            r"The default of `layers` does not fit: The default 0 is not in Int\(1, 2\)\. Pass a whole",
        ),
        (
            bad_int,
            r"`n` is an int, but annotated with Float\(0\.5, 3\): .*low must be a whole number, and is 0\.5",
        ),
        (bad_str, r"`n` is a str, but annotated with Int\(1, 3\)\. Make it a number, or use Choice\."),
        (bad_marks, r"`n` is annotated with 2 domains: Int\(1, 3\), Int\(1, 4\)\. Keep one of them\."),
        (bad_range, r"The annotation of `n`: Int\(3, 1\): low is above high\. Swap them\."),
        (
            bad_name,
            r"'Annotated\[int, local_name\(1, 3\)\]' of `n` cannot be read: name 'local_name' is not defined",
        ),
    ],
)
def test_a_signature_that_contradicts_itself_is_refused(function, message):
    with pytest.raises(SpaceError, match=message):
        spec_of(function)
