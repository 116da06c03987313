"""What a store writes down about a worker, so that others can tell whether it lives."""

from __future__ import annotations

import socket
import sys
from pathlib import Path


def host() -> str:
    """This host, and the process namespace in it: containers of one host share neither."""
    try:
        return f"{socket.gethostname()} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return socket.gethostname()


def boot() -> str:
    """When this machine was started, as a name of its own; empty where the system does not say."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def version() -> str:
    """The version of Tuneful that runs here."""
    return str(vars(sys.modules["tuneful"])["__version__"])  # stores may not import the root, but it is there
