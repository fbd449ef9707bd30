"""The site: Sphinx over the Markdown pages, the docstrings and the examples.

What is built here can be read from the disk: no page asks the network for anything.
"""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import os
import sys
import warnings
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE / "_ext"), str(HERE.parent)]

import sklmeta

project = "sklmeta"
author = "The sklmeta developers"
copyright = author
version = release = sklmeta.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "numpydoc",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
    "api_pages",
    "mathml",
    "pictures",
    "repository_pages",
]
exclude_patterns = ["_build", "_ext", "_templates", "generated/*.rst"]
exclude_patterns += ["generated/backreferences"]
templates_path = ["_templates"]
default_role = "literal"
toc_object_entries_show_parents = "hide"

# -- Markdown -----------------------------------------------------------------

myst_enable_extensions = ["dollarmath", "colon_fence", "deflist"]
myst_heading_anchors = 4

# -- Docstrings ---------------------------------------------------------------

autosummary_generate = ["generated/names.rst"]
autodoc_typehints = "none"  # numpydoc's sections have the types
numpydoc_show_class_members = False  # the template has them, in full

# -- The gallery --------------------------------------------------------------

warnings.filterwarnings("ignore", message=".*non-interactive.*", category=UserWarning)
sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "gallery",
    "filename_pattern": r"[/\\]plot_",
    "ignore_pattern": r"(^|[/\\])(?!plot_)[^/\\]*\.py$",
    "within_subsection_order": "pictures.gallery_order",
    "backreferences_dir": "generated/backreferences",
    "doc_module": ("sklmeta",),
    "image_scrapers": ("matplotlib",),
    "matplotlib_animations": True,
    "capture_repr": ("_repr_html_",),  # tables, and not "<Legend object at ...>"
    "remove_config_comments": True,
    "show_memory": False,
    "write_computation_times": False,
    "min_reported_time": 0,
    "parallel": int(os.environ.get("SKLMETA_DOCS_WORKERS", "2")),
    "plot_gallery": os.environ.get("SKLMETA_DOCS_GALLERY", "True"),
    "download_all_examples": False,
    "show_signature": False,
}

# -- Pages --------------------------------------------------------------------

html_theme = "pydata_sphinx_theme"
html_title = "sklmeta"
html_static_path = ["_static", "generated/fonts"]
html_css_files = ["sklmeta.css"]
html_math_renderer = "mathml"
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {
    "navbar_align": "left",
    "header_links_before_dropdown": 6,
    "show_prev_next": True,
    "show_toc_level": 2,
    "navigation_with_keys": False,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}
html_sidebars = {"index": [], "which_estimator": [], "installing": []}
if "SKLMETA_DOCS_VERSION" in os.environ:  # published beside other versions
    html_theme_options |= {
        "switcher": {
            "json_url": os.environ["SKLMETA_DOCS_URL"] + "/versions.json",
            "version_match": os.environ["SKLMETA_DOCS_VERSION"],
        },
        "check_switcher": False,
        "navbar_end": ["version-switcher", "theme-switcher"],
    }
