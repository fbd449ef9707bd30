"""What `compare` compares: meta-learners as they are, other estimators wrapped."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from sklearn.base import is_classifier, is_regressor

from sklmeta.baselines import PerTask, Pooled
from sklmeta.data.kinds import shares_classes
from sklmeta.evaluation.containers import inner_estimator


class Candidates(NamedTuple):
    """Estimators by name, the names of the baselines, and what all of them are."""

    estimators: dict[str, Any]
    baselines: list[str]
    is_regressor: bool


def collect_candidates(estimators: Any) -> Candidates:
    """Name the estimators, and wrap those that cannot adapt.

    Raises
    ------
    ValueError
        If there are none, or if they are of several kinds.
    """
    named = _named(estimators)
    adaptable = {name: model for name, model in named.items() if _adapts(model)}
    shared = _shared_classes(adaptable)
    found: dict[str, Any] = {}
    for name, model in named.items():
        if name in adaptable:
            found[name] = model
            continue
        found[f"{name}, per task"] = PerTask(model, shared_classes=shared)
        if shared:
            found[f"{name}, pooled"] = Pooled(model)
    if len(found) < len(named):
        raise ValueError("Two estimators have the same name; pass a dict of names.")
    baselines = [
        name
        for name, model in found.items()
        if getattr(inner_estimator(model), "_is_baseline", False)
    ]
    return Candidates(found, baselines, _all_regressors(found))


def _named(estimators: Any) -> dict[str, Any]:
    if isinstance(estimators, Mapping):
        named = dict(estimators)
    elif isinstance(estimators, Iterable) and not hasattr(estimators, "fit"):
        models = list(estimators)
        if models and all(isinstance(m, tuple) and len(m) == 2 for m in models):
            named = dict(models)
            if len(named) < len(models):
                raise ValueError("Two estimators have the same name.")
            return _named(named)
        names = [_name(model) for model in models]
        counts = Counter(names)
        seen: Counter[str] = Counter()
        named = {}
        for name, model in zip(names, models, strict=True):
            seen[name] += 1
            named[f"{name} {seen[name]}" if counts[name] > 1 else name] = model
    else:
        named = {_name(estimators): estimators}
    if not named:
        raise ValueError("There is nothing to compare: estimators is empty.")
    for name, model in named.items():
        if isinstance(model, type) or not hasattr(model, "get_params"):
            raise TypeError(
                f"Estimator {name!r} is {model!r}, which is no scikit-learn estimator: "
                "pass instances, such as Ridge()."
            )
        if not isinstance(name, str):
            raise TypeError(f"Names of estimators must be str; got {name!r}.")
    return named


def _name(model: Any) -> str:
    """Return the class of the last step, and of what a wrapper holds."""
    steps = getattr(model, "steps", None)
    if steps:
        return _name(steps[-1][1])
    name = type(model).__name__
    if isinstance(model, PerTask | Pooled):
        return f"{name}({_name(model.estimator)})"
    return name


def _adapts(model: Any) -> bool:
    try:
        inner_estimator(model)
    except TypeError:
        return False
    return True


def _shared_classes(models: dict[str, Any]) -> bool:
    """Whether all tasks have the same classes, which decides how supports are drawn."""
    answers = {}
    for name, model in models.items():
        inner = inner_estimator(model)
        if "shared_classes" in inner.get_params(deep=False) and not is_regressor(model):
            answers[name] = shares_classes(inner)
    if len(set(answers.values())) > 1:
        own = [name for name, shared in answers.items() if not shared]
        raise ValueError(
            f"{', '.join(own)} take(s) classes to be a task's own and the others do "
            "not, so that they would not be judged on the same supports. Set "
            "shared_classes alike in all."
        )
    return next(iter(answers.values()), True)


def _all_regressors(models: dict[str, Any]) -> bool:
    regressors = [name for name, model in models.items() if is_regressor(model)]
    others = [name for name in models if name not in regressors]
    if regressors and others:
        raise ValueError(
            f"Regressors ({', '.join(regressors)}) cannot be compared with others "
            f"({', '.join(others)})."
        )
    for name in others:
        if not is_classifier(models[name]):
            raise ValueError(f"{name} is neither a classifier nor a regressor.")
    return bool(regressors)
