"""How `task` travels through scikit-learn, with metadata routing off and on.

The behaviour of scikit-learn that the interface is built on is pinned here: the names
of arguments, class-level requests, and a scorer that is a class with a `score` method.
"""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import importlib

import numpy as np
import pytest
import sklearn
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import (
    ColumnTransformer,
    TransformedTargetRegressor,
    make_column_transformer,
)
from sklearn.ensemble import BaggingClassifier, StackingClassifier, VotingClassifier
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    HalvingGridSearchCV,
    cross_val_predict,
    cross_val_score,
    cross_validate,
    learning_curve,
    permutation_test_score,
)
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklmeta._compat import _MetadataRequester
from sklmeta.baselines import PerTask, Pooled
from sklmeta.evaluation.containers import adapted
from sklmeta.model_selection import FewShotScorer, LeaveOneTaskOut, TaskKFold

RNG = np.random.default_rng(0)
TASK = np.repeat([f"t{i:02d}" for i in range(8)], 15)
CODE = np.arange(120) // 15
X = RNG.normal(size=(120, 2)) * [1.0, 50.0] + [3.0, -200.0]
Z = (X - X.mean(axis=0)) / X.std(axis=0)
Y = (Z * (1 + RNG.normal(size=(8, 2)))[CODE]).sum(1)
LABELS = (Z * (1 + 0.3 * RNG.normal(size=(8, 2)))[CODE]).sum(1) > 0
GRID = {"pertask__estimator__alpha": [0.1, 100.0]}


@pytest.fixture
def routing():
    with sklearn.config_context(enable_metadata_routing=True):
        yield


def pipe():
    return make_pipeline(StandardScaler(), PerTask(Ridge(alpha=0.1)))


class NTasks(RegressorMixin, BaseEstimator):
    """Predicts, and scores by, the number of tasks that `fit` received."""

    __metadata_request__fit = {"task": True}

    def fit(self, X, y, task=None):
        self.n_tasks_ = 1 if task is None else len(set(task))
        return self

    def score(self, X, y, sample_weight=None):
        return float(self.n_tasks_)


class NGroups(NTasks):
    """The same, with the name that scikit-learn keeps for its splitters."""

    __metadata_request__fit = {"groups": True}

    def fit(self, X, y, groups=None):
        return super().fit(X, y, task=groups)


# Routing off ----------------------------------------------------------------------


def test_off_fit():
    assert len(PerTask(Ridge()).fit(X, Y, task=TASK).tasks_) == 8
    assert len(pipe().fit(X, Y, pertask__task=TASK)[-1].tasks_) == 8
    with pytest.raises(ValueError, match="stepname__parameter"):
        pipe().fit(X, Y, task=TASK)


def test_off_cross_validation_slices_task():
    in_pipe = make_pipeline(StandardScaler(), NTasks())
    for model, name in ((NTasks(), "task"), (in_pipe, "ntasks__task")):
        for cv in (GroupKFold(4), TaskKFold(4)):
            scores = cross_val_score(
                model, X, Y, params={name: TASK}, groups=TASK, cv=cv
            )
            np.testing.assert_array_equal(scores, 6)


def test_off_grid_search():
    search = GridSearchCV(pipe(), GRID, cv=TaskKFold(4))
    with pytest.warns(UserWarning, match="is scored without tasks"):
        search.fit(X, Y, pertask__task=TASK, groups=TASK)
    assert len(search.best_estimator_[-1].tasks_) == 8


def test_off_groups_alone_meta_trains_on_one_task():
    scores = cross_val_score(NTasks(), X, Y, groups=TASK, cv=TaskKFold(4))
    np.testing.assert_array_equal(scores, 1)
    # The few-shot scorer is what notices.
    model = pipe().fit(X, Y)
    with pytest.warns(UserWarning, match="groups= reaches only the splitter"):
        FewShotScorer()(model, X, Y, task=TASK)


def test_off_an_argument_called_groups_would_be_swallowed():
    assert cross_val_score(NGroups(), X, Y, groups=TASK, cv=GroupKFold(4)).max() == 1
    search = GridSearchCV(NGroups(), {}, cv=GroupKFold(4)).fit(X, Y, groups=TASK)
    assert search.best_estimator_.n_tasks_ == 1


