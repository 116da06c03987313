"""What to run next, and how far. A scheduler's name is its class in lower case: `schedule="full"`."""

from tuneful.schedulers.full import Full

__all__ = ["Full"]
