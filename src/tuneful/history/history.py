"""Everything that is known of a study: the one thing that searchers, schedulers and pruners decide from."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tuneful.history.curves import Curves
from tuneful.history.job import Bound, Limits, Objective
from tuneful.history.past import facts_at, texts_at
from tuneful.history.ranking import ranks, undominated
from tuneful.history.row import Checkpoint, Curve, Row, State
from tuneful.history.vocabulary import Vocabulary
from tuneful.space import Config, Scalar, Space

Array = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]

_COLUMNS: dict[str, tuple[type, float]] = {
    "state": (np.int8, State.QUEUED),
    "distinct": (np.bool_, True),
    "known": (np.bool_, False),
    "reached": (np.int64, 0),
    "until": (np.float64, np.inf),
    "attempt": (np.int64, 0),
    "began": (np.int64, 0),
    "seen": (np.int64, 0),
    "revision": (np.int64, 0),
    "born": (np.int64, 0),
    "begun": (np.int64, 0),
    "ended": (np.int64, 0),
    "space_version": (np.int64, 0),
    "repeat_of": (np.int64, -1),
    "parent": (np.int64, -1),
    "parent_step": (np.int64, 0),
    "cost": (np.float64, 0.0),
    "started_at": (np.float64, np.nan),
    "finished_at": (np.float64, np.nan),
    "most_trials": (np.float64, np.inf),
    "most_steps": (np.float64, np.inf),
    "length": (np.int64, 0),
}
_TEXTS = ("why", "note", "error", "settings", "saved", "imported", "past", "proposed", "wish")
_NOTHING: Mapping[str, Any] = {}


class History:
    """The trials of a study, one row each in the order of their numbers.

    Lower is better everywhere in it, NaN is unknown, inf is failed. A view hides values, never rows, so a row
    is always a trial's number.

    Args:
        space: What can vary now.
        objectives: The studied metrics; the m columns of `y`.
        bounds: The constraints on metrics; the k columns of `violations`.
        seed: The seed of the study.
        limits: How far it may go.

    Attributes:
        state: A `State` of each trial, (n,).
        reached: The last step each has reported, (n,); `until`, the one it may go to (inf: to the end).
        born, begun, ended: The revision at which each was recorded, first started (or made ready for any worker to
            start) and finished (0: not yet), (n,): the order of starting and of finishing.
        seen: The revision that was known when each was proposed, (n,); `most_trials`, `most_steps`, the limits it
            was proposed under (inf: none).
        space_version: The version of the space that each is of, (n,).
        repeat_of, parent, parent_step: Which trial it repeats, or was forked from and where; -1 for none.
        cost: Seconds of training, (n,).
        length: The step at which each is over if nobody ends it before, (n,); 0 if it has not said so.
        version: Changes whenever anything does.
        rev: The revision of the study in its store up to which everything is known.
    """

    state: NDArray[np.int8]
    reached: Ints
    until: Array
    attempt: Ints
    seen: Ints
    born: Ints
    begun: Ints
    ended: Ints
    space_version: Ints
    repeat_of: Ints
    parent: Ints
    parent_step: Ints
    distinct: Flags
    cost: Array
    started_at: Array
    finished_at: Array
    most_trials: Array
    most_steps: Array
    known: Flags
    length: Ints

    def __init__(
        self,
        space: Space,
        objectives: Sequence[Objective] = (Objective(),),
        bounds: Sequence[Bound] = (),
        *,
        seed: int = 0,
        limits: Limits | None = None,
    ) -> None:
        self.space = space
        self.objectives = tuple(objectives)
        self.bounds = tuple(bounds)
        self.seed = seed
        self.limits = limits or Limits()
        self.space_number = 0
        self.version = 0
        self.rev = 0
        self.curves: dict[str, Curves] = {}
        self.metrics: dict[str, Array] = {}
        self.started = 0
        self._n = 0
        # A column each, not one structured array: who scans 100,000 trials for a state reads nothing else.
        self._facts: dict[str, NDArray[Any]] = {
            name: np.full(16, blank, dtype=kind) for name, (kind, blank) in _COLUMNS.items()
        }
        self._y = np.full((16, len(self.objectives)), np.nan)
        self._violations = np.full((16, len(self.bounds)), np.nan)
        self._texts: dict[str, dict[int, Any]] = {kind: {} for kind in _TEXTS}
        self._unfinished: set[int] = set()
        self._memo: dict[Hashable, tuple[int, Any]] = {}
        self._vocabulary = Vocabulary(space)
        self._spaces: dict[int, tuple[int, Space]] = {0: (0, space)}  # by version, with the revision of each

    def __len__(self) -> int:
        return self._n

    def __getattr__(self, name: str) -> Any:
        if name in _COLUMNS:
            return self._facts[name][: self._n]
        raise AttributeError(f"A History has no {name!r}.")

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_memo": {}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)

    # What searchers read

    @property
    def x(self) -> Array:
        """The configs in the unit cube of the current space, (n, d); NaN where a parameter does not exist."""
        return self._vocabulary.encoded(self._n)[0]

    @property
    def inside(self) -> Flags:
        """Which trials lie in the current space, (n,); models should not see the others."""
        return self._vocabulary.encoded(self._n)[1]

    @property
    def y(self) -> Array:
        """The studied metrics of finished trials, (n, m)."""
        return self._y[: self._n]

    @property
    def violations(self) -> Array:
        """By how much each trial breaks each constraint, (n, k); at most 0 is feasible, NaN unknown, inf a NaN."""
        return self._violations[: self._n]

    @property
    def feasible(self) -> Flags:
        """Which trials break no constraint that is known of them, (n,)."""
        broken: Flags = np.any(self.violations > 0, axis=1)
        return ~broken

    @property
    def means(self) -> Array:
        """`y` with the mean over a trial and its repeats in the row of the first that is done, NaN in the others."""
        repeats = self.repeat_of >= 0
        if not np.any(repeats):
            return self.y
        root = np.where(repeats, self.repeat_of, np.arange(self._n))
        done = np.flatnonzero(self.state == State.DONE)
        count = np.bincount(root[done], minlength=self._n)
        known, first = np.unique(root[done], return_index=True)
        mean = np.where(repeats[:, None], np.nan, self.y)
        for j in range(self.y.shape[1]):
            total = np.bincount(root[done], self.y[done, j], self._n)
            mean[done[first], j] = total[known] / count[known]
        return mean

    @property
    def best(self) -> int | None:
        """The done, feasible trial with the lowest first objective (the first of them); None if there is none."""
        front = self.front
        if not len(front):
            return None
        return int(front[np.argmin(self.means[front, 0])])

    @property
    def front(self) -> Ints:
        """The done, feasible trials that no other beats in every objective; with one objective, the best."""
        y = self.means
        known = np.flatnonzero((self.state == State.DONE) & self.feasible & np.isfinite(y).all(axis=1))
        if len(self.objectives) == 1:
            return known[y[known, 0] == y[known, 0].min()][:1] if len(known) else known
        return known[undominated(y[known])]

    @property
    def resumable(self) -> bool:
        """Whether trials of this study can be paused: one has saved its state."""
        return bool(self._texts["saved"])

    @property
    def unfinished(self) -> list[int]:
        """The trials that are queued, running or paused, by number."""
        return sorted(self._unfinished)

    def of_state(self, state: State) -> list[int]:
        """The unfinished trials of `state`, by number."""
        found: list[int] = np.flatnonzero((self.state == int(state)) & self.known).tolist()
        return found

    @property
    def ready(self) -> list[int]:
        """The queued trials that any worker may run as they are: that and how far is decided already, by number."""
        held = self._texts["wish"]
        return [trial for trial in self.of_state(State.QUEUED) if self.begun[trial] > 0 and trial not in held]

    def config(self, trial: int) -> Config:
        """The values of a trial by path."""
        return self._vocabulary.config(trial)

    def row(self, trial: int) -> Row:
        """The facts of a trial, its curve apart."""
        at = {name: column[trial].item() for name, column in self._facts.items()}
        until, parent, repeat_of = at["until"], at["parent"], at["repeat_of"]
        return Row(
            trial,
            self.config(trial),
            space=at["space_version"],
            state=State(at["state"]),
            rev=at["revision"],
            born=at["born"],
            begun=at["begun"],
            ended=at["ended"],
            until=_whole(until),
            step=at["reached"],
            attempt=at["attempt"],
            began=at["began"],
            saved=self.text("saved", trial),
            values=self._values(trial),
            cost=at["cost"],
            parent=None if parent < 0 else Checkpoint(parent, at["parent_step"]),
            repeat_of=None if repeat_of < 0 else repeat_of,
            imported=bool(self.text("imported", trial)),
            note=self.text("note", trial),
            why=self.text("why", trial),
            seen=at["seen"],
            settings=self.text("settings", trial),
            error=self.text("error", trial),
            started=None if np.isnan(at["started_at"]) else at["started_at"],
            finished=None if np.isnan(at["finished_at"]) else at["finished_at"],
            past=self._texts["past"].get(trial, ()),
            proposed=self._texts["proposed"].get(trial),
            limits=(_whole(at["most_trials"]), _whole(at["most_steps"])),
            wish=self.text("wish", trial),
            length=at["length"] or None,
        )

    def _values(self, trial: int) -> dict[str, float]:
        values = {name: float(v[trial]) for name, v in self.metrics.items() if not np.isnan(v[trial])}
        broken = zip(self.bounds, np.isinf(self._violations[trial]), strict=True)
        return {bound.metric: math.nan for bound, nan in broken if nan} | values

    def contains(self, config: Mapping[str, Scalar]) -> bool:
        """Whether some trial has this config already."""
        return self.find(config) is not None

    def find(self, config: Mapping[str, Scalar]) -> int | None:
        """The first trial that has this config; None if none has."""
        return self._vocabulary.find(config, self._n, self.state >= State.DONE if self.space.open else None)

    def value_at(self, step: int, metric: str | None = None) -> Array:
        """The value each trial reported at `step`, (n,), lower is better; NaN where it has not got there.

        Args:
            step: The step, from 1.
            metric: The first objective by default; any other metric is given as it was reported.
        """
        name = self.objectives[0].metric if metric is None else metric
        if name not in self.curves:
            return np.full(self._n, np.nan)
        return self.sign(name) * self.curves[name].at(step, self._n)

    def curve(self, trial: int, metric: str | None = None) -> tuple[Ints, Array]:
        """The (steps, values) that `trial` reported, lower is better."""
        name = self.objectives[0].metric if metric is None else metric
        if name not in self.curves:
            return np.empty(0, dtype=np.int64), np.empty(0)
        steps, values = self.curves[name].of(trial)
        return steps, self.sign(name) * values

    def rank_at(self, step: int) -> Array:
        """One number for each trial from what it reported at `step`, (n,), lower is better; NaN unknown.

        The value itself; with several objectives the non-dominated rank, then how crowded it is there.
        """
        if len(self.objectives) == 1:
            return self.value_at(step)
        return ranks(np.column_stack([self.value_at(step, o.metric) for o in self.objectives]))

    def sign(self, metric: str) -> float:
        """What to multiply the values of a metric with so that lower is better."""
        return next((o.sign for o in self.objectives if o.metric == metric), 1.0)

    def text(self, kind: str, trial: int) -> Any:
        """The `why`, `note`, `error`, `settings`, `saved` or `wish` of a trial; empty or None if it has none."""
        return self._texts[kind].get(trial, None if kind in ("error", "saved", "wish") else _NOTHING)

    def recall(self, key: Hashable) -> tuple[int, Any] | None:
        """The (version, value) last remembered under `key`; a memo that may be gone at any time."""
        return self._memo.get(key)

    def remember(self, key: Hashable, value: Any) -> None:
        """Keep what is dear to compute for the next call. It must not change any decision."""
        self._memo[key] = (self.version, value)

    def as_of(self, rev: int, space: int | None = None) -> History:
        """What was known at revision `rev`: later trials, results, reports and parameters are gone.

        A trial that went on or ended later has the config it was proposed with, and the cost of when it was last
        paused. Two things are not kept: what an attempt reported beyond the checkpoint from which the next one went
        on, and the first of two reports of one step.

        Args:
            rev: The revision.
            space: The version of the space to encode for; by default the one that was searched then.
        """
        version = self._space_at(rev) if space is None else space
        past = History(self._spaces[version][1], self.objectives, self.bounds, seed=self.seed, limits=self.limits)
        n = int(np.searchsorted(self.born, rev, side="right"))
        past._n, past.rev, past.version, past.space_number = n, rev, self.version, version
        later = (self.ended[:n] > rev) | (self.ended[:n] == 0)
        past._spaces = {number: known for number, known in self._spaces.items() if known[0] <= rev or number == version}
        past.curves = {name: curve.copy((curve.rev <= rev) & (curve.trial < n)) for name, curve in self.curves.items()}
        reached = np.zeros(n, dtype=np.int64)
        for curve in past.curves.values():
            np.maximum.at(reached, curve.trial, curve.step)
        past._texts = texts_at(self._texts, rev, later)
        past._facts = facts_at(self._facts, rev, later, reached, past._texts)
        self._propose_again(past, later)
        past._y, past._violations = self._y[:n].copy(), self._violations[:n].copy()
        past._y[later], past._violations[later] = np.nan, np.nan
        past.metrics = {name: np.where(later, np.nan, values[:n]) for name, values in self.metrics.items()}
        past.started = int(np.count_nonzero((past.begun > 0) & past.distinct))
        past._unfinished = set(np.flatnonzero(later).tolist())
        for trial, (step, attempt) in list(past._texts["saved"].items()):
            if step > past.reached[trial] or attempt > past.attempt[trial]:
                del past._texts["saved"][trial]
        return past

    def _space_at(self, rev: int) -> int:
        """The version of the space that was searched at `rev`."""
        if self.space_number not in self._spaces or self._spaces[self.space_number][0] <= rev:
            return self.space_number
        return max((version for version, (since, _) in self._spaces.items() if since <= rev), default=min(self._spaces))

    def _propose_again(self, past: History, later: Flags) -> None:
        """Give the trials of a past their configs of then; those of now, if they are the same."""
        known = self._texts["proposed"].items()
        proposed = {trial: first for trial, first in known if trial < len(later) and later[trial]}
        for trial, (version, _) in proposed.items():
            past._facts["space_version"][trial] = version
        if past.space_number == self.space_number and not proposed:
            past._vocabulary = self._vocabulary
            return
        for version in sorted({*past._spaces, *past.space_version.tolist()} & self._spaces.keys()):
            past._vocabulary.learn(self._spaces[version][1])
        if len(past):
            trials = range(len(past))
            configs = [proposed[trial][1] if trial in proposed else self.config(trial) for trial in trials]
            past._vocabulary.put_new(np.array(trials), configs)

    # What the study writes

    def apply(self, row: Row) -> None:
        """Take in the new state of a trial."""
        trial = row.number
        if trial >= self._n:
            self._make_room(trial + 1)
        else:
            self.started -= bool(self._facts["begun"][trial] > 0 and self._facts["distinct"][trial])
            if trial not in self._unfinished:
                self._forget_result(trial)
            if row.curve is not None:
                self.restart(trial, 0)
        for column, fact in zip(self._facts.values(), _facts(row), strict=True):
            column[trial] = fact
        self._vocabulary.put(trial, row.config)
        for kind, known in self._texts.items():
            if text := getattr(row, kind):
                known[trial] = text
            else:
                known.pop(trial, None)
        self._take(row)
        self.version += 1

    def apply_all(self, rows: Sequence[Row]) -> None:
        """Take in many trials, each once: those of which nothing is known yet together, which is faster."""
        known = self.known
        new = [row for row in rows if row.number >= len(known) or not known[row.number]]
        if new:
            self._apply_new(new)
        for row in rows if len(new) < len(rows) else ():
            if row.number < len(known) and known[row.number]:
                self.apply(row)

    def _apply_new(self, rows: Sequence[Row]) -> None:
        trials = np.array([row.number for row in rows])
        self._make_room(max(self._n, int(trials.max()) + 1))
        for column, facts in zip(self._facts.values(), zip(*map(_facts, rows), strict=True), strict=True):
            column[trials] = facts
        self._vocabulary.put_new(trials, [row.config for row in rows])
        for kind, known in self._texts.items():
            known.update((row.number, text) for row in rows if (text := getattr(row, kind)))
        for row in rows:
            self._take(row)
        self.version += 1

    def report(self, trial: int, step: int, metrics: Mapping[str, float], rev: int | None = None) -> None:
        """Take in what a trial reported at `step`, known since `rev`; `UNTOLD`, if others do not know it yet."""
        at = self.rev if rev is None else rev
        if step <= self._facts["reached"][trial]:  # reported again: the later word counts
            for curve in self.curves.values():
                curve.drop_step(trial, step)
        for name, value in metrics.items():
            self._curve(name).add(trial, step, value, at)
        self._facts["reached"][trial] = max(step, int(self._facts["reached"][trial]))
        self.version += 1

    def lasts(self, trial: int, steps: int) -> None:
        """Take in how many steps a trial will have if nobody ends it before."""
        self._facts["length"][trial] = steps
        self.version += 1

    def restart(self, trial: int, after: int) -> None:
        """Forget what a trial reported beyond step `after`: it begins again there."""
        for curve in self.curves.values():
            curve.drop(trial, after)
        self._facts["reached"][trial] = min(after, int(self._facts["reached"][trial]))
        self.version += 1

    def tell(self, trial: int, rev: int) -> None:
        """What only this process knew of a trial's curves became known to all at `rev`."""
        for curve in self.curves.values():
            curve.tell(trial, rev)

    def take_back(self, trial: int) -> None:
        """Forget what only this process knows of a trial's curves: it is another's now."""
        for curve in self.curves.values():
            curve.drop_untold(trial)
        self.version += 1

    def move_to(self, space: Space, version: int, rev: int | None = None) -> None:
        """Search `space` from now on, which is known since `rev`; the trials so far stay, encoded for it."""
        self._vocabulary.move_to(space)
        self._spaces[version] = self.rev if rev is None else rev, space
        self.space = space
        self.space_number = version
        self.version += 1
        self._memo.clear()

    def learn(self, space: Space, version: int | None = None, rev: int = 0) -> None:
        """Understand the trials of a space that need not be the current one; as a `version`, known since `rev`."""
        self._vocabulary.learn(space)
        if version is not None:
            self._spaces[version] = rev, space

    def _take(self, row: Row) -> None:
        """Take in how far a trial has got."""
        trial = row.number
        self.started += row.begun > 0 and row.distinct
        if row.state.final:
            self._unfinished.discard(trial)
            self._finish(row)
        else:
            self._unfinished.add(trial)

    def _finish(self, row: Row) -> None:
        trial = row.number
        if row.curve:
            self._take_curve(row, row.curve)
        for name, value in row.values.items():
            if name not in self.metrics:
                self.metrics[name] = np.full(len(self._y), np.nan)
            self.metrics[name][trial] = value
        for j, objective in enumerate(self.objectives):
            if row.state == State.DONE:
                self._y[trial, j] = objective.sign * row.values.get(objective.metric, np.nan)
            else:
                self._y[trial, j] = np.inf if row.state == State.FAILED else np.nan
        for j, bound in enumerate(self.bounds):
            value = row.values.get(bound.metric, np.nan)
            unknown = np.isnan(value) and (row.state != State.DONE or bound.metric not in row.values)
            self._violations[trial, j] = np.nan if unknown else bound.violation(value)

    def _take_curve(self, row: Row, curves: Mapping[str, Curve]) -> None:
        if not any(row.revs):
            for name, (steps, values) in curves.items():
                self._curve(name).extend(row.number, steps, values, row.ended)
            return
        known = np.unique(np.concatenate([steps for steps, _ in curves.values()]))
        revs = np.full(len(known), row.ended, dtype=np.int64)
        revs[: len(row.revs)] = [rev or row.ended for rev in row.revs]
        for name, (steps, values) in curves.items():
            self._curve(name).extend(row.number, steps, values, revs[np.searchsorted(known, steps)])

    def _forget_result(self, trial: int) -> None:
        self._y[trial] = np.nan
        self._violations[trial] = np.nan
        for values in self.metrics.values():
            values[trial] = np.nan

    def _curve(self, name: str) -> Curves:
        if name not in self.curves:
            self.curves[name] = Curves()
        return self.curves[name]

    def _make_room(self, n: int) -> None:
        if n > len(self._y):
            room = max(n, 2 * len(self._y))
            self._y, self._violations = _wider(self._y, room), _wider(self._violations, room)
            self.metrics = {name: _wider(values, room) for name, values in self.metrics.items()}
            for name, column in self._facts.items():
                self._facts[name] = np.empty(room, dtype=column.dtype)  # what nobody writes takes no memory
                self._facts[name][: self._n] = column[: self._n]
        for name, (_, blank) in _COLUMNS.items() if n > self._n + 1 else ():  # one is written right away
            self._facts[name][self._n : n] = blank
        self._n = n


def _facts(row: Row) -> tuple[float, ...]:
    """A trial's values of `_COLUMNS`."""
    parent, parent_step = row.parent or (-1, 0)
    return (
        *(row.state, row.distinct, True, row.step, np.inf if row.until is None else row.until),
        *(row.attempt, row.began, row.seen, row.rev, row.born, row.begun, row.ended, row.space),
        *(-1 if row.repeat_of is None else row.repeat_of, parent, parent_step, row.cost),
        *(np.nan if row.started is None else row.started, np.nan if row.finished is None else row.finished),
        *(np.inf if limit is None else limit for limit in row.limits),
        row.length or 0,
    )


def _whole(number: float) -> int | None:
    return None if np.isinf(number) else int(number)


def _wider(column: Array, room: int) -> Array:
    wider = np.full((room, *column.shape[1:]), np.nan)
    wider[: len(column)] = column
    return wider
