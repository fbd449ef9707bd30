"""Meta-training a learner with a skorch net: one batch is one meta-update."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import copy
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from sklearn.exceptions import ConvergenceWarning
from skorch.helper import predefined_split
from torch import Tensor

from sklmeta.episodes.rows import Episodes
from sklmeta.exceptions import NonFiniteLossError, warn
from sklmeta.learners.learner import Learner
from sklmeta.training.callbacks import FallingSchedule, OnEpoch, Recorder, copy_weights
from sklmeta.training.checkpoint import Checkpoint
from sklmeta.training.distributed import Team
from sklmeta.training.keeper import Keeper
from sklmeta.training.net import (
    UPDATES_PER_EPOCH,
    DrawEpisodes,
    EpisodeStream,
    FixedEpisodes,
    MeanLoss,
    MetaNet,
    iterate,
)
from sklmeta.training.progress import Progress
from sklmeta.training.watch import Deadline, Watch

FUSED = (torch.optim.Adam, torch.optim.AdamW, torch.optim.SGD)
"""Optimizers that have one kernel for all parameters."""


@dataclass
class TrainingOptions:
    """The outer loop's settings; the names are those of the estimators."""

    max_iter: int
    lr: float
    lr_schedule: str
    optimizer: Any
    optimizer_params: dict[str, Any]
    max_grad_norm: float | None
    n_iter_no_change: int
    callbacks: Sequence[Any]
    device: str
    chunk_size: int | str = "auto"


@dataclass
class TrainingResult:
    """What meta-training leaves: weights of the chosen epoch, and how it ended."""

    weights: dict[str, Tensor]
    n_iter: int = 0
    history: list[dict[str, Any]] = field(default_factory=list)
    interrupted: bool = False
    out_of_time: bool = False
    error: NonFiniteLossError | None = None


@dataclass
class Upkeep:
    """What a training is watched by and kept in; nothing here decides its numbers.

    Parameters
    ----------
    deadline : Deadline
    progress : Progress
    checkpoint : Checkpoint or None
        Where its state is kept, and taken from.

    skip : callable
        Draws so many meta-batches in vain; wanted with a checkpoint.

    beside : list of Tensor
        Kept with the state.

    keeps_torch : bool
        Whether torch's global generator is the training's own.

    team : Team
        Processes that share the work.
    """

    deadline: Deadline = field(default_factory=lambda: Deadline(None))
    progress: Progress = field(default_factory=lambda: Progress(0, "fit"))
    checkpoint: Checkpoint | None = None
    skip: Callable[[int], object] | None = None
    beside: list[Tensor] = field(default_factory=list)
    keeps_torch: bool = False
    team: Team = field(default_factory=Team)


def meta_train(
    learner: Learner,
    draw: DrawEpisodes,
    options: TrainingOptions,
    *,
    valid_episodes: Sequence[Episodes] | None = None,
    on_epoch: OnEpoch,
    upkeep: Upkeep | None = None,
) -> TrainingResult:
    """Lower the learner's mean meta-loss over freshly drawn episodes.

    Parameters
    ----------
    learner : Learner
        Trained in place.

    draw : callable
        Returns a fresh meta-batch.

    options : TrainingOptions

    valid_episodes : sequence of Episodes, default=None
        Meta-batches of held-out tasks; their loss stops the training early, and the
        weights of the best epoch are returned.

    on_epoch : callable
        Called with the weights and the history after every epoch; True stops.

    upkeep : Upkeep, default=None
        Time, progress and checkpoints.

    Returns
    -------
    TrainingResult
        Never raises for an interrupt or a loss that is not finite: it says so, with
        the weights of the last update, or of the last good epoch.

    Raises
    ------
    KeyboardInterrupt
        If the interrupt came before the first update was complete.
    """
    upkeep = upkeep or Upkeep()
    watch = Watch(upkeep.deadline, upkeep.progress, upkeep.team)
    stream = EpisodeStream(draw, options.max_iter, watch.after_update)
    patience = options.n_iter_no_change if valid_episodes is not None else None
    recorder = Recorder(stream, watch, on_epoch, patience)
    result = TrainingResult(copy_weights(learner))
    if not options.max_iter or not any(p.requires_grad for p in learner.parameters()):
        return result
    keeper = _keeper(upkeep, stream, recorder)
    if keeper is not None and keeper.before and "finished" in keeper.before:
        return _finished(keeper, learner)
    net = _make_net(learner, options, recorder, valid_episodes, keeper)
    watch.interrupted = lambda: net.interrupt_in_callback
    try:
        net.fit(stream, None)
    except NonFiniteLossError:
        n_iter = options.max_iter - stream.remaining - net.guard_.n_since
        result.error = NonFiniteLossError(
            f"The meta-training loss is not finite at iteration {n_iter}; the "
            "estimator keeps the weights of the last good epoch. Lower lr (or "
            "inner_lr), or set max_grad_norm."
        )
    else:
        left = stream.remaining > 0 and not recorder.stopped_early
        result.interrupted = net.interrupted_ or (left and watch.reason == "interrupt")
        result.out_of_time = left and watch.reason == "time"
        n_skipped = net.guard_.n_skipped
        if n_skipped:
            warn(
                f"{n_skipped} of {recorder.n_iter} meta-updates were left out, "
                "their loss or gradient not being finite. A lower inner_lr or lr would "
                "make use of them.",
                ConvergenceWarning,
            )
    if result.interrupted and recorder.weights is None:
        raise KeyboardInterrupt
    result.weights = recorder.best_weights or recorder.weights or result.weights
    result.n_iter = recorder.n_iter
    result.history = recorder.history
    cut_short = result.interrupted or result.out_of_time or result.error
    if keeper is not None and not cut_short:
        keeper.finish(learner, result.weights)
    return result


