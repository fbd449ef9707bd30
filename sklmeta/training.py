"""Meta-training a learner with a skorch net: one batch is one meta-update."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import skorch
import torch
from sklearn.exceptions import ConvergenceWarning
from skorch.callbacks import Callback, LRScheduler
from skorch.helper import predefined_split
from torch import Tensor, nn
from torch.utils.data import IterableDataset

from sklmeta.learner import Episodes, Learner

UPDATES_PER_EPOCH = 100
"""Meta-updates of a skorch epoch, at most."""

MAX_NON_FINITE = 20
"""So many meta-batches in a row whose loss is not finite end the training."""

DrawEpisodes = Callable[[], Episodes]


class NonFiniteLossError(FloatingPointError):
    """The meta-training loss stopped being finite.

    The estimator keeps the state of the last good epoch.
    """


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
    verbose: int
    device: str


@dataclass
class TrainingResult:
    """What meta-training leaves: weights of the chosen epoch, and how it ended."""

    weights: dict[str, Tensor]
    n_iter: int = 0
    history: list[dict[str, Any]] = field(default_factory=list)
    interrupted: bool = False
    error: NonFiniteLossError | None = None


class _Batch:
    """Carries episodes through skorch, which wants to know their number."""

    def __init__(self, episodes: Episodes):
        self.episodes = episodes

    def __len__(self) -> int:
        return len(self.episodes.query.X)


class _EpisodeStream(IterableDataset):
    """The data set: every pass over it is one epoch of freshly drawn episodes."""

    def __init__(self, draw: DrawEpisodes, n_updates: int):
        self.draw = draw
        self.remaining = n_updates

    def __len__(self) -> int:
        return min(self.remaining, UPDATES_PER_EPOCH)

    def __iter__(self) -> Iterator[tuple[_Batch, Tensor]]:
        for _ in range(len(self)):
            self.remaining -= 1
            yield _Batch(self.draw()), torch.empty(0)


class _FixedEpisodes(IterableDataset):
    """The validation set: the same episodes at every epoch."""

    def __init__(self, batches: Sequence[Episodes]):
        self.batches = batches

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[tuple[_Batch, Tensor]]:
        for episodes in self.batches:
            yield _Batch(episodes), torch.empty(0)


def _iterate(dataset: Any, **unused: Any) -> Any:
    return dataset


class _MeanLoss(nn.Module):
    """The learner returns the loss of each episode; a meta-update lowers their mean."""

    def forward(self, losses: Tensor, _: Any) -> Tensor:
        return losses.mean()


class _MetaNet(skorch.NeuralNet):
    """A plain net whose batches are episodes."""

    stop_requested = False
    n_skipped = 0
    in_a_row = 0
    last_loss = 0.0

    def check_data(self, X: Any, y: Any) -> None:
        """Episodes need no check: the estimator checked the table."""

    def infer(self, x: _Batch, **unused: Any) -> Tensor:
        return self.module_(x.episodes)

    def get_loss(
        self, y_pred: Tensor, y_true: Any, X: Any = None, training: bool = False
    ) -> Tensor:
        loss = self.criterion_(y_pred, y_true)
        if not training:
            return loss
        if math.isfinite(loss.item()):
            self.in_a_row, self.last_loss = 0, loss.item()
            return loss
        # One wild task may overflow in the inner loop: its meta-batch is left out. A
        # loss that stays so is another matter.
        self.in_a_row += 1
        self.n_skipped += 1
        if self.in_a_row == MAX_NON_FINITE:
            raise NonFiniteLossError
        return torch.full_like(loss, self.last_loss).requires_grad_()

    def notify(self, method_name: str, **cb_kwargs: Any) -> None:
        try:
            super().notify(method_name, **cb_kwargs)
        except KeyboardInterrupt:
            # skorch's way for a callback to stop the training
            self.stop_requested = method_name == "on_epoch_end"
            raise

    def fit_loop(self, X: Any, y: Any = None, epochs: Any = None, **kwargs: Any) -> Any:
        self.interrupted_ = True
        try:
            super().fit_loop(X, y, epochs, **kwargs)
            self.interrupted_ = False
        except KeyboardInterrupt:
            self.interrupted_ = not self.stop_requested


class _Clipping(Callback):
    """Scales the meta-gradient down, and leaves out one that is not finite.

    Differentiating through inner steps on a support that nearly diverges can overflow
    where the loss does not; scaling infinity to one gives NaN in every weight.
    """

    def __init__(self, max_norm: float | None):
        self.max_norm = math.inf if max_norm is None else max_norm

    def on_grad_computed(self, net: Any, named_parameters: Any, **kwargs: Any) -> None:
        parameters = [value for _, value in named_parameters]
        norm = nn.utils.clip_grad_norm_(parameters, self.max_norm)
        if not torch.isfinite(norm):
            net.n_skipped += 1
            for parameter in parameters:
                parameter.grad = None


class _Recorder(Callback):
    """Keeps the weights of the last and of the best epoch, and stops when told."""

    def __init__(
        self,
        stream: _EpisodeStream,
        on_epoch: Callable[[dict[str, Tensor], list[dict[str, Any]]], bool],
        patience: int | None,
    ):
        self.stream = stream
        self.on_epoch = on_epoch
        self.patience = patience
        self.best_loss = math.inf
        self.best_epoch = -1
        self.n_iter = 0
        self.weights: dict[str, Tensor] | None = None
        self.best_weights: dict[str, Tensor] | None = None
        self.history: list[dict[str, Any]] = []

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        row = net.history[-1]
        self.n_iter += row["train_batch_count"]
        self.weights = copy_weights(net.module_)
        kept = ("epoch", "train_loss", "valid_loss", "dur")
        entry = {name: row[name] for name in kept if name in row}
        self.history.append({**entry, "n_iter": self.n_iter})
        stop = self.on_epoch(self.weights, self.history)
        if self.patience is not None:
            if row["valid_loss"] < self.best_loss:
                self.best_loss = row["valid_loss"]
                self.best_epoch = len(self.history)
                self.best_weights = self.weights
            stop |= len(self.history) - self.best_epoch >= self.patience
        if stop and self.stream.remaining:
            raise KeyboardInterrupt


def copy_weights(module: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in module.state_dict().items()}


def meta_train(
    learner: Learner,
    draw: DrawEpisodes,
    options: TrainingOptions,
    *,
    valid_episodes: Sequence[Episodes] | None = None,
    on_epoch: Callable[[dict[str, Tensor], list[dict[str, Any]]], bool],
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

    Returns
    -------
    TrainingResult
        Never raises for an interrupt or a loss that is not finite: it says so, with
        the weights of the last good epoch.

    Raises
    ------
    KeyboardInterrupt
        If the interrupt came before the first epoch was complete.
    """
    stream = _EpisodeStream(draw, options.max_iter)
    patience = options.n_iter_no_change if valid_episodes is not None else None
    recorder = _Recorder(stream, on_epoch, patience)
    result = TrainingResult(copy_weights(learner))
    if not options.max_iter or not any(p.requires_grad for p in learner.parameters()):
        return result
    net = _make_net(learner, options, recorder, valid_episodes)
    try:
        net.fit(stream, None)
    except NonFiniteLossError:
        n_iter = options.max_iter - stream.remaining
        result.error = NonFiniteLossError(
            f"The meta-training loss is not finite at iteration {n_iter}; the "
            "estimator keeps the weights of the last good epoch. Lower lr (or "
            "inner_lr), or set max_grad_norm."
        )
    else:
        result.interrupted = net.interrupted_
        if net.n_skipped:
            warnings.warn(
                f"{net.n_skipped} of {recorder.n_iter} meta-updates were left out, "
                "their loss or gradient not being finite. A lower inner_lr or lr would "
                "make use of them.",
                ConvergenceWarning,
                stacklevel=2,
            )
    if result.interrupted and recorder.weights is None:
        raise KeyboardInterrupt
    result.weights = recorder.best_weights or recorder.weights or result.weights
    result.n_iter = recorder.n_iter
    result.history = recorder.history
    return result


