"""What fit and adapt leave, and the built learner that is kept beside it."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

import pickle
import threading

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge
from torch import nn

from sklmeta import MAMLRegressor, NearestCentroidBaseline, PerTask, adapted
from sklmeta.datasets import make_classification_tasks, make_sinusoids

X, Y, TASK = make_sinusoids(12, n_rows=12, random_state=0)
NEW = slice(0, 5)


class Drawing(nn.Module):
    """Draws in its constructor what no state dict holds."""

    def __init__(self, n_features_in):
        super().__init__()
        self.frequencies = torch.randn(n_features_in, 6)
        self.linear = nn.Linear(6, 4)

    def forward(self, X):
        return self.linear(torch.sin(X @ self.frequencies.to(X)))


def regressor(**params):
    params = {"hidden_layer_sizes": (4,), "max_iter": 3, "random_state": 0, **params}
    return MAMLRegressor(**params).fit(X, Y, task=TASK)


@pytest.mark.parametrize("module", [None, Drawing])
def test_adapt_and_predict_touch_nothing_global(module, monkeypatch):
    est = regressor(module=module)
    loaded = pickle.loads(pickle.dumps(est))  # without a built module

    def refuse(*args, **kwargs):
        raise AssertionError("the process's generator was seeded")

    monkeypatch.setattr(torch, "manual_seed", refuse)
    before = torch.get_rng_state()
    est.adapt(X[NEW], Y[NEW])
    expected = est.predict(X)
    np.testing.assert_array_equal(loaded.adapt(X[NEW], Y[NEW]).predict(X), expected)
    assert torch.equal(torch.get_rng_state(), before)


def test_another_thread_gets_no_number_twice():
    est = regressor()
    drawn, done = [], threading.Event()

    def draw():
        while not done.is_set():
            drawn.append(torch.rand(64))

    thread = threading.Thread(target=draw)
    thread.start()
    for _ in range(20):  # each copy builds its module anew
        pickle.loads(pickle.dumps(est)).predict(X[:3])
    done.set()
    thread.join()
    firsts = torch.stack(drawn)[:, 0]
    # In single precision a few of many numbers agree by chance.
    assert len(firsts.unique()) > 0.99 * len(firsts)


def test_a_built_learner_is_lent_to_one_caller_at_a_time():
    est = regressor()
    with est._lent_learner() as one, est._lent_learner() as other:
        assert one is not other
    with adapted(est, X[NEW], Y[NEW])._lent_learner() as again:
        assert again is one or again is other


def test_a_learner_that_an_error_interrupted_is_not_lent_again():
    est = regressor()
    with pytest.raises(RuntimeError), est._lent_learner() as broken:
        raise RuntimeError
    with est._lent_learner() as learner:
        assert learner is not broken


def test_parameters_set_after_fit_count_at_the_next_adaptation():
    est = regressor(adapt_steps=1).adapt(X[NEW], Y[NEW])
    one_step = est.predict(X)
    many = est.set_params(adapt_steps=20).adapt(X[NEW], Y[NEW]).predict(X)
    assert not np.array_equal(many, one_step)
    expected = regressor(adapt_steps=20).adapt(X[NEW], Y[NEW]).predict(X)
    np.testing.assert_array_equal(many, expected)


def test_reset_adaptation_goes_back_to_what_fit_left():
    for est in (regressor(), PerTask(Ridge()).fit(X, Y, task=TASK)):
        expected = est.predict(X)
        assert est.adapt(X, Y, task=TASK).reset_adaptation() is est
        np.testing.assert_array_equal(est.predict(X), expected)


def test_reset_adaptation_brings_the_classes_back():
    X, y, task = make_classification_tasks(6, random_state=0)
    est = NearestCentroidBaseline(shared_classes=False).fit(X, y, task=task)
    classes = est.classes_
    assert len(est.adapt(X[task == 1], y[task == 1]).classes_) < len(classes)
    np.testing.assert_array_equal(est.reset_adaptation().classes_, classes)
