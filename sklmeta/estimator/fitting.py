"""One meta-training: from a validated table to weights, with callbacks on the way."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sklmeta._compat import HAS_CALLBACKS, CallbackSupportMixin
from sklmeta.data.kinds import TaskKind
from sklmeta.data.scaling import (
    LARGEST_UNSCALED,
    Scaling,
    check_features,
    check_precision,
    check_targets,
)
from sklmeta.data.table import Table
from sklmeta.episodes.gather import gather_episodes
from sklmeta.episodes.rows import Episodes
from sklmeta.episodes.sampler import training_support
from sklmeta.episodes.source import EpisodeOptions, make_source, rows_to_learn_from
from sklmeta.estimator.likelihoods import mean_scaling
from sklmeta.estimator.parameters import Parameters
from sklmeta.estimator.state import Fitted
from sklmeta.exceptions import warn
from sklmeta.learners.encoders import unsaved_tensors
from sklmeta.learners.learner import Learner
from sklmeta.learners.likelihoods import LOG_LINKS
from sklmeta.learners.torch_state import intra_op_threads, seeded_torch, to_numpy
from sklmeta.mixed_models.class_scaling import class_scaling
from sklmeta.mixed_models.start import mixed_class_start, mixed_start
from sklmeta.training.callbacks import OnEpoch
from sklmeta.training.compile import Compiler
from sklmeta.training.loop import TrainingOptions, TrainingResult, Upkeep, meta_train
from sklmeta.training.net import UPDATES_PER_EPOCH

MAX_ONE_THREAD_BYTES = 2**22
"""Weights past which operations take milliseconds, and a second thread may pay.

