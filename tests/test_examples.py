"""The examples run as their readers run them: each in a process of its own, in an empty folder."""

import gzip
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"
NEEDS = {
    "define_by_run.py": ["sklearn"],
    "digits.py": ["torch", "sklearn"],
    "keras_notes_space.py": ["torch", "sklearn"],
}


def run(name, *arguments, folder):
    """What an example prints: (stdout, stderr)."""
    for library in NEEDS.get(name, []):
        pytest.importorskip(library)
    command = [sys.executable, "-W", "error", str(EXAMPLES / name), *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


def write_idx(path, array):
    """An array in the format of MNIST's files."""
    content = struct.pack(f">HBB{array.ndim}i", 0, 8, array.ndim, *array.shape) + array.tobytes()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


def test_every_example_is_run_here():
    assert {path.name for path in EXAMPLES.glob("*.py")} == NEEDS.keys() | {"ask_tell.py"}


def test_digits_is_tuned_and_goes_on(tmp_path):
    out, err = run("digits.py", "--trials", "3", "--epochs", "2", folder=tmp_path)
    assert "digits.db: a new study" in err
    assert err.count("  trial ") == 3
    assert all(part in out for part in ("baseline", "best", "chosen", "learned", "optimizer", "digits.db"))
    _, err = run("digits.py", "--trials", "4", "--epochs", "2", folder=tmp_path)
    assert "digits.db: going on" in err
    assert err.count("  trial ") == 1
    assert "trial 3" in err


def test_digits_counts_what_the_network_for_mnist_learns(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (200, 28, 28), dtype=np.uint8)
    write_idx(tmp_path / "train-images-idx3-ubyte.gz", images)
    write_idx(tmp_path / "train-labels-idx1-ubyte", np.arange(200, dtype=np.uint8) % 10)
    out, _ = run("digits.py", "--mnist", ".", "--trials", "1", "--epochs", "1", folder=tmp_path)
    assert "401,408 weights +  512 biases" in out
    assert "468,874" in out


def test_digits_says_which_file_of_mnist_is_missing(tmp_path):
    with pytest.raises(AssertionError, match=r"There is no train-images-idx3-ubyte or .*\.gz in"):
        run("digits.py", "--mnist", ".", folder=tmp_path)


def test_keras_notes_space_has_9600_networks(tmp_path):
    out, err = run("keras_notes_space.py", "--trials", "2", "--epochs", "2", folder=tmp_path)
    assert "9,600" in out
    assert err.count("  trial ") == 2
    assert "best" in out


def test_define_by_run_finds_the_parameters_of_each_model(tmp_path):
    out, _ = run("define_by_run.py", "--trials", "8", folder=tmp_path)
    assert all(path in out for path in ("model", "svm.C", "forest.trees", "neighbours.k"))


def test_ask_tell_runs_a_loop_of_its_own(tmp_path):
    out, _ = run("ask_tell.py", folder=tmp_path)
    assert "best" in out


def test_ask_tell_is_told_by_number_later(tmp_path):
    first, _ = run("ask_tell.py", "ask", folder=tmp_path)
    second, _ = run("ask_tell.py", "ask", folder=tmp_path)
    assert first.startswith("trial 0")
    assert second.startswith("trial 1")
    run("ask_tell.py", "tell", "1", "7.5", folder=tmp_path)
    run("ask_tell.py", "tell", "0", "6", folder=tmp_path)
    out, _ = run("ask_tell.py", "show", folder=tmp_path)
    assert "2 done" in out
    assert "7.5 (trial 1)" in out
