"""Show that a change of the code leaves all results as they were, bit by bit.

``record FOLDER`` fits every estimator of the tests' table of instances, and some more,
to small data in every form, and writes what comes out as one file of arrays per
instance. ``compare ONE OTHER`` lists the arrays in which two such folders differ, and
exits with 1 if there are any. PYTHONPATH decides which sklmeta is recorded::

    PYTHONPATH=OLD python tools/compare_versions.py record a --instances OLD/tests
    PYTHONPATH=NEW python tools/compare_versions.py record b --instances NEW/tests
    python tools/compare_versions.py compare a b

Record both on one machine, as processors round differently.
"""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import argparse
import importlib
import json
import multiprocessing
import os
import platform
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
ABOUT = "about.json"
FUNCTIONS = "functions"
"""Name of the file with what the package's functions return."""

THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
PACKAGES = ("numpy", "pandas", "scikit-learn", "scipy", "skorch", "torch")


# -- Recording ----------------------------------------------------------------


@cache
def load_instances(folder: Path) -> dict[str, Any]:
    """Return the estimators of all tables in ``instances.py``, and the extra ones.

    Imports of sklmeta are in here, so that comparing needs none.
    """
    from recorded_instances import EXTRA
    from sklearn.base import BaseEstimator

    if not (folder / "instances.py").is_file():
        raise SystemExit(f"error: there is no instances.py in {folder}")
    sys.path[:0] = [str(folder), str(folder.parent)]
    found: dict[str, Any] = {}
    for table in vars(importlib.import_module("instances")).values():
        if isinstance(table, dict):
            estimators = table.values()
            if table and all(isinstance(e, BaseEstimator) for e in estimators):
                found.update(table)
    return {**found, **EXTRA}


def record_one(name: str, folder: Path, instances: Path) -> tuple[str, int, float]:
    """Record one instance; return its name, the number of arrays, and seconds."""
    from record_version import Record, forms_of, record_form, record_functions

    start = time.perf_counter()
    record = Record()
    if name == FUNCTIONS:
        record_functions(record)
    else:
        estimator = load_instances(instances)[name]
        for form in forms_of(estimator):
            record_form(record, estimator, form)
    np.savez_compressed(folder / f"{name}.npz", **record.arrays)
    return name, len(record.arrays), time.perf_counter() - start


def record_all(options: argparse.Namespace) -> int:
    """Record all instances, several at a time."""
    for variable in THREADS:  # for the processes that are started below
        os.environ[variable] = "1"
    import sklmeta

    package = Path(sklmeta.__file__).resolve()
    print(f"recording {package.parent}", flush=True)
    if options.package and not package.is_relative_to(options.package.resolve()):
        raise SystemExit(f"error: that is not in {options.package}; set PYTHONPATH")
    folder, instances = options.folder, options.instances.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    names = [*load_instances(instances), FUNCTIONS]
    if options.only:
        names = [name for name in names if name in options.only]
    for old in folder.glob("*.npz"):
        old.unlink()
    write_about(folder, package)
    start, total = time.perf_counter(), 0
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(options.jobs, mp_context=context) as pool:
        jobs = [pool.submit(record_one, name, folder, instances) for name in names]
        for job in as_completed(jobs):
            name, n_arrays, seconds = job.result()
            total += n_arrays
            print(f"{name:30} {n_arrays:5} arrays {seconds:6.1f} s", flush=True)
    seconds = time.perf_counter() - start
    print(f"{len(names)} instances, {total} arrays, {seconds:.0f} s")
    return 0


def write_about(folder: Path, package: Path) -> None:
    """Write down what is recorded, and with what."""
    versions = {name: metadata.version(name) for name in PACKAGES}
    about = {
        "package": str(package),
        "versions": {"python": platform.python_version(), **versions},
        "machine": platform.machine(),
    }
    (folder / ABOUT).write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")


# -- Comparing ----------------------------------------------------------------


