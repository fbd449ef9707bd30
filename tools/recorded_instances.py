"""What `compare_versions.py` records beside the tests' table of instances."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from typing import Any

from sklearn.compose import TransformedTargetRegressor
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn

import sklmeta

MAX_ITER = 12
"""Meta-updates of every fit."""

SMALL: dict[str, Any] = {"hidden_layer_sizes": (8,), "random_state": 0}
BLEND: dict[str, Any] = {"shots": (0, 3), "n_draws": 1, "cv": 2, "random_state": 0}
DEFAULT_BLEND = {"member_params": {"max_iter": MAX_ITER}, **BLEND}
EXTRA = {
    "auto_regressor_members": sklmeta.AutoMetaRegressor(
        estimators=[
            ("linear", sklmeta.BayesianLinearRegressor(**SMALL)),
            ("maml", sklmeta.MAMLRegressor(**SMALL)),
            ("own", sklmeta.PerTask(Ridge())),
        ],
        **BLEND,
    ),
    "auto_classifier_members": sklmeta.AutoMetaClassifier(
        estimators=[
            ("protonet", sklmeta.ProtoNetClassifier(n_members=2, **SMALL)),
            ("ridge_head", sklmeta.RidgeHeadClassifier(**SMALL)),
            ("own", sklmeta.PerTask(LogisticRegression())),
        ],
        **BLEND,
    ),
    "auto_regressor_default": sklmeta.AutoMetaRegressor(
        preparation=StandardScaler(), **DEFAULT_BLEND
    ),
    "auto_classifier_default": sklmeta.AutoMetaClassifier(**DEFAULT_BLEND),
    "pooled_append": sklmeta.Pooled(Ridge(), support="append"),
    "pooled_offset": sklmeta.Pooled(Ridge(), support="offset", center=True),
    "pooled_classifier_append": sklmeta.Pooled(LogisticRegression(), support="append"),
    "pooled_classifier_offset": sklmeta.Pooled(
        LogisticRegression(), support="offset", center=True
    ),
    "pipeline": make_pipeline(StandardScaler(), sklmeta.RidgeHeadRegressor(**SMALL)),
    "pipeline_classifier": make_pipeline(
        StandardScaler(), sklmeta.ProtoNetClassifier(n_members=2, **SMALL)
    ),
    "transformed_target": TransformedTargetRegressor(
        sklmeta.BayesianLinearRegressor(**SMALL), transformer=StandardScaler()
    ),
}
OWN = {"shared_classes": False, "n_way": 3, "n_shots": 2, "n_query": 3}
SETTINGS = {
    "n_shots": (1, 4),
    "support": "first",
    "meta_batch_size": 3,
    "max_iter": 25,
    "lr_schedule": "linear",
    "optimizer": "SGD",
    "weight_decay": 0.01,
    "max_grad_norm": None,
    "chunk_size": 2,
    "early_stopping": True,
    "validation_fraction": 0.25,
    "standardize": False,
    "activation": "tanh",
}
OPTIONS = [
    ("warm_start", True),
    ("engine", "loop"),
    ("engine", "vmap"),
    ("engine", "batched"),
    ("engine", "adjoint"),
    ("first_order", True),
    ("head_init", "shared"),
    ("inner_optimizer", "sgd"),
    ("adapt_steps", 2),
    ("kernel", "linear"),
    ("mean", "constant"),
    ("objective", "predictive"),
    ("raw", True),
    ("rank", 2),
    ("solver", "logistic"),
    ("tune", "all"),
    ("batch_size", 16),
    ("pairs", "task"),
    ("predict_by", "mean"),
    ("hidden_layer_sizes", (5, 4)),
]
"""Other values of parameters, each tried on the estimators that have it."""


class Encoder(nn.Sequential):
    """An encoder with layers that count rows, and layers that draw."""

    def __init__(self):
        convolution = nn.Conv2d(1, 4, 2)
        norm = nn.BatchNorm2d(4)
        super().__init__(convolution, norm, nn.ReLU(), nn.Flatten(), nn.Dropout(0.2))


IMAGES = {"module": Encoder, "transductive": True}
