"""The page on the command line: its commands run, one after the other."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from sklmeta.cli import main
from sklmeta.cli._main import parser

pytest.importorskip("pyarrow", reason="pyarrow is not installed")

PAGE = (Path(__file__).parents[2] / "docs" / "command_line.md").read_text("utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)
QUICK = {
    "compare": "--max-iter 2 --folds 2 --draws 1 --shots 5 --models 'mixed model'",
    "explain": "--repeats 2",
    "fit": "--quiet",
}
"""Here it matters that they run."""


def test_the_commands_of_the_page_run_and_print_what_it_shows(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    names, printed = {}, ""
    for language, block in BLOCKS:
        if language == "python":
            exec(compile(block, "docs/command_line.md", "exec"), names)
        elif language == "sh":
            for line in block.splitlines():
                program, *words = shlex.split(line)
                assert program == "sklmeta"
                words += shlex.split(QUICK.get(words[0], ""))
                assert main(words) == 0, line
            printed = capsys.readouterr().out
            if "--out predictions.csv" in block:
                printed = Path("predictions.csv").read_text()
        else:  # first words of the lines: numbers may differ with the libraries
            for line in block.splitlines():
                assert re.split("[ ,]", line)[0] in printed, line
    assert Path("report.html").exists() and Path("all_predictions.parquet").exists()


def test_the_page_names_every_command_and_only_arguments_that_exist():
    commands = parser()._subparsers._group_actions[0].choices
    for name in commands:
        assert f"`sklmeta {name}`" in PAGE
    known = {flag for one in commands.values() for flag in one._option_string_actions}
    assert {*re.findall(r"--[a-z][a-z-]+", PAGE)} <= known
