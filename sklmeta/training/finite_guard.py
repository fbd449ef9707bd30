"""Meta-updates are clipped, and left out where they are not finite.

One wild task may overflow in the inner loop, or its meta-gradient where its loss does
not; one step along infinity puts NaN in every weight. A loss that stays so is another
matter, and ends the training.
"""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from sklmeta.exceptions import NonFiniteLossError

MAX_NON_FINITE = 20
"""So many meta-batches in a row whose loss is not finite end the training."""


class HostGuard:
    """Decides before each step of the optimizer, for which it must know the loss.

    On a CPU knowing costs nothing. On a GPU the host waits for the device.

    Parameters
    ----------
    max_norm : float or None
        Norm to which the meta-gradient is scaled down.

    Attributes
    ----------
    n_skipped : int
        Meta-updates left out.

    n_since : int
        Meta-updates made since training should have ended.
    """

    deferred = False

    def __init__(self, max_norm: float | None):
        self.max_norm = math.inf if max_norm is None else max_norm
        self.n_skipped = 0
        self.n_since = 0
        self.error: NonFiniteLossError | None = None
        self._in_a_row = 0
        self._last_loss = 0.0

    def finish(self, loss: Tensor, optimizer: torch.optim.Optimizer) -> Tensor:
        """Clip the gradient, or drop it; return the loss to report."""
        value = loss.item()
        reported = self._count_loss(value)
        if self.error is not None:
            raise self.error
        if not math.isfinite(value):
            drop_gradients(optimizer)
            return torch.full_like(loss, reported)
        gradients = gradients_of(optimizer)
        norm = total_norm(gradients).item() if gradients else 0.0
        if not math.isfinite(norm):
            self.n_skipped += 1
            drop_gradients(optimizer)
        elif norm + 1e-6 > self.max_norm:
            torch._foreach_mul_(gradients, self.max_norm / (norm + 1e-6))
        return loss

    def _count_loss(self, loss: float) -> float:
        """Return the loss, or the last finite one in its place."""
        if math.isfinite(loss):
            self._in_a_row, self._last_loss = 0, loss
        else:
            self._in_a_row += 1
            self.n_skipped += 1
            if self._in_a_row == MAX_NON_FINITE and self.error is None:
                self.error = NonFiniteLossError()
        return self._last_loss


class DeviceGuard(HostGuard):
    """Decides on the device: the host reads what happened once per epoch.

    The optimizer's fused kernel reads ``found_inf``, as it does for
    ``torch.amp.GradScaler``, and leaves weights and moments alone where it is one.
    """

    deferred = True

    def __init__(self, max_norm: float | None):
        super().__init__(max_norm)
        self._left_out: list[Tensor] = []

    def finish(self, loss: Tensor, optimizer: torch.optim.Optimizer) -> Tensor:
        gradients = gradients_of(optimizer)
        norm = total_norm(gradients) if gradients else torch.zeros_like(loss)
        left_out = (~torch.isfinite(norm + loss)).float()
        if math.isfinite(self.max_norm) and gradients:
            scale = torch.clamp(self.max_norm / (norm + 1e-6), max=1.0)
            torch._foreach_mul_(gradients, scale)
        optimizer.found_inf = left_out  # type: ignore[attr-defined]
        self._left_out.append(left_out)
        return loss

    def settle(self, losses: Sequence[Tensor]) -> list[float]:
        """Read the losses of an epoch and count; return those to report."""
        if not losses:
            return []
        left_out = torch.stack(self._left_out[: len(losses)])
        stacked = torch.stack([torch.stack(list(losses)), left_out.to(losses[0].dtype)])
        self._left_out = []
        reported = []
        for loss, dropped in zip(*stacked.tolist(), strict=True):
            self.n_since += self.error is not None
            reported.append(self._count_loss(loss))
            self.n_skipped += bool(dropped) and math.isfinite(loss)
        return reported


def make_guard(
    max_norm: float | None, optimizer: torch.optim.Optimizer, device: str
) -> HostGuard:
    """Return the guard that fits the optimizer and the device."""
    if torch.device(device).type != "cpu" and reads_found_inf(optimizer):
        return DeviceGuard(max_norm)
    return HostGuard(max_norm)


def reads_found_inf(optimizer: torch.optim.Optimizer) -> bool:
    """Whether the optimizer's kernel leaves out a step that it is told to."""
    groups = optimizer.param_groups
    # A first step left out would leave SGD's momentum uninitialised.
    return all(group.get("fused") for group in groups) and not any(
        group.get("momentum") for group in groups
    )


def gradients_of(optimizer: torch.optim.Optimizer) -> list[Tensor]:
    return [
        parameter.grad
        for group in optimizer.param_groups
        for parameter in group["params"]
        if parameter.grad is not None
    ]


def drop_gradients(optimizer: torch.optim.Optimizer) -> None:
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            parameter.grad = None


def total_norm(gradients: Sequence[Tensor]) -> Tensor:
    """Norm of the gradients as one vector: a copy costs less than a norm for each."""
    return torch.linalg.vector_norm(torch.cat([g.flatten() for g in gradients]))
