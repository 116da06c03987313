"""A relation that the parameters of a config must satisfy, written as an expression."""

from __future__ import annotations

import ast
import math
import unicodedata
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import CodeType
from typing import Any

from tuneful.errors import SpaceError
from tuneful.space.tree import suggest

_ALLOWED = (
    *(ast.Expression, ast.Compare, ast.BoolOp, ast.BinOp, ast.UnaryOp, ast.Name, ast.Load, ast.Constant),
    *(ast.Add, ast.Sub, ast.Mult, ast.Div, ast.FloorDiv, ast.Mod, ast.Pow, ast.USub, ast.UAdd),
    *(ast.Lt, ast.LtE, ast.Gt, ast.GtE, ast.Eq, ast.NotEq, ast.In, ast.NotIn, ast.And, ast.Or, ast.Not),
    *(ast.Tuple, ast.List),
)
_LONGEST = 1_000  # characters; with it, a bound on the work that one can ask for


def _number(value: Any) -> Any:
    """`value`, which must be a number: a text times a number could fill the memory."""
    if isinstance(value, (int, float)):
        return value
    raise TypeError(f"{value!r:.40} is not a number")


# What Python would compute for minutes is computed in floats, or refused.
_FUNCTIONS: dict[str, Any] = {
    "Mult": lambda a, b: _number(a) * _number(b),
    "Mod": lambda a, b: _number(a) % _number(b),
    "Pow": lambda a, b: math.pow(_number(a), _number(b)),
}
_GLOBALS = {"__builtins__": {}, **_FUNCTIONS}


@dataclass(frozen=True)
class Constraint:
    """An expression over parameters, like `units2 <= units1` or `layers[1].units * 2 <= layers[0].units`.

    Names are parameters by path, with numbers, strings, arithmetic, comparisons, `and`, `or`, `not`, `in`. It
    holds where a parameter that it names does not exist, and not where it has no value (a division by zero).

    Raises:
        SpaceError: it is no such expression, or names something that is not a parameter.

    >>> Constraint("b <= 2 * a", {"a", "b"}).holds({"a": 1, "b": 3})
    False
    """

    text: str
    known: Collection[str] = field(compare=False, repr=False)

    def __post_init__(self) -> None:
        _ = self._compiled

    def __reduce__(self) -> tuple[type[Constraint], tuple[str, list[str]]]:
        return Constraint, (self.text, list(self.known))  # code cannot be pickled

    @cached_property
    def _compiled(self) -> tuple[CodeType, tuple[str, ...]]:
        example = "an expression like 'units2 <= units1'"
        if not isinstance(self.text, str):
            raise SpaceError(f"The constraint {self.text!r:.120} is not text. Write {example}.")
        if len(self.text) > _LONGEST:
            raise SpaceError(f"The constraint {self.text!r:.60} … is longer than {_LONGEST} characters. Split it.")
        try:
            tree = ast.parse(self.text.strip(), mode="eval")
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            raise SpaceError(f"The constraint {self.text!r} is not {example}.") from None
        sign = isinstance(tree.body, ast.UnaryOp) and not isinstance(tree.body.op, ast.Not)
        if sign or isinstance(tree.body, ast.BinOp | ast.Constant | ast.Tuple | ast.List):
            raise SpaceError(f"The constraint {self.text!r} is neither true nor false. Write {example}.")
        reader = _Reader(self.known, self.text)
        try:
            code = compile(ast.fix_missing_locations(reader.visit(tree)), "<constraint>", "eval")
        except (RecursionError, MemoryError):
            raise SpaceError(f"The constraint {self.text!r:.60} … is nested too deeply. Split it.") from None
        if not reader.paths:
            raise SpaceError(f"The constraint {self.text!r} names no parameter. Write {example}.")
        return code, tuple(reader.paths)

    @property
    def paths(self) -> tuple[str, ...]:
        """The parameters that it names."""
        return self._compiled[1]

    def holds(self, config: Mapping[str, Any]) -> bool:
        """Whether `config` (by path) satisfies it.

        Raises:
            SpaceError: it compares or computes with what is not a number.
        """
        code, paths = self._compiled
        try:
            names = {f"p{i}": config[path] for i, path in enumerate(paths)}
        except KeyError:
            return True
        try:
            return bool(eval(code, _GLOBALS, names))  # noqa: S307 - only the nodes of _ALLOWED, and _FUNCTIONS
        except (ArithmeticError, ValueError):
            return False
        except TypeError as error:
            values = ", ".join(f"{path}={config[path]!r}" for path in paths)
            raise SpaceError(
                f"The constraint {self.text!r} cannot be computed for {values}: {error}. Use numbers in it."
            ) from error


class _Reader(ast.NodeTransformer):
    """Replaces `a.b[0].c` by a plain name, remembers the path it is, and refuses what is not allowed."""

    def __init__(self, known: Collection[str], text: str) -> None:
        self.known = {unicodedata.normalize("NFKC", path): path for path in known}  # as Python reads names
        self.text = text
        self.paths: list[str] = []

    def visit(self, node: ast.AST) -> Any:
        if isinstance(node, (ast.Name, ast.Attribute, ast.Subscript)):
            return self._parameter(node)
        scalar = not isinstance(node, ast.Constant) or isinstance(node.value, int | float | str | None)
        if not isinstance(node, _ALLOWED) or not scalar:
            what = node.value if isinstance(node, ast.Constant) else type(node).__name__.lower()
            raise SpaceError(
                f"The constraint {self.text!r} uses {what!s}; it may use parameters, numbers, strings, "
                "arithmetic, comparisons, and, or, not, in."
            )
        self.generic_visit(node)
        if isinstance(node, ast.BinOp) and (name := type(node.op).__name__) in _FUNCTIONS:
            return ast.Call(ast.Name(name, ast.Load()), [node.left, node.right], [])
        return node

    def _parameter(self, node: ast.AST) -> ast.Name:
        path = self.known.get(_path(node) or "")
        if path is None:
            shown = ast.unparse(node)
            near = suggest(shown, self.known)
            raise SpaceError(f"The constraint {self.text!r} names {shown!r}, which is not a parameter.{near}")
        if path not in self.paths:
            self.paths.append(path)
        return ast.Name(f"p{self.paths.index(path)}", ast.Load())


def _path(node: ast.AST) -> str | None:
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        inner = _path(node.value)
        return None if inner is None else f"{inner}.{node.attr}"
    if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
        inner, step = _path(node.value), node.slice.value
        return f"{inner}.{step}" if inner is not None and isinstance(step, int | str) else None
    return None
