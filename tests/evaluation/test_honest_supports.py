"""What the support of a score may know: no labels of rows that are to be predicted."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

import numpy as np
import pytest
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression

from sklmeta import PerTask, Pooled, ProtoNetClassifier
from sklmeta.comparing import compare
from sklmeta.evaluation.few_shot import few_shot_score
from sklmeta.model_selection import FewShotScorer, few_shot_cross_validate

TASK = np.repeat(np.arange(200), 10)
Y = (np.arange(2000) % 10 == 3).astype(int)  # one rare row in ten
X = np.random.default_rng(0).normal(size=(2000, 2)) + Y[:, None]


@pytest.mark.parametrize(
    ("support", "scores"),
    [("random", [0.90, 0.90, 0.90]), ("stratified", [0.90, 0.95, 1.0])],
)
def test_always_zero_gains_nothing_by_rows(support, scores):
    zero = Pooled(DummyClassifier(strategy="constant", constant=0))
    zero.fit(X, Y, task=TASK)
    for shots, score in enumerate(scores):
        how = {"shots": shots, "n_draws": 5, "support": support}
        found = few_shot_score(zero, X, Y, TASK, **how)
        assert found == pytest.approx(score, abs=0.01)
    if support == "random":
        assert zero.score(X, Y, task=TASK + 1000, shots=2) == pytest.approx(
            0.9, abs=0.01
        )


def test_supports_of_one_class_are_enough():
    few = TASK < 20
    models = [ProtoNetClassifier(max_iter=2, random_state=0), LogisticRegression()]
    result = compare(models, X[few], Y[few], TASK[few], shots=[2, 5], cv=2, verbose=0)
    assert np.isfinite(result.draws.score).all()
    for text in (str(result), result.to_markdown(), result.to_html()):
        assert "drawn at random" in " ".join(text.split())
    assert result.support == "random"


def test_what_was_used_is_said_and_unknown_names_are_refused():
    few = TASK < 8
    data = PerTask(LogisticRegression()), X[few], Y[few], TASK[few]
    table = few_shot_cross_validate(*data, shots=2, cv=2, support="stratified")
    assert table.attrs["support"] == "stratified"
    for call in (
        lambda: FewShotScorer(support="fist"),
        lambda: few_shot_cross_validate(*data, support="fist"),
        lambda: compare(data[:1], *data[1:], support="fist"),
    ):
        with pytest.raises(ValueError, match="'stratified', 'first' or a splitter"):
            call()
