"""What is in the folder of one checkpoint.

| file | there if |
|---|---|
| `manifest.json` | always: format, size and CRC-32 of every other file, the tree, its own CRC-32 |
| `arrays.npz` | the state has numpy arrays |
| `tensors.safetensors` | the state has torch tensors |
| `files/3` | the state has long bytes |
| `files/4/model.keras` | the state has paths: a copy under the same name |
"""

from __future__ import annotations

import json
import os
import shutil
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tuneful.checkpoints.scratch import sync
from tuneful.checkpoints.tree import Leaves, Node, decode
from tuneful.errors import CheckpointError

_FORMAT = 1
_MANIFEST = "manifest.json"
_ARRAYS = "arrays.npz"
_TENSORS = "tensors.safetensors"
_FILES = "files"
_CHUNK = 1 << 20
_SUM = ', "crc32": '


def write_contents(folder: Path, tree: Node, leaves: Leaves) -> None:
    """Fill an empty folder with a state, and force all of it to the disk.

    Raises:
        OSError: a file could not be written, or a path of the state not be read.
        CheckpointError: the state has tensors and safetensors is not installed.
    """
    if leaves.tensors:
        _write_tensors(folder / _TENSORS, leaves.tensors)
    if leaves.arrays:
        _write_arrays(folder / _ARRAYS, leaves.arrays)
    if leaves.blobs or leaves.paths:
        (folder / _FILES).mkdir()
    for name, blob in leaves.blobs.items():
        (folder / _FILES / name).write_bytes(blob)
    for name, path in leaves.paths.items():
        (folder / _FILES / name).parent.mkdir()
        _copy(path, folder / _FILES / name)
    files: dict[str, list[int]] = {}
    for entry in sorted(folder.rglob("*")):
        if entry.is_dir():
            sync(entry)
        else:
            files[entry.relative_to(folder).as_posix()] = _sealed(entry)
    _write_manifest(folder / _MANIFEST, {"format": _FORMAT, "files": files, "state": tree})
    sync(folder)


def read_contents(folder: Path) -> Any:
    """Build the state in a folder again, after checking every file of it against the manifest.

    Raises:
        CheckpointError: a file is missing or not what was written, or comes from a newer Tuneful.
    """
    try:
        manifest = _read_manifest(folder / _MANIFEST)
        if manifest["format"] > _FORMAT:
            raise CheckpointError(
                f"Cannot read the checkpoint {folder}: its format is {manifest['format']}, and this "
                f"Tuneful reads {_FORMAT}. Upgrade Tuneful."
            )
        for name, (size, checksum) in manifest["files"].items():
            _check(folder / name, size, checksum)
        return decode(manifest["state"], _read_leaves(folder, manifest["files"]))
    except PermissionError as error:
        raise CheckpointError(f"Cannot read the checkpoint {folder}: {error}. Let this user read it.") from error
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        raise CheckpointError(
            f"Cannot read the checkpoint {folder}: {error}. It is damaged. Delete the folder, and "
            f"start from another checkpoint or from scratch."
        ) from error


def _write_manifest(path: Path, manifest: Mapping[str, Any]) -> None:
    body = json.dumps(manifest)
    text = f"{body[:-1]}{_SUM}{zlib.crc32(body.encode())}}}"
    with path.open("w", encoding="ascii") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def _read_manifest(path: Path) -> dict[str, Any]:
    body, found, checksum = path.read_text(encoding="ascii").rpartition(_SUM)
    if not found or f"{zlib.crc32((body + '}').encode())}}}" != checksum:
        raise ValueError(f"{_MANIFEST} is not as it was written")
    manifest: dict[str, Any] = json.loads(body + "}")
    return manifest


def _sealed(path: Path) -> list[int]:
    """Force a file to the disk; return its size and CRC-32."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
    return [path.stat().st_size, _checksum(path)]


def _check(path: Path, size: int, checksum: int) -> None:
    found = path.stat().st_size
    if found != size:
        raise ValueError(f"{path.name} has {found} bytes, not {size}")
    if _checksum(path) != checksum:
        raise ValueError(f"{path.name} is not as it was written")


def _checksum(path: Path) -> int:
    checksum = 0
    with path.open("rb", buffering=0) as file:
        while chunk := file.read(_CHUNK):
            checksum = zlib.crc32(chunk, checksum)
    return checksum


def _copy(source: Path, target: Path) -> None:
    """Copy a file, or a folder with all in it; links are followed, and permissions are left behind."""
    if source.is_dir():
        target.mkdir()
        for entry in source.iterdir():
            _copy(entry, target / entry.name)
    else:
        shutil.copyfile(source, target)


def _read_leaves(folder: Path, files: Mapping[str, object]) -> Leaves:
    blobs, paths = {}, {}
    for entry in (folder / _FILES).glob("*"):
        if entry.is_dir():
            paths.update({f"{entry.name}/{copy.name}": copy for copy in entry.iterdir()})
        else:
            blobs[entry.name] = entry.read_bytes()
    return Leaves(
        arrays=_read_arrays(folder / _ARRAYS) if _ARRAYS in files else {},
        tensors=_read_tensors(folder / _TENSORS) if _TENSORS in files else {},
        blobs=blobs,
        paths=paths,
    )


def _write_arrays(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    # As `numpy.savez` does, which cannot be told in every version not to pickle.
    with zipfile.ZipFile(path, "w") as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                np.lib.format.write_array(file, array, version=(3, 0), allow_pickle=False)


def _read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    with np.load(path, allow_pickle=False) as archive:
        return dict(archive)


def _write_tensors(path: Path, tensors: Mapping[str, Any]) -> None:
    try:
        from tuneful.checkpoints.tensors import write_tensors  # noqa: PLC0415 - an extra, and slow to import
    except ModuleNotFoundError as error:
        raise _without_extra("save", path.parent) from error
    write_tensors(path, tensors)


def _read_tensors(path: Path) -> dict[str, Any]:
    try:
        from tuneful.checkpoints.tensors import read_tensors  # noqa: PLC0415 - an extra, and slow to import
    except ModuleNotFoundError as error:
        raise _without_extra("load", path.parent) from error
    return read_tensors(path)


def _without_extra(doing: str, folder: Path) -> CheckpointError:
    return CheckpointError(
        f"Cannot {doing} the tensors of the checkpoint {folder}: torch or safetensors is not installed. Run "
        f'`pip install "tuneful[torch]"`.'
    )
