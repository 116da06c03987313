"""How the options of a choice are named and stored: by what they are, never by their position."""

from __future__ import annotations

import importlib
import json
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from operator import attrgetter
from typing import Any

import numpy as np

from tuneful.errors import SpaceError

Scalar = None | bool | int | float | str
_SCALARS = (type(None), bool, int, float, str)


def label_of(option: object) -> Scalar:
    """The name under which `option` is stored.

    A JSON scalar is its own label; a class, a function or a member of an enum is `module:name`; a list, tuple
    or dict of such is written out.

    Raises:
        SpaceError: the option has no lasting name (a lambda, an instance); give it one yourself.

    >>> label_of((64, 32)), label_of(json.dumps), label_of(np.float32(0.5))
    ('(64, 32)', 'json:dumps', 0.5)
    """
    option = _plain(option)
    if type(option) is float:
        return option + 0.0  # turns -0.0 into 0.0
    if option is None or type(option) in _SCALARS:
        return option  # type: ignore[return-value]  # one of the scalars
    if isinstance(option, (list, tuple, dict)):
        return _written(option)
    if (name := _importable_name(option)) is not None:
        return name
    shown = getattr(option, "__name__", type(option).__name__)
    raise SpaceError(
        f"The option {option!r:.120} has no name that lasts between runs (an import must find it again). "
        f"Give it one: Choice({{'a name': {'…' if shown == '<lambda>' else shown}, …}})."
    )


def key_of(label: Scalar) -> str:
    """A text that tells 1, True, 1.0 and '1' apart."""
    return json.dumps(label)


def natural_key(option: object) -> str | None:
    """The key of the label that `option` has by itself, if it has one."""
    try:
        return key_of(label_of(option))
    except SpaceError:
        return None


def to_json(option: object, label: Scalar) -> Any:
    """`option` as JSON from which `from_json` makes it again; for an arbitrary object, its label alone."""
    try:
        form = option.form if isinstance(option, Stored) else _form(option)
    except TypeError:
        return {"label": _scalar_to_json(label)}
    if form == {"import": label} or (not _imports(form) and natural_key(option) == key_of(label)):
        return form
    return {"label": _scalar_to_json(label), "value": form}


def from_json(form: Any) -> tuple[Scalar, object]:
    """The (label, option) that `to_json` wrote; what must be imported is imported when first used.

    Raises:
        SpaceError: it is not such a form.
    """
    keys = form.keys() if isinstance(form, dict) else set()
    if keys == {"import"}:
        return form["import"], Stored(form["import"], form)
    if keys == {"label"}:
        label = _made(form["label"])
        return label, GivenInCode(label)
    if keys == {"label", "value"}:
        label, value = _made(form["label"]), form["value"]
        return label, Stored(label, value) if _imports(value) else _made(value)
    option = _made(form)
    return label_of(option), option


@dataclass(frozen=True)
class Stored:
    """An option with classes or functions in it, imported when it is used."""

    label: Scalar
    form: Any

    def load(self) -> object:
        """Import it.

        Raises:
            SpaceError: there is no such module or name any more.
        """
        try:
            return _made(self.form)
        except (ImportError, AttributeError, ValueError) as error:
            raise SpaceError(
                f"The option {self.label!r} cannot be imported ({error}). Pass the space in code, "
                f"with Choice({{{self.label!r}: the object}})."
            ) from error


@dataclass(frozen=True)
class GivenInCode:
    """An option of which only the label was stored."""

    label: Scalar

    def load(self) -> object:
        """Refuse.

        Raises:
            SpaceError: always; the object exists only in the code that made the study.
        """
        raise SpaceError(
            f"The option {self.label!r} is an object of your code, of which the study stores the name only. "
            "Pass the space again when you open the study."
        )


class Labelled(list[tuple[Scalar, object]]):
    """Options as (label, object) pairs; a mapping cannot hold both 1 and True."""


