"""Writing a benchmark's table, with the command that makes it."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

RESULTS = Path(__file__).parent / "results"
PACKAGES = ("numpy", "scikit-learn", "skorch", "torch")


def write_report(name: str, title: str, lines: Sequence[str]) -> None:
    """Print a table and write it to ``results/<name>.md``."""
    script = Path(sys.argv[0]).name
    command = " ".join(["python", f"benchmarks/{script}", *sys.argv[1:]])
    versions = ", ".join(f"{package} {version(package)}" for package in PACKAGES)
    machine = f"{os.cpu_count()} CPU cores ({platform.machine()}), shared"
    head = [f"# {name}", "", title, "", f"`{command}`", ""]
    foot = ["", f"Python {platform.python_version()}, {versions}; {machine}.", ""]
    text = "\n".join([*head, *lines, *foot])
    print(text)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.md").write_text(text)
