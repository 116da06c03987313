"""A worker: takes trials that are ready, runs them, and says how it goes to whoever placed it."""

from __future__ import annotations

import io
import os
import signal
import sys
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any, Protocol

from tuneful.engine.attempt import Attempts
from tuneful.engine.decider import Decider
from tuneful.engine.guard import Guard
from tuneful.engine.joining import joined
from tuneful.engine.link import Link
from tuneful.engine.patience import patiently
from tuneful.engine.session import Session
from tuneful.engine.signals import Signals, Terminated
from tuneful.engine.work import Work, unpacked
from tuneful.errors import ObjectiveError, StoreError, TunefulError
from tuneful.objective import bind
from tuneful.stores import open_store, parse_address
from tuneful.trial import Trial

_POLL = 1.0  # seconds between looks for work, where nobody says that there is some


class Placer(Protocol):
    """What a worker needs of whoever placed it."""

    def say(self, what: str, about: object = None) -> None:
        """Tell how it goes: `ready`, `idle`, `busy` (with the trial's number), `ended` (the same), `refused` (why)."""

    def heard(self, seconds: float) -> str | None:
        """Wait so long for a word: `go` (there may be work), `end` (take no more), or None."""


def serve(work: bytes, placer: Placer) -> int:
    """Run trials until the placer says that it is over; the exit code.

    Args:
        work: A packed `Work`.
        placer: Who placed this worker.
    """
    signals = Signals()
    try:
        with signals.held():
            return _served(work, placer, signals)
    except Terminated:
        return 128 + signal.SIGTERM
    except TunefulError as error:
        placer.say("refused", (type(error).__name__, str(error)))
        return 1
    except Exception:  # noqa: BLE001 - a fault of ours: what it ran is lost, and given up after three
        traceback.print_exc()
        return 1
    except BaseException as error:  # noqa: BLE001 - like CancelledError: the next worker would take the same trial
        traceback.print_exc()
        said = f"The objective raised {type(error).__name__}, which ends a worker. Let it raise an Exception."
        placer.say("refused", (ObjectiveError.__name__, said))
        return 1


def _served(work: bytes, placer: Placer, signals: Signals) -> int:
    todo = unpacked(work)
    _set_up(todo.setup, signals)
    address = parse_address(todo.address)
    store = open_store(address)
    try:
        session = joined(store, address.name, space=todo.space, checkpoints=todo.checkpoints, settings=todo.settings)
        session.pruner, session.undisturbed = todo.prune, signals.kept_out
        try:
            _work(todo, session, placer, signals)
        finally:
            session.close()
    finally:
        store.close()
    return 0


def _work(todo: Work, session: Session, placer: Placer, signals: Signals) -> None:
    guard = Guard(session, todo.of, todo.trial_timeout, todo.trial_memory)
    if todo.trial_timeout is not None or todo.trial_memory is not None:
        session.watch = guard
    objective = bind(todo.objective, session.history.space, session.settings)
    decider = Decider(session)

    def take() -> Trial | None:
        return decider.take(todo.lease)

    def call(trial: Trial) -> Any:
        placer.say("busy", trial.number)
        try:
            with guard.over(trial):
                return objective(trial)
        finally:
            placer.say("ended", trial.number)

    attempts = Attempts(session, call, todo.of, signals, StoreError)
    patiently(lambda: session.alive(todo.lease), signals)
    placer.say("ready", session.worker)
    end = False

    def wait() -> Trial | None:
        """The next trial; None when it is over."""
        nonlocal end
        while not end:
            signals.check()
            trial = patiently(take, signals, StoreError)
            if trial is not None:
                return trial
            placer.say("idle")
            with signals.let_through():
                end = placer.heard(_POLL) == "end"
        return None

    def onward() -> Trial | None:
        placer.say("ended")
        trial = wait()
        if trial is not None:
            placer.say("busy", trial.number)
        return trial

    while (trial := attempts.next or wait()) is not None:
        attempts.next = None
        attempts.run(trial, onward)
        end = end or placer.heard(0.0) == "end"


def _set_up(setup: Callable[[], object] | None, signals: Signals) -> None:
    if setup is None:
        return
    try:
        with signals.let_through():
            setup()
    except (Exception, SystemExit) as error:
        traceback.print_exc()
        raise ObjectiveError(f"setup() failed in a worker: {type(error).__name__}: {error}.") from error


def main(pipe: int) -> None:
    """Be the worker of a parent process, at the other end of the pipe that is the file of this number."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C is the parent's to hear
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # whole lines at once: others write to the same place
            stream.reconfigure(line_buffering=True, write_through=False)
    link = Link(Connection(pipe))
    work = link.work()
    code = 0 if work is None else serve(work, link)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # threads of the objective do not keep it alive
