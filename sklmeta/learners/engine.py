"""Applying one torch module with every task's own parameters.

Adapted networks share an architecture and differ in their weights. An `Engine` runs all
of them at once: it takes parameters whose first dimension is the task and rows whose
first dimension is the task. Derivatives are taken outside, by one
``torch.autograd.grad`` of the summed losses of the tasks, whose blocks do not interact.
Never differentiate inside ``torch.vmap``: twice differentiated, the batching rules of
normalisation layers silently treat their statistics as constants.
"""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import threading
import warnings
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from itertools import product

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

from sklmeta.exceptions import warn
from sklmeta.learners.encoders import (
    ACTIVATIONS,
    MLP,
    learned_statistics,
    normalisations,
    uses_batch_statistics,
)

Parameters = dict[str, Tensor]
"""Parameters of every task's copy of a module: {name: (n_tasks, *shape)}."""

ENGINES = ("auto", "batched", "vmap", "loop")

# On a CPU, copies of the weights that overflow the cache cost more than batching saves,
# and so do convolutions of many channels, which keep a core busy task by task.
MAX_BATCHED_BYTES = 2**20
MAX_BATCHED_CHANNELS = 16


_SDPA_LOCK = threading.Lock()


class EngineWarning(UserWarning):
    """The module runs task by task, because it cannot run for many tasks at once."""


class Engine:
    """Runs a module with parameters that differ from task to task.

    Parameters
    ----------
    module : nn.Module
        Maps rows (n_rows, *input) to (n_rows, d).

    engine : {"auto", "batched", "vmap", "loop"}, default="auto"
        - "batched": batched matrix products; for an ``nn.Sequential`` or `MLP` of
          ``nn.Linear``, ``nn.LayerNorm``, ``nn.Dropout``, ``nn.Flatten`` and the
          activations of `MLP`, without hooks.
        - "vmap": ``torch.vmap`` around the forward pass.
        - "loop": one forward pass per task; for every module.
        - "auto": the first of these that takes the module; on a CPU, "loop" for a
          module of more than 1 MiB, or with convolutions of more than 16 channels,
          where batching is slower.

    Attributes
    ----------
    name : str or None
        The engine that was chosen at the first call, None before it.

    Examples
    --------
    >>> import torch
    >>> from sklmeta.learners.encoders import MLP
    >>> from sklmeta.learners.engine import Engine, stack_parameters
    >>> module = MLP(3)
    >>> engine = Engine(module)
    >>> engine(stack_parameters(module, n_tasks=4), torch.zeros(4, 5, 3)).shape
    torch.Size([4, 5, 64])
    >>> engine.name
    'batched'
    """

    def __init__(self, module: nn.Module, engine: str = "auto"):
        if engine not in ENGINES:
            raise ValueError(f"engine must be one of {ENGINES}, got {engine!r}.")
        if engine == "batched" and linear_stack(module) is None:
            raise ValueError(
                "engine='batched' takes a Sequential of Linear, LayerNorm, Dropout, "
                "Flatten and plain activations, without hooks; for "
                f"{type(module).__name__} use engine='auto'."
            )
        self.module = module
        self.engine = engine
        self._norms = normalisations(module)
        self._chosen: dict[tuple[bool, ...], str] = {}

    @property
    def name(self) -> str | None:
        return next(iter(self._chosen.values()), None)

    def __call__(
        self,
        parameters: Mapping[str, Tensor],  # {name: (n_tasks, *shape)}
        X: Tensor,  # shape: (n_tasks, n_rows, *input)
    ) -> Tensor:  # shape: (n_tasks, n_rows, d)
        """Apply the module to the rows of each task with that task's parameters.

        Parameters missing from `parameters` are the module's own.
        """
        if X.shape[1] == 0:
            one_row = X.new_zeros(X.shape[0], 1, *X.shape[2:])
            return self(parameters, one_row)[:, :0]
        # A module may refuse vmap in one mode only: batch normalisation in training
        # mode, attention's fused evaluation when no gradient is recorded.
        by_batch = any(layer.training for layer in self._norms.values())
        mode = (self.module.training, torch.is_grad_enabled(), by_batch)
        if mode not in self._chosen:
            self._chosen[mode] = self._choose(parameters, X)
        name = self._chosen[mode]
        if name == "batched":
            return _batched(self.module, parameters, X)
        if name == "vmap":
            return _vmapped(self.module, parameters, X)
        return looped(self.module, parameters, X)

    def settle(self) -> None:
        """Keep to the engine chosen first, in every mode."""
        if self.name is not None:
            for mode in product((False, True), repeat=3):
                self._chosen.setdefault(mode, self.name)

    def _choose(self, parameters: Mapping[str, Tensor], X: Tensor) -> str:
        if self.engine != "auto":
            return self.engine
        name, reason = choose_engine(self.module, parameters, X)
        # Once: adaptation, later, runs in evaluation mode.
        if reason and self.module.training and "loop" not in self._chosen.values():
            warn(
                f"module {type(self.module).__name__} runs task by task, with the same "
                f"result but more slowly: {reason}.",
                EngineWarning,
            )
        return name


def stack_parameters(module: nn.Module, n_tasks: int) -> Parameters:
    """Give every task the module's trainable parameters, without copying them."""
    return {
        name: parameter.expand(n_tasks, *parameter.shape)
        for name, parameter in module.named_parameters()
        if parameter.requires_grad
    }


