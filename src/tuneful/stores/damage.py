"""What a store holds that Tuneful did not write."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tuneful.errors import StoreError


@contextmanager
def understood(where: object) -> Iterator[None]:
    """Read what is kept at `where`.

    Raises:
        StoreError: it makes no sense.
    """
    try:
        yield
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise StoreError(
            f"{where} is damaged: what it holds is not what was written ({type(error).__name__}: {error}). "
            "Restore a copy."
        ) from error
