"""Objectives: what they vary, and how they are called."""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Callable, Collection, Mapping
from typing import Any, get_type_hints

from tuneful.errors import ObjectiveError
from tuneful.space import Space, spec_of
from tuneful.trial import Trial

Parameters = Mapping[str, inspect.Parameter]

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


def bind(objective: Callable[..., Any], space: Space, settings: Collection[str] = ()) -> Callable[[Trial], Any]:
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
    names = {path.split(".")[0] for path in space.paths}
    accepts_all = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    kinds = _dataclasses(objective, parameters)
    whole = _whole(objective, parameters, names)
    if whole in kinds:
        _check_fields(objective, kinds[whole], names, parameters)
    given = {*names, *settings, *filter(None, (whole, _trial_parameter(parameters)))}
    _check(objective, parameters, space, given, takes_all=accepts_all or whole is not None)

    def named(params: dict[str, Any]) -> dict[str, Any]:
        found = {n: _built(kinds.get(n), v) for n, v in params.items() if accepts_all or n in parameters}
        return found if whole is None else {**found, whole: _built(kinds.get(whole), params)}

    return _caller(objective, parameters, named)


def _whole(objective: Callable[..., Any], parameters: Parameters, names: set[str]) -> str | None:
    """The parameter that gets everything: the only one that is a dataclass, or one that the space does not have."""
    if (only := _dataclass_parameter(objective)) is not None:
        return only[0]
    accepts_all = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    words = set() if accepts_all else set(_WHOLE)
    kinds = _dataclasses(objective, parameters)
    needed = {name for name in kinds if parameters[name].default is inspect.Parameter.empty}
    return next((name for name in parameters if name in (words | needed) - names), None)


def takes_trial(objective: Callable[..., Any]) -> bool:
    """Whether an objective wants the trial itself."""
    try:
        return _trial_parameter(inspect.signature(objective).parameters) is not None
    except (TypeError, ValueError):
        return False


def _trial_parameter(parameters: Parameters) -> str | None:
    """The parameter for the trial: `trial`, or one that is annotated as a Trial."""
    if _TRIAL in parameters:
        return _TRIAL
    kinds = {n: p.annotation if isinstance(p.annotation, str) else _called(p.annotation) for n, p in parameters.items()}
    return next((name for name, kind in kinds.items() if kind.rpartition(".")[2] == "Trial"), None)


def _check(
    objective: Callable[..., Any], parameters: Parameters, space: Space, given: Collection[str], *, takes_all: bool
) -> None:
    trial = _trial_parameter(parameters)
    for name, parameter in parameters.items():
        if parameter.kind is parameter.POSITIONAL_ONLY and name != trial:
            raise ObjectiveError(f"{_name(objective)} takes `{name}` by position only. Let it be given by name.")
        named = parameter.kind not in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL)
        if named and parameter.default is parameter.empty and name not in given:
            raise ObjectiveError(
                f"{_name(objective)} needs `{name}`, which nothing gives. Add it to the space, give it a default, or "
                f"pass settings={{{name!r}: …}} if it is no hyperparameter."
            )
    missing = sorted({path.split(".")[0] for path in space.paths} - parameters.keys())
    if missing and not takes_all and trial is None:
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


def _check_fields(objective: Callable[..., Any], kind: type, names: set[str], parameters: Parameters) -> None:
    fields = {field.name: field for field in dataclasses.fields(kind) if field.init}
    who = f"{_name(objective)} takes a {kind.__name__}, "
    if unknown := sorted(names - fields.keys() - parameters.keys()):
        raise ObjectiveError(
            f"{who}which has no field `{unknown[0]}`, which the space varies. Add it, or take it out of the space."
        )
    for name, field in fields.items():
        if name not in names and field.default is field.default_factory is dataclasses.MISSING:
            raise ObjectiveError(
                f"{who}of which `{name}` is not in the space. Add it to the space, or give it a default."
            )


def _caller(
    objective: Callable[..., Any], parameters: Parameters, named: Callable[[dict[str, Any]], dict[str, Any]]
) -> Callable[[Trial], Any]:
    """The call with what `named` makes of the params, and the settings and the trial where they are asked for."""
    name = _trial_parameter(parameters)
    first = name is not None and parameters[name].kind is inspect.Parameter.POSITIONAL_ONLY

    def call(trial: Trial) -> Any:
        given = named(trial.params) | {n: v for n, v in trial.settings.items() if n in parameters}
        if first:
            return objective(trial, **given)
        return objective(**given) if name is None else objective(**{**given, name: trial})

    return call


def _dataclass_parameter(objective: Callable[..., Any]) -> tuple[str, type] | None:
    """The name and type of a dataclass that an objective takes as its only parameter beside the trial."""
    try:
        parameters = inspect.signature(objective).parameters
    except (TypeError, ValueError):
        return None
    names = parameters.keys() - {_trial_parameter(parameters)}
    kinds = _dataclasses(objective, parameters)
    return next(iter(kinds.items())) if len(names) == 1 and kinds else None


def _dataclasses(objective: Callable[..., Any], parameters: Parameters) -> dict[str, type]:
    """The parameters that are annotated as a dataclass."""
    function: Any = objective
    while isinstance(function, functools.partial):
        function = function.func
    if not inspect.isroutine(function):
        function = type(function).__call__
    try:
        hints = get_type_hints(function)
    except Exception:  # noqa: BLE001 - text that is evaluated may raise anything
        return {}
    known = {name: hints.get(name) for name in parameters}
    return {n: kind for n, kind in known.items() if dataclasses.is_dataclass(kind) and isinstance(kind, type)}


def _built(kind: type | None, value: Any) -> Any:
    return _build(kind, value) if kind is not None and isinstance(value, Mapping) else value


def _build(kind: type, params: Mapping[str, Any]) -> Any:
    """A dataclass from nested params, with its own defaults for the rest."""
    hints = get_type_hints(kind)
    values = {}
    for field in dataclasses.fields(kind):
        if field.name in params:
            hint = hints.get(field.name)
            inner = hint if dataclasses.is_dataclass(hint) and isinstance(hint, type) else None
            values[field.name] = _built(inner, params[field.name])
    return kind(**values)


def _called(annotation: object) -> str:
    return str(getattr(annotation, "__name__", ""))


def _name(objective: Callable[..., Any]) -> str:
    return f"{getattr(objective, '__name__', type(objective).__name__)}()"