def _make_net(
    learner: Learner,
    options: TrainingOptions,
    recorder: _Recorder,
    valid_episodes: Sequence[Episodes] | None,
) -> _MetaNet:
    n_epochs = math.ceil(options.max_iter / UPDATES_PER_EPOCH)
    callbacks: list[Any] = []
    callbacks.append(("clipping", _Clipping(options.max_grad_norm)))
    if options.lr_schedule == "cosine":
        schedule = LRScheduler(
            torch.optim.lr_scheduler.CosineAnnealingLR,
            T_max=options.max_iter,
            step_every="batch",
        )
        callbacks.append(("cosine", schedule))
    # Copies: a callback keeps what it saw, and the estimator's are its parameters.
    callbacks += copy.deepcopy(list(options.callbacks))
    callbacks.append(("recorder", recorder))
    valid = None
    if valid_episodes is not None:
        valid = predefined_split(_FixedEpisodes(valid_episodes))
    net = _MetaNet(
        learner,
        criterion=_MeanLoss,
        optimizer=_optimizer_class(options.optimizer),
        lr=options.lr,
        max_epochs=n_epochs,
        batch_size=-1,
        iterator_train=_iterate,
        iterator_valid=_iterate,
        train_split=valid,
        callbacks=callbacks,
        device=options.device,
        verbose=options.verbose,
        **{
            f"optimizer__{key}": value
            for key, value in options.optimizer_params.items()
        },
    )
    if not options.verbose:
        net.set_params(callbacks__print_log=None)
    return net


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
