"""One model for all tasks."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, clone, is_classifier

from sklmeta._compat import HasMethods, Interval, StrOptions, _safe_indexing
from sklmeta.baselines._refitting import check_weight, refit, refit_with_task
from sklmeta.baselines._wrapping import Wrapped, WrappingBaseline, respond_with
from sklmeta.data.codes import IntArray, group_means, group_rows
from sklmeta.data.collection import stack_tasks
from sklmeta.data.hints import hints_on_columns
from sklmeta.data.table import Table

WEIGHT_WITH_CATEGORY = 5.0  # docs/baselines.md tells of the choice


class Pooled(WrappingBaseline):
    """One model for all tasks, with a simple use of a new task's rows on request.

    Parameters
    ----------
    estimator : estimator
        Any scikit-learn classifier or regressor; a clone is fitted to the rows of all
        tasks.

    support : {"ignore", "append", "offset"}, default="ignore"
        What `adapt` does with a new task's rows. "append" fits the model anew to the
        training rows and these, once per task unless `task_category`, which is costly
        for many tasks and keeps the training rows on the estimator. "offset" keeps the
        model. For a regressor it adds the mean residual of the support to all
        predictions. For a classifier it multiplies the probability of class c by
        ``(n_c + p_c) / ((k + 1) p_c)`` and normalises, where n_c of the k support rows
        are of class c and p_c is the mean probability that the model gives them: a step
        towards the task's class frequencies, with the model's worth one row.

    center : bool, default=False
        Whether to subtract each task's own mean from its X and, for a regressor, from
        its y: the mean of the support rows for a new task; for a task of which nothing
        is known, the average of the training tasks' means.

    support_weight : "auto" or float, default="auto"
        What each support row weighs in the fit that "append" asks for; a training row
        weighs 1. "auto" is 5 with `task_category`, else 1. Whole numbers repeat the
        row; others are the `sample_weight` of `estimator`, or of the last step of a
        pipeline.

    task_category : bool, default=False
        Whether "append" gives the estimator one more column, the label of each row's
        task; a new task has a label of its own. It stands behind the steps of a
        pipeline, before the last. scikit-learn's histogram-based boosting, LightGBM and
        XGBoost get a data frame with a category. All other estimators, sparse rows, and
        scikit-learn's with more tasks than its `max_bins` get numbers for the task
        instead: the mean target of its other rows, or the frequencies of the classes.
        Tasks that are adapted to together share one fit. Zero shots are predicted
        without the column.

    Attributes
    ----------
    tasks_ : ndarray of shape (n_tasks,)
        Labels of the tasks that `fit` saw.

    classes_ : ndarray of shape (n_classes,)
        Classes that `fit` saw. Only for a classifier.

    shared_classes_ : bool
        True: one model for all tasks has the same classes for all. Only for a
        classifier.

    n_features_in_ : int

    See Also
    --------
    PerTask : Each task's own model.

    References
    ----------
    Saerens, Latinne and Decaestecker, "Adjusting the Outputs of a Classifier to New a
    Priori Probabilities", Neural Computation 2002.

    Examples
    --------
    >>> from sklearn.linear_model import Ridge
    >>> from sklmeta import Pooled
    >>> model = Pooled(Ridge(alpha=1e-9), support="offset")
    >>> X, y, task = [[0.0], [1.0], [0.0], [1.0]], [0.0, 2, 2, 4], ["a", "a", "b", "b"]
    >>> model.fit(X, y, task=task).predict([[2.0]]).round(3)
    array([5.])
    >>> model.adapt([[0.0]], [7.0]).predict([[2.0]]).round(3)
    array([11.])

    With the task as a category, trees find the new task's level from few rows:

    >>> from sklearn.ensemble import HistGradientBoostingRegressor
    >>> trees = HistGradientBoostingRegressor(random_state=0)
    >>> X, task = [[0.0], [1.0]] * 120, [f"t{i // 24}" for i in range(240)]
    >>> y = [row[0] + 10.0 * (name < "t5") for row, name in zip(X, task)]
    >>> model = Pooled(trees, support="append", task_category=True)
    >>> model = model.fit(X, y, task=task).adapt(X[:4], [21.0, 22.0, 21.0, 22.0])
    >>> model.predict([[0.0], [1.0]]).round(1)  # 5.3 and 6.3 without the category
    array([21.1, 21.9])
    """

    _parameter_constraints = {
        "estimator": [HasMethods(["fit", "predict"])],
        "support": [StrOptions({"ignore", "append", "offset"})],
        "center": ["boolean"],
        "support_weight": [
            StrOptions({"auto"}),
            Interval(Real, 0, None, closed="neither"),
        ],
        "task_category": ["boolean"],
    }

    def __init__(
        self,
        estimator: BaseEstimator,
        *,
        support: str = "ignore",
        center: bool = False,
        support_weight: float | str = "auto",
        task_category: bool = False,
    ):
        self.estimator = estimator
        self.support = support
        self.center = center
        self.support_weight = support_weight
        self.task_category = task_category

    def _learn(self, table: Table) -> Wrapped:
        if (
            self.support == "offset"
            and is_classifier(self)
            and not hasattr(self.estimator, "predict_proba")
        ):
            raise ValueError(
                'support="offset" shifts the class probabilities, which '
                f"{type(self.estimator).__name__} does not predict. Use "
                'support="append", or wrap it in CalibratedClassifierCV.'
            )
        if self.task_category and self.support != "append":
            raise ValueError(
                "task_category=True fits the model anew with the support's rows; set "
                'support="append".'
            )
        X, y, x_mean, y_mean = self._centre(table)
        self._train = None
        if self.support == "append":
            check_weight(self.estimator, self._weight)
            self._train = (X, y, table.codes)
        with hints_on_columns(self):
            model = clone(self.estimator).fit(X, y)
        if x_mean is not None:
            x_mean = x_mean.mean(axis=0, keepdims=True)
        if y_mean is not None:
            y_mean = y_mean.mean(axis=0, keepdims=True)
        return Wrapped([model], x_mean, y_mean)

    def _specialise(self, table: Table) -> Wrapped:
        if self.support == "append":
            table = self._unfolded(table)
        X, y, x_mean, y_shift = self._centre(table)
        codes, n_tasks, weight = table.codes, table.n_tasks, table.weight
        models = self._initial_adaptation.model.models
        odds = preparation = columns = None
        if self.support == "append" and self.task_category:
            preparation, model, columns = self._refit_together(X, y, codes)
            models = [model]
        elif self.support == "append":
            order, offsets = group_rows(codes, n_tasks)
            parts = np.split(order, offsets[1:-1])
            each = [None if weight is None else weight[i] for i in parts]
            models = [
                self._refit(_safe_indexing(X, i), y[i], own)
                for i, own in zip(parts, each, strict=True)
            ]
        elif self.support == "offset" and is_classifier(self):
            odds = self._odds(models[0], X, y, table)
        elif self.support == "offset":
            residual = y - models[0].predict(X)
            residual = group_means(residual, codes, n_tasks, weight)
            y_shift = residual if y_shift is None else y_shift + residual
        return Wrapped(models, x_mean, y_shift, odds, preparation, columns)

    def _leave_one_out(self, table: Table, model: Wrapped) -> NDArray[Any] | None:
        n_others = (table.sizes - 1.0)[table.codes]
        if self.support == "append" or (self.center and self.support == "offset"):
            return None
        with np.errstate(divide="ignore", invalid="ignore"):  # tasks of one row
            return self._from_others(table, model, n_others)

    def _from_others(
        self, table: Table, model: Wrapped, n_others: NDArray[Any]
    ) -> NDArray[Any]:
        """Predict every row with its task's corrections taken from the other rows."""
        X, y, codes, n_tasks = table.X, table.y, table.codes, table.n_tasks
        (pooled,) = model.models

        def others(values: NDArray[Any], means: NDArray[Any]) -> NDArray[Any]:
            sizes = n_others.reshape(-1, *[1] * (values.ndim - 1))
            return means[codes] + (means[codes] - values) / sizes

        if model.x_mean is not None:
            X = X - others(X, model.x_mean).astype(X.dtype)
            X = np.where(n_others[:, None] > 0, X, 0)
        if not is_classifier(self):
            values = pooled.predict(X)
            if model.y_shift is not None:
                corrected = y - values if self.support == "offset" else y
                values = values + others(corrected, model.y_shift)
            return values
        values = respond_with(pooled, "predict_proba", X, self.classes_)
        if self.support == "offset":
            own = y[:, None] == self.classes_
            observed = others(own, group_means(own, codes, n_tasks))
            expected = others(values, group_means(values, codes, n_tasks))
            values = values * _odds_of(n_others[:, None], observed, expected)
            values = values / values.sum(axis=1, keepdims=True)
        return values

    def _centre(
        self, table: Table
    ) -> tuple[Any, NDArray[Any], NDArray[Any] | None, NDArray[Any] | None]:
        X, y, codes = table.X, table.y, table.codes
        tasks = codes, table.n_tasks, table.weight
        if not self.center:
            return X, y, None, None
        x_mean = group_means(X, *tasks)
        X = X - x_mean[codes].astype(X.dtype)
        if is_classifier(self):
            return X, y, x_mean, None
        y_mean = group_means(y, *tasks)
        return X, y - y_mean[codes], x_mean, y_mean

    def _why_no_weights(self, weight: NDArray[np.float64]) -> str:
        return super()._why_no_weights(weight) if self.support == "append" else ""

    @property
    def _weighs(self) -> bool:
        # A column that stands for the task is made of rows, and counts them.
        return super()._weighs and not self.task_category

    @property
    def _several_targets(self) -> bool:  # type: ignore[override]
        # For it one mean target may stand; files of early versions have none.
        return not getattr(self, "task_category", False)

    @property
    def _weight(self) -> float:
        if isinstance(self.support_weight, str):
            return WEIGHT_WITH_CATEGORY if self.task_category else 1.0
        return float(self.support_weight)

    def _appended(
        self, X: Any, y: NDArray[Any], weight: NDArray[np.float64] | None = None
    ) -> tuple[Any, NDArray[Any], NDArray[np.float64]]:
        """Training rows and the support's, and what each weighs."""
        X_train, y_train, _ = self._train  # type: ignore[misc]
        X, y, is_support = stack_tasks([(X_train, y_train), (X, y)])
        weights = np.where(is_support, self._weight, 1.0)
        if weight is not None:
            weights[len(y_train) :] *= weight
        return X, y, weights

    def _refit(
        self, X: Any, y: NDArray[Any], weight: NDArray[np.float64] | None
    ) -> Any:
        return refit(self.estimator, *self._appended(X, y, weight))

    def _refit_together(
        self, X: Any, y: NDArray[Any], codes: IntArray
    ) -> tuple[Any, Any, NDArray[Any]]:
        train_codes = self._train[2]  # type: ignore[index]
        n_train = len(self.tasks_)
        X, y, weight = self._appended(X, y)
        codes = np.r_[train_codes, n_train + codes]
        preparation, model, columns = refit_with_task(
            self.estimator, X, y, codes, weight
        )
        return preparation, model, columns[n_train:]

    def _odds(
        self, model: Any, X: Any, y: NDArray[Any], table: Table
    ) -> NDArray[np.float64]:  # shape: (n_tasks, n_classes)
        tasks = table.codes, table.n_tasks, table.weight
        expected = group_means(model.predict_proba(X), *tasks)
        observed = group_means(y[:, None] == self.classes_, *tasks)
        k = np.bincount(table.codes, table.weight, minlength=table.n_tasks)
        return _odds_of(k[:, None], observed, expected)


def _odds_of(
    k: NDArray[Any], observed: NDArray[Any], expected: NDArray[Any]
) -> NDArray[np.float64]:
    """What to multiply classes with after k rows of these mean frequencies."""
    expected = np.maximum(expected, np.finfo(np.float64).eps)
    return (k * observed / expected + 1) / (k + 1)
