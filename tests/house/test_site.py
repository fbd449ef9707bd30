"""The pages hang together: links lead somewhere, and nothing is left out.

``make docs`` builds the site, which takes minutes: here its sources are read.
"""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import importlib
import json
import re
import runpy
from functools import cache
from pathlib import Path

import pytest

import sklmeta

markdown_it = pytest.importorskip("markdown_it", reason="markdown-it is not installed")

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
GUIDE = sorted(set(DOCS.glob("*.md")) - {DOCS / "api.md", DOCS / "index.md"})
PAGES = sorted(
    page.relative_to(ROOT).as_posix()
    for pattern in ("*.md", "docs/*.md", "docs/comparisons/*.md", "benchmarks/**/*.md")
    for page in ROOT.glob(pattern)
)
ESTIMATORS = [n for n in sklmeta.__all__ if hasattr(getattr(sklmeta, n), "get_params")]
CHARTS = ("which_regressor", "which_classifier")


@pytest.fixture
def extension(monkeypatch):
    """Imports a module of ``docs/_ext`` that needs no Sphinx."""
    monkeypatch.syspath_prepend(DOCS / "_ext")
    return importlib.import_module


@cache
def tokens(path):
    parser = markdown_it.MarkdownIt("commonmark").enable("table")
    return parser.parse(path.read_text("utf-8"))


def links(path):
    """Where the links and pictures of a page lead, as they are written."""
    inside = [child for token in tokens(path) for child in token.children or ()]
    found = [token.attrGet("href") or token.attrGet("src") for token in inside]
    return [link for link in found if link]


@cache
def anchors(path):
    """The anchors of a page's headings, as code hosts and the site make them."""
    found = []
    for heading, inline in zip(tokens(path), tokens(path)[1:], strict=False):
        if heading.type == "heading_open":
            words = "".join(child.content for child in inline.children)
            slug = re.sub(r"[^\w\- ]", "", words.lower()).replace(" ", "-")
            again = sum(other == slug for other in found)
            found.append(f"{slug}-{again}" if again else slug)
    return found


def broken(path):
    """The links of a page that lead nowhere in this repository."""
    for link in links(path):
        if re.match(r"\w+:", link):  # the world's, which tests do not ask
            continue
        to, _, anchor = link.partition("#")
        target = (path.parent / to).resolve() if to else path
        wanted = anchor and target.suffix == ".md"
        if not target.exists() or (wanted and anchor not in anchors(target)):
            yield link


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page):
    assert not [*broken(ROOT / page)]


def test_a_broken_link_is_found(tmp_path):
    page = tmp_path / "page.md"
    (tmp_path / "other.md").write_text("# A `title`, once\n\n# A title once\n")
    page.write_text(
        "[a](other.md#a-title-once) [b](other.md#a-title-once-1) [c](https://x.y)\n\n"
        "| t |\n| --- |\n| [d](none.md) ![e](none.png) |\n\n"
        "[f](other.md#none) [g](#h)\n"
    )
    assert [*broken(page)] == ["none.md", "none.png", "other.md#none", "#h"]


def listed():
    """The entries of all toctrees, from the folder of the pages."""
    for page in DOCS.glob("*.md"):
        text = page.read_text("utf-8")
        for tree in re.findall(r"(?ms)^```\{toctree\}\n(.*?)^```", text):
            yield from tree.split("\n\n", 1)[1].split()


def test_every_page_is_in_one_toctree(extension):
    repository = extension("repository_pages")
    written = [page.relative_to(DOCS) for page in DOCS.glob("**/*.md")]
    by_hand = [p for p in written if p.parts[0] in (p.name, "comparisons")]
    written = {p.with_suffix("").as_posix() for p in by_hand}
    outside = [page for page in repository.outside_pages() if page.suffix == ".md"]
    copies = (repository.COPIES / page.relative_to(ROOT) for page in outside)
    written |= {copy.relative_to(DOCS).with_suffix("").as_posix() for copy in copies}
    entries = [*listed()]
    assert len(set(entries)) == len(entries)
    named = {
        page
        for page in written
        if any(re.fullmatch(entry.replace("*", "[^/]*"), page) for entry in entries)
    }
    assert written - named == {"index"}
    plain = {entry for entry in entries if "*" not in entry}
    assert plain - written == {"gallery/index"}


