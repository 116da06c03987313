"""A process joins a study that is in a store."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tuneful.checkpoints import Checkpoints
from tuneful.engine.session import Session
from tuneful.errors import StudyNotFound
from tuneful.goals import goals_from_json
from tuneful.history import History
from tuneful.protocols import Store
from tuneful.space import Space


def joined(
    store: Store,
    name: str,
    *,
    space: Space | None = None,
    checkpoints: str | Path | None = None,
    settings: Mapping[str, Any] | None = None,
    shared: bool = True,
) -> Session:
    """A session on a study, of which no trial is read yet.

    Args:
        store: Where the study lives.
        name: Its name.
        space: The space that is believed to be searched: if the stored one is the same, its options are the very
            objects of this one.
        checkpoints: The folder for states; None for one of its own in memory, and none in a shared store.
        settings: System settings to hand to trials and record.
        shared: Whether other processes may use the store.

    Raises:
        StudyNotFound: the study is not there.
    """
    study = store.study(name)
    if study is None:
        raise StudyNotFound(f"There is no study {name!r}: it was deleted, or never made.")
    objectives, bounds = goals_from_json(study.form)
    stored = store.spaces(name)
    version, form = stored[-1]
    spaces = {number: Space.from_json(written) for number, written in stored}
    if space is not None and space.to_json() == form:
        spaces[version] = space
    history = History(spaces[version], objectives, bounds, seed=study.form["seed"])
    history.space_number = version
    for number, known in spaces.items():
        history.learn(known, number)
    kept = Checkpoints(checkpoints) if checkpoints is not None or not shared else None
    return Session(store, name, history, kept, spaces=spaces, settings=settings or {}, shared=shared)
