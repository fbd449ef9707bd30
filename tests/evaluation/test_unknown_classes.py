"""A class that only a held-out task has counts as missed, and one warning says so."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

import re

import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklmeta import AutoMetaClassifier, PerTask, Pooled, ProtoNetClassifier, adapted
from sklmeta.calibration import calibrated, cross_calibrated
from sklmeta.cli import main
from sklmeta.comparing import compare
from sklmeta.evaluation.few_shot import few_shot_predictions, few_shot_score
from sklmeta.model_selection import FewShotScorer, TaskKFold, few_shot_cross_validate

RNG = np.random.default_rng(0)
TASK = np.repeat([f"t{i}" for i in range(8)], 12)
X = RNG.normal(size=(96, 2))
Y = np.where(X[:, 0] + 0.3 * RNG.normal(size=96) > 0, "a", "b")
Y[(TASK == "t5") & (np.arange(96) % 12 < 3)] = "z"
RARE = TASK == "t5"
SAID = r"3 row\(s\) have a class that no task of fit has: 'z' of task 't5'\."


def offset():
    return Pooled(LogisticRegression(), support="offset")


def fitted(model=None):
    pipe = make_pipeline(StandardScaler(), offset() if model is None else model)
    with sklearn.config_context(enable_metadata_routing=True):
        return pipe.fit(X[~RARE], Y[~RARE], task=TASK[~RARE])


def from_compare(model):
    models = {"pooled": model, "own": PerTask(LogisticRegression())}
    return compare(models, X, Y, TASK, shots=[0, 4], n_draws=2, cv=4).draws.score


def from_cross_validate(model):
    options = {"shots": [0, 4], "scoring": ["accuracy", "neg_log_loss"], "cv": 4}
    return few_shot_cross_validate(model, X, Y, TASK, **options).iloc[:, 6:8]


def from_scorer(model):
    with sklearn.config_context(enable_metadata_routing=True):
        return cross_val_score(
            model, X, Y, params={"task": TASK}, cv=TaskKFold(4), scoring=FewShotScorer()
        )


def from_cross_calibrated(model):
    model = cross_calibrated(model, X, Y, TASK, cv=4, shots=[0, 4])
    return model.predict_proba(X)


def from_calibrated(model):
    model = fitted(model)
    return calibrated(model, X[RARE], Y[RARE], TASK[RARE]).predict_proba(X)


def from_score(model):
    with sklearn.config_context(enable_metadata_routing=True):
        return fitted(model).score(X[RARE], Y[RARE], task=TASK[RARE])


@pytest.mark.parametrize(
    "call",
    [
        from_compare,
        from_cross_validate,
        from_scorer,
        from_cross_calibrated,
        from_calibrated,
        from_score,
    ],
)
@pytest.mark.parametrize(
    "model", [offset(), ProtoNetClassifier(max_iter=2, random_state=0)]
)
def test_it_goes_on_and_says_so_once(call, model):
    with pytest.warns(UserWarning, match=SAID) as said:
        values = call(model)
    assert len(said) == 1
    assert np.isfinite(np.asarray(values)).all()


def test_the_blend_learns_from_the_other_tasks(monkeypatch):
    members = [("own", PerTask(LogisticRegression())), ("pooled", offset())]
    monkeypatch.setattr("sklmeta.auto.auto_meta.classifiers", lambda *given: members)
    assert "z" in AutoMetaClassifier().fit(X, Y, task=TASK).classes_


@pytest.mark.filterwarnings("always:3 row")
def test_the_command_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    table = pd.DataFrame(X, columns=["u", "v"]).assign(task=TASK, target=Y)
    more = pd.DataFrame({"u": [0.0, 1.0], "v": 0.0, "task": "t9", "target": ["a", "b"]})
    pd.concat([table, more]).to_csv("t.csv", index=False)
    data = ["t.csv", "--task", "task", "--target", "target", "--quiet"]
    quick = ["--models", "ProtoNet", "--max-iter", "2", "--shots", "4", "--folds", "2"]
    assert main(["compare", *data, *quick, "--no-report"]) == 0
    assert re.search(SAID, capsys.readouterr().err)
    quick = ["--model", "ProtoNet", "--max-iter", "2", "--out", "m.skops"]
    assert main(["fit", *data, *quick, "--calibrate"]) == 0
    assert re.search(SAID, capsys.readouterr().err)


def test_its_rows_are_missed_and_no_support_has_them():
    model = fitted()
    (draw,) = few_shot_predictions(model, X, Y, TASK, shots=5, tell=False)
    assert "z" not in draw.support_y
    assert draw.n_support.sum() < 5 * 8
    mine = draw.support_codes == 5
    with sklearn.config_context(enable_metadata_routing=True):
        alone = adapted(model, X[draw.support][mine], draw.support_y[mine])
        rows = draw.codes == 5
        np.testing.assert_array_equal(
            alone.predict(draw.X_query[rows]), draw.y_pred[rows]
        )
    missed = draw.y_true == "z"
    assert missed.any()
    assert not (draw.y_pred == draw.y_true)[missed].any()


def test_a_row_that_is_missed_costs_what_it_costs_in_scikit_learn():
    model, rare = fitted(), (X[RARE], Y[RARE], TASK[RARE])
    probabilities = np.c_[model.predict_proba(X[RARE]), np.zeros(12)]
    with pytest.warns(UserWarning, match=SAID):
        loss = -few_shot_score(model, *rare, shots=0, metric="neg_log_loss")
    assert loss == pytest.approx(log_loss(Y[RARE], probabilities, labels=[*"abz"]))
    with pytest.warns(UserWarning, match=SAID):
        accuracy = few_shot_score(model, *rare, shots=0)
    assert accuracy == np.mean(model.predict(X[RARE]) == Y[RARE])


def test_a_support_that_is_left_empty_means_zero_shots():
    model = fitted()
    (draw,) = few_shot_predictions(
        model, X, Y, TASK, shots=3, support="first", tell=False
    )
    assert draw.n_support.tolist() == [3, 3, 3, 3, 3, 0, 3, 3]
    rows = draw.codes == 5
    for method in ("predict", "predict_proba"):
        expected = getattr(model, method)(draw.X_query[rows])
        np.testing.assert_array_equal(draw.response(method)[rows], expected)
    (alone,) = few_shot_predictions(
        model, X[RARE], Y[RARE], TASK[RARE], shots=3, support="first", tell=False
    )
    np.testing.assert_array_equal(alone.y_pred, draw.y_pred[rows])


def test_a_metric_that_admits_no_unknown_class_is_undefined():
    scorer = FewShotScorer("roc_auc", shots=4, support="stratified")
    others = [f"other {name}" for name in TASK]
    with (
        pytest.warns(UndefinedMetricWarning, match="undefined for 1 of 8 tasks"),
        pytest.warns(UserWarning, match=SAID.replace("t5", "other t5")),
    ):
        assert 0.8 < scorer.score(fitted(), X, Y, task=others) < 1


def test_adapting_to_such_a_class_is_an_error():
    with pytest.raises(ValueError, match=r"labels that fit has not seen: \['z'\]"):
        adapted(fitted(), X[RARE], Y[RARE])
