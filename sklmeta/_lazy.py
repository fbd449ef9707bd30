"""Names that are imported when they are first asked for.

Importing the package costs next to nothing this way, and what needs no torch
(splitters, collections, the command line's help) does not wait for it: PEP 562.
"""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any


def attach(
    package: str,
    names: Mapping[str, Sequence[str]],
    moved: Mapping[str, Sequence[str]] = MappingProxyType({}),
) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """Return ``__getattr__``, ``__dir__`` and ``__all__`` of a package.

    Parameters
    ----------
    package : str
        Its ``__name__``.

    names : dict of str to list of str
        Public names by the module that defines them.

    moved : dict of str to list of str
        Names that have another place now, and are still found here.
    """
    public = {name: module for module, found in names.items() for name in found}
    home = {name: module for module, found in moved.items() for name in found} | public

    def __getattr__(name: str) -> Any:
        if name not in home:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(home[name]), name)
        setattr(sys.modules[package], name, value)
        return value

    def __dir__() -> list[str]:
        return sorted({*vars(sys.modules[package]), *home})

    return __getattr__, __dir__, sorted(public)
