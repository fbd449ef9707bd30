"""Learners that adapt by a forward pass."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from sklmeta.model_based.episodic_boosting import (
    EpisodicBoostingClassifier,
    EpisodicBoostingRegressor,
)
from sklmeta.model_based.meta_lstm import MetaLSTMClassifier, MetaLSTMRegressor
from sklmeta.model_based.neural_process import (
    NeuralProcessClassifier,
    NeuralProcessRegressor,
)
from sklmeta.model_based.transformer import (
    TransformerNeuralProcessClassifier,
    TransformerNeuralProcessRegressor,
)

__all__ = [
    "EpisodicBoostingClassifier",
    "EpisodicBoostingRegressor",
    "MetaLSTMClassifier",
    "MetaLSTMRegressor",
    "NeuralProcessClassifier",
    "NeuralProcessRegressor",
    "TransformerNeuralProcessClassifier",
    "TransformerNeuralProcessRegressor",
]
