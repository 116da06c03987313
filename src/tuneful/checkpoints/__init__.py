"""States that trials saved, as immutable folders of plain files: JSON, npz, safetensors, copied files."""

from tuneful.checkpoints.folder import Checkpoints
from tuneful.checkpoints.keeping import kept

__all__ = ["Checkpoints", "kept"]
