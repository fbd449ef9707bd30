"""Collections larger than memory: arrays and Arrow files that stay on disk."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

import gc
import subprocess
import sys
import textwrap

import numpy as np
import pandas as pd
import pytest
import torch

from sklmeta import (
    BayesianLinearRegressor,
    MAMLRegressor,
    ProtoNetClassifier,
    TaskCollection,
)
from sklmeta.data import rows as _row_store
from sklmeta.data.rows import MappedRows, row_table
from sklmeta.data.scaling import Scaling


@pytest.fixture
def on_disk(monkeypatch):
    """Leave every memory-mapped array on disk, however small."""
    monkeypatch.setattr(_row_store, "LEAVE_ON_DISK", 0)


def sums(n_tasks=30, n_rows=20, n_features=3, dtype=np.float64, seed=0):
    rng = np.random.default_rng(seed)
    task = rng.permutation(np.repeat(np.arange(n_tasks), n_rows))
    X = (5 * rng.normal(size=(len(task), n_features)) + 2).astype(dtype)
    slopes = rng.normal(size=(n_tasks, n_features))
    return X, (X * slopes[task]).sum(axis=1), task


def mapped(X, folder):
    np.save(folder / "X.npy", X)
    return np.load(folder / "X.npy", mmap_mode="r")


def maml(**params):
    options = {"max_iter": 5, "hidden_layer_sizes": (8,), "random_state": 0}
    return MAMLRegressor(**{**options, **params})


def protonet(**params):
    return ProtoNetClassifier(
        max_iter=5, hidden_layer_sizes=(8,), n_way=3, n_shots=2, random_state=0
    ).set_params(**params)


def assert_same_weights(one, other):
    for name, value in one._fitted.weights.items():
        np.testing.assert_array_equal(value, other._fitted.weights[name])


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int16])
def test_rows_on_disk_read_like_a_tensor(dtype, tmp_path, on_disk):
    X = sums(dtype=dtype)[0]
    scaling = Scaling.of(X)
    tensor = row_table(X, "cpu", torch.float32, scaling)
    rows = row_table(mapped(X, tmp_path), "cpu", torch.float32, scaling)
    assert isinstance(tensor, torch.Tensor)
    assert isinstance(rows, MappedRows)
    assert rows.shape == tuple(tensor.shape)
    index = np.array([[5, -1, 0], [5, len(X), len(X) - 1]])
    for each in (index, torch.from_numpy(index), slice(None, -1), slice(3, 9)):
        assert torch.equal(rows[each], tensor[each])
    assert not rows[index][0, 1].any()


def test_small_maps_are_loaded(tmp_path):
    X = mapped(sums()[0], tmp_path)
    table = row_table(X, "cpu", torch.float32, Scaling.identity())
    assert isinstance(table, torch.Tensor)


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int16])
@pytest.mark.parametrize("early_stopping", [False, True])
def test_same_fit_from_disk_as_from_memory(dtype, early_stopping, tmp_path, on_disk):
    X, y, task = sums(dtype=dtype)
    models = [
        maml(early_stopping=early_stopping).fit(TaskCollection(table, y, task))
        for table in (X, mapped(X, tmp_path))
    ]
    assert_same_weights(*models)
    assert models[1].n_features_in_ == 3
    np.testing.assert_array_equal(models[0].predict(X), models[1].predict(X))


def test_same_fit_of_own_classes_images_and_one_table(tmp_path, on_disk):
    X, y, task = sums(n_rows=30)
    labels = np.random.default_rng(0).integers(0, 5, len(y))
    X_mapped = mapped(X, tmp_path)
    assert_same_weights(
        protonet().fit(X, labels, task), protonet().fit(X_mapped, labels, task)
    )
    for options in ({"n_way": 2}, {"n_way": None}):
        models = [
            protonet(early_stopping=True, **options).fit(table, labels)
            for table in (X, X_mapped)
        ]
        assert_same_weights(*models)
    images = X.reshape(-1, 1, 3)
    flat = {"module": torch.nn.Flatten, "n_way": 3}
    assert_same_weights(
        protonet(**flat, standardize=False).fit(images, labels, task),
        protonet(**flat, standardize=False).fit(
            X_mapped.reshape(-1, 1, 3), labels, task
        ),
    )


def test_adapt_and_predict_from_disk(tmp_path, on_disk):
    X, y, task = sums()
    model = maml().fit(X, y, task)
    X_mapped = mapped(X, tmp_path)
    expected = model.adapt(X, y, task=task).predict(X, task=task)
    found = model.adapt(X_mapped, y, task=task).predict(X_mapped, task=task)
    np.testing.assert_array_equal(expected, found)
    embedding = protonet().fit(X, task % 3, task % 7 + 10 * (task % 3 > 5))
    np.testing.assert_array_equal(embedding.transform(X), embedding.transform(X_mapped))


def test_bad_rows_on_disk_are_errors_as_in_memory(tmp_path, on_disk):
    X, y, task = sums()
    spoiled = X.copy()
    spoiled[-1, 1] = np.nan
    for table in (spoiled, mapped(spoiled, tmp_path)):
        with pytest.raises(ValueError, match="Input X contains NaN"):
            maml().fit(table, y, task)
    X_mapped = mapped(X, tmp_path)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        maml().fit(X_mapped, y[:-1], task[:-1])
    with pytest.raises(ValueError, match="Input y contains NaN"):
        maml().fit(X_mapped, np.where(np.arange(len(y)) == 99, np.nan, y), task)
    with pytest.raises(ValueError, match="requires y to be passed"):
        maml().fit(X_mapped)
    model = maml().fit(X_mapped, y, task)
    with pytest.raises(ValueError, match="expecting 3 features"):
        model.predict(X_mapped[:, :2])


def test_neighbours_on_disk_stay_there(tmp_path):
    X, y, task = sums()
    order = np.argsort(task, kind="stable")
    tasks = TaskCollection(mapped(X[order], tmp_path), y[order], task[order])
    assert isinstance(tasks[:20].X, np.memmap)
    np.testing.assert_array_equal(tasks[5:20].X, X[order][100:400])
    assert not isinstance(tasks[[7, 2]].X, np.memmap)
    np.testing.assert_array_equal(tasks[[7, 2]][1][0], tasks[7][0])


FIT_WITH_LITTLE_MEMORY = """
    import resource, sys
    import numpy as np
    from sklmeta import MAMLRegressor, TaskCollection

    path, room = sys.argv[1], int(sys.argv[2])
    X = np.load(path, mmap_mode="r")
    n_rows = len(X)
    y = np.random.default_rng(0).normal(size=n_rows)
    task = np.arange(n_rows) // 50

    def fit(n):
        est = MAMLRegressor(hidden_layer_sizes=(8,), max_iter=5, random_state=0)
        est.fit(TaskCollection(X[:n], y[:n], task[:n]))
        return est.adapt(X[:n], y[:n], task=task[:n])

    fit(2000)  # whatever is allocated once
    used = next(int(line.split()[1]) * 1024 for line in open("/proc/self/status")
                if line.startswith("VmData"))
    resource.setrlimit(resource.RLIMIT_DATA, (used + room, used + room))
    est = fit(n_rows)
    print(float(est.predict(X, task=task).std()))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits its memory")
