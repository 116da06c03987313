"""What all contracts share: how a law is claimed, and what must not depend on how often one asks."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable, Hashable, Mapping
from typing import Any

from tuneful.errors import SpaceError
from tuneful.history import History
from tuneful.space import Scalar

_COLUMNS = (
    *("state", "reached", "until", "attempt", "began", "seen", "revision", "born", "begun", "ended", "cost"),
    *("space_version", "repeat_of", "parent", "parent_step", "distinct", "started_at", "finished_at"),
    *("x", "inside", "y", "violations", "means", "front"),
)


def claim(holds: object, where: str, law: str) -> None:
    """Raise an AssertionError that says which law is broken, and where, unless it holds."""
    if not holds:
        raise AssertionError(f"{where}: {law}")


def told(value: Any, where: str = "An answer") -> str:
    """`value` as text that is equal only for what is equal in type and value: 1, 1.0 and True are three."""
    try:
        return json.dumps(value, sort_keys=True)
    except (TypeError, ValueError) as error:
        raise AssertionError(f"{where}: {value!r:.200} could not be stored, as it is no JSON: {error}") from None


def facts(history: History) -> Hashable:
    """Everything that is public of a history."""
    n = len(history)
    curves = {
        name: [column.tolist() for column in (curve.trial, curve.step, curve.rev)] + [curve.value.tobytes()]
        for name, curve in history.curves.items()
    }
    return (
        *(n, history.version, history.rev, history.started, history.seed, history.limits, history.space),
        *(getattr(history, name).tobytes() for name in _COLUMNS),
        *(values[:n].tobytes() for values in history.metrics.values()),
        repr(sorted(curves.items())),
        repr([history.config(trial) for trial in range(n)]),
        repr([[history.text(kind, trial) for kind in ("why", "note", "error")] for trial in range(n)]),
    )


def check_pure(decide: Callable[..., str], algorithm: object, history: History, where: str) -> str:
    """Claim that an answer depends on the history alone, and leaves it as it was; the answer.

    Args:
        decide: The answer of an algorithm for a history, as text.
        algorithm: It.
        history: What it decides from.
        where: For the message.
    """
    try:
        fresh = pickle.dumps((algorithm, history))  # a pickled history has no memo
    except Exception as error:  # noqa: BLE001 - whatever an object raises
        raise AssertionError(f"{where}: it cannot be sent to another process: {error}") from None
    before = facts(history)
    answer = decide(algorithm, history)
    claim(facts(history) == before, where, "asking changed the history; only its memo may be written.")
    claim(decide(algorithm, history) == answer, where, "asked twice, it answered differently; it must be pure.")
    again = pickle.loads(fresh)  # noqa: S301 - our own bytes
    claim(
        decide(*again) == answer,
        where,
        "pickled and without the memo, it answered differently; it may keep nothing of its own.",
    )
    claim(decide(algorithm, again[1]) == answer, where, "with another object's memo, it answered differently.")
    return answer


def check_config(history: History, config: Mapping[str, Scalar], where: str) -> None:
    """Claim that a config is one of the current space, with nothing missing and no constraint broken."""
    try:
        whole = history.space.complete(config)
    except SpaceError as error:
        raise AssertionError(f"{where}: {dict(config)} is no config of the space. {error}") from None
    claim(told(whole) == told(dict(config), where), where, f"{dict(config)} should be {whole}.")
    claim(history.space.satisfies(config), where, f"{dict(config)} breaks a constraint of the space.")
