"""The logistic mixed model: for classes, what the linear one is for numbers."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import ClassifierMixin
from sklearn.utils.validation import check_is_fitted

from sklmeta.closed_form._mixed_base import MixedModel
from sklmeta.closed_form._mixed_summary import class_summary_table
from sklmeta.data.codes import IntArray
from sklmeta.data.table import Table
from sklmeta.estimator.base import AdaptableEstimator
from sklmeta.mixed_models.covariance import Floats
from sklmeta.mixed_models.families import Bernoulli, Family, Multinomial
from sklmeta.mixed_models.laplace_posterior import Posterior


class MixedModelClassifier(ClassifierMixin, MixedModel):
    """Logistic mixed model: a logistic regression whose coefficients differ by task.

    The logit of two classes is ``x @ beta + z @ b`` with fixed effects beta, shared by
    all tasks, and random effects ``b ~ N(0, D)``, a task's own; several classes have
    logits of their own that add up to zero. `fit` estimates beta and D by the Laplace
    approximation, as lme4's ``glmer`` does; `adapt` predicts b for a new task from its
    few rows, by a few Newton steps that cannot diverge. All tasks speak of the same
    classes.

    Parameters
    ----------
    random_slopes : {"all", "none"} or list, default="all"
        Which features have coefficients that vary between tasks, besides the
        intercept, which always does: all, none (a random intercept), or a list of
        column names or indices.

    covariance : {"auto", "full", "shrunk", "diagonal", "low_rank"}, default="auto"
        Of the random effects, as in `MixedModelRegressor`.

    rank : int, default=1
        Number of factors of ``covariance="low_rank"``.

    max_iter : int, default=1000
        Steps of L-BFGS.

    tol : float, default=1e-9
        Relative change of the deviance at which `fit` is done.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Classes that `fit` saw.

    coef_ : ndarray of shape (1, n_features) or (n_classes, n_features)
        Fixed effects, in the units of X: of the logit of ``classes_[1]``, or of every
        class's logit, which add up to zero.

    intercept_ : ndarray of shape (1,) or (n_classes,)
        The fixed intercepts.

    coef_std_errors_ : ndarray of the shape of `coef_`
        Standard errors of `coef_`.

    intercept_std_errors_ : ndarray of the shape of `intercept_`

    random_slopes_ : list
        Names, or indices, of the features with random slopes.

    random_effects_covariance_ : ndarray of shape (1 + n_slopes, 1 + n_slopes)
        D in the units of X: of the intercept, then of `random_slopes_`. With several
        classes, that of every contrast of unit length between their logits.

    random_effects_ : DataFrame of shape (n_tasks, 1 + n_slopes)
        Predicted random effects of every training task; with several classes, a row
        for each of them.

    log_likelihood_ : float
        Laplace's, of the training rows.

    n_iter_ : int
        Steps taken.

    converged_ : bool
        Whether they were enough; if not, there was a `ConvergenceWarning`.

    tasks_ : ndarray of shape (n_tasks,)
        Labels of the tasks that `fit` saw.

    shared_classes_ : bool
        True.

    n_features_in_ : int
        Number of features seen during `fit`.

    See Also
    --------
    MixedModelRegressor : For numbers, counts and amounts.
    ProtoNetClassifier : For classes of a task's own.

    Notes
    -----
    Every class is treated alike: random effects vary as much in the direction of any
    contrast between classes. Fixed effects, and the root of D, have a weak normal prior
    of standard deviation 5 for standardised features, by which classes that can be
    separated, or that a task lacks, keep finite coefficients. With fewer than ten rows
    for each coefficient the slopes' deviation is learned. A single table does not
    say how tables differ: all its coefficients have that prior then, and it is a weakly
    regularised logistic regression.

    Probabilities are averages over what is not known of a task, by MacKay's scaling of
    the logit [2]_, for several classes over 64 quasi-random draws of the logits: the
    fewer rows, the less sure.

    The Laplace approximation takes variances for somewhat smaller than they are where
    tasks have a handful of rows of two classes.

    References
    ----------
    .. [1] N. E. Breslow and D. G. Clayton, "Approximate Inference in Generalized Linear
       Mixed Models", Journal of the American Statistical Association, 1993.

    .. [2] D. J. C. MacKay, "The Evidence Framework Applied to Classification Networks",
       Neural Computation, 1992.

    Examples
    --------
    >>> from sklmeta import MixedModelClassifier
    >>> from sklmeta.datasets import make_classification_tasks
    >>> how = {"n_way": 2, "n_features": 4, "shared_labels": True, "random_state": 0}
    >>> X, y, task = make_classification_tasks(40, **how)
    >>> old = task < 39
    >>> est = MixedModelClassifier().fit(X[old], y[old], task=task[old])
    >>> est = est.adapt(X[~old][:10], y[~old][:10])
    >>> est.predict_proba(X[~old][10:]).shape
    (40, 2)
    """

    tol: float = 1e-9

    score = AdaptableEstimator.score

    _own_classes_remedy = (
        "use an estimator that takes them, such as ProtoNetClassifier, or "
        "NearestCentroidBaseline, with shared_classes=False."
    )

    # Fitting and prediction ---------------------------------------------------

    def _learn(self, table: Table) -> Posterior:
        return self._learn_family(table, self._family)

    def _specialise(self, table: Table) -> Posterior:
        return self._condition(table, self._family)

    @property
    def _family(self) -> Family:
        n_classes = len(self.classes_)
        return Bernoulli() if n_classes == 2 else Multinomial(n_classes)

    def _predict(self, X: NDArray, codes: IntArray, model: Posterior) -> NDArray[Any]:
        return self.classes_[self._probabilities(X, codes, model).argmax(axis=1)]

    def _probabilities(
        self, X: NDArray, codes: IntArray, model: Posterior
    ) -> NDArray[Any]:
        return self._predictive(X, codes, model, self._family)

    def _leave_one_out(self, table: Table, model: Posterior) -> NDArray[Any]:
        return self._without_own_row(table, model, self._family)

    # What its users read ------------------------------------------------------

    def _per_class(self, values: Floats) -> Floats:
        """Turn contrasts, the last axis, into the logits of every class."""
        family = self._family
        if isinstance(family, Multinomial):
            return values @ family.basis.numpy().T
        return values

    def _fixed_effects(self) -> tuple[Floats, Floats]:
        """Fixed effects (n_features + 1, n_logits) and their standard errors."""
        coef = self._coef()
        linear, _ = self._units.to_user()
        n_columns, m = coef.shape
        covariance = self._model.coef_covariance.reshape(n_columns, m, n_columns, m)
        variance = np.einsum("ij,jakb,ik->iab", linear, covariance, linear)
        variance = self._per_class(np.swapaxes(self._per_class(variance), 1, 2))
        errors = np.sqrt(np.maximum(np.einsum("iaa->ia", variance), 0.0))
        return self._per_class(linear @ coef), errors

    @property
    def coef_(self) -> Floats:
        """Fixed effects, in the units of X."""
        return self._fixed_effects()[0][:-1].T

    @property
    def intercept_(self) -> Floats:
        """The fixed intercepts."""
        return self._fixed_effects()[0][-1]

    @property
    def coef_std_errors_(self) -> Floats:
        """Standard errors of `coef_`."""
        return self._fixed_effects()[1][:-1].T

    @property
    def intercept_std_errors_(self) -> Floats:
        """Standard errors of `intercept_`."""
        return self._fixed_effects()[1][-1]

    @property
    def random_effects_(self) -> pd.DataFrame:
        """Predicted random effects of the training tasks."""
        check_is_fitted(self)
        linear = self._units.to_user()[0][self._order]
        effects = self._per_class(linear @ self._random_effects)
        index = pd.Index(self.tasks_, name="task")
        if effects.shape[2] > 1:
            index = pd.MultiIndex.from_product(
                [self.tasks_, self.classes_], names=["task", "class"]
            )
        return pd.DataFrame(
            effects.transpose(0, 2, 1).reshape(-1, effects.shape[1]),
            index=index,
            columns=["intercept", *self.random_slopes_],
        )

    @property
    def log_likelihood_(self) -> float:
        """Laplace's log-likelihood of the training rows."""
        check_is_fitted(self)
        return self._model.log_likelihood

    def summary(self) -> pd.DataFrame:
        """Fixed effects and variance components, as a table.

        Returns
        -------
        DataFrame
            With one row per quantity: fixed effects (of every class, where there are
            several) with standard error, z and 95 % interval; standard deviations and
            correlations of the random effects.
        """
        return class_summary_table(self)

    @classmethod
    def _restore(cls, model: Any) -> Posterior:
        return Posterior(**model)
