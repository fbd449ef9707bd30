"""The linear mixed model: what statisticians use for many small groups."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from sklearn.base import RegressorMixin
from sklearn.utils.validation import check_is_fitted

from sklmeta._compat import StrOptions
from sklmeta.closed_form._mixed_base import MixedModel, OneOutput
from sklmeta.closed_form._mixed_prediction import MixedPrediction, TaskCoefficients
from sklmeta.closed_form._mixed_summary import summary_table
from sklmeta.data.scaling import check_precision
from sklmeta.data.table import Table
from sklmeta.estimator.base import AdaptableEstimator
from sklmeta.mixed_models.families import FAMILIES
from sklmeta.mixed_models.generalised import GeneralisedMixedModel
from sklmeta.mixed_models.laplace_posterior import Posterior
from sklmeta.mixed_models.linear import fit_linear
from sklmeta.mixed_models.moments import Moments, moments_of
from sklmeta.mixed_models.own_noise import fit_own_noise
from sklmeta.mixed_models.posterior import coefficients, posterior

Floats = NDArray[np.float64]


class MixedModelRegressor(RegressorMixin, OneOutput, MixedPrediction, MixedModel):
    """Linear mixed model: a regression whose coefficients differ between tasks.

    ``y = x @ beta + z @ b + noise`` with fixed effects beta, shared by all tasks, and
    random effects ``b ~ N(0, D)``, a task's own. `fit` estimates beta, D and the noise
    by REML or maximum likelihood; `adapt` predicts b for a new task from its few rows:
    the best linear unbiased prediction (BLUP) of a new group, in one call. Nothing is
    trained by gradient steps over episodes, so that `fit` takes milliseconds to
    seconds, and the result does not depend on a seed.

    Parameters
    ----------
    family : {"gaussian", "poisson", "negative_binomial", "gamma"}, default="gaussian"
        Distribution of a target about its task's line. The others have the logarithm
        of the mean on the line: counts, counts that spread more, positive amounts.
        They are fitted by the Laplace approximation, without `reml` and `noise`.

    reml : bool, default=True
        Restricted maximum likelihood, which does not take the fixed effects for known;
        False is maximum likelihood. With ``noise="per_task"`` it is always the latter.

    noise : {"shared", "per_task"}, default="shared"
        Whether the variance of the noise is one for all tasks, or a task's own with an
        inverse-gamma prior learned across tasks. Then a task's random effects scale
        with its noise, and predictions are Student-t.

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

    max_iter : int, default=1000
        Steps of L-BFGS.

    tol : float, default=1e-12
        Relative change of the deviance at which `fit` is done.

    Attributes
    ----------
    coef_ : ndarray of shape (n_features,)
        Fixed effects, in the units of X and y; of the logarithm of y's mean in other
        families than "gaussian", here and below.

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
        of the tasks' variances. For "gaussian".

    noise_df_ : float
        Degrees of freedom of the tasks' own variances; infinite where one is for all.
        For "gaussian".

    dispersion_ : float
        k of "negative_binomial", whose variance is ``mean + mean^2 / k``, or a of
        "gamma", whose variance is ``mean^2 / a``.

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
    nested effects are missing. The other families are those of ``glmer``; their fixed
    effects, and the root of D, have a weak normal prior of standard deviation 5 for
    standardised features (slopes: learned, with fewer than ten rows for each), and
    `predict` returns the mean of y, averaged over what is not known of a task.

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

    family: str = "gaussian"
    reml: bool = True
    noise: str = "shared"
    # Of many rows the deviance is large, and flat about its optimum: with 1e-10 the
    # variances of `hsb82` are wrong in their third digit.
    tol: float = 1e-12

    _parameter_constraints = {
        "family": [StrOptions({"gaussian", *FAMILIES})],
        "reml": ["boolean"],
        "noise": [StrOptions({"shared", "per_task"})],
    }

    score = AdaptableEstimator.score

    # Fitting ------------------------------------------------------------------

    def _learn(self, table: Table) -> TaskCoefficients | Posterior:
        X, y = table.X, table.y.astype(np.float64, copy=False)
        self._family_name = self.family
        family = self._family
        if family is not None:
            if self.noise != "shared":
                raise ValueError(
                    f"noise={self.noise!r} is for family='gaussian': how much the "
                    f"targets of family={self.family!r} spread follows from their mean."
                )
            family.check(y)
            return self._learn_family(table, family)
        check_precision(y, X.dtype)
        random = self._measure(table, scale_y=True)
        moments = self._moments(table)
        model = fit_linear(moments, random, reml=self.reml, **self._how)
        if self.noise == "per_task":
            model = fit_own_noise(moments, model, **self._how)
        self._keep(model)
        self._n_rows = float(moments.n_rows.sum())
        self._random_effects = coefficients(model, moments) - model.coef
        return TaskCoefficients(model.coef[None], X[:0], y[:0], table.codes[:0])

    def _moments(self, table: Table) -> Moments:
        rows = table.X, table.y.astype(np.float64, copy=False), table.codes
        return moments_of(self._units, *rows, table.n_tasks, table.weight)

    def _specialise(self, table: Table) -> TaskCoefficients | Posterior:
        X, y, family = table.X, table.y.astype(np.float64, copy=False), self._family
        if family is not None:
            family.check(y)
            return self._condition(table, family)
        coef = coefficients(self._linear, self._moments(table))
        return TaskCoefficients(coef, X, y, table.codes, table.weight)

    def _leave_one_out(
        self, table: Table, model: TaskCoefficients | Posterior
    ) -> NDArray[Any] | None:
        family = self._family
        if isinstance(model, Posterior) and family is not None:
            return self._without_own_row(table, model, family)[:, 0]
        assert isinstance(model, TaskCoefficients)
        X, y, codes = model.X, model.y, model.codes
        known = posterior(self._linear, self._moments(table))
        design = np.column_stack([self._units.rows(X), np.ones(len(X))])
        leverage = known.leverage(torch.from_numpy(design), torch.from_numpy(codes))
        return y - (y - self._predict(X, codes, model)) / (1 - leverage.numpy())

    # What its users read ------------------------------------------------------

    @property
    def random_effects_(self) -> pd.DataFrame:
        """Predicted random effects of the training tasks."""
        check_is_fitted(self)
        linear = self._units.to_user()[0][self._order]
        return pd.DataFrame(
            self._random_effects.reshape(len(self.tasks_), -1) @ linear.T,
            index=pd.Index(self.tasks_, name="task"),
            columns=["intercept", *self.random_slopes_],
        )

    @property
    def noise_variance_(self) -> float:
        """Variance of a target about its task's line, in squared units of y."""
        self._check_has("noise_variance_", self._family_name == "gaussian")
        return float(self._linear.noise_variance * self._units.y.unit**2)

    @property
    def noise_df_(self) -> float:
        """Degrees of freedom of the tasks' own variances."""
        self._check_has("noise_df_", self._family_name == "gaussian")
        return self._linear.noise_df

    @property
    def dispersion_(self) -> float:
        """Size of the negative binomial distribution, or shape of the gamma one."""
        family = self._family
        self._check_has("dispersion_", family is not None and family.has_dispersion)
        assert isinstance(self._model, GeneralisedMixedModel)
        return float(np.exp(self._model.log_dispersion))

    def _check_has(self, name: str, there: bool) -> None:
        check_is_fitted(self)
        if not there:
            raise AttributeError(f"family={self._family_name!r} has no {name}.")

    @property
    def log_likelihood_(self) -> float:
        """Log-likelihood of the training rows, restricted where `reml` is."""
        check_is_fitted(self)
        if isinstance(self._model, GeneralisedMixedModel):
            return self._model.log_likelihood
        restricted = self.reml and self.noise == "shared"
        return self._units.log_likelihood(
            self._model.log_likelihood, self._n_rows, restricted=restricted
        )

    def summary(self) -> pd.DataFrame:
        """Fixed effects, variance components and noise, as a table.

        Returns
        -------
        DataFrame
            One row per quantity: fixed effects with standard error, z, 95 % interval;
            deviations and correlations of the random effects; noise, or dispersion.
        """
        return summary_table(self)
