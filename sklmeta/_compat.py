"""The one place that imports underscored or experimental names of scikit-learn."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from sklearn.base import _fit_context
from sklearn.utils import _safe_indexing
from sklearn.utils._param_validation import (
    HasMethods,
    Hidden,
    Interval,
    InvalidParameterError,
    Options,
    StrOptions,
    validate_params,
)
from sklearn.utils._pprint import _EstimatorPrettyPrinter
from sklearn.utils.metadata_routing import _MetadataRequester
from sklearn.utils.metaestimators import _BaseComposition
from sklearn.utils.validation import _check_sample_weight, _num_samples

try:
    from sklearn.callback import CallbackSupportMixin
except ImportError:  # scikit-learn < 1.9 has no callbacks

    class CallbackSupportMixin:  # type: ignore[no-redef]
        """Stand-in for scikit-learn's mixin: no callback can be set."""

    HAS_CALLBACKS = False
else:
    HAS_CALLBACKS = True


def print_as_estimator(kind: type) -> None:
    """Have a class with a `__repr__` of its own printed as scikit-learn prints its own.

    Long lists of parameters are broken into lines by the `__repr__` they know.
    """
    dispatch = _EstimatorPrettyPrinter._dispatch
    dispatch[kind.__repr__] = _EstimatorPrettyPrinter._pprint_estimator


__all__ = [
    "HAS_CALLBACKS",
    "CallbackSupportMixin",
    "HasMethods",
    "Hidden",
    "Interval",
    "InvalidParameterError",
    "Options",
    "StrOptions",
    "_BaseComposition",
    "_MetadataRequester",
    "_check_sample_weight",
    "_fit_context",
    "_num_samples",
    "_safe_indexing",
    "print_as_estimator",
    "validate_params",
]
