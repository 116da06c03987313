"""Whether a running trial is still worth its time. A pruner's name is its class in lower case: `prune="median"`."""

from tuneful.pruners.any_of import AnyOf
from tuneful.pruners.diverged import Diverged
from tuneful.pruners.median import Median
from tuneful.pruners.patience import Patience
from tuneful.pruners.percentile import Percentile
from tuneful.pruners.threshold import Threshold

__all__ = ["AnyOf", "Diverged", "Median", "Patience", "Percentile", "Threshold"]
