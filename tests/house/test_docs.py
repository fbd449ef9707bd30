"""The documentation is complete, its code runs, and the docstrings are numpydoc."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import ast
import builtins
import importlib.util
import inspect
import pydoc
import re
import sys
import textwrap
import types
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpydoc.docscrape import NumpyDocString
from numpydoc.validate import validate

import sklmeta
import sklmeta.calibration
import sklmeta.comparing
import sklmeta.datasets
import sklmeta.estimator
import sklmeta.inspection
import sklmeta.learners
import sklmeta.model_selection
import sklmeta.partitions
import sklmeta.persistence
import sklmeta.preparation
import sklmeta.testing

ROOT = Path(__file__).resolve().parents[2]
MODULES = (
    sklmeta,
    sklmeta.estimator,
    sklmeta.model_selection,
    sklmeta.comparing,
    sklmeta.calibration,
    sklmeta.inspection,
    sklmeta.datasets,
    sklmeta.persistence,
    sklmeta.preparation,
    sklmeta.partitions,
    sklmeta.learners,
    sklmeta.testing,
)
PAGES = (
    "README.md",
    "docs/index.md",
    "docs/which_estimator.md",
    "docs/adapting.md",
    "docs/large_data.md",
    "docs/several_targets.md",
    "docs/baselines.md",
    "docs/gradient_based.md",
    "docs/metric_based.md",
    "docs/model_based.md",
    "docs/closed_form.md",
    "docs/mixed_models.md",
    "docs/reliability.md",
    "docs/comparing.md",
    "docs/saving.md",
    "docs/many_machines.md",
    "docs/tasks_and_collections.md",
    "docs/labels.md",
    "docs/supports.md",
    "docs/pipelines_and_search.md",
    "docs/own_network.md",
    "docs/missing_values.md",
    "docs/choosing_hyperparameters.md",
    "docs/gpu.md",
    "docs/serving.md",
    "docs/reproducibility.md",
    "docs/cost.md",
    "docs/coming_from.md",
    "docs/extending.md",
    "docs/maths_gradient.md",
    "docs/maths_metric.md",
    "docs/maths_model_based.md",
    "docs/maths_closed_form.md",
    "docs/maths_theory.md",
)

ESTIMATORS = [n for n in sklmeta.__all__ if hasattr(getattr(sklmeta, n), "get_params")]

IGNORED = {
    # As scikit-learn does.
    "ES01",  # no extended summary
    "EX01",  # no example: the classes' doctests show their methods
    "GL01",  # a docstring begins on its first line, which numpydoc took for wrong
    "GL02",  # where the closing quotes are: completed docstrings end without a newline
    "RT02",  # a result may have a name
    "SA01",  # no "See Also"
    # A result that its type describes; a Bunch, described by its attributes.
    "RT03",
    "RT05",
}
"""What numpydoc's validation may find, by its codes."""


def public_objects():
    for module in MODULES:
        for name in module.__all__:
            yield f"{module.__name__}.{name}"


def public_methods():
    for path in public_objects():
        module, _, name = path.rpartition(".")
        thing = getattr(next(m for m in MODULES if m.__name__ == module), name)
        if not inspect.isclass(thing):
            continue
        for method, value in inspect.getmembers(thing, callable):
            where = getattr(value, "__module__", None) or ""
            if not method.startswith("_") and where.startswith("sklmeta"):
                yield f"{path}.{method}"


@pytest.mark.parametrize("module", MODULES, ids=lambda m: m.__name__)
def test_api_page_has_every_public_name(module):
    text = (ROOT / "docs" / "api.md").read_text("utf-8")
    missing = [name for name in module.__all__ if f"`{name}`" not in text]
    assert not missing, f"docs/api.md lacks {missing}"


def test_api_page_has_no_other_name():
    text = (ROOT / "docs" / "api.md").read_text("utf-8")
    listed = re.findall(r"^\| `(\w+)` \|", text, flags=re.MULTILINE)
    public = {name for module in MODULES for name in module.__all__}
    assert sorted(listed) == sorted(public)


