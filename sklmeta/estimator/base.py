"""The public contract: fit to many tasks, adapt to a new one, predict."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, is_classifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import accuracy_score, r2_score
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from sklmeta._compat import _fit_context, _num_samples
from sklmeta._version import __version__
from sklmeta.data.codes import IntArray, check_order, refuse_task
from sklmeta.data.kinds import TaskKind, fitted_kind
from sklmeta.data.labels import as_labels
from sklmeta.data.table import Table
from sklmeta.data.validation import check_fit_table, check_rows, unpack_collection
from sklmeta.estimator.adapting import AdaptingMixin
from sklmeta.estimator.assumptions import (
    asked_by_user,
    digest_of,
    warn_of_few_tasks,
    warn_of_known_tasks,
)
from sklmeta.estimator.calibrating import CalibrationMixin
from sklmeta.estimator.naming import NamedParametersMixin, says_what_it_takes
from sklmeta.estimator.state import Adaptation, RecordsMixin
from sklmeta.evaluation.few_shot import few_shot_score
from sklmeta.evaluation.probabilities import soften
from sklmeta.exceptions import NotAdaptedError, warn
from sklmeta.learners.torch_state import as_if_alone
from sklmeta.training.interrupts import interrupts_noted


def _predicts_probabilities(estimator: AdaptableEstimator) -> bool:
    if not is_classifier(estimator):
        raise AttributeError("A regressor predicts no probabilities.")
    if getattr(estimator, "estimator", None) is not None:
        getattr(estimator.estimator, "predict_proba")  # noqa: B009  its error says why
    return True


class AdaptableEstimator(
    AdaptingMixin, CalibrationMixin, RecordsMixin, NamedParametersMixin, BaseEstimator
):
    """Base of all estimators: fit to many tasks, adapt to a new one, predict.

    A subclass implements `_learn`, which returns what predicts for a task of which
    nothing is known, or None; `_specialise`, which returns what predicts for new tasks;
    and `_predict` and, for classes, `_probabilities`, which predict with either. What
    these return and take is a record of the subclass's own; `_restore` makes it of the
    dictionary that a file holds.
    """

    __metadata_request__fit = {"task": True}
    __metadata_request__score = {"task": True, "shots": True}
    __metadata_request__predict = {"task": True}
    __metadata_request__predict_proba = {"task": True}
    __metadata_request__predict_log_proba = {"task": True}

    _is_baseline = False  # to `compare`
    _learns_from_tasks = True
    _own_classes_remedy = "set shared_classes=False."
    _least_rows = 1  # of `fit`
    _several_targets = False  # whether a regressor learns them side by side
    _target_shape: tuple[int, ...] = ()  # of a row, as `fit` was given targets

    classes_: NDArray[Any]
    shared_classes_: bool
    tasks_: NDArray[Any]
    n_guarded_: int
    n_iter_: int
    history_: list[dict[str, Any]]

    # Public methods -----------------------------------------------------------

    @says_what_it_takes
    @_fit_context(prefer_skip_nested_validation=False)
    @as_if_alone()
    def fit(
        self, X: Any, y: ArrayLike | None = None, task: ArrayLike | None = None
    ) -> Self:
        """Learn from a collection of tasks, or from one table.

        Parameters
        ----------
        X : {array-like, data frame} of shape (n_samples, n_features) or collection
            Rows of all tasks; or a `TaskCollection`, or a sequence of ``(X, y)``, one
            per task, or a dict of them, without `y` and `task`.

        y : array-like of shape (n_samples,) or (n_samples, n_targets), default=None
            Classes, or targets; several where the estimator takes them.

        task : array-like of shape (n_samples,), default=None
            Label of every row's task. None, or a single label, is one table, and the
            model is then that of this table.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If the input is not usable; an earlier fit is kept.
        NonFiniteLossError
            If the meta-loss stops being finite; the last good epoch's state is kept.
        KeyboardInterrupt
            At Ctrl-C, when the meta-update is done; what was learned by then is kept,
            or an earlier fit where that is nothing. A second one does not wait.
        """
        return self._fit_or_restore(X, y, task)

    def _fit_or_restore(self, *given: Any) -> Self:
        """Fit to what `fit` was given; an earlier fit survives what fails."""
        before, error = dict(self.__dict__), None
        try:
            with interrupts_noted(), asked_by_user() as is_asked:
                try:
                    error = self._fit(*given)
                    if is_asked and (given[2] is not None or given[1] is None):
                        self._warn_of_few_tasks()
                except BaseException:  # also Ctrl-C: an earlier fit is kept, or none
                    self.__dict__ = before
                    raise
        except KeyboardInterrupt:  # that came when all was done
            if error is None:
                raise
        if isinstance(error, KeyboardInterrupt):
            warn(str(error), ConvergenceWarning)
        if error is not None:
            raise error
        return self

    @says_what_it_takes
    @as_if_alone()
    def predict(self, X: Any, task: ArrayLike | None = None) -> NDArray[Any]:
        """Predict the class, or the target, of every row.

        Parameters
        ----------
        X : {array-like, data frame} of shape (n_samples, n_features)
            Rows to predict.

        task : array-like of shape (n_samples,), default=None
            Label of every row's task, after adapting to many tasks.

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_targets)
            Labels as they were given to `fit` or `adapt`; or numbers, in the units of
            y. Before `adapt`, for a task of which nothing is known.

        Raises
        ------
        NotAdaptedError
            If classes are a task's own and `adapt` has not been called.
        ValueError
            If `task` is missing, not wanted, or has a label that `adapt` has not seen.
        """
        return self._shaped(self._predict(*self._select(X, task)))

    @available_if(_predicts_probabilities)
    @says_what_it_takes
    @as_if_alone()
    def predict_proba(self, X: Any, task: ArrayLike | None = None) -> NDArray[Any]:
        """Predict the probability of every class.

        Parameters
        ----------
        X : {array-like, data frame} of shape (n_samples, n_features)
            Rows to predict.

        task : array-like of shape (n_samples,), default=None
            Label of every row's task, after adapting to many tasks.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Columns in the order of `classes_`; classes that a row's task does not have
            are given probability zero.
        """
        X, codes, model = self._select(X, task)
        return self._calibrated(X, codes, model, self._temperature(codes), log=False)

    @available_if(_predicts_probabilities)
    @says_what_it_takes
    @as_if_alone()
    def predict_log_proba(self, X: Any, task: ArrayLike | None = None) -> NDArray[Any]:
        """Predict the logarithm of the probability of every class.

        Parameters
        ----------
        X : {array-like, data frame} of shape (n_samples, n_features)
            Rows to predict.

        task : array-like of shape (n_samples,), default=None
            Label of every row's task, after adapting to many tasks.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Minus infinity for classes that a row's task does not have.
        """
        X, codes, model = self._select(X, task)
        return self._calibrated(X, codes, model, self._temperature(codes), log=True)

    @says_what_it_takes
    @as_if_alone()
    def score(
        self,
        X: Any,
        y: Any = None,
        sample_weight: ArrayLike | None = None,
        *,
        task: ArrayLike | None = None,
        shots: int | None = None,
    ) -> float:
        """Return the accuracy, or R²; with `task`, the few-shot score.

        With `task`, a support of `shots` rows is drawn from each task, a copy is
        adapted to it and predicts the task's other rows. Accuracies are averaged over
        tasks; of numbers the score is 1 minus the sum of squared errors over the sum of
        squares about each task's query mean. The draws are the same at every call.

        Parameters
        ----------
        X : {array-like, data frame} of shape (n_samples, n_features) or collection
            Rows; or many tasks, as in `fit`.

        y : array-like of shape (n_samples,), default=None
            Their classes, or targets.

        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows; with `task`, of its query rows within each task.

        task : array-like of shape (n_samples,), default=None
            Task of every row. None scores the model as it is, as scikit-learn does.

        shots : int, default=None
            Support rows: per class when classes are a task's own, else in total; with
            `task` None means 5, and without it there are none to draw.

        Returns
        -------
        float

        Raises
        ------
        ValueError
            If `shots` is given, and no task to draw them from.
        """
        labelled = task is not None
        X, y, task, _ = unpack_collection(X, y, task)
        if task is not None:
            shots = 5 if shots is None else shots
            how = {"shots": shots, "sample_weight": sample_weight}
            score = self._few_shot_score(X, y, task, **how)
            if labelled:
                warn_of_known_tasks(self, y, task)
            return score
        if shots is not None:
            raise ValueError(
                f"shots={shots!r} are drawn from each task, and score was given no "
                "task: call score(X, y, task=task, shots=...), or drop shots to score "
                "the model as it is."
            )
        refuse_task(sample_weight, getattr(self, "tasks_", ()))
        classes = is_classifier(self)
        metric, y = (accuracy_score, as_labels(y, "y")) if classes else (r2_score, y)
        return float(metric(y, self.predict(X), sample_weight=sample_weight))

    # Hooks --------------------------------------------------------------------

    def _learn(self, table: Table) -> Any:
        # Here and below: plain methods, without ABCMeta, as in scikit-learn's mixins.
        raise NotImplementedError(f"{type(self).__name__} lacks _learn.")

    def _specialise(self, table: Table) -> Any:
        # `adapt` is the same for all estimators but for this.
        raise NotImplementedError(f"{type(self).__name__} lacks _specialise.")

    def _predict(self, X: Any, codes: IntArray, model: Any) -> NDArray[Any]:
        # `predict` is the same for all estimators but for this.
        raise NotImplementedError(f"{type(self).__name__} lacks _predict.")

    def _probabilities(self, X: Any, codes: IntArray, model: Any) -> NDArray[Any]:
        # Not reached for a regressor: `predict_proba` is not available there.
        raise NotImplementedError(f"{type(self).__name__} lacks _probabilities.")

    def _calibrated(
        self,
        X: Any,
        codes: IntArray,
        model: Any,
        temperature: NDArray[np.float64] | None,
        *,
        log: bool,
    ) -> NDArray[Any]:
        """Probabilities, or their logarithms, at the temperature of each row."""
        values = self._probabilities(X, codes, model)
        if temperature is not None:
            values = soften(values, temperature)
        if not log:
            return values
        with np.errstate(divide="ignore"):
            return np.log(values)

    def _options(self, X: Any) -> dict[str, Any]:
        """What `validate_data` is to ask of X."""
        return {"dtype": (np.float64, np.float32)}

    def _check_shape(self, X: Any) -> None:
        """Refuse rows of another shape than those of `fit`; features are counted."""

    def _few_shot_score(self, X: Any, y: Any, task: Any, **how: Any) -> float:
        return few_shot_score(self, X, y, task, **how)

    # State --------------------------------------------------------------------

    def _fit(self, X: Any, y: Any, task: Any) -> BaseException | None:
        """Fit; an error that is returned is raised once what was learned is kept."""
        return self._fit_to(self._fit_table(X, y, task))

    def _fit_to(self, table: Table) -> BaseException | None:
        self.__dict__.update(self._attributes_of(table, None))
        self.__dict__.update(self._attributes_of(table, self._learn(table)))
        return None

    def _fit_table(self, X: Any, y: Any, task: Any) -> Table:
        def options(X: Any) -> dict[str, Any]:
            return {**self._options(X), "ensure_min_samples": self._least_rows}

        remedy = self._own_classes_remedy
        return check_fit_table(self, X, y, task, options=options, remedy=remedy)

    def _attributes_of(self, table: Table, model: Any) -> dict[str, Any]:
        """What `fit` leaves on every estimator."""
        shots = table.shots if table.one_table else np.zeros(1, dtype=np.intp)
        adaptation = Adaptation(model, None, shots, table.classes)
        attributes: dict[str, Any] = {
            "tasks_": table.labels,
            "_adaptation": adaptation,
            "_initial_adaptation": adaptation,
            "_calibration": None,
            "_digest_of_fit": digest_of(table.targets),
            "_target_shape": table.target_shape,
            "_sklmeta_version": __version__,
        }
        if table.classes is not None:
            attributes["classes_"] = table.classes
            attributes["shared_classes_"] = table.kind == TaskKind.SHARED
        return attributes

    def _warn_of_few_tasks(self) -> None:
        warn_of_few_tasks(self)

    @property
    def _task_kind(self) -> TaskKind:
        """What `fit` took the targets to be."""
        return fitted_kind(self)

    def _shaped(self, values: NDArray[Any]) -> NDArray[Any]:
        """What is predicted, a column if `fit` was given one."""
        return values[:, None] if self._target_shape == (1,) else values

    def _select(self, X: Any, task: Any) -> tuple[Any, IntArray, Any]:
        """Validate the rows and find each one's model."""
        check_is_fitted(self)
        check_order(X, task)
        X = check_rows(self, X, options={**self._options(X), "reset": False})
        self._check_shape(X)
        if self._adaptation.model is None:
            raise NotAdaptedError(
                f"This {type(self).__name__} has no model before it has seen a "
                "support, as classes are a task's own. Call adapt(X, y) first; inside "
                "a Pipeline or a search, sklmeta.adapted(model, X, y)."
            )
        model = self._adaptation.model
        codes = self._adaptation.codes_of(task, _num_samples(X))
        return self._arrange(X, codes, model), codes, model

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "_initial_adaptation")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        return tags
