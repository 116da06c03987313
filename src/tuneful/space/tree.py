"""From what a user writes to a checked tree, and from the tree to parameters, to JSON and back."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from typing import Any

from tuneful.errors import SpaceError
from tuneful.space.choice import Choice
from tuneful.space.domains import Domain, domain_from_json
from tuneful.space.number import Float, Int
from tuneful.space.options import Scalar
from tuneful.space.structure import Group, Node, Parameter, Repeat, Switch, When, check_name, joined

_DOMAINS = (Float, Int, Choice)
_Condition = tuple[int | None, tuple[Scalar, ...]]  # the position of a parameter, and values of it
_ALWAYS: _Condition = (None, ())


def parse_group(children: Mapping[str, Node], path: str) -> dict[str, Node]:
    """A checked tree of Domain, Switch, Repeat, When and Group from what a user may write at `path`.

    Raises:
        SpaceError: a part of it is impossible, a condition names a parameter or value that is not there.
    """
    if not isinstance(children, Mapping):
        raise SpaceError(f"`{path}` must be a dict of parameters, and is {children!r:.120}.")
    parsed: dict[str, Node] = {}
    for name, node in children.items():
        check_name(name)
        parsed[name] = _parse(node, joined(path, name))
    return {name: _settled(node, joined(path, name), parsed) for name, node in parsed.items()}


def parameters(root: Mapping[str, Node]) -> list[Parameter]:
    """The parameters of a parsed tree, each after the one it depends on.

    Raises:
        SpaceError: two have one path, or conditions do not nest.
    """
    walk = _Walk()
    walk.group(root, "", _ALWAYS)
    return walk.found


def to_json(node: Node) -> Any:
    """The tree as JSON values, which can be parsed again."""
    if isinstance(node, _DOMAINS):
        return node.to_json()
    if isinstance(node, Group):
        return {"type": "group", "children": group_to_json(node.children)}
    if isinstance(node, Switch):
        branches = {name: group_to_json(children) for name, children in node.options.items()}
        form: dict[str, Any] = {"type": "switch", "options": branches}
        form |= {"default": node.default} if node.default is not None else {}
        return form | ({"weights": list(node.weights)} if node.weights is not None else {})
    if isinstance(node, Repeat):
        form = {"type": "repeat", "low": node.low, "high": node.high, "body": to_json(node.body)}
        return form | ({"default": node.default} if node.default is not None else {})
    return {"type": "when", "values": dict(node.values), "body": to_json(node.body)}


def group_to_json(children: Mapping[str, Node]) -> dict[str, Any]:
    """The trees of a group as JSON values."""
    return {name: to_json(node) for name, node in children.items()}


def suggest(path: str, known: Collection[str]) -> str:
    """Which of the `known` names could be meant by `path`; the end of an error's message."""
    from difflib import get_close_matches  # noqa: PLC0415 - only for an error

    near = get_close_matches(path, list(known), n=1)
    if near:
        return f" Did you mean `{near[0]}`?"
    names = ", ".join(f"`{name}`" for name in list(known)[:12])
    return f" The parameters are {names}{', …' if len(known) > 12 else ''}." if names else ""


class _Walk:
    """Finds the parameters of a tree."""

    def __init__(self) -> None:
        self.found: list[Parameter] = []
        self.places: dict[str, int] = {}

    def group(self, children: Mapping[str, Node], scope: str, when: _Condition) -> None:
        """Add the parameters of a group that exists under `when`; those with conditions after the others."""
        late = {name: node for name, node in children.items() if isinstance(node, When)}
        for name, node in children.items():
            if name not in late:
                self.node(node, joined(scope, name), scope, when)
        while late:
            ready = [name for name, node in late.items() if not any(_within(n, late) for n in _needs(node))]
            if not ready:
                names = ", ".join(f"`{joined(scope, name)}`" for name in late)
                raise SpaceError(f"The conditions of {names} form a circle: each waits for another. Leave one out.")
            for name in ready:
                self.node(late.pop(name), joined(scope, name), scope, when)

    def node(self, node: Node, path: str, scope: str, when: _Condition) -> None:
        """Add the parameters of what is at `path`, in the group at `scope`."""
        if isinstance(node, Group):
            self.group(node.children, path, when)
        elif isinstance(node, Switch):
            place = self._add(path, node.choice, when)
            for name, children in node.options.items():
                self.group(children, f"{path}.{name}", (place, (name,)))
        elif isinstance(node, Repeat):
            place = self._add(path, node.count, when)
            for i in range(node.high):
                enough = tuple(range(max(i + 1, node.low), node.high + 1))
                self.node(node.body, f"{path}.{i}", f"{path}.{i}", (place, enough))
        elif isinstance(node, When):
            [(name, values)] = node.values.items()
            place = self.places[joined(scope, name)]
            if not self._under(place, when):
                raise SpaceError(
                    f"`{path}` depends on `{name}` and on another parameter, but `{name}` does not depend "
                    "on that one. Conditions must nest: "
                    f"give `{name}` the other condition too, or leave one out."
                )
            self.node(node.body, path, scope, (place, tuple(values)))
        else:
            self._add(path, node, when)

    def _add(self, path: str, domain: Domain, when: _Condition) -> int:
        if path in self.places:
            raise SpaceError(f"Two parameters are called `{path}`. Rename one.")
        self.places[path] = len(self.found)
        self.found.append(Parameter(path, domain, *when))
        return self.places[path]

    def _under(self, place: int, when: _Condition) -> bool:
        """Whether the parameter at `place` exists only under the condition `when`."""
        at: int | None = place
        while at is not None:
            if (self.found[at].parent, self.found[at].among) == when:
                return True
            at = self.found[at].parent
        return False


