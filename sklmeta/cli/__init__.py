"""The command line: does meta-learning pay on a table, and a model from a shell."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from sklmeta.cli._main import main

__all__ = ["main"]
