"""A study: one search for the best setting."""

from __future__ import annotations

import contextlib
import hashlib
import os
import random
import shutil
import tempfile
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

import numpy as np

from tuneful import display, frames
from tuneful.arguments import bytes_of, callables_of, count_of, goal_of, json_of, seconds_of, seed_of
from tuneful.engine.attempt import Attempts
from tuneful.engine.crew import Crew
from tuneful.engine.decider import Decider
from tuneful.engine.inline import Inline
from tuneful.engine.joining import joined
from tuneful.engine.outcome import ended
from tuneful.engine.pulse import LEASE
from tuneful.engine.rules import Rules
from tuneful.engine.runner import Callback, Runner
from tuneful.engine.session import Session
from tuneful.engine.work import Work
from tuneful.errors import SpaceError, StoreError, StudyError, TunefulError
from tuneful.executors import Processes
from tuneful.explain import Explanation, explained
from tuneful.goals import Goals, bounds_of, describe, goals_from_json, goals_to_json, objectives_of
from tuneful.history import History, Limits, Row, State
from tuneful.lookup import pruner_of, scheduler_of, searcher_of
from tuneful.objective import bind, signature_spec, space_of
from tuneful.protocols import Executor, Pruner, Scheduler, Searcher, Store, rng
from tuneful.record import Record, Records
from tuneful.space import Space
from tuneful.stores import Address, SqliteStore, open_store, parse_address
from tuneful.trial import Trial


