"""What to try next. A searcher's name is its class in lower case: `search="one_at_a_time"`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tuneful.homes import importing

if TYPE_CHECKING:
    from tuneful.searchers.auto import Auto as Auto
    from tuneful.searchers.cma_es import CmaEs as CmaEs
    from tuneful.searchers.forest import Forest as Forest
    from tuneful.searchers.given import Given as Given
    from tuneful.searchers.gp import Gp as Gp
    from tuneful.searchers.grid import Grid as Grid
    from tuneful.searchers.halton import Halton as Halton
    from tuneful.searchers.kde import Kde as Kde
    from tuneful.searchers.mix import Mix as Mix
    from tuneful.searchers.one_at_a_time import OneAtATime as OneAtATime
    from tuneful.searchers.random import Random as Random
    from tuneful.searchers.sobol import Sobol as Sobol
    from tuneful.searchers.then import Then as Then
    from tuneful.searchers.tpe import Tpe as Tpe

# Where each lives; it is imported when it is first used, since most of them need scipy.
_HOMES = {
    "Auto": "auto",
    "CmaEs": "cma_es",
    "Forest": "forest",
    "Given": "given",
    "Gp": "gp",
    "Grid": "grid",
    "Halton": "halton",
    "Kde": "kde",
    "Mix": "mix",
    "OneAtATime": "one_at_a_time",
    "Random": "random",
    "Sobol": "sobol",
    "Then": "then",
    "Tpe": "tpe",
}

__all__ = list(_HOMES)

__getattr__ = importing(__name__, _HOMES)
