"""The places at which every store is put through the same laws, and what its tests share."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # pytest does not put this folder on the path

from contract import PLACES, begun


@pytest.fixture(params=PLACES)
def place(request, tmp_path):
    """Where studies live, in one process or in several."""
    with PLACES[request.param](tmp_path) as made:
        yield made


@pytest.fixture(params=[name for name, place in PLACES.items() if place.shared])
def shared(request, tmp_path):
    """Where studies live that several processes use at once."""
    with PLACES[request.param](tmp_path) as made:
        yield made


@pytest.fixture
def store(place):
    """A store with one study, which is called `s`."""
    return begun(place.store())


@pytest.fixture
def small(tmp_path):
    """A disk of half a megabyte."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if (
        os.geteuid()
        or subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", disk], capture_output=True, check=False
        ).returncode
    ):
        pytest.skip("only who may mount can have a disk that is really full")
    try:
        yield disk
    finally:
        subprocess.run(["umount", "-l", disk], check=True)
