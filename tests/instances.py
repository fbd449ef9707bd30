"""The one table of instances that all common checks run over."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from sklearn.linear_model import LogisticRegression, Ridge

import sklmeta

# Few updates and small transformers: these are checks of behaviour, not of accuracy.
# What scikit-learn's own checks ask of accuracy is met all the same.
SMALL = {"d_model": 16, "n_layers": 2, "n_heads": 2, "hidden_layer_sizes": (16,)}

META_CLASSIFIERS = {
    "maml": sklmeta.MAMLClassifier(max_iter=30, random_state=0),
    "maml_first_order": sklmeta.MAMLClassifier(
        max_iter=30, first_order=True, random_state=0
    ),
    "protonet": sklmeta.ProtoNetClassifier(max_iter=30, random_state=0),
    "protonet_mahalanobis": sklmeta.ProtoNetClassifier(
        max_iter=30, metric="mahalanobis", hidden_layer_sizes=(16,), random_state=0
    ),
    "protonet_cosine": sklmeta.ProtoNetClassifier(
        max_iter=30, metric="cosine", random_state=0
    ),
    "transformer_classifier": sklmeta.TransformerNeuralProcessClassifier(
        max_iter=50, random_state=0, **SMALL
    ),
}
META_REGRESSORS = {
    "maml_regressor": sklmeta.MAMLRegressor(max_iter=50, random_state=0),
    "bayesian_linear": sklmeta.BayesianLinearRegressor(max_iter=50, random_state=0),
    "mixed_model": sklmeta.BayesianLinearRegressor(
        hidden_layer_sizes=(), max_iter=50, random_state=0
    ),
    "transformer_regressor": sklmeta.TransformerNeuralProcessRegressor(
        max_iter=60, random_state=0, **SMALL
    ),
}
BASELINE_CLASSIFIERS = {
    "per_task_classifier": sklmeta.PerTask(LogisticRegression()),
    "pooled_classifier": sklmeta.Pooled(LogisticRegression()),
}
BASELINE_REGRESSORS = {
    "per_task_regressor": sklmeta.PerTask(Ridge()),
    "pooled_regressor": sklmeta.Pooled(Ridge()),
}
# Other settings of a class that is in the table already: our own checks alone.
VARIANTS = {"maml_first_order", "protonet_cosine", "mixed_model"}
META = {**META_CLASSIFIERS, **META_REGRESSORS}
CLASSIFIERS = {**META_CLASSIFIERS, **BASELINE_CLASSIFIERS}
REGRESSORS = {**META_REGRESSORS, **BASELINE_REGRESSORS}
ALL = {**CLASSIFIERS, **REGRESSORS}
