"""One thread for linear algebra."""

from __future__ import annotations

import functools
from contextlib import AbstractContextManager

import threadpoolctl


def one_thread() -> AbstractContextManager[object]:
    """Let BLAS use one thread meanwhile.

    The matrices of a search are small, and the other cores train: threads that wait for each other then take up to a
    hundred times as long (`benchmarks/throughput.py`, eight workers on two cores).
    """
    return _libraries().limit(limits=1, user_api="blas")  # type: ignore[no-any-return]  # it has no types


@functools.cache
def _libraries() -> threadpoolctl.ThreadpoolController:
    import scipy.linalg  # noqa: F401, PLC0415 - only libraries that are loaded are found

    return threadpoolctl.ThreadpoolController()
