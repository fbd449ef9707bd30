"""Charts whose parts are links, and the order of the gallery."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import re
from pathlib import Path

from api_pages import NAMES
from docutils import nodes

CHARTS = "which_"
"""How the names of SVG files begin that become part of the page."""
ORDER = (
    "sinusoids",
    "new_patients",
    "activity",
    "new_hospital",
    "one_shot_characters",
    "intents",
    "recommendation",
    "robot_arm",
    "thermistors",
    "hyperparameter_transfer",
    "cross_domain",
    "molecules",
    "nested_search",
    "own_module",
    "new_learner",
    "schools_pigs_sleep",
    "task_similarity",
)
"""The examples in the order of the gallery; those that are not named come last."""


def setup(app):
    app.connect("source-read", _keep_at_home)
    app.connect("doctree-resolved", _inline_charts)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def gallery_order(filename):
    """Where an example stands."""
    name = filename.removeprefix("plot_").removesuffix(".py")
    place = ORDER.index(name) if name in ORDER else len(ORDER)
    return place, name


def _keep_at_home(app, docname, source):
    """Leave out what matplotlib's films would fetch: the theme has the icons."""
    if docname.startswith("gallery/"):
        source[0] = re.sub(
            r'<link rel="stylesheet"\s+href="https:[^>]*>', "", source[0]
        )


def _inline_charts(app, doctree, docname):
    """Put the SVG itself where a page shows one: only so its links can be followed."""
    for image in [*doctree.findall(nodes.image)]:
        path = Path(app.srcdir, image["uri"])
        if path.suffix != ".svg" or not path.name.startswith(CHARTS):
            continue
        svg = path.read_text("utf-8")
        svg = re.sub(
            r"(?<=href=\")\.\./api\.md#(\w+)", lambda m: _page(app, docname, m[1]), svg
        )
        image.replace_self(nodes.raw("", svg, format="html"))


def _page(app, docname, name):
    return app.builder.get_relative_uri(docname, f"generated/api/{NAMES[name]}")