def _keeper(upkeep: Upkeep, stream: EpisodeStream, recorder: Recorder) -> Keeper | None:
    if upkeep.checkpoint is None:
        return None
    skip, beside = upkeep.skip, upkeep.beside
    assert skip is not None
    keeper = Keeper(
        upkeep.checkpoint, stream, recorder, skip, beside, upkeep.keeps_torch
    )
    keeper.before = upkeep.checkpoint.load()
    return keeper


def _finished(keeper: Keeper, learner: Learner) -> TrainingResult:
    """Return what an earlier `fit` ended with."""
    weights = keeper.take_up(learner)
    recorder = keeper.recorder
    return TrainingResult(weights, recorder.n_iter, recorder.history)


def _make_net(
    learner: Learner,
    options: TrainingOptions,
    recorder: Recorder,
    valid_episodes: Sequence[Episodes] | None,
    keeper: Keeper | None = None,
) -> MetaNet:
    n_epochs = math.ceil(options.max_iter / UPDATES_PER_EPOCH)
    callbacks: list[Any] = []
    if options.lr_schedule != "constant":
        deadline = recorder.watch.deadline
        schedule = FallingSchedule(options.lr_schedule, options.max_iter, deadline)
        callbacks.append((options.lr_schedule, schedule))
    # Copies: a callback keeps what it saw, and the estimator's are its parameters.
    callbacks += copy.deepcopy(list(options.callbacks))
    callbacks.append(("recorder", recorder))
    if keeper is not None:
        callbacks.append(("keeper", keeper))
        n_epochs -= keeper.n_epochs_done
    valid = None
    if valid_episodes is not None:
        valid = predefined_split(FixedEpisodes(valid_episodes))
    optimizer = _optimizer_class(options.optimizer)
    arguments = {**_fused(optimizer, options, learner), **options.optimizer_params}
    names = [
        n for n, _ in learner.named_parameters() if not re.match(learner.decayed, n)
    ]
    if names and arguments.get("weight_decay"):
        arguments["param_groups"] = [(name, {"weight_decay": 0.0}) for name in names]
    net = MetaNet(
        learner,
        criterion=MeanLoss,
        optimizer=optimizer,
        lr=options.lr,
        max_epochs=n_epochs,
        batch_size=-1,
        iterator_train=iterate,
        iterator_valid=iterate,
        train_split=valid,
        callbacks=callbacks,
        device=options.device,
        verbose=0,
        **{f"optimizer__{key}": value for key, value in arguments.items()},
    )
    net.chunk_size, net.max_grad_norm = options.chunk_size, options.max_grad_norm
    net.team = recorder.watch.team
    net.set_params(callbacks__print_log=None)
    return net


def _fused(
    optimizer: type[torch.optim.Optimizer], options: TrainingOptions, learner: Learner
) -> dict[str, Any]:
    """Ask for one kernel over all parameters, where there is one and no other wish."""
    kernels = {"fused", "foreach", "capturable", "differentiable"}
    if (
        optimizer not in FUSED
        or kernels & set(options.optimizer_params)
        or torch.device(options.device).type not in ("cpu", "cuda")
        or not all(p.is_floating_point() for p in learner.parameters())
    ):
        return {}
    return {"fused": True}


def _optimizer_class(optimizer: Any) -> type[torch.optim.Optimizer]:
    if not isinstance(optimizer, str):
        return optimizer
    found = getattr(torch.optim, optimizer, None)
    if not isinstance(found, type):
        raise ValueError(
            f"optimizer={optimizer!r} is not a class in torch.optim; 'Adam', 'AdamW' "
            "and 'SGD' are."
        )
    return found
