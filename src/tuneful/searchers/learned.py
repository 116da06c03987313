"""What all searchers that learn share: how they begin, how they fill a batch, and that nothing comes twice."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tuneful.history import History, Proposal
from tuneful.searchers.draws import Taken, first_new, random_rows
from tuneful.searchers.evidence import Evidence
from tuneful.searchers.sobol import sequence
from tuneful.searchers.threads import one_thread

Array = NDArray[np.float64]

Explain = Callable[[Array], Mapping[str, Any]]  # from a config's point (d,) in the unit cube to why it is proposed
Answer = tuple[Iterable[Array], Explain]  # raw rows (d,), the best first
Choose = Callable[[Evidence, int], Answer]  # for the trial of that number


def learned(history: History, n: int, searcher: str, start: int, choose: Choose) -> list[Proposal]:
    """Proposals for the next `n` trials: first those of a Sobol sequence, then what a model chooses.

    Each proposal is pending for those after it, so a batch spreads out.

    Args:
        history: What is known.
        n: How many are wanted.
        searcher: The name to give in `why`.
        start: How many trials come from the sequence; more while their values do not differ.
        choose: The model's answer to the evidence.
    """
    if n <= 0 or not len(history.space):
        return [Proposal({}, {"searcher": searcher})] * n
    with one_thread():
        return list(_each(history, n, searcher, start, choose))


def _each(history: History, n: int, searcher: str, start: int, choose: Choose) -> Iterator[Proposal]:
    space, evidence, taken = history.space, Evidence.of(history), Taken()
    for number in range(len(history), len(history) + n):
        rows: Iterable[Array]
        explain: Explain
        if number < start or not _differ(evidence.y):
            rows, explain = sequence(history, "sobol", number), lambda _: {"aim": "start"}
        else:
            rows, explain = choose(evidence, number)
            rows = chain(rows, random_rows(history, number, "other"))
        config = first_new(history, number, taken, rows)
        if config is None:
            return
        taken.add(config)
        point = space.encode(space.row(config)[None])[0]
        yield Proposal(config, {"searcher": searcher, **explain(point)})
        if number + 1 < len(history) + n:
            evidence = evidence.and_pending(point)


def _differ(y: Array) -> bool:
    return len(y) > 1 and bool(y.min() < y.max())
