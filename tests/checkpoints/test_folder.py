import json
import os
import pickle
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tuneful.checkpoints import Checkpoints
from tuneful.errors import CheckpointError

dtypes = hnp.scalar_dtypes() | hnp.unicode_string_dtypes() | hnp.byte_string_dtypes() | hnp.array_dtypes()
arrays = hnp.arrays(dtypes, hnp.array_shapes(min_dims=0, min_side=0, max_side=3))


@pytest.fixture
def checkpoints(tmp_path):
    return Checkpoints(tmp_path / "kept")


@pytest.fixture(scope="module")
def shared():
    return Checkpoints()


def files(root):
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())


@settings(deadline=None, max_examples=50)
@given(state=st.lists(arrays | st.binary(max_size=3) | st.binary(min_size=1025, max_size=1030)))
def test_arrays_and_bytes_come_back_exactly(shared, state):
    shared.save(0, 1, 0, state)
    loaded = shared.load(0, 1, 0)
    assert len(loaded) == len(state)
    for found, saved in zip(loaded, state, strict=True):
        if isinstance(saved, bytes):
            assert found == saved
        else:
            assert (found.dtype, found.shape, found.tobytes()) == (saved.dtype, saved.shape, saved.tobytes())


def test_a_whole_state_comes_back(checkpoints, tmp_path):
    (tmp_path / "notes.txt").write_text("kept")
    record = np.array((1, 2.5), dtype=[("a", "i4"), ("b", "f8")])[()]
    state = {
        "weights": [np.arange(6).reshape(2, 3).T, np.float32(0.1)],
        "record": record,
        1: (True, None, 2**100, -0.0, "é\ud800"),
        "tensor": torch.arange(3),
        "raw": bytes(5000),
        "notes": tmp_path / "notes.txt",
    }
    checkpoints.save(7, 3, 1, state)
    loaded = checkpoints.load(7, 3, 1)
    assert list(loaded) == list(state)
    assert np.array_equal(loaded["weights"][0], state["weights"][0])
    assert loaded["weights"][1] == np.float32(0.1)
    assert type(loaded["weights"][1]) is np.float32
    assert loaded["record"] == record
    assert loaded[1] == state[1]
    assert torch.equal(loaded["tensor"], state["tensor"])
    assert loaded["raw"] == state["raw"]
    assert loaded["notes"].read_text() == "kept"
    assert files(checkpoints.root) == [
        f"7/3/1/{name}"
        for name in ("arrays.npz", "files/0", "files/1/notes.txt", "manifest.json", "tensors.safetensors")
    ]


@pytest.mark.parametrize("state", [None, 3, b"raw", bytes(2000), "text", np.zeros(()), {}, [], ()], ids=repr)
def test_a_state_may_be_one_leaf(checkpoints, state):
    checkpoints.save(0, 1, 0, state)
    loaded = checkpoints.load(0, 1, 0)
    assert type(loaded) is type(state)
    assert np.array_equal(loaded, state) if isinstance(state, np.ndarray) else loaded == state


def test_a_plain_state_is_one_file(checkpoints):
    checkpoints.save(0, 1, 0, {"epoch": 1, "seed": b"short", "loss": [np.float64(0.1)] * 100})
    assert files(checkpoints.root) == ["0/1/0/manifest.json"]


def test_arrays_may_be_called_anything(checkpoints):
    state = {
        name: np.full(2, i) for i, name in enumerate(["file", "allow_pickle", "a/b", "../c", "\0", "__metadata__"])
    }
    checkpoints.save(0, 1, 0, state)
    loaded = checkpoints.load(0, 1, 0)
    assert list(loaded) == list(state)
    assert all(np.array_equal(loaded[name], state[name]) for name in state)


all_dtypes = sorted({x for x in vars(torch).values() if isinstance(x, torch.dtype)}, key=str)


