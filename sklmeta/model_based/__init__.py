"""Learners that adapt by a forward pass."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from sklmeta.model_based.transformer import (
    TransformerNeuralProcessClassifier,
    TransformerNeuralProcessRegressor,
)

__all__ = [
    "TransformerNeuralProcessClassifier",
    "TransformerNeuralProcessRegressor",
]
