"""`compare`: every estimator on the same tasks and supports, in numbers and words."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import io
import itertools
import pickle

import numpy as np
import pandas as pd
import pytest
from joblib import parallel_config
from planted_scores import linear, planted
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklmeta import (
    PerTask,
    Pooled,
    ProtoNetClassifier,
    TaskCollection,
)
from sklmeta.comparing import Comparison, compare
from sklmeta.comparing._statistics import bootstrap_means, sign_flip_p_value
from sklmeta.datasets import make_linear_tasks
from sklmeta.model_selection import TaskKFold, few_shot_cross_validate
from sklmeta.training import progress


@pytest.fixture(scope="module")
def tasks():
    return make_linear_tasks(24, n_rows=(8, 16), random_state=0)


@pytest.fixture(scope="module")
def regression(tasks):
    return compare([linear(), Ridge()], *tasks, shots=[0, 1, 5], cv=3, n_draws=2)


# What it computes ---------------------------------------------------------------------


def test_scores_are_those_of_each_estimator_alone(tasks, regression):
    for name, model in (
        ("BayesianLinearRegressor", linear()),
        ("Ridge, per task", PerTask(Ridge())),
        ("Ridge, pooled", Pooled(Ridge())),
    ):
        alone = few_shot_cross_validate(
            model, *tasks, shots=[0, 1, 5], cv=TaskKFold(3), n_draws=2
        )
        alone["score"] = np.sqrt(alone.sse / alone.n_query)
        expected = alone.groupby(["shots", "task"]).score.mean()
        for k in (0, 1, 5):
            np.testing.assert_allclose(
                regression.scores(k)[name].sort_index(), expected[k], rtol=1e-6
            )


def test_supports_are_the_same_for_all(regression):
    rows = regression.draws.set_index(["estimator", "task", "shots", "draw"])
    sizes = rows[["n_support", "n_query"]].unstack("estimator")
    for column in ("n_support", "n_query"):
        assert (sizes[column].nunique(axis=1) == 1).all()
    # `Pooled(Ridge())` ignores the support: of one task and number of shots it can
    # differ between draws only by the query, whose rows are then the same for all.
    same = compare({"a": Pooled(Ridge()), "b": Pooled(Ridge())}, *_small(), shots=[2])
    assert (same.paired("a", "b", 2).differences == 0).all()


def _small():
    rng = np.random.default_rng(0)
    task = np.repeat(np.arange(6), 6)
    X = rng.normal(size=(36, 2))
    return X, X @ [1.0, 2.0] + rng.normal(size=36), task


def test_a_collection_gives_the_same(tasks, regression):
    X, y, task = tasks
    again = compare(
        [linear(), Ridge()], TaskCollection(X, y, task), shots=[1], cv=3, n_draws=2
    )
    pd.testing.assert_frame_equal(again.scores(1), regression.scores(1))


def test_two_workers_give_the_same(tasks):
    models = {"ridge": Ridge(), "meta": PerTask(Ridge(alpha=10.0))}
    one = compare(models, *tasks, shots=[1, 3])
    with parallel_config("threading"):
        two = compare(models, *tasks, shots=[1, 3], n_jobs=2)
    for k in (1, 3):
        pd.testing.assert_frame_equal(one.scores(k), two.scores(k))


def test_tasks_are_judged_only_at_shots_they_can_give():
    X, y, task = _small()
    keep = (task > 0) | (np.arange(36) < 3)  # task 0 has three rows
    result = compare([Ridge()], X[keep], y[keep], task[keep], shots=[1, 3], n_draws=1)
    assert result.table(1).n_tasks.tolist() == [6, 6]
    assert result.table(3).n_tasks.tolist() == [5, 5]
    assert 0 not in result.scores(3).index


def test_shots_that_no_two_tasks_can_give_are_dropped():
    with pytest.warns(UserWarning, match=r"shots=\[6, 7\] are dropped"):
        result = compare([Ridge()], *_small(), shots=[1, 6, 7], n_draws=1)
    assert result.shots == [1]
    assert compare([Ridge()], *_small(), n_draws=1).shots == [0, 1, 2, 5]
    with pytest.raises(ValueError, match="No two tasks have a row left"):
        compare([Ridge()], *_small(), shots=40)


def test_first_rows_as_support():
    X, y, task = _small()
    result = compare([Ridge()], X, y, task, shots=3, support="first", n_draws=4, cv=3)
    assert set(result.draws.draw) == {0}
    rows = np.flatnonzero(task == 2)
    own = Ridge().fit(X[rows[:3]], y[rows[:3]])
    error = np.sqrt(np.mean((own.predict(X[rows[3:]]) - y[rows[3:]]) ** 2))
    assert result.scores(3)["Ridge, per task"][2] == pytest.approx(error)


def _classes(n_tasks=24, n_rows=16, seed=0):
    rng = np.random.default_rng(seed)
    task = np.repeat(np.arange(n_tasks), n_rows)
    X = rng.normal(size=(len(task), 2))
    y = np.where(X[:, 0] + rng.normal(size=n_tasks)[task] * X[:, 1] > 0, "ill", "well")
    return X, y, task


def test_classifiers_pipelines_and_a_named_metric():
    pipe = make_pipeline(StandardScaler(), ProtoNetClassifier(max_iter=5))
    plain = make_pipeline(StandardScaler(), LogisticRegression())
    result = compare(
        {"proto": pipe, "logistic": plain},
        *_classes(),
        shots=[4],
        cv=2,
        n_draws=1,
        scoring="neg_log_loss",
    )
    assert result.names == ["proto", "logistic, per task", "logistic, pooled"]
    assert result.baselines == ["logistic, per task", "logistic, pooled"]
    assert result.metric == "neg_log_loss"
    assert result.greater_is_better
    assert (result.scores(4) < 0).all(axis=None)


def test_names_come_as_a_dict_or_as_pairs():
    pairs = [("soft", PerTask(Ridge(10.0))), ("hard", PerTask(Ridge(0.1)))]
    for given in (pairs, dict(pairs)):
        result = compare(given, *_small(), shots=[1], n_draws=1)
        assert result.names == ["soft", "hard"]
    with pytest.raises(ValueError, match="same name"):
        compare([pairs[0], pairs[0]], *_small(), shots=[1])


def test_a_metric_of_the_users_own_may_have_any_name():
    def rmse(y_true, y_pred):
        return -np.sqrt(np.mean((y_true - y_pred) ** 2))

    rmse.__name__ = "RMSE"
    options = {"shots": [1], "n_draws": 1}
    own = compare([PerTask(Ridge())], *_small(), scoring=rmse, **options)
    plain = compare([PerTask(Ridge())], *_small(), **options)
    assert own.greater_is_better
    np.testing.assert_allclose(own.scores(1), -plain.scores(1))


def test_own_classes_count_shots_per_class_and_cannot_be_pooled():
    X, _, task = _classes()
    y = np.array([f"{t}-{x > 0}" for t, x in zip(task, X[:, 0], strict=True)])
    models = [ProtoNetClassifier(n_way=2, max_iter=3), KNeighborsClassifier(1)]
    result = compare(models, X, y, task, shots=[0, 2], cv=2, n_draws=1)
    assert result.names == ["ProtoNetClassifier", "KNeighborsClassifier, per task"]
    assert result.shots == [2]
    assert (result.draws.n_support == 4).all()
    assert "2 rows per class" in result.to_markdown()


@pytest.mark.parametrize(
    ("estimators", "error", "message"),
    [
        ({}, ValueError, "estimators is empty"),
        ([Ridge], TypeError, "no scikit-learn estimator"),
        ([Ridge(), LogisticRegression()], ValueError, "cannot be compared with others"),
        ({1: Ridge()}, TypeError, "must be str"),
        ([StandardScaler()], ValueError, "should be a|neither a classifier|predict"),
        (
            [ProtoNetClassifier(n_way=2), ProtoNetClassifier()],
            ValueError,
            "Set shared_classes alike",
        ),
    ],
)
def test_bad_estimators(estimators, error, message):
    with pytest.raises(error, match=message):
        compare(estimators, *_classes(), shots=[1])


def test_equal_classes_are_numbered():
    result = compare([PerTask(Ridge()), PerTask(Ridge(2.0))], *_small(), shots=1)
    assert result.names == ["PerTask(Ridge) 1", "PerTask(Ridge) 2"]


def test_an_error_says_whose_it_is():
    X, y, task = _small()
    with pytest.raises(ValueError) as caught:
        compare({"fine": Ridge(), "bad": Ridge(alpha=-1.0)}, X, y, task, shots=[1])
    assert any("'bad, per task'" in note for note in caught.value.__notes__)


def test_progress_is_shown_on_request(capsys, monkeypatch):
    monkeypatch.setattr(progress, "PLAIN_EVERY", -1.0)
    compare([Ridge()], *_small(), shots=[1], n_draws=1)
    assert capsys.readouterr().err == ""
    compare([Ridge()], *_small(), shots=[1], n_draws=1, verbose=1)
    assert "compare: 500 of 500, " in capsys.readouterr().err


# The questions one asks of it ---------------------------------------------------------


def test_table(regression):
    table = regression.table(5)
    assert table.index.tolist()[0] == "BayesianLinearRegressor"
    assert table["rank"].tolist() == [1, 2, 3]
    assert (table.low < table["mean"]).all()
    assert (table["mean"] < table.high).all()
    assert (table.fit_seconds > 0).all()
    assert (table.adapt_milliseconds > 0).all()
    assert regression.table().index.names == ["shots", "estimator"]
    assert len(regression.table([0, 5])) == 6
    with pytest.raises(ValueError, match="shots=3 was not compared"):
        regression.table(3)


def test_per_task_is_the_mean_over_draws(regression):
    long = regression.per_task()
    assert list(long.columns) == ["estimator", "shots", "task", "score", "n_query"]
    one = long.query("estimator == 'Ridge, pooled' and shots == 5").set_index("task")
    pd.testing.assert_series_equal(
        one.score.sort_index(),
        regression.scores(5)["Ridge, pooled"].sort_index(),
        check_names=False,
    )


def test_bootstrap_draws_tasks_alike_for_all_columns():
    values = np.random.default_rng(0).normal(size=(30, 2))
    values[:, 1] = values[:, 0] + 5
    means = bootstrap_means(values, n_resamples=500)
    np.testing.assert_allclose(means[:, 1] - means[:, 0], 5)
    expected = values[:, 0].std() / np.sqrt(30)
    assert means[:, 0].std() == pytest.approx(expected, rel=0.15)


def test_bootstrap_leaves_missing_scores_out():
    values = np.array([[1.0], [np.nan], [1.0], [1.0]])
    means = bootstrap_means(values, n_resamples=200)
    assert np.nanmin(means) == np.nanmax(means) == 1.0


def test_sign_flips_are_exact_for_few_tasks():
    differences = np.array([0.3, -0.1, 0.5, 0.2, 0.05])
    signs = list(itertools.product([-1, 1], repeat=5))
    sums = np.array([np.dot(s, differences) for s in signs])
    expected = np.mean(np.abs(sums) >= differences.sum() - 1e-12)
    assert sign_flip_p_value(differences) == pytest.approx(expected)


def test_sign_flips_hold_their_level_for_many_tasks():
    rng = np.random.default_rng(0)
    p = [sign_flip_p_value(rng.normal(size=20), random_state=i) for i in range(200)]
    assert np.mean(np.array(p) < 0.1) == pytest.approx(0.1, abs=0.06)
    assert sign_flip_p_value(rng.normal(1.0, 1.0, size=40)) < 0.01


def test_paired_says_who_is_better_in_either_direction():
    rng = np.random.default_rng(0)
    base = rng.normal(size=30)
    scores = {"a": base + 0.5 + 0.1 * rng.normal(size=30), "b": base}
    more = planted(scores)
    less = planted(scores, greater_is_better=False)
    assert more.paired("a", "b", 5).better == "a"
    assert more.paired("b", "a", 5).better == "a"
    assert less.paired("a", "b", 5).better == "b"
    pair = more.paired("a", "b", 5, test="wilcoxon")
    assert pair.low < pair.mean < pair.high
    assert pair.p_value < 1e-4
    assert pair.n_tasks == 30
    noise = planted({"a": base, "b": base[::-1]})
    assert noise.paired("a", "b", 5).better is None
    with pytest.raises(ValueError, match="'c' was not compared"):
        more.paired("a", "c", 5)
    with pytest.raises(ValueError, match='"sign-flip" or "wilcoxon"'):
        more.paired("a", "b", 5, test="t")


def test_harm_names_the_tasks_and_their_losses():
    result = planted(
        {"meta": [0.9, 0.9, 0.3, 0.8], "own": [0.7, 0.8, 0.7, 0.9]}, baselines=["own"]
    )
    harm = result.harm("meta", against="own", shots=5)
    assert (harm.n_worse, harm.n_tasks) == (2, 4)
    assert harm.tasks.index.tolist() == [2, 3]
    assert harm.tasks.loss.tolist() == pytest.approx([0.4, 0.1])
    assert harm.mean_loss == pytest.approx(0.25)
    assert harm.share_lost == pytest.approx(0.5 / 0.3)
    none = result.harm("own", against="own", shots=5)
    assert (none.n_worse, none.mean_loss, none.share_lost) == (0, 0.0, 0.0)


def test_best_prefers_the_simpler_within_a_standard_error():
    rng = np.random.default_rng(1)
    base = rng.normal(size=40)
    close = planted(
        {"meta": base + 0.01 * rng.normal(size=40), "own": base - 1e-4},
        baselines=["own"],
    )
    far = planted({"meta": base + 0.1, "own": base}, baselines=["own"])
    assert close.leader(5) in ("meta", "own")
    assert close.best(5) == "own"
    assert far.best(5) == far.leader(5) == "meta"


def test_crossover_is_where_the_other_stays_ahead():
    result = planted(
        {
            "meta": {1: [0.8] * 3, 2: [0.8] * 3, 5: [0.85] * 3, 10: [0.87] * 3},
            "own": {1: [0.5] * 3, 2: [0.81] * 3, 5: [0.84] * 3, 10: [0.9] * 3},
        }
    )
    assert result.crossover("meta", "own") == 10
    assert result.crossover("own", "meta") is None
    assert result.crossover("own", "own") == 1


def test_a_frame_without_what_is_needed():
    with pytest.raises(ValueError, match="lacks the column"):
        Comparison(pd.DataFrame({"estimator": ["a"]}))


# To keep and to show ------------------------------------------------------------------


def test_markdown_html_and_csv(regression, tmp_path):
    text = regression.to_markdown()
    assert "| BayesianLinearRegressor |" in text
    assert text.count("**") == 2 * 3  # one is ahead at each of three numbers
    assert regression.verdict() in text
    page = regression._repr_html_()
    assert page.count("<tr>") == 4
    assert "<script" not in page
    path = tmp_path / "table.csv"
    assert regression.to_csv(path) is None
    csv = regression.to_csv()
    assert path.read_text(encoding="utf-8") == csv
    read = pd.read_csv(io.StringIO(csv)).set_index(["shots", "estimator"])
    np.testing.assert_allclose(read["mean"], regression.table()["mean"])


def test_pairs_and_harm_in_a_notebook():
    result = planted({"<b>": [1.0, 2.0, 4.0], "own": [1.5, 1.0, 3.0]})
    k = result.shots[0]
    page = result.paired("<b>", "own", k)._repr_html_()
    assert "<b>" not in page and "&lt;b&gt; less own" in page
    assert "95 % interval" in page
    assert page.count("<tr>") == 2 + 4 + 3  # heads, facts, tasks
    harm = result.harm("own", against="<b>", shots=k)
    page = harm._repr_html_()
    assert f"own is worse than &lt;b&gt; on {harm.n_worse} of 3 tasks" in page
    assert "<th>worst</th><th>own</th><th>&lt;b&gt;</th><th>loss</th>" in page
    assert "worst" not in result.harm("own", against="own", shots=k)._repr_html_()


def test_html_escapes_names():
    page = planted({"<b>": [1.0, 2.0], "own": [1.0, 1.5]})._repr_html_()
    assert "&lt;b&gt;" in page


def test_it_pickles(regression):
    again = pickle.loads(pickle.dumps(regression))
    assert again.to_markdown() == regression.to_markdown()
    assert repr(again).startswith("<Comparison of 3 estimators on 24 tasks")
