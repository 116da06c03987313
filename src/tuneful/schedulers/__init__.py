"""What to run next, and how far. A scheduler's name is its class in lower case: `schedule="full"`."""

from tuneful.schedulers.asha import Asha
from tuneful.schedulers.auto import Auto
from tuneful.schedulers.freeze_thaw import FreezeThaw
from tuneful.schedulers.full import Full
from tuneful.schedulers.hyperband import Hyperband
from tuneful.schedulers.one_epoch import OneEpoch
from tuneful.schedulers.successive_halving import SuccessiveHalving

__all__ = ["Asha", "Auto", "FreezeThaw", "Full", "Hyperband", "OneEpoch", "SuccessiveHalving"]
