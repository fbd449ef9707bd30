"""Put a site that was built beside those of other versions.

``python tools/publish_docs.py site pages v0.1.0 https://...`` makes ``pages/v0.1.0`` of
``site``, and ``pages/stable`` too where no later version is there; ``dev`` is
``pages/dev`` alone. The first page leads to "stable", or to "dev" as long as nothing is
released, and ``versions.json`` is what the switch in the header reads.
"""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import json
import re
import shutil
import sys
from pathlib import Path

FIRST_PAGE = '<meta http-equiv="refresh" content="0; url={}/index.html">\n'


def publish(site: Path, pages: Path, version: str, url: str) -> None:
    """Copy the site of one version, and renew what lists them all."""
    put(site, pages / version)
    released = releases(pages)
    if released and released[0] == version:
        put(site, pages / "stable")
    first = "stable" if released else "dev"
    (pages / "index.html").write_text(FIRST_PAGE.format(first), "utf-8")
    (pages / ".nojekyll").touch()  # folders that begin with "_" are ours
    listed = [entry(name, released, url) for name in ("dev", *released)]
    (pages / "versions.json").write_text(json.dumps(listed, indent=1) + "\n", "utf-8")


def put(site: Path, place: Path) -> None:
    """Put the site where an older one may be."""
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(site, place)


def releases(pages: Path) -> list[str]:
    """Return the versions that are there, the latest first."""
    names = [p.name for p in pages.glob("v*") if re.fullmatch(r"v\d+(\.\d+)*", p.name)]
    return sorted(names, key=lambda name: [*map(int, name[1:].split("."))])[::-1]


def entry(name: str, released: list[str], url: str) -> dict[str, str]:
    """Describe a version for the switch, which wants whole addresses."""
    label = f"{name} (stable)" if released[:1] == [name] else name
    return {"name": label, "version": name, "url": f"{url}/{name}/"}


if __name__ == "__main__":
    publish(Path(sys.argv[1]), Path(sys.argv[2]), *sys.argv[3:])
