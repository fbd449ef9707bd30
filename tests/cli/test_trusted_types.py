"""A model file runs no code: types are trusted by full name, the others refused."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

import json
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import skops
import skops.io
from sklearn.linear_model import Ridge

from sklmeta.cli import main
from sklmeta.cli._store import load_model
from sklmeta.cli._table import DataError
from sklmeta.persistence import trusted_types

SKOPS = tuple(map(int, skops.__version__.split(".")[:2]))
FIXTURES = sorted(Path(__file__).parents[1].glob("fixtures/*/*.skops"))


def write_with_node(path, content, node):
    """Keep `content` as the model, then have `node` stand where it stood."""
    skops.io.dump({"model": content, "meta": {}}, path)
    with zipfile.ZipFile(path) as archive:
        schema = json.loads(archive.read("schema.json"))
    kept = schema["content"]["model"]
    schema["content"]["model"] = {"content": kept, "__id__": 1, **node}
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("schema.json", json.dumps(schema))


@pytest.mark.parametrize(
    ("name", "loader"),
    [
        ("builtins.eval", "ConstructorFromReduceNode"),
        ("numpy.testing.measure", "ConstructorFromReduceNode"),
        ("numpy.testing._private.utils.runstring", "ConstructorFromReduceNode"),
        ("numpy.load", "FunctionNode"),
        ("scipy.io.loadmat", "TypeNode"),
        ("sklmeta.cli._store.load_model", "ConstructorFromReduceNode"),
        ("evil.anything", "ObjectNode"),
    ],
)
def test_what_is_not_on_the_list_is_refused_by_name_and_not_run(
    tmp_path, monkeypatch, capsys, name, loader
):
    ran = tmp_path / "ran"
    code = f"__import__('pathlib').Path({str(ran)!r}).touch()"
    (tmp_path / "evil.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    module, _, called = name.rpartition(".")
    arguments = (code, {}) if called == "runstring" else (code,)
    path = str(tmp_path / "evil.skops")
    node = {"__class__": called, "__module__": module, "__loader__": loader}
    write_with_node(path, arguments, node)
    assert main(["predict", path, "x.csv"]) == 1
    message = capsys.readouterr().err
    by_name = f"may run code: {name}. It was not read" in message
    # Early versions of skops know no such node, and stop before they ask for its type.
    assert by_name or (SKOPS < (0, 12) and "no model that" in message)
    assert "sklmeta fit" in message
    assert not ran.exists()


def test_a_method_of_a_trusted_type_is_not_trusted(tmp_path):
    path = str(tmp_path / "evil.skops")
    skops.io.dump({"model": Ridge().fit, "meta": {}}, path)
    named = r"may run code: sklearn\..*\.(Ridge\.fit|method)\."
    with pytest.raises(DataError, match=named):
        load_model(path)


@pytest.mark.parametrize("schema", ["", "{}", '{"protocol": 0}'])
def test_a_broken_file_is_told(tmp_path, schema):
    path = str(tmp_path / "broken.skops")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("schema.json", schema)
    with pytest.raises(DataError, match="no model that sklmeta or skops wrote"):
        load_model(path)


@pytest.mark.parametrize("classes", [0, 2])
def test_all_that_fit_writes_is_read(tmp_path, monkeypatch, capsys, classes):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"store": np.repeat([f"s{i}" for i in range(12)], 10)})
    table["price"] = rng.normal(size=120)
    table["day"] = rng.choice(["mon", None, "tue"], 120)
    table["sold"] = rng.normal(size=120)
    if classes:
        table["sold"] = rng.choice([*"abc"[:classes]], 120)
    table.to_csv("t.csv", index=False)
    command = ["fit", "t.csv", "--task", "store", "--target", "sold", "--quiet"]
    command.append("--no-validation")
    assert main([*command, "--out", "m.skops", "--max-iter", "1"]) == 0
    assert main(["predict", "m.skops", "t.csv", "--out", "p.csv"]) == 0
    assert "prediction" in pd.read_csv("p.csv")


@pytest.mark.parametrize("path", FIXTURES, ids=lambda path: path.stem)
@pytest.mark.filterwarnings("ignore:This .* was written by sklmeta")
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.InconsistentVersionWarning")
def test_the_list_suffices_for_every_estimator(path):
    skops.io.load(path, trusted=trusted_types())