class Study:
    """One search for the best setting: a space, what good means, and all its trials.

    Args:
        space: What can vary: a Space, a dict, a dataclass; None for an objective that asks its trial
            (`trial.suggest_float(...)`), or for the space that is stored.
        minimize, maximize: The studied metric, or several. By default the objective's value is minimized.
        constraints: What a good trial satisfies, like `"memory_gb <= 4"`, on metrics.
        search: A searcher or its name: auto, random, sobol, halton, grid, one_at_a_time.
        schedule: A scheduler or its name: full.
        prune: A pruner, its name, or several: median, percentile, patience, threshold, diverged. By default a
            trial ends when what is studied becomes NaN or infinite.
        study: Where it lives: a file, `"runs.db"`, or one study of several in it, `"runs.db#digits"`. Opening creates
            or goes on. Nothing: in memory.
        seed: Makes it repeatable: with one worker, the same seed gives the same trials. Drawn if not given.
        trials: Distinct configs to start in all, counted over resumes and workers; `run` may set another limit.
        settings: System settings that change how fast a model trains, not what it learns (workers of the loader,
            pinned memory): handed to objectives that take them, recorded, never searched.
        of: The value of a trial: its `last` reported one, or the `best` of its steps.
        checkpoints: The folder for states that trials save; beside the file by default.

    Raises:
        StudyError: it exists with other objectives or another seed, or an argument is impossible.
        SpaceError: the space is impossible.
        StoreError: the file cannot be used; the message says why.

    >>> study = Study({"x": [0, 1, 2, 3]}, seed=0)
    >>> while trial := study.ask():
    ...     _ = study.tell(trial, (trial.params["x"] - 2) ** 2)
    >>> study.best.params
    {'x': 2}
    """

    def __init__(  # noqa: PLR0913 - the settings of a study, by name
        self,
        space: object = None,
        *,
        minimize: str | Sequence[str] | None = None,
        maximize: str | Sequence[str] | None = None,
        constraints: str | Iterable[str] = (),
        search: str | Searcher = "auto",
        schedule: str | Scheduler = "full",
        prune: str | Pruner | Sequence[str | Pruner] | None = "diverged",
        study: str | Path | None = None,
        seed: int | None = None,
        trials: int | None = None,
        settings: Mapping[str, Any] | None = None,
        of: Literal["last", "best"] = "last",
        checkpoints: str | Path | None = None,
    ) -> None:
        if of not in ("last", "best"):
            raise StudyError(f"of={of!r}: the value of a trial is its 'last' or its 'best' step.")
        settings = json_of("settings", {} if settings is None else settings)
        self._search = searcher_of(search)
        self._schedule = scheduler_of(schedule, self._search)
        pruner = pruner_of([prune, self._schedule] if callable(self._schedule) else prune)  # it may end trials too
        wanted = None if space is None else space_of(_no_objective, space)
        if wanted is not None and (both := sorted({path.split(".")[0] for path in wanted.paths} & settings.keys())):
            raise StudyError(f"`{both[0]}` is in the space and in settings=. Search it, or set it.")
        goals = objectives_of(minimize, maximize), bounds_of(constraints)
        given = minimize is not None or maximize is not None, bool(goals[1])
        self.address: Address = parse_address(study)
        limits, seed = Limits(count_of("trials", trials)), None if seed is None else seed_of(seed)
        store = open_store(self.address)
        path = self.address.path
        self._place = str(self.address) if path is None else f"{path.absolute()}#{self.address.name}"  # for workers
        try:
            with _legible(self.address):
                self._open(store, wanted, goals, given, seed, of, checkpoints, settings)
        except BaseException:
            store.close()
            raise
        self._session.pruner = pruner
        self._session.history.limits = limits
        self.status = "new" if self.created else "open"
        self._finalizer = weakref.finalize(self, _close, self._session, os.getpid())

    def _open(
        self,
        store: Store,
        wanted: Space | None,
        goals: Goals,
        given: tuple[bool, bool],
        seed: int | None,
        of: str,
        checkpoints: str | Path | None,
        settings: Mapping[str, Any],
    ) -> None:
        name, path = self.address.name, self.address.path
        shared = not self.address.in_memory
        first = wanted if wanted is not None else Space({}, open=True)
        drawn = random.SystemRandom().randrange(2**31) if seed is None else seed
        kind = {**goals_to_json(*goals), "seed": drawn, "of": of}
        self.created = store.open(name, kind, first.to_json(), first.default)
        kept = store.study(name)
        assert kept is not None
        objectives, bounds = goals_from_json(kept.form)
        if given[0] and objectives != goals[0]:
            raise StudyError(f"The study {self.address} {describe(objectives)}, and not {describe(goals[0])}. {_OTHER}")
        if given[1] and bounds != goals[1]:
            raise StudyError(
                f"The study {self.address} has the constraints {list(bounds)}, not {list(goals[1])}. {_OTHER}"
            )
        if seed is not None and kept.form["seed"] != seed:
            raise StudyError(f"The study {self.address} has the seed {kept.form['seed']}, and not {seed}. {_OTHER}")
        if of == "best" != kept.form["of"]:
            raise StudyError(
                f"The study {self.address} takes the last step of a trial as its value, not the best. {_OTHER}"
            )
        self._of = kept.form["of"]
        keeps = wanted is None or (wanted.open and not len(wanted))
        folder = checkpoints if checkpoints is not None or path is None else _checkpoints_beside(path, name)
        self._session = joined(
            store, name, space=None if keeps else wanted, checkpoints=folder, settings=settings, shared=shared
        )
        self._decider = Decider(self._session)
        latest = self._session.history.space_number
        if shared:
            store.reap()
        self._session.sync()
        if wanted is not None and not keeps and wanted is not self._session.spaces[latest]:
            self._session.change_space(lambda _: wanted)

    # Running

    def run(  # noqa: PLR0913 - the limits of a run, by name
        self,
        objective: Callable[..., Any],
        *,
        trials: int | None = None,
        timeout: float | str | None = None,
        target: float | None = None,
        patience: int | None = None,
        total_steps: int | None = None,
        max_failures: int = 3,
        workers: int | Literal["auto"] | Executor | None = None,
        setup: Callable[[], object] | None = None,
        trial_timeout: float | str | None = None,
        trial_memory: float | str | None = None,
        callbacks: Sequence[Callback] = (),
        quiet: bool = False,
    ) -> Study:
        """Try settings until a limit is reached or none is left.

        Interrupted by Ctrl-C, it puts the running trials back into the queue with their checkpoints and returns; by
        SIGTERM, the same and the process ends.

        Args:
            objective: A function of the parameters, of `trial`, or of both. It returns the value, a dict of
                metrics, or nothing if it reported.
            trials: Distinct configs to start in all, counted over resumes and workers; by default the study's limit.
            timeout: Seconds, or like "90s", "20m", "2h": nothing new is started after it.
            target: Stop when the first objective is at least this good.
            patience: Stop when so many trials in a row brought no gain.
            total_steps: Steps to train in all; nothing new is started after them.
            max_failures: Stop with an error when so many trials have failed and none has succeeded.
            workers: Processes that run trials side by side, each with a GPU of its own where there are GPUs; "auto" for
                one for each GPU, or core; or an executor. By default trials run in this process. The objective may
                come from a script or a notebook, or be a lambda; what it prints goes where this process prints.
            setup: Called once in each worker before its first trial.
            trial_timeout: Seconds, or like "20m", that a trial may take in a worker; it fails then.
            trial_memory: Bytes, or like "8GB", that a worker may hold with its children; its trial fails then.
            callbacks: Called as `callback(study, record)` after each trial that ends here; True stops.
            quiet: Print nothing.

        Returns:
            The study itself; `status` says why it ended.

        Raises:
            ObjectiveError: the objective cannot be called, cannot be sent to workers, never gives the studied metric,
                or always fails.
        """
        before = self.history.limits
        limits = Limits(count_of("trials", trials) or before.trials, count_of("total_steps", total_steps))
        most = count_of("max_failures", max_failures) or 3
        rules = Rules(seconds_of(timeout), goal_of(target), count_of("patience", patience), most)
        called = callables_of(callbacks)
        self._session.history.limits = limits
        try:
            self._take_signature(objective)
            lines = None if quiet else display.Lines(self, limits, self._search, self._schedule)
            call = bind(objective, self._session.history.space, self._session.settings)
            runner = Runner(self, self._session, rules, called, lines)
            self.sync()
            if self._session.wish == "stop":  # to run it is to want it to go on
                self._want(None, None)
            if workers is None:
                if setup is not None or trial_timeout is not None or trial_memory is not None:
                    raise StudyError("setup=, trial_timeout= and trial_memory= need workers: workers=1.")
                attempts = Attempts(self._session, call, self._of, runner.signals)
                runner.run(Inline(self._schedule, self._decider, attempts))
            else:
                work = self._work(objective, setup, trial_timeout, trial_memory)
                start = partial(_executor(workers).start, work.packed(), self.address.environment)
                runner.run(Crew(self._schedule, self._decider, start, trial_timeout=work.trial_timeout))
        finally:
            self._session.history.limits = before
        return self

    def work(
        self,
        objective: Callable[..., Any],
        *,
        workers: int | Literal["auto"] | Executor = 1,
        setup: Callable[[], object] | None = None,
        trial_timeout: float | str | None = None,
        trial_memory: float | str | None = None,
        patience: float | str = "10m",
        quiet: bool = False,
    ) -> Study:
        """Run trials that another process decides, on this or another machine, by `run`.

        Ctrl-C and SIGTERM put the running trials back into the queue with their checkpoints, for other workers.

        Args:
            objective: A function of the parameters, of `trial`, or of both.
            workers: How many processes, or an executor; see `run`.
            setup: Called once in each worker before its first trial.
            trial_timeout: Seconds, or like "20m", that a trial may take; it fails then.
            trial_memory: Bytes, or like "8GB", that a worker may hold with its children; its trial fails then.
            patience: Seconds, or like "10m", to wait while nobody decides and nothing is to do.
            quiet: Print nothing.

        Returns:
            The study itself; `status` says why it ended.

        Raises:
            ObjectiveError: the objective cannot be called, or cannot be sent to workers.
            StudyError: the study is in memory, where nobody else can decide.
        """
        if not self._session.shared:
            raise StudyError("A study in memory has no other processes. Keep it in a file, as in study='runs.db'.")
        self._take_signature(objective)
        bind(objective, self._session.history.space, self._session.settings)
        work = self._work(objective, setup, trial_timeout, trial_memory)
        lines = None if quiet else display.Lines(self, self._session.history.limits)
        crew = Crew(
            None,
            self._decider,
            partial(_executor(workers).start, work.packed(), self.address.environment),
            trial_timeout=work.trial_timeout,
            patience=seconds_of(patience, "patience") or 0.0,
        )
        Runner(self, self._session, Rules(), (), lines).run(crew)
        return self

    def _work(
        self,
        objective: Callable[..., Any],
        setup: Callable[[], object] | None,
        trial_timeout: float | str | None,
        trial_memory: float | str | None,
    ) -> Work:
        """What workers of this study are to do; a study in memory moves to a file that they can share."""
        session, seconds, size = self._session, seconds_of(trial_timeout, "trial_timeout"), bytes_of(trial_memory)
        if not session.shared:
            folder = Path(tempfile.mkdtemp(prefix="tuneful-"))
            weakref.finalize(session, _remove, folder, os.getpid())
            session.move_to(SqliteStore(folder / "study.db"))
            self._place = f"{folder / 'study.db'}#{session.name}"
        return Work(
            address=self._place,
            objective=objective,
            space=session.history.space,
            prune=session.pruner,
            of=self._of,
            checkpoints=session.root,
            settings=session.settings,
            setup=setup,
            trial_timeout=seconds,
            trial_memory=size,
        )

    def _take_signature(self, objective: Callable[..., Any]) -> None:
        """Search what the objective's signature declares, if nothing else says what can vary."""
        if self.space.open and not len(self.history) and (spec := signature_spec(objective)):
            space = Space(spec)
            self._session.change_space(lambda _: space)
            default = space.default
            if default is not None:  # unless another process has added it
                self._session.add(
                    lambda history: None if len(history) else Row(0, default, why={"searcher": "default"})
                )

    def ask(self, *, lease: float | None = LEASE) -> Trial | None:
        """A trial to run now; None if there is nothing to do now.

        The trial is this process's as long as it lives. With `lease=None` it is nobody's: it never expires, and may
        be told by number from anywhere, any time.
        """
        found = self._decider.next(self._schedule, 1, lease)
        return found[0] if found else None

    def tell(
        self,
        trial: Trial | int,
        value: Any = None,
        *,
        state: Literal["done", "pruned", "failed", "queued", "paused"] = "done",
        error: BaseException | str | None = None,
    ) -> bool:
        """End a trial.

        Args:
            trial: The trial, or its number.
            value: Its value, or a dict of metrics; None for its last report.
            state: `done`; `pruned`, for one not worth finishing; `failed`; `queued`, to run it again later; `paused`,
                to go on from its saved state if the scheduler wants that.
            error: Why it failed.

        Returns:
            Whether it counts. False: the trial had been given to another worker, and the result was set aside.

        Raises:
            ObjectiveError: the value is no number, or the studied metric is missing; the trial still runs.
            StudyError: the trial does not run.
        """
        by_number = isinstance(trial, (int, np.integer)) and not isinstance(trial, bool)
        if not by_number and not isinstance(trial, Trial):
            raise StudyError(f"tell({trial!r:.80}, ...): pass a trial, or its number.")
        known = trial if isinstance(trial, Trial) else self._session.adopt(trial)
        if not by_number and known.number not in self._session.live and known.verdict != "void":
            raise StudyError(f"Trial {known.number} does not run any more; it was told before, or given back.")
        if known.warned and known.verdict in ("void", "held"):  # it ended early for others, so this is no result
            ended(self._session, known, None, self._of, state="queued")
            return False
        if known.warned and known.verdict == "paused" and state == "done" and error is None:
            return ended(self._session, known, None, self._of, state="paused")
        return ended(self._session, known, value, self._of, state="failed" if error is not None else state, error=error)

    def enqueue(self, params: Mapping[str, Any], *, repeat: bool = False) -> int:
        """Have a config tried next; what is left out takes its default, or is drawn.

        Args:
            params: Values by name, nested like the space, or by path.
            repeat: Try it again although a trial has this config, with another seed, to see the noise.

        Returns:
            The number of the trial.

        Raises:
            SpaceError: a name is unknown or a value outside its range.
            StudyError: a trial has this config already.
        """
        if not isinstance(params, Mapping) or not all(isinstance(name, str) for name in params):
            raise SpaceError(f"enqueue({params!r:.80}): pass a dict from name to value.")

        def given(history: History) -> Row:
            space, why = history.space, {"searcher": "enqueued"}
            if space.open and (len(params) < len(space) or any(name not in space for name in params)):
                return Row(0, {}, note={"given": json_of("enqueue", params)}, why=why)
            config = space.complete(params, rng(history.seed, len(history), "enqueue").random(len(space)))
            earlier = history.find(config)
            if earlier is not None and not repeat:
                raise StudyError(
                    f"Trial {earlier} has this config already. To run it again with another seed, pass repeat=True."
                )
            return Row(0, config, why=why, repeat_of=earlier)

        number = self._session.add(given)
        assert number is not None
        return number

    # Control, from any process

    def pause(self, trial: int | None = None) -> Study:
        """Start nothing more until `resume`, wherever it runs; or hold one trial.

        What runs and has saved a state ends within seconds, at its next step, and goes on from that state later. What
        has saved nothing runs to its end.

        Raises:
            StudyError: there is no such trial, or it is over.
        """
        return self._want(trial, "pause" if trial is None else "hold")

    def resume(self, trial: int | None = None) -> Study:
        """Let the study, or one trial, go on after `pause`.

        Raises:
            StudyError: there is no such trial, or it is over.
        """
        return self._want(trial, None)

    def stop(self, trial: int | None = None) -> Study:
        """End all runs of the study, wherever they are, as Ctrl-C would; or end one trial with what it has reached.

        The next `run` takes the study up again.

        Raises:
            StudyError: there is no such trial, or it is over.
        """
        if trial is not None and not self._session.runs(trial):
            return self.cancel(trial)
        return self._want(trial, "stop")

    def cancel(self, trial: int | None = None) -> Study:
        """End a trial at once, wherever it runs, as cancelled; without a number, all that are not over, and the runs.

        What it reported so far is kept, and what it still reports or returns is not.

        Raises:
            StudyError: there is no such trial, or it is over.
        """
        if trial is None:
            self._want(None, "stop")
        if not self._session.cancel(trial) and trial is not None:
            raise StudyError(self._no_longer(trial))
        return self

    def _want(self, trial: int | None, wish: str | None) -> Study:
        if not self._session.store.wish(self._session.name, trial, wish):
            raise StudyError(self._no_longer(trial))
        self._session.listen()  # what runs here hears it at once
        return self.sync()

    def _no_longer(self, trial: int | None) -> str:
        self.sync()
        if trial is None or not 0 <= trial < len(self.history):
            return f"There is no trial {trial}; the study has {len(self.history)}, counted from 0."
        return f"Trial {trial} is {State(int(self.history.state[trial]))}: it is over, and nothing can be changed."

    # Results

    @property
    def space(self) -> Space:
        """What can vary."""
        return self._session.history.space

    @property
    def history(self) -> History:
        """Everything known, in arrays: what searchers decide from."""
        return self._session.catch_up()

    @property
    def seed(self) -> int:
        """The seed."""
        return self._session.history.seed

    @property
    def trials(self) -> Records:
        """All trials, by number."""
        return self._records(range(len(self.history)))

    @property
    def best(self) -> Record:
        """The best trial: done, feasible, best in the first objective (the mean, where it was repeated).

        Raises:
            StudyError: no trial is done, or none of them satisfies the constraints.
        """
        best = self.history.best
        if best is None:
            history = self.history
            counts = display.counts(history) or "none has started"
            if np.any(history.state == State.DONE):
                raise StudyError(f"No trial that is done satisfies the constraints: {counts}.")
            raise StudyError(f"No trial is done yet: {counts}.")
        return self._records([best])[0]

    def explain(self, number: int) -> Explanation:
        """Why a trial has the config it has, and whether the searcher proposes it again from what was known then.

        Raises:
            StudyError: there is no such trial.

        >>> study = Study({"x": [0, 1, 2, 3]}, search="grid", seed=0)
        >>> trial = study.ask()
        >>> print(study.explain(0))
        trial       0: proposed by grid
          x = 0
        why         index: 0
        had seen    revision 1: no trials
        once more   the same config
        """
        return explained(self.history, getattr(self._schedule, "searcher", self._search), number)

    @property
    def front(self) -> Records:
        """The done, feasible trials that no other beats in every objective."""
        return self._records(self.history.front.tolist())

    @property
    def baseline(self) -> Record | None:
        """Trial 0, if it is the config of the defaults; what every result is to be compared with."""
        history = self.history
        if len(history) and history.text("why", 0).get("searcher") == "default":
            return self._records([0])[0]
        return None

    def sync(self) -> Study:
        """Read what other processes have done since."""
        self._session.sync()
        return self

    def close(self) -> None:
        """Give back what still runs, and close the file. Called by itself at exit."""
        self._finalizer()

    def to_pandas(self) -> Any:
        """A pandas DataFrame, one row a trial."""
        return frames.to_pandas(self.trials)

    def to_polars(self) -> Any:
        """A polars DataFrame, one row a trial."""
        return frames.to_polars(self.trials)

    def to_json(self, path: str | Path | None = None) -> str:
        """Everything about the study as JSON text, with curves and errors; written to `path` if given."""
        return frames.to_json(self, path)

    def to_csv(self, path: str | Path | None = None) -> str:
        """One line a trial as CSV; written to `path` if given. Cells that a spreadsheet would run are quoted."""
        return frames.to_csv(self.trials, path)

    def __str__(self) -> str:
        return display.summary(self)

    def __repr__(self) -> str:
        return f"<study {self.address}: {display.counts(self.history) or 'no trials'}>"

    def _repr_html_(self) -> str:
        return display.html(self)

    def _records(self, numbers: Sequence[int]) -> Records:
        return Records(numbers, self.history, self._session.spaces)


