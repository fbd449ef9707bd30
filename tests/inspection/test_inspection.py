"""The displays draw what they were given, and say what is missing."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import sys

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.text import Text
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
from sklmeta.comparing import Comparison, compare
from sklmeta.datasets import make_classification_tasks, make_linear_tasks
from sklmeta.inspection import (
    AdaptationDisplay,
    EmbeddingDisplay,
    MetaTrainingDisplay,
    ShotCurveDisplay,
    TaskDifferenceDisplay,
)
from sklmeta.inspection._columns import chosen_column


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
    assert "before and after 4 labelled rows" in display.ax_.get_title()
    by_place = AdaptationDisplay.from_estimator(
        model, X[:4], pd.Series(y[:4], name="pay $"), X[4:], y[4:], feature=1
    )
    np.testing.assert_array_equal(by_place.x, display.x)
    assert by_place.ax_.get_xlabel() == "b"
    assert by_place.ax_.get_ylabel() == r"pay \$"
    for X_of, feature, message in (
        (X, "bb", "no column 'bb'. Did you mean 'b'"),
        (X, 7, "X has 3 column"),
        (X.assign(b="red"), "b", "holds text"),
    ):
        with pytest.raises(ValueError, match=message):
            AdaptationDisplay.from_estimator(
                model, X_of[:4], y[:4], X_of[4:], feature=feature
            )


def test_a_column_by_name_in_rows_without_names():
    rows, fitted_to_frame = np.zeros((2, 2)), Ridge()
    with pytest.raises(ValueError, match="give its position"):
        chosen_column(rows, "b", fitted_to_frame)
    fitted_to_frame.fit(pd.DataFrame(rows, columns=["a", "b"]), [0, 0])
    assert chosen_column(rows, "b", fitted_to_frame) == (1, "b")


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


def test_names_of_points_are_not_written_over_each_other():
    rng = np.random.default_rng(0)
    names = [f"Patient {i} $x$ $\\frac{{" for i in range(30)]
    frame = pd.DataFrame(rng.normal(size=(30, 2)), index=names)
    display = EmbeddingDisplay.from_embedding(frame, what="tasks")
    assert display.ax_.get_title() == "30 tasks"
    boxes = [Text.get_window_extent(text) for text in display.ax_.texts]
    assert len(boxes) > 20
    for i, box in enumerate(boxes):
        assert box.count_overlaps(boxes[:i]) == 0


MATHEMATICS = r"$\frac{"


def test_names_are_never_mathematics():
    odd = [f"{MATHEMATICS} {MATHEMATICS}", "_under", r"cost in \$"]
    draws = pd.DataFrame(
        [
            {"estimator": n, "fold": 0, "task": f"{MATHEMATICS} {MATHEMATICS} {t}"}
            | {"draw": 0, "shots": k, "score": t + i / (k + 1)}
            for i, n in enumerate(odd)
            for t in range(3)
            for k in (1, 5)
        ]
    )
    result = Comparison(draws, metric=odd[0])
    drawn = [
        ShotCurveDisplay.from_comparison(result),
        TaskDifferenceDisplay.from_comparison(result, *odd[:2], shots=5),
        MetaTrainingDisplay([{"n_iter": 1, "train_loss": 1.0}], name=odd[0]).plot(),
        AdaptationDisplay(
            *(np.arange(3), np.arange(3)),
            support=(np.zeros(1), np.zeros(1)),
            x_name=odd[0],
            y_name=odd[0],
        ).plot(),
        EmbeddingDisplay.from_embedding(
            np.eye(3), names=odd, groups=[odd[0], odd[0], "b"]
        ),
    ]
    for display in drawn:
        display.figure_.canvas.draw()  # where mathematics would fail
    assert texts(drawn[0].ax_)[1] == " _under"


def test_many_lines_leave_colour_to_the_leaders():
    draws = pd.DataFrame(
        [
            {"estimator": f"m{i}", "fold": 0, "task": t, "draw": 0, "shots": k}
            | {"score": i + t}
            for i in range(6)
            for t in range(3)
            for k in (1, 5)
        ]
    )
    result = Comparison(draws, baselines=["m0", "m1", "m2"])
    display = ShotCurveDisplay.from_comparison(result)
    grey = {name for name, line in display.lines_.items() if line.get_color() == "0.72"}
    assert grey == {"m0", "m1", "m3", "m4"}  # m5 leads, and m2 of the baselines
    assert len(display.ax_.collections) == 2
    chosen = ShotCurveDisplay.from_comparison(result, highlight=["m0"])
    assert chosen.lines_["m0"].get_color() != "0.72"
    assert len(chosen.ax_.collections) == 1


def test_ties_are_ties():
    draws = pd.DataFrame(
        {"estimator": ["a"] * 4 + ["b"] * 4, "fold": 0, "task": [*range(4)] * 2}
        | {"draw": 0, "shots": 5, "score": [1.0, 2, 3, 4, 1.0, 2, 3, 3]}
    )
    for orient in ("vertical", "horizontal"):
        display = TaskDifferenceDisplay.from_comparison(
            Comparison(draws), "a", "b", shots=5, orient=orient
        )
        assert display.tasks_ == {"tied": [0, 1, 2], "better": [3], "worse": []}
        assert "as good as each other: 3" in texts(display.ax_)
    with pytest.raises(ValueError, match="orient must be"):
        TaskDifferenceDisplay(display.pair, orient="slanted")


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
    # Of one epoch there is a point, not a line, and none that is best.
    assert texts(display.ax_) == ["training tasks", "held-out tasks"]
    assert {line.get_linestyle() for line in display.ax_.get_lines()} == {"None"}
    assert "BayesianLinearRegressor: one epoch" in display.ax_.get_title()
    two = [*linear.history_, {**linear.history_[-1], "n_iter": 99}]
    axes = MetaTrainingDisplay.from_history(two).ax_
    assert texts(axes)[-1] == "best epoch"
    assert MetaTrainingDisplay.from_history([]).ax_.get_legend() is None
    pipe = make_pipeline(StandardScaler(), linear)
    assert MetaTrainingDisplay.from_estimator(pipe).history == linear.history_
    with pytest.raises(ValueError, match="has no history"):
        MetaTrainingDisplay.from_estimator(PerTask(Ridge()))


def test_without_matplotlib_the_extra_is_named(comparison, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match=r"pip install 'sklmeta\[plot\]'"):
        ShotCurveDisplay.from_comparison(comparison)
