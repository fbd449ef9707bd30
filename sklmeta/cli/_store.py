"""A fitted model and what it was fitted to, in a file that runs no code when read."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

from sklmeta.cli._table import DataError

TRUSTED = ("sklmeta.", "sklearn.", "numpy.", "scipy.", "collections.", "builtins.")


def save_model(model: Any, meta: dict[str, Any], path: str) -> None:
    import skops.io

    skops.io.dump({"model": model, "meta": meta}, path)


def load_model(path: str) -> tuple[Any, dict[str, Any]]:
    """Read a model; types of other packages than the usual are refused.

    Raises
    ------
    DataError
        If it is no model of `sklmeta fit`.
    """
    try:
        from skops import io
    except ImportError as error:
        raise DataError(
            "Models are kept with skops: pip install 'sklmeta[cli]'."
        ) from error
    if not Path(path).exists():
        raise DataError(f"There is no file {path}.")
    try:
        unknown = io.get_untrusted_types(file=path)
        strange = [name for name in unknown if not name.startswith(TRUSTED)]
        if strange:
            raise DataError(
                f"{path} holds types that a model of sklmeta does not have: "
                f"{', '.join(strange[:5])}. It was not read."
            )
        kept = io.load(path, trusted=unknown)
        return kept["model"], kept["meta"]
    except (zipfile.BadZipFile, KeyError, TypeError) as error:
        raise DataError(f"{path} is no model that `sklmeta fit` wrote.") from error
