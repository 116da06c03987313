"""What starts workers."""

from tuneful.executors.processes import Processes as Processes

__all__ = ["Processes"]
