"""A space written in the signature of a function, or in a dataclass."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import sys
from collections.abc import Callable, Iterator, Mapping
from types import SimpleNamespace
from typing import Annotated, Any, Literal, NamedTuple, get_args, get_origin, get_type_hints

from tuneful.errors import SpaceError
from tuneful.space.choice import UNSET, Choice
from tuneful.space.number import Float, Int
from tuneful.space.options import Labelled
from tuneful.space.structure import Group, Node, Repeat, Switch, When

_MARKS = (Float, Int, Choice, Switch, Repeat, When, list)


class _Field(NamedTuple):
    """A parameter of a function, or a field of a dataclass."""

    name: str
    hint: Any
    default: Any  # or UNSET
    names: Mapping[str, Any]  # what a hint that is text can refer to


def spec_of(source: Callable[..., Any] | type) -> dict[str, Node]:
    """The parameters that a function's signature or a dataclass's fields declare; `{}` if none.

    `Annotated[float, Log(1e-5, 1e-1)]`, `Annotated[int, Int(1, 6)]`, `Literal["adam", "sgd"]` and fields that
    are themselves dataclasses declare what can vary; a default value is the default of the parameter. Other
    parameters are left to their defaults, and what a `functools.partial` has fixed stays fixed.

    Raises:
        SpaceError: an annotation contradicts its type or cannot be read, or the default lies outside.

    >>> from tuneful.space import Log
    >>> def train(lr: Annotated[float, Log(1e-5, 1e-1)] = 1e-3, opt: Literal["adam", "sgd"] = "adam"): ...
    >>> spec_of(train)["lr"].default
    0.001
    """
    if isinstance(source, type):
        return _spec(_fields_of(source)) if dataclasses.is_dataclass(source) else {}
    return _spec(_parameters_of(source))


def _spec(fields: Iterator[_Field]) -> dict[str, Node]:
    nodes = {field.name: _node(field.name, _hint(field), field.default) for field in fields}
    return {name: node for name, node in nodes.items() if node is not None}


def _parameters_of(source: Callable[..., Any]) -> Iterator[_Field]:
    try:
        parameters = inspect.signature(source).parameters.values()
    except (TypeError, ValueError):  # some functions written in C
        return
    fixed: set[str] = set()
    function: Any = source
    while isinstance(function, functools.partial):
        fixed |= function.keywords.keys()
        function = function.func
    if not hasattr(function, "__code__") and not inspect.ismethod(function) and not hasattr(function, "__wrapped__"):
        function = type(function).__call__
    names = getattr(inspect.unwrap(function), "__globals__", {})
    for parameter in parameters:
        if parameter.name not in fixed and parameter.kind not in (
            parameter.VAR_POSITIONAL,
            parameter.VAR_KEYWORD,
        ):
            default = UNSET if parameter.default is parameter.empty else parameter.default
            yield _Field(parameter.name, parameter.annotation, default, names)


def _fields_of(kind: type, made: Any = UNSET) -> Iterator[_Field]:
    """The fields of a dataclass; their defaults are those of `made`, an instance of it, if there is one."""
    for field in dataclasses.fields(kind):
        default: Any = UNSET
        if isinstance(made, kind):
            default = getattr(made, field.name)
        elif field.default is not dataclasses.MISSING:
            default = field.default
        elif field.default_factory is not dataclasses.MISSING:
            default = field.default_factory()
        if field.init:
            where = next(c for c in kind.__mro__ if field.name in inspect.get_annotations(c))
            names = vars(sys.modules[where.__module__]) if where.__module__ in sys.modules else {}
            yield _Field(field.name, field.type, default, {**names, where.__name__: where})


def _hint(field: _Field) -> Any:
    try:
        holder = SimpleNamespace(__annotations__={field.name: field.hint})
        return get_type_hints(holder, dict(field.names), include_extras=True)[field.name]
    except SpaceError as error:
        raise SpaceError(f"The annotation of `{field.name}`: {error}") from None
    except Exception as error:  # noqa: BLE001 - text that is evaluated may raise anything
        if isinstance(field.hint, str) and not ("Annotated" in field.hint or "Literal" in field.hint):
            return None  # for example a type imported for the type checker only
        raise SpaceError(
            f"The annotation {field.hint!r} of `{field.name}` cannot be read: {error}. "
            "Define what it names at the top of the module, or pass the space beside the function."
        ) from None


def _node(name: str, hint: Any, default: Any) -> Node | None:
    if get_origin(hint) is Literal:
        return _with_default(name, Choice(list(get_args(hint))), default)
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        inner = _spec(_fields_of(hint, default))
        return Group(inner) if inner else None
    if get_origin(hint) is not Annotated:
        return None
    kind, *marks = get_args(hint)
    found = [mark for mark in marks if isinstance(mark, _MARKS)]
    if not found:
        return _node(name, kind, default)
    if len(found) > 1:
        shown = ", ".join(map(str, found))
        raise SpaceError(f"`{name}` is annotated with {len(found)} domains: {shown}. Keep one of them.")
    return _with_default(name, _of_kind(name, found[0], kind), default)


def _of_kind(name: str, node: Node, kind: Any) -> Node:
    if isinstance(node, list):
        return Choice(node)
    if isinstance(node, When):
        return When(node.values, _of_kind(name, node.body, kind))
    if kind in (str, bool) and isinstance(node, (Float, Int)):
        raise SpaceError(f"`{name}` is a {kind.__name__}, but annotated with {node}. Make it a number, or use Choice.")
    if kind is int and isinstance(node, Float):
        settings = {f.name: getattr(node, f.name) for f in dataclasses.fields(node)}
        try:
            return Int(**settings)
        except SpaceError as error:
            raise SpaceError(f"`{name}` is an int, but annotated with {node}: {error}") from None
    return node


def _with_default(name: str, node: Node, default: Any) -> Node:
    if default is UNSET:
        return node
    if isinstance(node, When):
        return When(node.values, _with_default(name, node.body, default))
    try:
        if isinstance(node, Choice):
            pairs = Labelled(zip(node.labels, node.options, strict=True))
            return Choice(pairs, weights=node.weights, ordered=node.ordered, default=default)
        if isinstance(node, Switch):
            return _switch_with_default(node, default)
        if isinstance(node, Repeat) and isinstance(default, (list, tuple)):
            default = len(default)
        return dataclasses.replace(node, default=default)
    except SpaceError as error:
        raise SpaceError(f"The default of `{name}` does not fit: {error}") from None


def _switch_with_default(node: Switch, default: Any) -> Switch:
    if not isinstance(default, Mapping):
        return dataclasses.replace(node, default=default)
    chosen = default.get("name")
    options = dict(node.options)
    if chosen in options:
        options[chosen] = {
            name: _with_default(name, inner, default[name]) if name in default else inner
            for name, inner in options[chosen].items()
        }
    return Switch(options, chosen, node.weights)
