"""Objectives: what they vary, and how they are called."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Mapping
from typing import Any, get_type_hints

from tuneful.errors import ObjectiveError
from tuneful.space import Space, spec_of
from tuneful.trial import Trial

_TRIAL, _WHOLE = "trial", ("config", "cfg", "params")


def space_of(objective: Callable[..., Any], spec: object = None, constraints: tuple[str, ...] = ()) -> Space:
    """The space that is given, else the one in the objective's signature, else one that grows as it runs.

    Args:
        objective: The function to tune.
        spec: A Space, a dict, or a dataclass with annotated fields; None for the signature.
        constraints: Relations between parameters.

    Raises:
        SpaceError: a part of it is impossible.
        ObjectiveError: nothing says what can vary.
    """
    if isinstance(spec, Space):
        return spec
    if isinstance(spec, type):
        spec = spec_of(spec)
    if spec is None:
        spec = signature_spec(objective)
        if not spec:
            if not takes_trial(objective):
                raise ObjectiveError(
                    f"Nothing says what {_name(objective)} may vary. Pass a space, as in minimize(f, "
                    "{'lr': Log(1e-5, 1e-1)}), annotate its parameters, or let it take a `trial`."
                )
            return Space({}, open=True)
    return Space(spec, constraints)  # type: ignore[arg-type]  # Space says what is wrong with it


def signature_spec(objective: Callable[..., Any]) -> dict[str, Any]:
    """What the signature of an objective declares; the fields of its dataclass if it takes just one."""
    if (whole := _dataclass_parameter(objective)) is not None:
        return spec_of(whole[1])
    return spec_of(objective)


def bind(objective: Callable[..., Any], space: Space) -> Callable[[Trial], Any]:
    """The objective as a function of a trial.

    It may take the parameters by name, `trial`, system settings by name, or everything in one `config`, `cfg` or
    `params` (a dict) or a dataclass.

    Raises:
        ObjectiveError: it cannot be called, or takes something that is neither in the space nor has a default.
    """
    if not callable(objective):
        raise ObjectiveError(f"The objective is {objective!r:.80}, which cannot be called. Pass a function.")
    try:
        parameters = inspect.signature(objective).parameters
    except (TypeError, ValueError):  # a builtin that hides its signature
        return lambda trial: objective(**trial.params)
    if (whole := _dataclass_parameter(objective)) is not None:
        name, kind = whole
        return lambda trial: objective(**{name: _build(kind, trial.params)}, **_extras(parameters, trial))
    names = {path.split(".")[0] for path in space.paths}
    accepts_all = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    for word in _WHOLE:
        if word in parameters and word not in names and not accepts_all:
            return lambda trial, word=word: objective(**{word: trial.params}, **_extras(parameters, trial))
    _check(objective, parameters, space, names, accepts_all=accepts_all)
    if _only_trial(objective, parameters):
        return objective

    def call(trial: Trial) -> Any:
        given = {n: v for n, v in trial.params.items() if accepts_all or n in parameters}
        return objective(**given, **_extras(parameters, trial))

    return call


def takes_trial(objective: Callable[..., Any]) -> bool:
    """Whether an objective wants the trial itself."""
    try:
        parameters = inspect.signature(objective).parameters
    except (TypeError, ValueError):
        return False
    return _TRIAL in parameters or _only_trial(objective, parameters)


def _only_trial(objective: Callable[..., Any], parameters: Mapping[str, inspect.Parameter]) -> bool:
    """Whether its only required parameter is the trial, under whatever name its annotation proves it."""
    required = [p for p in parameters.values() if p.default is p.empty and p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)]
    if len(required) != 1:
        return False
    annotation = required[0].annotation
    return required[0].name == _TRIAL and len(parameters) == 1 or annotation in (Trial, "Trial", "tn.Trial")


def _check(
    objective: Callable[..., Any],
    parameters: Mapping[str, inspect.Parameter],
    space: Space,
    names: set[str],
    *,
    accepts_all: bool,
) -> None:
    for name, parameter in parameters.items():
        if parameter.kind is parameter.POSITIONAL_ONLY and name != _TRIAL:
            raise ObjectiveError(f"{_name(objective)} takes `{name}` by position only. Let it be given by name.")
    if _only_trial(objective, parameters):
        return
    missing = sorted(names - parameters.keys())
    if missing and not accepts_all and _TRIAL not in parameters:
        raise ObjectiveError(
            f"{_name(objective)} does not take `{missing[0]}`, which the space varies. Add the parameter, "
            "or take **params, `config` (all in a dict) or `trial`."
        )
    conditional = {p.path.split(".")[0] for p in space.parameters if p.parent is not None and "." not in p.path}
    for name in sorted(conditional & parameters.keys()):
        if parameters[name].default is inspect.Parameter.empty:
            raise ObjectiveError(
                f"{_name(objective)} needs `{name}`, which exists only under a condition. Give it a default."
            )


def _extras(parameters: Mapping[str, inspect.Parameter], trial: Trial) -> dict[str, Any]:
    """The trial and the system settings, for those parameters that ask for them."""
    extras = {name: value for name, value in trial.settings.items() if name in parameters}
    return extras | ({_TRIAL: trial} if _TRIAL in parameters else {})


def _dataclass_parameter(objective: Callable[..., Any]) -> tuple[str, type] | None:
    """The name and type of a dataclass that an objective takes as its only parameter beside the trial."""
    try:
        names = [name for name in inspect.signature(objective).parameters if name != _TRIAL]
        hints = get_type_hints(objective)
    except (TypeError, ValueError, NameError):
        return None
    kinds = [(name, hints[name]) for name in names if dataclasses.is_dataclass(hints.get(name))]
    return kinds[0] if len(names) == 1 and kinds and isinstance(kinds[0][1], type) else None


def _build(kind: type, params: Mapping[str, Any]) -> Any:
    """A dataclass from nested params, with its own defaults for the rest."""
    hints = get_type_hints(kind)
    values = {}
    for field in dataclasses.fields(kind):
        if field.name in params:
            value, hint = params[field.name], hints.get(field.name)
            inner = dataclasses.is_dataclass(hint) and isinstance(hint, type) and isinstance(value, Mapping)
            values[field.name] = _build(hint, value) if inner and isinstance(hint, type) else value
    return kind(**values)


def _name(objective: Callable[..., Any]) -> str:
    return f"{getattr(objective, '__name__', type(objective).__name__)}()"
