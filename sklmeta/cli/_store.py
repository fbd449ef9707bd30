"""A fitted model and what it was fitted to, in a file that runs no code when read."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import sklmeta
from sklmeta.cli._table import DataError

_OF_BOOSTING = {  # some versions of skops leave these of scikit-learn to us
    "sklearn._loss.link": "IdentityLink Interval LogitLink MultinomialLogit",
    "sklearn._loss.loss": "HalfBinomialLoss HalfMultinomialLoss HalfSquaredError",
    "sklearn.ensemble._hist_gradient_boosting.binning": "_BinMapper",
    "sklearn.ensemble._hist_gradient_boosting.predictor": "TreePredictor",
}


def trusted_types() -> list[str]:
    """Full names of all types, beside those skops trusts itself, that a model holds.

    Never a whole module: beside its types lie functions, which a file could call.
    """
    public = [getattr(sklmeta, name) for name in sklmeta.__all__]
    estimators = [c for c in public if isinstance(c, type) and hasattr(c, "get_params")]
    return [
        "numpy.dtype",
        *(f"{c.__module__}.{c.__qualname__}" for c in estimators),
        *(f"{m}.{name}" for m, names in _OF_BOOSTING.items() for name in names.split()),
    ]


def save_model(model: Any, meta: dict[str, Any], path: str) -> None:
    import skops.io

    skops.io.dump({"model": model, "meta": meta}, path)


def load_model(path: str) -> tuple[Any, dict[str, Any]]:
    """Read a model; types that no model of ours holds are refused before any is made.

    Raises
    ------
    DataError
        If it is no model of `sklmeta fit`, or holds more than one.
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
        trusted = trusted_types()
        strange = sorted({*io.get_untrusted_types(file=path)} - {*trusted})
        if strange:
            raise DataError(
                f"{path} holds what a model of sklmeta does not have, and what may run "
                f"code: {', '.join(strange[:5])}. It was not read. Make the model anew "
                "with `sklmeta fit`, or ask whoever sent it."
            )
        kept = io.load(path, trusted=trusted)
        return kept["model"], kept["meta"]
    except DataError:
        raise
    except (zipfile.BadZipFile, KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path} is no model that `sklmeta fit` wrote.") from error
