"""Scikit-learn-compatible meta-learning: few-shot learning over tasks.

"Meta-learning" here is learning from many small related tables how such tables are
learned, so that a few labelled rows of a new one suffice. It is not AutoML's selection
of algorithms.
"""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

__version__ = "0.1.0.dev0"

from sklmeta.baselines import PerTask, Pooled
from sklmeta.closed_form import BayesianLinearRegressor
from sklmeta.containers import adapted
from sklmeta.exceptions import NonFiniteLossError, NotAdaptedError
from sklmeta.gradient_based import MAMLClassifier, MAMLRegressor
from sklmeta.metric_based import ProtoNetClassifier
from sklmeta.model_based import (
    TransformerNeuralProcessClassifier,
    TransformerNeuralProcessRegressor,
)
from sklmeta.tasks import TaskCollection, split_tasks, stack_tasks

__all__ = [
    "BayesianLinearRegressor",
    "MAMLClassifier",
    "MAMLRegressor",
    "NonFiniteLossError",
    "NotAdaptedError",
    "PerTask",
    "Pooled",
    "ProtoNetClassifier",
    "TaskCollection",
    "TransformerNeuralProcessClassifier",
    "TransformerNeuralProcessRegressor",
    "adapted",
    "split_tasks",
    "stack_tasks",
]
