"""Formulas as MathML, with a font of their own: browsers show them, nothing is fetched.

The font is STIX Two Math, which the package ziamath carries. What formulas need of it,
a third, is written to ``docs/generated/fonts``.
"""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from importlib import resources
from pathlib import Path

from docutils.nodes import SkipNode
from fontTools import subset
from latex2mathml.converter import convert

FONTS = Path(__file__).resolve().parents[1] / "generated" / "fonts"
CHARACTERS = (
    *range(0x20, 0x180),  # Latin
    *range(0x370, 0x400),  # Greek
    *range(0x2000, 0x2400),  # punctuation, arrows, operators
    *range(0x2A00, 0x2B00),  # more operators
    *range(0x1D400, 0x1D800),  # italic, bold, script and double-struck letters
)


def setup(app):
    app.add_html_math_renderer("mathml", (_inline, None), (_block, None))
    app.connect("config-inited", lambda app, config: write_font())
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def write_font():
    """Write the part of the font that formulas need, once."""
    path = FONTS / "math.woff"
    if path.exists():
        return
    FONTS.mkdir(parents=True, exist_ok=True)
    whole = resources.files("ziamath") / "fonts" / "STIXTwoMath-Regular.ttf"
    options = subset.Options(flavor="woff", layout_features=["*"], notdef_outline=True)
    with resources.as_file(whole) as source:
        font = subset.load_font(str(source), options)
    subsetter = subset.Subsetter(options)
    subsetter.populate(unicodes=CHARACTERS)
    subsetter.subset(font)
    subset.save_font(font, str(path), options)


def _inline(writer, node):
    writer.body.append(convert(node.astext()))
    raise SkipNode


def _block(writer, node):
    number = f'<span class="eqno">({node["number"]})</span>' if node["number"] else ""
    writer.body.append(
        writer.starttag(node, "div", CLASS="math")
        + number
        + convert(_aligned(node.astext()), display="block")
        + "</div>\n"
    )
    raise SkipNode


def _aligned(latex):
    """Lines with an alignment need an environment, as Sphinx's renderers give them."""
    if "\\\\" in latex and "\\begin" not in latex:
        return f"\\begin{{split}}{latex}\\end{{split}}"
    return latex
