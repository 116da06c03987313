"""A state as data: a tree that JSON can hold, and the leaves that it cannot.

None, bool, int, finite float, str and list are themselves in JSON. Everything else is an object with one key,
which says what it is:

| node | stands for |
|---|---|
| `{"dict": [[key, value], …]}` | a dict in its order; the keys are nodes too |
| `{"tuple": […]}` | a tuple |
| `{"float": "nan"}` | a float that JSON has no word for |
| `{"int": "0x…"}` | an int longer than 64 bits |
| `{"surrogates": hex}` | a str with lone surrogates, which JSON would join |
| `{"base64": text}`, `{"bytes": name}` | short bytes; long bytes, kept in a file |
| `{"scalar": [dtype, hex]}` | a numpy number, bool or date |
| `{"str_": node}`, `{"bytes_": node}`, `{"item": name}` | another numpy scalar |
| `{"array": name}`, `{"tensor": name}`, `{"path": name}` | a leaf kept in a file |
"""

from __future__ import annotations

import base64
import enum
import math
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tuneful.checkpoints.refusal import array_refusal, refusal, tensor_refusal, type_of
from tuneful.errors import CheckpointError

Node = Any  # None, bool, int, float, str, a list of nodes, or a dict with one key

_DEEPEST = 100  # so that neither Python nor JSON runs out of stack, whoever calls
_INLINE = 1024  # bytes; longer ones get a file of their own


@dataclass(frozen=True)
class Leaves:
    """What a tree refers to by name, one dict a kind. Blobs are long bytes; paths, files or folders."""

    arrays: dict[str, NDArray[Any]] = field(default_factory=dict)
    tensors: dict[str, Any] = field(default_factory=dict)
    blobs: dict[str, bytes] = field(default_factory=dict)
    paths: dict[str, Path] = field(default_factory=dict)


def encode(state: object) -> tuple[Node, Leaves]:
    """Part a state into a tree for JSON and its leaves. Nothing is copied or written.

    Subclasses of dict, list, tuple and of Python's scalars are taken for their base class.

    Args:
        state: any nesting of dicts, lists, tuples, None, bool, int, float, str, bytes, numpy arrays,
            numpy scalars, torch tensors, and paths to files or folders. Keys are scalars or tuples of them.

    Returns:
        The tree, and the leaves that it names.

    Raises:
        CheckpointError: there is something else in the state (the message says where), or the state itself.

    >>> encode({"epoch": 3, "best": (0.5, float("nan"))})[0]
    {'dict': [['epoch', 3], ['best', {'tuple': [0.5, {'float': 'nan'}]}]]}
    """
    encoder = _Encoder()
    return encoder.node(state), encoder.leaves


def decode(tree: Node, leaves: Leaves) -> Any:
    """Build the state again from what `encode` gave, or from leaves that are equal to those.

    Raises:
        KeyError: the tree names a leaf or a kind of node that does not exist.
        TypeError: the tree is not one that `encode` gave.
        ValueError: the same.

    >>> decode(*encode({1: [None, -0.0, b"raw"], "1": ("é",)}))
    {1: [None, -0.0, b'raw'], '1': ('é',)}
    """
    if isinstance(tree, list):
        return [decode(node, leaves) for node in tree]
    if not isinstance(tree, dict):
        return tree
    ((kind, content),) = tree.items()
    return _DECODERS[kind](content, leaves)


