"""Learners that adapt by gradient steps."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from sklmeta.gradient_based.anil import ANILClassifier, ANILRegressor
from sklmeta.gradient_based.maml import MAMLClassifier, MAMLRegressor
from sklmeta.gradient_based.meta_sgd import MetaSGDClassifier, MetaSGDRegressor
from sklmeta.gradient_based.reptile import ReptileClassifier, ReptileRegressor

__all__ = [
    "ANILClassifier",
    "ANILRegressor",
    "MAMLClassifier",
    "MAMLRegressor",
    "MetaSGDClassifier",
    "MetaSGDRegressor",
    "ReptileClassifier",
    "ReptileRegressor",
]
