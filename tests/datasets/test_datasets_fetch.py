"""Tests of the loaders of real data: their readers and what they return."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import gzip
import io
import json
import os
import zipfile
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from sklmeta.datasets import (
    DatasetNotFoundError,
    fetch_clinc150,
    fetch_heart_disease,
    fetch_mixed_model_data,
    fetch_omniglot,
    fetch_parkinsons,
    fetch_tox21,
    fetch_wisdm,
)
from sklmeta.datasets._download import read_members
from sklmeta.datasets._tox21 import ASSAYS

FETCHERS = [
    fetch_parkinsons,
    fetch_heart_disease,
    fetch_wisdm,
    fetch_clinc150,
    fetch_omniglot,
    fetch_tox21,
    partial(fetch_mixed_model_data, "hsb82"),
]


def real_data(folder):
    """Skip where the original files are not on this machine."""
    root = os.environ.get("SKLMETA_DATA", "")
    return pytest.mark.skipif(
        not (root and (Path(root) / folder).is_dir()),
        reason=f"SKLMETA_DATA does not name a folder that holds {folder}",
    )


@pytest.mark.parametrize("fetch", FETCHERS)
def test_nothing_reachable(fetch, tmp_path, monkeypatch):
    monkeypatch.delenv("SKLMETA_DATA", raising=False)
    with pytest.raises(DatasetNotFoundError) as caught:
        fetch(data_home=tmp_path / "home", download_if_missing=False)
    assert isinstance(caught.value, OSError)
    message = str(caught.value)
    assert "$SKLMETA_DATA: not set" in message
    assert str(tmp_path / "home") in message
    assert "download_if_missing is False" in message
    assert "http" in message
    assert not (tmp_path / "home").exists()
    monkeypatch.setenv("SKLMETA_DATA", str(tmp_path / "mine"))
    with pytest.raises(DatasetNotFoundError, match=r"mine.*not all files are there"):
        fetch(data_home=tmp_path / "home", download_if_missing=False)


@pytest.mark.parametrize(
    ("fetch", "kwargs", "match"),
    [
        (fetch_parkinsons, {"target": "updrs"}, "target must be one of"),
        (fetch_clinc150, {"subset": "oos"}, "subset must be"),
        (fetch_omniglot, {"subset": "train"}, "subset must be"),
        (fetch_omniglot, {"image_size": 106}, "image_size must be"),
        (fetch_tox21, {"new_assay": "SR-P53"}, "new_assay must be one of.*SR-p53"),
        (fetch_tox21, {"new_fraction": 1.0}, "new_fraction must lie"),
        (fetch_mixed_model_data, {"name": "Hsb82"}, "name must be one of.*hsb82"),
    ],
)
def test_bad_parameters(fetch, kwargs, match):
    with pytest.raises(ValueError, match=match):
        fetch(**kwargs)


HEADER = (
    "subject#,age,sex,test_time,motor_UPDRS,total_UPDRS,Jitter(%),Jitter(Abs),"
    "Jitter:RAP,Jitter:PPQ5,Jitter:DDP,Shimmer,Shimmer(dB),Shimmer:APQ3,Shimmer:APQ5,"
    "Shimmer:APQ11,Shimmer:DDA,NHR,HNR,RPDE,DFA,PPE"
)


@pytest.fixture
def local(tmp_path, monkeypatch):
    """Write files of a local copy."""
    monkeypatch.setenv("SKLMETA_DATA", str(tmp_path))

    def write(folder, **files):
        (tmp_path / folder).mkdir()
        for name, text in files.items():
            (tmp_path / folder / name).write_text(text, newline="")

    return write


@pytest.mark.parametrize("separator", [",", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_parkinsons_formats(separator, end, local):
    voice = ["0.5"] * 16
    rows = [
        ["2", "60", "1", "9.5", "20", "30", *voice],
        ["1", "72", "0", "7.25", "28.5", "34.5", *voice],
        ["1", "72", "0", "-1.5", "28", "34", *voice],
    ]
    lines = [HEADER.split(","), *rows]
    text = end.join(separator.join(line) for line in lines) + end
    local("parkinsons", **{"parkinsons_updrs.data": text})
    bunch = fetch_parkinsons()
    np.testing.assert_array_equal(bunch.target, [34, 34.5, 30])
    np.testing.assert_array_equal(bunch.task, [1, 1, 2])
    np.testing.assert_array_equal(bunch.data[:, 2], [-1.5, 7.25, 9.5])
    assert bunch.feature_names[:4] == ["age", "sex", "test_time", "Jitter(%)"]
    motor = fetch_parkinsons(target="motor_UPDRS")
    np.testing.assert_array_equal(motor.target, [28, 28.5, 20])
    assert motor.feature_names == bunch.feature_names


@pytest.mark.parametrize("missing", ["?", "NaN"])
def test_heart_disease_formats(missing, local):
    row = f"63.0,1.0,1.0,145.0,233.0,1.0,2.0,150.0,0.0,-.5,3.0,{missing},6.0,"
    hospitals = ("cleveland", "hungarian", "switzerland", "va")
    files = {
        f"processed.{name}.data": f"{row}{num}\n" for num, name in enumerate(hospitals)
    }
    local("heart_disease", **files)
    X, y, task = fetch_heart_disease(return_X_y_task=True)
    assert X.dtype == np.float64
    assert y.tolist() == ["healthy", "disease", "disease", "disease"]
    assert task.tolist() == list(hospitals)
    np.testing.assert_array_equal(np.isnan(X).sum(0), [0] * 11 + [4, 0])


def test_wisdm_format(local):
    text = (
        "@relation activity\r\n\r\n"
        '@attribute "UNIQUE_ID" numeric\r\n@attribute "user" {33 , 17}\r\n'
        '@attribute "X0" numeric\r\n@ATTRIBUTE Y0 numeric\r\n'
        "@attribute class { Walking , Jogging }\r\n\r\n@data\r\n"
        "% a comment\r\n1,33,0.5,?,Jogging\r\n2,17,0,8.25,Walking\r\n"
    )
    local("wisdm", **{"WISDM_ar_v1.1_transformed.arff": text})
    bunch = fetch_wisdm()
    assert bunch.feature_names == ["X0", "Y0"]
    np.testing.assert_array_equal(bunch.data, [[0.5, np.nan], [0, 8.25]])
    assert bunch.target.tolist() == ["Jogging", "Walking"]
    assert bunch.task.tolist() == [33, 17]


def test_clinc150_format(local):
    sentences = {
        "oos_val": [["what", "oos"]],
        "val": [["pay it", "pay"]],
        "train": [["whisper now", "whisper"], ["pay, please", "pay"]],
        "test": [["be quiet", "whisper"]],
    }
    files = {
        "data_full.json": json.dumps(sentences),
        "domains.json": json.dumps({"money": ["pay"], "meta": ["whisper"]}),
    }
    local("clinc150", **files)
    bunch = fetch_clinc150()
    expected = ["whisper now", "pay, please", "pay it", "be quiet"]
    assert bunch.data.tolist() == expected
    assert bunch.target.tolist() == ["whisper", "pay", "pay", "whisper"]
    assert bunch.task.tolist() == ["meta", "money", "money", "meta"]
    assert bunch.split.tolist() == ["train", "train", "val", "test"]
    X, _, domain = fetch_clinc150(subset="val", return_X_y_task=True)
    assert X.tolist() == ["pay it"]
    assert domain.tolist() == ["money"]


def png(ink):
    """A PNG image of black strokes on white, of one bit per pixel as the originals."""
    file = io.BytesIO()
    Image.fromarray(~ink).convert("1").save(file, format="png")
    return file.getvalue()


@pytest.fixture
def drawings(tmp_path, monkeypatch):
    """A small Omniglot: two alphabets to learn from, one to judge by."""
    monkeypatch.setenv("SKLMETA_DATA", str(tmp_path))
    (tmp_path / "omniglot").mkdir()
    corner = np.zeros((105, 105), bool)
    corner[:15, :15] = True  # a pixel of 7 x 7
    names = {
        "images_background": ["Greek/character01/01_02", "Latin/character01/02_11"],
        "images_evaluation": ["Tifinagh/character02/03_20"],
    }
    for folder, files in names.items():
        path = tmp_path / "omniglot" / f"{folder}.zip"
        with zipfile.ZipFile(path, "w") as archive:
            for file in files:
                archive.writestr(f"{folder}/{file}.png", png(corner))


def test_omniglot_format(drawings):
    bunch = fetch_omniglot(image_size=7)
    assert bunch.data.shape == (3, 1, 7, 7)
    assert bunch.data.dtype == np.float32
    expected = np.zeros((7, 7))
    expected[0, 0] = 1
    np.testing.assert_array_equal(bunch.data[0, 0], expected)
    assert bunch.target[-1] == "Tifinagh/character02"
    assert bunch.task.tolist() == ["Greek", "Latin", "Tifinagh"]
    assert bunch.drawer.tolist() == [2, 11, 20]


def test_omniglot_rotations_are_classes_of_tasks_of_their_own(drawings):
    X, y, alphabet = fetch_omniglot(
        subset="background", image_size=7, rotations=True, return_X_y_task=True
    )
    assert len(X) == len(set(y)) == len(set(alphabet)) == 8
    assert y[2] == "Greek/character01@90"
    assert alphabet[-1] == "Latin@270"
    corners = [np.argwhere(image[0] == 1).tolist() for image in X[::2]]
    assert corners == [[[0, 0]], [[6, 0]], [[6, 6]], [[0, 6]]]


def test_omniglot_scales_down_by_averaging(drawings):
    image = fetch_omniglot(subset="evaluation", image_size=5).data[0, 0]
    assert image[0, 0] == pytest.approx((15 / 21) ** 2, abs=1 / 255)


def test_omniglot_archives_are_cached_whole(tmp_path):
    path = tmp_path / "images_background.zip.part"
    path.write_bytes(b"as it is")
    name = "images_background.zip"
    assert read_members(path, name, (name,)) == {name: b"as it is"}


TOX21 = """{assays},mol_id,smiles
0,1,{ten},T1,CCO
0,0,{ten},T2,CCN
1,,{ten},T3,CCN
1,,{ten},T4,CCC
"""


def test_tox21_format(local):
    empty = ",".join([""] * 10)
    text = TOX21.format(assays=",".join(ASSAYS), ten=empty)
    local("tox21")
    folder = Path(os.environ["SKLMETA_DATA"]) / "tox21"
    (folder / "tox21.csv.gz").write_bytes(gzip.compress(text.encode()))
    X, y, assay = fetch_tox21(disjoint=False, return_X_y_task=True)
    rows = sorted(zip(X, y, assay, strict=True))
    # CCN was found both active and inactive by NR-AR.
    assert rows == [
        ("CCC", "active", "NR-AR"),
        ("CCN", "inactive", "NR-AR-LBD"),
        ("CCO", "active", "NR-AR-LBD"),
        ("CCO", "inactive", "NR-AR"),
    ]
    X, _, _ = fetch_tox21(return_X_y_task=True)
    assert sorted(X) == ["CCC", "CCN", "CCO"]


@real_data("omniglot")
def test_real_omniglot():
    bunch = fetch_omniglot(subset="evaluation")
    assert bunch.data.shape == (13_180, 1, 28, 28)
    _, sizes = np.unique(bunch.target, return_counts=True)
    assert len(sizes) == 659
    assert set(sizes.tolist()) == {20}
    assert len(np.unique(bunch.task)) == 20
    drawers, counts = np.unique(bunch.drawer, return_counts=True)
    assert drawers.tolist() == list(range(1, 21))
    assert set(counts.tolist()) == {659}
    assert 0.02 < bunch.data.mean() < 0.2


@real_data("tox21")
def test_real_tox21():
    every = fetch_tox21(disjoint=False, as_frame=True).frame
    assert not every.duplicated(["smiles", "assay"]).any()
    active = every.groupby("assay").activity.agg(lambda part: (part == "active").mean())
    assert active.min() > 0.02
    assert active.max() < 0.17
    apart = fetch_tox21(as_frame=True).frame
    assert not apart.smiles.duplicated().any()
    assert set(apart.smiles) == set(every.smiles)
    sizes = apart.groupby("assay").size()
    assert len(sizes) == 12
    assert sizes.min() > 400
    again = fetch_tox21(as_frame=True, random_state=1).frame
    assert not apart.equals(again)


@real_data("tox21")
def test_real_tox21_new_assay():
    frame = fetch_tox21(new_assay="SR-p53", as_frame=True).frame
    is_new = frame.assay == "SR-p53"
    assert not set(frame.smiles[is_new]) & set(frame.smiles[~is_new])
    assert 0.36 < frame.smiles[is_new].nunique() / 6900 < 0.44
    assert frame.assay.nunique() == 12


@real_data("parkinsons")
def test_real_parkinsons():
    bunch = fetch_parkinsons()
    assert bunch.data.shape == (5875, 19)
    assert np.isfinite(bunch.data).all()
    sizes = np.unique(bunch.task, return_counts=True)[1]
    assert (len(sizes), sizes.min(), sizes.max()) == (42, 101, 168)
    steps = np.diff(bunch.data[:, bunch.feature_names.index("test_time")])
    assert (steps[np.diff(bunch.task) == 0] >= 0).all()


@real_data("heart_disease")
def test_real_heart_disease():
    bunch = fetch_heart_disease()
    assert bunch.data.shape == (920, 13)
    hospitals, sizes = np.unique(bunch.task, return_counts=True)
    assert hospitals.tolist() == ["cleveland", "hungarian", "switzerland", "va"]
    assert sizes.tolist() == [303, 294, 123, 200]
    # One copy of the Cleveland table in circulation has its target reversed.
    ill = (bunch.target == "disease") & (bunch.task == "cleveland")
    assert ill.sum() == 139
    angina = bunch.data[:, bunch.feature_names.index("exang")]
    assert angina[ill].mean() > 0.5
    assert 0.14 < np.isnan(bunch.data).mean() < 0.16


@real_data("wisdm")
def test_real_wisdm():
    bunch = fetch_wisdm()
    assert bunch.data.shape == (5418, 43)
    assert set(bunch.target) == {
        "Walking",
        "Jogging",
        "Upstairs",
        "Downstairs",
        "Sitting",
        "Standing",
    }
    users, sizes = np.unique(bunch.task, return_counts=True)
    assert users.tolist() == list(range(1, 37))
    assert (sizes.min(), sizes.max()) == (60, 273)
    n_classes = [len(np.unique(bunch.target[bunch.task == user])) for user in users]
    assert sum(n == 6 for n in n_classes) == 18


@real_data("clinc150")
def test_real_clinc150():
    bunch = fetch_clinc150()
    assert bunch.data.shape == (22_500,)
    intents, sizes = np.unique(bunch.target, return_counts=True)
    assert len(intents) == 150
    assert set(sizes.tolist()) == {150}
    assert len(np.unique(bunch.task)) == 10
    assert "oos" not in intents
    pairs = {*zip(bunch.target.tolist(), bunch.task.tolist(), strict=True)}
    assert len(pairs) == 150


@pytest.mark.parametrize(
    "fetch",
    [
        pytest.param(fetch_parkinsons, marks=real_data("parkinsons")),
        pytest.param(fetch_heart_disease, marks=real_data("heart_disease")),
        pytest.param(fetch_wisdm, marks=real_data("wisdm")),
        pytest.param(fetch_clinc150, marks=real_data("clinc150")),
        pytest.param(fetch_tox21, marks=real_data("tox21")),
    ],
)
def test_real_forms_agree(fetch):
    bunch = fetch()
    assert bunch.frame is None
    assert len(bunch.DESCR) > 300
    for array, other in zip(
        (bunch.data, bunch.target, bunch.task), fetch(return_X_y_task=True), strict=True
    ):
        np.testing.assert_array_equal(array, other)
    framed = fetch(as_frame=True)
    assert isinstance(framed.frame, pd.DataFrame)
    names = [*bunch.feature_names, *bunch.target_names, bunch.task_name]
    assert set(names) <= set(framed.frame.columns)
    np.testing.assert_array_equal(framed.data.to_numpy(), bunch.data)
    np.testing.assert_array_equal(
        framed.target.to_numpy().astype(str), bunch.target.astype(str)
    )
    np.testing.assert_array_equal(
        framed.task.to_numpy().astype(str), bunch.task.astype(str)
    )
    assert framed.target.name == bunch.target_names[0]
    X, y, task = fetch(as_frame=True, return_X_y_task=True)
    assert len(X) == len(y) == len(task) == len(bunch.data)
