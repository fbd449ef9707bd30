"""What mixed models of numbers and of classes share."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import numbers
from collections.abc import Callable, Sequence
from dataclasses import field
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.validation import check_is_fitted

from sklmeta._compat import Interval, StrOptions, _fit_context
from sklmeta.closed_form._mixed_summary import random_columns
from sklmeta.data.codes import IntArray
from sklmeta.data.scaling import Scaling
from sklmeta.data.table import Table
from sklmeta.data.validation import unpack_collection
from sklmeta.data.weights import weigh_rows
from sklmeta.estimator.base import AdaptableEstimator
from sklmeta.estimator.declared import DeclaredParameters
from sklmeta.estimator.naming import says_what_it_takes
from sklmeta.exceptions import warn
from sklmeta.learners.torch_state import as_if_alone
from sklmeta.mixed_models.covariance import COVARIANCES, Floats
from sklmeta.mixed_models.families import Family
from sklmeta.mixed_models.generalised import (
    GeneralisedMixedModel,
    Rows,
    as_rows,
    fit_generalised,
)
from sklmeta.mixed_models.laplace_posterior import (
    Posterior,
    posterior_of,
    predictor_of,
    prior_of,
    without_own_row,
)
from sklmeta.mixed_models.linear import LinearMixedModel
from sklmeta.mixed_models.units import Units

BLOCK_ROWS = 2**14

MOST_EFFECTS = 1000
"""Random effects of a task with several classes: their precision is factorised at every
Newton step."""


class MixedModel(DeclaredParameters, AdaptableEstimator):
    """Fixed effects and random effects: the parameters, and what can be read of them.

    Families other than the normal one are fitted, conditioned and predicted here, by
    the Laplace approximation.
    """

    random_slopes: str | Sequence[Any] = "all"
    covariance: str = "auto"
    rank: int = 1
    max_iter: int = 1000
    tol: float = 1e-10

    _parameter_constraints = {
        "random_slopes": [StrOptions({"all", "none"}), "array-like"],
        "covariance": [StrOptions(set(COVARIANCES))],
        "rank": [Interval(numbers.Integral, 1, None, closed="left")],
        "max_iter": [Interval(numbers.Integral, 1, None, closed="left")],
        "tol": [Interval(numbers.Real, 0, None, closed="neither")],
    }

    _units: Units = field(init=False)
    _model: LinearMixedModel | GeneralisedMixedModel = field(init=False)
    _slopes: IntArray = field(init=False)
    _dtype: str = field(init=False)

    # Fitting ------------------------------------------------------------------

    @says_what_it_takes
    @_fit_context(prefer_skip_nested_validation=False)
    @as_if_alone()
    def fit(
        self,
        X: Any,
        y: ArrayLike | None = None,
        task: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> Self:
        """Learn from a collection of tasks, or from one table.

        Parameters
        ----------
        X : {array-like, data frame} of shape (n_samples, n_features) or collection
            Rows of all tasks; or a `TaskCollection`, or a sequence of ``(X, y)``, one
            per task, without `y` and `task`.

        y : array-like of shape (n_samples,), default=None
            Classes, or targets.

        task : array-like of shape (n_samples,), default=None
            Label of every row's task. None, or a single label, is one table, and the
            model is then that of this table.

        sample_weight : array-like of shape (n_samples,), default=None
            How often each row counts in the likelihood: a weight of two is the row
            twice, one of zero its absence.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If the input is not usable; an earlier fit is kept.
        """
        if sample_weight is None:
            return self._fit_or_restore(X, y, task)
        names = getattr(X, "feature_names", None)
        X, y, task, _ = unpack_collection(X, y, task)
        X = X if names is None else pd.DataFrame(X, columns=names)
        return self._fit_or_restore(*weigh_rows(X, y, task, sample_weight))

    def _fit(
        self, X: Any, y: Any, task: Any, weight: Floats | None = None
    ) -> BaseException | None:
        return self._fit_to(self._fit_table(X, y, task)._replace(weight=weight))

    def _why_no_weights(self, weight: NDArray) -> str:
        return ""

    def _measure(self, table: Table, *, scale_y: bool) -> IntArray:
        """Choose the units, and return the columns whose coefficients vary."""
        X, weight = table.X, table.weight
        y = table.targets.astype(np.float64, copy=False)
        slopes = self._slopes = random_columns(self, X.shape[1])
        all_or_none = len(slopes) in (0, X.shape[1])
        units = self._units = Units.of(
            X, y, scale_y=scale_y, reduce=all_or_none, weight=weight
        )
        self._dtype = "float32" if X.dtype == np.float32 else "float64"
        if all_or_none and len(slopes):
            return np.arange(units.n_columns)
        return np.append(slopes, units.n_columns - 1)

    def _keep(self, model: LinearMixedModel | GeneralisedMixedModel) -> None:
        self._model = model
        self.n_iter_, self.converged_ = model.n_iter, model.converged
        if not model.converged:
            warn(
                f"{type(self).__name__} stopped after {model.n_iter} steps without "
                "converging. Raise max_iter, or let fewer slopes vary.",
                ConvergenceWarning,
            )

    @property
    def _how(self) -> dict[str, Any]:
        names = ("covariance", "rank", "max_iter", "tol")
        return {name: getattr(self, name) for name in names}

    # By the Laplace approximation -----------------------------------------------

    def _learn_family(self, table: Table, family: Family) -> Posterior:
        random = self._measure(table, scale_y=False)
        most, m = self._units.n_columns, family.n_outputs
        if m > 1 and most * m > MOST_EFFECTS:
            raise ValueError(
                f"{m + 1} classes with {most} columns, the constant among them, make "
                f"{most * m} coefficients, of which {type(self).__name__} takes "
                f"{MOST_EFFECTS} at most. Reduce the features, for example by a PCA in "
                "a Pipeline in front, or take RidgeHeadClassifier, which learns what "
                "to reduce them to."
            )
        rows = self._design(table)
        model = fit_generalised(rows, family, random, **self._how)
        self._keep(model)
        known = posterior_of(model, family, rows)
        self._random_effects = np.zeros((table.n_tasks, *model.coef.shape))
        self._random_effects[:, model.random] = known.mean
        return known if table.one_table else prior_of(model, m)

    def _condition(self, table: Table, family: Family) -> Posterior:
        assert isinstance(self._model, GeneralisedMixedModel)
        return posterior_of(self._model, family, self._design(table))

    def _design(self, table: Table) -> Rows:
        design = np.column_stack([self._units.rows(table.X), np.ones(len(table.X))])
        given = table.targets, table.codes, table.n_tasks, table.weight
        return as_rows(design, *given)

    def _predictive(
        self, X: NDArray, codes: IntArray, known: Posterior, family: Family
    ) -> NDArray[Any]:  # shape: (n_samples, n_classes); or (n_samples, 2), mean and std
        assert isinstance(self._model, GeneralisedMixedModel)
        largest = np.finfo(self._dtype).max
        parts = []
        for start in range(0, len(X), BLOCK_ROWS):
            block = slice(start, start + BLOCK_ROWS)
            rows = self._units.rows(X[block])
            design = np.column_stack([rows, np.ones(len(rows))])
            eta = predictor_of(self._model, known, design, codes[block])
            values = family.predictive(*eta, self._model.log_dispersion)
            parts.append(np.minimum(values.numpy(), largest).astype(self._dtype))
        return np.concatenate(parts)

    def _without_own_row(
        self, table: Table, known: Posterior, family: Family
    ) -> NDArray[Any]:  # as of `_predictive`
        model, rows = self._model, self._design(table)
        assert isinstance(model, GeneralisedMixedModel)
        eta = predictor_of(model, known, rows.X.numpy(), table.codes)
        eta = without_own_row(eta, family, rows.y, model.log_dispersion)
        return family.predictive(*eta, model.log_dispersion).numpy().astype(self._dtype)

    # What their users read ------------------------------------------------------

    def _coef(self) -> NDArray[Any]:  # shape: (n_columns,) or (n_columns, n_outputs)
        """Fixed effects in the units of the fit."""
        check_is_fitted(self)
        model = self._model
        if isinstance(model, GeneralisedMixedModel) and len(self.tasks_) == 1:
            # One table's coefficients are all its own.
            return model.coef + self._random_effects[0]
        return model.coef

    @property
    def random_slopes_(self) -> list[Any]:
        """Names, or indices, of the features with random slopes."""
        check_is_fitted(self)
        names = getattr(self, "feature_names_in_", None)
        return [int(j) if names is None else names[j] for j in self._slopes]

    @property
    def _order(self) -> IntArray:
        return np.r_[-1, self._slopes].astype(np.intp)

    @property
    def random_effects_covariance_(self) -> Floats:
        """Covariance of the random intercept and slopes, in the user's units."""
        check_is_fitted(self)
        linear = self._units.to_user()[0][self._order][:, self._model.random]
        return linear @ self._model.covariance @ linear.T

    def __setstate__(self, state: dict[str, Any]) -> None:
        state = dict(state)
        if isinstance(state.get("_units"), dict):
            units, model = state["_units"], state["_model"]
            x, y = (Scaling(**units[name]) for name in ("x", "y"))
            state["_units"] = Units(x, y, units["basis"])
            linear = "noise_variance" in model
            record = LinearMixedModel if linear else GeneralisedMixedModel
            state["_model"] = record(**model)
        super().__setstate__(state)


class OneOutput:
    """Reads the fixed effects of a model whose predictor is one number."""

    _coef: Callable[[], NDArray[Any]]
    _units: Units
    _model: LinearMixedModel | GeneralisedMixedModel

    def _fixed_effects(self) -> tuple[Floats, Floats]:
        """Fixed effects and their standard errors, in the units of X and y."""
        coef = np.ravel(self._coef())
        linear, shift = self._units.to_user()
        covariance = linear @ self._model.coef_covariance @ linear.T
        return linear @ coef + shift, np.sqrt(np.diag(covariance))

    @property
    def coef_(self) -> Floats:
        """Fixed effects, in the units of X and y."""
        return self._fixed_effects()[0][:-1]

    @property
    def intercept_(self) -> float:
        """The fixed intercept."""
        return float(self._fixed_effects()[0][-1])

    @property
    def coef_std_errors_(self) -> Floats:
        """Standard errors of `coef_`."""
        return self._fixed_effects()[1][:-1]

    @property
    def intercept_std_error_(self) -> float:
        """Standard error of `intercept_`."""
        return float(self._fixed_effects()[1][-1])