@pytest.mark.filterwarnings("ignore:ComplexHalf")
@pytest.mark.parametrize("dtype", [x for x in all_dtypes if not str(x).startswith(("torch.q", "torch.bits"))], ids=str)
def test_tensors_of_every_dtype_come_back(checkpoints, dtype):
    raw = torch.randint(0, 2, (2, 3, 16), dtype=torch.uint8)
    tensor = (
        raw.view(dtype) if not dtype.is_complex else torch.view_as_complex(raw.view(dtype.to_real()).reshape(2, -1, 2))
    )
    checkpoints.save(0, 1, 0, [tensor, tensor[0, 0, 0] if tensor.dim() > 2 else tensor[0, 0], tensor[:0]])
    loaded, scalar, empty = checkpoints.load(0, 1, 0)
    assert loaded.dtype == scalar.dtype == empty.dtype == dtype
    assert loaded.shape == tensor.shape
    assert scalar.shape == ()
    assert empty.shape == (0, *tensor.shape[1:])
    assert loaded.untyped_storage().tolist() == tensor.untyped_storage().tolist()


def test_tensors_in_any_memory_come_back(checkpoints):
    base = torch.arange(24.0).reshape(2, 3, 4)
    weight = torch.nn.Parameter(torch.ones(2))
    state = {
        "base": base,
        "slice": base[0],
        "same": base,
        "transposed": base.T if base.dim() == 2 else base.permute(2, 1, 0),
        "expanded": torch.ones(1).expand(5),
        "channels_last": torch.rand(2, 3, 4, 5).contiguous(memory_format=torch.channels_last),
        "parameter": weight,
        "computed": weight * 2,
        "conjugate": torch.tensor([1 + 2j]).conj(),
        "negative": torch.tensor([1 + 2j]).conj().imag,
    }
    checkpoints.save(0, 1, 0, state)
    loaded = checkpoints.load(0, 1, 0)
    for name, tensor in state.items():
        assert type(loaded[name]) is torch.Tensor, name
        assert torch.equal(loaded[name], tensor), name
        assert not loaded[name].requires_grad, name
    loaded["base"].zero_()
    assert loaded["same"].sum() > 0


def test_training_goes_on_as_if_never_stopped(checkpoints):
    def start():
        torch.manual_seed(0)
        model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4), torch.nn.Linear(4, 1))
        optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
        return model, optimizer, torch.optim.lr_scheduler.StepLR(optimizer, 2)

    def train(model, optimizer, schedule, steps):
        for _ in range(steps):
            optimizer.zero_grad()
            model(torch.linspace(0, 1, 12).reshape(4, 3)).square().mean().backward()
            optimizer.step()
            schedule.step()

    straight, broken, again = start(), start(), start()
    train(*straight, 6)
    train(*broken, 3)
    checkpoints.save(0, 3, 0, [part.state_dict() for part in broken])
    for part, state in zip(again, checkpoints.load(0, 3, 0), strict=True):
        part.load_state_dict(state)
    train(*again, 3)
    for one, other in zip(straight[0].state_dict().values(), again[0].state_dict().values(), strict=True):
        assert torch.equal(one, other)


def test_loaded_tensors_outlive_their_file(checkpoints):
    checkpoints.save(0, 1, 0, torch.arange(100_000))
    loaded = checkpoints.load(0, 1, 0)
    with (checkpoints.root / "0/1/0/tensors.safetensors").open("r+b") as file:
        file.truncate(0)
    assert torch.equal(loaded, torch.arange(100_000))


@pytest.mark.parametrize("missing", ["torch", "safetensors"])
def test_without_the_extra_tensors_are_refused(checkpoints, monkeypatch, missing):
    checkpoints.save(0, 1, 0, torch.zeros(1))
    monkeypatch.delitem(sys.modules, "tuneful.checkpoints.tensors", raising=False)
    state = {"w": torch.zeros(1)}
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, missing, None)
        with pytest.raises(CheckpointError, match=r'pip install "tuneful\[torch\]"'):
            checkpoints.load(0, 1, 0)
        if missing == "safetensors":
            with pytest.raises(CheckpointError, match=r'pip install "tuneful\[torch\]"'):
                checkpoints.save(1, 1, 0, state)
    assert sorted(path.name for path in checkpoints.root.iterdir()) == ["0"]


