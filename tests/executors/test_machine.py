"""What workers share of a machine."""

import os

import pytest

from tuneful.executors import machine


@pytest.mark.parametrize(
    ("set_to", "found"),
    [("0,2", ["0", "2"]), (" 1 , 3 ", ["1", "3"]), ("GPU-5ebe9f43,", ["GPU-5ebe9f43"]), ("", []), ("-1", []), ("0,-1", ["0"])],
)  # fmt: skip
def test_the_gpus_that_the_user_left_visible(monkeypatch, set_to, found):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", set_to)
    assert machine.gpus() == found


@pytest.mark.parametrize(
    ("script", "found"), [("echo 0; echo 1", ["0", "1"]), ("exit 9", []), ("echo broken >&2; exit 1", []), ("", [])]
)
def test_the_gpus_that_the_driver_lists(monkeypatch, tmp_path, script, found):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert machine.gpus() == []
    tool = tmp_path / "nvidia-smi"
    tool.write_text(f"#!/bin/sh\n{script}\n")
    tool.chmod(0o755)
    assert machine.gpus() == found


def test_cores_are_those_of_this_process_and_not_of_the_machine():
    if not hasattr(os, "sched_setaffinity"):
        pytest.skip("the system does not pin processes")
    allowed = os.sched_getaffinity(0)
    assert machine.cores() == len(allowed)
    try:
        os.sched_setaffinity(0, {min(allowed)})
        assert machine.cores() == 1
    finally:
        os.sched_setaffinity(0, allowed)


@pytest.mark.parametrize(("of", "threads"), [(1, 8), (2, 4), (3, 2), (8, 1), (20, 1)])
def test_the_cores_are_divided_and_nobody_gets_none(monkeypatch, of, threads):
    monkeypatch.setattr(machine, "cores", lambda: 8)
    shares = [machine.share(place, of, [], {}) for place in range(of)]
    assert {value for found in shares for value in found.values()} == {str(threads)}
    assert "OMP_NUM_THREADS" in shares[0]
    assert "CUDA_VISIBLE_DEVICES" not in shares[0]


def test_what_the_user_has_set_stays():
    found = machine.share(0, 2, ["0"], {"OMP_NUM_THREADS": "3", "CUDA_VISIBLE_DEVICES": "0", "HOME": "/"})
    assert "OMP_NUM_THREADS" not in found
    assert "MKL_NUM_THREADS" in found
    assert "HOME" not in found


def test_gpus_are_handed_out_in_turns():
    given = [machine.share(place, 5, ["0", "GPU-7"], {})["CUDA_VISIBLE_DEVICES"] for place in range(5)]
    assert given == ["0", "GPU-7", "0", "GPU-7", "0"]
