import os
import random
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from tuneful.checkpoints import Checkpoints
from tuneful.errors import CheckpointError

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL and fork")

SAVER = """
import sys, numpy as np
from tuneful.checkpoints import Checkpoints
checkpoints = Checkpoints(sys.argv[1])
first = int(sys.argv[2])
for i in range(first, first + 100_000):
    state = {"i": i, "array": np.full(1000, i), "raw": bytes(2000)}
    checkpoints.save(0, i, 0, state)
    checkpoints.save(1, 1, 0, state)
    checkpoints.drop(0, keep={(j, 0) for j in range(i - 3, i + 1)})
    print(i, flush=True)
"""


def loaded(root):
    """Each checkpoint that can be seen under a root, by trial, step and attempt."""
    checkpoints = Checkpoints(root)
    seen = [tuple(map(int, path.relative_to(root).parts)) for path in root.glob("[0-9]*/[0-9]*/[0-9]*")]
    return {key: checkpoints.load(*key) for key in seen}


def test_a_killed_process_leaves_only_whole_checkpoints(tmp_path):
    rng = random.Random(0)
    last = 0
    for _ in range(12):
        process = subprocess.Popen(
            [sys.executable, "-c", SAVER, tmp_path, str(last + 1)], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout.readline()
        try:
            process.wait(rng.uniform(0, 0.03))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
        acknowledged = [int(line) for line in process.communicate()[0].split()]
        last = max([last + 1, *acknowledged])
        states = loaded(tmp_path)
        assert (0, last, 0) in states
        assert Checkpoints(tmp_path).load(1, 1, 0)["i"] in (last, last + 1)
        for (number, step, _), state in states.items():
            assert np.all(state["array"] == state["i"])
            assert number == 1 or state["i"] == step
        last = max(step for number, step, _ in states if number == 0)
    Checkpoints(tmp_path).drop(0)
    Checkpoints(tmp_path).drop(1)
    assert list(tmp_path.iterdir()) == []


# Kills itself before its nth use of the file system, for every n.
STEPWISE = """
import os, shutil, signal, sys
from pathlib import Path
import numpy as np
from tuneful.checkpoints import Checkpoints

def deadly(n, root):
    left = n
    def hook(event, args):
        nonlocal left
        if event == "open" or event.startswith(("os.", "fcntl.")):
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
    sys.addaudithook(hook)

root = Path(sys.argv[1])
act = {
    "new": lambda c: c.save(0, 2, 0, {"v": "new", "a": np.ones(3)}),
    "replace": lambda c: c.save(0, 1, 0, {"v": "new", "a": np.ones(3)}),
    "drop": lambda c: c.drop(0, keep=[(1, 0)]),
    "prune": lambda c: c.prune(0, lambda there: [(1, 0)]),
}[sys.argv[2]]
np.savez(os.devnull, a=np.ones(1))  # what is imported late
for n in range(1, 1000):
    shutil.rmtree(root, ignore_errors=True)
    checkpoints = Checkpoints(root)
    checkpoints.save(0, 1, 0, {"v": "old", "a": np.zeros(3)})
    checkpoints.save(0, 3, 0, {"v": "old", "a": np.zeros(3)})
    pid = os.fork()
    if pid == 0:
        deadly(n, root)
        act(checkpoints)
        os._exit(0)
    killed = os.waitpid(pid, 0)[1] == signal.SIGKILL
    found = {}
    for _ in range(2):  # once as it was left, once after others have used it
        for path in [*root.glob("[0-9]*/[0-9]*/[0-9]*"), root / "0/1/0"]:
            key = tuple(map(int, path.relative_to(root).parts))
            state = found[key] = checkpoints.load(*key)
            assert np.all(state["a"] == (state["v"] == "new")), (n, key, state)
        checkpoints.drop(0, keep=[(1, 0), (2, 0), (3, 0)])
        assert not list(root.glob("0/.*")), (n, list(root.glob("0/.*")))
    if not killed:
        break
want = {"new": {(0, 1, 0): "old", (0, 2, 0): "new", (0, 3, 0): "old"},
        "replace": {(0, 1, 0): "new", (0, 3, 0): "old"}, "drop": {(0, 1, 0): "old"}, "prune": {(0, 1, 0): "old"}}[sys.argv[2]]
assert {key: state["v"] for key, state in found.items()} == want, found
print(n)
"""


@pytest.mark.parametrize("act", ["new", "replace", "drop", "prune"])
def test_a_crash_at_any_step_loses_nothing(tmp_path, act):
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", STEPWISE, tmp_path / "kept", act],
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 5


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 1 MiB."""
    mount = shutil.which("mount")
    if mount is None or os.geteuid() != 0:
        pytest.skip("only root can mount a small disk")
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        [mount, "-t", "tmpfs", "-o", "size=1m", "tmpfs", disk], check=False, capture_output=True, text=True
    )
    if mounted.returncode:
        pytest.skip(f"cannot mount a small disk: {mounted.stderr.strip()}")
    yield disk
    subprocess.run(["umount", disk], check=True)


def large(kind, tmp_path):
    n = 2_000_000
    if kind == "path":
        (tmp_path / "large").write_bytes(bytes(n))
        return tmp_path / "large"
    return {
        "text": "x" * n,
        "bytes": bytes(n),
        "array": np.zeros(n // 8),
        "arrays": [np.zeros(n // 80) for _ in range(10)],
        "tensor": torch.zeros(n // 4),
        "many bytes": [bytes(n // 100)] * 100,
    }[kind]


@pytest.mark.parametrize("kind", ["text", "bytes", "array", "arrays", "tensor", "many bytes", "path"])
def test_a_full_disk_leaves_what_was_there(small_disk, tmp_path, kind):
    checkpoints = Checkpoints(small_disk / "kept")
    checkpoints.save(0, 1, 0, {"former": np.arange(1000)})
    before = sorted(small_disk.rglob("*"))
    state = large(kind, tmp_path)
    for key in ((0, 1, 0), (0, 2, 0), (5, 1, 0)):
        with pytest.raises(CheckpointError) as caught:
            checkpoints.save(*key, {"large": state})
        assert "Cannot save the checkpoint" in str(caught.value)
        assert str(small_disk.joinpath("kept", *map(str, key))) in str(caught.value)
        assert "No space left" in str(caught.value)
        assert "Free space" in str(caught.value)
        assert isinstance(caught.value.__cause__, OSError)
        assert sorted(small_disk.rglob("*")) == before
    assert np.array_equal(checkpoints.load(0, 1, 0)["former"], np.arange(1000))
    checkpoints.save(0, 1, 0, "small")
    assert checkpoints.load(0, 1, 0) == "small"


def test_a_disk_that_fills_while_saving_smaller_and_smaller_states(small_disk):
    checkpoints = Checkpoints(small_disk / "kept")
    saved = {}
    size = 300_000
    step = 0
    while size > 10:
        step += 1
        state = bytes([step % 256]) * size
        try:
            checkpoints.save(0, step, 0, state)
            saved[step] = state
        except CheckpointError:
            size //= 2
    assert saved
    for step, state in saved.items():
        assert checkpoints.load(0, step, 0) == state
    checkpoints.drop(0)
    assert list(Path(small_disk, "kept").iterdir()) == []
