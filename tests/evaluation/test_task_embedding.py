"""Task embeddings: planted groups of tasks, and one unlike all others."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

import numpy as np
import pandas as pd
import pytest
import sklearn
from instances import BASELINE_REGRESSORS, META, META_CLASSIFIERS
from sklearn.base import clone, is_classifier
from sklearn.cluster import AgglomerativeClustering
from sklearn.metrics import adjusted_rand_score, pairwise_distances
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import sklmeta
from sklmeta import (
    BayesianLinearRegressor,
    MAMLRegressor,
    ProtoNetClassifier,
    SiameseClassifier,
    TransformerNeuralProcessClassifier,
    TransformerNeuralProcessRegressor,
    adapted,
    task_distance,
    task_embedding,
)

N_TASKS, N_ROWS = 40, 15
CORNERS = 1.5 * np.array([[1, 1], [1, -1], [-1, -1], [-1, 1]])
SMALL = {"d_model": 16, "n_layers": 2, "n_heads": 2, "random_state": 0}


def planted(seed=0):
    """Draw a group for every task, and the rows' tasks."""
    rng = np.random.default_rng(seed)
    group = rng.permutation(np.arange(N_TASKS) % 4)
    return rng, group, np.repeat(np.arange(N_TASKS), N_ROWS)


@pytest.fixture(scope="module")
def linear_groups():
    """Linear tasks whose slopes lie around one of four points."""
    rng, group, task = planted()
    slopes = CORNERS[group] + 0.2 * rng.normal(size=(N_TASKS, 2))
    X = rng.normal(size=(len(task), 2))
    y = (X * slopes[task]).sum(1) + 0.3 * rng.normal(size=len(task))
    return X, y, task, group


@pytest.fixture(scope="module")
def class_groups():
    """Three classes, at other corners in each group."""
    rng, group, task = planted()
    centres = np.stack([np.roll(CORNERS, i, axis=0)[:3] for i in range(4)])
    y = rng.integers(3, size=len(task))
    X = 1.5 * centres[group[task], y] + rng.normal(size=(len(task), 2))
    return X, np.array(["a", "b", "c"])[y], task, group


def rand_index(distance, group):
    clusterer = AgglomerativeClustering(4, metric="precomputed", linkage="average")
    return adjusted_rand_score(group, clusterer.fit_predict(distance))


@pytest.mark.parametrize(
    "estimator",
    [
        BayesianLinearRegressor(max_iter=50, random_state=0),
        MAMLRegressor(max_iter=50, random_state=0),
        TransformerNeuralProcessRegressor(max_iter=200, **SMALL),
    ],
    ids=lambda e: type(e).__name__,
)
def test_groups_of_linear_tasks_are_recovered(estimator, linear_groups):
    X, y, task, group = linear_groups
    distance = task_distance(clone(estimator).fit(X, y, task=task), X, y, task)
    assert rand_index(distance, group) >= 0.9


@pytest.mark.parametrize(
    "estimator",
    [
        ProtoNetClassifier(max_iter=50, random_state=0),
        SiameseClassifier(max_iter=50, random_state=0),
        TransformerNeuralProcessClassifier(max_iter=150, **SMALL),
    ],
    ids=lambda e: type(e).__name__,
)
def test_groups_of_classification_tasks_are_recovered(estimator, class_groups):
    X, y, task, group = class_groups
    model = clone(estimator).fit(X, y, task=task)
    assert rand_index(task_distance(model, X, y, task), group) >= 0.9


@pytest.mark.parametrize("loss", ["contrastive", "cross_entropy"])
def test_groups_are_recovered_by_pairs_of_tasks(loss, linear_groups):
    X, y, task, group = linear_groups
    rows = np.column_stack([X, y])  # what sets the tasks apart is how y follows X
    model = SiameseClassifier(
        pairs="task", loss=loss, n_shots=4, n_query=6, max_iter=200, random_state=0
    )
    model.fit(rows, None, task=task)
    assert rand_index(task_distance(model, rows, None, task), group) >= 0.9


def test_the_task_unlike_all_others_is_found(linear_groups):
    X, y, task, _ = linear_groups
    y = np.where(task == 17, 5 * X[:, 0], y)
    names = np.array([f"table {t}" for t in range(N_TASKS)])[task]
    model = BayesianLinearRegressor(max_iter=50, random_state=0)
    distance = task_distance(model.fit(X, y, task=names), X, y, names)
    nearest = distance.mask(np.eye(N_TASKS, dtype=bool)).min()
    assert nearest.idxmax() == "table 17"
    assert distance.median().idxmax() == "table 17"


