"""One meta-training in several processes: each makes its share of every meta-update.

All draw the same meta-batch, and none but their gradients and decisions travel.
"""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from sklmeta.episodes.rows import Episodes, of_tasks
from sklmeta.learners.torch_state import resolve_device
from sklmeta.training.checkpoint import Checkpoint, Checkpoints


class Team:
    """The processes that make one meta-training; without an accelerator, this one.

    What a method tells depends on all of them, and all must call it.

    Parameters
    ----------
    accelerator : accelerate.Accelerator or bool, default=None
        True makes one.

    Attributes
    ----------
    n : int
        Number of processes.

    rank : int
        Of this one; the main one has 0.
    """

    def __init__(self, accelerator: Any = None):
        if not hasattr(accelerator, "num_processes"):
            accelerator = _make_accelerator() if accelerator else None
        self.accelerator = accelerator
        self.n = 1 if accelerator is None else accelerator.num_processes
        self.rank = 0 if accelerator is None else accelerator.process_index
        started = int(os.environ.get("WORLD_SIZE", "1"))
        if accelerator is not None and started > self.n:
            raise ValueError(
                f"{started} processes were started, and accelerator knows of {self.n}: "
                "each would train alone. On CPUs, make it with cpu=True."
            )
        precision = getattr(accelerator, "mixed_precision", "no")
        if precision != "no":
            raise ValueError(
                f"accelerator has mixed_precision={precision!r}, and meta-training is "
                "in float32. Make it with mixed_precision='no'."
            )

    @property
    def is_main(self) -> bool:
        """Whether this process is the one that shows and writes."""
        return self.rank == 0

    def device_for(self, device: str) -> str:
        """Return where this process computes; "auto" is the accelerator's place."""
        if self.accelerator is not None and device == "auto":
            return str(self.accelerator.device)
        return resolve_device(device)

    def once(self, make: Callable[[], Any]) -> Any:
        """Return what the main process makes, or raise what it raises."""
        if self.n == 1:
            return make()
        from accelerate.utils import broadcast_object_list

        box: list[Any] = [None, None]
        if self.is_main:
            try:
                box[0] = make()
            except (ValueError, OSError, RuntimeError) as error:
                box[1] = error  # else the others would wait for ever
        made, refusal = broadcast_object_list(box)
        if refusal is not None:
            raise refusal
        return made

    def sum(self, values: Tensor) -> Tensor:
        """Return the sum over the processes."""
        if self.n == 1:
            return values
        assert self.accelerator is not None
        total = self.accelerator.reduce(values.to(self.accelerator.device), "sum")
        return total.to(values.device)

    def of_main(self, values: Tensor) -> Tensor:
        """Return the values of the main process."""
        return self.sum(values if self.is_main else torch.zeros_like(values))

    def agree(self, wish: bool, share: float = 0.0) -> tuple[bool, float]:
        """Return whether one of them wishes, and the main one's share."""
        if self.n == 1:
            return wish, share
        both = torch.tensor([float(wish), share if self.is_main else 0.0])
        wishes, of_main = self.sum(both).tolist()
        return wishes > 0, of_main

    def share(self, episodes: Episodes) -> list[Episodes]:
        """Return this process's tasks of a meta-batch; none where there are few."""
        if self.n == 1:
            return [episodes]
        n_tasks = len(episodes.query.X)
        first, last = (n_tasks * i // self.n for i in (self.rank, self.rank + 1))
        part = slice(first, last)
        return [Episodes(*(of_tasks(r, part) for r in episodes))] * (last > first)

    def mean(self, losses: Tensor, n_tasks: int) -> Tensor:
        """Return the mean over all tasks of these losses of this process's."""
        if self.n == 1:
            return losses.mean()
        return self.sum(losses.sum() / n_tasks)

    def add_up(self, parameters: Sequence[Tensor], loss: Tensor) -> Tensor:
        """Put the gradients of all together, and return the loss of all."""
        if self.n == 1:
            return loss
        gradients = [
            torch.zeros_like(p) if p.grad is None else p.grad for p in parameters
        ]
        has_one = loss.new_tensor([float(p.grad is not None) for p in parameters])
        flat = [g.flatten() for g in gradients]
        total = self.sum(torch.cat([*flat, has_one, loss.reshape(1)]))
        sizes = [len(f) for f in flat]
        *summed, has_one, loss = total.split([*sizes, len(has_one), 1])
        for p, gradient, one in zip(parameters, summed, has_one, strict=True):
            if p.grad is not None:
                p.grad.copy_(gradient.view_as(p))
            elif one:  # no gradient is not a gradient of zero to an optimizer
                p.grad = gradient.view_as(p).to(p.dtype, copy=True)
        return loss.reshape(())

    def align(self, module: nn.Module, buffers_only: bool = False) -> None:
        """Give a module the state that it has in the main process."""
        tensors = [*module.buffers()] if buffers_only else [*tensors_of(module)]
        if self.n == 1 or not tensors:
            return
        values = self.once(lambda: [t.detach().cpu() for t in tensors])
        with torch.no_grad():
            for tensor, value in zip(tensors, values, strict=True):
                tensor.copy_(value)

    def check_alike(self, about: Callable[[], dict[str, str]]) -> None:
        """Refuse data that differ from process to process."""
        if self.n == 1:
            return
        own = about()
        of_main = self.once(lambda: own)
        names = [name for name in own if own[name] != of_main[name]]
        if self.agree(bool(names))[0]:
            raise ValueError(
                "All processes must be given the same X, y and task, of which each "
                "draws its share itself; these differ"
                + (f" in {', '.join(names)}." if names else ".")
            )


class SharedCheckpoint(Checkpoint):
    """A checkpoint that the main process reads and writes, for all."""

    def __init__(self, team: Team, folder: Checkpoints, name: str):
        super().__init__(folder.folder, name, folder.key)
        self.team = team

    def load(self) -> dict[str, Any] | None:
        """See the base class."""
        state: dict[str, Any] | None = self.team.once(super().load)
        return state

    def save(self, state: dict[str, Any]) -> None:
        """See the base class."""
        if self.team.is_main:
            super().save(state)


def tensors_of(module: nn.Module) -> list[Tensor]:
    return [*module.parameters(), *module.buffers()]


def _make_accelerator() -> Any:
    try:
        from accelerate import Accelerator
    except ImportError as error:
        raise ImportError(
            "accelerator=True needs accelerate: pip install 'sklmeta[accelerate]'."
        ) from error
    # Left to itself, it takes no notice of torchrun where there is no GPU.
    on_cpu = not torch.cuda.is_available()
    return Accelerator(cpu=on_cpu, mixed_precision="no")
