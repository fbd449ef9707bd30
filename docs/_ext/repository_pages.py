"""Pages that lie elsewhere in the repository, and links that fit there and here.

A Markdown page is written for a code host: its links are relative to where it lies.
Some that belong to the site lie outside of ``docs/``. They are copied, as they are, and
links from and to them are turned while they are read.
"""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

DOCS = Path(__file__).resolve().parents[1]
ROOT = DOCS.parent
COPIES = DOCS / "generated" / "repository"
EXAMPLES, GALLERY = ROOT / "examples", DOCS / "gallery"
OUTSIDE = (
    "CHANGELOG.md",
    "CODE_OF_CONDUCT.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "benchmarks/README.md",
    "benchmarks/results/*.md",
    "benchmarks/results/*.png",
)
_LINK = re.compile(r"\[([^\[\]]+)\]\(([^)\s#:]+)(#[^)]*)?\)")


def setup(app):
    app.connect("config-inited", lambda app, config: copy_pages())
    app.connect("source-read", _turn_links)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def outside_pages():
    """The pages of the site that lie outside of ``docs/``, and their pictures."""
    return [page for pattern in OUTSIDE for page in sorted(ROOT.glob(pattern))]


def copy_pages():
    """Copy them, and only where they have changed: Sphinx looks at dates."""
    wanted = {COPIES / page.relative_to(ROOT): page for page in outside_pages()}
    for old in {*COPIES.rglob("*.*")} - {*wanted}:
        old.unlink()
    for copy, page in wanted.items():
        if not copy.exists() or copy.read_bytes() != page.read_bytes():
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(page, copy)


def _turn_links(app, docname, source):
    here = DOCS / f"{docname}.md"
    if here.exists():
        source[0] = turned(source[0], here)


def turned(text, here):
    """The text of a page, with links that lead to the pages of the site."""
    written_at = ROOT / here.relative_to(COPIES) if COPIES in here.parents else here
    pages = {*outside_pages()}

    def turn(link):
        label, to, anchor = link.groups(default="")
        target = (written_at.parent / to).resolve()
        if not target.exists():
            return link[0]
        if target == EXAMPLES:
            target = GALLERY / "index.rst"
        elif target.parent == EXAMPLES and target.name.startswith("plot_"):
            target = GALLERY / target.with_suffix(".rst").name
        elif target.is_dir():  # there is no page of a folder here
            return label
        elif target in pages:
            target = COPIES / target.relative_to(ROOT)
        return f"[{label}]({os.path.relpath(target, here.parent)}{anchor})"

    return _LINK.sub(turn, text)
