"""What runs on Dask unchanged: cross-validation, searches, `compare`, partitions."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from functools import partial

import joblib
import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, cross_val_score

from sklmeta import MixedModelRegressor, PerTask
from sklmeta.comparing import compare
from sklmeta.datasets import make_linear_tasks
from sklmeta.model_selection import FewShotScorer, TaskKFold
from sklmeta.partitions import adapt_partition

distributed = pytest.importorskip("distributed", reason="Dask is not installed")

# Of Dask's own and of tornado's sockets, not of ours.
pytestmark = pytest.mark.filterwarnings("default")


@pytest.fixture(scope="module")
def client():
    cluster = distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=None
    )
    with cluster, distributed.Client(cluster) as client:
        yield client


@pytest.fixture(scope="module")
def tasks():
    return make_linear_tasks(n_tasks=18, n_rows=10, random_state=0)


def as_serial(work):
    """Run twice, here and on the cluster."""
    with joblib.parallel_config(backend="sequential"):
        here = work()
    with joblib.parallel_config(backend="dask"):
        return here, work()


def test_cross_validation_and_searches(client, tasks):
    X, y, task = tasks
    options = {"cv": TaskKFold(3), "scoring": FewShotScorer(shots=3, random_state=0)}
    with sklearn.config_context(enable_metadata_routing=True):
        here, there = as_serial(
            lambda: cross_val_score(
                MixedModelRegressor(), X, y, params={"task": task}, n_jobs=2, **options
            )
        )
        np.testing.assert_array_equal(here, there)
        grid = {"covariance": ["full", "diagonal"]}
        search = GridSearchCV(MixedModelRegressor(), grid, n_jobs=2, **options)
        here, there = as_serial(
            lambda: sklearn.clone(search).fit(X, y, task=task).cv_results_
        )
    np.testing.assert_array_equal(here["mean_test_score"], there["mean_test_score"])


def test_compare(client, tasks):
    models = [MixedModelRegressor(), PerTask(Ridge())]
    here, there = as_serial(
        lambda: compare(models, *tasks, shots=[3], cv=3, n_jobs=2, random_state=0)
    )
    untimed = (found.draws.filter(regex="^(?!.*time)") for found in (here, there))
    pd.testing.assert_frame_equal(*untimed)


def test_partitions_and_a_worker_that_is_lost(client, tasks):
    dataframe = pytest.importorskip("dask.dataframe")
    X, y, task = tasks
    frame = pd.DataFrame(X, columns=[*"abcde"]).assign(y=y, shop=task)
    model = MixedModelRegressor().fit(frame[[*"abcde"]], y, task=task)
    frame.loc[frame.index % 10 > 6, "y"] = np.nan
    work = partial(adapt_partition, model, task="shop", target="y")
    parts = dataframe.from_pandas(frame.set_index("shop", drop=False), npartitions=3)
    found = parts.map_partitions(work, meta=work(frame.iloc[:0])).persist()
    lost, *_ = client.scheduler_info()["workers"]
    client.cluster.scale(2)
    client.retire_workers([lost])  # gone, with what it had computed
    expected = work(frame)["prediction"].to_numpy()
    np.testing.assert_allclose(found.compute()["prediction"], expected, rtol=1e-6)