def read_about(folder: Path) -> dict[str, Any]:
    """Read what was written beside the arrays."""
    try:
        return json.loads((folder / ABOUT).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SystemExit(f"error: {folder} holds no record") from None


def read_arrays(path: Path) -> dict[str, Any]:
    """Read one instance's arrays."""
    with np.load(path, allow_pickle=False) as file:
        return {key: file[key] for key in file.files}


def is_same(one: Any, other: Any) -> bool:
    """Tell whether two arrays are the same to the bit, the signs of zeros included."""
    if one.shape != other.shape or one.dtype != other.dtype:
        return False
    return one.tobytes() == other.tobytes()


def difference(one: Any, other: Any) -> str:
    """Say in what two arrays differ."""
    if one.dtype.kind != other.dtype.kind or one.shape != other.shape:
        return f"{one.dtype}{one.shape} -> {other.dtype}{other.shape}"
    if one.dtype.kind == "U":
        return brief(one) if (one == other).all() else f"{brief(one)} -> {brief(other)}"
    if not one.size:
        return f"{one.dtype} -> {other.dtype}"
    wide = np.float64 if one.dtype.kind in "fiub" else np.complex128
    with np.errstate(invalid="ignore"):
        gap = np.abs(one.astype(wide) - other.astype(wide))
    gap = np.where((one == other) | (np.isnan(one) & np.isnan(other)), 0, gap)
    text = f"{gap.max():.3g} in {np.count_nonzero(gap)} of {gap.size}"
    return text if one.dtype == other.dtype else f"{one.dtype} -> {other.dtype}, {text}"


def brief(array: Any) -> str:
    """Show the first texts of an array."""
    shown = ", ".join(array.ravel()[:3])
    return shown if array.size <= 3 else f"{shown}, ..."


def differences(one: Path, other: Path) -> Iterator[tuple[str, str, str]]:
    """Yield instance, key and difference, for all that is not the same."""
    names = [{path.stem for path in folder.glob("*.npz")} for folder in (one, other)]
    for name in sorted(names[0] ^ names[1]):
        yield name, "", f"only in {one if name in names[0] else other}"
    for name in sorted(names[0] & names[1]):
        arrays = [read_arrays(folder / f"{name}.npz") for folder in (one, other)]
        for key in sorted(arrays[0].keys() | arrays[1].keys()):
            if key not in arrays[1]:
                yield name, key, f"only in {one}: {preview(arrays[0][key])}"
            elif key not in arrays[0]:
                yield name, key, f"only in {other}: {preview(arrays[1][key])}"
            elif not is_same(arrays[0][key], arrays[1][key]):
                yield name, key, difference(arrays[0][key], arrays[1][key])


def preview(array: Any) -> str:
    """Show text, or the type and shape of numbers."""
    return brief(array) if array.dtype.kind == "U" else f"{array.dtype}{array.shape}"


def compare_all(options: argparse.Namespace) -> int:
    """Print all differences; return 1 if there are any."""
    one, other = options.one, options.other
    abouts = [read_about(folder) for folder in (one, other)]
    for about in abouts:
        print(f"{about['package']}")
    if any(abouts[0][name] != abouts[1][name] for name in ("versions", "machine")):
        print("The dependencies or machines differ, and so may the last bits.")
    n_files = len({path.name for f in (one, other) for path in f.glob("*.npz")})
    found = list(differences(one, other))
    width = max((len(name) for name, _, _ in found), default=0)
    key_width = max((len(key) for _, key, _ in found), default=0)
    for name, key, text in found:
        print(f"{name:{width}}  {key:{key_width}}  {text}")
    n_instances = len({name for name, _, _ in found})
    if found:
        print(f"{len(found)} arrays of {n_instances} instances (of {n_files}) differ.")
        return 1
    if not n_files:
        raise SystemExit("error: nothing was recorded")
    print(f"All arrays of {n_files} instances are the same, bit by bit.")
    return 0


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description="Show that a change leaves all results as they were, bit by bit."
    )
    commands = parser.add_subparsers(required=True)
    record = commands.add_parser("record", help="write what this sklmeta returns")
    record.add_argument("folder", type=Path)
    record.add_argument(
        "--instances",
        type=Path,
        default=ROOT / "tests",
        help="the folder that holds instances.py",
    )
    record.add_argument(
        "--package", type=Path, help="stop unless sklmeta comes from this folder"
    )
    record.add_argument("--only", nargs="+", help="names of instances")
    record.add_argument("--jobs", type=int, default=2, help="processes")
    record.set_defaults(run=record_all)
    compare = commands.add_parser("compare", help="list what differs")
    compare.add_argument("one", type=Path)
    compare.add_argument("other", type=Path)
    compare.set_defaults(run=compare_all)
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return its exit status."""
    options = parse_arguments(arguments)
    return options.run(options)


if __name__ == "__main__":
    sys.exit(main())