def test_links_of_copied_pages_fit_where_they_are_copied_to(extension):
    repository = extension("repository_pages")
    copy = repository.COPIES / "benchmarks" / "README.md"
    text = (
        "[a](../docs/speed.md#gpu) [b](results) [c](results/memory.md) "
        "[d](https://x.y) [e](../examples/) [f](../examples/plot_new_learner.py) "
        "[g](../pyproject.toml)"
    )
    assert repository.turned(text, copy) == (
        "[a](../../../speed.md#gpu) b [c](results/memory.md) [d](https://x.y) "
        "[e](../../../gallery/index.rst) [f](../../../gallery/plot_new_learner.rst) "
        "[g](../../../../pyproject.toml)"
    )
    assert repository.turned("[a](../SECURITY.md)", DOCS / "saving.md") == (
        "[a](generated/repository/SECURITY.md)"
    )


@pytest.mark.parametrize("name", ESTIMATORS)
def test_estimator_is_in_the_guide_and_in_an_example(name):
    word = re.compile(rf"\b{name}\b")
    guide = {page: page.read_text("utf-8") for page in GUIDE}
    assert any(word.search(text) for text in guide.values()), "in no page of the guide"
    blocks = re.findall(r"(?ms)^```python\n(.*?)^```", "".join(guide.values()))
    gallery = [p.read_text("utf-8") for p in (ROOT / "examples").glob("plot_*.py")]
    assert any(word.search(code) for code in blocks + gallery), "in no example"


@pytest.mark.parametrize("name", CHARTS)
def test_chart_is_what_its_code_draws_and_leads_to_public_names(name):
    module = runpy.run_path(str(DOCS / "figures" / "which_estimator.py"))
    chart = (DOCS / "figures" / f"{name}.svg").read_text("utf-8")
    assert chart == module["draw"](*module["CHARTS"][name]), "run which_estimator.py"
    leaves = set(re.findall(r'href="\.\./api\.md#(\w+)"', chart))
    assert leaves and leaves <= set(sklmeta.__all__)
    assert all(f">{leaf}<" in chart for leaf in leaves)
    (told,) = re.findall(rf"!\[(.*)\]\(figures/{name}.svg\)", which_estimator())
    assert all(leaf in told for leaf in leaves), "the text for those who cannot see it"


def which_estimator():
    return (DOCS / "which_estimator.md").read_text("utf-8")


def test_start_page_answers_in_one_click():
    cards = (DOCS / "index.md").read_text("utf-8").partition('<div class="cards">')[2]
    for page in (
        "missing_values",
        "saving",
        "gpu",
        "adapting",
        "serving",
        "choosing_hyperparameters",
        "own_network",
        "comparing",
    ):
        assert f"({page}.md" in cards


def test_versions_are_published_beside_one_another(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "tools")
    publish = importlib.import_module("publish_docs").publish
    site, pages = tmp_path / "site", tmp_path / "pages"
    site.mkdir()
    for version in ("dev", "v0.2.0", "v0.10.0", "v0.2.1"):
        (site / "index.html").write_text(version)
        publish(site, pages, version, "https://x.y")
    assert (pages / "stable" / "index.html").read_text() == "v0.10.0"
    assert (pages / "dev" / "index.html").read_text() == "dev"
    assert "url=stable/" in (pages / "index.html").read_text()
    listed = json.loads((pages / "versions.json").read_text())
    assert [entry["version"] for entry in listed] == [
        "dev",
        *["v0.10.0", "v0.2.1", "v0.2.0"],
    ]
    assert listed[1]["url"] == "https://x.y/v0.10.0/"