def test_off_requests_cannot_be_set():
    with pytest.raises(RuntimeError, match="metadata routing is enabled"):
        PerTask(Ridge()).set_fit_request(task=True)
    with pytest.raises(RuntimeError, match="metadata routing is enabled"):
        TaskKFold().set_split_request(groups="task")


@pytest.mark.parametrize("scoring", [FewShotScorer(), {"few": FewShotScorer()}])
@pytest.mark.parametrize("error_score", [np.nan, "raise"])
def test_off_scorer_receives_no_task_and_says_so(scoring, error_score):
    options = {"params": {"pertask__task": TASK}, "error_score": error_score}
    with pytest.raises(TypeError, match="FewShotScorer did not receive `task`"):
        cross_validate(pipe(), X, Y, scoring=scoring, **options)


def test_off_groups_reach_the_splitter_alone():
    with pytest.warns(UserWarning, match="groups= reaches TaskKFold alone") as caught:
        cross_val_score(pipe(), X, Y, groups=TASK, cv=TaskKFold(4))
    assert len(caught) == 1 and caught[0].filename == __file__
    cross_val_score(Ridge(), X, Y, groups=TASK, cv=TaskKFold(4))  # no tasks are wanted


def test_nobody_switches_routing_on():
    assert not sklearn.get_config()["enable_metadata_routing"]
    model = pipe().fit(X, Y, pertask__task=TASK)
    FewShotScorer()(model, X, Y, task=TASK)
    adapted(model, X, Y, task=TASK)
    assert not sklearn.get_config()["enable_metadata_routing"]


# Routing on -----------------------------------------------------------------------


@pytest.mark.usefixtures("routing")
def test_on_one_array_feeds_splitter_and_fit():
    in_pipe = make_pipeline(StandardScaler(), NTasks())
    for cv in (TaskKFold(4), GroupKFold(4).set_split_request(groups="task")):
        scores = cross_val_score(in_pipe, X, Y, params={"task": TASK}, cv=cv)
        np.testing.assert_array_equal(scores, 6)
    both = {"task": TASK, "groups": TASK}
    scores = cross_val_score(in_pipe, X, Y, params=both, cv=GroupKFold(4))
    np.testing.assert_array_equal(scores, 6)


@pytest.mark.usefixtures("routing")
def test_on_mistakes_are_loud():
    with pytest.raises(ValueError, match="`groups` can only be passed"):
        cross_val_score(
            pipe(), X, Y, params={"task": TASK}, groups=TASK, cv=TaskKFold()
        )
    with pytest.raises(ValueError, match="'groups' parameter should not be None"):
        cross_val_score(pipe(), X, Y, params={"task": TASK}, cv=GroupKFold(4))
    with pytest.raises(ValueError, match="TaskKFold needs the task"):
        cross_val_score(pipe(), X, Y, cv=TaskKFold(4))


@pytest.mark.usefixtures("routing")
def test_on_requests_survive_clone_and_can_be_turned_off():
    off = clone(PerTask(Ridge()).set_fit_request(task=False))
    with pytest.raises(TypeError, match="unexpected argument"):
        make_pipeline(off).fit(X, Y, task=TASK)


@pytest.mark.usefixtures("routing")
def test_on_a_subclass_may_take_task_from_groups():
    class FromGroups(PerTask):
        __metadata_request__fit = {"task": "groups"}

    model = make_pipeline(FromGroups(Ridge())).fit(X, Y, groups=TASK)
    assert len(model[-1].tasks_) == 8


@pytest.mark.usefixtures("routing")
def test_on_default_score_is_the_few_shot_score():
    scores = cross_val_score(pipe(), X, Y, params={"task": TASK}, cv=TaskKFold(4))
    options = {"params": {"task": TASK}, "cv": TaskKFold(4), "scoring": FewShotScorer()}
    np.testing.assert_allclose(scores, cross_val_score(pipe(), X, Y, **options))
    assert scores.min() > 0.8


