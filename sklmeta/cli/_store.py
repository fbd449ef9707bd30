"""A fitted model and what it was fitted to, in a file that runs no code when read."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from typing import Any

from sklmeta.cli._table import DataError
from sklmeta.persistence import ModelFileError, load, save


def save_model(model: Any, meta: dict[str, Any], path: str) -> None:
    """Write both to one file, whole or not at all."""
    save({"model": model, "meta": meta}, path)


def load_model(path: str) -> tuple[Any, dict[str, Any]]:
    """Read a model; types that no model of ours holds are refused before any is made.

    Raises
    ------
    DataError
        If it is no model of `sklmeta fit`, or holds more than one.
    """
    try:
        kept = load(path)
    except (ModelFileError, ImportError, OSError) as error:
        anew = " Or make the model anew with `sklmeta fit`."
        more = anew if isinstance(error, ModelFileError) else ""
        raise DataError(f"{error}{more}") from error
    if not isinstance(kept, dict) or {*kept} != {"model", "meta"}:
        raise DataError(
            f"{path} is no model that `sklmeta fit` wrote. Make one with it, or use "
            "`sklmeta.load` in Python."
        )
    return kept["model"], kept["meta"]
