"""AutoMeta: for whoever does not want to choose."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import ClassifierTags, RegressorTags

from sklmeta.auto._blend import Blend, Blended
from sklmeta.auto._portfolio import Members, Size, classifiers, regressors
from sklmeta.data.codes import IntArray
from sklmeta.data.table import Table
from sklmeta.estimator.docs import complete


class AutoMetaRegressor(Blend):
    """Blend meta-learners and baselines, by what worked on held-out training tasks.

    Which learner is best depends on the tasks and on the number of labelled rows; this
    one fits several and learns when to believe which. With few rows the mixed model and
    the learners that start from it weigh more, with many a task's own model; where
    meta-learning does not help, the weights say so.

    Parameters
    ----------
    estimators : list of (str, estimator), default=None
        Members: meta-learners and baselines, anything that `sklmeta.adapted` takes.
        None is `MixedModelRegressor`, `BayesianLinearRegressor`,
        `TransformerNeuralProcessRegressor`, `EpisodicBoostingRegressor`, each task's
        own ridge regression, and gradient boosting on all tasks, once with the
        support's mean residual added and once on deviations from each task's mean; of
        these, members that would weigh less than a twentieth at any number of rows are
        left out.

    preparation : "auto", transformer or None, default="auto"
        What turns X into numbers, once for all members, and in each fold by what its
        training tasks show: prepared *before* the blend, the tasks held out to weigh
        the members are no longer unseen. "auto" is a
        `sklmeta.preparation.TablePreparation` where X is a data frame with text,
        categories, dates or gaps; other X, and members that are pipelines, are left
        alone. With a transformer, such as a pipeline of a vectoriser and a
        decomposition, X may be whatever this takes.

    cv : int, default=None
        Folds of training tasks for stacking. None is 3; and, for members that are
        fitted in a moment, 5 with fewer than 60 tasks and 10 with fewer than 30. In a
        fold meta-learners make as many passes through its tasks as through all.

    shots : sequence of int, default=(0, 1, 2, 5, 10, 20)
        Numbers of support rows at which the members are compared; between them the
        weights are interpolated. Per class when classes are a task's own, where 0 is
        passed over.

    n_draws : int, default=2
        Supports drawn per task and number of shots.

    support : {"random", "stratified", "first"}, default="random"
        How the support is chosen in stacking, and by the members of the default
        portfolio in their training; of shared classes a row of each that the task has
        comes first ("stratified" is the same here). Take "first" if the labelled rows
        of a new task will be its first in order.

    member_params : dict, default=None
        Parameters for those members that have them, such as ``{"max_iter": 500}`` for
        the meta-updates of all meta-learners.

    max_time : float, default=None
        Seconds that `fit` may take, about. Each member is tried first, and the dearest
        are left out, with a warning, where all would take longer.

    n_jobs : int, default=None
        Fits that run at a time. None starts with one, and takes all cores for what is
        left after twenty seconds, if that is twice as much, there is no GPU and
        no joblib context says otherwise. What is learned does not depend on it.

    random_state : int, RandomState instance or None, default=None
        Seed of members, folds and draws.

    verbose : int, default=None
        None shows a bar over the meta-updates of all fits, with the time left, where
        standard error is a terminal or a notebook's; 0 shows nothing; 1 writes a plain
        line now and then where there is no terminal.

    checkpoint_dir : str or path-like, default=None
        A folder for this fit alone. A `fit` that was killed and is called again with
        the same data and parameters goes on in the member and fold where it was, and
        ends as it would have.

    Attributes
    ----------
    estimators_ : dict of str to estimator
        The members, fitted to all tasks.

    weights_ : DataFrame of shape (n_tasks, n_members)
        What each member weighs, for every task adapted to; before `adapt`, with no
        rows of a task. Where members could not be compared and count alike,
        ``weights_.attrs["equal_because_of"]`` says why.

    preparation_ : transformer or None
        What X goes through, fitted to all tasks; None if through nothing.

    left_out_ : list of str
        Members that would weigh next to nothing, or that there was no time for.

    tasks_ : ndarray of shape (n_tasks,)
        Labels of the tasks that `fit` saw.

    n_features_in_ : int
        Number of features seen during `fit`.

    See Also
    --------
    sklmeta.comparing.compare : Shows the members side by side.

    Notes
    -----
    The weights are a softmax, linear in log(1 + rows) and in how much better than the
    average each member predicts rows of the support that it was not given: each row
    from its task's others, by a formula where there is one and else by fifths; with
    ``support="first"`` the later rows from the first half and from the first three
    quarters. A member that predicts these well is never believed the less for it.

    The coefficients are those that would have blended best the predictions for held-out
    training tasks: stacked generalisation [1]_, in which supports of all sizes count
    alike. Their squares are penalised by .02 over the number of tasks, however many
    draws there are of each, so that the weights are near equal where few tasks tell
    little. On a single table, and with fewer than four tasks, they are equal, and a
    warning says so.

    No member's prediction goes further beyond the training targets, and those of the
    task's support, than the support's targets span, or those of a typical training task
    if that is more.

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
        preparation: Any = "auto",
        cv: int | None = None,
        shots: Sequence[int] = (0, 1, 2, 5, 10, 20),
        n_draws: int = 2,
        support: str = "random",
        member_params: dict[str, Any] | None = None,
        max_time: float | None = None,
        n_jobs: int | None = None,
        random_state: Any = None,
        verbose: int | None = None,
        checkpoint_dir: str | PathLike[str] | None = None,
    ):
        self.estimators = estimators
        self.preparation = preparation
        self.cv = cv
        self.shots = shots
        self.n_draws = n_draws
        self.support = support
        self.member_params = member_params
        self.max_time = max_time
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.verbose = verbose
        self.checkpoint_dir = checkpoint_dir

    def _portfolio(self, seed: int | None, table: Table) -> Members:
        return regressors(self.support, seed)

    def _predict(self, X: Any, codes: IntArray, model: Blended) -> NDArray[Any]:
        return self._blend(X, codes, model, None)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.estimator_type = "regressor"
        tags.regressor_tags = RegressorTags()
        return tags


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
        with `predict_proba`. None is, with shared classes, `MixedModelClassifier`,
        `ProtoNetClassifier`, `MatchingNetClassifier`, `DeepKernelClassifier`,
        `EpisodicBoostingClassifier`, each task's own logistic regression, and gradient
        boosting on all tasks, as it is and shifted to the support's frequencies. With
        classes of a task's own it is `ProtoNetClassifier`, `RidgeHeadClassifier`,
        `LDABaseline` and `FineTuneClassifier`. Training is bounded by the table: 150
        passes through its rows at most, and smaller meta-updates where tasks have many
        classes of their own; `member_params` overrides that.

    shared_classes : bool, default=True
        Whether all tasks speak of the same classes, for the blend and all members.

    See `sklmeta.AutoMetaRegressor` for `preparation`, `cv`, `shots`, `n_draws`,
    `support`, `member_params`, `max_time`, `n_jobs`, `random_state`, `verbose` and
    `checkpoint_dir`.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Classes that `fit` saw; with classes of a task's own, those of the tasks adapted
        to.

    shared_classes_ : bool
        What was used.

    See `sklmeta.AutoMetaRegressor` for `estimators_`, `weights_`, `preparation_`,
    `left_out_`, `tasks_` and `n_features_in_`.

    See Also
    --------
    sklmeta.comparing.compare : Shows the members side by side.

    Notes
    -----
    Weights, and what `fit` and `adapt` cost, are those of `AutoMetaRegressor`: stacked
    generalisation [1]_.

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
        preparation: Any = "auto",
        shared_classes: bool = True,
        cv: int | None = None,
        shots: Sequence[int] = (0, 1, 2, 5, 10, 20),
        n_draws: int = 2,
        support: str = "random",
        member_params: dict[str, Any] | None = None,
        max_time: float | None = None,
        n_jobs: int | None = None,
        random_state: Any = None,
        verbose: int | None = None,
        checkpoint_dir: str | PathLike[str] | None = None,
    ):
        self.estimators = estimators
        self.preparation = preparation
        self.shared_classes = shared_classes
        self.cv = cv
        self.shots = shots
        self.n_draws = n_draws
        self.support = support
        self.member_params = member_params
        self.max_time = max_time
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.verbose = verbose
        self.checkpoint_dir = checkpoint_dir

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


complete(AutoMetaClassifier, AutoMetaRegressor)
