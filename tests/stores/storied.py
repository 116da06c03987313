"""A study in which everything has happened that a store keeps."""

from dataclasses import replace

from contract import begun, claim_next, done, queued, reported, row, running, started

from tuneful.history import Checkpoint, State
from tuneful.protocols import Outcome


def planned(number, **fields):
    """A trial that any worker may start, as it is recorded ahead."""
    return row(number, begun=1, **fields)


def storied(store):
    """`store`, with a study in which everything has happened that a store keeps."""
    begun(store, first={"x": 0.5, "name": "数 \ud800 '\"`\0"})
    store.beat("w", 600.0)
    made, claim = started(
        store, 1, until=9, seen=3, parent=Checkpoint(0, 2), why={"searcher": "tpe"}, limits=(50, None)
    )
    rev = store.report(
        "s", claim, replace(made, step=2, saved=(2, 1), cost=0.1 + 0.2), [reported(1, 1), reported(1, 2)]
    )
    store.finish("s", claim, queued(replace(made, step=2, cost=0.1 + 0.2)))
    store.grow("s", 1, {"parameters": {"y": [None, True, 0.1, "数"]}})
    _, claim, found = claim_next(store, "s", "w")
    store.report("s", claim, replace(found, began=2, step=3), [reported(1, 3, value=float("nan"), inf=float("-inf"))])
    made, claim = started(store, 2, note={"rung": [1, 3]}, repeat_of=1, imported=True)
    curve = {"value": ([1, 2], [float("inf"), 5e-324])}
    store.finish("s", claim, done(made, 0.25, curve=curve, revs=[rev, rev + 1], settings={"n": 4}, cost=2.5))
    made, claim = started(store, 3, config={"x": 1}, space=1)
    error = {"type": "ValueError", "message": "\ud800 \0 '\"", "traceback": "x" * 5000}
    failed = Outcome(replace(made, state=State.FAILED, error=error, config={"y": 2}), "error", config_changed=True)
    store.finish("s", claim, failed)
    store.create("s", [planned(4, until=3), row(5, state=State.PAUSED), running(6)], "w")
    store.wish("s", 5, "hold")
    store.cancel("s", 6)
    store.wish("s", None, "pause")
    store.lead("s", "w")
    return store
