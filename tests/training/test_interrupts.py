"""Ctrl-C: heeded when an update is done, and never mistaken for early stopping."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

import os
import signal
import threading

import numpy as np
import pytest
from killing import CtrlC, learned
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LinearRegression
from skorch.callbacks import Callback

from sklmeta import BayesianLinearRegressor, MAMLRegressor, PerTask, Pooled
from sklmeta.datasets import make_linear_tasks
from sklmeta.training.interrupts import hold_interrupts, interrupts_noted

X, Y, TASK = make_linear_tasks(12, n_rows=10, random_state=0)
MANY = 10**6


def regressor(**params):
    plain = {"hidden_layer_sizes": (), "start": None, "early_stopping": False}
    return BayesianLinearRegressor(random_state=0, **plain, **params)


def interrupted(est):
    said = pytest.warns(ConvergenceWarning, match=f"of {MANY} meta-updates")
    with said, pytest.raises(KeyboardInterrupt):
        est.fit(X, Y, task=TASK)
    return est


@pytest.mark.parametrize(
    ("event", "at", "n_iter"),
    [
        ("on_batch_begin", 7, 7),
        ("on_batch_end", 130, 130),
        ("on_epoch_begin", 2, 101),
        ("on_epoch_end", 1, 100),  # where skorch's callbacks stop a training
    ],
)
def test_ctrl_c_stops_at_the_end_of_the_update(event, at, n_iter):
    est = interrupted(regressor(max_iter=MANY, callbacks=[CtrlC(event, at)]))
    assert est.n_iter_ == n_iter
    alike = regressor(max_iter=MANY)
    alike.set_params(callbacks=[StopAfter(n_iter)])
    assert learned(interrupted(alike))[0] == learned(est)[0]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


class StopAfter(Callback):
    """Raises what a user's Ctrl-C raises, after so many updates."""

    def __init__(self, n_iter):
        self.n_iter = n_iter

    def initialize(self):
        self.n_done_ = 0
        return self

    def on_batch_end(self, net, **kwargs):
        self.n_done_ += 1
        if self.n_done_ == self.n_iter:
            raise KeyboardInterrupt


def test_an_interrupt_while_folds_are_asked_leaves_what_the_fold_has_learned():
    est = MAMLRegressor(
        max_iter=MANY, meta_batch_size=1, early_stopping="folds", random_state=0
    )
    threading.Timer(0.4, os.kill, (os.getpid(), signal.SIGINT)).start()
    interrupted(est)
    assert est.n_iter_ >= 1
    assert np.isfinite(est.adapt(X[:3], Y[:3]).predict(X)).all()


def test_before_the_first_update_the_earlier_fit_is_kept():
    est = regressor(max_iter=3).fit(X, Y, task=TASK)
    before = learned(est)
    est.set_params(module=Impatient)
    with pytest.raises(KeyboardInterrupt):
        est.fit(X, Y, task=TASK)
    assert learned(est.set_params(module=None)) == before


class Impatient:
    """Stands for a user who presses Ctrl-C before there is a network."""

    def __init__(self, n_features_in):
        os.kill(os.getpid(), signal.SIGINT)


class Slow(LinearRegression):
    """Is interrupted at its second fit."""

    n_fits = 0

    def fit(self, X, y):
        Slow.n_fits += 1
        if Slow.n_fits == 2:
            os.kill(os.getpid(), signal.SIGINT)
        return super().fit(X, y)


def test_a_pooled_model_keeps_its_earlier_fit_and_a_tasks_own_its_adaptation():
    Slow.n_fits = 0
    pooled = Pooled(Slow()).fit(X, Y, task=TASK)
    before = pooled.predict(X)
    with pytest.raises(KeyboardInterrupt):
        pooled.fit(X[:50], Y[:50], task=TASK[:50])
    assert np.array_equal(pooled.predict(X), before)
    own = PerTask(Slow()).fit(X, Y, task=TASK)
    Slow.n_fits = 0
    before = own.adapt(X[:5], Y[:5]).predict(X)
    with pytest.raises(KeyboardInterrupt):
        own.adapt(X[5:], Y[5:])
    assert np.array_equal(own.predict(X), before)


def test_a_second_one_does_not_wait_and_the_first_is_not_lost():
    def press_twice():
        with interrupts_noted():
            hold_interrupts()
            os.kill(os.getpid(), signal.SIGINT)
            with pytest.raises(KeyboardInterrupt):
                os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        press_twice()


def test_another_handler_is_left_alone():
    seen = []
    old = signal.signal(signal.SIGINT, lambda *_: seen.append(1))
    try:
        with interrupts_noted():
            hold_interrupts()
            os.kill(os.getpid(), signal.SIGINT)
        assert seen == [1]
    finally:
        signal.signal(signal.SIGINT, old)
