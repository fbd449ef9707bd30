"""Which types a model may hold, and trees that do not lead out of their arrays."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import importlib
from collections.abc import Iterator
from typing import Any

import numpy as np

_OF_BOOSTING = {  # some versions of skops leave these of scikit-learn to us
    "sklearn._loss.link": "IdentityLink Interval LogitLink MultinomialLogit",
    "sklearn._loss.loss": "HalfBinomialLoss HalfMultinomialLoss HalfSquaredError",
    "sklearn.ensemble._hist_gradient_boosting.binning": "_BinMapper",
    "sklearn.ensemble._hist_gradient_boosting.predictor": "TreePredictor",
}
_OF_PREPARATION = {  # single steps of a column; none of them calls what it holds
    "sklmeta.preparation._calendar": "CalendarEncoder",
    "sklmeta.preparation.table": "TablePreparation",
    "skrub._clean_categories": "CleanCategories",
    "skrub._clean_null_strings": "CleanNullStrings",
    "skrub._drop_uninformative": "DropUninformative",
    "skrub._string_encoder": "StringEncoder",
    "skrub._to_datetime": "ToDatetime",
    "skrub._to_float": "ToFloat",
    "skrub._to_str": "ToStr",
}


def trusted_types() -> list[str]:
    """Full names of all types, beside those skops trusts itself, that a model holds.

    Never a whole module: beside its types lie functions, which a file could call.

    Returns
    -------
    names : list of str

    Examples
    --------
    >>> from sklmeta.persistence import trusted_types
    >>> "sklmeta.gradient_based.maml.MAMLRegressor" in trusted_types()
    True
    >>> any(name.startswith("builtins.") for name in trusted_types())
    False
    """
    package = importlib.import_module("sklmeta")  # above us: it offers `save`
    public = [getattr(package, name) for name in package.__all__]
    estimators = [c for c in public if isinstance(c, type) and hasattr(c, "get_params")]
    known = _OF_BOOSTING | _OF_PREPARATION
    return [
        "numpy.dtype",
        *(f"{c.__module__}.{c.__qualname__}" for c in estimators),
        *(f"{m}.{name}" for m, names in known.items() for name in names.split()),
    ]


def check_trees(model: Any) -> None:
    """Refuse trees whose links lead astray; scikit-learn does not look as it follows.

    A crafted node could send a prediction round in circles or out of its arrays, which
    ends the process.

    Raises
    ------
    ValueError
        If a link, a feature or a row of categories does not exist.
    """
    for owner in _owners_of_trees(model, set()):
        n_features = owner.n_features_in_
        for tree in (tree for trees in owner._predictors for tree in trees):
            _check_tree(tree, n_features)


def _check_tree(tree: Any, n_features: int) -> None:
    nodes = tree.nodes
    inner = nodes[~nodes["is_leaf"].astype(bool)]
    own = np.flatnonzero(~nodes["is_leaf"].astype(bool))
    sets = inner[inner["is_categorical"].astype(bool)]["bitset_idx"]
    sound = (
        len(nodes) > 0
        and all(
            ((own < inner[side]) & (inner[side] < len(nodes))).all()
            for side in ("left", "right")
        )
        and ((inner["feature_idx"] >= 0) & (inner["feature_idx"] < n_features)).all()
        and (sets < len(tree.raw_left_cat_bitsets)).all()
    )
    if not sound:
        raise ValueError("a tree's links lead out of it")


def _owners_of_trees(thing: Any, seen: set[int]) -> Iterator[Any]:
    if id(thing) in seen or isinstance(thing, (str, bytes, np.ndarray, type)):
        return
    seen.add(id(thing))
    if isinstance(thing, dict):
        parts: Any = thing.values()
    elif isinstance(thing, (list, tuple, set)):
        parts = thing
    else:
        parts = getattr(thing, "__dict__", {}).values()
    if hasattr(thing, "_predictors"):
        yield thing
    for part in parts:
        yield from _owners_of_trees(part, seen)
