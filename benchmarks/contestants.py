"""Our searchers as contestants, by what was typed: `auto`, `Tpe(joint=False)`, `old:tpe`."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from driving import Asked, Optimizer
from problems import Problem
from without import Without

import tuneful as tn
from tuneful import lookup, searchers
from tuneful.protocols import Searcher

_LABEL = re.compile(r"(?P<label>[\w.-]+):(?P<spec>.+)", re.DOTALL)
_DECIDE = ("history", "protocols.py", "searchers", "space", "surrogates")  # parts of the package


@dataclass(frozen=True)
class Contestant:
    """Who searches: one of ours, or a peer.

    Attributes:
        label: The name in tables, and of the file of its runs.
        start: Its optimizer for a problem, a seed and a number of trials.
        code: What its runs depend on: the version of a peer, a digest of our sources.
        imports: What to import once, before processes are forked.
        pinned: Its label was given to it, so that its runs stay as they are while the code changes.
    """

    label: str
    start: Callable[[Problem, int, int], Optimizer]
    code: str
    imports: tuple[str, ...] = ()
    pinned: bool = False


class Tuned:
    """A study of ours, in memory."""

    def __init__(self, searcher: Searcher, problem: Problem, seed: int, trials: int | None) -> None:
        self.study = tn.Study(problem.space, search=searcher, seed=seed, trials=trials)

    def ask(self) -> Asked | None:
        trial = self.study.ask()
        return None if trial is None else Asked(trial, trial.params)

    def tell(self, asked: Asked, loss: float | None) -> None:
        if loss is None:
            self.study.tell(asked.token, state="failed", error="the loss raised")
        else:
            self.study.tell(asked.token, loss)


def ours(typed: str) -> list[Contestant]:
    """The contestants of `--contestants`.

    Raises:
        SystemExit: one of them is no searcher.
    """
    return [_one(spec) for spec in split(typed)]


def split(typed: str) -> list[str]:
    """The parts between commas that stand in no parentheses.

    >>> split("auto, Tpe(joint=False, gamma=0.1)")
    ['auto', 'Tpe(joint=False, gamma=0.1)']
    """
    parts, depth = [""], 0
    for sign in typed:
        depth += (sign in "([{") - (sign in ")]}")
        if sign == "," and not depth:
            parts.append("")
        else:
            parts[-1] += sign
    return [part.strip() for part in parts if part.strip()]


def _one(typed: str) -> Contestant:
    named = _LABEL.fullmatch(typed)
    label, spec = (named["label"], named["spec"]) if named else (typed, typed)
    searcher = _searcher(spec)

    def start(problem: Problem, seed: int, trials: int) -> Tuned:
        return Tuned(searcher, problem, seed, trials)

    return Contestant(label, start, digest(), pinned=named is not None)


def _named() -> dict[str, Any]:
    return {"Without": Without, **{name: getattr(searchers, name) for name in searchers.__all__}}


def _searcher(spec: str) -> Searcher:
    try:
        wanted: Any = spec if spec.isidentifier() and spec.islower() else eval(spec, _named())
        return lookup.searcher_of(wanted)
    except (AttributeError, NameError, SyntaxError, TypeError, ValueError, tn.TunefulError) as error:
        raise SystemExit(f"--contestants: {spec!r}: {error}") from None


def digest() -> str:
    """What our decisions depend on: a digest of the sources that make them."""
    package = Path(tn.__file__).parent
    files = [path for part in _DECIDE for path in _sources(package / part)]
    return "tuneful " + hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()[:10]


def _sources(path: Path) -> list[Path]:
    return [path] if path.is_file() else sorted(path.rglob("*.py"))
