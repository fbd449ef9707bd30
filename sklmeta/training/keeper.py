"""Writes a training down after an epoch, and goes on from what was written."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import torch
from skorch.callbacks import Callback
from skorch.history import History
from torch import Tensor, nn

from sklmeta.training.callbacks import FallingSchedule, Recorder
from sklmeta.training.checkpoint import Checkpoint
from sklmeta.training.finite_guard import drop_gradients
from sklmeta.training.net import Batch

OF_GUARD = ("n_skipped", "n_since", "_in_a_row", "_last_loss")
OF_RECORDER = ("best_loss", "best_epoch", "n_iter", "history")


class Keeper(Callback):
    """Keeps all that decides how a training goes on.

    Parameters
    ----------
    checkpoint : Checkpoint
    stream : EpisodeStream
    recorder : Recorder
    skip : callable
        Draws so many meta-batches in vain.

    beside : list
        Tensors that belong to the training, and are kept with it; restored in place.

    keeps_torch : bool
        Whether torch's global generator, which is the training's own then, is kept.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        stream: Any,
        recorder: Recorder,
        skip: Callable[[int], object],
        beside: list[Tensor],
        keeps_torch: bool,
    ):
        self.checkpoint, self.stream, self.recorder = checkpoint, stream, recorder
        self.skip, self.beside, self.keeps_torch = skip, beside, keeps_torch
        self.before: dict[str, Any] | None = None

    @property
    def n_epochs_done(self) -> int:
        """Epochs that the state to go on from has behind it."""
        return len(json.loads(self.before["plain"])["net"]) if self.before else 0

    def on_train_begin(self, net: Any, **kwargs: Any) -> None:
        state = self.before
        if state is None:
            return
        learner, stream, recorder = net.module_, self.stream, self.recorder
        plain = json.loads(state["plain"])
        n_done = stream.n_updates - plain["remaining"]
        self.skip(n_done - 1)
        # Once more in vain: what is asked at a first update may draw numbers, too.
        again = Batch(stream.draw(), (n_done - 1) / stream.n_updates)
        net.train_step_single((again, None))
        drop_gradients(net.optimizer_)
        stream.remaining = plain["remaining"]
        learner.load_state_dict(state["module"])
        net.optimizer_.load_state_dict(state["optimizer"])
        net.history_ = History(plain["net"])
        net.guard_.__dict__.update(plain["guard"])
        recorder.__dict__.update(plain["recorder"])
        recorder.weights = state["module"]
        recorder.best_weights = state["best"] or None
        for schedule in _schedules(net):
            schedule.n_done_ = stream.n_updates - stream.remaining
            schedule.share_ = plain["share"]
        set_generators(learner, state["generators"])
        if self.keeps_torch:
            torch.set_rng_state(state["torch"])
        self.beside[:] = state["beside"]

    def finish(self, learner: nn.Module, weights: dict[str, Tensor]) -> None:
        """Keep the end of the training, which is not to be made again."""
        recorder = self.recorder
        plain = {"n_iter": recorder.n_iter, "history": recorder.history}
        self.checkpoint.save(
            {
                "finished": True,
                "plain": json.dumps(plain, default=str),
                "module": dict(learner.state_dict()),
                "weights": weights,
                "beside": list(self.beside),
            }
        )

    def take_up(self, learner: nn.Module) -> dict[str, Tensor]:
        """Take what a training ended with; return the weights it chose."""
        assert self.before is not None
        self.recorder.__dict__.update(json.loads(self.before["plain"]))
        learner.load_state_dict(self.before["module"])
        self.beside[:] = self.before["beside"]
        weights: dict[str, Tensor] = self.before["weights"]
        return weights

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        if not self.checkpoint.is_due() or not self.stream.remaining:
            return
        recorder, schedules = self.recorder, _schedules(net)
        plain = {
            "remaining": self.stream.remaining,
            "net": [{**row, "batches": []} for row in net.history],
            "guard": {name: vars(net.guard_)[name] for name in OF_GUARD},
            "recorder": {name: vars(recorder)[name] for name in OF_RECORDER},
            "share": schedules[0].share_ if schedules else 0.0,
        }
        self.checkpoint.save(
            {
                "plain": json.dumps(plain, default=str),
                "module": recorder.weights,
                "best": recorder.best_weights or {},
                "optimizer": net.optimizer_.state_dict(),
                "generators": generators_of(net.module_),
                "torch": torch.get_rng_state(),
                "beside": list(self.beside),
            }
        )


def _schedules(net: Any) -> list[FallingSchedule]:
    return [c for _, c in net.callbacks_ if isinstance(c, FallingSchedule)]


def generators_of(module: nn.Module) -> dict[str, Tensor]:
    """States of the generators that are attributes of a module or its parts."""
    return {
        f"{name}.{attribute}": value.get_state()
        for name, part in module.named_modules()
        for attribute, value in vars(part).items()
        if isinstance(value, torch.Generator)
    }


def set_generators(module: nn.Module, states: dict[str, Tensor]) -> None:
    """Give a module generators in these states."""
    parts = dict(module.named_modules())
    for path, state in states.items():
        name, _, attribute = path.rpartition(".")
        setattr(parts[name], attribute, torch.Generator())
        getattr(parts[name], attribute).set_state(state)
