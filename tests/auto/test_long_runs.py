"""A blend that is interrupted, or killed and begun again."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

import os
import signal

import numpy as np
import pytest
from killing import CtrlC, dying
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import Ridge

from sklmeta import AutoMetaRegressor, BayesianLinearRegressor, PerTask
from sklmeta.datasets import make_linear_tasks

X, Y, TASK = make_linear_tasks(12, n_rows=10, random_state=0)


def blend(ridge, **params):
    learner = BayesianLinearRegressor(
        hidden_layer_sizes=(),
        start=None,
        early_stopping=False,
        max_iter=120,
        random_state=0,
    )
    members = [("own", PerTask(ridge)), ("mixed", learner)]
    return AutoMetaRegressor(
        estimators=members, shots=[0, 2, 5], cv=3, n_draws=1, random_state=0, **params
    )


def outcome(est):
    est.adapt(X[:3], Y[:3])
    return est.predict(X).tobytes(), est.weights_.to_numpy().tobytes()


def test_a_killed_blend_ends_where_a_whole_one_does(tmp_path, monkeypatch):
    whole = outcome(blend(Ridge()).fit(X, Y, task=TASK))
    est = blend(Ridge(), checkpoint_dir=tmp_path)
    for n in (3, 3, 1, 3):  # writings
        with dying(monkeypatch, n):
            est.fit(X, Y, task=TASK)
    assert outcome(est.fit(X, Y, task=TASK)) == whole
    with pytest.raises(ValueError, match=r"another fit: shots was \[0, 2, 5\], and is"):
        est.set_params(shots=[1, 2]).fit(X, Y, task=TASK)


class CtrlCAt(Ridge):
    """Is interrupted at its n-th fit."""

    n_fits = 0

    def fit(self, X, y):
        CtrlCAt.n_fits += 1
        if CtrlCAt.n_fits == self.max_iter:
            os.kill(os.getpid(), signal.SIGINT)
        return super().fit(X, y)


def test_ctrl_c_leaves_the_members_that_are_done_or_the_earlier_fit():
    est = blend(Ridge()).fit(X, Y, task=TASK)
    before = outcome(est)
    CtrlCAt.n_fits = 0
    est.set_params(own=PerTask(CtrlCAt(max_iter=1)))
    with pytest.raises(KeyboardInterrupt):  # nobody has answered yet
        est.fit(X, Y, task=TASK)
    assert outcome(est.set_params(own=PerTask(Ridge()))) == before


def test_ctrl_c_in_a_training_leaves_the_others():
    est = blend(Ridge())
    est.set_params(mixed__callbacks=[CtrlC("on_batch_end", 5)])
    said = pytest.warns(ConvergenceWarning, match="Interrupted")
    with said, pytest.raises(KeyboardInterrupt):
        est.fit(X, Y, task=TASK)
    assert est.left_out_ == ["mixed"]
    assert np.isfinite(est.adapt(X[:3], Y[:3]).predict(X)).all()
    assert (est.weights_.to_numpy() == 1).all()
