"""A page for every public name, and links to it wherever a page names it.

The API page is a plain table, for a code host too. Here its sections get the pages of
their names, and ``MAMLClassifier`` in backticks, on any page, leads to the one it has.
"""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import importlib
import inspect
import re
from pathlib import Path

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.util.inspect import stringify_signature

DOCS = Path(__file__).resolve().parents[1]
MODULES = (
    "sklmeta",
    "sklmeta.model_selection",
    "sklmeta.comparing",
    "sklmeta.calibration",
    "sklmeta.inspection",
    "sklmeta.preparation",
    "sklmeta.datasets",
    "sklmeta.partitions",
    "sklmeta.persistence",
    "sklmeta.learners",
    "sklmeta.estimator",
    "sklmeta.testing",
)


def public_names():
    """Full names by their last part; a name that two modules have is the first's."""
    found = {}
    for module in MODULES:
        for name in importlib.import_module(module).__all__:
            found.setdefault(name, f"{module}.{name}")
    return found


NAMES = public_names()


def setup(app):
    app.connect("config-inited", _write_listing)
    app.connect("source-read", _append_toctrees)
    app.connect("doctree-read", _link_names)
    app.connect("autodoc-process-signature", _signature_of_class, priority=100)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _write_listing(app, config):
    """What autosummary makes the pages from."""
    config.autosummary_context = {
        "methods_of": {full: methods_of(full) for full in NAMES.values()},
        "lines": lines_of_the_api_page(),
    }
    names = "\n   ".join(sorted(NAMES.values()))
    listing = f".. autosummary::\n   :toctree: api\n\n   {names}\n"
    path = DOCS / "generated" / "names.rst"
    path.parent.mkdir(exist_ok=True)
    path.write_text(listing, "utf-8")


def methods_of(full_name):
    """The public methods and properties of a class that are ours, by name."""
    module, _, name = full_name.rpartition(".")
    cls = getattr(importlib.import_module(module), name)
    if not inspect.isclass(cls):
        return []
    return [m for m in dir(cls) if not m.startswith("_") and _is_ours(cls, m)]


def lines_of_the_api_page():
    """What its tables say of each name."""
    text = (DOCS / "api.md").read_text("utf-8")
    return dict(re.findall(r"^\| `(\w+)` \| (.+?) \|", text, flags=re.MULTILINE))


def _is_ours(cls, name):
    value = inspect.getattr_static(cls, name)
    value = getattr(value, "fget", None) or getattr(value, "__func__", value)
    if not callable(value):
        return False
    return (getattr(value, "__module__", None) or "").startswith("sklmeta")


def _signature_of_class(app, what, name, obj, *others):
    """Sphinx looks at ``__new__`` first, which names no parameters."""
    if what != "class":
        return None
    return stringify_signature(inspect.signature(obj), show_annotation=False), ""


def _append_toctrees(app, docname, source):
    if docname != "api":
        return
    for module in MODULES:
        pages = sorted(
            full for full in NAMES.values() if full[: full.rfind(".")] == module
        )
        listed = "\n".join(f"generated/api/{full}" for full in pages)
        source[0] += (
            f"\n```{{toctree}}\n:hidden:\n:caption: {module}\n\n{listed}\n```\n"
        )


def _link_names(app, doctree):
    here = app.env.docname
    for literal in [*doctree.findall(nodes.literal)]:
        target = _meant(literal.astext(), here.startswith("generated/api/"))
        if target is None or here.endswith(f"/{target}"):
            continue
        if not _is_inside(literal, nodes.title, nodes.reference):
            literal.replace_self(_reference(here, target, literal))


def _meant(name, in_docstring):
    """The full name of what is public; a docstring has parameters called `load` too."""
    if name in NAMES.values():
        return name
    if in_docstring and name.islower():
        return None
    return NAMES.get(name)


def _is_inside(node, *kinds):
    while node is not None:
        if isinstance(node, (*kinds, pending_xref)):
            return True
        node = node.parent
    return False


def _reference(docname, target, literal):
    options = {"refdomain": "py", "reftype": "obj", "refexplicit": True}
    return pending_xref(
        "", literal.deepcopy(), refdoc=docname, reftarget=target, **options
    )
