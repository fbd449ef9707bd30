"""What the modules of a package import, read from their text alone."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

Graph = dict[str, dict[str, str]]
"""Where each module, or wing, imports each of the others that it does."""


class Arrow(NamedTuple):
    """One name that one module imports; `name` is None for the module as a whole."""

    source: str
    target: str
    name: str | None
    where: str


class House:
    """The modules of a package and what they import, from their text alone."""

    def __init__(self, root: Path):
        self.root = root
        self.trees = {
            self._name(path): (path, ast.parse(path.read_text("utf-8")))
            for path in sorted(root.rglob("*.py"))
        }
        self.arrows = [
            arrow
            for module, (path, tree) in self.trees.items()
            for arrow in self._imports(module, path, tree)
        ]

    def _name(self, path: Path) -> str:
        parts = path.relative_to(self.root.parent).with_suffix("").parts
        return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)

    def _imports(self, module: str, path: Path, tree: ast.Module) -> Iterator[Arrow]:
        lazy = path.name == "__init__.py" and lazy_map(tree) is not None
        for node in _walk(tree, enter_type_checking=not lazy):
            where = f"{self.at(path)}:{getattr(node, 'lineno', 0)}"
            if isinstance(node, ast.Import):
                for alias in node.names:
                    yield Arrow(module, alias.name, None, where)
            elif isinstance(node, ast.ImportFrom):
                for alias in node.names:
                    inner = f"{node.module}.{alias.name}"
                    if inner in self.trees:
                        yield Arrow(module, inner, None, where)
                    else:
                        yield Arrow(module, str(node.module), alias.name, where)

    def at(self, path: Path) -> str:
        return path.relative_to(self.root.parent).as_posix()

    @property
    def own_arrows(self) -> list[Arrow]:
        return [arrow for arrow in self.arrows if arrow.target in self.trees]


def _walk(node: ast.AST, *, enter_type_checking: bool) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        if is_type_checking(child) and not enter_type_checking:
            continue
        yield child
        yield from _walk(child, enter_type_checking=enter_type_checking)


def is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def lazy_map(tree: ast.Module) -> dict[str, list[str]] | None:
    """Names that a lazy `__init__` gives `attach`, by module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "attach":
            return dict(ast.literal_eval(node.args[1]))
    return None


def wing_of(module: str) -> str:
    _, _, rest = module.partition(".")
    return rest.partition(".")[0] or module


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.endswith("__")


def rings(graph: Graph) -> Iterator[tuple[list[str], str]]:
    """The shortest way back along every arrow that has one, each ring once."""
    found = set()
    for source in sorted(graph):
        for target, where in graph[source].items():
            back = _path(graph, target, source)
            if back and frozenset(back) not in found:
                found.add(frozenset(back))
                yield [source, *back], where


def _path(graph: Graph, start: str, end: str) -> list[str] | None:
    paths, seen = [[start]], {start}
    for path in paths:  # breadth first: the list grows while it is read
        if path[-1] == end:
            return path
        steps = [step for step in graph.get(path[-1], ()) if step not in seen]
        seen.update(steps)
        paths += [[*path, step] for step in steps]
    return None
