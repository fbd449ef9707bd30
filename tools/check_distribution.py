"""Build what would be released and use it as a newcomer would.

Builds the source distribution and the wheel into ``dist``, checks their metadata,
installs the wheel into a bare environment (no extras, nothing of this folder on the
path), imports it there, runs its command and the README's first block.
"""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import venv
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TOOLS = ("build", "twine")
IN_THE_WHEEL = (
    "sklmeta/py.typed",
    "sklmeta/datasets/tables/store_sales.csv",
    "sklmeta/datasets/tables/machine_states.csv",
    "sklmeta/datasets/tables/patient_outcomes.csv",
)
IN_THE_SOURCES = ("LICENSE", "README.md", "CHANGELOG.md", "tests/conftest.py")


def run(*command: object, cwd: Path = ROOT) -> None:
    """Run a command outside this project's path; stop with its status if it fails."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    print("+", *map(str, command[:6]), flush=True)
    done = subprocess.run([*map(str, command)], cwd=cwd, env=environment, check=False)
    if done.returncode != 0:
        sys.exit(f"failed with status {done.returncode}")


def environment(folder: Path, constraints: Path, *what: object) -> Path:
    """Make a virtual environment that holds `what`; return its interpreter."""
    venv.create(folder, with_pip=True)
    python = folder / ("Scripts" if os.name == "nt" else "bin") / "python"
    pip = (python, "-m", "pip", "--disable-pip-version-check", "install", "--quiet")
    run(*pip, "-c", constraints, *what)
    return python


def build(python: Path, out: Path) -> tuple[Path, Path]:
    """Build both files into `out` and check them; return wheel and sources."""
    shutil.rmtree(out, ignore_errors=True)
    run(python, "-m", "build", "--outdir", out, ROOT)
    run(python, "-m", "twine", "check", "--strict", *sorted(out.iterdir()))
    (wheel,) = out.glob("*.whl")
    (sources,) = out.glob("*.tar.gz")
    with zipfile.ZipFile(wheel) as opened:
        require(IN_THE_WHEEL, set(opened.namelist()), wheel)
    with tarfile.open(sources) as opened:
        names = {name.partition("/")[2] for name in opened.getnames()}
    require(IN_THE_SOURCES, names, sources)
    return wheel, sources


def require(wanted: tuple[str, ...], found: set[str], where: Path) -> None:
    """Stop if a file is missing that a release must hold."""
    if missing := [name for name in wanted if name not in found]:
        sys.exit(f"{where.name} lacks {', '.join(missing)}")


def first_block(readme: Path) -> str:
    """Return the README's first block of Python."""
    found = re.search(r"```python\n(.*?)```", readme.read_text("utf-8"), re.DOTALL)
    if found is None:
        sys.exit(f"{readme} has no block of Python")
    return found[1]


def main() -> None:
    """Build, check, install and try."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=ROOT / "dist")
    parser.add_argument("--constraints", type=Path, default=ROOT / "constraints.txt")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        tools = environment(folder / "tools", options.constraints, *TOOLS)
        wheel, _ = build(tools, options.out.resolve())
        bare = environment(folder / "bare", options.constraints, wheel)
        (folder / "first.py").write_text(first_block(ROOT / "README.md"), "utf-8")
        run(bare, "-W", "error", "-c", "import sklmeta", cwd=folder)
        run(bare, "-W", "error", "first.py", cwd=folder)
        run(bare.with_name("sklmeta"), "--help", cwd=folder)
    print("The wheel installs, imports and runs the README's first block.")


if __name__ == "__main__":
    main()
