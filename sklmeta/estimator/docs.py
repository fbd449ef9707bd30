"""Docstrings that name in short what another class describes, and show it in full."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import inspect
import re
from functools import cache

_SECTION = re.compile(
    r"^(Parameters|Attributes)\n-+\n(.*?)(?=\n\n[^\n]+\n---|\Z)",
    flags=re.MULTILINE | re.DOTALL,
)


def complete(cls: type, *sources: type) -> None:
    """Put the entries of other classes where a docstring only names them.

    In the source a section is what an editor shows, and fits a screen: the entries of
    the class's own, and a paragraph "See `...` for `lr`, ``n_query=30`` ..." that names
    what it shares. Here the entries of `sources` take the paragraph's place, with the
    defaults of `cls`, and parameters stand in the order of the signature.

    Parameters
    ----------
    cls : type
        The class whose docstring to complete.

    *sources : type
        Where the shared entries are described; a later one counts before an earlier.
    """
    parameters = inspect.signature(cls).parameters
    order = {name: place for place, name in enumerate(parameters)}

    def in_full(section: re.Match[str]) -> str:
        title, body = section.groups()
        own = _entries(body)
        if "See" not in own:
            return section[0]
        short = own.pop("See")
        described: dict[str, str] = {}
        for source in sources:
            described |= _described(source.__doc__ or "", title)
        for name in re.findall(r"`(\w+)(?:=[^`]*)?`", short):
            if name in described and name not in own:
                own[name] = _with_default(described[name], parameters.get(name))
        ordered = sorted(own, key=lambda name: order.get(name, len(order)))
        text = "\n\n".join(own[name] for name in ordered)
        return f"{title}\n{'-' * len(title)}\n{text}"

    cls.__doc__ = _SECTION.sub(in_full, inspect.cleandoc(cls.__doc__ or ""))


def _entries(body: str) -> dict[str, str]:
    """The paragraphs of a section by their first word: the name of an entry, or See."""
    found = re.split(r"\n\n(?=\S)", body)
    return {m[1]: entry for entry in found if (m := re.match(r"\W*(\w+)", entry))}


@cache
def _described(doc: str, title: str) -> dict[str, str]:
    sections = _SECTION.findall(inspect.cleandoc(doc))
    return _entries("\n\n".join(body for name, body in sections if name == title))


def _with_default(entry: str, parameter: inspect.Parameter | None) -> str:
    if parameter is None:
        return entry
    value = parameter.default
    shown = f'"{value}"' if isinstance(value, str) else repr(value)
    return re.sub(r"default=.*", lambda _: f"default={shown}", entry, count=1)
