"""What to try next. A searcher's name is its class in lower case: `search="one_at_a_time"`."""

from tuneful.searchers.auto import Auto
from tuneful.searchers.given import Given
from tuneful.searchers.grid import Grid
from tuneful.searchers.halton import Halton
from tuneful.searchers.one_at_a_time import OneAtATime
from tuneful.searchers.random import Random
from tuneful.searchers.sobol import Sobol

__all__ = ["Auto", "Given", "Grid", "Halton", "OneAtATime", "Random", "Sobol"]
