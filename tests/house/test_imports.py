"""Nobody waits for a package that is not needed yet."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SLOW = ["torch", "skorch", "sklearn", "pandas"]
COMMAND = "from sklmeta.cli import main; main({})"


@pytest.mark.parametrize(
    ("code", "unneeded"),
    [
        ("import sklmeta", SLOW),
        (COMMAND.format(["--help"]), SLOW),
        (COMMAND.format(["--version"]), SLOW),
        (COMMAND.format(["compare", "--help"]), SLOW),
        (COMMAND.format(["no-such-command"]), SLOW),
        (COMMAND.format(["compare", "sales.csv", "--no-such-argument"]), SLOW),
        ("from sklmeta.model_selection import TaskKFold", ["torch", "skorch"]),
        ("from sklmeta import TaskCollection", ["torch", "skorch"]),
    ],
)
def test_what_is_not_needed_is_not_imported(code, unneeded):
    code = (
        "import sys\n"
        f"try:\n    {code}\nexcept SystemExit:\n    pass\n"
        f"found = [name for name in {unneeded} if name in sys.modules]\n"
        "sys.exit(f'imported without need: {found}' if found else 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        check=False,
        text=True,
    )
    assert done.returncode == 0, done.stderr
