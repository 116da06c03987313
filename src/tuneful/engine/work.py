"""What a worker is to do, as bytes that any executor can carry."""

from __future__ import annotations

import contextlib
import functools
import importlib
import inspect
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

import cloudpickle

from tuneful.errors import ObjectiveError
from tuneful.protocols import Pruner
from tuneful.space import Space


@dataclass(frozen=True)
class Work:
    """All that a worker needs to run trials of a study.

    Attributes:
        address: The study, as text without a password.
        objective: What to run.
        space: The space that is searched, with the objects of its options; None for the stored one.
        prune: Judges running trials.
        of: The value of a trial: `last` or `best`.
        checkpoints: The folder for states.
        settings: System settings to hand to trials.
        setup: Called once in each worker before its first trial.
        lease: Seconds after which a silent worker is given up.
        trial_timeout: Seconds that a trial may take.
        trial_memory: Bytes that a worker may hold in memory, with its children.
    """

    address: str
    objective: Callable[..., Any]
    space: Space | None = None
    prune: Pruner | None = None
    of: str = "last"
    checkpoints: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    setup: Callable[[], object] | None = None
    lease: float = 60.0
    trial_timeout: float | None = None
    trial_memory: int | None = None

    def packed(self) -> bytes:
        """It as bytes.

        Functions of scripts, notebooks and other places that a worker cannot import travel whole, with what they use;
        those of modules by name.

        Raises:
            ObjectiveError: it cannot be sent; the message names what is in the way.
        """
        functions = {"objective": self.objective, "setup": self.setup}
        with contextlib.ExitStack() as stack:
            for function in functions.values():
                stack.enter_context(_by_value(function))
            try:
                return bytes(cloudpickle.dumps(self))
            except Exception as error:
                for what, function in functions.items():
                    if function is not None and not _travels(function):
                        raise ObjectiveError(_blame(what, function)) from error
                raise ObjectiveError(f"The study cannot be sent to worker processes: {error}.") from error


def unpacked(work: bytes) -> Work:
    """What `Work.packed` packed.

    Raises:
        ObjectiveError: this process cannot load it.
    """
    try:
        found: Work = cloudpickle.loads(work)
    except Exception as error:
        raise ObjectiveError(
            f"The worker cannot load the objective: {type(error).__name__}: {error}. What it imports must be installed "
            f"where the worker runs, and found on its path."
        ) from error
    for function in (found.objective, found.setup):
        _place_in_main(_plain(function))
    return found


def found_by_name(name: str) -> Callable[..., Any]:
    """The function `module:function`, imported.

    Raises:
        ObjectiveError: there is none.
    """
    module, _, function = name.partition(":")
    if not module or not function:
        raise ObjectiveError(f"{name!r} names no objective. Write module:function, as in train:main.")
    try:
        found: Any = importlib.import_module(module)
        for part in function.split("."):
            found = getattr(found, part)
    except Exception as error:
        raise ObjectiveError(f"The objective {name} cannot be imported: {type(error).__name__}: {error}.") from error
    if not callable(found):
        raise ObjectiveError(f"The objective {name} is {found!r:.80}, which cannot be called.")
    return found  # type: ignore[no-any-return]  # what can be called is one


@contextlib.contextmanager
def _by_value(function: object) -> Iterator[None]:
    """Let the functions of a module travel whole if a worker could not import it."""
    module = inspect.getmodule(_plain(function))
    known = {"__main__", *cloudpickle.list_registry_pickle_by_value()}
    if module is None or module.__name__ in known or _is_importable(module):
        yield
        return
    cloudpickle.register_pickle_by_value(module)
    try:
        yield
    finally:
        cloudpickle.unregister_pickle_by_value(module)


def _is_importable(module: ModuleType) -> bool:
    """Whether a worker finds this very module by its name."""
    if module.__name__ in sys.builtin_module_names:
        return True
    found: list[ModuleSpec] = []
    parts = module.__name__.split(".")
    for n in range(1, len(parts) + 1):
        path = found[-1].submodule_search_locations if found else None
        found = [spec for finder in sys.meta_path if (spec := finder.find_spec(".".join(parts[:n]), path))]
        if not found:
            return False
    return getattr(module, "__file__", None) in [spec.origin for spec in found]


def _plain(function: Any) -> Any:
    """A function without the arguments that it is bound to."""
    while isinstance(function, functools.partial):
        function = function.func
    return function


def _place_in_main(function: Any) -> None:
    """Have what a function of a script uses in the `__main__` of this process: pickle looks there for it by name."""
    called = function if inspect.isroutine(function) else type(function).__call__
    if getattr(function, "__module__", None) == "__main__":
        for name, thing in {**getattr(called, "__globals__", {}), **_named(function)}.items():
            if getattr(thing, "__module__", None) == "__main__":
                vars(sys.modules["__main__"]).setdefault(name, thing)


def _named(function: Any) -> dict[str, Any]:
    """A function, or the class of what is called like one, by its name."""
    named = function if inspect.isroutine(function) else type(function)
    return {named.__name__: named}


def _travels(thing: object) -> bool:
    try:
        cloudpickle.dumps(thing)
    except Exception:  # noqa: BLE001 - whatever a class raises that does not want to be copied
        return False
    return True


def _blame(what: str, function: Callable[..., Any]) -> str:
    """Which variable of a function cannot be sent."""
    plain = _plain(function)
    name = getattr(plain, "__name__", type(plain).__name__)
    variables = dict(getattr(getattr(plain, "__self__", plain), "__dict__", {}))
    with contextlib.suppress(TypeError):  # it is no function
        used = inspect.getclosurevars(plain)
        variables |= {**used.globals, **used.nonlocals}
    guilty = [(variable, value) for variable, value in variables.items() if not _travels(value)]
    held = " and ".join(f"`{variable}` (a {type(value).__name__})" for variable, value in guilty[:3])
    reason = f"it uses {held}, which cannot be copied to another process" if held else "it cannot be pickled"
    return (
        f"The {what} {name}() cannot be sent to worker processes: {reason}. Make it inside the function, or once per "
        "worker in setup=."
    )