def choose_engine(
    module: nn.Module,
    parameters: Mapping[str, Tensor],  # {name: (n_tasks, *shape)}
    X: Tensor,  # shape: (n_tasks, n_rows, *input)
) -> tuple[str, str]:
    """Find the fastest engine that takes the module, by trying.

    Returns
    -------
    name : {"batched", "vmap", "loop"}
    reason : str
        Why the module cannot be batched over tasks; empty if it can.
    """
    if X.device.type == "cpu" and _fills_a_core(module):
        return "loop", ""
    layers = linear_stack(module)
    flat = X.ndim == 3 or (layers and type(layers[0]) is nn.Flatten)
    if layers is not None and flat:
        return "batched", ""
    if uses_batch_statistics(module):
        return "loop", "its batch statistics belong to one task each"
    try:
        # Buffers are cloned because a forward pass that fails may have changed them.
        buffers = {name: b.clone() for name, b in module.named_buffers()}
        few = {name: p[:2] for name, p in parameters.items()}
        with warnings.catch_warnings():
            # Where vmap loops internally, it warns of a "performance drop".
            warnings.filterwarnings("error", message=".*performance drop.*")
            _vmapped(module, few, X[:2], buffers)
    except Exception as error:  # noqa: BLE001 - modules refuse in ways of their own
        lines = str(error).strip().splitlines() or [""]
        return "loop", f"torch.vmap refused it ({type(error).__name__}: {lines[0]})"
    return "vmap", ""


def _fills_a_core(module: nn.Module) -> bool:
    size = sum(p.numel() * p.element_size() for p in module.parameters())
    return size > MAX_BATCHED_BYTES or any(
        m.out_channels > MAX_BATCHED_CHANNELS
        for m in module.modules()
        if isinstance(m, nn.modules.conv._ConvNd)
    )


def linear_stack(module: nn.Module) -> list[nn.Module] | None:
    """Layers of a plain Sequential in order, or None if it is anything else."""
    if not _is_plain(module):
        return None
    if isinstance(module, nn.Sequential) and type(module) in (nn.Sequential, MLP):
        layers: list[nn.Module] = []
        for child in module:  # not children(), which leaves out repeated layers
            inner = linear_stack(child)
            if inner is None:
                return None
            layers += inner
        return layers
    if type(module) is nn.Flatten:
        return [module] if (module.start_dim, module.end_dim) == (1, -1) else None
    if type(module) is nn.LayerNorm:
        return [module] if len(module.normalized_shape) == 1 else None
    return [module] if type(module) in _ROW_WISE else None


_ROW_WISE = (nn.Linear, nn.Dropout, *ACTIVATIONS.values())


def _is_plain(module: nn.Module) -> bool:
    """Whether calling the module does what its class says and nothing else."""
    # Exact types exclude parametrizations, which change the class of a module.
    hooks = (
        module._forward_hooks,
        module._forward_pre_hooks,
        module._backward_hooks,
        module._backward_pre_hooks,
    )
    return not any(hooks) and "forward" not in vars(module)


def _math_attention(module: nn.Module) -> AbstractContextManager[None] | None:
    """Attention kernels that can be differentiated twice, for modules that need them.

    The choice of kernels is one flag of the process, hence the lock.
    """
    if any(isinstance(m, nn.MultiheadAttention) for m in module.modules()):
        return sdpa_kernel(SDPBackend.MATH)
    return None


def _call(module: nn.Module, parameters: Mapping[str, Tensor], X: Tensor) -> Tensor:
    return functional_call(module, dict(parameters), (X,))


def _batched(module: nn.Module, parameters: Mapping[str, Tensor], X: Tensor) -> Tensor:
    # Names go by identity, as tied layers appear once among the named parameters.
    names = {id(p): name for name, p in module.named_parameters()}

    def of_tasks(own: Tensor) -> Tensor:
        stacked = parameters.get(names[id(own)])
        return own.expand(len(X), *own.shape) if stacked is None else stacked

    for layer in linear_stack(module) or ():
        if isinstance(layer, nn.Linear):
            weight = of_tasks(layer.weight).mT  # (n_tasks, d_in, d_out)
            if layer.bias is None:
                X = torch.bmm(X, weight)
            else:
                X = torch.baddbmm(of_tasks(layer.bias)[:, None], X, weight)
        elif isinstance(layer, nn.LayerNorm):
            X = F.layer_norm(X, layer.normalized_shape, eps=layer.eps)
            if layer.weight is not None:
                X = X * of_tasks(layer.weight)[:, None]
            if layer.bias is not None:
                X = X + of_tasks(layer.bias)[:, None]
        elif isinstance(layer, nn.Flatten):
            X = X.flatten(2)
        else:
            X = layer(X)
    return X


def _vmapped(
    module: nn.Module,
    parameters: Mapping[str, Tensor],
    X: Tensor,
    buffers: Mapping[str, Tensor] | None = None,
) -> Tensor:
    def forward(own: Parameters, rows: Tensor) -> Tensor:
        return _call(module, {**own, **(buffers or {})}, rows)

    context = _math_attention(module)
    with _SDPA_LOCK if context else nullcontext(), context or nullcontext():
        return torch.vmap(forward, randomness="different")(dict(parameters), X)


def looped(module: nn.Module, parameters: Mapping[str, Tensor], X: Tensor) -> Tensor:
    """Apply the module task by task, with parameters, and buffers, of each task."""
    # One unbind has one backward pass; indexing task by task would have n_tasks.
    unbound = {name: p.unbind() for name, p in parameters.items()}
    context = _math_attention(module)
    alone = learned_statistics(module) if X.shape[1] == 1 else nullcontext()
    with _SDPA_LOCK if context else nullcontext(), context or nullcontext(), alone:
        return torch.stack(
            [
                _call(module, {name: p[t] for name, p in unbound.items()}, rows)
                for t, rows in enumerate(X.unbind())
            ]
        )