def normal_options(options: object) -> tuple[list[Scalar], list[object]]:
    """The labels and the objects of `options`, a list or a `{label: object}` mapping.

    Raises:
        SpaceError: it is neither, or an option has no name, or a label is not a scalar.
    """
    if isinstance(options, Labelled):
        return [label for label, _ in options], [option for _, option in options]
    if isinstance(options, Mapping):
        for label in options:
            if type(label) not in _SCALARS:
                raise SpaceError(f"Choice: the label {label!r} must be a string, a number, a bool or None.")
        return [label_of(label) for label in options], [_plain(option) for option in options.values()]
    if isinstance(options, (str, bytes)) or not isinstance(options, Sequence | np.ndarray):
        raise SpaceError(f"Choice({options!r:.120}): pass the options as a list, or as {{label: object}}.")
    objects = [_plain(option) for option in options]
    return [label_of(option) for option in objects], objects


def _plain(option: Any) -> Any:
    """`option`, numpy's scalars as Python's."""
    return option.item() if isinstance(option, np.generic) else option


def _importable_name(option: object) -> str | None:
    """`module:name`, if importing that gives `option` again."""
    if isinstance(option, Enum):
        kind = type(option)
        module, name = kind.__module__, f"{kind.__qualname__}.{option.name}"
    else:
        module, name = getattr(option, "__module__", ""), getattr(option, "__qualname__", "")
    try:
        found = attrgetter(name)(sys.modules[module])
    except (KeyError, AttributeError, TypeError):  # some things written in C have no module
        return None
    return f"{module}:{name}" if found is option else None


def _form(option: Any) -> Any:
    """`option` as JSON; a TypeError for what JSON and imports cannot give back, like instances."""
    if type(option) in _SCALARS or isinstance(option, np.generic):
        return _scalar_to_json(_plain(option))
    if type(option) in (list, tuple):
        return {type(option).__name__: [_form(item) for item in option]}
    if type(option) is dict:
        return {"dict": [[_form(key), _form(item)] for key, item in option.items()]}
    if (name := _importable_name(option)) is not None:
        return {"import": name}
    raise TypeError(type(option))


def _imports(form: Any) -> bool:
    """Whether something must be imported to make the option of `form`."""
    if isinstance(form, list):
        return any(map(_imports, form))
    return isinstance(form, dict) and ("import" in form or any(map(_imports, form.values())))


def _made(form: Any) -> Any:
    """The option of which `form` is the JSON."""
    if isinstance(form, list):  # as people write it
        return [_made(item) for item in form]
    if not isinstance(form, dict):
        return form
    if len(form) == 1:
        [(kind, body)] = form.items()
        if kind == "float":
            return float(body)
        if kind == "import":
            module, _, name = body.partition(":")
            return attrgetter(name)(importlib.import_module(module))
        if kind in ("list", "tuple"):
            return (tuple if kind == "tuple" else list)(_made(item) for item in body)
        if kind == "dict":
            return {_made(key): _made(item) for key, item in body}
    raise SpaceError(
        f"Unknown form of an option: {form!r:.120}. Write a string, number, bool, null or list; "
        "or {'dict': [[key, value], …]}, {'tuple': […]}, {'import': 'module:name'}."
    )


def _scalar_to_json(label: Scalar) -> Any:
    if isinstance(label, float) and not math.isfinite(label):
        return {"float": repr(label)}  # JSON has no such numbers
    return label


def _written(option: list[Any] | tuple[Any, ...] | dict[Any, Any]) -> str:
    if isinstance(option, dict):
        return "{" + ", ".join(f"{_shown(key)}: {_shown(item)}" for key, item in option.items()) + "}"
    if isinstance(option, tuple):
        return "(" + ", ".join(map(_shown, option)) + ("," if len(option) == 1 else "") + ")"
    return "[" + ", ".join(map(_shown, option)) + "]"


def _shown(item: object) -> str:
    label = label_of(item)
    return label if isinstance(label, str) and not isinstance(item, str) else repr(label)
