"""Meta-learners: estimators that hold a torch learner and meta-train it."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from sklmeta._compat import CallbackSupportMixin
from sklmeta.data.codes import IntArray
from sklmeta.data.kinds import TaskKind
from sklmeta.data.rows import RowTable, row_table
from sklmeta.data.scaling import (
    LARGEST_UNSCALED,
    check_features,
    check_targets,
    largest_square_root,
)
from sklmeta.data.table import Table
from sklmeta.data.validation import check_rows, check_ways
from sklmeta.estimator.adaptation import (
    adapt_to,
    adapt_to_nothing,
    leave_one_out,
    outputs_of,
    states_of,
)
from sklmeta.estimator.base import AdaptableEstimator
from sklmeta.estimator.fitting import EpochCallbacks, MetaTraining, warn_of_lost
from sklmeta.estimator.likelihoods import check_family
from sklmeta.estimator.parameters import Parameters
from sklmeta.estimator.state import Fitted, LearnerPool, TaskModels
from sklmeta.estimator.stopping import FoldInterrupted, choose_updates
from sklmeta.estimator.upkeep import FitUpkeep
from sklmeta.evaluation.few_shot import few_shot_score
from sklmeta.exceptions import warn
from sklmeta.learners.encoders import build_encoder, layer_sizes
from sklmeta.learners.learner import Learner, State, TaskSpec
from sklmeta.learners.torch_state import (
    as_if_alone,
    own_generator,
    resolve_device,
    seeded_torch,
    to_torch,
    torch_dtype,
)
from sklmeta.training.interrupts import hold_interrupts
from sklmeta.training.loop import TrainingResult


class BaseMetaEstimator(CallbackSupportMixin, Parameters, AdaptableEstimator):
    """Meta-train on a collection, adapt with a few rows, predict.

    A subclass declares its parameters and implements ``_make_learner(spec, encoder)``,
    which returns its `sklmeta.learners.Learner`; with `MetaClassifierMixin`,
    `MetaRegressorMixin` or `PredictiveStdMixin` in front it is an estimator. That it
    keeps the contract, `sklmeta.testing.check_meta_estimator` checks.

    Parameters
    ----------
    See `sklmeta.estimator.Parameters` for the encoder's `module`, `module_params`,
    `hidden_layer_sizes` and `activation`; the episodes' `n_shots`, `n_query` and
    `support`; the training's `meta_batch_size`, `max_iter`, `lr`, `lr_schedule`,
    `optimizer`, `optimizer_params`, `weight_decay`, `max_grad_norm`, `chunk_size`,
    `early_stopping`, `validation_fraction`, `n_iter_no_change` and `callbacks`; and for
    `standardize`, `transductive`, `device`, `compile`, `n_threads`, `random_state`,
    `max_time`, `verbose`, `checkpoint_dir`, `accelerator` and `warm_start`.

    Attributes
    ----------
    See `sklmeta.estimator.Parameters` for `tasks_`, `engine_`, `n_features_in_`,
    `feature_names_in_`, `n_iter_`, `history_`, `compile_time_` and `n_guarded_`.
    """

    _own_classes_remedy = "set shared_classes=False (or n_way), and fit again."

    _least_rows = 2

    def _make_learner(self, spec: TaskSpec, encoder: nn.Module) -> Learner:
        # A plain method, without ABCMeta, as in scikit-learn's own mixins: a subclass
        # that lacks it hears so at its first `fit`.
        raise NotImplementedError(f"{type(self).__name__} lacks _make_learner.")

    def _unless_empty(self, encoder: nn.Module) -> nn.Module | None:
        """None in place of a default encoder without layers, for raw features."""
        layers = layer_sizes(self.hidden_layer_sizes)
        return None if self.module is None and not len(layers) else encoder

    # Meta-training ------------------------------------------------------------

    def _fit(self, X: Any, y: Any, task: Any) -> BaseException | None:
        table = self._fit_table(X, y, task)
        if table.kind == TaskKind.REGRESSION:
            table = table._replace(y=table.y.astype(np.float64, copy=False))
            check_family(getattr(self, "likelihood", "gaussian"), table.y)
        elif table.kind == TaskKind.OWN:
            check_ways(table, self.n_way)
        before = self._warm_start_from(table)
        seed = check_random_state(self.random_state).randint(2**31)
        known = None if before is None else before.weights
        upkeep = FitUpkeep(self, table, seed, warm_start_from=known)
        seed, device = upkeep.seed, upkeep.team.device_for(self.device)
        training = MetaTraining(self, table, before, device, seed)
        given = table.kind, table.X.shape[1:], table.n_shared_classes, seed
        build = partial(self._build_learner, *given, table.n_targets)
        n_updates, learner = int(self.max_iter), build()
        result: TrainingResult | None = None
        hold_interrupts()  # until what is learned is kept
        if before is not None:
            learner = self._restore_learner(before).float().train()
        elif self._chooses_updates(table):
            try:
                n_updates = choose_updates(self, table, device, seed, build, upkeep)
            except FoldInterrupted as stop:
                training, learner, result = stop.training, stop.learner, stop.result

        def attributes(fitted: Fitted, seed: int) -> dict[str, Any]:
            # Built from the weights: an epoch's are not those of the learner any more.
            known = self._restore_learner(fitted)
            rng = np.random.default_rng(seed)
            own = resolve_device(self.device)
            model, n_guarded = adapt_to_nothing(known, fitted, table, own, rng)
            return {
                **self._attributes_of(table, model),
                **self._attributes_of_weights(fitted),
                "_fitted": fitted,
                "_learners": LearnerPool(),
                "n_guarded_": n_guarded,
            }

        watch = EpochCallbacks(self, n_updates, X, y, training.fitted, attributes)
        if result is None:
            own = upkeep.of_training("fit")
            result = training.run(learner, watch, n_updates, upkeep=own)
        fitted = training.fitted(result.weights)
        warn_of_lost(learner, partial(self._restore_learner, fitted))
        self._keep(attributes(fitted, seed), result, learner, before is not None)
        watch.finish()
        return upkeep.close(result, n_updates) or result.error

    def _keep(
        self,
        learned: dict[str, Any],
        result: TrainingResult,
        learner: Learner,
        goes_on: bool,
    ) -> None:
        """Set the attributes of a fit, which may go on with an earlier one."""
        n_before, history = (self.n_iter_, self.history_) if goes_on else (0, [])
        self.__dict__.update(learned)
        self.engine_ = learner.train().engine_name
        if self.compile and learner.compiler is not None:
            self.compile_time_ = learner.compiler.seconds
        self.n_iter_ = n_before + result.n_iter
        self.history_ = history + result.history

    def _chooses_updates(self, table: Table) -> bool:
        """Whether folds of held-out tasks say how many meta-updates pay."""
        return self.early_stopping == "folds" and not table.one_table

    def _warm_start_from(self, table: Table) -> Fitted | None:
        """Return what an earlier `fit` left, if this one goes on from there."""
        if not self.warm_start or not hasattr(self, "_fitted"):
            self._advise_to_train()
            return None
        before, now = self._fitted.input_shape, table.X.shape[1:]
        if before != now:
            n_before, n_now = (s[0] if len(s) == 1 else s for s in (before, now))
            raise ValueError(
                f"warm_start=True goes on with {n_before} features, but X has {n_now}."
            )
        if table.kind != self._fitted.kind or (
            table.kind == TaskKind.SHARED
            and not np.array_equal(np.asarray(table.classes), self.classes_)
        ):
            raise ValueError("warm_start=True goes on with the same classes only.")
        if getattr(self, "likelihood", "gaussian") != self._fitted.likelihood:
            raise ValueError(
                "warm_start=True goes on with the likelihood of before, "
                f"{self._fitted.likelihood!r}."
            )
        if table.n_targets != self._fitted.n_targets:
            raise ValueError(
                f"warm_start=True goes on with {self._fitted.n_targets} target(s), but "
                f"y has {table.n_targets}."
            )
        return self._fitted

    def _build_learner(
        self,
        kind: str,
        input_shape: tuple[int, ...],
        n_classes: int,
        seed: int,
        n_targets: int = 1,
    ) -> Learner:
        """Build a learner to train; torch's generators are seeded meanwhile."""
        with seeded_torch(seed):
            learner = self._assemble_learner(kind, input_shape, n_classes, n_targets)
        self._advise(learner)
        return learner.float()

    def _advise(self, learner: Learner) -> None:
        """Warn of what will not be learned, before the training starts."""

    def _advise_to_train(self) -> None:
        can_begin = self.module is not None or getattr(self, "start", None) is not None
        if not self.max_iter and not can_begin:
            warn(
                "max_iter=0 asks for no meta-update: the network keeps the random "
                "weights that it was drawn with. Set max_iter to at least 1."
            )

    def _assemble_learner(
        self,
        kind: str,
        input_shape: tuple[int, ...],
        n_classes: int,
        n_targets: int,
        likelihood: str | None = None,
    ) -> Learner:
        encoder, width = build_encoder(
            self.module,
            self.module_params,
            input_shape,
            self.hidden_layer_sizes,
            self.activation,
        )
        if likelihood is None:
            likelihood = getattr(self, "likelihood", "gaussian")
        given = TaskKind(kind), input_shape, width, n_classes, n_targets, likelihood
        spec = TaskSpec(*given)
        return self._make_learner(spec, encoder)

    def _restore_learner(self, fitted: Fitted) -> Learner:
        """Build the fitted learner, to evaluate, in the precision of `fit`."""
        # As in `fit`: not all that a module draws need be in its state dict.
        with own_generator(fitted.seed):
            learner = self._assemble_learner(
                fitted.kind,
                fitted.input_shape,
                fitted.n_classes,
                fitted.n_targets,
                fitted.likelihood,
            )
        device, dtype = resolve_device(self.device), torch_dtype(fitted.dtype)
        learner.to(device, dtype)
        try:
            learner.load_state_dict(to_torch(fitted.weights, device, dtype))
        except RuntimeError as error:
            raise ValueError(
                "The parameters that set the network's shape were changed since fit; "
                "call fit again."
            ) from error
        return learner.eval()

    @contextmanager
    def _lent_learner(self) -> Iterator[Learner]:
        """Lend the fitted learner, which is built once and kept beside the state."""
        settings = {
            name: dict(value) if isinstance(value, dict) else value
            for name, value in self.get_params(deep=False).items()
        }
        settings["device"] = resolve_device(self.device)
        pool, fitted = self._learners, self._fitted
        build = partial(self._restore_learner, fitted)
        with as_if_alone(), pool.lend(settings, build) as learner:
            yield learner

    def _attributes_of_weights(self, fitted: Fitted) -> dict[str, Any]:
        """Public attributes that `fit` sets and a user may change."""
        return {}

    # Adaptation and prediction ------------------------------------------------

    def _specialise(self, table: Table) -> TaskModels:
        fitted = self._fitted
        self._check_features(table.X, LARGEST_UNSCALED)
        if table.class_index is None:
            check_family(fitted.likelihood, table.y)
            check_targets(table.y, fitted.y_scaling, fitted.dtype)
        with self._lent_learner() as learner:
            device = resolve_device(self.device)
            models, self.n_guarded_ = adapt_to(learner, fitted, table, device)
        return models

    def _why_no_weights(self, weight: NDArray) -> str:
        with self._lent_learner() as learner:
            if learner.takes_weights and learner.adapt_mixes_rows:
                return "its module looks at several rows together, weights or not"
            return "" if learner.takes_weights else learner.why_no_weights

    def _leave_one_out(self, table: Table, model: TaskModels) -> NDArray | None:
        if self.transductive:
            return None
        with self._lent_learner() as learner:
            if learner.adapt_mixes_rows:
                return None
            device = resolve_device(self.device)
            outputs = leave_one_out(learner, self._fitted, table, model, device)
        return None if outputs is None else self._answers(outputs, table.codes, model)

    def _answers(self, outputs: NDArray, codes: IntArray, model: TaskModels) -> NDArray:
        # The faces know how the learner's outputs are read.
        raise NotImplementedError(f"{type(self).__name__} lacks _answers.")

    def _outputs(self, X: NDArray, codes: IntArray, model: TaskModels) -> NDArray:
        """Return what the learner answers, in standardised units."""
        with self._lent_learner() as learner:
            return outputs_of(
                learner,
                self._fitted,
                model,
                X,
                codes,
                resolve_device(self.device),
                transductive=self.transductive,
            )

    @as_if_alone()
    def _rows_of(self, X: Any) -> RowTable:
        """Validate rows and scale them, for a learner; the last one is zero."""
        check_is_fitted(self)
        X = check_rows(self, X, options={**self._options(X), "reset": False})
        self._check_shape(X)
        device, dtype = resolve_device(self.device), torch_dtype(self._fitted.dtype)
        return row_table(X, device, dtype, self._fitted.x_scaling, read_once=True)

    def _of_learner(self, quantity: Callable[[Any], Tensor]) -> NDArray[np.float64]:
        """Return a learned quantity."""
        check_is_fitted(self)
        with self._lent_learner() as learner, torch.no_grad():
            return quantity(learner).to("cpu", torch.float64).numpy().copy()

    def _of_states(
        self, describe: Callable[[Any, State], Tensor]
    ) -> dict[Any, NDArray]:
        """What `describe` says of each task's state, by its label; of one task, None.

        Where classes are a task's own the first axis of its entry is its classes.
        """
        check_is_fitted(self)
        models: TaskModels | None = self._adaptation.model
        if models is None:
            raise AttributeError("There is no state yet: call adapt(X, y) first.")
        labels, found = self._adaptation.labels, {}
        with self._lent_learner() as learner, torch.no_grad():
            for chunk, state in states_of(learner, models, resolve_device(self.device)):
                values = describe(learner, state).cpu().numpy()
                for i, task in enumerate(chunk.tasks):
                    own = (
                        values[i] if chunk.ways is None else values[i, : chunk.ways[i]]
                    )
                    found[None if labels is None else labels[task]] = own
        return found

    def _options(self, X: Any) -> dict[str, Any]:
        return {"dtype": (np.float64, np.float32), "allow_nd": True}

    def _check_shape(self, X: NDArray) -> None:
        shape = self._fitted.input_shape
        if X.shape[1:] != shape:
            raise ValueError(
                f"X has rows of shape {X.shape[1:]}, but {type(self).__name__} was "
                f"fitted with rows of shape {shape}."
            )
        self._check_features(X, largest_square_root(self._fitted.dtype))

    def _check_features(self, X: NDArray, limit: float) -> None:
        names = getattr(self, "feature_names_in_", None)
        check_features(X, limit, self._fitted.x_scaling, names)

    def _few_shot_score(self, X: Any, y: Any, task: Any, **how: Any) -> float:
        return few_shot_score(
            self,
            X,
            y,
            task,
            support=self.support,
            random_state=self.random_state,
            **how,
        )

    @classmethod
    def _restore(cls, model: Any) -> TaskModels:
        return TaskModels.restore(model)
