"""What one parameter can be: a number or one of several options."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from tuneful.errors import SpaceError
from tuneful.space import options as naming
from tuneful.space.choice import Choice
from tuneful.space.number import Float, Int
from tuneful.space.options import Labelled

Domain = Float | Int | Choice

_NUMBERS: dict[str, type[Float | Int]] = {"float": Float, "int": Int}


def domain_from_json(form: Mapping[str, Any]) -> Domain:
    """The domain that `to_json` wrote, or that somebody wrote in a file.

    Raises:
        SpaceError: something is missing or unknown.

    >>> print(domain_from_json({"type": "float", "low": 1e-5, "high": 0.1, "log": True}))
    Float(1e-05, 0.1, log=True)
    """
    settings = {key: value for key, value in form.items() if key != "type"}
    if form["type"] == "choice":
        _check_keys(form, {"options"}, {"weights", "ordered", "default"})
        if not isinstance(settings["options"], list):
            raise SpaceError(f"{dict(form)!r:.200}: the options must be a list.")
        pairs = [naming.from_json(option) for option in settings.pop("options")]
        if "default" in settings:
            settings["default"] = naming.from_json(settings["default"])[0]
        return Choice(Labelled(pairs), **settings)
    kind = _NUMBERS[form["type"]]
    _check_keys(form, {"low", "high"}, {field.name for field in fields(kind)} - {"low", "high"})
    if settings.get("belief") is not None:
        from tuneful.space.beliefs import belief_from_json  # noqa: PLC0415 - scipy loads only when believed

        settings["belief"] = belief_from_json(settings["belief"])
    return kind(**settings)


def _check_keys(form: Mapping[str, Any], needed: set[str], allowed: set[str]) -> None:
    if missing := needed - form.keys():
        raise SpaceError(f"{dict(form)!r:.200} lacks {min(missing)!r}.")
    if unknown := form.keys() - needed - allowed - {"type"}:
        names = ", ".join(sorted(needed | allowed))
        raise SpaceError(f"{dict(form)!r:.200}: a {form['type']} has no {min(unknown)!r}; it has {names}.")
