"""`save` and `load`: whole files, types by name, one error for whatever is damaged."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

import os
import random
import stat
import zipfile

import numpy as np
import pytest
import skops.io
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import Ridge
from torch import nn

import sklmeta
from sklmeta.datasets import make_linear_tasks
from sklmeta.persistence import ModelFileError, check_writable


class OwnNetwork(nn.Sequential):
    """What a user brings."""

    def __init__(self, n_in=5):
        super().__init__(nn.Linear(n_in, 4), nn.Tanh())


@pytest.fixture(scope="module")
def tasks():
    return make_linear_tasks(n_tasks=8, n_rows=6, random_state=0)


@pytest.fixture(scope="module")
def model(tasks):
    X, y, task = tasks
    return sklmeta.MixedModelRegressor().fit(X, y, task=task).adapt(X[:3], y[:3])


@pytest.fixture
def path(model, tmp_path):
    sklmeta.save(model, tmp_path / "m.skops")
    return tmp_path / "m.skops"


def test_what_was_saved_is_read(model, path, tasks):
    X = tasks[0]
    np.testing.assert_array_equal(sklmeta.load(path).predict(X), model.predict(X))
    skops.io.load(path, trusted=skops.io.get_untrusted_types(file=path))


def mutated(data, rng):
    data = bytearray(data)
    place = rng.randrange(len(data))
    match rng.randrange(4):
        case 0:
            data[place] ^= 1 << rng.randrange(8)
        case 1:
            del data[place:]
        case 2:
            data[place : place + rng.randrange(1, 30)] = rng.randbytes(
                rng.randrange(30)
            )
        case 3:
            data[place:place] = rng.randbytes(rng.randrange(1, 30))
    return bytes(data)


def test_every_change_of_a_byte_is_seen(path):
    whole, rng = path.read_bytes(), random.Random(0)
    for _ in range(300):
        changed = mutated(whole, rng)
        if changed == whole:
            continue
        path.write_bytes(changed)
        with pytest.raises(ModelFileError, match="damaged, or no model"):
            sklmeta.load(path)


def test_without_a_seal_it_is_an_error_or_the_same_model(model, path, tasks):
    """Such as skops itself writes: its zip has a check sum of each member."""
    X = tasks[0]
    whole, rng, n_read = skops.io.dumps(model), random.Random(1), 0
    for _ in range(150):
        path.write_bytes(mutated(whole, rng))
        try:
            found = sklmeta.load(path)
        except ModelFileError:
            continue
        n_read += 1
        np.testing.assert_array_equal(found.predict(X), model.predict(X))
    assert n_read < 75


@pytest.mark.parametrize(
    "content", [b"", b"x,y\n1,2\n", b"PK\x03\x04", b"\x80\x05N."], ids=repr
)
def test_other_files_are_no_models(tmp_path, content):
    (tmp_path / "m.skops").write_bytes(content)
    with pytest.raises(ModelFileError, match=r"m\.skops is damaged, or no model"):
        sklmeta.load(tmp_path / "m.skops")
    with pytest.raises(FileNotFoundError, match="There is no file"):
        sklmeta.load(tmp_path / "other.skops")


def test_a_type_of_the_users_own_is_refused_by_name_until_trusted(tasks, tmp_path):
    X, y, task = tasks
    estimator = sklmeta.MAMLRegressor(module=OwnNetwork, max_iter=1, random_state=0)
    estimator.fit(X, y, task=task)
    sklmeta.save(estimator, tmp_path / "own.skops")
    name = f"{OwnNetwork.__module__}.OwnNetwork"
    with pytest.raises(ModelFileError, match=rf"{name}\. It was not read.*trusted="):
        sklmeta.load(tmp_path / "own.skops")
    loaded = sklmeta.load(tmp_path / "own.skops", trusted=[name])
    np.testing.assert_array_equal(loaded.predict(X), estimator.predict(X))
    with pytest.raises(TypeError, match="list of full names"):
        sklmeta.load(tmp_path / "own.skops", trusted=name)


def test_a_sealed_file_of_another_hand_is_still_refused_by_type(tmp_path):
    sklmeta.save({"model": Ridge(), "f": os.path.join}, tmp_path / "evil.skops")
    with pytest.raises(ModelFileError, match=r"may run code: .*posixpath\.join"):
        sklmeta.load(tmp_path / "evil.skops")


@pytest.mark.parametrize(
    ("field", "value"), [("left", 0), ("right", 10**6), ("feature_idx", 99)]
)
def test_a_crafted_tree_is_refused(tmp_path, field, value):
    X = np.arange(60.0).reshape(-1, 1)
    trees = HistGradientBoostingRegressor(max_iter=2).fit(X, X[:, 0])
    trees._predictors[1][0].nodes[field][0] = value
    sklmeta.save({"model": trees}, tmp_path / "trees.skops")
    with pytest.raises(ModelFileError, match="links lead out"):
        sklmeta.load(tmp_path / "trees.skops")


def test_a_failed_save_leaves_the_good_file(path, monkeypatch):
    whole = path.read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        sklmeta.save([Ridge()], path)
    assert path.read_bytes() == whole
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_permissions_and_links_are_kept(path, tmp_path):
    path.chmod(0o640)
    link = tmp_path / "link.skops"
    link.symlink_to(path)
    sklmeta.save([Ridge(2.0)], link)
    assert link.is_symlink() and stat.S_IMODE(path.stat().st_mode) == 0o640
    assert sklmeta.load(path)[0].alpha == 2.0
    with zipfile.ZipFile(path) as archive:
        assert archive.comment.startswith(b"sklmeta sha256 ")


def test_where_nothing_can_be_written_is_said_first(tmp_path):
    (tmp_path / "file").touch()
    for place, words in [
        (tmp_path, "is a folder; give the name of a file"),
        (tmp_path / "none" / "m.skops", "There is no folder"),
        (tmp_path / "file" / "m.skops", "There is no folder"),
    ]:
        with pytest.raises(OSError, match=words):
            check_writable(place)
        with pytest.raises(OSError, match=words):
            sklmeta.save(Ridge(), place)