Measured at 4 MiB: 1.8 times faster with a free second core; past it, at worst 1.8 times
slower with a busy one, where small networks are 27 times slower.
"""


class MetaTraining:
    """One meta-training: the episodes, and what is made of the weights it ends with.

    Parameters
    ----------
    params : Parameters
        Of the estimator.

    table : Table
        Rows of the training tasks.

    before : Fitted or None
        What to go on from: the weights mean something in its units only.

    device : str
    seed : int
    """

    def __init__(
        self,
        params: Parameters,
        table: Table,
        before: Fitted | None,
        device: str,
        seed: int,
    ):
        self.params, self.table = params, table
        self.device, self.seed, self.is_first = device, seed, before is None
        self.likelihood = getattr(params, "likelihood", "gaussian")
        self.dtype = "float32" if table.X.dtype == np.float32 else "float64"
        if before is None:
            self.x_scaling, self.y_scaling = self._scalings()
            self.learner_seed = seed
        else:
            self.x_scaling, self.y_scaling = before.x_scaling, before.y_scaling
            self.learner_seed = before.seed
        names = getattr(params, "feature_names_in_", None)
        check_features(table.X, LARGEST_UNSCALED, self.x_scaling, names)
        if table.kind == TaskKind.REGRESSION:
            check_precision(table.y, self.dtype)
            check_targets(table.y, self.y_scaling, np.float32)
        self.source = make_source(
            table,
            _episode_options(params),
            (self.x_scaling, self.y_scaling),
            device,
            np.random.default_rng(seed),
        )

    def _scalings(self) -> tuple[Scaling, Scaling]:
        params, table, none = self.params, self.table, Scaling.identity()
        if not params.standardize:
            return none, none
        # What is held out to stop early must not be known by its scale either.
        rng = np.random.default_rng(self.seed)
        rows = rows_to_learn_from(table, _episode_options(params), rng)
        is_regression = table.kind == TaskKind.REGRESSION
        y_scaling = none
        if is_regression:
            y_scaling = Scaling.of(table.y[rows])._replace(cuts=False)
            if self.likelihood in LOG_LINKS:
                y_scaling = mean_scaling(table.y[rows])
        if table.X.ndim != 2:
            return none, y_scaling
        # A module of the user's may know its columns; the default one knows none.
        by_class = params.standardize == "auto" and params.module is None
        X = table.X[rows]
        if by_class and table.kind == TaskKind.OWN:
            return class_scaling(X, table.targets[rows], table.codes[rows]), none
        return Scaling.of(X), y_scaling

    def run(
        self,
        learner: Learner,
        on_epoch: OnEpoch,
        n_updates: int | None = None,
        on_start: Callable[[], object] | None = None,
        upkeep: Upkeep | None = None,
    ) -> TrainingResult:
        """Meta-train the learner, in place, for `max_iter` updates or fewer."""
        params, device = self.params, self.device
        self._start(learner)
        draw = learner.training_batches(self.source)
        learner.to(device)
        upkeep = upkeep or Upkeep()
        upkeep.team.align(learner)
        if on_start is not None:
            on_start()
        if params.compile:
            learner.compiler = Compiler(device)
        # What a user's module draws comes from torch's global generator.
        stochastic = params.module is not None or _has_dropout(learner)
        seed = self.seed + upkeep.team.rank  # noise is each process's own
        skip: Callable[[int], None] = partial(_skip, draw)
        if draw == self.source.draw:
            skip = self.source.skip
        upkeep = replace(upkeep, skip=skip, keeps_torch=stochastic)
        with (
            intra_op_threads(_n_threads(params, learner, device)),
            seeded_torch(seed) if stochastic else contextlib.nullcontext(),
        ):
            return meta_train(
                learner,
                draw,
                _training_options(params, device, n_updates),
                valid_episodes=self.source.valid,
                on_epoch=on_epoch,
                upkeep=upkeep,
            )

    def _start(self, learner: Learner) -> None:
        """Let a learner that can start from a mixed model do so, if it is asked to."""
        table, rows = self.table, self.source.rows
        likelihood = getattr(learner, "likelihood", None)
        if likelihood is not None and self.is_first:
            likelihood.set_unit(torch.as_tensor(self.y_scaling.unit))
        if self.likelihood in LOG_LINKS:
            return  # a linear mixed model's line is that of the mean, not its logarithm
        wanted = getattr(self.params, "start", None) is not None and self.is_first
        if not wanted or table.one_table or table.X.ndim != 2:
            return
        part = table if rows is None else table.part(rows)
        X = np.empty(part.X.shape)
        start: Any = None
        self.x_scaling.apply(part.X, out=X)
        if part.kind == TaskKind.REGRESSION:
            y = np.empty(part.y.shape)
            self.y_scaling.apply(part.y, out=y)
            columns = y.reshape(len(y), -1).T
            found = [mixed_start(X, c, part.codes, part.n_tasks) for c in columns]
            start = found[0] if len(found) == 1 else found
            start = None if found[0] is None else start
        elif part.kind == TaskKind.SHARED:
            classes = part.targets, part.codes, part.n_tasks, part.n_shared_classes
            start = mixed_class_start(X, *classes)
        if start is not None:
            learner.start_from(start)

    def fitted(self, weights: Mapping[str, Tensor]) -> Fitted:
        """Return what these weights leave on the estimator."""
        table = self.table
        return Fitted(
            to_numpy(weights),
            table.kind,
            table.X.shape[1:],
            table.n_shared_classes,
            self.dtype,
            self.x_scaling,
            self.y_scaling,
            self.learner_seed,
            table.n_targets,
            self.likelihood,
        )


def _episode_options(params: Parameters) -> EpisodeOptions:
    n_shots: Any = params.n_shots
    if not isinstance(n_shots, int | np.integer):
        n_shots = tuple(n_shots)
        if len(n_shots) != 2 or not 1 <= n_shots[0] <= n_shots[1]:
            raise ValueError(
                f"n_shots must be an int or a range (low, high) with 1 <= low <= high; "
                f"got {params.n_shots!r}."
            )
    return EpisodeOptions(
        n_shots,
        params.n_query,
        getattr(params, "n_way", None),
        training_support(params.support),
        params.meta_batch_size,
        params.validation_fraction if params.early_stopping is True else None,
    )


def _training_options(
    params: Parameters, device: str, n_updates: int | None
) -> TrainingOptions:
    return TrainingOptions(
        max_iter=params.max_iter if n_updates is None else n_updates,
        lr=params.lr,
        lr_schedule=params.lr_schedule,
        optimizer=params.optimizer,
        optimizer_params={
            "weight_decay": params.weight_decay,
            **(params.optimizer_params or {}),
        },
        max_grad_norm=params.max_grad_norm,
        n_iter_no_change=params.n_iter_no_change,
        callbacks=params.callbacks or (),
        device=device,
        chunk_size=params.chunk_size,
    )


def _skip(draw: Callable[[], object], n_batches: int) -> None:
    for _ in range(n_batches):
        draw()


def _n_threads(params: Parameters, learner: nn.Module, device: str) -> int | None:
    """Intra-op threads of this fit; None leaves torch its own."""
    if params.n_threads is not None:
        return int(params.n_threads)
    # OpenMP spins at every barrier for the thread whose core is busy.
    n_bytes = sum(p.numel() * p.element_size() for p in learner.parameters())
    wide = _has_convolution(learner) or n_bytes > MAX_ONE_THREAD_BYTES
    return None if wide or device != "cpu" else 1


def _has_convolution(module: nn.Module) -> bool:
    return any(isinstance(m, nn.modules.conv._ConvNd) for m in module.modules())


def _has_dropout(module: nn.Module) -> bool:
    return any(isinstance(m, nn.modules.dropout._DropoutNd) for m in module.modules())


def warn_of_lost(trained: nn.Module, rebuilt: Callable[[], nn.Module]) -> None:
    """Warn of what training changed and no state dict holds: predictions lack it."""
    before = unsaved_tensors(trained)
    after = unsaved_tensors(rebuilt()) if before else {}
    lost = [
        name
        for name, value in after.items()
        if name in before and value.shape == before[name].shape
        if not torch.equal(value.to(before[name]), before[name])
    ]
    if lost:
        warn(
            f"{', '.join(lost)} of the module changed in training, or was not drawn by "
            "torch, and its state dict does not hold it: predictions will not know it. "
            "Make it a parameter, or a buffer with register_buffer."
        )


def held_out_episodes(
    training: MetaTraining, held: Table, n_draws: int
) -> list[Episodes]:
    """Episodes of other tasks, each of which comes once per draw, as it trains."""
    source = make_source(
        held,
        _episode_options(training.params),
        (training.x_scaling, training.y_scaling),
        training.device,
        np.random.default_rng(training.seed),
    )
    n_tasks = len(source.sampler.usable)
    drawn = (source.sampler.sample(n_tasks, source.rng) for _ in range(n_draws))
    return [gather_episodes(d, source.X, source.y, source.n_classes) for d in drawn]


class EpochCallbacks:
    """Drives scikit-learn's callbacks, where it has them; one task is one epoch.

    Parameters
    ----------
    estimator : estimator
        With the callbacks.

    X, y
        As `fit` was given them.

    fitted : callable
        Makes the fitted state of weights.

    attributes : callable
        Makes the estimator's attributes of a fitted state and a seed.
    """

    def __init__(
        self,
        estimator: CallbackSupportMixin,
        max_iter: int,
        X: Any,
        y: Any,
        fitted: Callable[[Mapping[str, Tensor]], Fitted],
        attributes: Callable[[Fitted, int], dict[str, Any]],
    ):
        self.max_iter = max_iter
        self.fitted, self.attributes = fitted, attributes
        self.arguments = {"estimator": estimator, "X": X, "y": y}
        self.active = HAS_CALLBACKS
        if self.active:
            n_epochs = self.n_to_come = -(-max_iter // UPDATES_PER_EPOCH)
            self.fit_context = estimator._init_callback_context(max_subtasks=n_epochs)
            self.fit_context.call_on_fit_task_begin(**self.arguments)
            self.epoch_context: Any = None
            if n_epochs:
                self._begin_epoch()

    def _begin_epoch(self) -> None:
        self.n_to_come -= 1
        self.epoch_context = self.fit_context.subcontext(task_name="epoch")
        self.epoch_context.call_on_fit_task_begin(**self.arguments)

    def __call__(self, weights: dict[str, Tensor], history: list[dict]) -> bool:
        """Tell the callbacks that an epoch is over; True stops."""
        if not self.active:
            return False

        def attributes() -> dict[str, Any]:
            progress = {"n_iter_": history[-1]["n_iter"], "history_": list(history)}
            return {**self.attributes(self.fitted(weights), 0), **progress}

        stop = self.epoch_context.call_on_fit_task_end(
            **self.arguments, reconstruction_attributes=attributes
        )
        if self.n_to_come and not stop:  # none, too, where Ctrl-C cut the last short
            self._begin_epoch()
        return bool(stop)

    def finish(self) -> None:
        if self.active:
            self.fit_context.call_on_fit_task_end(**self.arguments)
