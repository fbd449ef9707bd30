"""The linear mixed model: what statisticians use for many small groups."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import numbers
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.base import RegressorMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.validation import check_is_fitted

from sklmeta._compat import Interval, StrOptions
from sklmeta.closed_form._mixed_summary import random_columns, summary_table
from sklmeta.data.codes import IntArray
from sklmeta.data.scaling import Scaling, check_precision
from sklmeta.data.validation import Table
from sklmeta.estimator.base import AdaptableEstimator
from sklmeta.estimator.declared import DeclaredParameters
from sklmeta.exceptions import warn
from sklmeta.learners.torch_state import as_if_alone
from sklmeta.mixed_models.covariance import COVARIANCES
from sklmeta.mixed_models.linear import LinearMixedModel, fit_linear
from sklmeta.mixed_models.moments import moments_of
from sklmeta.mixed_models.own_noise import fit_own_noise
from sklmeta.mixed_models.posterior import posterior
from sklmeta.mixed_models.units import Units

Floats = NDArray[np.float64]

BLOCK_ROWS = 2**14


class TaskCoefficients(NamedTuple):
    """Coefficients of some tasks, and the rows that they were predicted from."""

    coef: Floats  # shape: (n_tasks, n_columns); in the units of the fit
    X: NDArray  # shape: (n_samples, n_features)
    y: NDArray  # shape: (n_samples,)
    codes: IntArray  # shape: (n_samples,)


class MixedModelRegressor(RegressorMixin, DeclaredParameters, AdaptableEstimator):
    """Linear mixed model: a regression whose coefficients differ between tasks.

    ``y = x @ beta + z @ b + noise`` with fixed effects beta, shared by all tasks, and
    random effects ``b ~ N(0, D)``, a task's own. `fit` estimates beta, D and the noise
    by REML or maximum likelihood; `adapt` predicts b for a new task from its few rows:
    the best linear unbiased prediction (BLUP) of a new group, in one call. Nothing is
    trained by gradient steps over episodes, so that `fit` takes milliseconds to
    seconds, and the result does not depend on a seed.

    Parameters
    ----------
    random_slopes : {"all", "none"} or list, default="all"
        Which features have coefficients that vary between tasks, besides the
        intercept, which always does: all, none (a random intercept), or a list of
        column names or indices.

    covariance : {"auto", "full", "shrunk", "diagonal", "low_rank"}, default="auto"
        Of the random effects, at the mean of the features. "full" leaves it free, as
        lme4 and statsmodels do. "shrunk" is free too, but pulls correlations towards
        zero by an LKJ prior with parameter ``1 + n_random``, which few tasks with many
        columns need. "low_rank" is diagonal plus `rank` factors. "auto" is "full" for
        at most three random coefficients with five tasks for each, "shrunk" up to 64,
        and else "diagonal".

    rank : int, default=1
        Number of factors of ``covariance="low_rank"``.

    reml : bool, default=True
        Restricted maximum likelihood, which does not take the fixed effects for known;
        False is maximum likelihood. With ``noise="per_task"`` it is always the latter.

    noise : {"shared", "per_task"}, default="shared"
        Whether the variance of the noise is one for all tasks, or a task's own with an
        inverse-gamma prior learned across tasks. Then a task's random effects scale
        with its noise, and predictions are Student-t.

    max_iter : int, default=500
        Steps of L-BFGS.

    tol : float, default=1e-10
        Relative change of the deviance at which `fit` is done.

    Attributes
    ----------
    coef_ : ndarray of shape (n_features,)
        Fixed effects, in the units of X and y.

    intercept_ : float
        The fixed intercept.

    coef_std_errors_ : ndarray of shape (n_features,)
        Standard errors of `coef_`.

    intercept_std_error_ : float

    random_slopes_ : list
        Names, or indices, of the features with random slopes.

    random_effects_covariance_ : ndarray of shape (1 + n_slopes, 1 + n_slopes)
        D in the units of X and y: of the intercept, then of `random_slopes_`.

    random_effects_ : DataFrame of shape (n_tasks, 1 + n_slopes)
        Predicted random effects of every training task.

    noise_variance_ : float
        Variance of a target about its task's line; with ``noise="per_task"`` the scale
        of the tasks' variances.

    noise_df_ : float
        Degrees of freedom of the tasks' own variances; infinite where one is for all.

    log_likelihood_ : float
        Of the training rows, restricted where `reml` is; without the prior of "shrunk".

    n_iter_ : int
        Steps taken.

    converged_ : bool
        Whether they were enough; if not, there was a `ConvergenceWarning`.

    tasks_ : ndarray of shape (n_tasks,)
        Labels of the tasks that `fit` saw.

    n_features_in_ : int
        Number of features seen during `fit`.

    See Also
    --------
    BayesianLinearRegressor : The same on learned features, started from here.
    MixedModelClassifier : For classes.

    Notes
    -----
    Fixed effects and noise are profiled out, as in lme4 [1]_, and what remains is
    sought with an exact gradient, from sums of products per task: an iteration costs
    the same for ten rows of a task as for ten thousand. The likelihood is that of
    lme4's ``lmer`` and statsmodels' ``MixedLM``, and so are the estimates. Crossed and
    nested effects are missing.

    Predictive standard deviations count the noise, the task's random effects, and the
    uncertainty of the fixed effects. A single table has no tasks that could differ: it
    is fitted by least squares. Tables with more than 128 columns, or with fewer than
    five rows for each, are reduced to principal components first.

    References
    ----------
    .. [1] D. Bates, M. Maechler, B. Bolker and S. Walker, "Fitting Linear Mixed-Effects
       Models Using lme4", Journal of Statistical Software, 2015.

    .. [2] N. M. Laird and J. H. Ware, "Random-Effects Models for Longitudinal Data",
       Biometrics, 1982.

    Examples
    --------
    >>> from sklmeta import MixedModelRegressor
    >>> from sklmeta.datasets import make_linear_tasks
    >>> X, y, task = make_linear_tasks(40, random_state=0)
    >>> old = task < 39
    >>> est = MixedModelRegressor().fit(X[old], y[old], task=task[old])
    >>> est = est.adapt(X[~old][:5], y[~old][:5])
    >>> y_mean, y_std = est.predict(X[~old][5:], return_std=True)
    >>> y_mean.shape, y_std.shape
    ((15,), (15,))
    """

    __metadata_request__predict = {"task": True, "return_std": True}

    random_slopes: str | Sequence[Any] = "all"
    covariance: str = "auto"
    rank: int = 1
    reml: bool = True
    noise: str = "shared"
    max_iter: int = 500
    tol: float = 1e-10

    _parameter_constraints = {
        "random_slopes": [StrOptions({"all", "none"}), "array-like"],
        "covariance": [StrOptions(set(COVARIANCES))],
        "rank": [Interval(numbers.Integral, 1, None, closed="left")],
        "reml": ["boolean"],
        "noise": [StrOptions({"shared", "per_task"})],
        "max_iter": [Interval(numbers.Integral, 1, None, closed="left")],
        "tol": [Interval(numbers.Real, 0, None, closed="neither")],
    }

    score = AdaptableEstimator.score

    # Fitting ------------------------------------------------------------------

    def _learn(self, table: Table) -> TaskCoefficients:
        X, y = table.X, table.y.astype(np.float64, copy=False)
        check_precision(y, X.dtype)
        slopes = random_columns(self, X.shape[1])
        all_or_none = len(slopes) in (0, X.shape[1])
        units = Units.of(X, y, reduce=all_or_none)
        constant = units.n_columns - 1
        if all_or_none and len(slopes):
            columns = np.arange(units.n_columns)
        else:
            columns = np.append(slopes, constant)
        moments = moments_of(units, X, y, table.codes, table.n_tasks)
        names = ("covariance", "rank", "max_iter", "tol")
        how: dict[str, Any] = {name: getattr(self, name) for name in names}
        model = fit_linear(moments, columns, reml=self.reml, **how)
        if self.noise == "per_task":
            model = fit_own_noise(moments, model, **how)
        self._units, self._model, self._slopes = units, model, slopes
        self._dtype = "float32" if X.dtype == np.float32 else "float64"
        self._n_rows = len(y)
        self._random_effects = posterior(model, moments).coef.numpy() - model.coef
        self.n_iter_, self.converged_ = model.n_iter, model.converged
        if not model.converged:
            warn(
                f"MixedModelRegressor stopped after {model.n_iter} steps without "
                "converging. Raise max_iter, or let fewer slopes vary.",
                ConvergenceWarning,
            )
        return TaskCoefficients(model.coef[None], X[:0], y[:0], table.codes[:0])

    def _specialise(self, table: Table) -> TaskCoefficients:
        X, y = table.X, table.y.astype(np.float64, copy=False)
        moments = moments_of(self._units, X, y, table.codes, table.n_tasks)
        coef = posterior(self._model, moments).coef.numpy()
        return TaskCoefficients(coef, X, y, table.codes)

    def _leave_one_out(self, table: Table, model: TaskCoefficients) -> NDArray[Any]:
        X, y, codes = model.X, model.y, model.codes
        known = posterior(
            self._model, moments_of(self._units, X, y, codes, table.n_tasks)
        )
        design = np.column_stack([self._units.rows(X), np.ones(len(X))])
        leverage = known.leverage(torch.from_numpy(design), torch.from_numpy(codes))
        return y - (y - self._predict(X, codes, model)) / (1 - leverage.numpy())

    # Prediction ---------------------------------------------------------------

    def _predict(
        self, X: NDArray, codes: IntArray, model: TaskCoefficients
    ) -> NDArray[Any]:
        mean = np.empty(len(X))
        for start in range(0, len(X), BLOCK_ROWS):
            block = slice(start, start + BLOCK_ROWS)
            coef = model.coef[codes[block]]
            rows = self._units.rows(X[block])
            mean[block] = np.einsum("ij,ij->i", rows, coef[:, :-1]) + coef[:, -1]
        return self._units.y.undo(mean).astype(self._dtype)

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
        mean = self._predict(X, codes, model)
        return (mean, self._std(X, codes, model)) if return_std else mean

    def _std(self, X: NDArray, codes: IntArray, model: TaskCoefficients) -> NDArray:
        """Standard deviation of every row's target, task by task as far as asked."""
        asked, which = np.unique(codes, return_inverse=True)
        kept = np.isin(model.codes, asked)
        support = np.searchsorted(asked, model.codes[kept])
        moments = moments_of(
            self._units, model.X[kept], model.y[kept], support, len(asked)
        )
        known, std = posterior(self._model, moments), np.empty(len(X))
        for start in range(0, len(X), BLOCK_ROWS):
            block = slice(start, start + BLOCK_ROWS)
            rows = self._units.rows(X[block])
            design = torch.from_numpy(np.column_stack([rows, np.ones(len(rows))]))
            own = torch.from_numpy(which[block])
            std[block] = known.variance(self._model, design, own).sqrt().numpy()
        return (std * float(self._units.y.unit)).astype(self._dtype)

    # What its users read ------------------------------------------------------

    def _in_user_units(self) -> tuple[Floats, Floats, Floats]:
        """Fixed effects, their covariance, and that of the random effects."""
        check_is_fitted(self)
        linear, shift = self._units.to_user()
        model = self._model
        random = linear[:, model.random]
        return (
            linear @ model.coef + shift,
            linear @ model.coef_covariance @ linear.T,
            random @ model.covariance @ random.T,
        )

    @property
    def coef_(self) -> Floats:
        """Fixed effects, in the units of X and y."""
        return self._in_user_units()[0][:-1]

    @property
    def intercept_(self) -> float:
        """The fixed intercept."""
        return float(self._in_user_units()[0][-1])

    @property
    def coef_std_errors_(self) -> Floats:
        """Standard errors of `coef_`."""
        return np.sqrt(np.diag(self._in_user_units()[1]))[:-1]

    @property
    def intercept_std_error_(self) -> float:
        """Standard error of `intercept_`."""
        return float(np.sqrt(self._in_user_units()[1][-1, -1]))

    @property
    def random_slopes_(self) -> list[Any]:
        """Names, or indices, of the features with random slopes."""
        check_is_fitted(self)
        names = getattr(self, "feature_names_in_", None)
        return [int(j) if names is None else names[j] for j in self._slopes]

    @property
    def random_effects_covariance_(self) -> Floats:
        """Covariance of the random intercept and slopes, in the units of X and y."""
        order = np.r_[-1, self._slopes].astype(np.intp)
        return self._in_user_units()[2][np.ix_(order, order)]

    @property
    def random_effects_(self) -> pd.DataFrame:
        """Predicted random effects of the training tasks."""
        check_is_fitted(self)
        linear, _ = self._units.to_user()
        order = np.r_[-1, self._slopes].astype(np.intp)
        return pd.DataFrame(
            (self._random_effects @ linear.T)[:, order],
            index=pd.Index(self.tasks_, name="task"),
            columns=["intercept", *self.random_slopes_],
        )

    @property
    def noise_variance_(self) -> float:
        """Variance of a target about its task's line, in squared units of y."""
        check_is_fitted(self)
        return float(self._model.noise_variance * self._units.y.unit**2)

    @property
    def noise_df_(self) -> float:
        """Degrees of freedom of the tasks' own variances."""
        check_is_fitted(self)
        return self._model.noise_df

    @property
    def log_likelihood_(self) -> float:
        """Log-likelihood of the training rows, restricted where `reml` is."""
        check_is_fitted(self)
        restricted = self.reml and self.noise == "shared"
        return self._units.log_likelihood(
            self._model.log_likelihood, self._n_rows, restricted=restricted
        )

    def summary(self) -> pd.DataFrame:
        """Fixed effects, variance components and noise, as a table.

        Returns
        -------
        DataFrame
            With one row per quantity: fixed effects with standard error, z and 95 %
            interval; standard deviations and correlations of the random effects; the
            standard deviation of the noise.
        """
        return summary_table(self)

    @classmethod
    def _restore(cls, model: Any) -> TaskCoefficients:
        return TaskCoefficients(**model)

    def __setstate__(self, state: dict[str, Any]) -> None:
        state = dict(state)
        if isinstance(state.get("_units"), dict):
            units = state["_units"]
            state["_units"] = Units(
                Scaling(**units["x"]), Scaling(**units["y"]), units["basis"]
            )
            state["_model"] = LinearMixedModel(**state["_model"])
        super().__setstate__(state)
