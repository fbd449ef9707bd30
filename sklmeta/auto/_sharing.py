"""Members that one fit serves: pooled models that differ in what adapting does."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sklearn.base import clone
from sklearn.pipeline import Pipeline

from sklmeta.auto._response import fit_member
from sklmeta.baselines import Pooled
from sklmeta.data.table import Table
from sklmeta.evaluation.containers import inner_estimator, shallow_copy
from sklmeta.model_based import EpisodicBoostingClassifier, EpisodicBoostingRegressor


def groups_of(members: Sequence[Any]) -> list[list[int]]:
    """Group the members, by position, that are fitted alike."""
    found: dict[Any, list[int]] = {}
    for i, member in enumerate(members):
        found.setdefault(_key(member) or i, []).append(i)
    return list(found.values())


def _key(member: Any) -> str | None:
    """What decides a pooled model's fit; None for whatever else."""
    inner = member.steps[-1][1] if isinstance(member, Pipeline) else member
    if type(inner) is not Pooled or inner.support == "append":
        return None
    # Estimators inside are told by their own parameters, which stand beside them.
    params = {
        name: type(value) if hasattr(value, "get_params") else value
        for name, value in member.get_params().items()
        if name.rpartition("__")[2] not in ("support", "steps")
    }
    return repr(sorted(params.items()))


def fit_alike(members: Sequence[Any], table: Table) -> list[Any]:
    """Fit copies of members that one fit serves."""
    first = fit_member(members[0], table)
    return [first, *(_with_fit_of(first, member) for member in members[1:])]


def _with_fit_of(fitted: Any, member: Any) -> Any:
    if isinstance(member, Pipeline):
        new = shallow_copy(fitted)
        (name, last), own = fitted.steps[-1], member.steps[-1][1]
        new.steps = [*fitted.steps[:-1], (name, _with_fit_of(last, own))]
        return new
    new = clone(member)
    params = new.get_params(deep=False)
    learned = {k: v for k, v in vars(fitted).items() if k not in params}
    vars(new).update(learned)
    return new


def is_trained(member: Any) -> bool:
    """Whether meta-updates fit it, each of which costs the same for any table."""
    inner = inner_estimator(member)
    return hasattr(inner, "max_iter") and hasattr(inner, "meta_batch_size")


def is_dear(member: Any) -> bool:
    """Whether a fit takes seconds even where there are few rows."""
    dear = EpisodicBoostingRegressor | EpisodicBoostingClassifier
    return is_trained(member) or isinstance(inner_estimator(member), dear)
