"""Writing a benchmark's table, with the command that makes it."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks" / "results"
DOCS = ROOT / "docs"
PACKAGES = ("numpy", "scikit-learn", "skorch", "torch")


def write_report(
    name: str,
    title: str,
    lines: Sequence[str],
    packages: Sequence[str] = PACKAGES,
    *,
    folder: Path = RESULTS,
    command: str | None = None,
) -> None:
    """Print a table and write it to ``<folder>/<name>.md``."""
    if command is None:
        script = Path(sys.argv[0]).resolve().relative_to(ROOT).with_suffix("")
        command = " ".join(["python -m", ".".join(script.parts), *sys.argv[1:]])
    versions = ", ".join(filter(None, map(package_version, packages)))
    machine = f"{os.cpu_count()} CPU cores ({platform.machine()}), shared"
    head = [f"# {name}", "", title, "", f"`{command}`", ""]
    foot = ["", f"Python {platform.python_version()}, {versions}; {machine}.", ""]
    text = "\n".join([*head, *lines, *foot])
    print(text)
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.md").write_text(text)


def kept(name: str) -> dict[str, Any]:
    """Figures that earlier runs kept, by model: long tables grow row by row."""
    path = RESULTS / f"{name}.json"
    return json.loads(path.read_text()) if path.exists() else {}


def keep(
    name: str, model: str, figures: dict[str, Any], indent: int | None = 1
) -> None:
    """Keep the figures of one model, which replace those of an earlier run."""
    text = json.dumps({**kept(name), model: figures}, indent=indent)
    path = RESULTS / f"{name}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(text + "\n")


def package_version(package: str) -> str:
    try:
        return f"{package} {version(package)}"
    except PackageNotFoundError:
        return ""


def pin_to_one_core() -> str:
    """Stay on the last core that is allowed, where the system can; tell which."""
    if not hasattr(os, "sched_setaffinity"):
        return "not pinned to a core"
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    return "pinned to one core"


def ratio(values: Sequence[float], digits: int = 1) -> str:
    """Median and, in brackets, the range; empty where nothing was measured."""
    if not len(values):
        return ""
    low, high = min(values), max(values)
    return f"{np.median(values):.{digits}f} ({low:.{digits}f}–{high:.{digits}f})"


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a Markdown table."""
    rule = ["---"] * len(header)
    return [f"| {' | '.join(cells)} |" for cells in (header, rule, *rows)]