@pytest.fixture
def in_a_folder_with_tables(tmp_path, monkeypatch):
    """The files that the pages speak of."""
    rng = np.random.default_rng(0)
    store = np.repeat([f"s{i}" for i in range(25)], 12)
    level, slope = rng.normal(100, 20, size=25), rng.normal(-10, 3, size=25)
    code = np.arange(len(store)) // 12
    price, promo = rng.uniform(1, 4, len(store)), rng.integers(2, size=len(store))
    sales = level[code] + slope[code] * price + 8 * promo + rng.normal(size=len(store))
    df = pd.DataFrame({"store": store, "price": price, "promo": promo, "sales": sales})
    df.iloc[:-12].to_csv(tmp_path / "sales.csv", index=False)
    df.iloc[-12:-7].drop(columns="store").to_csv(
        tmp_path / "new_store.csv", index=False
    )
    np.save(tmp_path / "X.npy", df[["price", "promo"]])
    np.save(tmp_path / "y.npy", df["sales"])
    np.save(tmp_path / "task.npy", code)
    if importlib.util.find_spec("pyarrow") is not None:
        df.to_parquet(tmp_path / "sales.parquet")
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("page", PAGES)
def test_code_on_the_page_runs(page, in_a_folder_with_tables, monkeypatch):
    text = (ROOT / page).read_text("utf-8")
    if ".parquet" in text:
        pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    blocks = re.findall(r"^```python\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)
    assert blocks
    # The blocks of a page go on from one another, and so share their names. Fewer
    # updates than the page recommends: here it matters that they run.
    module = types.ModuleType("a_page")
    monkeypatch.setitem(sys.modules, module.__name__, module)  # what it defines pickles
    for block in blocks:
        block = block.replace("max_iter=200", "max_iter=20")
        exec(compile(block, page, "exec"), vars(module))


DESCRIBED = [*public_objects(), *public_methods()]
DESCRIBED.remove("sklmeta.learners.State")  # another name of a dict


@pytest.mark.parametrize("path", DESCRIBED)
def test_docstring_is_numpydoc(path):
    errors = validate(path)["errors"]
    found = [f"{code}: {text}" for code, text in errors if code not in IGNORED]
    assert not found, "\n".join(found)


SUBCLASSED = {
    "AdaptableEstimator",
    "BaseMetaEstimator",
    "Learner",
    "MetaClassifierMixin",
    "MetaRegressorMixin",
    "Parameters",
    "PredictiveStdMixin",
}
"""What others derive from; docs/extending.md is their example."""

NO_ALGORITHM = {"PerTask"}


@pytest.mark.parametrize("path", sorted({*public_objects()} & {*DESCRIBED}))
def test_public_name_has_an_example_and_estimators_a_reference(path):
    name, thing = path.rpartition(".")[2], found(path)
    doc = NumpyDocString(inspect.getdoc(thing))
    if inspect.isclass(thing) and not issubclass(thing, Exception):
        empty = {*SUBCLASSED, "LeaveOneTaskOut"}
        assert doc["Parameters"] or doc["Attributes"] or name in empty
    elif not inspect.isclass(thing):
        returns = inspect.signature(thing).return_annotation
        assert doc["Returns"] or doc["Yields"] or returns == "None"
    if name not in SUBCLASSED and not is_exception(thing):
        assert doc["Examples"]
    if name in ESTIMATORS and name not in NO_ALGORITHM:
        assert doc["References"]


@pytest.mark.parametrize("path", DESCRIBED)
def test_docstring_names_what_is_raised(path):
    thing = found(path)
    method = inspect.unwrap(getattr(thing, "fget", None) or thing)
    if inspect.isclass(method):
        return
    described = NumpyDocString(inspect.getdoc(thing))["Raises"]
    names = {name for entry in described for name in (entry.type or entry.name).split()}
    scope = {**vars(builtins), **method.__globals__}
    known = tuple(scope[name] for name in names if inspect.isclass(scope.get(name)))
    missing = [e.__name__ for e in raised(method, scope) if not issubclass(e, known)]
    assert not missing, f"{path} raises {missing}"


def found(path):
    """A public name or method, as it is in its class."""
    module = next(m for m in MODULES[::-1] if path.startswith(f"{m.__name__}."))
    thing = module
    for part in path.removeprefix(f"{module.__name__}.").split("."):
        holder, thing = thing, getattr(thing, part)
    if inspect.isclass(holder) and isinstance(vars(holder).get(part), property):
        return vars(holder)[part]
    return thing


def is_exception(thing):
    return inspect.isclass(thing) and issubclass(thing, Exception)


def raised(function, scope):
    """The classes of exception that a function raises itself, by name."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    calls = (node.exc for node in ast.walk(tree) if isinstance(node, ast.Raise))
    names = {c.func.id for c in calls if isinstance(getattr(c, "func", None), ast.Name)}
    classes = {scope[n] for n in names if inspect.isclass(scope.get(n))}
    return classes - {NotImplementedError}


@pytest.mark.parametrize("name", ESTIMATORS)
def test_help_and_sphinx_have_every_parameter_in_full(name):
    cls = getattr(sklmeta, name)
    text = pydoc.render_doc(cls, renderer=pydoc.plaintext)
    assert "%(" not in text and "See `sklmeta." not in text
    entries = NumpyDocString(inspect.getdoc(cls))["Parameters"]
    names = [name for entry in entries for name in entry.name.split(", ")]
    assert names == list(inspect.signature(cls).parameters)
    assert all(f"{entry.name} : {entry.type}" in text for entry in entries)
