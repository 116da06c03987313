"""What can go wrong, as a tree.

TunefulError
├── SpaceError            a space, or a config of it, is not possible (also a ValueError)
├── ObjectiveError        the objective cannot be called, or never gives what is studied
├── StudyError            a study is not what was asked for, or cannot do it now
│   └── StudyNotFound
├── CheckpointError       a state cannot be saved, or what was saved is gone
└── StoreError            a store cannot be read or written
    ├── StoreAway         it cannot be reached now, and may come back
    ├── StoreBusy         another process holds it for too long
    └── StoreFull         the disk is full; nothing acknowledged is lost
"""

from __future__ import annotations


class TunefulError(Exception):
    """Anything Tuneful raises on purpose."""


class SpaceError(TunefulError, ValueError):
    """A space, or a config of it, is not possible."""


class ObjectiveError(TunefulError):
    """The objective cannot be called, or never gives what is studied."""


class StudyError(TunefulError):
    """A study is not what was asked for, or cannot do this now."""


class StudyNotFound(StudyError):
    """No study of that name is in the store."""


class CheckpointError(TunefulError):
    """A state cannot be saved, or what was saved is gone."""


class StoreError(TunefulError):
    """A store cannot be read or written."""


class StoreAway(StoreError):
    """The store cannot be reached now; nothing acknowledged is lost, and it may come back."""


class StoreBusy(StoreError):
    """Another process has held the store for too long."""


class StoreFull(StoreError):
    """The disk is full; everything acknowledged before is kept."""
