"""One running trial, as the objective sees it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from tuneful.errors import ObjectiveError, SpaceError, StudyError
from tuneful.history import Row
from tuneful.protocols import Claim, rng
from tuneful.space import Choice, Config, Domain, Float, Int
from tuneful.values import metrics_of

if TYPE_CHECKING:
    from tuneful.engine.session import Session


class Trial:
    """A setting to evaluate: its parameters, and the way to tell how it goes.

    Attributes:
        number: Which trial of the study.
        params: The values, in the shape of the space.
        settings: The system settings of the study (workers of the loader, pinned memory): no hyperparameters.
    """

    def __init__(
        self, session: Session, row: Row, claim: Claim, params: dict[str, Any], *, leased: bool = True
    ) -> None:
        self.number = row.number
        self.params = params
        self.settings: Mapping[str, Any] = session.settings
        self.claim = claim
        self.row = row
        self.leased = leased  # else it runs under nobody's lease, and may be told from elsewhere
        self.stored: Config = row.config  # as the store has it
        self.kept = row.saved  # the checkpoint that the store knows of
        self.asked: dict[str, Any] = {}
        self.verdict: str | None = None
        self.began: int | None = None
        self.warned = False  # the objective was asked to end early
        self.spent = False  # there was no step left to train
        self.told = False  # its end may be in the store
        self.untold = False  # the history of this process has not been told of it
        self.onward: Callable[[Trial], bool] | None = None  # asks whether to go on, where another decision is due
        self._session = session
        self._step = 0
        self._said: tuple[int, dict[str, float]] = 0, {}
        self._reports = 0
        self._clock = time.monotonic()
        self._seed = session.history.seed

    @cached_property
    def seed(self) -> int:
        """A seed of its own: restarts of the trial have the same, repeats of its config another."""
        return int(rng(self._seed, self.number, "trial").integers(2**31))

    def __repr__(self) -> str:
        return f"<trial {self.number} running {self.params}>"

    # Define-by-run

    def suggest_float(
        self, name: str, low: float, high: float, *, log: bool = False, step: float | None = None
    ) -> float:
        """A number from `low` to `high`; the space grows by `name` when it is new.

        Raises:
            SpaceError: the range is impossible, or `name` was asked for as another kind.
        """
        return float(self._suggest(name, Float(low, high, log=log, step=step)))

    def suggest_int(self, name: str, low: int, high: int, *, log: bool = False, step: int | None = None) -> int:
        """A whole number from `low` to `high`, both included; the space grows by `name` when it is new.

        Raises:
            SpaceError: the range is impossible, or `name` was asked for as another kind.
        """
        return int(self._suggest(name, Int(low, high, log=log, step=step)))

    def suggest_categorical(self, name: str, choices: Sequence[Any] | Mapping[Any, Any]) -> Any:
        """One of `choices`, any objects, as in `Choice`; the space grows by `name` when it is new.

        Raises:
            SpaceError: there is no choice, one has no label, or `name` was asked for as another kind.
        """
        domain = Choice(choices)
        return domain.to_object(self._suggest(name, domain))

    def _suggest(self, name: str, domain: Domain) -> Any:
        self._session.learn(name, domain)
        known = self.asked.get(name)
        if name not in self.asked:
            self.asked[name] = self._proposed(name, domain)
        try:
            value = domain.to_value(domain.to_raw(self.asked[name]))
        except SpaceError:  # asked for with another range before, in this very trial
            value = self.asked[name] = self._drawn(name, domain)
        if known is None:
            self._session.keep_config(self)
        return value

    def _proposed(self, name: str, domain: Domain) -> Any:
        given = self.row.note.get("given", {})
        if name in given:
            return domain.to_value(domain.to_raw(given[name], f"`{name}`: the enqueued value"))
        if name in self.row.config:
            try:
                return domain.to_value(domain.to_raw(self.row.config[name]))
            except SpaceError:  # proposed from a wider range than this trial allows
                pass
        return self._drawn(name, domain)

    def _drawn(self, name: str, domain: Domain) -> Any:
        q = rng(self._session.history.seed, self.number, f"suggest {name}").random(1)
        return domain.to_value(float(domain.draw(q)[0]))

    # Steps

    @property
    def said(self) -> tuple[int, int]:
        """Which report was the last: how many there were, and its step."""
        return self._reports, self._said[0]

    def load(self) -> Any:
        """The state that `save` kept of an earlier attempt, or of the trial this was forked from; else None.

        After it, `steps` goes on behind the step of that state.

        Raises:
            CheckpointError: it is gone or damaged.
        """
        found = self._session.load(self)
        if found is None:
            return None
        step, state = found
        self._begin(step)
        return state

    def steps(self, n: int) -> Iterator[int]:
        """The steps to train: from 1, or behind the loaded checkpoint, up to `n`; ends early when not worth it.

        >>> import tuneful as tn
        >>> trial = tn.Study({"lr": [0.1]}).ask()
        >>> list(trial.steps(3))
        [1, 2, 3]
        """
        if not isinstance(n, (int, np.integer)) or isinstance(n, bool) or n < 1:
            raise StudyError(f"trial.steps({n!r}): pass the number of steps, a whole number of 1 or more.")
        self._session.lasts(self, int(n))
        self.spent = self._begin(0) >= n
        if self._is_due() and self.should_stop():  # it was cut short just here
            return
        for step in range(self._begin(0) + 1, int(n) + 1):
            self._step = step
            yield step
            if self.should_stop():
                return

    def report(self, value: Any = None, /, *, step: int | None = None, **metrics: Any) -> None:
        """Tell how it goes at a step: the studied metric, and any others by name or in a dict.

        Args:
            value: The studied metric, or a dict of metrics (for names like `val/loss`).
            step: Counted from 1; by default the one of the running `steps` loop, else the one after the last.
            metrics: Other metrics, or the studied one by its name.

        Raises:
            ObjectiveError: a metric is not a number, or the step not a whole number above 0.
        """
        self._begin(0)
        at = step if step is not None else self._step or self.row.step + 1
        if not isinstance(at, (int, np.integer)) or isinstance(at, bool) or at < 1:
            raise ObjectiveError(f"trial.report(step={step!r}): steps are whole numbers, counted from 1.")
        objectives = self._session.history.objectives
        found = metrics_of(metrics, objectives, "What the objective reported")
        if value is not None:
            found = metrics_of(value, objectives, "What the objective reported") | found
        if not found:
            raise ObjectiveError("trial.report() got no metric. Pass the value, or metrics by name.")
        self._tick()
        self.row.step = max(self.row.step, int(at))
        if self._said[0] == at:  # two reports at one step add up
            found = self._said[1] | found
        else:
            self._reports += 1
        self._said = int(at), found
        self._session.report(self, int(at), found)

    def should_stop(self) -> bool:
        """Whether to end now: it was pruned, stopped, paused or given to another worker. `steps` asks by itself."""
        if self.verdict is None:
            self.verdict = self._session.judged(self)
        if self.verdict is None and self._is_due() and not (self.onward and self.onward(self)):
            self.verdict = "paused"
        self.warned |= self.verdict is not None
        return self.warned

    def _is_due(self) -> bool:
        """Whether it has got to where another decision is due, and can be paused: its state there is saved."""
        return self.row.arrived and self.row.saved is not None and self.row.saved[0] == self.row.step

    def go_on_as(self, other: Trial) -> None:
        """Go on in place as an attempt that was claimed when this one had ended."""
        self.claim, self.row, self.leased, self.untold = other.claim, other.row, other.leased, other.untold
        self.stored, self.kept, self.verdict, self.told = other.stored, other.kept, None, False
        step = self._step or self.row.step
        self.row.began = self.row.step = self.began = step
        self._clock = time.monotonic()
        self._session.live[self.number] = self
        self._session.begin(self, step)

    def save(self, state: object) -> None:
        """Keep `state` after the current step, so that an interrupted trial goes on from here.

        Args:
            state: Dicts, lists, tuples, numbers, strings, bytes, arrays, tensors and paths; no other objects.

        Raises:
            CheckpointError: it holds something else (named), or cannot be written.
        """
        self._begin(0)
        self._tick()
        self._session.save(self, self._step or self.row.step, state)

    def _begin(self, step: int) -> int:
        """Where this attempt began; the first call decides."""
        if self.began is None:
            self.began = step
            self.row.began = self.row.step = step
            self._session.begin(self, step)
        return self.began

    def _tick(self) -> None:
        now = time.monotonic()
        self.row.cost += now - self._clock
        self._clock = now

    def cost(self) -> float:
        """Seconds of training so far, over all attempts."""
        self._tick()
        return self.row.cost
