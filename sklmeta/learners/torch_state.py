"""Seeds, threads, devices: everything that meets the state of the process."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

# torch's default generator is one per process: whoever seeds it must be alone.
_GENERATOR_LOCK = threading.RLock()
_THREADS_LOCK = threading.Lock()
_THREADS_IN_USE: list[int] = []
_THREADS = {"outside": 0}
_NESTING = threading.local()


_ALWAYS_OF_DEFAULT_DTYPE = {
    *(torch.empty, torch.zeros, torch.ones, torch.eye, torch.linspace),
    *(torch.logspace, torch.rand, torch.randn, torch.empty_strided),
}
_OF_ITS_DATA = {
    *(torch.tensor, torch.as_tensor, torch.asarray, torch.scalar_tensor),
    *(torch.full, torch.arange),
}


class _SinglePrecision(TorchFunctionMode):
    """Makes float32 of what would be of the default dtype, in this thread alone."""

    def __init__(self) -> None:
        super().__init__()
        self.default = torch.get_default_dtype()

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        single = {**kwargs, "dtype": torch.float32}
        if func in _ALWAYS_OF_DEFAULT_DTYPE and kwargs.get("dtype") is None:
            return func(*args, **single)
        result = func(*args, **kwargs)
        if (
            not isinstance(result, torch.Tensor)
            or result.dtype != self.default
            or func is torch.Tensor.double
            or any(map(self._is_of_default, tree_leaves((args, kwargs))))
        ):
            return result
        return func(*args, **single) if func in _OF_ITS_DATA else result.float()

    def _is_of_default(self, value: Any) -> bool:
        dtype = value if isinstance(value, torch.dtype) else getattr(value, "dtype", "")
        return str(dtype).removeprefix("torch.") == str(self.default)[len("torch.") :]


@contextmanager
def as_if_alone() -> Iterator[None]:
    """Compute as where nobody has set anything, and restore all on leaving.

    Defaults of torch and NumPy, the grad and inference modes and autocasting are the
    caller's; what a model learns and predicts must not depend on them. All of this is
    the thread's own: no other one notices.
    """
    with ExitStack() as stack:
        if torch.get_default_device().type != "cpu":
            stack.enter_context(torch.device("cpu"))
        if torch.get_default_dtype() != torch.float32:
            stack.enter_context(_SinglePrecision())
        for kind in ("cpu", "cuda"):
            if torch.is_autocast_enabled(kind):
                stack.enter_context(torch.autocast(kind, enabled=False))
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        stack.enter_context(
            np.errstate(divide="warn", over="warn", under="ignore", invalid="warn")
        )
        yield


@contextmanager
def seeded_torch(seed: int) -> Iterator[None]:
    """Seed torch's global generators, and restore them on leaving."""
    devices = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else []
    with _GENERATOR_LOCK, torch.random.fork_rng(devices=list(devices)):
        torch.manual_seed(seed)
        yield


@contextmanager
def intra_op_threads(n_threads: int | None) -> Iterator[None]:
    """Run with so many intra-op threads, and restore what was; None is what was.

    torch keeps the number for each Python thread, and hands the one set last to Python
    threads that have none yet. A thread that first meets torch while another one is in
    here would take that one's number for its own, and keep it.
    """
    depth = getattr(_NESTING, "depth", 0)
    with _THREADS_LOCK:
        now = before = torch.get_num_threads()
        if not _THREADS_IN_USE:
            _THREADS["outside"] = now
        elif depth == 0 and now in _THREADS_IN_USE:
            before = _THREADS["outside"]
        during = before if n_threads is None else n_threads
        if during != now:
            torch.set_num_threads(during)
        _THREADS_IN_USE.append(during)
    _NESTING.depth = depth + 1
    try:
        yield
    finally:
        _NESTING.depth = depth
        with _THREADS_LOCK:
            _THREADS_IN_USE.remove(during)
            if torch.get_num_threads() != before:
                torch.set_num_threads(before)


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
            f"device={device!r} is not a device that torch knows: 'cpu' and 'cuda' "
            "are, and 'auto' takes CUDA where there is one."
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


class _OwnGenerator(TorchDispatchMode):
    """Gives what draws in this thread a generator of its own."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.generator = torch.Generator().manual_seed(seed)

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if torch.Tag.nondeterministic_seeded in func.tags:
            with_generator = getattr(func.overloadpacket, "generator", func)
            names = {argument.name for argument in with_generator._schema.arguments}
            if "generator" in names and kwargs.get("generator") is None:
                func = with_generator
                kwargs = {**kwargs, "generator": self.generator}
        return func(*args, **kwargs)


@contextmanager
def own_generator(seed: int) -> Iterator[None]:
    """Draw from a generator of this block's own, as if torch's had been seeded.

    Nothing outside the block or its thread notices, and nobody waits.
    """
    with _OwnGenerator(seed):
        yield
