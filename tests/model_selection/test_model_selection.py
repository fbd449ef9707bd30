"""The few-shot scorer and cross-validation by task."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import pickle

import joblib
import numpy as np
import pandas as pd
import pytest
from named_tasks import CODE, LABELS, NAMES, OWN, SIZES, TASK, X, Y
from sklearn.base import clone
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.metrics import make_scorer, mean_absolute_error, r2_score
from sklearn.model_selection import GridSearchCV, KFold, ShuffleSplit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklmeta.baselines import PerTask, Pooled
from sklmeta.data.collection import TaskCollection
from sklmeta.data.kinds import TaskKind
from sklmeta.episodes.sampler import split_support_query
from sklmeta.evaluation.containers import adapted
from sklmeta.evaluation.few_shot import few_shot_predictions, few_shot_score
from sklmeta.exceptions import NotAdaptedError
from sklmeta.model_selection import (
    FewShotScorer,
    TaskKFold,
    few_shot_cross_validate,
)


def per_task():
    return PerTask(Ridge(alpha=0.1)).fit(X, Y, task=TASK)


def own_classes():
    model = PerTask(LogisticRegression(), shared_classes=False)
    return model.fit(X, OWN, task=TASK)


# Draws ----------------------------------------------------------------------------


def test_few_shot_predictions_against_a_loop_over_tasks():
    model = per_task()
    draws = list(few_shot_predictions(model, X, Y, TASK, shots=5, n_draws=3))
    assert [draw.draw for draw in draws] == [0, 1, 2]
    for draw in draws:
        assert not set(draw.support) & set(draw.query)
        np.testing.assert_array_equal(draw.n_support, 5)
        for i, name in enumerate(draw.labels):
            support = draw.support[TASK[draw.support] == name]
            query = draw.query[draw.codes == i]
            assert (TASK[query] == name).all()
            one = adapted(model, X[support], Y[support])
            np.testing.assert_allclose(
                draw.y_pred[draw.codes == i], one.predict(X[query])
            )
    assert len({tuple(draw.support) for draw in draws}) == 3


def test_draws_are_the_same_at_every_call():
    def supports(seed, n_draws=2):
        options = {"shots": 4, "n_draws": n_draws, "random_state": seed}
        return [
            draw.support.tolist()
            for draw in few_shot_predictions(per_task(), X, Y, TASK, **options)
        ]

    assert supports(0) == supports(0) == supports(None) == supports(0, 3)[:2]
    assert supports(1) != supports(0)
    state = np.random.RandomState(3)
    assert supports(state) == supports(state) == supports(3)


def test_zero_shots_uses_the_state_after_fit():
    model = Pooled(Ridge()).fit(X, Y, task=TASK)
    before = model.predict(X)
    (draw,) = few_shot_predictions(
        model.adapt(X[:5], Y[:5] + 9), X, Y, TASK, shots=0, n_draws=4
    )
    np.testing.assert_array_equal(draw.y_pred, before)
    assert len(draw.support) == 0
    with pytest.raises(NotAdaptedError):
        few_shot_score(own_classes(), X, OWN, TASK, shots=0)


def test_support_first_and_by_splitter():
    (draw,) = few_shot_predictions(
        per_task(), X, Y, TASK, shots=3, support="first", n_draws=5
    )
    for name in NAMES:
        first = np.flatnonzero(TASK == name)[:3]
        np.testing.assert_array_equal(draw.support[TASK[draw.support] == name], first)
    by_splitter = ShuffleSplit(1, train_size=4, random_state=0)
    (draw,) = few_shot_predictions(per_task(), X, Y, TASK, shots=3, support=by_splitter)
    np.testing.assert_array_equal(draw.n_support, 4)


def test_tasks_without_query_rows_are_skipped():
    task = np.append(TASK, ["lonely"])
    X_all, Y_all = np.vstack([X, X[:1]]), np.append(Y, 0.0)
    (draw,) = few_shot_predictions(per_task(), X_all, Y_all, task, shots=5)
    lonely = draw.labels.tolist().index("lonely")
    assert draw.n_query[lonely] == draw.n_support[lonely] == 0
    assert np.isfinite(few_shot_score(per_task(), X_all, Y_all, task, shots=5))
    with pytest.raises(ValueError, match="No task has a row left to predict"):
        few_shot_score(per_task(), X[:3], Y[:3], [1, 2, 3], shots=5)


def test_large_supports_leave_one_row():
    (draw,) = few_shot_predictions(per_task(), X, Y, TASK, shots=1000)
    np.testing.assert_array_equal(draw.n_query, 1)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"shots": -1}, "shots must be an int of at least 0"),
        ({"shots": 2.5}, "shots must be an int"),
        ({"shots": True}, "shots must be an int"),
        ({"shots": 2, "n_draws": 0}, "n_draws must be an int of at least 1"),
    ],
)
def test_bad_counts(options, match):
    with pytest.raises(ValueError, match=match):
        few_shot_score(per_task(), X, Y, TASK, **options)
    with pytest.raises(ValueError, match=match):
        FewShotScorer(**options)


# Scores ---------------------------------------------------------------------------


def split(y, kind, shots=5):
    seed = int(np.random.RandomState(0).randint(2**31 - 1, size=1)[0])
    return split_support_query(y, CODE, shots, kind=kind, random_state=seed)


def test_regression_score_is_pooled_over_tasks():
    model = per_task()
    support, query = split(Y, TaskKind.REGRESSION)
    error = spread = 0.0
    for name in NAMES:
        s, q = support[TASK[support] == name], query[TASK[query] == name]
        error += ((adapted(model, X[s], Y[s]).predict(X[q]) - Y[q]) ** 2).sum()
        spread += ((Y[q] - Y[q].mean()) ** 2).sum()
    score = few_shot_score(model, X, Y, TASK, shots=5)
    assert score == pytest.approx(1 - error / spread, rel=1e-12)
    assert FewShotScorer()(model, X, Y, task=TASK) == score


def test_accuracy_is_averaged_over_tasks():
    model = PerTask(LogisticRegression()).fit(X, LABELS, task=TASK)
    support, query = split(LABELS, TaskKind.SHARED)
    hits = []
    for name in NAMES:
        s, q = support[TASK[support] == name], query[TASK[query] == name]
        hits.append((adapted(model, X[s], LABELS[s]).predict(X[q]) == LABELS[q]).mean())
    score = few_shot_score(model, X, LABELS, TASK, shots=5)
    assert score == pytest.approx(np.mean(hits))
    assert few_shot_score(
        model, X, LABELS, TASK, shots=5, metric="accuracy"
    ) == pytest.approx(score)


def test_score_averages_over_draws():
    model = PerTask(LogisticRegression()).fit(X, LABELS, task=TASK)
    options = {"shots": 5, "n_draws": 4}
    each = [
        np.mean(np.bincount(d.codes, d.y_pred == d.y_true) / d.n_query)
        for d in few_shot_predictions(model, X, LABELS, TASK, **options)
    ]
    assert len(set(each)) > 1
    score = few_shot_score(model, X, LABELS, TASK, **options)
    assert score == pytest.approx(np.mean(each))


def test_names_scorers_and_metrics_agree():
    def scorer(estimator, X, y):
        return -mean_absolute_error(y, estimator.predict(X))

    def metric(y_true, y_pred):
        return -mean_absolute_error(y_true, y_pred)

    made = make_scorer(mean_absolute_error, greater_is_better=False)
    scores = {
        FewShotScorer(scoring)(per_task(), X, Y, task=TASK)
        for scoring in ("neg_mean_absolute_error", made, scorer, metric)
    }
    assert len(scores) == 1
    assert FewShotScorer(r2_score)(per_task(), X, Y, task=TASK) > 0.5
    with pytest.raises(TypeError, match="scoring must be"):
        FewShotScorer(3)(per_task(), X, Y, task=TASK)


def test_probability_metrics_know_the_classes_a_query_lacks():
    labels = np.where(X[:, 0] > 1.4, "rare", LABELS)
    model = PerTask(LogisticRegression()).fit(X, labels, task=TASK)
    assert min(len(set(labels[TASK == name])) for name in NAMES) == 2
    scorer = FewShotScorer("neg_log_loss", shots=8)
    assert np.isfinite(scorer(model, X, labels, task=TASK))
    medians = pd.Series(X[:, 0]).groupby(TASK).transform("median")
    y = np.where(X[:, 0] > medians, "high", "low")
    model = PerTask(LogisticRegression()).fit(X, y, task=TASK)
    assert (
        0.9
        < FewShotScorer("roc_auc", shots=4, support="stratified")(
            model, X, y, task=TASK
        )
        <= 1
    )


def test_classes_of_their_own():
    model = own_classes()
    accuracy = FewShotScorer(shots=2)(model, X, OWN, task=TASK)
    assert accuracy > 0.5
    log_loss = FewShotScorer("neg_log_loss", shots=2)(model, X, OWN, task=TASK)
    assert -np.log(3) < log_loss < 0
    (draw,) = few_shot_predictions(model, X, OWN, TASK, shots=2)
    for label, size in zip(*np.unique(OWN, return_counts=True), strict=True):
        assert (draw.support_y == label).sum() == min(2, max(size - 1, 1))


def test_undefined_metrics_are_left_out_of_the_average():
    labels = np.where(TASK == "rome", "ill", LABELS)
    model = PerTask(LogisticRegression()).fit(X, labels, task=TASK)
    with pytest.warns(UndefinedMetricWarning, match="1 of 6 tasks"):
        score = FewShotScorer("roc_auc", shots=6)(model, X, labels, task=TASK)
    assert np.isfinite(score)
    with pytest.warns(UndefinedMetricWarning, match="no task's query targets vary"):
        assert np.isnan(FewShotScorer(shots=1000)(per_task(), X, Y, task=TASK))


def test_scorer_warns_of_a_model_trained_on_one_task():
    model = PerTask(Ridge()).fit(X, Y)
    with pytest.warns(UserWarning, match="meta-trained on a single task"):
        FewShotScorer()(model, X, Y, task=TASK)
    pipe = make_pipeline(StandardScaler(), PerTask(Ridge())).fit(X, Y)
    with pytest.warns(UserWarning, match="PerTask was meta-trained on a single task"):
        FewShotScorer()(pipe, X, Y, task=TASK)


def test_scorer_leaves_the_model_alone_and_pickles():
    model = per_task().adapt(X[:4], Y[:4])
    before = model.predict(X)
    scorer = pickle.loads(pickle.dumps(FewShotScorer(shots=3)))
    assert scorer(model, X, Y, task=TASK) == FewShotScorer(shots=3).score(
        model, X, Y, task=TASK
    )
    np.testing.assert_array_equal(model.predict(X), before)
    assert repr(scorer).startswith("FewShotScorer(scoring=None, shots=3")


# few_shot_cross_validate ----------------------------------------------------------


def test_table_has_a_row_per_fold_task_draw_and_shot():
    table = few_shot_cross_validate(
        per_task(), X, Y, TASK, shots=(0, 1, 5), cv=3, n_draws=2
    )
    assert table.columns.tolist() == [
        *("fold", "task", "draw", "shots", "n_support", "n_query"),
        *("score", "sse", "sst", "adapt_time", "fit_time"),
    ]
    assert len(table) == 6 * (1 + 2 + 2)
    assert not table.duplicated(["fold", "task", "draw", "shots"]).any()
    assert (table.n_support == table.shots).all()
    sizes = pd.Series(dict(zip(NAMES, SIZES, strict=True)))
    assert (table.n_support + table.n_query == table.task.map(sizes)).all()
    folds = TaskKFold(3).split(X, Y, TASK)
    for i, (_, test) in enumerate(folds):
        assert set(table.task[table.fold == i]) == set(TASK[test])


def test_table_agrees_with_the_scorer():
    table = few_shot_cross_validate(per_task(), X, Y, TASK, shots=5, cv=3, n_draws=2)
    sums = table.groupby("fold")[["sse", "sst"]].sum()
    for i, (train, test) in enumerate(TaskKFold(3).split(X, Y, TASK)):
        model = clone(per_task()).fit(X[train], Y[train], task=TASK[train])
        score = FewShotScorer(n_draws=2)(model, X[test], Y[test], task=TASK[test])
        assert score == pytest.approx(1 - sums.sse[i] / sums.sst[i])
    np.testing.assert_allclose(table.score, 1 - table.sse / table.sst)


def test_table_of_a_classifier_with_several_metrics():
    model = PerTask(LogisticRegression())
    table = few_shot_cross_validate(model, X, LABELS, TASK, shots=[5], cv=3)
    assert "sse" not in table
    several = few_shot_cross_validate(
        model, X, LABELS, TASK, shots=[5], cv=3, scoring=["accuracy", "neg_log_loss"]
    )
    np.testing.assert_allclose(several.accuracy, table.score)
    named = few_shot_cross_validate(
        model, X, LABELS, TASK, shots=[5], cv=3, scoring={"acc": None}
    )
    np.testing.assert_allclose(named.acc, table.score)


def test_pipelines_searches_frames_and_jobs():
    search = GridSearchCV(
        make_pipeline(StandardScaler(), PerTask(Ridge())),
        {"pertask__estimator__alpha": [0.1, 100.0]},
        cv=TaskKFold(3),
        scoring=FewShotScorer(),
    )
    options = {"shots": [0, 5], "cv": 3}
    table = few_shot_cross_validate(search, X, Y, TASK, **options)
    frame, task = pd.DataFrame(X, columns=["a", "b"]), pd.Series(TASK, dtype="category")
    with joblib.parallel_config(backend="threading"):
        again = few_shot_cross_validate(
            search, frame, pd.Series(Y), task, n_jobs=2, **options
        )
    times = ["adapt_time", "fit_time"]
    pd.testing.assert_frame_equal(table.drop(columns=times), again.drop(columns=times))
    assert table[table.shots == 5].score.mean() > 0.6


def test_collection_in_place_of_arrays():
    tasks = TaskCollection(X, Y, TASK)
    table = few_shot_cross_validate(per_task(), tasks, shots=5, cv=TaskKFold(3))
    flat = few_shot_cross_validate(per_task(), X, Y, TASK, shots=5, cv=TaskKFold(3))
    np.testing.assert_array_equal(table.score, flat.score)


def test_zero_shots_are_passed_over_with_own_classes():
    model = PerTask(LogisticRegression(), shared_classes=False)
    table = few_shot_cross_validate(model, X, OWN, TASK, shots=(0, 1), cv=3)
    assert set(table.shots) == {1}
    with pytest.raises(NotAdaptedError):
        few_shot_cross_validate(model, X, OWN, TASK, shots=0, cv=3)


def test_what_cross_validation_refuses():
    with pytest.raises(ValueError, match=r"both in the training.*TaskKFold"):
        few_shot_cross_validate(per_task(), X, Y, TASK, cv=KFold(3).split(X))
    with pytest.raises(TypeError, match=r"found LinearRegression.*PerTask"):
        few_shot_cross_validate(LinearRegression(), X, Y, TASK)
    with pytest.raises(ValueError, match="needs y and the task"):
        few_shot_cross_validate(per_task(), X, Y)
    with pytest.raises(ValueError, match="shots must be an int of at least 0"):
        few_shot_cross_validate(per_task(), X, Y, TASK, shots=[1, -2])