def test_a_folder_is_copied_with_all_in_it(checkpoints, tmp_path):
    source = tmp_path / "model"
    (source / "deep" / "deeper").mkdir(parents=True)
    (source / "empty").mkdir()
    (source / "deep" / "deeper" / "w.bin").write_bytes(b"w" * 3000)
    (source / "a file").write_text("a")
    (source / "link").symlink_to("a file")
    source.chmod(0o555)
    try:
        checkpoints.save(0, 1, 0, {"model": source})
    finally:
        source.chmod(0o755)
    shutil.rmtree(source)
    copy = checkpoints.load(0, 1, 0)["model"]
    assert copy.name == "model"
    assert copy.is_absolute()
    assert sorted(x.relative_to(copy).as_posix() for x in copy.rglob("*")) == [
        "a file",
        "deep",
        "deep/deeper",
        "deep/deeper/w.bin",
        "empty",
        "link",
    ]
    assert (copy / "link").read_text() == "a"
    checkpoints.drop(0)
    assert list(checkpoints.root.iterdir()) == []


def test_a_path_may_be_relative_or_the_empty_folder(checkpoints, tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    checkpoints.save(0, 1, 0, (Path(), Path("../here")))
    assert [path.name for path in checkpoints.load(0, 1, 0)] == ["here", "here"]


def test_a_loaded_path_can_be_saved_again_also_in_its_own_place(checkpoints, tmp_path):
    (tmp_path / "w.bin").write_bytes(b"w")
    checkpoints.save(0, 1, 0, tmp_path / "w.bin")
    checkpoints.save(1, 2, 0, checkpoints.load(0, 1, 0))
    checkpoints.save(0, 1, 0, checkpoints.load(0, 1, 0))
    assert checkpoints.load(0, 1, 0).read_bytes() == checkpoints.load(1, 2, 0).read_bytes() == b"w"


def test_the_folder_that_holds_the_checkpoints_is_refused(checkpoints, tmp_path):
    with pytest.raises(CheckpointError, match="the checkpoints themselves are in it"):
        checkpoints.save(0, 1, 0, [tmp_path])
    assert not checkpoints.root.exists()


def test_what_is_refused_leaves_nothing(checkpoints):
    with pytest.raises(CheckpointError, match=r"Cannot save `state\[1\]`, a set"):
        checkpoints.save(0, 1, 0, [np.zeros(3), {1}])
    assert not checkpoints.root.exists()


def test_saving_again_replaces(checkpoints):
    for value in range(3):
        checkpoints.save(0, 1, 0, {"value": value, "array": np.full(value, value)})
        assert checkpoints.load(0, 1, 0)["value"] == value
    assert sorted(x.name for x in (checkpoints.root / "0").iterdir()) == ["1"]


def test_what_was_never_saved_is_an_error_that_names_the_folder(checkpoints):
    with pytest.raises(CheckpointError, match=r"There is no checkpoint .*kept/4/5/6: it was dropped, or never saved"):
        checkpoints.load(4, 5, 6)


def test_damage_anywhere_is_found(checkpoints, tmp_path):
    (tmp_path / "notes.txt").write_text("kept")
    state = {"a": np.arange(5.0), "t": torch.arange(5.0), "b": bytes(2000), "p": tmp_path / "notes.txt"}
    checkpoints.save(0, 1, 0, state)
    folder = checkpoints.root / "0/1/0"
    rng = np.random.default_rng(0)
    for path in [path for path in folder.rglob("*") if path.is_file()]:
        whole = path.read_bytes()
        flips = [bytearray(whole) for _ in range(40)]
        for flip in flips:
            flip[rng.integers(len(whole))] ^= 1 << rng.integers(8)
        for damaged in (b"", whole[:-1], whole[: len(whole) // 2], whole + b"\0", *flips):
            path.write_bytes(damaged)
            with pytest.raises(CheckpointError, match=r"Cannot read the checkpoint .*kept/0/1/0: .* It is damaged"):
                checkpoints.load(0, 1, 0)
        path.unlink()
        with pytest.raises(CheckpointError, match="kept/0/1/0"):
            checkpoints.load(0, 1, 0)
        path.write_bytes(whole)
    assert checkpoints.load(0, 1, 0)["b"] == bytes(2000)


def test_a_newer_format_is_refused(checkpoints, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("tuneful.checkpoints.contents._FORMAT", 2)
        checkpoints.save(0, 1, 0, None)
    with pytest.raises(CheckpointError, match=r"its format is 2, and this Tuneful reads 1\. Upgrade"):
        checkpoints.load(0, 1, 0)


def test_the_manifest_is_json(checkpoints):
    checkpoints.save(0, 1, 0, {"a": np.zeros(1), "n": float("nan")})
    manifest = json.loads((checkpoints.root / "0/1/0/manifest.json").read_text(), parse_constant=pytest.fail)
    assert list(manifest) == ["format", "files", "state", "crc32"]
    assert list(manifest["files"]) == ["arrays.npz"]


def test_drop_deletes_all_but_what_is_kept(checkpoints):
    for step in (1, 2, 10):
        for attempt in (0, 1):
            checkpoints.save(0, step, attempt, step)
    checkpoints.save(1, 1, 0, "other trial")
    checkpoints.drop(0, keep={(2, 1), (10, 0), (99, 9)})
    assert files(checkpoints.root / "0") == ["10/0/manifest.json", "2/1/manifest.json"]
    assert sorted(x.name for x in (checkpoints.root / "0").iterdir()) == ["10", "2"]
    checkpoints.drop(0)
    checkpoints.drop(0)
    checkpoints.drop(5)
    assert [x.name for x in checkpoints.root.iterdir()] == ["1"]
    with pytest.raises(CheckpointError, match="no checkpoint"):
        checkpoints.load(0, 2, 1)


def test_drop_sweeps_what_crashes_left_but_nothing_alive(checkpoints, monkeypatch):
    checkpoints.save(0, 1, 0, "kept")
    dead = checkpoints.root / "0" / ".tmp-dead"
    dead.mkdir()
    (dead / "arrays.npz").write_bytes(b"half")

    def sync(folder):
        if folder.name.startswith(".tmp-"):
            Checkpoints(checkpoints.root).drop(0, keep=[(1, 0)])

    monkeypatch.setattr("tuneful.checkpoints.contents.sync", sync)
    checkpoints.save(0, 2, 0, "alive while the other is dropped")
    assert not dead.exists()
    assert checkpoints.load(0, 1, 0) == "kept"
    assert checkpoints.load(0, 2, 0).startswith("alive")


def test_a_replacement_cut_short_is_undone(checkpoints):
    def cut_short():
        checkpoints.save(0, 1, 0, "former")
        (checkpoints.root / "0/1/0").rename(checkpoints.root / "0/.old-1-0")

    cut_short()
    assert checkpoints.load(0, 1, 0) == "former"
    cut_short()
    checkpoints.drop(0, keep=[(1, 0)])
    assert checkpoints.load(0, 1, 0) == "former"
    cut_short()
    checkpoints.save(0, 1, 0, "new")
    assert checkpoints.load(0, 1, 0) == "new"
    cut_short()
    checkpoints.drop(0)
    assert list(checkpoints.root.iterdir()) == []


def test_a_replacement_that_fails_is_undone(checkpoints, monkeypatch):
    checkpoints.save(0, 1, 0, "former")
    rename = Path.rename

    def fail(self, target):
        if self.name.startswith(".tmp-"):
            raise OSError(28, "No space left on device")
        return rename(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", fail)
        with pytest.raises(CheckpointError, match="Free space there"):
            checkpoints.save(0, 1, 0, "new")
        assert checkpoints.load(0, 1, 0) == "former"
    assert files(checkpoints.root) == ["0/1/0/manifest.json"]


def test_readers_never_see_a_replacement(checkpoints):
    checkpoints.save(0, 1, 0, {"value": 0, "array": np.zeros(100)})
    done = threading.Event()

    def replace():
        try:
            for value in range(1, 150):
                checkpoints.save(0, 1, 0, {"value": value, "array": np.full(100, value)})
        finally:
            done.set()

    writer = threading.Thread(target=replace)
    writer.start()
    seen = [0]
    while not done.is_set():
        state = checkpoints.load(0, 1, 0)
        assert np.all(state["array"] == state["value"])
        seen.append(state["value"])
    writer.join()
    assert seen == sorted(seen)
    assert checkpoints.load(0, 1, 0)["value"] == 149


def test_many_may_save_and_drop_at_once(checkpoints):
    failed = []

    def work(attempt):
        mine = Checkpoints(checkpoints.root)
        try:
            for step in range(1, 40):
                mine.save(0, step, attempt, {"a": np.full(10, step)})
                assert mine.load(0, step, attempt)["a"][0] == step
                mine.drop(0, keep={(s, a) for s in range(50) for a in range(4) if a != attempt or s == step})
        except Exception as error:  # noqa: BLE001 - shown below
            failed.append(error)

    threads = [threading.Thread(target=work, args=(attempt,)) for attempt in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert files(checkpoints.root / "0") == [
        f"39/{a}/{name}" for a in range(4) for name in ("arrays.npz", "manifest.json")
    ]


def test_a_private_root_goes_with_its_object():
    checkpoints = Checkpoints()
    checkpoints.save(0, 1, 0, "private")
    root = checkpoints.root
    copy = pickle.loads(pickle.dumps(checkpoints))
    assert copy.load(0, 1, 0) == "private"
    del copy
    assert root.exists()
    del checkpoints
    assert not root.exists()


def test_a_private_root_goes_at_exit_and_not_with_a_forked_child():
    code = (
        "import os, sys; from tuneful.checkpoints import Checkpoints; c = Checkpoints(); c.save(0, 1, 0, 1)\n"
        "if (pid := os.fork()) == 0: sys.exit()\n"
        "os.waitpid(pid, 0); assert c.load(0, 1, 0) == 1; print(c.root)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert not Path(done.stdout.strip()).exists()


def test_a_root_may_be_relative_and_is_made_when_needed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    checkpoints = Checkpoints("a/b")
    assert not Path("a").exists()
    monkeypatch.chdir("/")
    checkpoints.save(np.int64(0), np.int32(1), 0, 1)
    assert Checkpoints(str(tmp_path / "a/b")).load(0, 1, 0) == 1


def test_a_root_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "runs.db").touch()
    with pytest.raises(CheckpointError, match=r"runs\.db: it is a file\. Pass a folder"):
        Checkpoints(tmp_path / "runs.db")


def test_a_root_that_cannot_be_made_is_an_error(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(CheckpointError, match=r"Cannot save the checkpoint .*file/in/0/1/0: .*Put that right"):
        Checkpoints(tmp_path / "file" / "in").save(0, 1, 0, 1)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_is_not_a_file(checkpoints, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(CheckpointError, match="no file or folder"):
        checkpoints.save(0, 1, 0, tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "folder" / "pipe")
    with pytest.raises(CheckpointError, match="named pipe"):
        checkpoints.save(0, 1, 0, tmp_path / "folder")
    assert list(checkpoints.root.rglob("*")) == []
