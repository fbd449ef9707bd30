"""The one table of instances that all common checks run over."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from sklearn.linear_model import LogisticRegression, Ridge

import sklmeta

# Few updates and small transformers: these are checks of behaviour, not of accuracy.
# What scikit-learn's own checks ask of accuracy is met all the same.
SMALL = {"d_model": 16, "n_layers": 1, "n_heads": 2, "hidden_layer_sizes": (16,)}
SMALL_LSTM = {
    "hidden_layer_sizes": (16,),
    "hidden_size": 8,
    "meta_batch_size": 4,
    "lr": 0.02,
}

META_CLASSIFIERS = {
    "maml": sklmeta.MAMLClassifier(
        max_iter=20, hidden_layer_sizes=(32,), random_state=0
    ),
    "maml_first_order": sklmeta.MAMLClassifier(
        max_iter=30, first_order=True, random_state=0
    ),
    "anil": sklmeta.ANILClassifier(max_iter=30, random_state=0),
    "reptile": sklmeta.ReptileClassifier(
        max_iter=30, meta_batch_size=5, hidden_layer_sizes=(32,), random_state=0
    ),
    "maml_stabilised": sklmeta.MAMLClassifier(
        max_iter=30,
        multi_step_loss=0.5,
        learn_inner_lr=True,
        derivative_order_annealing=0.5,
        random_state=0,
    ),
    "meta_sgd": sklmeta.MetaSGDClassifier(max_iter=30, random_state=0),
    "protonet": sklmeta.ProtoNetClassifier(max_iter=8, n_members=2, random_state=0),
    "protonet_mahalanobis": sklmeta.ProtoNetClassifier(
        max_iter=30, metric="mahalanobis", hidden_layer_sizes=(16,), random_state=0
    ),
    "protonet_cosine": sklmeta.ProtoNetClassifier(
        max_iter=30, metric="cosine", random_state=0
    ),
    "matching": sklmeta.MatchingNetClassifier(max_iter=8, n_members=2, random_state=0),
    "matching_cosine": sklmeta.MatchingNetClassifier(
        max_iter=20, metric="cosine", n_members=2, random_state=0
    ),
    "siamese": sklmeta.SiameseClassifier(
        max_iter=20, hidden_layer_sizes=(16,), random_state=0
    ),
    "siamese_contrastive": sklmeta.SiameseClassifier(
        max_iter=20,
        loss="contrastive",
        predict_by="k_nearest",
        hidden_layer_sizes=(16,),
        random_state=0,
    ),
    "relation": sklmeta.RelationNetClassifier(max_iter=12, n_members=2, random_state=0),
    "relation_mse": sklmeta.RelationNetClassifier(
        max_iter=20, loss="mse", pool="sum", n_members=2, random_state=0
    ),
    "fine_tune": sklmeta.FineTuneClassifier(max_iter=40, adapt_steps=5, random_state=0),
    "fine_tune_cosine": sklmeta.FineTuneClassifier(
        max_iter=20, adapt_steps=3, head="cosine", tune="all", random_state=0
    ),
    "ridge_head": sklmeta.RidgeHeadClassifier(max_iter=30, random_state=0),
    "logistic_head": sklmeta.RidgeHeadClassifier(
        max_iter=20, solver="logistic", hidden_layer_sizes=(16,), random_state=0
    ),
    "deep_kernel": sklmeta.DeepKernelClassifier(max_iter=15, random_state=0),
    "transformer_classifier": sklmeta.TransformerNeuralProcessClassifier(
        max_iter=30, random_state=0, **SMALL
    ),
    "neural_process": sklmeta.NeuralProcessClassifier(
        max_iter=25, d_model=16, lr=1e-2, random_state=0
    ),
    "neural_process_mean": sklmeta.NeuralProcessClassifier(
        max_iter=30, d_model=32, aggregation="mean", random_state=0
    ),
    "meta_lstm": sklmeta.MetaLSTMClassifier(
        max_iter=15, inner_steps=3, random_state=0, **SMALL_LSTM
    ),
}
META_REGRESSORS = {
    "maml_regressor": sklmeta.MAMLRegressor(
        max_iter=30, hidden_layer_sizes=(32,), random_state=0
    ),
    "meta_sgd_regressor": sklmeta.MetaSGDRegressor(max_iter=60, random_state=0),
    "anil_regressor": sklmeta.ANILRegressor(max_iter=50, random_state=0),
    "reptile_regressor": sklmeta.ReptileRegressor(
        max_iter=50, meta_batch_size=5, hidden_layer_sizes=(32,), random_state=0
    ),
    "bayesian_linear": sklmeta.BayesianLinearRegressor(max_iter=50, random_state=0),
    "mixed_model": sklmeta.BayesianLinearRegressor(
        hidden_layer_sizes=(), max_iter=50, random_state=0
    ),
    "fine_tune_regressor": sklmeta.FineTuneRegressor(
        max_iter=60, adapt_steps=5, random_state=0
    ),
    "ridge_head_regressor": sklmeta.RidgeHeadRegressor(max_iter=50, random_state=0),
    "deep_kernel_regressor": sklmeta.DeepKernelRegressor(max_iter=30, random_state=0),
    "transformer_regressor": sklmeta.TransformerNeuralProcessRegressor(
        max_iter=80, random_state=0, **SMALL
    ),
    "neural_process_regressor": sklmeta.NeuralProcessRegressor(
        max_iter=40, d_model=16, lr=1e-2, random_state=0
    ),
    "meta_lstm_regressor": sklmeta.MetaLSTMRegressor(
        max_iter=25, inner_steps=3, inner_lr=0.1, random_state=0, **SMALL_LSTM
    ),
}
BASELINE_CLASSIFIERS = {
    "per_task_classifier": sklmeta.PerTask(LogisticRegression()),
    "pooled_classifier": sklmeta.Pooled(LogisticRegression()),
    "nearest_centroid": sklmeta.NearestCentroidBaseline(),
    "lda": sklmeta.LDABaseline(),
    "mixed_model_classifier": sklmeta.MixedModelClassifier(),
    "episodic_boosting_classifier": sklmeta.EpisodicBoostingClassifier(
        n_rows=500, cv=2, random_state=0
    ),
    "auto_classifier": sklmeta.AutoMetaClassifier(
        estimators=[
            ("own", sklmeta.PerTask(LogisticRegression())),
            ("nearest", sklmeta.NearestCentroidBaseline()),
        ],
        shots=(0, 3),
        n_draws=1,
        random_state=0,
    ),
}
BASELINE_REGRESSORS = {
    "per_task_regressor": sklmeta.PerTask(Ridge()),
    "pooled_regressor": sklmeta.Pooled(Ridge()),
    "mixed_model_regressor": sklmeta.MixedModelRegressor(),
    "episodic_boosting_regressor": sklmeta.EpisodicBoostingRegressor(
        n_rows=500, cv=2, random_state=0
    ),
    "auto_regressor": sklmeta.AutoMetaRegressor(
        estimators=[
            ("own", sklmeta.PerTask(Ridge())),
            ("offset", sklmeta.Pooled(Ridge(), support="offset")),
        ],
        shots=(0, 3),
        n_draws=1,
        random_state=0,
    ),
}
# Other settings of a class that is in the table already: our own checks alone.
VARIANTS = {
    "protonet_mahalanobis",
    "logistic_head",
    "neural_process_mean",
    "maml_first_order",
    "maml_stabilised",
    "fine_tune_cosine",
    "protonet_cosine",
    "matching_cosine",
    "siamese_contrastive",
    "relation_mse",
    "mixed_model",
}
META = {**META_CLASSIFIERS, **META_REGRESSORS}
CLASSIFIERS = {**META_CLASSIFIERS, **BASELINE_CLASSIFIERS}
REGRESSORS = {**META_REGRESSORS, **BASELINE_REGRESSORS}
ALL = {**CLASSIFIERS, **REGRESSORS}
