"""What happens between the steps of meta-training: schedule, record, early stopping."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from skorch.callbacks import Callback
from torch import Tensor, nn

from sklmeta.training.watch import Deadline, Watch

SKORCH_OWN = ("_batch_count", "_loss_best")

OnEpoch = Callable[[dict[str, Tensor], list[dict[str, Any]]], bool]
"""Called with the weights and the history after every epoch; True stops."""

BATCH_EVENTS = ("on_batch_begin", "on_grad_computed", "on_batch_end")


SCHEDULES: dict[str, Callable[[float], float]] = {
    "cosine": lambda done: 0.5 * (1 + math.cos(math.pi * done)),
    "linear": lambda done: 1 - done,
}
"""What is left of the step size when a share of the meta-updates is done."""


class FallingSchedule(Callback):
    """Lets the step size fall to zero.

    The same numbers as ``torch.optim.lr_scheduler.CosineAnnealingLR`` and ``LinearLR``,
    at a hundredth of their cost. Each is made from the one before, so that a callback's
    own factor on the step size lasts.

    Parameters
    ----------
    name : str
        One of `SCHEDULES`.

    n_updates : int
        Meta-updates until zero.

    deadline : Deadline
        Until zero at the latest.
    """

    def __init__(self, name: str, n_updates: int, deadline: Deadline):
        self.name = name
        self.n_updates = n_updates
        self.deadline = deadline

    def initialize(self) -> FallingSchedule:
        self.n_done_ = 0
        self.share_ = 0.0
        return self

    def on_batch_end(self, net: Any, training: bool = False, **kwargs: Any) -> None:
        if not training:
            return
        groups = net.optimizer_.param_groups
        net.rows_[-1]["event_lr"] = groups[0]["lr"]
        before = SCHEDULES[self.name](self.share_)
        self.n_done_ += 1
        self.share_ = max(self.n_done_ / self.n_updates, self.deadline.gone)
        after = SCHEDULES[self.name](self.share_)
        for group in groups:
            group["lr"] *= after / before if before else 0.0


class Recorder(Callback):
    """Keeps the weights of the last and of the best epoch, and stops when told.

    Parameters
    ----------
    stream : object
        Its ``remaining`` is the number of meta-updates still to be made.

    watch : Watch
        Knows of time and interrupts, and shows how far the training is.

    on_epoch : callable
        See `OnEpoch`.

    patience : int or None
        Epochs without improvement of ``valid_loss`` after which to stop.
    """

    def __init__(
        self, stream: Any, watch: Watch, on_epoch: OnEpoch, patience: int | None
    ):
        self.stream = stream
        self.watch = watch
        self.on_epoch = on_epoch
        self.patience = patience
        self.best_loss = math.inf
        self.best_epoch = -1
        self.n_iter = 0
        self.stopped_early = False
        self.weights: dict[str, Tensor] | None = None
        self.best_weights: dict[str, Tensor] | None = None
        self.history: list[dict[str, Any]] = []

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        row = net.history[-1]
        self.n_iter += row["train_batch_count"]
        self.weights = copy_weights(net.module_)
        self.history.append({**_kept(row), "n_iter": self.n_iter})
        if "valid_loss" in row:
            self.watch.progress.note(f"validation loss {row['valid_loss']:.4g}")
        stop, _ = self.watch.team.agree(self.on_epoch(self.weights, self.history))
        if self.patience is not None:
            if row["valid_loss"] < self.best_loss:
                self.best_loss = row["valid_loss"]
                self.best_epoch = len(self.history)
                self.best_weights = self.weights
            stop |= len(self.history) - self.best_epoch >= self.patience
        self.stopped_early = stop
        if (self.watch.is_over() or stop) and self.stream.remaining:
            raise KeyboardInterrupt


def copy_weights(module: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in module.state_dict().items()}


def batch_listeners(callbacks: list[tuple[str, Any]]) -> dict[str, list[Any]]:
    """Bound methods of the callbacks that do something at a batch, for each event.

    Most callbacks do something at the end of an epoch only, and calling all of them
    three times for every batch costs as much as a small network's step.
    """
    return {
        event: [
            getattr(callback, event)
            for _, callback in callbacks
            if getattr(getattr(callback, event), "__func__", None)
            is not getattr(Callback, event)
        ]
        for event in BATCH_EVENTS
    }


def _kept(row: dict[str, Any]) -> dict[str, Any]:
    """What an epoch's row says, callbacks of the user included, in plain Python."""
    told = {n: v for n, v in row.items() if not n.endswith(SKORCH_OWN)}
    plain = {n: v.item() if isinstance(v, np.generic) else v for n, v in told.items()}
    return {n: v for n, v in plain.items() if isinstance(v, (bool, int, float, str))}
