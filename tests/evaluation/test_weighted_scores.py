"""Weights of rows count within the tasks of a few-shot score, as scikit-learn's do."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

import numpy as np
import pytest
import sklearn
from sklearn.exceptions import UnsetMetadataPassedError
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import accuracy_score, log_loss, r2_score
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklmeta import PerTask, Pooled, ProtoNetClassifier
from sklmeta.evaluation.few_shot import few_shot_predictions, few_shot_score
from sklmeta.model_selection import FewShotScorer, TaskKFold

RNG = np.random.default_rng(0)
TASK = np.repeat(np.arange(8), 12)
X = RNG.normal(size=(96, 2))
Y = X[:, 0] + RNG.normal(size=8)[TASK] + 0.5 * RNG.normal(size=96)
LABELS = np.where(Y > 0, "yes", "no")
WEIGHTS = RNG.integers(0, 4, 96).astype(float)
WEIGHTS[TASK == 3] = 0  # such a task is left out


def loss(y, probabilities):
    return log_loss(y, probabilities, labels=["no", "yes"])


def by_hand(model, y, metric):
    """The metric of each task's query, rows as often as they weigh."""
    (draw,) = few_shot_predictions(model, X, y, TASK, shots=4)
    counts = WEIGHTS[draw.query].astype(int)
    codes, truth = np.repeat(draw.codes, counts), np.repeat(draw.y_true, counts)
    answers = draw.response("predict_proba" if metric is loss else "predict")
    pred = np.repeat(answers, counts, axis=0)
    groups = [codes == i for i in range(8) if i != 3]
    if metric is r2_score:
        sst = sum(np.var(truth[rows]) * rows.sum() for rows in groups)
        return 1 - np.sum((truth - pred) ** 2) / sst
    return np.mean([metric(truth[rows], pred[rows]) for rows in groups])


@pytest.mark.parametrize(
    ("model", "y", "metric"),
    [
        (PerTask(Ridge()), Y, r2_score),
        (Pooled(LogisticRegression()), LABELS, accuracy_score),
        (ProtoNetClassifier(max_iter=2, random_state=0), LABELS, accuracy_score),
    ],
)
def test_a_weight_is_as_many_query_rows(model, y, metric):
    model.fit(X, y, task=TASK)
    score = model.score(X, y, sample_weight=WEIGHTS, task=TASK, shots=4)
    assert score == pytest.approx(by_hand(model, y, metric))
    plain = model.score(X, y, task=TASK, shots=4)
    assert plain != pytest.approx(score)
    ones = np.ones(len(y))
    assert model.score(X, y, ones, task=TASK, shots=4) == pytest.approx(plain)


def test_named_metrics():
    model = PerTask(LogisticRegression()).fit(X, LABELS, task=TASK)
    options = {"shots": 4, "sample_weight": WEIGHTS}
    score = few_shot_score(model, X, LABELS, TASK, metric="accuracy", **options)
    assert score == pytest.approx(by_hand(model, LABELS, accuracy_score))
    score = few_shot_score(model, X, LABELS, TASK, metric="neg_log_loss", **options)
    assert score == pytest.approx(-by_hand(model, LABELS, loss))


def test_a_scorer_receives_them_on_request():
    pipe = make_pipeline(StandardScaler(), PerTask(LogisticRegression()))

    def scores(scorer, **params):
        options = {"cv": TaskKFold(4), "params": {"task": TASK, **params}}
        return cross_val_score(
            pipe, X, LABELS, error_score="raise", scoring=scorer, **options
        )

    with sklearn.config_context(enable_metadata_routing=True):
        pipe[0].set_fit_request(sample_weight=False)
        plain = scores(FewShotScorer(shots=4))
        with pytest.raises((TypeError, UnsetMetadataPassedError), match="weight"):
            scores(FewShotScorer(shots=4), sample_weight=WEIGHTS + 1)
        scorer = FewShotScorer(shots=4).set_score_request(sample_weight=True)
        assert np.abs(scores(scorer, sample_weight=WEIGHTS + 1) - plain).min() > 0


@pytest.mark.parametrize(
    ("weights", "match"),
    [(-WEIGHTS, "[Nn]egative"), (WEIGHTS[:5], "shape|size"), (0 * WEIGHTS, "zero")],
)
def test_weights_that_cannot_be(weights, match):
    model = PerTask(Ridge()).fit(X, Y, task=TASK)
    with pytest.raises(ValueError, match=match):
        model.score(X, Y, weights, task=TASK)


def test_tasks_in_the_place_of_weights_are_refused():
    model = PerTask(Ridge()).fit(X, Y, task=TASK)
    for labels in (TASK, TASK.astype(float), np.char.add("t", TASK.astype(str))):
        with pytest.raises(ValueError, match="task=task"):
            model.score(X, Y, labels)
    plain = model.score(X, Y)
    for weights in (np.ones(96), np.ones(96, dtype=int), [1] * 96, np.full(96, 3.0)):
        assert model.score(X, Y, weights) == pytest.approx(plain)
    for weights in (TASK % 2, TASK + 0.5, np.arange(96), RNG.permutation(96)):
        assert np.isfinite(model.score(X, Y, weights))
    one_table = PerTask(Ridge()).fit(X, Y)
    assert np.isfinite(one_table.score(X, Y, TASK))
