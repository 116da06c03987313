"""Between flat configs, by path, and the nested params that the objective gets."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from tuneful.errors import SpaceError
from tuneful.space.choice import Choice
from tuneful.space.options import Scalar
from tuneful.space.structure import Group, Node, Repeat, Switch, When, joined
from tuneful.space.tree import suggest


def nested(children: Mapping[str, Node], config: Mapping[str, Scalar], scope: str = "") -> dict[str, Any]:
    """The config in the shape of the tree, with the options themselves for their labels."""
    shaped: dict[str, Any] = {}
    for name, node in children.items():
        path = f"{scope}.{name}" if scope else name
        body = node
        while isinstance(body, When):
            body = body.body
        if isinstance(body, Group):
            inner = nested(body.children, config, path)
            if inner or body is node:
                shaped[name] = inner
        elif path in config:
            shaped[name] = _value(body, config, path)
    return shaped


def flat(root: Mapping[str, Node], params: Mapping[str, Any], known: Collection[str]) -> dict[str, Any]:
    """The values of `params` by path, given in the shape of the tree, by path, or mixed.

    Args:
        root: The tree.
        params: What a user gives.
        known: The paths of all parameters of the tree.

    Raises:
        SpaceError: a name is not in the tree, or a group is no dict.
    """
    reader = _Reader(known)
    reader.group(root, "", params)
    return reader.values


class _Reader:
    """Collects values by path."""

    def __init__(self, known: Collection[str]) -> None:
        self.known = known
        self.values: dict[str, Any] = {}

    def group(self, children: Mapping[str, Node], scope: str, given: Mapping[str, Any]) -> None:
        """Read what is given for a group."""
        for name, value in given.items():
            if name in children:
                self.node(children[name], joined(scope, name), value)
            elif (path := joined(scope, name)) in self.known:
                self.values[path] = value
            else:
                raise SpaceError(f"There is no parameter `{path}`.{suggest(path, self.known)}")

    def node(self, node: Node, path: str, value: Any) -> None:
        """Read what is given for what is at `path`."""
        if isinstance(node, When):
            self.node(node.body, path, value)
        elif isinstance(node, Group):
            if not isinstance(value, Mapping):
                raise SpaceError(f"`{path}` is {value!r:.120}, but stands for several parameters. Pass a dict of them.")
            self.group(node.children, path, value)
        elif isinstance(node, Switch) and isinstance(value, Mapping):
            self._switch(node, path, value)
        elif isinstance(node, Repeat) and isinstance(value, (list, tuple)):
            self.values[path] = len(value)
            for i, inner in enumerate(value[: node.high]):
                self.node(node.body, f"{path}.{i}", inner)
        else:
            self.values[path] = value

    def _switch(self, node: Switch, path: str, value: Mapping[str, Any]) -> None:
        if "name" not in value:
            raise SpaceError(f"`{path}`: {dict(value)!r:.120} lacks 'name', the option: one of {list(node.options)}.")
        name = self.values[path] = value["name"]
        if isinstance(name, str) and name in node.options:  # else its value will be refused
            rest = {key: inner for key, inner in value.items() if key != "name"}
            self.group(node.options[name], f"{path}.{name}", rest)


def _value(node: Node, config: Mapping[str, Scalar], path: str) -> Any:
    value = config[path]
    if isinstance(node, Choice):
        return node.to_object(value)
    if isinstance(node, Switch):
        return {"name": value, **nested(node.options[str(value)], config, f"{path}.{value}")}
    if isinstance(node, Repeat):
        assert isinstance(value, int)
        return [_item(node.body, config, f"{path}.{i}") for i in range(value)]
    return value


def _item(node: Node, config: Mapping[str, Scalar], path: str) -> Any:
    return nested(node.children, config, path) if isinstance(node, Group) else _value(node, config, path)
