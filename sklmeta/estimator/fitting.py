"""One `fit`: from a validated table to the attributes of a fitted estimator."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import check_random_state
from torch import Tensor, nn

from sklmeta._compat import HAS_CALLBACKS
from sklmeta.data.codes import group_rows
from sklmeta.data.scaling import Scaling
from sklmeta.data.validation import FitData
from sklmeta.episodes.draw import PADDING, draw_distinct
from sklmeta.episodes.source import EpisodeOptions, make_source
from sklmeta.learners.torch_state import (
    intra_op_threads,
    resolve_device,
    seeded_torch,
    to_numpy,
)
from sklmeta.training.compile import Compiler
from sklmeta.training.loop import (
    UPDATES_PER_EPOCH,
    TrainingOptions,
    TrainingResult,
    meta_train,
)

MAX_ZERO_SHOT_ROWS = 1000

MAX_ONE_THREAD_BYTES = 2**22
"""Weights past which operations take milliseconds, and a second thread may pay.

Measured at 4 MiB: 1.8 times faster with a free second core; past it, at worst 1.8 times
slower with a busy one, where small networks are 27 times slower.
"""


def run_meta_training(
    estimator: Any, data: FitData, X: Any, y: Any
) -> tuple[dict[str, Any], TrainingResult]:
    """Meta-train and return the fitted attributes, writing none to the estimator."""
    device = resolve_device(estimator.device)
    seed = check_random_state(estimator.random_state).randint(2**31)
    rng = np.random.default_rng(seed)
    going_on = estimator.warm_start and hasattr(estimator, "_weights")
    scalings = _scalings(estimator, data, going_on)
    options = _episode_options(estimator)
    source = make_source(data, options, scalings, device, rng)
    learner = estimator._build_learner(
        data.kind, data.X.shape[1:], data.n_shared_classes, seed
    )
    if going_on:
        learner = estimator._load_learner().float().train()
    draw = learner.training_batches(source)
    learner.to(device)
    if estimator.compile:
        learner.compiler = Compiler(device)
    # What a user's module draws comes from torch's global generator.
    stochastic = estimator.module is not None or _has_dropout(learner)
    watch = _EpochCallbacks(estimator, data, scalings, X, y)
    with (
        intra_op_threads(_n_threads(estimator, learner, device)),
        seeded_torch(seed) if stochastic else contextlib.nullcontext(),
    ):
        result = meta_train(
            learner,
            draw,
            _training_options(estimator, device),
            valid_episodes=source.valid,
            on_epoch=watch,
        )
    n_before = estimator.n_iter_ if going_on else 0
    fitted = {
        **_fitted(estimator, data, result.weights, scalings, seed),
        "engine_": learner.train().engine_name,
        **({"compile_time_": learner.compiler.seconds} if estimator.compile else {}),
        "n_iter_": n_before + result.n_iter,
        "history_": (estimator.history_ if going_on else []) + result.history,
    }
    watch.finish()
    return fitted, result


def _fitted(
    estimator: Any, data: FitData, weights: dict[str, Tensor], scalings: Any, seed: int
) -> dict[str, Any]:
    """Attributes of the estimator with these weights, the first adaptation included."""
    dtype = "float32" if data.X.dtype == np.float32 else "float64"
    attributes = estimator._fitted_attributes(data, to_numpy(weights), scalings, dtype)
    fitted: Any = object.__new__(type(estimator))
    vars(fitted).update({**vars(estimator), **attributes})
    fitted._first_adaptation(data, np.random.default_rng(seed))
    attributes["_adaptation"] = attributes["_initial_adaptation"] = fitted._adaptation
    attributes["_initial_classes"] = attributes.get("classes_")
    attributes["n_guarded_"] = fitted.n_guarded_
    return attributes


def _scalings(estimator: Any, data: FitData, going_on: bool) -> tuple[Scaling, Scaling]:
    if going_on:  # the weights mean something in the old units only
        x_scaling, y_scaling = (Scaling(*pair) for pair in estimator._scalings)
        return x_scaling, y_scaling
    none = Scaling.identity()
    if not estimator.standardize:
        return none, none
    x_scaling = Scaling.of(data.X) if data.X.ndim == 2 else none
    return x_scaling, Scaling.of(data.y) if data.kind == "regression" else none


def _episode_options(estimator: Any) -> EpisodeOptions:
    n_shots = estimator.n_shots
    if not isinstance(n_shots, int | np.integer):
        n_shots = tuple(n_shots)
        if len(n_shots) != 2 or not 1 <= n_shots[0] <= n_shots[1]:
            raise ValueError(
                f"n_shots must be an int or a range (low, high) with 1 <= low <= high; "
                f"got {estimator.n_shots!r}."
            )
    return EpisodeOptions(
        n_shots,
        estimator.n_query,
        getattr(estimator, "n_way", None),
        estimator.support,
        estimator.meta_batch_size,
        estimator.validation_fraction if estimator.early_stopping else None,
    )


def _training_options(estimator: Any, device: str) -> TrainingOptions:
    return TrainingOptions(
        max_iter=estimator.max_iter,
        lr=estimator.lr,
        lr_schedule=estimator.lr_schedule,
        optimizer=estimator.optimizer,
        optimizer_params={
            "weight_decay": estimator.weight_decay,
            **(estimator.optimizer_params or {}),
        },
        max_grad_norm=estimator.max_grad_norm,
        n_iter_no_change=estimator.n_iter_no_change,
        callbacks=estimator.callbacks or (),
        verbose=int(estimator.verbose),
        device=device,
        chunk_size=estimator.chunk_size,
    )


def _n_threads(estimator: Any, learner: nn.Module, device: str) -> int | None:
    """Intra-op threads of this fit; None leaves torch its own."""
    if estimator.n_threads is not None:
        return int(estimator.n_threads)
    # OpenMP spins at every barrier for the thread whose core is busy.
    n_bytes = sum(p.numel() * p.element_size() for p in learner.parameters())
    wide = _has_convolution(learner) or n_bytes > MAX_ONE_THREAD_BYTES
    return None if wide or device != "cpu" else 1


def _has_convolution(module: nn.Module) -> bool:
    return any(isinstance(m, nn.modules.conv._ConvNd) for m in module.modules())


def _has_dropout(module: nn.Module) -> bool:
    return any(isinstance(m, nn.modules.dropout._DropoutNd) for m in module.modules())


def zero_shot_rows(codes: NDArray[np.intp], rng: np.random.Generator) -> NDArray:
    """At most 1,000 rows, drawn evenly over the tasks."""
    n_tasks = int(codes.max()) + 1
    order, offsets = group_rows(codes, n_tasks)
    tasks = rng.permutation(n_tasks)[:MAX_ZERO_SHOT_ROWS]
    each = max(1, MAX_ZERO_SHOT_ROWS // len(tasks))
    drawn = draw_distinct(np.diff(offsets)[tasks], each, rng)
    positions = (drawn + offsets[tasks][:, None])[drawn != PADDING]
    return np.sort(order[positions])


class _EpochCallbacks:
    """Drives scikit-learn's callbacks, where it has them; one task is one epoch."""

    def __init__(self, estimator: Any, data: FitData, scalings: Any, X: Any, y: Any):
        self.estimator = estimator
        self.data, self.scalings = data, scalings
        self.arguments = {"estimator": estimator, "X": X, "y": y}
        self.active = HAS_CALLBACKS
        if self.active:
            n_epochs = -(-estimator.max_iter // UPDATES_PER_EPOCH)
            self.fit_context = estimator._init_callback_context(max_subtasks=n_epochs)
            self.fit_context.call_on_fit_task_begin(**self.arguments)
            self.epoch_context: Any = None
            if n_epochs:
                self._begin_epoch()

    def _begin_epoch(self) -> None:
        self.epoch_context = self.fit_context.subcontext(task_name="epoch")
        self.epoch_context.call_on_fit_task_begin(**self.arguments)

    def __call__(self, weights: dict[str, Tensor], history: list[dict]) -> bool:
        if not self.active:
            return False

        def attributes() -> dict[str, Any]:
            progress = {"n_iter_": history[-1]["n_iter"], "history_": list(history)}
            fitted = _fitted(self.estimator, self.data, weights, self.scalings, seed=0)
            return {**fitted, **progress}

        stop = self.epoch_context.call_on_fit_task_end(
            **self.arguments, reconstruction_attributes=attributes
        )
        if history[-1]["n_iter"] < self.estimator.max_iter and not stop:
            self._begin_epoch()
        return bool(stop)

    def finish(self) -> None:
        if self.active:
            self.fit_context.call_on_fit_task_end(**self.arguments)
