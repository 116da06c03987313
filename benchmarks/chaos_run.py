"""One study that is hurt until it is over."""

from __future__ import annotations

import heapq
import json
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from itertools import count, takewhile
from operator import itemgetter
from pathlib import Path

from chaos_check import Findings, check
from chaos_crew import Crew
from chaos_places import Postgres, SqliteFile
from chaos_worker import study_of

from tuneful.stores import open_store, parse_address

_GAIN = 10  # results between two faults of workers, at least
_QUIET = 3.0  # seconds before the first fault of a server, and between restarts


@dataclass(frozen=True)
class Plan:
    """One run of the harness.

    Attributes:
        name: What it is called.
        store: `sqlite` or `postgres`.
        by: How workers work, see `chaos_worker`; `peers` mixes those that ask and those that run, and `joined` those
            of a run with those of `tuneful worker`, as many of each.
        trials: How many; `workers`, by how many at once.
        kills: Seconds between faults of workers; `stops`, the share of them that only stop one, for twice the lease.
        lease: Seconds after which a silent worker is given up.
        pause: Seconds that a trial takes, on average.
        forget: Of how many writes of those that ask one loses its reply; 0 for none.
        full: Of how many trials of those that ask one finds the disk full for a while; 0 for none.
        restarts: How often the server is restarted, in turns fast and immediate.
        ends: Seconds between connections that the server ends; 0 for never.
        cut: Seconds for which the network is cut, once.
        most: Seconds after which the run is given up.
    """

    name: str
    store: str = "sqlite"
    by: str = "peers"
    trials: int = 2_000
    workers: int = 4
    kills: float = 0.5
    stops: float = 0.0
    lease: float = 1.5
    pause: float = 0.002
    forget: int = 0
    full: int = 0
    restarts: int = 0
    ends: float = 0.0
    cut: float = 0.0
    most: float = 300.0
    seed: int = 0


class Run:
    """One study, hurt until it is over."""

    def __init__(self, plan: Plan, folder: Path, place: SqliteFile | Postgres) -> None:
        self._plan, self._folder, self._place = plan, folder, place
        self._rng = random.Random(plan.seed)
        self._facts = asdict(plan) | {"address": place.address, "checkpoints": str(folder / "checkpoints")}
        self._cut: threading.Thread | None = None
        self.away: list[float] = []
        self._told = 0
        (folder / "plan.json").write_text(json.dumps(self._facts))

    def __call__(self) -> tuple[Findings, Crew]:
        """Run it to its end, and check what came of it."""
        study_of(self._facts).close()
        crew = Crew(self._folder, _hows(self._plan))
        feed = [sys.executable, str(Path(__file__).with_name("chaos_feed.py")), str(self._folder)]
        with (self._folder / "said-feed.txt").open("wb") as said:
            reader = subprocess.Popen(feed, stdout=said, stderr=said)
        try:
            self._hurt(crew)
        finally:
            crew.end()
            (self._folder / "over").touch()
            if self._cut is not None:
                self._cut.join()
        try:
            reader.wait(60)
        except subprocess.TimeoutExpired:
            reader.kill()
        if reader.wait():
            crew.deaths.append((reader.pid, reader.returncode))
        return check(self._folder, self._facts, crew.faults, self._damage()), crew

    def _hurt(self, crew: Crew) -> None:
        while crew.working and not any(self._folder.glob("ledger-*.jsonl")):
            time.sleep(0.01)
        began = time.monotonic()
        for at, fault in self._faults(crew):
            while time.monotonic() - began < at:
                if not crew.working:
                    return
                time.sleep(0.01)
            fault()

    def _faults(self, crew: Crew) -> Iterator[tuple[float, Callable[[], object]]]:
        """What happens, and after how many seconds, in order; at last nothing."""
        plan, place = self._plan, self._place
        streams: list[Iterable[tuple[float, Callable[[], object]]]] = []
        if plan.kills:
            streams.append((i * plan.kills, partial(self._harm, crew)) for i in count(1))
        if isinstance(place, Postgres):
            restart = [partial(self._restart, place, how) for how in ("fast", "immediate")]
            streams.append((_QUIET * (i + 1), restart[i % 2]) for i in range(plan.restarts))
            if plan.ends:
                streams.append((i * plan.ends, partial(place.terminate, self._rng)) for i in count(1))
            if plan.cut:
                streams.append([(_QUIET, partial(self._begin_cut, place))])
        faults = heapq.merge(*streams, key=itemgetter(0))
        yield from takewhile(lambda fault: fault[0] < plan.most, faults)
        yield plan.most, lambda: None

    def _harm(self, crew: Crew) -> None:
        """Kill or stop a process, if enough was done since the last time; else a slow machine has no chance."""
        told = sum(path.read_text().count('["told"') for path in self._folder.glob("ledger-*.jsonl"))
        if told >= self._told + _GAIN:
            self._told = told
            crew.hurt(self._rng, self._plan.stops, 2 * self._plan.lease)

    def _restart(self, place: Postgres, how: str) -> None:
        self.away.append(place.restart(how))

    def _begin_cut(self, place: Postgres) -> None:
        assert place.proxy is not None
        self.away.append(self._plan.cut)
        self._cut = threading.Thread(target=place.proxy.cut, args=(self._plan.cut,))
        self._cut.start()

    def _damage(self) -> list[str]:
        store = open_store(parse_address(self._place.address))
        try:
            return [*self._place.damage(), *store.check()]
        finally:
            store.close()


def _hows(plan: Plan) -> list[str]:
    groups = {"workers": ["workers"], "joined": ["workers", "join"]}
    alone = {"peers": ["ask", "run"]}.get(plan.by, [plan.by])
    return groups.get(plan.by) or [alone[slot % len(alone)] for slot in range(plan.workers)]