@pytest.mark.usefixtures("routing")
@pytest.mark.parametrize("scoring", [None, FewShotScorer(shots=8), "r2"])
def test_on_searches(scoring):
    search = GridSearchCV(pipe(), GRID, cv=TaskKFold(4), scoring=scoring)
    search.fit(X, Y, task=TASK)
    assert len(search.best_estimator_[-1].tasks_) == 8
    if scoring != "r2":
        assert search.best_params_ == {"pertask__estimator__alpha": 0.1}
    halving = HalvingGridSearchCV(
        pipe(), GRID, cv=TaskKFold(2), scoring=scoring, min_resources=90
    )
    assert len(halving.fit(X, Y, task=TASK).best_estimator_[-1].tasks_) == 8


@pytest.mark.usefixtures("routing")
def test_on_nested_cross_validation():
    search = GridSearchCV(pipe(), GRID, cv=TaskKFold(3), scoring=FewShotScorer())
    options = {"params": {"task": TASK}, "error_score": "raise"}
    scores = cross_val_score(search, X, Y, cv=LeaveOneTaskOut(), **options)
    assert scores.shape == (8,)
    outer = cross_val_score(
        search, X, Y, cv=TaskKFold(4), scoring=FewShotScorer(), **options
    )
    np.testing.assert_allclose(
        outer, cross_val_score(search, X, Y, cv=TaskKFold(4), **options)
    )


@pytest.mark.usefixtures("routing")
def test_on_several_metrics_and_jobs():
    scoring = {
        "five": FewShotScorer(),
        "none": FewShotScorer(shots=0),
        "mae": FewShotScorer("neg_mean_absolute_error", shots=5),
        "r2": "r2",
    }
    options = {"params": {"task": TASK}, "cv": TaskKFold(2), "scoring": scoring}
    one = cross_validate(pipe(), X, Y, error_score="raise", **options)
    two = cross_validate(pipe(), X, Y, n_jobs=2, **options)
    for name in scoring:
        np.testing.assert_allclose(one[f"test_{name}"], two[f"test_{name}"])
    assert (one["test_five"] > one["test_none"]).all()
    search = GridSearchCV(pipe(), GRID, cv=TaskKFold(4), scoring=scoring, refit="five")
    assert search.fit(X, Y, task=TASK).best_params_ == {
        "pertask__estimator__alpha": 0.1
    }


@pytest.mark.usefixtures("routing")
@pytest.mark.parametrize("kind", ["pandas", "polars"])
def test_on_frames_and_categorical_tasks(kind):
    library = importlib.import_module(kind)
    dtype = {"pandas": "category", "polars": getattr(library, "Categorical", None)}
    frame = library.DataFrame({"a": X[:, 0], "b": X[:, 1]})
    task = library.Series(TASK.tolist(), dtype=dtype[kind])
    options = {"cv": TaskKFold(4), "scoring": FewShotScorer(), "error_score": "raise"}
    model = make_pipeline(make_column_transformer((StandardScaler(), ["a", "b"])))
    model.steps.append(("pertask", PerTask(Ridge(alpha=0.1))))
    scores = cross_val_score(model, frame, Y, params={"task": task}, **options)
    expected = cross_val_score(pipe(), X, Y, params={"task": TASK}, **options)
    np.testing.assert_allclose(scores, expected)


@pytest.mark.usefixtures("routing")
def test_on_column_transformer_in_front():
    front = ColumnTransformer([("scale", StandardScaler(), [0, 1])])
    model = make_pipeline(front, PerTask(Ridge())).fit(X, Y, task=TASK)
    assert len(model[-1].tasks_) == 8


@pytest.mark.usefixtures("routing")
def test_on_other_tools_of_model_selection():
    options = {"params": {"task": TASK}, "cv": TaskKFold(3)}
    assert cross_val_predict(pipe(), X, Y, **options).shape == (120,)
    sizes, _, scores = learning_curve(pipe(), X, Y, error_score="raise", **options)
    assert scores.shape == (len(sizes), 3)
    score, _, _ = permutation_test_score(pipe(), X, Y, n_permutations=2, **options)
    assert score > 0.8


