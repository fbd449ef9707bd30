"""Pickle, joblib and skops round trips, and moving between devices."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

import io
import pickle

import joblib
import numpy as np
import pytest
import skops.io
import torch
from fits import fitted
from instances import ALL, META
from sklearn.base import clone, is_classifier

from sklmeta import MAMLRegressor, TransformerNeuralProcessRegressor
from sklmeta.exceptions import VersionMismatchWarning


def adapted_estimator(name, regression_tasks, shared_tasks):
    X, y, task = shared_tasks if is_classifier(META[name]) else regression_tasks
    estimator = fitted(META[name], (X, y, task))
    return estimator.adapt(X, y, task=task), X, task


@pytest.mark.parametrize("name", META)
def test_skops_round_trip(name, regression_tasks, shared_tasks):
    estimator, X, task = adapted_estimator(name, regression_tasks, shared_tasks)
    data = skops.io.dumps(estimator)
    unknown = skops.io.get_untrusted_types(data=data)
    assert all(kind.startswith("sklmeta.") for kind in unknown)
    loaded = skops.io.loads(data, trusted=unknown)
    np.testing.assert_array_equal(
        loaded.predict(X, task=task), estimator.predict(X, task=task)
    )


@pytest.mark.parametrize("estimator", ALL.values(), ids=ALL)
def test_a_file_of_another_version_is_said_to_be_one(
    estimator, regression_tasks, shared_tasks
):
    data = shared_tasks if is_classifier(estimator) else regression_tasks
    model = fitted(estimator, data)
    pickle.loads(pickle.dumps(model))
    name = type(model).__name__
    model._sklmeta_version = "0.0.1"
    with pytest.warns(VersionMismatchWarning, match=rf"{name} .* sklmeta 0\.0\.1 and"):
        pickle.loads(pickle.dumps(model))
    del model._sklmeta_version
    with pytest.warns(VersionMismatchWarning, match=rf"{name} .* \(an early"):
        pickle.loads(pickle.dumps(model))
    pickle.loads(pickle.dumps(clone(model)))


@pytest.mark.parametrize("name", ["maml", "transformer_regressor"])
def test_joblib_memory_map(name, tmp_path, regression_tasks, shared_tasks):
    estimator, X, task = adapted_estimator(name, regression_tasks, shared_tasks)
    joblib.dump(estimator, tmp_path / "model.joblib")
    loaded = joblib.load(tmp_path / "model.joblib", mmap_mode="r")
    np.testing.assert_array_equal(
        loaded.predict(X, task=task), estimator.predict(X, task=task)
    )


def test_an_adapted_estimator_is_small(regression_tasks):
    X, y, task = regression_tasks
    estimator = MAMLRegressor(max_iter=2, random_state=0).fit(X, y, task=task)
    n_bytes = sum(value.nbytes for value in estimator._fitted.weights.values())
    estimator.adapt(X[:5], y[:5])
    # weights in single precision, and an adapted copy in double, and one from fit
    assert len(pickle.dumps(estimator)) < 6 * n_bytes + 10_000


class CPUOnlyUnpickler(pickle.Unpickler):
    """Stands for a machine without a GPU: no class of torch may be asked for."""

    def find_class(self, module, name):
        assert not module.startswith("torch"), f"{module}.{name} is in the pickle"
        return super().find_class(module, name)


@pytest.mark.parametrize("name", META)
def test_no_tensor_or_device_is_in_the_pickle(name, regression_tasks, shared_tasks):
    estimator, X, task = adapted_estimator(name, regression_tasks, shared_tasks)
    loaded = CPUOnlyUnpickler(io.BytesIO(pickle.dumps(estimator))).load()
    np.testing.assert_array_equal(
        loaded.predict(X, task=task), estimator.predict(X, task=task)
    )


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_fit_on_a_gpu_predict_on_a_cpu(regression_tasks):
    X, y, task = regression_tasks
    estimator = TransformerNeuralProcessRegressor(
        device="cuda", max_iter=20, random_state=0
    )
    estimator.fit(X, y, task=task).adapt(X[:9], y[:9])
    expected = estimator.predict(X)
    loaded = pickle.loads(pickle.dumps(estimator)).set_params(device="cpu")
    np.testing.assert_allclose(loaded.predict(X), expected, rtol=1e-5)
