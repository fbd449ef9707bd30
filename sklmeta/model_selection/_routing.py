"""What goes wrong where scikit-learn hands no tasks on."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import sys
from typing import Any

import sklearn

from sklmeta.evaluation.containers import inner_estimator
from sklmeta.exceptions import warn

ENABLE_ROUTING = (
    "enable metadata routing, with sklearn.config_context(enable_metadata_routing="
    'True), and pass params={"task": t}, of which a fit of a search takes task=t; '
    "few_shot_cross_validate needs neither"
)


class Refusal:
    """An error in the place of a score.

    scikit-learn makes NaN and a warning per fold of what a scorer raises, but not of
    what is raised when it asks for the number.
    """

    def __init__(self, message: str):
        self.message = message

    def item(self) -> float:
        """Raise."""
        raise TypeError(self.message)


def is_asked_by_validation() -> bool:
    """Whether the caller's caller is scikit-learn's cross-validation."""
    name = sys._getframe(2).f_globals.get("__name__")
    return name in ("sklearn.metrics._scorer", "sklearn.model_selection._validation")


def warn_of_splitter_alone(splitter: str, groups: Any) -> None:
    """Warn where scikit-learn hands the tasks to a splitter, and to no one else."""
    if groups is None or sklearn.get_config()["enable_metadata_routing"]:
        return
    frame = sys._getframe(2)
    if not frame.f_globals.get("__name__", "").startswith("sklearn.model_selection."):
        return
    names = ("estimator", "base_estimator")
    models = [frame.f_locals[name] for name in names if name in frame.f_locals]
    try:
        name = type(inner_estimator(models[0])).__name__
    except (IndexError, TypeError):  # tasks are nothing to any other estimator
        return
    warn(
        f"Metadata routing is disabled, so that groups= reaches {splitter} alone: "
        f"{name} is scored without tasks, and fitted without them too unless they are "
        f"passed to fit besides. Instead {ENABLE_ROUTING}."
    )
