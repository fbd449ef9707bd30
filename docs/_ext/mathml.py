"""Formulas as MathML, which browsers show on their own: nothing is fetched."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from docutils.nodes import SkipNode
from latex2mathml.converter import convert


def setup(app):
    app.add_html_math_renderer("mathml", (_inline, None), (_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}


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
        return f"\\begin{{aligned}}{latex}\\end{{aligned}}"
    return latex
