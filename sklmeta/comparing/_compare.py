"""Is meta-learning worth it? Several estimators on one collection, task by task."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from os import PathLike
from typing import Any

import numpy as np
import pandas as pd
import sklearn
from numpy.typing import ArrayLike, NDArray

from sklmeta.comparing._candidates import collect_candidates
from sklmeta.comparing._comparison import Comparison
from sklmeta.comparing._judging import Means, gathered, judged
from sklmeta.comparing._metrics import Metric, metrics_of
from sklmeta.comparing._rows import in_time, support_of, tables_of
from sklmeta.data.validation import check_tasks, unpack_collection
from sklmeta.evaluation.containers import inner_estimator
from sklmeta.evaluation.scorers import Scoring
from sklmeta.evaluation.shots import (
    SHOTS,
    check_count,
    named_support,
    read_shots,
)
from sklmeta.exceptions import warn
from sklmeta.model_selection import TaskKFold
from sklmeta.model_selection.validation import make_folds

FEW_UPDATES = 100


def compare(
    estimators: Mapping[str, Any] | Sequence[Any],
    X: Any,
    y: ArrayLike | None = None,
    task: ArrayLike | None = None,
    *,
    shots: int | Sequence[int] = SHOTS,
    cv: Any = None,
    n_draws: int = 3,
    scoring: Scoring | Sequence[Scoring] = None,
    support: Any = None,
    time: Any = None,
    preparation: Any = "auto",
    random_state: int | None = 0,
    n_jobs: int | None = None,
    verbose: int | None = None,
    max_time: float | None = None,
    checkpoint_dir: str | PathLike[str] | None = None,
    callback: Callable[[Comparison], object] | None = None,
) -> Comparison:
    """Compare estimators on tasks they have not seen, at several numbers of shots.

    Each fold of tasks is held out once. Every estimator is fitted to the other tasks,
    then adapted to each held-out task with the same few rows as all others, and judged
    on the task's remaining rows; those of a class that no training task has count as
    missed, with a warning.

    Parameters
    ----------
    estimators : dict of str to estimator, or sequence of estimators or of pairs
        Under names of your own, ``{name: estimator}`` or ``(name, estimator)`` pairs,
        or under those of their classes. Meta-learners, baselines (`PerTask`, `Pooled`,
        fine-tuning), pipelines and searches around them; of classifiers or of
        regressors. A plain scikit-learn estimator is compared twice: as
        ``PerTask(estimator)``, which learns from a task's own rows alone, and as
        ``Pooled(estimator)``, which learns from all other tasks. They are cloned, never
        fitted.

    X : {array-like, data frame} of shape (n_samples, n_features) or TaskCollection
        Rows of all tasks, or a collection in place of `X`, `y` and `task`.

    y : array-like of shape (n_samples,), default=None
        Targets.

    task : array-like of shape (n_samples,), default=None
        Task of every row.

    shots : int or sequence of int, default=(0, 1, 2, 5, 10, 20, 50)
        Support rows: per class when classes are a task's own, else in total. A task is
        judged at the numbers that leave it a row to predict; numbers at which fewer
        than two tasks can be judged are dropped, with a warning if `shots` was given.

    cv : int, splitter, iterable of (train, test) or None, default=None
        How the tasks are split; it receives the tasks as groups. None is
        ``TaskKFold(5)`` (fewer folds if there are fewer tasks), an int
        ``TaskKFold(cv)``.

    n_draws : int, default=3
        Supports drawn per task, over which its score is averaged.

    scoring : str, callable, list of these or None, default=None
        None means accuracy for classifiers and the root mean squared error, in units of
        y, for regressors. Otherwise the name of a scikit-learn scorer, a scorer
        ``f(estimator, X, y)`` or a metric ``f(y_true, y_pred)`` of which more is
        better, computed for each task; or "rmse", "mae" or "log_loss", of which
        less is better. Of several the first is compared, and ``by_metric`` of what is
        returned has a `Comparison` for each.

    support : "random", "stratified", "first", splitter or None, default=None
        How the support is chosen: at random; "stratified", the same but of shared
        classes a row of each that the task has first, for which its labels must be
        known; first in row order, or in that of `time`; or the training rows of a
        splitter. None is "first" with `time`, else "random". It never shares a row with
        what is predicted, and what is returned says which was used.

    time : str or array-like of shape (n_samples,), default=None
        The time of every row, or the column of X that has it: numbers, dates, or dates
        as ISO 8601 writes them. A task's first rows are its earliest then, also in
        training.

    preparation : "auto", transformer or None, default="auto"
        What turns X into numbers: once in each fold, by what its training tasks show,
        for all estimators. "auto" is a `sklmeta.preparation.TablePreparation` where X
        is a data frame with text, categories, dates or gaps, for those estimators that
        do not prepare it themselves (as pipelines do that begin with a
        `ColumnTransformer`). Scorers see the rows prepared.

    random_state : int or None, default=0
        Seed of the draws, which are the same for all estimators; None means 0.

    n_jobs : int, default=None
        Fits run at a time, over estimators and folds. None starts with one, and takes
        all cores for what is left after twenty seconds, if that is more than twice as
        much, there is no GPU and no joblib context says otherwise. The scores do not
        depend on it.

    verbose : int, default=None
        None shows a bar over the meta-updates of all fits, with the time left, where
        standard error is a terminal or a notebook's; 0 shows nothing; 1 writes a plain
        line now and then where there is no terminal.

    max_time : float, default=None
        Seconds for all fits, about: each that can be told a time (`max_time`) has as
        much as those after it of what is left, and is used as far as it comes.

    checkpoint_dir : str or path-like, default=None
        A folder for this comparison. What is done when it is killed is not done again
        when it is called with the same data, folds and protocol; estimators may join.

    callback : callable, default=None
        Called with the `Comparison` so far whenever one more estimator has been judged
        on all folds, in the order given.

    Returns
    -------
    Comparison

        At Ctrl-C, with a warning, that of the estimators that are judged by then.

    Raises
    ------
    ValueError
        If no task can be judged, if estimators differ in kind, or if `cv` puts a task
        on both sides.

    See Also
    --------
    few_shot_cross_validate : One estimator, with several metrics.

    Examples
    --------
    >>> from sklearn.linear_model import Ridge
    >>> from sklmeta import BayesianLinearRegressor
    >>> from sklmeta.datasets import make_linear_tasks
    >>> from sklmeta.comparing import compare
    >>> X, y, task = make_linear_tasks(30, n_rows=20, random_state=0)
    >>> model = BayesianLinearRegressor(
    ...     hidden_layer_sizes=(), max_iter=100, random_state=0
    ... )
    >>> result = compare([model, Ridge()], X, y, task, shots=[1, 5], n_draws=1)
    >>> result.names
    ['BayesianLinearRegressor', 'Ridge, per task', 'Ridge, pooled']
    >>> result.best(5)
    'BayesianLinearRegressor'
    """
    X, y, task, _ = unpack_collection(X, y, task)
    if y is None or task is None:
        raise ValueError("compare needs y and the task of every row.")
    check_count("n_draws", n_draws, 1)
    support = support_of(support, time)
    candidates = collect_candidates(estimators)
    X, targets, codes, labels = check_tasks(
        X, y, task, classes=not candidates.is_regressor
    )
    sizes = np.bincount(codes)
    all_shots = _possible_shots(shots, sizes)
    if cv is None:
        cv = TaskKFold(min(5, len(labels)))
    first = next(iter(candidates.estimators.values()))
    folds = in_time(make_folds(first, cv, X, targets, codes, labels), time, X)
    metrics = metrics_of(scoring, candidates.is_regressor)
    asked = {f"score_{i}": m.scoring for i, m in enumerate(metrics)}
    result_of = partial(
        _result,
        metrics=metrics,
        sizes=dict(zip(labels.tolist(), sizes.tolist(), strict=True)),
        baselines=candidates.baselines,
        support=named_support(support) + " in time" * (time is not None),
        caveats=_caveats(candidates.estimators, n_draws, support),
    )
    protocol = {
        "n_draws": n_draws,
        "support": support,
        "random_state": 0 if random_state is None else random_state,
        "tell": False,  # that is done for all folds at once
    }
    tell = callback or (lambda comparison: None)
    table = (X, targets, labels[codes], None)
    means = Means(n_jobs, verbose, max_time, checkpoint_dir)
    how = all_shots, asked, protocol
    tables = tables_of(candidates.estimators, table, folds, preparation)
    with sklearn.config_context(enable_metadata_routing=True):
        parts = judged(candidates.estimators, tables, table, folds, how, means)
        found = gathered(parts, len(folds), lambda so_far: tell(result_of(so_far)))
    return result_of(found)


def _result(
    parts: list[pd.DataFrame],
    metrics: list[Metric],
    sizes: dict[Any, int],
    **about: Any,
) -> Comparison:
    """Put together the scores; of several metrics the first, which has the others."""
    frame = pd.concat(parts, ignore_index=True)
    made = {}
    for i, metric in enumerate(metrics):
        scores: Any = metric.sign * frame[f"score_{i}"]
        if metric.scoring is None and "sse" in frame:
            scores = np.sqrt(frame.sse / frame.n_query)
        made[metric.name] = Comparison(
            _full_supports(frame.assign(score=scores), sizes),
            metric=metric.name,
            greater_is_better=metric.sign > 0,
            **about,
        )
    first = next(iter(made.values()))
    first.by_metric = made
    return first


def _caveats(models: dict[str, Any], n_draws: int, support: Any) -> list[str]:
    """Say what was too little to believe the result."""
    said = []
    if n_draws == 1 and support in ("random", "stratified"):
        said.append("Each task had one draw of its labelled rows: take more (n_draws).")
    few: dict[int, list[str]] = {}
    for name, model in models.items():
        params = inner_estimator(model).get_params(deep=False)
        if "meta_batch_size" in params and params["max_iter"] < FEW_UPDATES:
            few.setdefault(params["max_iter"], []).append(name)
    for updates, names in few.items():
        said.append(
            f"{' and '.join(names)} had at most {updates} meta-updates (max_iter), "
            "too few to say what training would bring."
        )
    return said


def _possible_shots(shots: Any, sizes: NDArray[np.intp]) -> list[int]:
    asked = sorted(set(read_shots(shots)))
    second = int(np.sort(sizes)[-2]) if len(sizes) > 1 else 0
    possible = [value for value in asked if value < second]
    if not possible:
        raise ValueError(
            f"No two tasks have a row left to predict with shots={asked}: the second "
            f"largest of {len(sizes)} task(s) has {second} row(s). Ask for fewer shots "
            "or give more rows or tasks."
        )
    # What a user asks for and cannot have is warned of.
    if len(possible) < len(asked) and shots is not SHOTS:
        warn(
            f"shots={asked[len(possible) :]} are dropped: fewer than two tasks have "
            "more rows than that."
        )
    return possible


def _full_supports(frame: pd.DataFrame, sizes: dict[Any, int]) -> pd.DataFrame:
    """Drop the tasks whose rows would not suffice for the shots asked for."""
    rows = frame.task.map(sizes).to_numpy()
    columns = ["estimator", "fold", "task", "draw", "shots", "n_support", "n_query"]
    columns += ["score", "fit_time", "adapt_time"]
    return frame.loc[rows > frame.shots.to_numpy(), columns].reset_index(drop=True)
