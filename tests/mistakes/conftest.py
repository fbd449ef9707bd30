"""Small tables and fitted models, that no mistake may harm."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklmeta import (
    BayesianLinearRegressor,
    MixedModelRegressor,
    PerTask,
    ProtoNetClassifier,
)

QUICK = {"max_iter": 2, "random_state": 0}


@pytest.fixture(scope="session")
def shop():
    """Rows of six shops, targets of several kinds, and models that have seen them."""
    rng = np.random.default_rng(0)
    task = np.repeat([f"s{i}" for i in range(6)], 10)
    X = rng.normal(size=(60, 3))
    y = X @ [1.0, 2.0, 0.0] + np.repeat(rng.normal(size=6), 10)
    frame = pd.DataFrame(X, columns=["price", "day", "size"])
    labels = np.where(y > 0, "high", "low")
    own = np.char.add(task, np.where(X[:, 0] > 0, "-a", "-b"))
    bayes = BayesianLinearRegressor(**QUICK).fit(X, y, task=task)
    mixed = MixedModelRegressor().fit(frame, y, task=task)
    proto = ProtoNetClassifier(n_query=3, **QUICK).fit(X, labels, task=task)
    params = {"n_way": 2, "n_shots": 2, "n_query": 2}
    ways = ProtoNetClassifier(**params, **QUICK).fit(X, own, task=task)
    pipe = make_pipeline(StandardScaler(), PerTask(Ridge()))
    pipe.fit(X, y, pertask__task=task)
    alone = BayesianLinearRegressor(**QUICK).fit(X[:20], y[:20])
    return SimpleNamespace(**locals())
