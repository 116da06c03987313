"""A study: one search for the best setting."""

from __future__ import annotations

import contextlib
import hashlib
import os
import random
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

import numpy as np

from tuneful import display, frames
from tuneful.arguments import callables_of, count_of, goal_of, json_of, seconds_of, seed_of
from tuneful.checkpoints import Checkpoints
from tuneful.errors import SpaceError, StoreError, StudyError, TunefulError
from tuneful.explain import Explanation, explained
from tuneful.goals import Goals, bounds_of, describe, goals_from_json, goals_to_json, objectives_of
from tuneful.history import History, Limits, Row, State
from tuneful.lookup import pruner_of, scheduler_of, searcher_of
from tuneful.objective import signature_spec, space_of
from tuneful.outcome import ended
from tuneful.protocols import Pruner, Scheduler, Searcher, Store, rng
from tuneful.record import Record, Records
from tuneful.runner import Callback, Rules, Runner
from tuneful.session import LEASE, Session
from tuneful.space import Space
from tuneful.stores import Address, MemoryStore, SqliteStore, parse_address
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
        pruner = pruner_of(prune)
        wanted = None if space is None else space_of(_no_objective, space)
        if wanted is not None and (both := sorted({path.split(".")[0] for path in wanted.paths} & settings.keys())):
            raise StudyError(f"`{both[0]}` is in the space and in settings=. Search it, or set it.")
        goals = objectives_of(minimize, maximize), bounds_of(constraints)
        given = minimize is not None or maximize is not None, bool(goals[1])
        self.address: Address = parse_address(study)
        limits, seed = Limits(count_of("trials", trials)), None if seed is None else seed_of(seed)
        store = MemoryStore() if self.address.path is None else SqliteStore(self.address.path)
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
        stored = store.spaces(name)
        version, form = stored[-1]
        spaces = {number: Space.from_json(written) for number, written in stored}
        keeps = wanted is None or (wanted.open and not len(wanted))
        if wanted is not None and not keeps and wanted.to_json() == form:
            spaces[version] = wanted  # with the very objects of its options
        history = History(spaces[version], objectives, bounds, seed=kept.form["seed"])
        history.space_number = version
        for number, space in spaces.items():
            history.learn(space, number)
        folder = checkpoints if checkpoints is not None or path is None else _checkpoints_beside(path, name)
        self._session = Session(
            store,
            name,
            history,
            Checkpoints(folder),
            spaces=spaces,
            settings=settings,
            shared=path is not None,
        )
        if path is not None:
            store.reap()
        self._session.sync()
        if wanted is not None and not keeps and wanted is not spaces[version]:
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
        callbacks: Sequence[Callback] = (),
        quiet: bool = False,
    ) -> Study:
        """Try settings until a limit is reached or none is left.

        Interrupted by Ctrl-C, it puts the running trial back into the queue with its checkpoint and returns; by
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
            callbacks: Called as `callback(study, record)` after each trial that ends here; True stops.
            quiet: Print nothing.

        Returns:
            The study itself; `status` says why it ended.

        Raises:
            ObjectiveError: the objective cannot be called, never gives the studied metric, or always fails.
        """
        before = self.history.limits
        limits = Limits(count_of("trials", trials) or before.trials, count_of("total_steps", total_steps))
        most = count_of("max_failures", max_failures) or 3
        rules = Rules(seconds_of(timeout), goal_of(target), count_of("patience", patience), most)
        called = callables_of(callbacks)
        self._session.history.limits = limits
        try:
            self._take_signature(objective)
            lines = None if quiet else display.Lines(self, limits, self._search)
            Runner(self, self._session, self._schedule, objective, rules, called, lines, self._of).run()
        finally:
            self._session.history.limits = before
        return self

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
        found = self._session.next(self._schedule, 1, lease)
        return found[0] if found else None

    def tell(
        self,
        trial: Trial | int,
        value: Any = None,
        *,
        state: Literal["done", "pruned", "failed", "queued"] = "done",
        error: BaseException | str | None = None,
    ) -> bool:
        """End a trial.

        Args:
            trial: The trial, or its number.
            value: Its value, or a dict of metrics; None for its last report.
            state: `done`; `pruned`, for one not worth finishing; `failed`; `queued`, to run it again later.
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

    # Results

    @property
    def space(self) -> Space:
        """What can vary."""
        return self._session.history.space

    @property
    def history(self) -> History:
        """Everything known, in arrays: what searchers decide from."""
        return self._session.history

    @property
    def seed(self) -> int:
        """The seed."""
        return self._session.history.seed

    @property
    def trials(self) -> Records:
        """All trials, by number."""
        return self._records(range(len(self._session.history)))

    @property
    def best(self) -> Record:
        """The best trial: done, feasible, best in the first objective (the mean, where it was repeated).

        Raises:
            StudyError: no trial is done, or none of them satisfies the constraints.
        """
        best = self._session.history.best
        if best is None:
            history = self._session.history
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
        return explained(self._session.history, getattr(self._schedule, "searcher", self._search), number)

    @property
    def front(self) -> Records:
        """The done, feasible trials that no other beats in every objective."""
        return self._records(self._session.history.front.tolist())

    @property
    def baseline(self) -> Record | None:
        """Trial 0, if it is the config of the defaults; what every result is to be compared with."""
        history = self._session.history
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
        return f"<study {self.address}: {display.counts(self._session.history) or 'no trials'}>"

    def _repr_html_(self) -> str:
        return display.html(self)

    def _records(self, numbers: Sequence[int]) -> Records:
        return Records(numbers, self._session.history, self._session.spaces)


_OTHER = "Open it as it is, or take another name."


def _close(session: Session, pid: int) -> None:
    if os.getpid() == pid:  # a forked child holds nothing
        session.close()


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