@pytest.mark.parametrize("name", [*META, *BASELINE_REGRESSORS])
def test_every_learner_has_an_embedding(name, shared_tasks, regression_tasks):
    estimator = {**META, **BASELINE_REGRESSORS}[name]
    X, y, task = shared_tasks if is_classifier(estimator) else regression_tasks
    model = clone(estimator).fit(X, y, task=task)
    before = model.predict(X)
    # two tasks with the same support, and other labels
    task = np.where(task == 3, "three", np.char.add("t", task.astype(str)))
    three = task == "three"
    X, y = np.concatenate([X, X[three]]), np.concatenate([y, y[three]])
    task = np.concatenate([task, np.repeat("three again", three.sum())])
    embedding = task_embedding(model, X, y, task, rows=X[:20])
    assert embedding.index.tolist() == np.unique(task).tolist()
    assert embedding.index.name == "task"
    n_outputs = 3 if is_classifier(model) else 1
    assert embedding.shape == (31, 20 * n_outputs)
    assert np.isfinite(embedding).all().all()
    np.testing.assert_allclose(
        embedding.loc["three"], embedding.loc["three again"], rtol=1e-7, atol=1e-9
    )
    assert (embedding.std() > 0).any()
    np.testing.assert_array_equal(model.predict(X[: len(before)]), before)


@pytest.mark.parametrize("name", META_CLASSIFIERS)
def test_own_classes_have_one_in_an_embedding(name, own_tasks):
    X, y, task = own_tasks
    model = clone(META[name]).set_params(n_way=2, n_shots=2, n_query=3, max_iter=2)
    model.fit(X, y, task=task)
    if not hasattr(model, "transform"):
        with pytest.raises(ValueError, match="it has no embedding"):
            task_embedding(model, X, y, task)
        return
    embedding = task_embedding(model, X, y, task)
    expected = pd.DataFrame(model.transform(X)).groupby(task).mean()
    np.testing.assert_allclose(embedding, expected, atol=1e-12)
    np.testing.assert_array_equal(embedding, task_embedding(model, X, None, task))
    distance = task_distance(model, X, None, task)
    np.testing.assert_allclose(distance, pairwise_distances(expected), atol=1e-7)


def test_distance_of_regression_tasks_is_in_the_units_of_y(linear_groups):
    X, y, task, _ = linear_groups
    model = BayesianLinearRegressor(max_iter=10, random_state=0).fit(X, y, task=task)
    distance = task_distance(model, X, y, task, rows=X[:50])
    assert distance.index.tolist() == distance.columns.tolist() == list(range(N_TASKS))
    parts = [adapted(model, X[task == t], y[task == t]).predict(X[:50]) for t in (3, 8)]
    expected = np.sqrt(np.mean((parts[0] - parts[1]) ** 2))
    assert distance.loc[3, 8] == pytest.approx(expected, rel=1e-6)
    assert distance.loc[8, 3] == distance.loc[3, 8]
    assert (np.diag(distance) == 0).all()


def test_distance_of_classification_tasks_is_hellingers(class_groups):
    X, y, task, _ = class_groups
    model = ProtoNetClassifier(max_iter=5, random_state=0).fit(X, y, task=task)
    distance = task_distance(model, X, y, task, rows=X[:50])
    p, q = (
        adapted(model, X[task == t], y[task == t]).predict_proba(X[:50]) for t in (3, 8)
    )
    squared = 1 - np.sqrt(p * q).sum(1)
    assert distance.loc[3, 8] == pytest.approx(np.sqrt(squared.mean()), rel=1e-6)
    assert distance.to_numpy().max() <= 1


def test_through_containers_and_in_blocks(linear_groups, monkeypatch):
    X, y, task, _ = linear_groups
    frame = pd.DataFrame(X, columns=["a", "b"])
    pipe = make_pipeline(
        StandardScaler(), BayesianLinearRegressor(max_iter=5, random_state=0)
    )
    with sklearn.config_context(enable_metadata_routing=True):
        pipe.fit(frame, y, task=task)
    expected = task_embedding(pipe, frame, y, task)
    assert expected.shape == (N_TASKS, 6 * N_TASKS)  # 256 rows, spread evenly
    monkeypatch.setattr("sklmeta.evaluation.task_vectors.PREDICTIONS_PER_CALL", 500)
    np.testing.assert_allclose(task_embedding(pipe, frame, y, task), expected)
    last = pipe[-1]
    inner = task_embedding(last, pipe[0].transform(frame), y, task)
    np.testing.assert_allclose(inner, expected)


def test_errors(linear_groups):
    X, y, task, _ = linear_groups
    with pytest.raises(TypeError, match="no `adapt`"):
        task_embedding(StandardScaler().fit(X), X, y, task)
    model = sklmeta.BayesianLinearRegressor(max_iter=2).fit(X, y, task=task)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        task_embedding(model, X, y, task[:5])
