"""The tables that ship with the package, and the script that wrote them."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

import runpy
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from sklmeta.datasets import (
    load_machine_states,
    load_patient_outcomes,
    load_store_sales,
)

ROOT = Path(__file__).resolve().parents[2]
LOADERS = [load_store_sales, load_machine_states, load_patient_outcomes]


def test_the_script_writes_what_ships(tmp_path):
    script = runpy.run_path(str(ROOT / "examples" / "data" / "make_tables.py"))
    script["write"](tmp_path)
    shipped = script["FOLDER"]
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(
        p.name for p in shipped.iterdir()
    )
    for path in tmp_path.iterdir():
        pd.testing.assert_frame_equal(
            pd.read_csv(path), pd.read_csv(shipped / path.name), rtol=1e-9
        )


@pytest.mark.parametrize("load", LOADERS)
def test_features_target_and_task_are_cut_from_the_frame(load):
    bunch = load()
    assert Path(bunch.filename).is_file()
    pd.testing.assert_frame_equal(bunch.data, bunch.frame[bunch.feature_names])
    X, y, task = load(return_X_y_task=True)
    pd.testing.assert_frame_equal(X, bunch.data)
    assert {y.name, task.name}.isdisjoint(X.columns)
    rows = task.value_counts()
    assert f"{rows.min()} to {rows.max()}" in " ".join(bunch.DESCR.split())
    assert f"{len(rows)} " in bunch.DESCR
    assert f"{len(X):,}" in load.__doc__
    arrays = load(as_frame=False, return_X_y_task=True)
    assert all(isinstance(array, np.ndarray) for array in arrays)
    assert arrays[0].shape == X.shape and load(as_frame=False).frame is None


def test_the_other_outcome_is_no_feature():
    pain, flare = (load_patient_outcomes(target=t) for t in ("pain", "flare"))
    assert pain.target.name == "pain" and set(flare.target) == {"yes", "no"}
    assert {"pain", "flare"}.isdisjoint([*pain.data, *flare.data])
    with pytest.raises(ValueError, match=r"target.*'flare'"):
        load_patient_outcomes(target="death")
