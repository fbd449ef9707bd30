"""The estimators that the command line compares and fits."""

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

import sklmeta
from sklmeta.baselines import PerTask, Pooled
from sklmeta.cli._files import DataError

AUTO = "auto"
MIXED = "mixed model"
DEFAULTS = {True: (MIXED, "ProtoNet"), False: (MIXED, "BayesianLinear")}
"""By whether the target is a class. Each adds what the other lacks: the mixed model
takes seconds, and what learns features is ahead where lines do not suffice."""

COUNTED = (MIXED, "NeuralProcess")
"""Of counts and amounts: those that never predict less than none."""

UPDATES_PER_TASK, FEWEST_UPDATES, MOST_UPDATES = 10, 200, 1000
"""Most meta-updates of a comparison. Held-out tasks still say how many of them pay; a
fixed number in their place spoils what starts from the mixed model. Chosen on generated
shops, hsb82 and wages, where the scores stay, and on parkinsons, where they are worse
than with 2,000 and still a third of the mixed model's."""

# Few trees, as they are fitted anew for every draw and number of rows.
QUICK = {"max_iter": 20, "learning_rate": 0.3, "random_state": 0}


def compared(
    classification: bool, options: dict[str, Any], names: list[str] | None
) -> dict[str, Any]:
    """Return the models to compare: meta-learners by name, and the usual baselines."""
    usual = COUNTED if "family" in options else DEFAULTS[classification]
    names = list(names or usual)
    if options.get("shared_classes") is False and MIXED in names:
        names.remove(MIXED)  # has no meaning for classes that only one task knows
    found = {name: single(name, classification, options) for name in names}
    ready = {name: found.pop(name) for name in [*found] if name.endswith(MIXED)}
    return ready | baselines(classification, options) | found  # the quick ones first


def bounded(options: dict[str, Any], n_tasks: int) -> dict[str, Any]:
    """Bound the meta-updates by the number of tasks, unless they are given."""
    most = min(max(UPDATES_PER_TASK * n_tasks, FEWEST_UPDATES), MOST_UPDATES)
    return {"max_iter": most, **options}


def baselines(classification: bool, options: dict[str, Any]) -> dict[str, Any]:
    """Return what one would do without meta-learning, by name."""
    if not classification:
        boosting: Any = HistGradientBoostingRegressor(random_state=0)
        quick: Any = HistGradientBoostingRegressor(**QUICK)
        own = {"own ridge": PerTask(Ridge())}
    else:
        shared = options.get("shared_classes", True)
        logistic = LogisticRegression(max_iter=1000)
        own = {"own logistic": PerTask(logistic, shared_classes=shared)}
        if not shared:  # a pooled model has no classes to learn
            return own
        boosting = HistGradientBoostingClassifier(random_state=0)
        quick = HistGradientBoostingClassifier(**QUICK)
    return own | {
        "boosting with the task": Pooled(quick, support="append", task_category=True),
        "pooled boosting + offset": Pooled(boosting, support="offset"),
    }


def single(name: str, classification: bool, options: dict[str, Any]) -> Any:
    """Build an estimator of the suite by name, "auto", or one that is compared."""
    known_baselines = baselines(classification, options)
    if name in known_baselines:
        return known_baselines[name]
    suffix = "Classifier" if classification else "Regressor"
    short = {AUTO: "AutoMeta", MIXED: "MixedModel", f"linear {MIXED}": "MixedModel"}
    full = short.get(name, name)
    known = [n for n in sklmeta.__all__ if n.endswith(suffix)]
    for candidate in (full, f"{full}{suffix}"):
        if candidate in known:
            model = getattr(sklmeta, candidate)()
            break
    else:
        raise DataError(
            f"There is no estimator {name!r} for this target. There are: auto, "
            f"{MIXED}, {', '.join(known)}."
        )
    params = model.get_params(deep=False)
    settings = dict(options)
    if candidate.startswith("MixedModel"):
        settings.pop("max_iter", None)  # there it is steps to convergence
    if "member_params" in params and "max_iter" in settings:
        settings["member_params"] = {"max_iter": settings["max_iter"]}
    return model.set_params(**{k: v for k, v in settings.items() if k in params})


def piped(model: Any, preparation: Any) -> Any:
    return make_pipeline(preparation, model)
