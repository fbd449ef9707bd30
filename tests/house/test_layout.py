"""The house keeps its own rules: measured from the source, without importing it."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import ast
import functools
from pathlib import Path

import pytest
from arrows import Graph, House, is_private, is_type_checking, lazy_map, rings, wing_of

ROOT = Path(__file__).resolve().parents[2]

FLOORS = (
    {"_version", "_compat", "_lazy", "_show_versions", "exceptions"},
    {"data"},
    {"mixed_models", "preparation"},
    {"episodes"},
    {"learners"},
    {"training"},
    {"evaluation"},
    {"estimator"},
    {"model_selection"},
    {"gradient_based", "metric_based", "closed_form", "model_based", "baselines"},
    {"auto"},
    {"comparing"},
    {"calibration", "partitions"},
    {"inspection"},
    {"persistence"},
    {"sklmeta", "testing", "cli", "datasets"},
    {"__main__", "encoders", "tasks"},
)
"""Wings from the ground up; "sklmeta" is the package's own lazy `__init__`."""
FLOOR = {wing: height for height, wings in enumerate(FLOORS) for wing in wings}
NEEDS_ONLY = {"datasets": {"data", "_version", "_compat", "_lazy", "exceptions"}}

AT_THE_ROOT = {
    *("__init__.py", "__main__.py", "_version.py", "_compat.py", "_lazy.py"),
    *("_show_versions.py", "exceptions.py", "testing.py"),
    *("encoders.py", "tasks.py", "py.typed"),
}
OPEN_TO_ALL = {f"sklmeta.{name}" for name in ("_compat", "_version", "_lazy")}
OPEN_TO_ALL.add("sklmeta._show_versions")
MOST_LINES = 400
MOST_LINES_OF_A_FUNCTION = 45


# The rules: each says what breaks it, where, and how to mend it -----------------------


def circles(house: House) -> list[str]:
    modules: Graph = {}
    wings: Graph = {}
    for arrow in house.own_arrows:
        source, target = wing_of(arrow.source), wing_of(arrow.target)
        modules.setdefault(arrow.source, {})[arrow.target] = arrow.where
        if source != target:
            wings.setdefault(source, {})[target] = arrow.where
    return [
        f"{where}: {' -> '.join(ring)} is a circle. Move what both ends need below "
        "them, or hand it over as an argument."
        for graph in (modules, wings)
        for ring, where in rings(graph)
    ]


def upward_arrows(house: House) -> list[str]:
    found = []
    for arrow in house.own_arrows:
        source, target = wing_of(arrow.source), wing_of(arrow.target)
        if source == target or source not in FLOOR or target not in FLOOR:
            continue  # an unknown wing is found by `rooms`
        allowed = NEEDS_ONLY.get(source)
        if FLOOR[target] > FLOOR[source] or (allowed and target not in allowed):
            found.append(
                f"{arrow.where}: {source} imports {arrow.target}, which runs up. Move "
                f"what it needs to {source} or below, or the caller up to {target}."
            )
    return found


def private_names(house: House) -> list[str]:
    found = []
    for arrow in house.own_arrows:
        full = f"{arrow.target}.{arrow.name}" if arrow.name else arrow.target
        hidden = [part for part in full.split(".") if is_private(part)]
        same = wing_of(arrow.source) == wing_of(arrow.target)
        if hidden and not same and arrow.target not in OPEN_TO_ALL:
            found.append(
                f"{arrow.where}: {full} is private to {wing_of(arrow.target)}. Take "
                f"what is public, or give {hidden[0]} a name without underscore."
            )
    return found


def rooms(house: House) -> list[str]:
    found = []
    for path in sorted(house.root.iterdir()):
        if path.is_dir():
            known = path.name in FLOOR or not any(path.rglob("*.py"))
        else:
            known = path.name in AT_THE_ROOT
        if not known:
            found.append(
                f"{house.at(path)}: the root has no such room. Put it into the wing "
                "whose work it does, or enter a new wing in FLOORS."
            )
    return found


def lengths(house: House) -> list[str]:
    found = []
    for path, tree in house.trees.values():
        lines = path.read_text("utf-8").splitlines()
        if len(lines) > MOST_LINES:
            found.append(
                f"{house.at(path)}: {len(lines)} lines are more than {MOST_LINES}. "
                "Split it where its parts have names of their own."
            )
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                count = _code_lines(node, lines)
                if count > MOST_LINES_OF_A_FUNCTION:
                    found.append(
                        f"{house.at(path)}:{node.lineno}: {node.name} has {count} "
                        f"lines of code, more than {MOST_LINES_OF_A_FUNCTION}. Give a "
                        "part of it a name."
                    )
    return found


def _code_lines(
    function: ast.FunctionDef | ast.AsyncFunctionDef, lines: list[str]
) -> int:
    """Lines of the body, without the docstring, blank lines and comments."""
    body = function.body[ast.get_docstring(function) is not None :]
    if not body:
        return 0
    text = lines[body[0].lineno - 1 : function.end_lineno]
    return sum(bool(line.strip()) and line.strip()[0] != "#" for line in text)


def scikit_learn_privates(house: House) -> list[str]:
    found = []
    for arrow in house.arrows:
        parts = [*arrow.target.split("."), arrow.name or ""]
        if parts[0] != "sklearn" or arrow.source == "sklmeta._compat":
            continue
        if any(map(is_private, parts)):
            found.append(
                f"{arrow.where}: {'.'.join(parts)} may go in any release of "
                "scikit-learn. Import it in sklmeta/_compat.py, and from there."
            )
    return found


