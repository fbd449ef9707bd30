"""Tests of the loader of the standard examples of mixed models."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from sklmeta.datasets import fetch_mixed_model_data
from sklmeta.datasets._download import read_members
from sklmeta.datasets._mixed_models import STUDIES, source_of

ROOT = os.environ.get("SKLMETA_DATA", "")
real_data = pytest.mark.skipif(
    not (ROOT and (Path(ROOT) / "mixed_models").is_dir()),
    reason="SKLMETA_DATA does not name a folder that holds mixed_models",
)


@pytest.mark.parametrize("names", ["", '"",', "rownames,"])
def test_mixed_model_format(names, tmp_path, monkeypatch):
    """Row names come under two headers, and rows of a task in any order."""
    rows = ["320.5,2,308", "249.5,0,308", "222.7,0,309"]
    if names:
        rows = [f"{i},{row}" for i, row in enumerate(rows, 1)]
    text = "\n".join([f"{names}Reaction,Days,Subject", *rows, ""])
    (tmp_path / "mixed_models").mkdir()
    (tmp_path / "mixed_models" / "sleepstudy.csv").write_text(text)
    monkeypatch.setenv("SKLMETA_DATA", str(tmp_path))
    X, y, task = fetch_mixed_model_data("sleepstudy", return_X_y_task=True)
    assert X.columns.tolist() == ["Days"]
    assert X.Days.tolist() == [0, 2, 0]
    assert y.tolist() == [249.5, 320.5, 222.7]
    assert task.tolist() == [308, 308, 309]
    bunch = fetch_mixed_model_data("sleepstudy", as_frame=False)
    np.testing.assert_array_equal(bunch.data, X)
    assert bunch.frame is None
    with pytest.raises(ValueError, match=r"task_name must be one of Days.*'Reaction'"):
        fetch_mixed_model_data("sleepstudy", task_name="Reaction")


def test_mixed_model_data_come_under_one_name(tmp_path):
    (remote,) = source_of("hsb82").remotes
    assert remote.url.endswith("/csv/mlmRev/Hsb82.csv")
    (tmp_path / "part").write_bytes(b"a,b")
    found = read_members(tmp_path / "part", "Hsb82.csv", remote.files)
    assert found == {"hsb82.csv": b"a,b"}


@real_data
@pytest.mark.parametrize("name", STUDIES)
def test_real_mixed_models(name):
    bunch = fetch_mixed_model_data(name)
    sizes = {
        "contraception": (60, 1934),
        "dietox": (72, 861),
        "egsingle": (1721, 7230),
        "epilepsy": (59, 236),
        "exam": (65, 4059),
        "hsb82": (160, 7185),
        "produc": (48, 816),
        "radon": (85, 919),
        "sleepstudy": (18, 180),
        "theoph": (12, 132),
        "wages": (888, 6402),
    }
    assert (bunch.task.nunique(), len(bunch.data)) == sizes[name]
    assert not bunch.target.isna().any()
    assert bunch.data.isna().sum().sum() == (72 if name == "dietox" else 0)
    order = STUDIES[name].order
    if order is not None:
        steps = bunch.frame[order].diff()[~bunch.task.ne(bunch.task.shift())]
        assert (steps >= 0).all()


@real_data
def test_real_mixed_models_by_another_column():
    bunch = fetch_mixed_model_data("egsingle", task_name="schoolid")
    assert bunch.task.nunique() == 60
    assert "schoolid" not in bunch.feature_names
