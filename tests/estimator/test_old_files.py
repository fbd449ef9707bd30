"""Files that earlier versions wrote are read, and predict what they predicted then."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

import pickle
from pathlib import Path

import numpy as np
import pytest
import skops.io
from sklearn.base import is_classifier

from sklmeta import adapted

FOLDERS = sorted(
    path.parent for path in Path(__file__).parents[1].glob("fixtures/*/*.npz")
)
CASES = [
    pytest.param(path, id=f"{folder.name}-{path.name}")
    for folder in FOLDERS
    for path in sorted([*folder.glob("*.pkl"), *folder.glob("*.skops")])
]
INPUTS = ("X", "y", "task")

pytestmark = [
    # It is what is tested here: that other versions' files are read all the same.
    pytest.mark.filterwarnings("ignore:This .* was written by sklmeta"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.InconsistentVersionWarning"),
]


def load(path):
    if path.suffix == ".skops":
        unknown = skops.io.get_untrusted_types(file=path)
        assert all(kind.startswith("sklmeta.") for kind in unknown)
        return skops.io.load(path, trusted=unknown)
    if np.lib.NumpyVersion(np.__version__) < "2.0.0":
        pytest.skip("NumPy 1 cannot read pickles of arrays that NumPy 2 wrote")
    return pickle.loads(path.read_bytes())


def expected_of(path):
    """Split what is expected of a file into the rows asked about and the answers."""
    prefix = f"{path.stem}/"
    with np.load(path.parent / "expected.npz") as file:
        keys = [key for key in file.files if key.startswith(prefix)]
        found = {key.removeprefix(prefix): file[key] for key in keys}
    rows = {name: found.pop(name) for name in INPUTS if name in found}
    return rows, found


def assert_same(actual, expected):
    # The files' numbers are in single precision, see make_fixtures.py.
    np.testing.assert_array_equal(actual.astype(expected.dtype), expected)


def test_there_are_files():
    assert FOLDERS and CASES


@pytest.mark.parametrize("path", CASES)
def test_an_old_file_predicts_what_it_did(path):
    model = load(path)
    rows, expected = expected_of(path)
    asked = {name: value for name, value in rows.items() if name != "y"}
    del expected["again"]
    assert "predict" in expected
    for method, values in expected.items():
        options = {"coverage": 0.8} if method == "predict_interval" else {}
        given = {"X": rows["X"]} if method == "transform" else asked
        assert_same(getattr(model, method)(**given, **options), values)


@pytest.mark.parametrize("path", CASES)
def test_an_old_file_adapts_anew(path):
    rows, expected = expected_of(path)
    half = {name: value[::2] for name, value in rows.items()}
    model = adapted(load(path), **half)
    del rows["y"]
    method = "predict_proba" if is_classifier(model) else "predict"
    assert_same(getattr(model, method)(**rows), expected["again"])
