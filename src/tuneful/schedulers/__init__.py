"""What to run next, and how far. A scheduler's name is its class in lower case: `schedule="full"`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tuneful.homes import importing

if TYPE_CHECKING:
    from tuneful.schedulers.asha import Asha as Asha
    from tuneful.schedulers.auto import Auto as Auto
    from tuneful.schedulers.freeze_thaw import FreezeThaw as FreezeThaw
    from tuneful.schedulers.full import Full as Full
    from tuneful.schedulers.hyperband import Hyperband as Hyperband
    from tuneful.schedulers.one_epoch import OneEpoch as OneEpoch
    from tuneful.schedulers.successive_halving import SuccessiveHalving as SuccessiveHalving

# Where each lives; it is imported when it is first used, since some need scipy.
_HOMES = {
    "Asha": "asha",
    "Auto": "auto",
    "FreezeThaw": "freeze_thaw",
    "Full": "full",
    "Hyperband": "hyperband",
    "OneEpoch": "one_epoch",
    "SuccessiveHalving": "successive_halving",
}

__all__ = list(_HOMES)

__getattr__ = importing(__name__, _HOMES)