def test_a_collection_larger_than_the_memory_there_is(tmp_path):
    X = np.lib.format.open_memmap(
        tmp_path / "X.npy", mode="w+", dtype=np.float32, shape=(48_000, 600)
    )
    X[:] = np.random.default_rng(0).normal(size=(1, 600))
    X[:, 0] = np.arange(len(X)) % 17
    X.flush()
    size = X.nbytes
    del X

    code = textwrap.dedent(FIT_WITH_LITTLE_MEMORY)
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "X.npy"), str(3 * size // 4)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) >= 0


@pytest.fixture
def frame():
    X, y, task = sums()
    frame = pd.DataFrame(X, columns=["a", "b", "c"]).assign(y=y, store=task)
    return frame.assign(store="s" + frame.store.astype(str))


def write(frame, path):
    pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    if path.suffix == ".parquet":
        frame.to_parquet(path, row_group_size=100)
    else:
        frame.to_feather(path)
    return path


@pytest.mark.parametrize("ending", [".parquet", ".feather", ".arrow"])
def test_from_file_is_the_frame_grouped_by_task(frame, ending, tmp_path, on_disk):
    path = write(frame, tmp_path / f"table{ending}")
    tasks = TaskCollection.from_file(path, target="y", task="store")
    expected = TaskCollection.from_frame(
        frame.sort_values("store", kind="stable"), target="y", task="store"
    )
    assert isinstance(tasks.X, np.memmap)
    assert isinstance(tasks[3:9].X, np.memmap)
    assert len(tasks) == len(expected) == 30
    for one, other in zip(tasks, expected, strict=True):
        np.testing.assert_array_equal(one[0], other[0])
        assert list(one[0].columns) == ["a", "b", "c"]
        np.testing.assert_array_equal(one[1], other[1])
    models = [maml().fit(each) for each in (tasks, expected)]
    assert_same_weights(*models)
    assert models[0].feature_names_in_.tolist() == ["a", "b", "c"]
    X, y, task = tasks.to_arrays()
    models[0].adapt(X, y, task=task).predict(X, task=task)
    assert list(X.columns) == ["a", "b", "c"]


def test_from_file_chooses_features_and_precision(frame, tmp_path):
    single = frame.astype({"a": np.float32, "b": np.float32, "c": bool})
    single.loc[0, "a"] = None
    path = write(single, tmp_path / "table.parquet")
    read = {"target": "y", "task": "store"}
    tasks = TaskCollection.from_file(path, features=["b", "a"], **read)
    assert tasks.X.dtype == np.float32
    assert np.isnan(tasks.X).sum() == 1
    assert tasks.feature_names == ["b", "a"]
    assert TaskCollection.from_file(path, **read).X.dtype == np.float64
    with pytest.raises(ValueError, match="Input X contains NaN"):
        maml().fit(tasks)


def test_from_file_keeps_its_array_in_the_cache(frame, tmp_path):
    path = write(frame, tmp_path / "table.parquet")
    read = {"target": "y", "task": "store", "cache": tmp_path / "cache"}

    def cached():
        return sorted((tmp_path / "cache").iterdir())

    TaskCollection.from_file(path, **read)
    (first,) = cached()
    made = first.stat().st_mtime_ns
    TaskCollection.from_file(path, **read)
    assert [each.stat().st_mtime_ns for each in cached()] == [made]
    write(frame.assign(a=0.0), path)
    assert (TaskCollection.from_file(path, **read).X[:, 0] == 0).all()
    assert len(cached()) == 2


def test_from_file_removes_its_temporary_file(frame, tmp_path, monkeypatch):
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    path = write(frame, tmp_path / "table.parquet")
    tasks = TaskCollection.from_file(path, target="y", task="store")
    some = tasks[:4]
    del tasks
    gc.collect()
    assert some.X.sum() and len(list(folder.iterdir())) == 1
    del some
    gc.collect()
    assert not list(folder.iterdir())


def test_from_file_says_what_is_wrong(frame, tmp_path):
    path = write(frame.assign(city="oslo"), tmp_path / "table.parquet")
    with pytest.raises(ValueError, match=r"No column 'sales' in .*table\.parquet"):
        TaskCollection.from_file(path, target="sales", task="store")
    with pytest.raises(ValueError, match=r"Column 'city' is of type .*string"):
        TaskCollection.from_file(path, target="y", task="store")
    with pytest.raises(FileNotFoundError, match="no file"):
        TaskCollection.from_file(tmp_path / "t.parquet", target="y", task="store")
    (tmp_path / "t.csv").touch()
    with pytest.raises(ValueError, match=r"known are \.parquet"):
        TaskCollection.from_file(tmp_path / "t.csv", target="y", task="store")


def test_from_file_without_pyarrow(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow.dataset", None)
    with pytest.raises(ImportError, match=r"pip install 'sklmeta\[arrow\]'"):
        TaskCollection.from_file(tmp_path / "t.parquet", target="y", task="store")


def test_baselines_and_closed_forms_take_a_file(frame, tmp_path, on_disk):
    from sklearn.linear_model import Ridge

    from sklmeta import PerTask

    path = write(frame, tmp_path / "table.parquet")
    tasks = TaskCollection.from_file(path, target="y", task="store")
    for model in (PerTask(Ridge()), BayesianLinearRegressor(max_iter=2)):
        X, y = tasks[2]
        assert np.isfinite(model.fit(tasks).adapt(X, y).predict(X)).all()
