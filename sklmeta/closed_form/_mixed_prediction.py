"""What a fitted mixed model of numbers predicts, and how sure it is of that."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri, stdtrit

from sklmeta.closed_form._mixed_base import BLOCK_ROWS
from sklmeta.data.codes import IntArray
from sklmeta.estimator.naming import says_what_it_takes
from sklmeta.estimator.quantiles import QuantilesMixin
from sklmeta.learners.torch_state import as_if_alone
from sklmeta.mixed_models.families import FAMILIES, Family
from sklmeta.mixed_models.generalised import GeneralisedMixedModel
from sklmeta.mixed_models.laplace_posterior import Posterior, predictor_of
from sklmeta.mixed_models.linear import LinearMixedModel
from sklmeta.mixed_models.moments import moments_of
from sklmeta.mixed_models.posterior import posterior
from sklmeta.mixed_models.quantiles import family_quantiles
from sklmeta.mixed_models.units import Units

Floats = NDArray[np.float64]


class TaskCoefficients(NamedTuple):
    """Coefficients of some tasks, and the rows that they were predicted from."""

    coef: Floats  # shape: (n_tasks, n_columns); in the units of the fit
    X: NDArray  # shape: (n_samples, n_features)
    y: NDArray  # shape: (n_samples,)
    codes: IntArray  # shape: (n_samples,)
    weight: Floats | None = None  # shape: (n_samples,); None is one each


class MixedPrediction(QuantilesMixin):
    """Predicts means, deviations and quantiles, by the line or by a family."""

    __metadata_request__predict = {"task": True, "return_std": True}

    _family_name: str
    _model: LinearMixedModel | GeneralisedMixedModel
    _units: Units
    _dtype: str
    _predictive: Callable[..., NDArray[Any]]

    @property
    def _family(self) -> Family | None:
        """The family that was fitted, where that is not the normal one."""
        name = self._family_name
        return None if name == "gaussian" else FAMILIES[name]()

    @property
    def _linear(self) -> LinearMixedModel:
        assert isinstance(self._model, LinearMixedModel)
        return self._model

    @property
    def _least_target(self) -> float:
        return -np.inf if self._family is None else 0.0

    def _predict(
        self, X: NDArray, codes: IntArray, model: TaskCoefficients | Posterior
    ) -> NDArray[Any]:
        if isinstance(model, Posterior):
            return self._mean_and_std(X, codes, model)[:, 0]
        mean = np.empty(len(X))
        for start in range(0, len(X), BLOCK_ROWS):
            block = slice(start, start + BLOCK_ROWS)
            coef = model.coef[codes[block]]
            rows = self._units.rows(X[block])
            mean[block] = np.einsum("ij,ij->i", rows, coef[:, :-1]) + coef[:, -1]
        return self._units.y.undo(mean).astype(self._dtype)

    def _mean_and_std(self, X: NDArray, codes: IntArray, model: Posterior) -> NDArray:
        assert self._family is not None
        return self._predictive(X, codes, model, self._family)

    @says_what_it_takes
    @as_if_alone()
    def predict(
        self, X: Any, task: ArrayLike | None = None, return_std: bool = False
    ) -> Any:
        """Predict the target of every row, and how sure that is.

        Parameters
        ----------
        X : {array-like, data frame} of shape (n_samples, n_features)
            Rows to predict.

        task : array-like of shape (n_samples,), default=None
            Label of every row's task, after adapting to many tasks.

        return_std : bool, default=False
            Whether to return the standard deviation too.

        Returns
        -------
        y_mean : ndarray of shape (n_samples,)
            Mean of the predictive distribution.

        y_std : ndarray of shape (n_samples,)
            Its standard deviation, in the units of y; with `return_std`.

        Raises
        ------
        ValueError
            If `task` is missing, not wanted, or has a label that `adapt` has not seen.
        """
        X, codes, model = self._select(X, task)
        if isinstance(model, Posterior):
            mean, std = self._mean_and_std(X, codes, model).T
            return (mean, std) if return_std else mean
        mean = self._predict(X, codes, model)
        return (mean, self._std(X, codes, model)) if return_std else mean

    def _std(self, X: NDArray, codes: IntArray, model: TaskCoefficients) -> NDArray:
        return self._spread(X, codes, model)[0].astype(self._dtype)

    def _spread(
        self, X: NDArray, codes: IntArray, model: TaskCoefficients
    ) -> tuple[Floats, Floats]:
        """Deviation of every row's target, and degrees of freedom of its Student's t.

        Task by task, as far as asked.
        """
        asked, which = np.unique(codes, return_inverse=True)
        kept = np.isin(model.codes, asked)
        weights = None if model.weight is None else model.weight[kept]
        given = model.X[kept], model.y[kept], np.searchsorted(asked, model.codes[kept])
        moments = moments_of(self._units, *given, len(asked), weights)
        known, std = posterior(self._linear, moments), np.empty(len(X))
        for start in range(0, len(X), BLOCK_ROWS):
            block = slice(start, start + BLOCK_ROWS)
            rows = self._units.rows(X[block])
            design = torch.from_numpy(np.column_stack([rows, np.ones(len(rows))]))
            own = torch.from_numpy(which[block])
            std[block] = known.variance(self._linear, design, own).sqrt().numpy()
        return std * float(self._units.y.unit), known.noise_df.numpy()[which]

    def _quantiles(
        self,
        X: NDArray,
        codes: IntArray,
        model: TaskCoefficients | Posterior,
        levels: Floats,
    ) -> NDArray[Any]:  # shape: (n_samples, n_q)
        if isinstance(model, Posterior):
            return self._family_quantiles(X, codes, model, levels).astype(self._dtype)
        std, df = (values[:, None] for values in self._spread(X, codes, model))
        some = np.where(np.isfinite(df), df, 3.0)
        # The deviation of Student's t is more than its scale.
        student = stdtrit(some, levels) * np.sqrt(1 - 2 / some)
        units = np.where(np.isfinite(df), student, ndtri(levels))
        mean = self._predict(X, codes, model)[:, None]
        return (mean + std * units).astype(self._dtype)

    def _family_quantiles(
        self, X: NDArray, codes: IntArray, known: Posterior, levels: Floats
    ) -> Floats:
        model, parts = self._model, []
        assert isinstance(model, GeneralisedMixedModel)
        for start in range(0, len(X), BLOCK_ROWS):
            block = slice(start, start + BLOCK_ROWS)
            rows = self._units.rows(X[block])
            design = np.column_stack([rows, np.ones(len(rows))])
            eta = predictor_of(model, known, design, codes[block])
            mean, variance = eta.mean[:, 0].numpy(), eta.covariance[:, 0, 0].numpy()
            given = self._family_name, mean, variance, np.exp(model.log_dispersion)
            parts.append(family_quantiles(*given, levels))
        return np.concatenate(parts)

    @classmethod
    def _restore(cls, model: Any) -> TaskCoefficients | Posterior:
        return TaskCoefficients(**model) if "coef" in model else Posterior(**model)
