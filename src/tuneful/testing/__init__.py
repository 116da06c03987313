"""Contracts for everybody's algorithms: what a searcher, a scheduler and a pruner must hold to.

Each check is a plain function that raises an AssertionError naming the law, the space and the situation:

>>> from tuneful import searchers
>>> check_searcher(searchers.Random())
"""

from tuneful.testing.histories import situations as situations
from tuneful.testing.histories import small_spaces as small_spaces
from tuneful.testing.pruners import check_pruner as check_pruner
from tuneful.testing.schedulers import check_scheduler as check_scheduler
from tuneful.testing.searchers import check_searcher as check_searcher

__all__ = ["check_pruner", "check_scheduler", "check_searcher", "situations", "small_spaces"]
