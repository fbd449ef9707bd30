"""Seeds, threads and devices: everything that touches torch's global state."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray

# torch's default generator is one per process: whoever seeds it must be alone.
_GENERATOR_LOCK = threading.RLock()
_THREADS_LOCK = threading.Lock()
_THREADS = {"users": 0, "before": 0}


@contextmanager
def seeded_torch(seed: int) -> Iterator[None]:
    """Seed torch's global generators, and restore them on leaving."""
    devices = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else []
    with _GENERATOR_LOCK, torch.random.fork_rng(devices=list(devices)):
        torch.manual_seed(seed)
        yield


@contextmanager
def one_thread(active: bool = True) -> Iterator[None]:
    """Run with one intra-op thread; several fits at once share the restriction.

    Small networks gain nothing from a second thread and lose a factor of fifty where
    the second core is busy, because OpenMP spins at every barrier.
    """
    if not active:
        yield
        return
    with _THREADS_LOCK:
        if _THREADS["users"] == 0:
            _THREADS["before"] = torch.get_num_threads()
            torch.set_num_threads(1)
        _THREADS["users"] += 1
    try:
        yield
    finally:
        with _THREADS_LOCK:
            _THREADS["users"] -= 1
            if _THREADS["users"] == 0:
                torch.set_num_threads(_THREADS["before"])


def resolve_device(device: str) -> str:
    """Return the device to compute on; "auto" is CUDA where there is one.

    Raises
    ------
    ValueError
        If `device` is not a device or is not available here.
    """
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        kind = torch.device(device).type
    except RuntimeError as error:
        raise ValueError(
            f"device={device!r} is not a device that torch knows."
        ) from error
    if kind == "cuda" and not torch.cuda.is_available():
        raise ValueError(
            f"device={device!r} was asked for, but torch finds no CUDA device here. "
            "Use device='auto' or 'cpu'."
        )
    return device


def to_numpy(state: Mapping[str, torch.Tensor]) -> dict[str, NDArray]:
    """Copy tensors to arrays on the CPU."""
    return {
        name: tensor.detach().cpu().numpy().copy() for name, tensor in state.items()
    }


def to_torch(
    state: Mapping[str, NDArray], device: str, dtype: torch.dtype | None = None
) -> dict[str, torch.Tensor]:
    """Make tensors of arrays; floating ones are cast to `dtype`, if one is given."""
    tensors = {}
    for name, array in state.items():
        tensor = torch.tensor(array)  # copies: the array may be a read-only memory map
        cast = dtype if tensor.is_floating_point() else None
        tensors[name] = tensor.to(device, cast)
    return tensors


def torch_dtype(dtype: str) -> torch.dtype:
    return torch.float64 if np.dtype(dtype) == np.float64 else torch.float32
