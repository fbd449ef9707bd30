"""The public contract of an estimator, and what carries it out."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from typing import TYPE_CHECKING

from sklmeta._lazy import attach

if TYPE_CHECKING:  # what editors and type checkers read; the names below are the same
    from sklmeta.estimator.base import AdaptableEstimator as AdaptableEstimator
    from sklmeta.estimator.faces import MetaClassifierMixin as MetaClassifierMixin
    from sklmeta.estimator.faces import MetaRegressorMixin as MetaRegressorMixin
    from sklmeta.estimator.faces import PredictiveStdMixin as PredictiveStdMixin
    from sklmeta.estimator.meta import BaseMetaEstimator as BaseMetaEstimator
    from sklmeta.estimator.parameters import Parameters as Parameters

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "sklmeta.estimator.base": ["AdaptableEstimator"],
        "sklmeta.estimator.faces": [
            "MetaClassifierMixin",
            "MetaRegressorMixin",
            "PredictiveStdMixin",
        ],
        "sklmeta.estimator.meta": ["BaseMetaEstimator"],
        "sklmeta.estimator.parameters": ["Parameters"],
    },
)