@pytest.mark.usefixtures("routing")
@pytest.mark.parametrize(
    "wrap",
    [
        lambda model: BaggingClassifier(model, n_estimators=2, random_state=0),
        lambda model: VotingClassifier([("model", model)]),
        lambda model: CalibratedClassifierCV(model, cv=TaskKFold(3)),
        OneVsRestClassifier,
    ],
    ids=["bagging", "voting", "calibrated", "one-vs-rest"],
)
def test_on_ensembles_pass_task_on(wrap):
    model = wrap(Pooled(LogisticRegression())).fit(Z, LABELS, task=TASK)
    assert model.score(Z, LABELS) > 0.8


@pytest.mark.usefixtures("routing")
def test_on_stacking_does_not_work():
    # It passes `task` to its final LogisticRegression too. Should this start to pass,
    # the documentation's list of what composes can grow.
    model = StackingClassifier([("model", Pooled(LogisticRegression()))])
    with pytest.raises(TypeError, match="task"):
        model.fit(Z, LABELS, task=TASK)


@pytest.mark.usefixtures("routing")
def test_on_transformed_target():
    model = TransformedTargetRegressor(pipe(), transformer=StandardScaler())
    options = {"params": {"task": TASK}, "cv": TaskKFold(4), "error_score": "raise"}
    scores = cross_val_score(model, X, 3 * Y, scoring=FewShotScorer(), **options)
    assert scores.min() > 0.8


@pytest.mark.usefixtures("routing")
def test_on_pipeline_score_needs_sample_weight_in_the_signature():
    model = pipe().fit(X, Y, task=TASK)
    assert model.score(X, Y, task=TASK) > 0.8
    assert model.score(X, Y) < 0.1


# Scorers --------------------------------------------------------------------------


def task_was_none(estimator, X, y, task=None):
    return float(task is None)


class WithoutScoreMethod(_MetadataRequester):
    """A scorer class that scikit-learn does not recognise as a consumer."""

    __metadata_request__score = {"task": True}

    def __call__(self, estimator, X, y, *, task):
        return 1.0


@pytest.mark.usefixtures("routing")
def test_a_plain_callable_never_receives_task():
    options = {"params": {"task": TASK}, "cv": TaskKFold(4)}
    scores = cross_val_score(pipe(), X, Y, scoring=task_was_none, **options)
    np.testing.assert_array_equal(scores, 1)


@pytest.mark.usefixtures("routing")
@pytest.mark.filterwarnings("ignore:Scoring failed:UserWarning")
def test_a_scorer_class_without_score_method_yields_nan():
    options = {"params": {"task": TASK}, "cv": TaskKFold(4)}
    scores = cross_val_score(pipe(), X, Y, scoring=WithoutScoreMethod(), **options)
    assert np.isnan(scores).all()
    assert callable(FewShotScorer.score)
    scores = cross_val_score(pipe(), X, Y, scoring=FewShotScorer(), **options)
    assert np.isfinite(scores).all()


# Support rows are not metadata ----------------------------------------------------


class TakesSupport(RegressorMixin, BaseEstimator):
    """Predicts the mean of the support rows that `predict` receives."""

    __metadata_request__predict = {"X_support": True}

    def fit(self, X, y):
        self.n_features_in_ = X.shape[1]
        return self

    def predict(self, X, X_support=None):
        return np.full(len(X), np.mean(X_support))


@pytest.mark.usefixtures("routing")
def test_metadata_of_predict_passes_a_pipeline_unscaled():
    model = make_pipeline(StandardScaler(), TakesSupport()).fit(X, Y)
    reached = model.predict(X, X_support=X)[0]
    assert reached == pytest.approx(X.mean())
    assert abs(reached) > 10
    # What `adapted` is for: the steps transform the support.
    new = adapted(pipe().fit(X, Y, task=TASK), X[:15], Y[:15])
    scaled = StandardScaler().fit(X).transform(X[:15])
    expected = Ridge(alpha=0.1).fit(scaled, Y[:15]).predict(scaled)
    np.testing.assert_allclose(new.predict(X[:15]), expected)
