"""The base of all meta-learners: everything public but the parameters."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.validation import check_is_fitted
from torch import nn

from sklmeta._compat import CallbackSupportMixin, _fit_context
from sklmeta._version import __version__
from sklmeta.data.codes import check_task
from sklmeta.data.rows import RowTable, row_table, with_zero_row
from sklmeta.data.scaling import Scaling
from sklmeta.data.validation import (
    FitData,
    SupportClasses,
    check_fit_data,
    check_rows,
    own_classes,
    shared_class_indices,
)
from sklmeta.estimator.adaptation import TaskTable, adapt_tasks, predict_tasks
from sklmeta.estimator.calibrating import CalibrationMixin
from sklmeta.estimator.fitting import run_meta_training, zero_shot_rows
from sklmeta.estimator.parameters import Parameters
from sklmeta.evaluation.few_shot import few_shot_score
from sklmeta.exceptions import NotAdaptedError, VersionMismatchWarning
from sklmeta.learners.encoders import batch_statistics, build_encoder, normalisations
from sklmeta.learners.learner import Learner, TaskSpec
from sklmeta.learners.torch_state import (
    resolve_device,
    seeded_torch,
    to_numpy,
    to_torch,
    torch_dtype,
)


class BaseMetaEstimator(CalibrationMixin, CallbackSupportMixin, Parameters):
    """Meta-train on a collection, adapt with a few rows, predict.

    A subclass declares its parameters and implements `_make_learner`; with
    `MetaClassifierMixin` or `MetaRegressorMixin` in front it is an estimator.
    Fitted state is arrays and plain Python: the torch module is built anew whenever it
    is needed, so that an estimator pickles, and moves between devices, as it is.
    """

    __metadata_request__fit = {"task": True}
    __metadata_request__score = {"task": True, "shots": True}
    __metadata_request__predict = {"task": True}

    classes_: NDArray
    n_guarded_: int
    _adaptation: dict[str, Any]

    def _make_learner(self, spec: TaskSpec, encoder: nn.Module) -> Learner:
        # A plain method, without ABCMeta, as in scikit-learn's own mixins: a subclass
        # that lacks it hears so at its first `fit`.
        raise NotImplementedError(f"{type(self).__name__} lacks _make_learner.")

    # Meta-training ------------------------------------------------------------

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(
        self, X: Any, y: ArrayLike | None = None, task: ArrayLike | None = None
    ) -> Any:
        """Meta-learn over a collection of tasks, or from one table.

        Parameters
        ----------
        X : {array-like, data frame} of shape (n_samples, n_features) or collection
            Rows of all tasks; or a `TaskCollection`, or a sequence of ``(X, y)``, one
            per task, without `y` and `task`.

        y : array-like of shape (n_samples,), default=None
            Classes, or targets.

        task : array-like of shape (n_samples,), default=None
            Label of every row's task. None is one table: episodes are drawn from it,
            and `fit` ends by adapting to all of it.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If the input is not usable; an earlier fit is kept.
        NonFiniteLossError
            If the loss stops being finite; the last good epoch's state is kept.
        """
        own = self.__dict__
        seen = ("n_features_in_", "feature_names_in_")
        before = {name: own[name] for name in seen if name in own}
        try:
            data = check_fit_data(self, X, y, task)
            self._check_warm_start(data, before)
            fitted, outcome = run_meta_training(self, data, X, y)
        except BaseException:
            for name in seen:
                own.pop(name, None)
            own.update(before)
            raise
        own.update(fitted)
        if outcome.error is not None:
            raise outcome.error
        if outcome.interrupted:
            raise KeyboardInterrupt
        return self

    def _check_warm_start(self, data: FitData, before: Mapping[str, Any]) -> None:
        if not self.warm_start or not hasattr(self, "_weights"):
            return
        n_before = before["n_features_in_"]
        if n_before != self.n_features_in_:
            raise ValueError(
                f"warm_start=True goes on with {n_before} features, but X has "
                f"{self.n_features_in_}."
            )
        if data.kind != self._kind or (
            data.classes is not None
            and data.kind == "shared"
            and not np.array_equal(data.classes, self.classes_)
        ):
            raise ValueError("warm_start=True goes on with the same classes only.")

    def _build_learner(
        self, kind: str, input_shape: tuple[int, ...], n_classes: int, seed: int
    ) -> Learner:
        with seeded_torch(seed):
            encoder, width = build_encoder(
                self.module,
                self.module_params,
                input_shape,
                self.hidden_layer_sizes,
                self.activation,
            )
            spec = TaskSpec(kind, input_shape, width, n_classes)
            return self._make_learner(spec, encoder)

    def _load_learner(self, weights: Mapping[str, NDArray] | None = None) -> Learner:
        """Build the fitted learner, in evaluation mode and in the precision of fit."""
        learner = self._build_learner(
            self._kind, self._input_shape, self._n_classes, seed=0
        )
        device, dtype = resolve_device(self.device), torch_dtype(self._dtype)
        learner.to(device, dtype)
        try:
            learner.load_state_dict(to_torch(weights or self._weights, device, dtype))
        except RuntimeError as error:
            raise ValueError(
                "The parameters that set the network's shape were changed since fit; "
                "call fit again."
            ) from error
        return learner.eval()

    def _fitted_attributes(
        self, data: FitData, weights: dict[str, NDArray], scalings: tuple, dtype: str
    ) -> dict[str, Any]:
        """What `fit` leaves, apart from the adaptation it ends with."""
        attributes = {
            "tasks_": data.labels,
            "_weights": weights,
            "_kind": data.kind,
            "_input_shape": data.X.shape[1:],
            "_n_classes": data.n_shared_classes,
            "_dtype": dtype,
            "_scalings": tuple(tuple(scaling) for scaling in scalings),
            "_sklmeta_version": __version__,
            "_calibration": None,
        }
        if data.classes is not None:
            attributes["classes_"] = data.classes
            attributes["shared_classes_"] = data.kind == "shared"
        return attributes

    def _reset_adaptation(self) -> None:
        """Go back to the state after `fit`: zero shots, or the one table."""
        self._adaptation = self._initial_adaptation
        if self._initial_classes is not None:
            self.classes_ = self._initial_classes

    def _first_adaptation(self, data: FitData, rng: np.random.Generator) -> None:
        """End `fit`: adapt to the one table, or to nothing (zero shots)."""
        if data.one_table:
            y = data.y if data.classes is None else data.classes[data.y]
            self._adapt_to(data.X, y, np.zeros(len(y), np.intp), None)
            return
        if data.kind == "own":
            self._adaptation, self.n_guarded_ = {"mode": "none"}, 0
            return
        learner = self._load_learner()
        prior = learner.prior_state()
        if prior is None:
            rows = zero_shot_rows(data.codes, rng)
            y = data.y[rows] if data.classes is None else data.classes[data.y[rows]]
            self._adapt_to(data.X[rows], y, np.zeros(len(rows), np.intp), None)
            self._adaptation["sizes"] = np.zeros(1, np.intp)
        else:
            first = np.zeros(1, dtype=np.intp)
            chunk = {"tasks": first, "ways": None, "state": to_numpy(prior)}
            self._adaptation = {
                "mode": "single",
                "chunks": [chunk],
                "classes": None,
                "sizes": first,
            }
            self.n_guarded_ = 0

    # Adaptation ---------------------------------------------------------------

    def adapt(self, X: Any, y: ArrayLike, task: ArrayLike | None = None) -> Any:
        """Adapt to one task, or to many at once, in place.

        It always starts from what `fit` learned, never from an earlier task. For an
        adapted copy see `sklmeta.adapted`.

        Parameters
        ----------
        X : {array-like, data frame} of shape (n_samples, n_features)
            The support: labelled rows of the task.

        y : array-like of shape (n_samples,)
            Their classes, or targets.

        task : array-like of shape (n_samples,), default=None
            Label of every row's task. Then the rows are the supports of many tasks,
            and ``predict(X, task=...)`` predicts each row with its own task's model.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If the support is empty or does not fit what `fit` saw; an earlier
            adaptation is kept.
        """
        check_is_fitted(self, "_weights")
        if hasattr(X, "__len__") and len(X) == 0:
            raise ValueError(
                "The support is empty. With zero shots, use the estimator as it is "
                "after fit."
            )
        X, targets = check_rows(self, X, y, reset=False)
        self._check_input_shape(X)
        if task is None:
            self._adapt_to(X, targets, np.zeros(len(X), dtype=np.intp), None)
        else:
            codes, labels = check_task(task, len(X))
            self._adapt_to(X, targets, codes, labels)
        return self

    def _adapt_to(
        self, X: NDArray, y: NDArray, codes: NDArray, labels: NDArray | None
    ) -> None:
        n_tasks = 1 if labels is None else len(labels)
        device, dtype = resolve_device(self.device), torch_dtype(self._dtype)
        x_scaling, y_scaling = (Scaling(*scaling) for scaling in self._scalings)
        members: SupportClasses | None = None
        if self._kind == "regression":
            targets = with_zero_row(y, device, dtype, y_scaling)
        elif self._kind == "shared":
            targets = with_zero_row(shared_class_indices(y, self.classes_), device)
        else:
            indices, members = own_classes(y, codes, n_tasks)
            targets = with_zero_row(indices, device)
        table = TaskTable(
            row_table(X, device, dtype, x_scaling, read_once=True),
            targets,
            codes,
            n_tasks,
            self._n_classes,
            None if members is None else members.ways,
        )
        chunks, n_guarded = adapt_tasks(self._load_learner(), table)
        self._adaptation = {
            "mode": "single" if labels is None else "bulk",
            "chunks": chunks,
            "labels": labels,
            "sizes": np.bincount(codes, minlength=n_tasks),
            "classes": None if members is None else tuple(members),
        }
        self.n_guarded_ = n_guarded
        if members is not None:
            self.classes_ = members.classes

    # Prediction ---------------------------------------------------------------

    def _rows_and_learner(self, X: Any) -> tuple[RowTable, Learner]:
        """Validate and scale rows, and build the learner that takes them."""
        check_is_fitted(self, "_weights")
        X = check_rows(self, X, reset=False)
        self._check_input_shape(X)
        device, dtype = resolve_device(self.device), torch_dtype(self._dtype)
        scaling = Scaling(*self._scalings[0])
        rows = row_table(X, device, dtype, scaling, read_once=True)
        return rows, self._load_learner()

    def _outputs(self, X: Any, task: ArrayLike | None) -> tuple[NDArray, NDArray]:
        """Return the learner's output and the code of the model of every row."""
        rows, learner = self._rows_and_learner(X)
        codes = self._model_codes(task, len(rows) - 1)
        layers = normalisations(learner) if self.transductive else {}
        with batch_statistics(layers.values()):
            outputs = predict_tasks(
                learner,
                self._adaptation["chunks"],
                rows,
                codes,
                transductive=self.transductive,
            )
        return outputs, codes

    def _model_codes(self, task: ArrayLike | None, n_samples: int) -> NDArray:
        mode = self._adaptation["mode"]
        if mode == "none":
            raise NotAdaptedError(
                f"This {type(self).__name__} has no model before it has seen a "
                "support, as classes are a task's own. Call adapt(X, y) first."
            )
        if mode == "single":
            if task is not None:
                raise ValueError(
                    "predict was given task, but the estimator is not adapted to tasks "
                    "by their labels, which holds for tasks that fit has seen as well. "
                    "Call adapt(X, y, task=...) first, or drop task."
                )
            return np.zeros(n_samples, dtype=np.intp)
        labels = self._adaptation["labels"]
        if task is None:
            raise ValueError(
                f"The estimator is adapted to {len(labels)} tasks; predict needs task "
                "to tell whose model each row wants."
            )
        codes, asked = check_task(task, n_samples)
        known = pd.Index(labels).get_indexer(pd.Index(asked))
        if (known < 0).any():
            unknown = list(asked[known < 0][:5])
            raise ValueError(
                f"task has {(known < 0).sum()} label(s) that adapt has not seen: "
                f"{', '.join(map(repr, map(_plain, unknown)))}. Adapt to them first."
            )
        return known[codes]

    def _row_shots(self, task: ArrayLike | None, n_samples: int) -> NDArray:
        """Support rows of every row's model: per class where classes are its own."""
        codes = self._model_codes(task, n_samples)
        sizes = self._adaptation["sizes"]
        own = self._adaptation["classes"]
        return (sizes if own is None else sizes // own[3])[codes]

    def _check_input_shape(self, X: NDArray) -> None:
        if X.shape[1:] != self._input_shape:
            raise ValueError(
                f"X has rows of shape {X.shape[1:]}, but {type(self).__name__} was "
                f"fitted with rows of shape {self._input_shape}."
            )

    def _few_shot_score(self, X: Any, y: Any, task: Any, shots: int) -> float:
        return few_shot_score(
            self,
            X,
            y,
            task,
            shots=shots,
            support=self.support,
            random_state=self.random_state,
        )

    # State --------------------------------------------------------------------

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        written = state.get("_sklmeta_version", __version__)
        if written != __version__:
            warnings.warn(
                f"This {type(self).__name__} was written by sklmeta {written} and read "
                f"by {__version__}; predictions may differ.",
                VersionMismatchWarning,
                stacklevel=2,
            )

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "_weights")


def _plain(label: Any) -> Any:
    return label.item() if isinstance(label, np.generic) else label
