"""A scorer that adapts to held-out tasks before it judges."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from typing import Any

from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator

from sklmeta._compat import _MetadataRequester
from sklmeta.estimator.assumptions import warn_of_known_tasks
from sklmeta.evaluation.containers import inner_estimator
from sklmeta.evaluation.few_shot import few_shot_score
from sklmeta.evaluation.scorers import Scoring
from sklmeta.evaluation.shots import check_count, check_support
from sklmeta.exceptions import warn
from sklmeta.model_selection._routing import (
    ENABLE_ROUTING,
    Refusal,
    is_asked_by_validation,
)

NO_TASK = f"FewShotScorer did not receive `task`: {ENABLE_ROUTING}."


class FewShotScorer(_MetadataRequester):
    """Few-shot score on held-out tasks, for every place that takes ``scoring=``.

    For each task it draws a support, adapts a copy of the model to it and scores the
    predictions of the task's other rows; those of a class that no task of `fit` has
    count as missed, with a warning. Use it with metadata routing enabled, which is how
    the scorer receives the tasks.

    Parameters
    ----------
    scoring : str, callable or None, default=None
        None means accuracy, averaged over tasks, for a classifier; for a regressor
        1 - (sum of squared errors) / (sum of squares about each task's query mean),
        both summed over tasks. Otherwise the name of a scikit-learn scorer, a scorer
        ``f(estimator, X, y)`` or a metric ``f(y_true, y_pred)``, which is computed for
        each task and averaged over those for which it is defined. What it returns is
        maximised: give a loss through ``make_scorer(loss, greater_is_better=False)``.

    shots : int, default=5
        Support rows: per class when classes are a task's own, else in total. 0 scores
        the model as ``fit`` left it.

    n_draws : int, default=1
        Supports drawn per task, over which the score is averaged.

    random_state : int, RandomState instance or None, default=0
        Seed of the draws, which are the same at every call, so that candidates of a
        search are compared on the same supports. None means 0.

    support : "random", "stratified", "first" or splitter, default="random"
        How the support is chosen: at random; "stratified", the same but of shared
        classes a row of each that the task has first, for which its labels must be
        known; first in row order; or the training rows of a scikit-learn splitter.

    See Also
    --------
    few_shot_cross_validate : One score per fold, task, draw and number of shots.

    Examples
    --------
    >>> import numpy as np
    >>> import sklearn
    >>> from sklearn.linear_model import Ridge
    >>> from sklearn.model_selection import cross_validate
    >>> from sklmeta import PerTask
    >>> from sklmeta.model_selection import FewShotScorer, TaskKFold
    >>> rng = np.random.default_rng(0)
    >>> task = np.repeat(np.arange(10), 20)
    >>> X = rng.normal(size=(200, 1))
    >>> y = rng.normal(size=10)[task] * X[:, 0]
    >>> with sklearn.config_context(enable_metadata_routing=True):
    ...     scores = cross_validate(
    ...         PerTask(Ridge(alpha=0.01)),
    ...         X,
    ...         y,
    ...         params={"task": task},
    ...         cv=TaskKFold(5),
    ...         scoring=FewShotScorer(shots=5),
    ...     )
    >>> bool(scores["test_score"].min() > 0.99)
    True
    """

    # Without a method of this name scikit-learn ignores the request.
    __metadata_request__score = {"task": True}

    def __init__(
        self,
        scoring: Scoring = None,
        shots: int = 5,
        n_draws: int = 1,
        random_state: Any = 0,
        support: Any = "random",
    ):
        check_count("shots", shots, 0)
        check_count("n_draws", n_draws, 1)
        check_support(support)
        self.scoring = scoring
        self.shots = shots
        self.n_draws = n_draws
        self.random_state = random_state
        self.support = support

    def score(
        self,
        estimator: BaseEstimator,
        X: Any,
        y: ArrayLike,
        *,
        task: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> float:
        """Score a fitted model on held-out tasks.

        Parameters
        ----------
        estimator : estimator
            A fitted model that `sklmeta.adapted` takes; it is left alone.

        X : {array-like, data frame} of shape (n_samples, n_features)
            Rows.

        y : array-like of shape (n_samples,)
            Their targets.

        task : array-like of shape (n_samples,)
            Task of every row.

        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the query rows within their task. It is received after
            ``set_score_request(sample_weight=True)``.

        Returns
        -------
        float

        Raises
        ------
        TypeError
            If `task` is not given.
        """
        if task is None:
            raise TypeError(NO_TASK)
        inner = inner_estimator(estimator)
        if inner._is_baseline and len(inner.tasks_) == 1:  # others say so themselves
            warn(
                f"This {type(inner).__name__} was meta-trained on a single task. Did "
                "`fit` receive `task`? With metadata routing disabled, groups= reaches "
                "only the splitter."
            )
        score = few_shot_score(
            estimator,
            X,
            y,
            task,
            shots=self.shots,
            n_draws=self.n_draws,
            support=self.support,
            metric=self.scoring,
            random_state=self.random_state,
            sample_weight=sample_weight,
        )
        warn_of_known_tasks(inner, y, task)
        return score

    def __call__(
        self,
        estimator: BaseEstimator,
        X: Any,
        y: ArrayLike,
        **metadata: Any,
    ) -> float:
        """Score a fitted model on held-out tasks; see `score`."""
        if metadata.get("task") is None and is_asked_by_validation():
            return Refusal(NO_TASK)  # type: ignore[return-value]
        return self.score(estimator, X, y, **metadata)

    def __repr__(self) -> str:
        return (
            f"FewShotScorer(scoring={self.scoring!r}, shots={self.shots}, "
            f"n_draws={self.n_draws}, random_state={self.random_state!r}, "
            f"support={self.support!r})"
        )
