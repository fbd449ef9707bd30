"""AutoMeta: for whoever does not want to choose."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import ClassifierTags, RegressorTags

from sklmeta.auto._blend import Blend, Blended
from sklmeta.auto._portfolio import Members, Size, classifiers, regressors
from sklmeta.data.codes import IntArray
from sklmeta.data.validation import Table
from sklmeta.estimator.docs import document


@document
class AutoMetaRegressor(Blend):
    """Blend meta-learners and baselines, by what worked on held-out training tasks.

    Which learner is best depends on the tasks and on the number of labelled rows; this
    one fits several and learns when to believe which. With few rows the meta-learners
    and the pooled model weigh more, with many a task's own model; where meta-learning
    does not help, the weights say so.

    Parameters
    ----------
    estimators : list of (str, estimator), default=None
        Members: meta-learners and baselines, anything that `sklmeta.adapted` takes.
        None is `BayesianLinearRegressor` with an encoder and without one (a linear
        mixed model), `DeepKernelRegressor`, each task's own ridge regression, and
        gradient boosting on all tasks with the support's mean residual added.

    %(preparation)s

    %(stacking)s

    Attributes
    ----------
    %(stacked)s

    See Also
    --------
    sklmeta.model_selection.compare : Shows the members side by side.

    Notes
    -----
    %(stacking_notes)s

    References
    ----------
    .. [1] M. J. van der Laan, E. C. Polley and A. E. Hubbard, "Super Learner",
       Statistical Applications in Genetics and Molecular Biology, 2007.

    Examples
    --------
    >>> from sklearn.linear_model import Ridge
    >>> from sklmeta import AutoMetaRegressor, BayesianLinearRegressor, PerTask
    >>> from sklmeta.datasets import make_linear_tasks
    >>> X, y, task = make_linear_tasks(40, n_rows=30, random_state=0)
    >>> mixed = BayesianLinearRegressor(
    ...     hidden_layer_sizes=(), max_iter=100, random_state=0
    ... )
    >>> members = [("mixed", mixed), ("own", PerTask(Ridge(alpha=10.0)))]
    >>> est = AutoMetaRegressor(estimators=members, shots=[0, 5], random_state=0)
    >>> est = est.fit(X[task > 0], y[task > 0], task=task[task > 0])
    >>> est = est.adapt(X[task == 0][:5], y[task == 0][:5])
    >>> bool(est.weights_["mixed"].item() > 0.8)
    True
    """

    def __init__(
        self,
        *,
        estimators: Members | None = None,
        preparation: Any = None,
        cv: int = 3,
        shots: Sequence[int] = (0, 1, 2, 5, 10, 20),
        n_draws: int = 2,
        support: str = "random",
        member_params: dict[str, Any] | None = None,
        n_jobs: int | None = None,
        random_state: Any = None,
        verbose: int = 0,
    ):
        self.estimators = estimators
        self.preparation = preparation
        self.cv = cv
        self.shots = shots
        self.n_draws = n_draws
        self.support = support
        self.member_params = member_params
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.verbose = verbose

    def _portfolio(self, seed: int | None, table: Table) -> Members:
        return regressors(self.support, seed)

    def _predict(self, X: Any, codes: IntArray, model: Blended) -> NDArray[Any]:
        return self._blend(X, codes, model, None)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.estimator_type = "regressor"
        tags.regressor_tags = RegressorTags()
        return tags


@document
class AutoMetaClassifier(Blend):
    """Blend meta-learners and baselines, by what worked on held-out training tasks.

    Which learner is best depends on the tasks and on the number of labelled rows; this
    one fits several and learns when to believe which. Probabilities are averaged with
    weights that depend on the number of rows and on how well each member predicts the
    support's own rows.

    Parameters
    ----------
    estimators : list of (str, estimator), default=None
        Members: meta-learners and baselines, anything that `sklmeta.adapted` takes,
        with `predict_proba`. None is `ProtoNetClassifier`, `MatchingNetClassifier`,
        each task's own logistic regression, with classes of a task's own
        `FineTuneClassifier`, and with shared ones `DeepKernelClassifier`, logistic
        regression and gradient boosting on all tasks, as they are and shifted to the
        support's frequencies. Their training is bounded by the table: 150 passes
        through its rows at most, and smaller meta-updates where tasks have many
        classes of their own; `member_params` overrides that.

    %(preparation)s

    shared_classes : bool, default=True
        Whether all tasks speak of the same classes, for the blend and all members.

    %(stacking)s

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Classes that `fit` saw; with classes of a task's own, those of the tasks adapted
        to.

    shared_classes_ : bool
        What was used.

    %(stacked)s

    See Also
    --------
    sklmeta.model_selection.compare : Shows the members side by side.

    Notes
    -----
    %(stacking_notes)s

    References
    ----------
    .. [1] M. J. van der Laan, E. C. Polley and A. E. Hubbard, "Super Learner",
       Statistical Applications in Genetics and Molecular Biology, 2007.

    Examples
    --------
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklmeta import AutoMetaClassifier, PerTask, ProtoNetClassifier
    >>> from sklmeta.datasets import make_classification_tasks
    >>> X, y, task = make_classification_tasks(
    ...     30, n_way=2, shared_labels=True, random_state=0
    ... )
    >>> members = [
    ...     ("prototypical", ProtoNetClassifier(max_iter=30, random_state=0)),
    ...     ("own", PerTask(LogisticRegression())),
    ... ]
    >>> est = AutoMetaClassifier(
    ...     estimators=members, shots=[0, 6], n_draws=1, random_state=0
    ... )
    >>> est = est.fit(X[task > 0], y[task > 0], task=task[task > 0])
    >>> est.adapt(X[task == 0][:6], y[task == 0][:6]).weights_.shape
    (1, 2)
    """

    def __init__(
        self,
        *,
        estimators: Members | None = None,
        preparation: Any = None,
        shared_classes: bool = True,
        cv: int = 3,
        shots: Sequence[int] = (0, 1, 2, 5, 10, 20),
        n_draws: int = 2,
        support: str = "random",
        member_params: dict[str, Any] | None = None,
        n_jobs: int | None = None,
        random_state: Any = None,
        verbose: int = 0,
    ):
        self.estimators = estimators
        self.preparation = preparation
        self.shared_classes = shared_classes
        self.cv = cv
        self.shots = shots
        self.n_draws = n_draws
        self.support = support
        self.member_params = member_params
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.verbose = verbose

    def _portfolio(self, seed: int | None, table: Table) -> Members:
        pairs = np.unique(np.column_stack([table.codes, table.targets]), axis=0)
        n_ways = np.bincount(pairs[:, 0])
        size = Size(len(table.y), len(n_ways), float(np.median(n_ways)))
        return classifiers(self.support, seed, self.shared_classes, size)

    def _predict(self, X: Any, codes: IntArray, model: Blended) -> NDArray[Any]:
        values = self._probabilities(X, codes, model)
        return self.classes_[values.argmax(axis=1)]

    def _probabilities(self, X: Any, codes: IntArray, model: Blended) -> NDArray[Any]:
        return self._blend(X, codes, model, self.classes_)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.estimator_type = "classifier"
        tags.classifier_tags = ClassifierTags()
        return tags
