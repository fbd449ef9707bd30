"""The examples run as a newcomer would run them."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"


def run(*arguments, cwd):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "MPLBACKEND": "Agg"}
    return subprocess.run(
        [sys.executable, "-W", "error", *map(str, arguments)],
        cwd=cwd,
        env=environment,
        capture_output=True,
        check=False,
        text=True,
    )


def test_quickstart_runs_without_a_warning(tmp_path):
    result = run(EXAMPLES / "quickstart.py", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "few-shot R²" in result.stdout
    assert len((EXAMPLES / "quickstart.py").read_text("utf-8").splitlines()) <= 60


def test_demo_names_its_parts(tmp_path):
    result = run(EXAMPLES / "demo.py", "no-such-part", cwd=tmp_path)
    assert result.returncode == 1
    assert "there are quickstart, drug, gas, parkinsons" in result.stderr


def test_demo_without_matplotlib_says_what_to_install(tmp_path):
    # An import of None in sys.modules is what a missing package looks like.
    code = (
        "import runpy, sys, importlib.util as util; find = util.find_spec\n"
        "util.find_spec = lambda name: None if name == 'matplotlib' else find(name)\n"
        f"sys.argv = ['demo.py', 'drug']; sys.path.insert(0, {str(EXAMPLES)!r})\n"
        f"runpy.run_path({str(EXAMPLES / 'demo.py')!r}, run_name='__main__')"
    )
    result = run("-c", code, cwd=tmp_path)
    assert result.returncode == 1
    assert "pip install 'sklmeta[plot]'" in result.stderr
    assert "Traceback" not in result.stderr
