"""The logistic mixed model beside a network: its modes, and where it is fitted."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import numpy as np
import pytest
import torch
from slow_references import N_CLASSES, N_FEATURES, away_from_start, ragged_episodes
from slow_references import one_task as alone

import sklmeta
from sklmeta.datasets import make_classification_tasks
from sklmeta.episodes.rows import Rows
from sklmeta.estimator import fitting
from sklmeta.learners.engine import EngineWarning
from sklmeta.learners.task_spec import TaskSpec
from sklmeta.mixed_models import start as start_module
from sklmeta.mixed_models.families import family_of_classes
from sklmeta.mixed_models.start import MixedClassStart, mixed_class_start
from sklmeta.model_based.mixed_class_skip import MixedClassSkip
from sklmeta.model_based.mixed_skip import with_constant
from sklmeta.model_based.neural_process import NeuralProcessLearner
from sklmeta.model_based.transformer import TransformerNeuralProcessLearner

LEARNERS = [TransformerNeuralProcessLearner, NeuralProcessLearner]
ESTIMATORS = [
    sklmeta.TransformerNeuralProcessClassifier,
    sklmeta.NeuralProcessClassifier,
]


def random_start(n_features: int, n_classes: int, scale: float = 1.0):
    rng = np.random.default_rng(0)
    shape = (n_features + 1, n_classes - 1)
    root = scale * np.tril(rng.normal(size=(n_features + 1, n_features + 1)))
    return MixedClassStart(scale * rng.normal(size=shape), root)


def skip_and_rows(n_features, n_classes, n_rows, scale=1.0):
    skip = MixedClassSkip(n_features, n_classes).double()
    skip.start_from(random_start(n_features, n_classes, scale))
    generator = torch.Generator().manual_seed(1)
    X = torch.randn(4, n_rows, n_features, generator=generator, dtype=torch.float64)
    y = torch.randint(0, n_classes, (4, n_rows), generator=generator)
    mask = torch.ones(4, n_rows, dtype=torch.float64)
    mask[1, n_rows // 2 :] = 0
    return skip, Rows(X, y, mask, n_classes)


@pytest.mark.parametrize("n_classes", [2, 4])
@pytest.mark.parametrize("n_features, n_rows", [(2, 12), (9, 3), (6, 7)])
@pytest.mark.parametrize("scale", [0.5, 10.0])
def test_the_random_effects_are_at_their_mode(n_features, n_rows, n_classes, scale):
    skip, rows = skip_and_rows(n_features, n_classes, n_rows, scale)
    family, design = family_of_classes(n_classes), with_constant(rows.X)
    shift = skip.adapt(rows)["coef"] - skip.coef
    u = torch.linalg.solve(skip.root, shift).requires_grad_()
    eta = design @ (skip.coef + skip.root @ u)
    fit = rows.mask * family.log_likelihood(eta, rows.y.double(), 0.0)
    objective = 0.5 * u.square().sum() - fit.sum()
    (gradient,) = torch.autograd.grad(objective, u)
    assert gradient.abs().max() < 1e-5 * scale


@pytest.mark.parametrize("n_classes", [2, 4])
@pytest.mark.parametrize("n_features, n_rows", [(2, 12), (9, 3)])
def test_padding_and_other_tasks_change_nothing(n_features, n_rows, n_classes):
    skip, rows = skip_and_rows(n_features, n_classes, n_rows)
    X, y = rows.X.clone(), rows.y.clone()
    X[1, n_rows // 2 :], y[1, n_rows // 2 :] = 1e4, 1
    state, other = skip.adapt(rows), skip.adapt(rows._replace(X=X, y=y))
    for name in state:
        torch.testing.assert_close(other[name], state[name], rtol=1e-6, atol=1e-8)
    for t in range(4):
        single = skip.adapt(alone(rows, t))
        for name in state:
            torch.testing.assert_close(
                single[name][0], state[name][t], rtol=1e-6, atol=1e-8
            )


def test_without_rows_the_fixed_effects_speak_and_less_than_with_many():
    skip, rows = skip_and_rows(3, 4, 40)
    empty = Rows(rows.X[:, :0], rows.y[:, :0], rows.mask[:, :0], 4)
    state = skip.adapt(empty)
    torch.testing.assert_close(state["coef"], skip.coef.expand(4, -1, -1))
    unsure, sure = (
        skip.describe(skip.adapt(support), rows.X)[1] for support in (empty, rows)
    )
    assert (sure[0] < unsure[0]).all()


@pytest.mark.parametrize("n_rows", [3, 30])
def test_wild_rows_leave_finite_logits(n_rows):
    skip, rows = skip_and_rows(5, 3, n_rows, 100.0)
    X = rows.X.clone()
    X[0, 0], X[2] = 1e4, 1e4
    y = rows.y.clone()
    y[3] = 0
    logits, log_divisor = skip.describe(skip.adapt(rows._replace(X=X, y=y)), X)
    assert torch.isfinite(logits).all() and torch.isfinite(log_divisor).all()


@pytest.mark.parametrize("make", LEARNERS)
def test_learning_begins_at_the_mixed_model(make):
    spec = TaskSpec("shared", (N_FEATURES,), 0, N_CLASSES)
    learner = make(spec, None, d_model=8, n_layers=2, n_heads=2, skips=True).double()
    learner.start_from(random_start(N_FEATURES, N_CLASSES))
    support, query = ragged_episodes("shared")
    skip = learner.class_skip
    expected = skip.describe(skip.adapt(support), query.X)[0]
    output = learner.predict(learner.adapt(support), query.X)
    torch.testing.assert_close(output, expected)


@pytest.mark.parametrize("make", LEARNERS)
def test_tasks_are_independent_beside_the_mixed_model(make):
    spec = TaskSpec("shared", (N_FEATURES,), 0, N_CLASSES)
    learner = away_from_start(
        lambda: make(spec, None, d_model=8, n_layers=2, n_heads=2, skips=True)
    )
    learner.start_from(random_start(N_FEATURES, N_CLASSES))
    episodes = ragged_episodes("shared")
    losses = learner.meta_loss(episodes)
    for t, loss in enumerate(losses):
        single = type(episodes)(*(alone(rows, t) for rows in episodes))
        torch.testing.assert_close(learner.meta_loss(single)[0], loss)


def two_classes(n_tasks=40):
    how = {"n_way": 2, "n_features": 4, "shared_labels": True, "random_state": 0}
    X, y, task = make_classification_tasks(n_tasks, **how)
    return X, np.array(["no", "yes"])[y], task


@pytest.mark.parametrize("make", ESTIMATORS)
def test_no_updates_give_the_mixed_model(make):
    X, y, task = two_classes()
    old, first = task < 35, np.arange(len(y)) % 50 < 6
    mixed = sklmeta.MixedModelClassifier().fit(X[old], y[old], task=task[old])
    est = make(max_iter=0).fit(X[old], y[old], task=task[old])
    for model in (mixed, est):
        model.adapt(X[~old & first], y[~old & first], task=task[~old & first])
    query = ~old & ~first
    expected, got = (m.predict_proba(X[query], task=task[query]) for m in (mixed, est))
    np.testing.assert_allclose(got, expected, atol=0.005)


def test_several_classes_begin_close_to_the_mixed_model():
    X, y, task = make_classification_tasks(
        30, n_way=4, n_features=4, shared_labels=True, random_state=0
    )
    mixed = sklmeta.MixedModelClassifier().fit(X, y, task=task)
    est = sklmeta.TransformerNeuralProcessClassifier(max_iter=0).fit(X, y, task=task)
    first = np.arange(len(y)) % 50 < 8
    for model in (mixed, est):
        model.adapt(X[first], y[first], task=task[first])
    expected, got = (m.predict_proba(X, task=task) for m in (mixed, est))
    assert np.abs(got - expected).mean() < 0.03


@pytest.mark.parametrize("make", ESTIMATORS)
@pytest.mark.parametrize("case", ["own", "images"])
def test_the_start_has_no_effect_on_own_classes_and_images(make, case):
    X, y, task = make_classification_tasks(
        8, n_way=3, n_features=4, shared_labels=case == "images", random_state=0
    )
    params = {"max_iter": 3, "random_state": 0, "d_model": 8}
    if case == "own":
        params["shared_classes"] = False
    else:
        X = X.reshape(-1, 1, 2, 2)
        params["module"] = torch.nn.Flatten
    with_start, without = (
        make(start=start, **params).fit(X, y, task=task)
        for start in ("mixed_model", None)
    )
    weights = with_start._fitted.weights, without._fitted.weights
    assert weights[0].keys() == weights[1].keys()
    for name, value in weights[0].items():
        np.testing.assert_array_equal(value, weights[1][name])


def test_tasks_held_out_by_early_stopping_are_not_fitted(monkeypatch):
    seen = []

    def remember(X, y, codes, n_tasks, n_classes):
        seen.append((len(np.unique(codes)), X.mean(), n_classes))

    monkeypatch.setattr(fitting, "mixed_class_start", remember)
    X, y, task = two_classes(20)
    est = sklmeta.TransformerNeuralProcessClassifier(
        max_iter=1, early_stopping=True, validation_fraction=0.25, random_state=0
    )
    est.fit(X, y, task=task)
    assert [(n, k) for n, _, k in seen] == [(15, 2)]
    est.set_params(warm_start=True).fit(X, y, task=task)  # goes on from its weights
    est.set_params(warm_start=False, start=None).fit(X, y, task=task)
    assert len(seen) == 1


def test_many_classes_and_columns_leave_random_intercepts_or_nothing(monkeypatch):
    X, y, task = make_classification_tasks(
        12, n_way=3, n_features=4, shared_labels=True, random_state=0
    )
    how = X, y, task, 12, 3
    assert mixed_class_start(*how).root.shape == (5, 5)
    monkeypatch.setattr(start_module, "MOST_WORK", 1e3)
    start = mixed_class_start(*how)
    assert start.root.shape == (5, 1)
    assert not start.root[:-1].any()
    skip = MixedClassSkip(4, 3)
    skip.start_from(start)
    mask = torch.ones(1, 6, dtype=torch.float64)
    support = Rows(torch.tensor(X[None, :6]), torch.tensor(y[None, :6]), mask, 3)
    shift = skip.adapt(support)["coef"] - skip.coef
    assert shift[0, -1].any() and not shift[0, :-1].any()
    monkeypatch.setattr(start_module, "MOST_EFFECTS", 9)
    assert mixed_class_start(*how) is None
    few = task < 2
    assert mixed_class_start(X[few], y[few], task[few], 2, 3) is None


@pytest.mark.parametrize("make", ESTIMATORS)
@pytest.mark.filterwarnings("ignore:.* was fitted to 2 tasks")
def test_one_table_and_two_tasks_are_learned_without_a_mixed_model(make):
    X, y, task = two_classes(2)
    params = {"max_iter": 2, "d_model": 8, "random_state": 0}
    assert make(**params).fit(X, y).predict(X).shape == y.shape
    est = make(**params).fit(X, y, task=task)
    assert np.isfinite(est.predict_proba(X)).all()


@pytest.mark.parametrize("n_tasks, n_rows", [(3000, 4), (30, 400)])
def test_of_many_rows_some_are_fitted(n_tasks, n_rows, monkeypatch):
    seen = []

    def remember(rows, *others, **more):
        seen.append(np.bincount(rows.codes, minlength=n_tasks))
        raise StopIteration

    monkeypatch.setattr(start_module, "fit_generalised", remember)
    monkeypatch.setattr(start_module, "MOST_ROWS", 3000)
    codes = np.tile(np.arange(n_tasks), n_rows)
    X = np.random.default_rng(0).normal(size=(len(codes), 2))
    with pytest.raises(StopIteration):
        mixed_class_start(X, codes % 2, codes, n_tasks, 2)
    (sizes,) = seen
    assert 2000 <= sizes.sum() <= 3000
    assert np.unique(sizes[sizes > 0]).tolist() == [min(n_rows, 100)]


def test_training_beside_it_is_not_compiled():
    X, y, task = two_classes(10)
    params = {"max_iter": 2, "early_stopping": False, "d_model": 8, "random_state": 0}
    est = sklmeta.TransformerNeuralProcessClassifier(compile=True, **params)
    with pytest.warns(EngineWarning, match="the mixed model of classes"):
        est.fit(X, y, task=task)
    assert est.compile_time_ == 0
