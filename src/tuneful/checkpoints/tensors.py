"""Torch tensors in a safetensors file. Importing this module imports torch."""

from __future__ import annotations

import errno
import json
import re
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

# What every safetensors since 0.4 stores; the rest goes in as bytes, its dtype and shape as metadata.
_NATIVE = frozenset(
    (
        torch.float64,
        torch.float32,
        torch.float16,
        torch.bfloat16,
        torch.int64,
        torch.int32,
        torch.int16,
        torch.int8,
        torch.uint8,
        torch.bool,
    )
)


def write_tensors(path: Path, tensors: Mapping[str, torch.Tensor]) -> None:
    """Write dense tensors of any dtype, device and strides; those that share memory are written apart.

    Raises:
        OSError: the file could not be written, with the number of the cause.
    """
    stored: dict[str, torch.Tensor] = {}
    disguised: dict[str, str] = {}
    storages: set[int] = set()
    for name, tensor in tensors.items():
        dense = tensor.detach().cpu().resolve_conj().resolve_neg().contiguous()
        if dense.dtype not in _NATIVE:
            disguised[name] = json.dumps([str(dense.dtype).removeprefix("torch."), list(dense.shape)])
            dense = dense.reshape(-1).view(torch.uint8)
        storage = dense.untyped_storage().data_ptr()
        stored[name] = dense.clone() if storage in storages else dense
        storages.add(storage)
    try:
        save_file(stored, path, disguised)
    except SafetensorError as error:
        cause = re.search(r"(?:os error|code:) (\d+)", str(error))
        raise OSError(int(cause[1]) if cause else errno.EIO, str(error), str(path)) from error


def read_tensors(path: Path) -> dict[str, torch.Tensor]:
    """Read the tensors that `write_tensors` wrote, on the CPU and in memory of their own.

    Raises:
        ValueError: the file is not a safetensors file.
    """
    try:
        with safe_open(path, framework="pt") as file:
            disguised = file.metadata() or {}
            # safetensors maps the file; a copy survives the file, also on a network disk.
            tensors: dict[str, torch.Tensor] = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118 - not a dict
    except SafetensorError as error:
        raise ValueError(str(error)) from error
    for name, disguise in disguised.items():
        dtype, shape = json.loads(disguise)
        tensors[name] = tensors[name].view(getattr(torch, dtype)).reshape(shape)
    return tensors
