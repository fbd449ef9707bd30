"""A comparison in words: the verdict on planted scores, and on planted tasks."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import numpy as np
from planted_scores import linear, planted
from sklearn.linear_model import LogisticRegression, Ridge

from sklmeta import DeepKernelClassifier, PerTask
from sklmeta.comparing import compare


def by_shots(gains, n_tasks=40, seed=0, noise=0.05):
    """Plant gains of "meta" over "own", by shots."""
    rng = np.random.default_rng(seed)
    own = {k: rng.normal(0.6, 0.1, n_tasks) for k in gains}
    meta = {k: own[k] + g + rng.normal(0, noise, n_tasks) for k, g in gains.items()}
    return planted({"meta": meta, "own": own}, baselines=["own"], metric="accuracy")


def test_verdict_pays_and_from_where_not():
    text = by_shots({1: 0.2, 5: 0.1, 10: 0.05, 20: -0.1}).verdict()
    assert text.startswith("Meta-learning pays here with 1 to 10 labelled rows")
    assert "With 5, meta has a mean accuracy of" in text
    assert "With 20 labelled rows own is better: use that there." in text
    text = by_shots({1: 0.2, 5: 0.1}).verdict()
    assert "pays here at every number of labelled rows compared, 1 to 5" in text


def test_verdict_does_not_pay():
    text = by_shots({1: 0.0, 5: 0.0}, seed=3).verdict()
    assert text.startswith("Whether meta-learning pays here cannot be told")
    assert "not to say that it does not pay" in text
    text = by_shots({1: 0.0, 5: -0.1}, seed=3).verdict()
    assert "with 5 labelled rows own is better than every meta-learner" in text


def test_verdict_refuses_claims_with_few_tasks():
    text = by_shots({1: 0.2, 5: 0.1}, n_tasks=12).verdict()
    assert "With 12 tasks, fewer than 20, no claim can be made" in text
    assert "pays" not in text
    text = by_shots({1: 0.2, 2: 0.2, 5: 0.1, 10: -0.2}, n_tasks=12).verdict()
    assert "best is: with 1 to 5 labelled rows meta; with 10 labelled rows own." in text
    text = by_shots({0: 0.2, 1: -0.1, 2: 0.2, 5: -0.1, 10: 0.2}, n_tasks=12).verdict()
    assert "with 0, 2 and 10 labelled rows meta; with 1 and 5 labelled rows own" in text


def test_verdict_counts_ties_and_says_what_it_rests_on():
    own = [0.5] * 30
    meta = [0.5] * 20 + [0.9] * 8 + [0.4] * 2
    result = planted({"meta": meta, "own": own}, baselines=["own"], metric="accuracy")
    text = result.verdict()
    assert "On 2 of 30 tasks it is worse than own, by 0.100 on average" in text
    assert ", level on 20, and better on 8, by 0.400 on average." in text
    assert "This rests on 30 tasks, 1 draw of the labelled rows and 1 fold." in text


def test_printed_it_is_a_table_that_fits_a_terminal():
    names = [f"an estimator with a long name, number {i}" for i in range(3)]
    rng = np.random.default_rng(0)
    scores = {n: {k: rng.random(30) for k in range(12)} for n in names}
    text = str(planted(scores, baselines=names[:1], metric="accuracy"))
    assert max(map(len, text.splitlines())) <= 80
    assert text.count("an estimator with a long …") == 6  # in two blocks
    assert "marks the best." in " ".join(text.split())


def test_verdict_needs_both_kinds():
    assert "no baseline" in planted({"a": [1.0, 2.0]}).verdict()
    only = planted({"a": [1.0, 2.0]}, baselines=["a"])
    assert "no meta-learner" in only.verdict()


def test_report_says_that_independent_tasks_have_nothing_to_share():
    rng = np.random.default_rng(0)
    task = np.repeat(np.arange(30), 24)
    X = rng.normal(size=(len(task), 4))
    slopes = rng.normal(size=(30, 4)) * rng.gamma(1.0, size=(30, 1))
    y = np.sum(X * slopes[task], axis=1) + 0.1 * rng.normal(size=len(task))
    model = linear().set_params(start=None)
    result = compare(
        [model, Ridge(alpha=0.01)], X, y, task, shots=[10], cv=3, n_draws=2
    )
    assert "Meta-learning does not pay here" in result.verdict()
    assert "Ridge, per task is better than every meta-learner" in result.verdict()


def test_report_names_the_outlier_tasks_that_are_harmed():
    rng = np.random.default_rng(0)
    task = np.repeat(np.arange(40), 24)
    X = rng.normal(size=(len(task), 6))
    flipped = [5, 15, 25, 35]
    direction = rng.normal(size=6)
    y = np.where(X @ direction * np.where(np.isin(task, flipped), -1, 1) > 0, "a", "b")
    model = DeepKernelClassifier(hidden_layer_sizes=(), max_iter=60, random_state=0)
    result = compare(
        [model, PerTask(LogisticRegression())], X, y, task, shots=[10], cv=4, n_draws=8
    )
    name, own = result.names
    harm = result.harm(name, against=own, shots=10)
    assert set(harm.tasks.index[:4]) == set(flipped)
    text = result.verdict()
    assert text.startswith("Meta-learning pays here")
    assert f"Mind the tasks that it harms. On {harm.n_worse} of 40 tasks" in text