def _parse(node: Node, path: str) -> Node:
    node = _read(node, path)
    if isinstance(node, Switch):
        branches = {name: parse_group(body, f"{path}.{name}") for name, body in node.options.items()}
        return Switch(branches, node.default, node.weights)
    if isinstance(node, Repeat):
        inner = f"{path}.0"
        return Repeat(node.low, node.high, _settled(_parse(node.body, inner), inner, {}), node.default)
    if isinstance(node, When):
        return When(node.values, _parse(node.body, path))
    if isinstance(node, Group):
        return Group(parse_group(node.children, path))
    return node


def _read(node: Node, path: str) -> Node:
    """A Domain, Switch, Repeat, When or Group for what may also be written as a list, a dict or JSON."""
    if isinstance(node, (*_DOMAINS, Switch, Repeat, When, Group)):
        return node
    if isinstance(node, Mapping) and not isinstance(node.get("type"), str):
        return Group(node)
    if not isinstance(node, (Mapping, list)):
        raise SpaceError(
            f"`{path}` is {node!r:.120} ({type(node).__name__}), which says nothing about what can vary. "
            "Pass Float, Int, Log, Bool, Choice, a list of options, Switch, Repeat, When or a dict of these; "
            "pass a fixed value to the objective itself."
        )
    try:
        return Choice(node) if isinstance(node, list) else _from_json(node)
    except SpaceError as error:
        raise SpaceError(f"`{path}`: {error}") from None


def _from_json(form: Mapping[str, Any]) -> Node:
    kind = form["type"]
    try:
        if kind in ("float", "int", "choice"):
            return domain_from_json(form)
        if kind == "group":
            return Group(form["children"])
        if kind == "switch":
            return Switch(form["options"], form.get("default"), form.get("weights"))
        if kind == "repeat":
            return Repeat(form["low"], form["high"], form["body"], form.get("default"))
        if kind == "when":
            return When(form["values"], form["body"])
    except KeyError as error:
        raise SpaceError(f"{dict(form)!r:.200} lacks {error}.") from None
    raise SpaceError(f"the type {kind!r} is not one of float, int, choice, switch, repeat, when, group.")


def _settled(node: Node, path: str, beside: Mapping[str, Node]) -> Node:
    """`node` with the values of its conditions as labels of the parameters `beside` it that they name."""
    if not isinstance(node, When):
        return node
    [(name, wanted)] = node.values.items()
    domain = _domain_at(str(name), beside)
    if domain is None:
        near = suggest(str(name), beside)
        raise SpaceError(f"`{path}` depends on `{name}`, which is not a parameter beside it.{near}")
    if domain.size == float("inf"):
        raise SpaceError(f"`{path}` depends on `{name}`, which is continuous. Depend on a Choice or an Int.")
    try:
        raws = _raws(domain, wanted)
    except SpaceError as error:
        raise SpaceError(f"`{path}` depends on a value of `{name}` that it never has: {error}") from None
    if not raws:
        raise SpaceError(f"`{path}` depends on `{name}`, but on no value of it. Name at least one.")
    labels = [domain.to_value(raw) for raw in sorted(raws)]
    return When({name: labels}, _settled(node.body, path, beside))


def _raws(domain: Domain, wanted: Any) -> set[float]:
    if not isinstance(wanted, (list, tuple, set, frozenset)):
        return {domain.to_raw(wanted)}
    try:
        return {domain.to_raw(value) for value in wanted}
    except SpaceError:
        with suppress(SpaceError):  # perhaps one option that is itself a list
            return {domain.to_raw(wanted)}
        raise


def _domain_at(name: str, children: Mapping[str, Node]) -> Domain | None:
    """The domain of the parameter called `name` (or inside of one: `net.kind`), if there is one."""
    for scope, node in children.items():
        body = node
        while isinstance(body, When):
            body = body.body
        if name == scope and isinstance(body, (Switch, Repeat)):
            return body.choice if isinstance(body, Switch) else body.count
        if name == scope and isinstance(body, _DOMAINS):
            return body
        inner = name.removeprefix(f"{scope}.")
        if inner != name and (found := _domain_at(inner, _inside(body))) is not None:
            return found
    return None


def _inside(node: Node) -> Mapping[str, Node]:
    """The parts of a node by the next step of their paths."""
    if isinstance(node, Group):
        return node.children
    if isinstance(node, Switch):
        return {name: Group(children) for name, children in node.options.items()}
    return {str(i): node.body for i in range(node.high)} if isinstance(node, Repeat) else {}


def _within(name: str, scopes: Collection[str]) -> bool:
    """Whether `name` is one of `scopes`, or inside of one."""
    return any(name == scope or name.startswith(f"{scope}.") for scope in scopes)


def _needs(node: Node) -> Iterator[str]:
    """The names on which a condition depends, and those in it on the same parameters."""
    while isinstance(node, When):
        yield next(iter(node.values))
        node = node.body