def lazy_names(house: House) -> list[str]:
    found = []
    for path, tree in house.trees.values():
        lazy = lazy_map(tree) if path.name == "__init__.py" else None
        if lazy is None:
            continue
        blocks = [node for node in ast.walk(tree) if is_type_checking(node)]
        read = {
            (node.module, alias.name)
            for block in blocks
            for node in ast.walk(block)
            if isinstance(node, ast.ImportFrom)
            for alias in node.names
        }
        given = {(module, name) for module, names in lazy.items() for name in names}
        for module, name in sorted(read ^ given):
            where = "in the lazy map"
            if (module, name) in read:
                where = "under TYPE_CHECKING"
            found.append(
                f"{house.at(path)}: {module}.{name} stands only {where}. Enter it in "
                "both, or editors and the interpreter disagree."
            )
    return found


RULES = (
    *(circles, upward_arrows, private_names, rooms, lengths),
    *(scikit_learn_privates, lazy_names),
)


@functools.cache
def package() -> House:
    return House(ROOT / "sklmeta")


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_package_keeps(rule):
    found = rule(package())
    assert not found, "\n".join(found)


@pytest.mark.parametrize("folder", ["tests", "benchmarks", "examples", "tools"])
def test_files_and_functions_are_short(folder):
    found = lengths(House(ROOT / folder))
    assert not found, "\n".join(found)


# A rule that cannot fail is none ------------------------------------------------------

LAZY = """
from typing import TYPE_CHECKING
from sklmeta._lazy import attach

if TYPE_CHECKING:
    from sklmeta.auto import Read as Read

__getattr__, __dir__, __all__ = attach(__name__, {"sklmeta.auto": ["Read"%s]})
"""
BODY = "    x = 1\n"


@pytest.mark.parametrize(
    ("rule", "files", "told"),
    [
        (
            circles,
            {
                "data/a.py": "from sklmeta.data.b import f",
                "data/b.py": "def f():\n    from sklmeta.data import a",
            },
            "sklmeta/data/a.py:1: sklmeta.data.a -> sklmeta.data.b -> sklmeta.data.a",
        ),
        (
            circles,
            {
                "baselines/a.py": "from sklmeta.model_based.b import f",
                "model_based/b.py": "",
                "model_based/c.py": "if TYPE_CHECKING:\n"
                "    from sklmeta.baselines import a",
            },
            "baselines -> model_based -> baselines is a circle",
        ),
        (
            upward_arrows,
            {"data/a.py": "from sklmeta.auto.b import f", "auto/b.py": ""},
            "sklmeta/data/a.py:1: data imports sklmeta.auto.b, which runs up",
        ),
        (
            upward_arrows,
            {"data/a.py": "def f():\n    import sklmeta.auto.b", "auto/b.py": ""},
            "sklmeta/data/a.py:2: data imports",
        ),
        (
            upward_arrows,
            {"auto/a.py": "from sklmeta.data import b", "data/b.py": ""},
            None,
        ),
        (
            upward_arrows,
            {"datasets/a.py": "from sklmeta.episodes import b", "episodes/b.py": ""},
            "datasets imports sklmeta.episodes.b",
        ),
        (upward_arrows, {"__init__.py": LAZY % "", "auto/__init__.py": ""}, None),
        (
            private_names,
            {"auto/a.py": "from sklmeta.data.b import _f", "data/b.py": ""},
            "sklmeta.data.b._f is private to data",
        ),
        (
            private_names,
            {"auto/a.py": "from sklmeta.data import _b", "data/_b.py": ""},
            "or give _b a name without underscore",
        ),
        (
            private_names,
            {
                "data/a.py": "from sklmeta._compat import _f\n"
                "from sklmeta.data._b import _g",
                "_compat.py": "",
                "data/_b.py": "",
            },
            None,
        ),
        (rooms, {"helpers.py": ""}, "sklmeta/helpers.py: the root has no such room"),
        (rooms, {"attic/a.py": ""}, "sklmeta/attic: the root has no such room"),
        (rooms, {"exceptions.py": "", "data/a.py": ""}, None),
        (lengths, {"data/a.py": "x = 1\n" * 400}, None),
        (lengths, {"data/a.py": "x = 1\n" * 401}, "401 lines are more than 400"),
        (
            lengths,
            {"data/a.py": f'def f(\n  a,\n):\n    """One.\n\n    Two."""\n{BODY * 45}'},
            None,
        ),
        (
            lengths,
            {"data/a.py": f"class A:\n  async def f(self):\n{BODY * 46}"},
            "sklmeta/data/a.py:2: f has 46 lines of code",
        ),
        (
            scikit_learn_privates,
            {"data/a.py": "def f():\n    from sklearn.utils import _safe_indexing"},
            "sklmeta/data/a.py:2: sklearn.utils._safe_indexing may go",
        ),
        (
            scikit_learn_privates,
            {"data/a.py": "from sklearn.utils._param_validation import Interval"},
            "Import it in sklmeta/_compat.py",
        ),
        (
            scikit_learn_privates,
            {
                "_compat.py": "from sklearn.base import _fit_context",
                "data/a.py": "from sklearn import __version__",
            },
            None,
        ),
        (lazy_names, {"__init__.py": LAZY % ""}, None),
        (
            lazy_names,
            {"__init__.py": LAZY % ', "More"'},
            "sklmeta/__init__.py: sklmeta.auto.More stands only in the lazy map",
        ),
    ],
)
def test_a_breach_is_found_and_named(rule, files, told, tmp_path):
    for name, text in files.items():
        path = tmp_path / "sklmeta" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    found = rule(House(tmp_path / "sklmeta"))
    if told is None:
        assert found == []
    else:
        (message,) = found
        assert told in message
