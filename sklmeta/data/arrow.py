"""Reading Arrow and Parquet files that are larger than memory."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import hashlib
import os
import tempfile
import weakref
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sklmeta.data.codes import check_task, group_rows
from sklmeta.data.stacking import choose_columns

FORMATS = {
    ".parquet": "parquet",
    ".pq": "parquet",
    ".arrow": "ipc",
    ".ipc": "ipc",
    ".feather": "feather",
}
_BLOCK_BYTES = 2**24


class ArrowTable(NamedTuple):
    """A table of tasks whose features are on disk; rows of a task are neighbours."""

    X: NDArray[Any]  # shape: (n_samples, n_features); memory-mapped
    y: NDArray[Any]
    task: NDArray[Any]
    features: list[str]


def read_arrow(
    path: Any, target: str, task: str, features: list[str] | None, cache: Any
) -> ArrowTable:
    """Copy the features of a file, block by block, into a memory-mapped array.

    The rows are written grouped by task, so that those of an episode are near each
    other on disk.
    """
    dataset = _open(Path(path))
    names = dataset.schema.names
    features = choose_columns(names, target, task, features, str(path))
    dtype = _common_type(dataset.schema, features)
    columns = dataset.to_table(columns=[target, task])
    labels = columns[task].combine_chunks()
    if not hasattr(labels, "dictionary"):  # repeats of a string are kept once
        labels = labels.dictionary_encode()
    codes, tasks = check_task(labels.to_pandas())
    order, _ = group_rows(codes, len(tasks))
    X = _mapped_features(dataset, Path(path), features, dtype, order, task, cache)
    y = np.asarray(columns[target].to_pandas())
    return ArrowTable(X, y[order], tasks[codes[order]], list(features))


def _open(path: Path) -> Any:
    try:
        import pyarrow.dataset
    except ImportError as error:
        raise ImportError(
            "TaskCollection.from_file reads with pyarrow, which is not installed: "
            "pip install 'sklmeta[arrow]'."
        ) from error
    if not path.exists():
        raise FileNotFoundError(f"There is no file {path}.")
    kind = "parquet" if path.is_dir() else FORMATS.get(path.suffix.lower())
    if kind is None:
        raise ValueError(
            f"{path.name} has no ending that says what it is; known are "
            f"{', '.join(FORMATS)}, and folders of Parquet files. For an array on disk "
            "use TaskCollection(np.load(path, mmap_mode='r'), y, task)."
        )
    try:
        return pyarrow.dataset.dataset(path, format=kind)
    except pyarrow.ArrowInvalid as error:  # for example names that are there twice
        raise ValueError(f"{path} cannot be read: {error}") from error


def _common_type(schema: Any, features: list[str]) -> type[np.floating]:
    """Return float32 if every feature is, else float64; other columns are errors."""
    from pyarrow import types

    for name in features:
        kind = schema.field(name).type
        numeric = types.is_floating(kind) or types.is_integer(kind)
        if not (numeric or types.is_boolean(kind) or types.is_decimal(kind)):
            raise ValueError(
                f"Column {name!r} is of type {kind}, not numbers. Encode it before "
                "writing the file, or leave it out of features."
            )
    kinds = [schema.field(name).type for name in features]
    single = all(types.is_float32(kind) or types.is_float16(kind) for kind in kinds)
    return np.float32 if single else np.float64


def _mapped_features(
    dataset: Any,
    path: Path,
    features: list[str],
    dtype: type[np.floating],
    order: NDArray[np.intp],
    task: str,
    cache: Any,
) -> NDArray[Any]:
    """Return the features as an array on disk, written now or by an earlier call."""
    if cache is None:
        name = _write(dataset, features, dtype, order, None)
        X = np.load(name, mmap_mode="r")
        weakref.finalize(X, _remove, name)
        return X
    folder = Path(cache)
    folder.mkdir(parents=True, exist_ok=True)
    versions = [(name, os.stat(name)) for name in sorted(dataset.files)]
    known = [(os.path.abspath(n), s.st_size, s.st_mtime_ns) for n, s in versions]
    key = repr((known, features, task)).encode()
    place = folder / f"{path.stem}-{hashlib.sha256(key).hexdigest()[:16]}.npy"
    if not place.exists():
        name = _write(dataset, features, dtype, order, folder)
        os.replace(name, place)  # whoever reads finds a whole file or none
    return np.load(place, mmap_mode="r")


def _write(
    dataset: Any,
    features: list[str],
    dtype: type[np.floating],
    order: NDArray[np.intp],
    folder: Path | None,
) -> str:
    """Write the features, task by task, to a new file; return its name."""
    import pyarrow

    handle, name = tempfile.mkstemp(prefix="sklmeta-", suffix=".npy", dir=folder)
    os.close(handle)
    shape = (len(order), len(features))
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    kind = pyarrow.from_numpy_dtype(dtype)
    try:
        X = np.lib.format.open_memmap(name, mode="w+", dtype=dtype, shape=shape)
        start = 0
        for batch in dataset.to_batches(
            columns=features,
            batch_size=max(1, _BLOCK_BYTES // (8 * max(1, len(features)))),
            batch_readahead=1,
            fragment_readahead=1,
        ):
            block = np.empty((len(batch), len(features)), dtype)
            for j, column in enumerate(batch.columns):
                numbers = column.cast(kind, safe=False)
                block[:, j] = numbers.to_numpy(zero_copy_only=False)
            X[place[start : start + len(block)]] = block
            start += len(block)
        X.flush()
    except BaseException:
        _remove(name)
        raise
    return name


def _remove(name: str) -> None:
    Path(name).unlink(missing_ok=True)