class _Encoder:
    def __init__(self) -> None:
        self.leaves = Leaves()
        self.trail: list[object] = []  # the keys that lead to the value at hand
        self.opened: list[object] = []  # the containers around it

    def node(self, value: Any) -> Node:
        for kind, encoded in _ENCODERS:
            if isinstance(value, kind):
                return encoded(self, value)
        # A tensor can only exist where torch is already imported.
        tensor = getattr(sys.modules.get("torch"), "Tensor", None)
        return self.other(value) if tensor is None or not isinstance(value, tensor) else self.tensor(value)

    def container(self, value: dict[Any, Any] | list[Any] | tuple[Any, ...]) -> Node:
        if any(value is outer for outer in self.opened):
            what = f"it is the {type(value).__name__} that it is in. Leave this reference out"
            raise CheckpointError(f"Cannot save `{self.place()}`: {what}.")
        if len(self.opened) == _DEEPEST:
            what = f"it is nested more than {_DEEPEST} deep. Pass a flatter state"
            raise CheckpointError(f"Cannot save `{self.place()}`: {what}.")
        self.opened.append(value)
        node: Node
        if isinstance(value, dict):
            node = {"dict": [[self.key(key), self.child(key, item)] for key, item in value.items()]}
        else:
            items = [self.child(i, item) for i, item in enumerate(value)]
            node = items if isinstance(value, list) else {"tuple": items}
        self.opened.pop()
        return node

    def child(self, key: object, value: object) -> Node:
        self.trail.append(key)
        node = self.node(value)
        self.trail.pop()
        return node

    def key(self, key: object) -> Node:
        if not _is_key(key):
            raise CheckpointError(
                f"Cannot save `{self.place()}` with the key {key!r}, {type_of(key)}: keys are strings, "
                f"numbers, None and tuples of those. Pass such a key."
            )
        return self.child(key, key)

    def plain(self, value: Any) -> Node:
        if isinstance(value, str):
            return _text(value)
        if isinstance(value, int):
            return {"int": hex(value)} if value.bit_length() > 64 else value
        return {"float": float.__repr__(value)} if value is not None and not math.isfinite(value) else value

    def blob(self, value: bytes) -> Node:
        if len(value) <= _INLINE:
            return {"base64": base64.b64encode(value).decode()}
        name = self.next_file()
        self.leaves.blobs[name] = value
        return {"bytes": name}

    def path(self, path: Path) -> Node:
        if not (path.is_file() or path.is_dir()):
            what = f"there is no file or folder {path}. Write it before you save its path"
            raise CheckpointError(f"Cannot save `{self.place()}`: {what}.")
        name = path.name if path.name not in {"", ".."} else path.resolve().name
        name = f"{self.next_file()}/{name}"
        self.leaves.paths[name] = path
        return {"path": name}

    def next_file(self) -> str:
        return str(len(self.leaves.blobs) + len(self.leaves.paths))

    def array(self, value: NDArray[Any]) -> Node:
        # Other subclasses mean more than their elements: a mask, a unit.
        if type(value) not in (np.ndarray, np.memmap):
            return self.other(value)
        return {"array": self.stored(value)}

    def stored(self, array: NDArray[Any]) -> str:
        if refused := array_refusal(self.place(), array.dtype):
            raise CheckpointError(refused)
        name = str(len(self.leaves.arrays))
        self.leaves.arrays[name] = array
        return name

    def scalar(self, value: np.generic) -> Node:
        if isinstance(value, np.str_):
            return {"str_": _text(value)}
        if isinstance(value, np.bytes_):
            return {"bytes_": self.blob(value)}
        if value.dtype.isbuiltin == 1 or value.dtype.kind in "mM":
            return {"scalar": [value.dtype.str, value.tobytes().hex()]}
        return {"item": self.stored(np.asarray(value))}

    def tensor(self, value: Any) -> Node:
        if refused := tensor_refusal(self.place(), value):
            raise CheckpointError(refused)
        name = str(len(self.leaves.tensors))
        self.leaves.tensors[name] = value
        return {"tensor": name}

    def other(self, value: object) -> Node:
        raise CheckpointError(refusal(self.place(), value))

    def place(self) -> str:
        return "state" + "".join(f"[{key!r}]" for key in self.trail)


def _is_key(key: object) -> bool:
    if isinstance(key, tuple):
        return all(_is_key(part) for part in key)
    return isinstance(key, (str, int, float, bytes, type(None), np.generic))


def _text(value: str) -> Node:
    try:
        value.encode()
    except UnicodeEncodeError:
        return {"surrogates": value.encode("utf-8", "surrogatepass").hex()}
    return value


# The first that fits: a numpy float is also a float, and a member of an enumeration may be an int.
_ENCODERS: tuple[tuple[type | tuple[type, ...], Callable[[_Encoder, Any], Node]], ...] = (
    (np.generic, _Encoder.scalar),
    (enum.Enum, _Encoder.other),
    ((str, int, float, type(None)), _Encoder.plain),
    ((dict, list, tuple), _Encoder.container),
    (bytes, _Encoder.blob),
    (np.ndarray, _Encoder.array),
    (Path, _Encoder.path),
)
_DECODERS: dict[str, Callable[[Any, Leaves], Any]] = {
    "dict": lambda pairs, leaves: {decode(key, leaves): decode(value, leaves) for key, value in pairs},
    "tuple": lambda nodes, leaves: tuple(decode(node, leaves) for node in nodes),
    "float": lambda text, _: float(text),
    "int": lambda text, _: int(text, 16),
    "surrogates": lambda text, _: bytes.fromhex(text).decode("utf-8", "surrogatepass"),
    "base64": lambda text, _: base64.b64decode(text, validate=True),
    "bytes": lambda name, leaves: leaves.blobs[name],
    "scalar": lambda content, _: np.frombuffer(bytes.fromhex(content[1]), content[0])[0],
    "str_": lambda node, leaves: np.str_(decode(node, leaves)),
    "bytes_": lambda node, leaves: np.bytes_(decode(node, leaves)),
    "item": lambda name, leaves: leaves.arrays[name][()],
    "array": lambda name, leaves: leaves.arrays[name],
    "tensor": lambda name, leaves: leaves.tensors[name],
    "path": lambda name, leaves: leaves.paths[name],
}
