"""Whether a running trial is still worth its time. A pruner's name is its class in lower case: `prune="median"`."""

from tuneful.pruners.any_of import AnyOf
from tuneful.pruners.diverged import Diverged
from tuneful.pruners.extrapolation import Extrapolation
from tuneful.pruners.forgiving import Forgiving
from tuneful.pruners.halving import Halving
from tuneful.pruners.median import Median
from tuneful.pruners.patience import Patience
from tuneful.pruners.percentile import Percentile
from tuneful.pruners.slope import Slope
from tuneful.pruners.threshold import Threshold
from tuneful.pruners.wilcoxon import Wilcoxon

__all__ = [
    "AnyOf",
    "Diverged",
    "Extrapolation",
    "Forgiving",
    "Halving",
    "Median",
    "Patience",
    "Percentile",
    "Slope",
    "Threshold",
    "Wilcoxon",
]
