"""AutoMeta: members, stacked on held-out training tasks."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import clone, is_classifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.utils import check_random_state
from sklearn.utils.parallel import Parallel, delayed
from sklearn.utils.validation import check_is_fitted
from tqdm.auto import tqdm

from sklmeta._compat import HasMethods, Interval, StrOptions, _BaseComposition
from sklmeta.auto._evidence import Protocol, Table, fit_members, fold_evidence, joined
from sklmeta.auto._portfolio import Members
from sklmeta.auto._stacking import WeightModel, equal_weights, fit_weights
from sklmeta.auto._support_losses import respond, support_losses
from sklmeta.baselines._base import (
    BaselineEstimator,
    Codes,
    Predictors,
    as_given,
    shots_of,
    spread,
)
from sklmeta.evaluation.containers import adapted, inner_estimator
from sklmeta.evaluation.few_shot import check_count
from sklmeta.model_selection import TaskKFold


class Blend(BaselineEstimator, _BaseComposition):
    """A blend of members whose weights are learned on held-out training tasks."""

    _parameter_constraints = {
        "estimators": [list, None],
        "preparation": [HasMethods(["fit", "transform"]), None],
        "cv": [Interval(Integral, 2, None, closed="left")],
        "shots": ["array-like"],
        "n_draws": [Interval(Integral, 1, None, closed="left")],
        "support": [StrOptions({"random", "first"})],
        "member_params": [dict, None],
        "n_jobs": [Integral, None],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    estimators: Members | None
    preparation: Any
    cv: int
    shots: Sequence[int]
    n_draws: int
    support: str
    member_params: dict[str, Any] | None
    n_jobs: int | None
    random_state: Any
    verbose: int
    _is_baseline = False

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the parameters, those of given members as ``name__parameter``.

        Parameters
        ----------
        deep : bool, default=True
            Whether to include the members and their parameters.

        Returns
        -------
        dict
        """
        return self._get_params("estimators", deep=deep and self.estimators is not None)

    def set_params(self, **params: Any) -> Any:
        """Set parameters, those of given members as ``name__parameter``.

        Parameters
        ----------
        **params
            New values.

        Returns
        -------
        self
        """
        return self._set_params("estimators", **params)

    def _portfolio(self, seed: int | None, y: NDArray[Any], codes: Codes) -> Members:
        # The classifier and the regressor bring their own.
        raise NotImplementedError(f"{type(self).__name__} lacks _portfolio.")

    def _members(
        self, rng: np.random.RandomState, y: NDArray[Any], codes: Codes
    ) -> Members:
        """Return copies of the members, with what the blend sets for all of them."""
        if self.estimators is None:
            seed = None if self.random_state is None else int(rng.randint(2**31 - 1))
            named = self._portfolio(seed, y, codes)
        else:
            self._check_members(self.estimators)
            named = [(name, clone(member)) for name, member in self.estimators]
        params = dict(self.member_params or {})
        if is_classifier(self):
            params["shared_classes"] = self.shared_classes
        for _, member in named:
            inner = inner_estimator(member)
            known = inner.get_params(deep=False)
            inner.set_params(**{k: v for k, v in params.items() if k in known})
        if self.preparation is None:
            return named
        return [(n, make_pipeline(clone(self.preparation), m)) for n, m in named]

    def _options(self, X: Any) -> dict[str, Any]:
        """Leave X to the members where all of them prepare it themselves."""
        members = [member for _, member in self.estimators or []]
        all_prepare = members and all(isinstance(m, Pipeline) for m in members)
        if self.preparation is not None or all_prepare:
            return as_given(X)
        return super()._options(X)

    def _check_members(self, named: Members) -> None:
        if not named:
            raise ValueError("estimators is empty: there is nothing to blend.")
        self._validate_names([name for name, _ in named])
        for name, member in named:
            inner_estimator(member)  # raises where there is no adapt
            if is_classifier(member) != is_classifier(self):
                kind = "classifier" if is_classifier(self) else "regressor"
                raise ValueError(f"Member {name!r} is no {kind}.")

    def _learn(self, X: Any, y: NDArray[Any], codes: Codes) -> Predictors | None:
        for value in self.shots:
            check_count("shots", value, 0)
        rng = check_random_state(self.random_state)
        named = self._members(rng, y, codes)
        names, members = [n for n, _ in named], [m for _, m in named]
        is_log_loss = is_classifier(self)
        table = Table(X, y, codes)
        if len(self.tasks_) == 1:
            fitted = [clone(member).fit(X, y) for member in members]
            model = equal_weights(len(members), is_log_loss)
        else:
            model = self._stack(members, table, rng)
            fitted = fit_members(members, table)
        self.estimators_ = dict(zip(names, fitted, strict=True))
        self._weight_model: dict[str, Any] = model._asdict()
        if getattr(self, "shared_classes_", True) or len(self.tasks_) == 1:
            unknown = np.full((1, len(members)), np.nan)
            weights = model.weights(np.zeros(1, np.intp), unknown)
            return {"members": fitted, "weights": weights, "by_task": False}
        return None

    def _stack(
        self, members: Sequence[Any], table: Table, rng: np.random.RandomState
    ) -> WeightModel:
        shared = getattr(self, "shared_classes_", None)
        shots = sorted({int(k) for k in self.shots if k or shared is not False})
        classes = getattr(self, "classes_", None)
        protocol = Protocol(shots, self.n_draws, self.support, shared, classes)
        cv = TaskKFold(min(self.cv, len(self.tasks_)), shuffle=True, random_state=rng)
        folds = list(cv.split(table.X, table.y, groups=table.codes))
        found = Parallel(n_jobs=self.n_jobs, return_as="generator")(
            delayed(fold_evidence)(
                members, table, fold, protocol, int(rng.randint(2**31 - 1))
            )
            for fold in folds
        )
        bar = tqdm(found, "stacking", len(folds), unit="fold", disable=not self.verbose)
        parts = [part for fold_parts in bar for part in fold_parts]
        if not parts:
            return equal_weights(len(members), is_classifier(self))
        return fit_weights(joined(parts), is_classifier(self))

    def _specialise(
        self, X: NDArray, y: NDArray[Any], codes: Codes, n_tasks: int
    ) -> Predictors:
        members = list(self.estimators_.values())
        own = getattr(self, "shared_classes_", None) is False
        classes = None
        if is_classifier(self):
            classes = np.unique(y) if own else self.classes_
        shots = shots_of(y, codes, n_tasks, own=own)
        losses = support_losses(members, X, y, codes, n_tasks, classes)
        weights = WeightModel(**self._weight_model).weights(shots, losses)
        new = [adapted(member, X, y, task=codes) for member in members]
        return {"members": new, "weights": weights, "by_task": True}

    @property
    def weights_(self) -> pd.DataFrame:
        """Weight of each member (columns) for each task adapted to (rows)."""
        check_is_fitted(self)
        models = self._as_fitted if self._adapted is None else self._adapted
        if models is None:
            raise AttributeError("weights_ depend on a task's support: call adapt.")
        index = self._adapted_tasks
        return pd.DataFrame(
            models["weights"],
            columns=list(self.estimators_),
            index=None if index is None else pd.Index(index, name="task"),
        )

    def _blend(
        self,
        X: NDArray,
        codes: Codes,
        models: Predictors,
        classes: NDArray[Any] | None,
    ) -> NDArray[Any]:
        total: Any = 0.0
        asked = codes if models["by_task"] else None
        for m, member in enumerate(models["members"]):
            values = respond(member, X, asked)
            weight = models["weights"][codes, m].astype(values.dtype)
            if classes is not None:
                values = spread(values, member.classes_, classes)
                weight = weight[:, None]
            total = total + weight * values
        return total