def _executor(workers: int | Literal["auto"] | Executor) -> Executor:
    if isinstance(workers, Executor):
        return workers
    return Processes(None if workers == "auto" else workers)


_OTHER = "Open it as it is, or take another name."


def _close(session: Session, pid: int) -> None:
    if os.getpid() == pid:  # a forked child holds nothing
        session.close()


def _remove(folder: Path, owner: int) -> None:
    if os.getpid() == owner:  # what it has forked has no right to it
        shutil.rmtree(folder, ignore_errors=True)


def _checkpoints_beside(path: Path, name: str) -> Path:
    """A folder for a study whose name may be anything: no separators, no dots first, no more than 200 bytes."""
    safe = quote(name, safe=" ").replace(".", "%2E", 1) if name.startswith(".") else quote(name, safe=" ")
    if len(safe) > 200:
        safe = f"{safe[:150]}~{hashlib.sha256(name.encode()).hexdigest()[:16]}"
    return Path(f"{path}.checkpoints") / safe


def _no_objective() -> None: ...


@contextlib.contextmanager
def _legible(address: Address) -> Iterator[None]:
    """Say so if what a file holds makes no sense."""
    try:
        yield
    except TunefulError:
        raise
    except (ArithmeticError, LookupError, TypeError, ValueError) as error:
        raise StoreError(
            f"{address} cannot be read: it holds what Tuneful did not write ({type(error).__name__}: {error}). "
            "Restore a copy."
        ) from error
