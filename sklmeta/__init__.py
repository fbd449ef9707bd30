"""Scikit-learn-compatible meta-learning: few-shot learning over tasks.

"Meta-learning" here is learning from many small related tables how such tables are
learned, so that a few labelled rows of a new one suffice. It is not AutoML's selection
of algorithms.
"""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

__version__ = "0.1.0.dev0"

from sklmeta.auto import AutoMetaClassifier, AutoMetaRegressor
from sklmeta.baselines import (
    FineTuneClassifier,
    FineTuneRegressor,
    NearestCentroidBaseline,
    PerTask,
    Pooled,
)
from sklmeta.closed_form import (
    BayesianLinearRegressor,
    DeepKernelClassifier,
    DeepKernelRegressor,
    RidgeHeadClassifier,
    RidgeHeadRegressor,
)
from sklmeta.containers import adapted
from sklmeta.exceptions import NonFiniteLossError, NotAdaptedError
from sklmeta.gradient_based import (
    ANILClassifier,
    ANILRegressor,
    MAMLClassifier,
    MAMLRegressor,
    MetaSGDClassifier,
    MetaSGDRegressor,
    ReptileClassifier,
    ReptileRegressor,
)
from sklmeta.metric_based import (
    MatchingNetClassifier,
    ProtoNetClassifier,
    RelationNetClassifier,
    SiameseClassifier,
)
from sklmeta.model_based import (
    MetaLSTMClassifier,
    MetaLSTMRegressor,
    NeuralProcessClassifier,
    NeuralProcessRegressor,
    TransformerNeuralProcessClassifier,
    TransformerNeuralProcessRegressor,
)
from sklmeta.task_vectors import task_distance, task_embedding
from sklmeta.tasks import TaskCollection, split_tasks, stack_tasks

__all__ = [
    "ANILClassifier",
    "ANILRegressor",
    "AutoMetaClassifier",
    "AutoMetaRegressor",
    "BayesianLinearRegressor",
    "DeepKernelClassifier",
    "DeepKernelRegressor",
    "FineTuneClassifier",
    "FineTuneRegressor",
    "MAMLClassifier",
    "MAMLRegressor",
    "MatchingNetClassifier",
    "MetaLSTMClassifier",
    "MetaLSTMRegressor",
    "MetaSGDClassifier",
    "MetaSGDRegressor",
    "NearestCentroidBaseline",
    "NeuralProcessClassifier",
    "NeuralProcessRegressor",
    "NonFiniteLossError",
    "NotAdaptedError",
    "PerTask",
    "Pooled",
    "ProtoNetClassifier",
    "RelationNetClassifier",
    "ReptileClassifier",
    "ReptileRegressor",
    "RidgeHeadClassifier",
    "RidgeHeadRegressor",
    "SiameseClassifier",
    "TaskCollection",
    "TransformerNeuralProcessClassifier",
    "TransformerNeuralProcessRegressor",
    "adapted",
    "split_tasks",
    "stack_tasks",
    "task_distance",
    "task_embedding",
]
