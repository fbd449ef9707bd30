"""The pages of mathematics: every formula can be shown, and every figure is there."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import re
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGES = sorted(DOCS.glob("maths_*.md"))
MOST_BYTES = 60_000
CODE = re.compile(r"^```.*?^```|`[^`\n]*`", flags=re.MULTILINE | re.DOTALL)
FORMULA = re.compile(r"\$\$(.+?)\$\$|\$([^$]+?)\$", flags=re.DOTALL)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_formulas_become_mathml(page):
    reason = "latex2mathml is not installed, which the site is built with"
    convert = pytest.importorskip("latex2mathml.converter", reason=reason).convert
    text = CODE.sub("", page.read_text("utf-8"))
    formulas = [block or inline for block, inline in FORMULA.findall(text)]
    assert len(formulas) > 10
    assert "$" not in FORMULA.sub("", text), "a dollar without its fellow"
    # In a line of text these begin a list, a heading or a table.
    inline = [formula for _, formula in FORMULA.findall(text)]
    assert not [f for f in inline if re.search(r"\n\s*([-+*#>=|]|\d+[.)])", f)]
    # A command, or a mark of alignment, that it does not know is left as it stands.
    unknown = [f for f in formulas if re.search(r"\\|&(?!#x)", convert(f))]
    assert not unknown


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_figures_are_drawn_by_code_and_small(page):
    found = re.findall(r"!\[(.*?)\]\((.+?)\)", page.read_text("utf-8"), flags=re.DOTALL)
    assert found
    for description, name in found:
        figure = DOCS / name
        assert description
        assert figure.with_suffix(".py").exists()
        assert figure.stat().st_size < MOST_BYTES
