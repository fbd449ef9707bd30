"""The models of `mixed_models.py`, each behind the set's preparation."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from typing import Any

from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
)
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Normalizer, StandardScaler

import sklmeta
from benchmarks.accuracy.clinc150 import discriminants
from benchmarks.shared.grouped import Problem
from sklmeta import PerTask, Pooled

MIXED, AUTO = "mixed model", "AutoMeta"


def regressors(support: str) -> dict[str, Any]:
    meta: dict[str, Any] = {"support": support, "random_state": 0}
    boosting = HistGradientBoostingRegressor(random_state=0)
    return {
        MIXED: sklmeta.MixedModelRegressor(),
        AUTO: sklmeta.AutoMetaRegressor(**meta),
        "Bayesian linear": sklmeta.BayesianLinearRegressor(**meta),
        "transformer": sklmeta.TransformerNeuralProcessRegressor(**meta),
        "deep kernel": sklmeta.DeepKernelRegressor(**meta),
        **episodic("Regressor", meta),
        "own ridge": PerTask(Ridge()),
        "pooled boosting + offset": Pooled(boosting, support="offset"),
        "centred pooled boosting": Pooled(boosting, center=True),
        **with_support(boosting),
    }


def classifiers(support: str, shared_classes: bool) -> dict[str, Any]:
    common: dict[str, Any] = {"random_state": 0, "shared_classes": shared_classes}
    meta = {**common, "support": support}
    logistic = PerTask(LogisticRegression(max_iter=1000), shared_classes=shared_classes)
    found = {
        AUTO: sklmeta.AutoMetaClassifier(**meta),
        "prototypical": sklmeta.ProtoNetClassifier(**meta),
        "ridge head": sklmeta.RidgeHeadClassifier(**meta),
        "deep kernel": sklmeta.DeepKernelClassifier(**meta),
        "fine-tuned": sklmeta.FineTuneClassifier(**common),
        "own logistic": logistic,
        "nearest centroid": sklmeta.NearestCentroidBaseline(
            shared_classes=shared_classes
        ),
        "linear discriminants": sklmeta.LDABaseline(shared_classes=shared_classes),
    }
    if not shared_classes:
        return found | by_hand()
    boosting = HistGradientBoostingClassifier(random_state=0)
    return {
        MIXED: sklmeta.MixedModelClassifier(),
        **found,
        "transformer": sklmeta.TransformerNeuralProcessClassifier(**meta),
        **episodic("Classifier", meta),
        "pooled boosting": Pooled(boosting),
        "pooled boosting + offset": Pooled(boosting, support="offset"),
        **with_support(boosting),
    }


def episodic(suffix: str, meta: dict[str, Any]) -> dict[str, Any]:
    found = getattr(sklmeta, f"EpisodicBoosting{suffix}", None)
    if found is None:
        return {}
    params = {k: v for k, v in meta.items() if k in found().get_params(deep=False)}
    return {"episodic boosting": found(**params)}


def with_support(boosting: Any) -> dict[str, Any]:
    """Refitted with the new task's rows, each task's label a category."""
    try:
        model = Pooled(boosting, support="append", task_category=True)
    except TypeError:
        return {}
    return {"pooled boosting + support rows": model}


def by_hand() -> dict[str, Any]:
    """What the table of CLINC150 has, with the scaling that suits it."""
    steps = (StandardScaler(), Normalizer(), *discriminants())
    return {"linear discriminants by hand": make_pipeline(*steps)}


def models(problem: Problem, is_regression: bool, fast: bool = False) -> dict[str, Any]:
    """Build every model, or with 20 updates those that have updates."""
    if is_regression:
        built = regressors(problem.support)
    else:
        built = classifiers(problem.support, problem.shared_classes)
    for name, model in built.items():
        params = model.get_params(deep=False)
        if fast and "member_params" in params:
            model.set_params(member_params={"max_iter": 20})
        elif fast and "max_iter" in params and name != MIXED:
            model.set_params(max_iter=20)
        if "n_way" in params and not getattr(model, "_is_baseline", False):
            model.set_params(**problem.params)
    return {name: piped(problem, model) for name, model in built.items()}


def in_order(figures: dict[str, Any], is_regression: bool) -> dict[str, Any]:
    """Figures by model, as the models are listed here."""
    if is_regression:
        names = regressors("random")
    else:
        names = classifiers("random", True) | classifiers("random", False)
    return {name: figures[name] for name in names if name in figures}


def piped(problem: Problem, model: Any) -> Any:
    return make_pipeline(*problem.prepare(), model)
