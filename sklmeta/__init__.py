"""Scikit-learn-compatible meta-learning: few-shot learning over tasks.

"Meta-learning" here is learning from many small related tables how such tables are
learned, so that a few labelled rows of a new one suffice. It is not AutoML's selection
of algorithms.
"""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from typing import TYPE_CHECKING

from sklmeta._lazy import attach
from sklmeta._version import __version__ as __version__

if TYPE_CHECKING:  # what editors and type checkers read; the names below are the same
    from sklmeta._show_versions import show_versions as show_versions
    from sklmeta.auto import AutoMetaClassifier as AutoMetaClassifier
    from sklmeta.auto import AutoMetaRegressor as AutoMetaRegressor
    from sklmeta.baselines import FineTuneClassifier as FineTuneClassifier
    from sklmeta.baselines import FineTuneRegressor as FineTuneRegressor
    from sklmeta.baselines import LDABaseline as LDABaseline
    from sklmeta.baselines import NearestCentroidBaseline as NearestCentroidBaseline
    from sklmeta.baselines import PerTask as PerTask
    from sklmeta.baselines import Pooled as Pooled
    from sklmeta.closed_form import BayesianLinearRegressor as BayesianLinearRegressor
    from sklmeta.closed_form import DeepKernelClassifier as DeepKernelClassifier
    from sklmeta.closed_form import DeepKernelRegressor as DeepKernelRegressor
    from sklmeta.closed_form import MixedModelClassifier as MixedModelClassifier
    from sklmeta.closed_form import MixedModelRegressor as MixedModelRegressor
    from sklmeta.closed_form import RidgeHeadClassifier as RidgeHeadClassifier
    from sklmeta.closed_form import RidgeHeadRegressor as RidgeHeadRegressor
    from sklmeta.data.collection import TaskCollection as TaskCollection
    from sklmeta.data.collection import split_tasks as split_tasks
    from sklmeta.data.collection import stack_tasks as stack_tasks
    from sklmeta.evaluation.containers import adapted as adapted
    from sklmeta.evaluation.task_vectors import task_distance as task_distance
    from sklmeta.evaluation.task_vectors import task_embedding as task_embedding
    from sklmeta.exceptions import NonFiniteLossError as NonFiniteLossError
    from sklmeta.exceptions import NotAdaptedError as NotAdaptedError
    from sklmeta.gradient_based import ANILClassifier as ANILClassifier
    from sklmeta.gradient_based import ANILRegressor as ANILRegressor
    from sklmeta.gradient_based import MAMLClassifier as MAMLClassifier
    from sklmeta.gradient_based import MAMLRegressor as MAMLRegressor
    from sklmeta.gradient_based import MetaSGDClassifier as MetaSGDClassifier
    from sklmeta.gradient_based import MetaSGDRegressor as MetaSGDRegressor
    from sklmeta.gradient_based import ReptileClassifier as ReptileClassifier
    from sklmeta.gradient_based import ReptileRegressor as ReptileRegressor
    from sklmeta.metric_based import MatchingNetClassifier as MatchingNetClassifier
    from sklmeta.metric_based import ProtoNetClassifier as ProtoNetClassifier
    from sklmeta.metric_based import RelationNetClassifier as RelationNetClassifier
    from sklmeta.metric_based import SiameseClassifier as SiameseClassifier
    from sklmeta.model_based import (
        EpisodicBoostingClassifier as EpisodicBoostingClassifier,
    )
    from sklmeta.model_based import (
        EpisodicBoostingRegressor as EpisodicBoostingRegressor,
    )
    from sklmeta.model_based import MetaLSTMClassifier as MetaLSTMClassifier
    from sklmeta.model_based import MetaLSTMRegressor as MetaLSTMRegressor
    from sklmeta.model_based import NeuralProcessClassifier as NeuralProcessClassifier
    from sklmeta.model_based import NeuralProcessRegressor as NeuralProcessRegressor
    from sklmeta.model_based import (
        TransformerNeuralProcessClassifier as TransformerNeuralProcessClassifier,
    )
    from sklmeta.model_based import (
        TransformerNeuralProcessRegressor as TransformerNeuralProcessRegressor,
    )
    from sklmeta.persistence import load as load
    from sklmeta.persistence import save as save


__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "sklmeta._show_versions": ["show_versions"],
        "sklmeta.auto": ["AutoMetaClassifier", "AutoMetaRegressor"],
        "sklmeta.baselines": [
            "FineTuneClassifier",
            "FineTuneRegressor",
            "LDABaseline",
            "NearestCentroidBaseline",
            "PerTask",
            "Pooled",
        ],
        "sklmeta.closed_form": [
            "BayesianLinearRegressor",
            "DeepKernelClassifier",
            "DeepKernelRegressor",
            "MixedModelClassifier",
            "MixedModelRegressor",
            "RidgeHeadClassifier",
            "RidgeHeadRegressor",
        ],
        "sklmeta.data.collection": ["TaskCollection", "split_tasks", "stack_tasks"],
        "sklmeta.evaluation.containers": ["adapted"],
        "sklmeta.evaluation.task_vectors": ["task_distance", "task_embedding"],
        "sklmeta.exceptions": ["NonFiniteLossError", "NotAdaptedError"],
        "sklmeta.gradient_based": [
            "ANILClassifier",
            "ANILRegressor",
            "MAMLClassifier",
            "MAMLRegressor",
            "MetaSGDClassifier",
            "MetaSGDRegressor",
            "ReptileClassifier",
            "ReptileRegressor",
        ],
        "sklmeta.metric_based": [
            "MatchingNetClassifier",
            "ProtoNetClassifier",
            "RelationNetClassifier",
            "SiameseClassifier",
        ],
        "sklmeta.model_based": [
            "EpisodicBoostingClassifier",
            "EpisodicBoostingRegressor",
            "MetaLSTMClassifier",
            "MetaLSTMRegressor",
            "NeuralProcessClassifier",
            "NeuralProcessRegressor",
            "TransformerNeuralProcessClassifier",
            "TransformerNeuralProcessRegressor",
        ],
        "sklmeta.persistence": ["load", "save"],
    },
)
