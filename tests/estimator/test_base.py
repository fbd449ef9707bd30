"""The contract of `fit`, `adapt` and `predict`, on one learner of each kind."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

import threading
import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from torch import nn

from sklmeta import (
    BayesianLinearRegressor,
    MAMLRegressor,
    NonFiniteLossError,
    NotAdaptedError,
    ProtoNetClassifier,
    TaskCollection,
)


def regressor(**params):
    usual = {"max_iter": 20, "early_stopping": False, "random_state": 0}
    return BayesianLinearRegressor(**{**usual, **params})


def classifier(**params):
    return ProtoNetClassifier(**{"max_iter": 20, "random_state": 0, **params})


# Forms of input ---------------------------------------------------------------


def test_a_collection_brings_its_own_targets(regression_tasks):
    X, y, task = regression_tasks
    tasks = TaskCollection(X, y, task)
    with pytest.raises(ValueError, match="brings its own y and task"):
        regressor().fit(tasks, y)
    est = regressor().fit(tasks)
    expected = est.adapt(X, y, task=task).predict(X, task=task)
    pairs = [tuple(pair) for pair in tasks]
    for supports, names in ((tasks, task), (pairs, task - task.min())):
        found = est.adapt(supports).predict(X, task=names)
        np.testing.assert_allclose(found, expected, rtol=1e-10)


def test_data_frames_keep_their_names(regression_tasks):
    X, y, task = regression_tasks
    frame = pd.DataFrame(X, columns=["age", "dose", "time"])
    est = regressor().fit(frame, pd.Series(y), task=pd.Series(task).astype("category"))
    assert est.feature_names_in_.tolist() == ["age", "dose", "time"]
    with pytest.raises(ValueError, match="feature names"):
        est.adapt(frame.rename(columns={"age": "years"}), y)
    with pytest.raises(ValueError, match="X has 2 features, but"):
        regressor().fit(X, y, task=task).adapt(X[:, :2], y)


def test_from_splits_trains_on_the_given_supports():
    rng = np.random.default_rng(0)
    splits = []
    for _ in range(12):
        X = rng.normal(size=(9, 2))
        splits.append((X[:4], X[:4, 0], X[4:], X[4:, 0]))
    est = regressor().fit(TaskCollection.from_splits(splits))
    assert est.n_iter_ == 20


def test_images_reach_the_encoder():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 1, 8, 8))
    y = np.tile([0, 1, 2], 20)
    X[np.arange(60), 0, y, y] += 5
    task = np.repeat(np.arange(6), 10)

    class Encoder(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten())

        def forward(self, X):
            return self.layers(X)

    est = classifier(module=Encoder).fit(X, y, task=task)
    est.adapt(X[:6], y[:6])
    assert est.transform(X[:3]).shape == (3, 4 * 6 * 6)
    with pytest.raises(ValueError, match=r"rows of shape \(1, 9, 9\)"):
        est.predict(rng.normal(size=(2, 1, 9, 9)))


# State after fit --------------------------------------------------------------


def test_predict_and_task_must_go_together(regression_tasks):
    X, y, task = regression_tasks
    est = regressor().fit(X, y, task=task)
    with pytest.raises(ValueError, match=r"Call adapt\(X, y, task=...\) first"):
        est.predict(X, task=task)
    est.adapt(X, y, task=task)
    with pytest.raises(ValueError, match="adapted to 30 tasks; predict needs task"):
        est.predict(X)
    with pytest.raises(ValueError, match=r"6 label\(s\).*100, 101, 102, 103, 104\."):
        est.predict(X[:6], task=np.arange(100, 106))
    est.adapt(X[:3], y[:3])
    with pytest.raises(ValueError, match="predict was given task"):
        est.predict(X, task=task)


def test_unfitted_estimators_say_so(regression_tasks):
    X, y, _ = regression_tasks
    for call in (lambda e: e.predict(X), lambda e: e.adapt(X, y)):
        with pytest.raises(NotFittedError, match="not fitted yet"):
            call(regressor())
    assert issubclass(NotAdaptedError, NotFittedError)


def test_warm_start_adds_updates(regression_tasks):
    X, y, task = regression_tasks
    est = regressor(warm_start=True, max_iter=150).fit(X, y, task=task)
    weights = est._fitted.weights
    est.set_params(max_iter=50).fit(X, y, task=task)
    assert est.n_iter_ == 200
    assert [row["n_iter"] for row in est.history_] == [100, 150, 50]
    assert any((est._fitted.weights[k] != v).any() for k, v in weights.items())
    with pytest.raises(ValueError, match="goes on with 3 features, but X has 2"):
        est.fit(X[:, :2], y, task=task)
    assert est.n_features_in_ == 3


def test_warm_start_wants_the_same_classes(shared_tasks):
    X, y, task = shared_tasks
    est = classifier(warm_start=True).fit(X, y, task=task)
    with pytest.raises(ValueError, match="same classes"):
        est.fit(X, np.where(y == "ill", "dead", y), task=task)
    assert est.classes_.tolist() == ["ill", "unsure", "well"]


def test_network_changed_after_fit_is_an_error(regression_tasks):
    X, y, task = regression_tasks
    est = regressor().fit(X, y, task=task).set_params(hidden_layer_sizes=(3,))
    with pytest.raises(ValueError, match="changed since fit; call fit again"):
        est.predict(X)


# Meta-training ----------------------------------------------------------------


def test_early_stopping_on_held_out_tasks(regression_tasks):
    X, y, task = regression_tasks
    est = regressor(max_iter=5000, early_stopping=True, n_iter_no_change=2, lr=1e-2)
    est.fit(X, y, task=task)
    assert est.n_iter_ < 5000
    losses = [row["valid_loss"] for row in est.history_]
    assert len(losses) - np.argmin(losses) - 1 == 2


def test_early_stopping_with_three_tasks_warns(regression_tasks):
    X, y, task = regression_tasks
    few = task < 3
    with pytest.warns(UserWarning, match="With 3 tasks, early stopping is judged on"):
        est = regressor(early_stopping=True).fit(X[few], y[few], task=task[few])
    assert "valid_loss" in est.history_[0]


@pytest.mark.parametrize("n_way", [None, 2])
def test_early_stopping_from_one_table(shared_tasks, n_way):
    X, _, _ = shared_tasks
    y = np.arange(len(X)) % 12
    est = classifier(early_stopping=True, n_way=n_way, n_shots=2, n_query=2).fit(X, y)
    assert np.isfinite(est.history_[0]["valid_loss"])


def test_interrupt_before_an_epoch_leaves_nothing(regression_tasks):
    X, y, task = regression_tasks
    est = regressor(module=Interrupting, module_params={"at": 5})
    with pytest.raises(KeyboardInterrupt):
        est.fit(X, y, task=task)
    assert not hasattr(est, "n_features_in_")
    with pytest.raises(NotFittedError):
        est.predict(X)


def test_interrupt_after_an_epoch_leaves_its_state(regression_tasks):
    X, y, task = regression_tasks
    est = regressor(module=Interrupting, module_params={"at": 500}, max_iter=1000)
    said = pytest.warns(ConvergenceWarning, match="Interrupted after")
    with said, pytest.raises(KeyboardInterrupt):
        est.fit(X, y, task=task)
    assert est.n_iter_ == len(est.history_) * 100 < 600  # whole epochs
    assert np.isfinite(est.predict(X)).all()


class Interrupting(nn.Module):
    """Stands for a user who presses Ctrl-C at its n-th forward pass in training."""

    def __init__(self, n_features_in, at):
        super().__init__()
        self.layer = nn.Linear(n_features_in, 4)
        self.at = at
        self.n_calls = 0

    def forward(self, X):
        if self.training:
            self.n_calls += 1
            if self.n_calls == self.at:
                raise KeyboardInterrupt
        return self.layer(X)


def test_non_finite_loss_names_the_iteration_and_keeps_the_last_good_state(
    regression_tasks,
):
    X, y, task = regression_tasks
    est = MAMLRegressor(
        lr=1e8, max_grad_norm=None, optimizer="SGD", max_iter=300, random_state=0
    )
    with pytest.raises(NonFiniteLossError, match="not finite at iteration"):
        est.fit(X, y, task=task)
    assert np.isfinite(est.predict(X)).all()


def test_skorch_callbacks_run_and_can_stop(regression_tasks):
    from skorch.callbacks import Callback

    class StopAtTwo(Callback):
        def on_epoch_end(self, net, **kwargs):
            if len(net.history) == 2:
                raise KeyboardInterrupt

    X, y, task = regression_tasks
    est = regressor(max_iter=1000, callbacks=[StopAtTwo()]).fit(X, y, task=task)
    assert est.n_iter_ in (100, 200)
    assert np.isfinite(est.predict(X)).all()


@pytest.mark.filterwarnings("ignore:max_iter=0 asks for no meta-update")
def test_gradient_clipping_bounds_the_step(regression_tasks):
    X, y, task = regression_tasks
    start = regressor(max_iter=0).fit(X, y, task=task)._fitted.weights
    step = regressor(
        max_iter=1,
        max_grad_norm=1e-3,
        optimizer="SGD",
        lr=1.0,
        lr_schedule="constant",
        weight_decay=0.0,
    )
    after = step.fit(X, y, task=task)._fitted.weights
    moved = sum(np.square(after[k] - v).sum() for k, v in start.items())
    assert 0 < np.sqrt(moved) <= 1e-3 * 1.01


def test_scikit_learn_progress_bar(regression_tasks, capsys):
    callback = pytest.importorskip("sklearn.callback")
    X, y, task = regression_tasks
    monitor = callback.ScoringMonitor(scoring="r2")
    est = regressor(max_iter=300).set_callbacks(callback.ProgressBar(), monitor)
    with warnings.catch_warnings():
        # rich warns of a terminal it does not know, which is not what is tested
        warnings.simplefilter("ignore")
        est.fit(X, y, task=task)
    assert est.n_iter_ == 300
    assert len(monitor.get_logs().data_as_pandas) == 3


def test_threads_do_not_disturb_each_other(regression_tasks):
    X, y, task = regression_tasks
    alone = regressor(module=Dropping, max_iter=60).fit(X, y, task=task)
    fits = [regressor(module=Dropping, max_iter=60) for _ in range(3)]
    n_threads = torch.get_num_threads()
    workers = [
        threading.Thread(target=est.fit, args=(X, y), kwargs={"task": task})
        for est in fits
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert torch.get_num_threads() == n_threads
    for est in fits:
        for name, value in alone._fitted.weights.items():
            np.testing.assert_array_equal(value, est._fitted.weights[name])


class Dropping(nn.Sequential):
    """A module whose every forward pass draws from torch's global generator."""

    def __init__(self, n_features_in):
        super().__init__(nn.Linear(n_features_in, 8), nn.ReLU(), nn.Dropout(0.5))


def test_running_statistics_are_learned_in_meta_training_only(shared_tasks):
    X, y, task = shared_tasks

    class Normed(nn.Sequential):
        def __init__(self, n_features_in):
            super().__init__(nn.Linear(n_features_in, 8), nn.BatchNorm1d(8))

    est = classifier(module=Normed).fit(X, y, task=task)
    name = next(key for key in est._fitted.weights if key.endswith("running_mean"))
    learned = est._fitted.weights[name].copy()
    assert np.abs(learned).max() > 0
    est.adapt(X[:10], y[:10])
    one, many = est.predict_proba(X[:1]), est.predict_proba(X)
    np.testing.assert_allclose(one, many[:1])
    np.testing.assert_array_equal(learned, est._fitted.weights[name])
    est.set_params(transductive=True)
    assert np.abs(est.predict_proba(X[:5]) - many[:5]).max() > 1e-6
