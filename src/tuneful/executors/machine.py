"""What this machine has for workers to share: GPUs and cores."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping

# What numeric libraries read to know how many threads to start.
_THREADS = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "TF_NUM_INTRAOP_THREADS",
)
_VISIBLE = "CUDA_VISIBLE_DEVICES"


def cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def gpus() -> list[str]:
    """The GPUs that this process may use, as CUDA_VISIBLE_DEVICES names them."""
    if _VISIBLE in os.environ:
        names = [name.strip() for name in os.environ[_VISIBLE].split(",")]
        return [name for name in names if name and name != "-1"]
    if shutil.which("nvidia-smi") is None:
        return []
    asked = ["nvidia-smi", "--query-gpu=index", "--format=csv,noheader"]
    try:
        answer = subprocess.run(asked, capture_output=True, text=True, timeout=30, check=True)  # noqa: S603 - our own words
    except (OSError, subprocess.SubprocessError):
        return []
    return answer.stdout.split()


def share(place: int, of: int, gpu: list[str], environment: Mapping[str, str]) -> dict[str, str]:
    """The environment variables of one of several workers: its GPU, and its part of the cores.

    What the user has set stays.

    >>> share(1, 2, ["0", "1"], {"OMP_NUM_THREADS": "3"})["CUDA_VISIBLE_DEVICES"]
    '1'
    """
    threads = str(max(1, cores() // of))
    found = {name: threads for name in _THREADS if name not in environment}
    return found | {_VISIBLE: gpu[place % len(gpu)]} if gpu else found
