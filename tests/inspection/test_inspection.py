"""The displays draw what they were given, and say what is missing."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import sys

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklmeta import (
    BayesianLinearRegressor,
    PerTask,
    Pooled,
    ProtoNetClassifier,
    adapted,
)
from sklmeta.comparing import compare
from sklmeta.datasets import make_classification_tasks, make_linear_tasks
from sklmeta.inspection import (
    AdaptationDisplay,
    EmbeddingDisplay,
    MetaTrainingDisplay,
    ShotCurveDisplay,
    TaskDifferenceDisplay,
)


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def tasks():
    return make_linear_tasks(12, n_rows=14, n_features=1, random_state=0)


@pytest.fixture(scope="module")
def comparison(tasks):
    return compare(
        {"own": PerTask(Ridge()), "pooled": Pooled(Ridge())}, *tasks, shots=[0, 1, 5]
    )


@pytest.fixture(scope="module")
def linear(tasks):
    X, y, task = tasks
    model = BayesianLinearRegressor(
        hidden_layer_sizes=(), max_iter=30, early_stopping=True, random_state=0
    )
    return model.fit(X[task > 0], y[task > 0], task=task[task > 0])


def texts(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def test_shot_curve_draws_the_table(comparison):
    display = ShotCurveDisplay.from_comparison(comparison)
    assert list(display.lines_) == ["own", "pooled"]
    for name, line in display.lines_.items():
        means = [comparison.table(k)["mean"][name] for k in (0, 1, 5)]
        np.testing.assert_allclose(line.get_ydata(), means)
    assert [t.get_text() for t in display.ax_.get_xticklabels()] == ["0", "1", "5"]
    assert display.ax_.get_ylabel() == "RMSE"
    assert len(display.ax_.collections) == 2  # the bands
    # Any of colour, line and marker alone tells two lines apart.
    one, two = display.lines_.values()
    assert one.get_color() != two.get_color()
    assert one.get_linestyle() != two.get_linestyle()
    assert one.get_marker() != two.get_marker()
    assert display.ax_.get_xlabel() == "Labelled rows of a task"


def test_shot_curve_counts_rows_per_class_where_tasks_have_their_own():
    X, y, task = make_classification_tasks(8, n_rows=30, n_way=3, random_state=0)
    own = PerTask(LogisticRegression(), shared_classes=False)
    result = compare({"own": own}, X, y, task, shots=[1, 2], n_draws=1)
    axes = ShotCurveDisplay.from_comparison(result).ax_
    assert axes.get_xlabel() == "Labelled rows per class of a task"


def test_shot_curve_of_some_on_given_axes(comparison):
    ax = plt.figure().add_subplot()
    display = ShotCurveDisplay(comparison, names=["own"], bands=False).plot(ax=ax)
    assert display.ax_ is ax
    assert display.figure_ is ax.figure
    assert texts(ax) == ["own"]
    assert not ax.collections


def test_shot_curve_from_estimator_and_from_predictions(tasks):
    display = ShotCurveDisplay.from_estimator(
        {"own": PerTask(Ridge())}, *tasks, shots=[1, 3], n_draws=1
    )
    assert list(display.lines_) == ["own"]
    y = np.array([0.0, 1.0, 2.0, 3.0] * 2)
    task, shots = np.tile([0, 0, 1, 1], 2), np.repeat([1, 5], 4)
    wrong = np.where(shots == 1, 2.0, 1.0)
    display = ShotCurveDisplay.from_predictions(y, y + wrong, task, shots)
    np.testing.assert_allclose(display.lines_["model"].get_ydata(), [2.0, 1.0])
    labels = np.array(["a", "b"] * 4)
    display = ShotCurveDisplay.from_predictions(
        labels, np.where(shots == 1, "a", labels), task, shots
    )
    np.testing.assert_allclose(display.lines_["model"].get_ydata(), [0.5, 1.0])
    assert display.ax_.get_ylabel() == "Accuracy"


def test_task_differences_are_sorted_with_the_losses_marked(comparison):
    display = TaskDifferenceDisplay.from_comparison(
        comparison, "own", "pooled", shots=5
    )
    expected = comparison.paired("own", "pooled", 5).differences
    better, worse = display.ax_.collections[-2:]
    drawn = np.concatenate([better.get_offsets()[:, 1], worse.get_offsets()[:, 1]])
    np.testing.assert_allclose(drawn, np.sort(expected))
    harm = comparison.harm("own", against="pooled", shots=5)
    assert len(worse.get_offsets()) == harm.n_worse
    assert f"pooled better: {harm.n_worse}" in texts(display.ax_)


def test_task_differences_from_estimators_and_predictions(tasks):
    display = TaskDifferenceDisplay.from_estimator(
        PerTask(Ridge()), Pooled(Ridge()), *tasks, shots=2, n_draws=1
    )
    assert display.pair.n_tasks == 12
    with pytest.raises(ValueError, match="say which"):
        TaskDifferenceDisplay.from_estimator(Ridge(), Pooled(Ridge()), *tasks, shots=2)
    y = np.arange(6) % 2
    display = TaskDifferenceDisplay.from_predictions(
        y, y, 1 - y, np.repeat([0, 1, 2], 2), names=("right", "wrong")
    )
    assert display.pair.mean == 1.0
    assert display.ax_.get_ylabel() == "accuracy: right − wrong"


def test_adaptation_draws_before_after_band_and_rows(tasks, linear):
    X, y, task = tasks
    X, y = X[task == 0], y[task == 0]
    display = AdaptationDisplay.from_estimator(linear, X[:4], y[:4], X[4:], y[4:])
    rows = display.x[:, None]
    mean, std = adapted(linear, X[:4], y[:4]).predict(rows, return_std=True)
    np.testing.assert_allclose(display.after, mean)
    np.testing.assert_allclose(display.std, std)
    np.testing.assert_allclose(display.before, linear.predict(rows))
    assert display.x.min() < X.min()
    assert texts(display.ax_) == [
        *("± 2 standard deviations", "truth", "before", "after adapting", "support"),
    ]


def test_adaptation_through_a_pipeline_with_several_features():
    X, y, task = make_linear_tasks(10, n_rows=12, n_features=3, random_state=0)
    X = pd.DataFrame(X, columns=["a", "b", "c"])
    model = make_pipeline(
        StandardScaler(), BayesianLinearRegressor(max_iter=5, random_state=0)
    )
    model.fit(X, y, bayesianlinearregressor__task=task)
    one = task == 3
    X, y = X[one], y[one]
    with pytest.raises(ValueError, match="pass X_query"):
        AdaptationDisplay.from_estimator(model, X[:4], y[:4])
    display = AdaptationDisplay.from_estimator(
        model, X[:4], y[:4], X[4:], y[4:], feature="b"
    )
    assert not display.is_curve
    assert display.ax_.get_xlabel() == "b"
    np.testing.assert_allclose(display.x, X["b"][4:])
    assert display.std is not None
    with pytest.raises(ValueError, match="give its position"):
        AdaptationDisplay.from_estimator(
            model, X[:4].to_numpy(), y[:4], X[4:].to_numpy(), feature="b"
        )


def test_adaptation_of_a_classifier_draws_a_probability():
    X, y, task = make_classification_tasks(
        8, n_rows=12, n_way=2, n_features=5, shared_labels=True, random_state=0
    )
    model = ProtoNetClassifier(max_iter=5, random_state=0).fit(X, y, task=task)
    X, y = X[task == 0], y[task == 0]
    display = AdaptationDisplay.from_estimator(
        model, X[:6], y[:6], X[6:], y[6:], pos_label=0
    )
    np.testing.assert_allclose(
        display.after, adapted(model, X[:6], y[:6]).predict_proba(X[6:])[:, 0]
    )
    np.testing.assert_array_equal(display.query[1], y[6:] == 0)
    assert display.ax_.get_ylabel() == "probability of 0"
    with pytest.raises(ValueError, match="none of the classes"):
        AdaptationDisplay.from_estimator(model, X[:6], y[:6], X[6:], pos_label=7)
    # With classes of a task's own there is nothing before adapting.
    own = PerTask(LogisticRegression(), shared_classes=False)
    own.fit(X, y, task=np.arange(len(y)) % 2)
    assert AdaptationDisplay.from_estimator(own, X[:6], y[:6], X[6:]).before is None


def test_adaptation_from_predictions():
    x = np.array([2.0, 0.0, 1.0])
    display = AdaptationDisplay.from_predictions(
        x, x, [0.5], [0.4], y_true=x + 1, y_before=x - 1, y_std=np.ones(3)
    )
    drawn = {line.get_label(): line.get_ydata() for line in display.ax_.get_lines()}
    np.testing.assert_array_equal(drawn["after adapting"], [0, 1, 2])
    np.testing.assert_array_equal(drawn["before"], [-1, 0, 1])
    np.testing.assert_array_equal(drawn["truth"], x + 1)
    np.testing.assert_array_equal(drawn["support"], [0.4])


def test_embedding_of_tasks_and_of_rows(tasks, linear):
    display = EmbeddingDisplay.from_estimator(linear, *tasks, groups=np.arange(12) % 2)
    assert display.points.shape == (12, 2)
    assert texts(display.ax_) == ["0", "1"]
    assert len(display.ax_.texts) == 12
    X, y, task = make_classification_tasks(
        8, n_rows=12, n_way=2, n_features=5, shared_labels=True, random_state=0
    )
    model = ProtoNetClassifier(max_iter=5, random_state=0).fit(X, y, task=task)
    rows = EmbeddingDisplay.from_estimator(model, X, y, of="rows", method="tsne")
    assert rows.points.shape == (len(y), 2)
    assert "t-SNE" in rows.ax_.get_xlabel()


def test_embedding_keeps_distances_of_planes():
    rng = np.random.default_rng(0)
    plane = rng.normal(size=(15, 2)) @ rng.normal(size=(2, 6))
    points = EmbeddingDisplay.from_embedding(plane).points
    apart = np.linalg.norm(plane[:, None] - plane, axis=2)
    np.testing.assert_allclose(
        np.linalg.norm(points[:, None] - points, axis=2), apart, atol=1e-10
    )
    line = EmbeddingDisplay.from_embedding(plane[:, :1], groups=rng.normal(size=15))
    np.testing.assert_array_equal(line.points, np.c_[plane[:, 0], np.zeros(15)])
    assert len(line.figure_.axes) == 2  # a colour bar


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"task": None}, "needs the task"),
        ({"of": "columns"}, 'of must be "tasks" or "rows"'),
        ({"of": "rows"}, "needs a model with `transform`"),
        ({"method": "umap"}, 'method must be "pca" or "tsne"'),
    ],
)
def test_embedding_says_what_is_wrong(tasks, linear, arguments, message):
    X, y, task = tasks
    with pytest.raises(ValueError, match=message):
        EmbeddingDisplay.from_estimator(linear, X, y, **{"task": task, **arguments})


def test_an_embedding_of_one_point():
    with pytest.raises(ValueError, match="two vectors or more"):
        EmbeddingDisplay.from_embedding([[1.0, 2.0]])


def test_training_draws_both_losses(linear):
    display = MetaTrainingDisplay.from_estimator(linear)
    losses = [epoch["train_loss"] for epoch in linear.history_]
    np.testing.assert_allclose(display.ax_.get_lines()[0].get_ydata(), losses)
    assert texts(display.ax_) == ["training tasks", "held-out tasks", "best epoch"]
    pipe = make_pipeline(StandardScaler(), linear)
    assert MetaTrainingDisplay.from_estimator(pipe).history == linear.history_
    with pytest.raises(ValueError, match="has no history"):
        MetaTrainingDisplay.from_estimator(PerTask(Ridge()))


def test_without_matplotlib_the_extra_is_named(comparison, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match=r"pip install 'sklmeta\[plot\]'"):
        ShotCurveDisplay.from_comparison(comparison)
