"""AutoMeta: members, stacked on held-out training tasks."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral
from typing import Any, NamedTuple

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
from sklmeta.auto._evidence import Protocol, fit_members, fold_evidence, joined
from sklmeta.auto._portfolio import Members
from sklmeta.auto._stacking import WeightModel, equal_weights, fit_weights
from sklmeta.auto._support_losses import respond, support_losses
from sklmeta.data.codes import IntArray
from sklmeta.data.kinds import TaskKind
from sklmeta.data.scaling import Scaling, check_targets
from sklmeta.data.validation import Table, as_given
from sklmeta.estimator.base import AdaptableEstimator
from sklmeta.evaluation.containers import adapted, inner_estimator
from sklmeta.evaluation.probabilities import spread
from sklmeta.evaluation.shots import check_count
from sklmeta.model_selection import TaskKFold


class Blended(NamedTuple):
    """Members that predict for some tasks, and what each weighs."""

    members: list[Any]
    weights: NDArray[np.float64]  # shape: (n_tasks, n_members)
    by_task: bool  # whether the members are adapted to the tasks by their codes


class Blend(AdaptableEstimator, _BaseComposition):
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

    def _portfolio(self, seed: int | None, table: Table) -> Members:
        # The classifier and the regressor bring their own.
        raise NotImplementedError(f"{type(self).__name__} lacks _portfolio.")

    def _members(self, rng: np.random.RandomState, table: Table) -> Members:
        """Return copies of the members, with what the blend sets for all of them."""
        if self.estimators is None:
            seed = None if self.random_state is None else int(rng.randint(2**31 - 1))
            named = self._portfolio(seed, table)
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

    def _learn(self, table: Table) -> Blended | None:
        for value in self.shots:
            check_count("shots", value, 0)
        _check_squares(table)
        rng = check_random_state(self.random_state)
        named = self._members(rng, table)
        names, members = [n for n, _ in named], [m for _, m in named]
        if table.one_table:
            fitted = [clone(member).fit(table.X, table.y) for member in members]
            model = equal_weights(len(members), is_classifier(self))
        else:
            model = self._stack(members, table, rng)
            fitted = fit_members(members, table)
        self.estimators_ = dict(zip(names, fitted, strict=True))
        self._weight_model: dict[str, Any] = model._asdict()
        if table.kind == TaskKind.OWN and not table.one_table:
            return None
        unknown = np.full((1, len(members)), np.nan)
        weights = model.weights(np.zeros(1, np.intp), unknown)
        return Blended(fitted, weights, by_task=False)

    def _stack(
        self, members: Sequence[Any], table: Table, rng: np.random.RandomState
    ) -> WeightModel:
        own = table.kind == TaskKind.OWN
        shots = sorted({int(k) for k in self.shots if k or not own})
        protocol = Protocol(shots, self.n_draws, self.support)
        n_folds = min(self.cv, table.n_tasks)
        cv = TaskKFold(n_folds, shuffle=True, random_state=rng)
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

    def _specialise(self, table: Table) -> Blended:
        _check_squares(table)
        members = list(self.estimators_.values())
        losses = support_losses(members, table)
        weights = WeightModel(**self._weight_model).weights(table.shots, losses)
        new = [adapted(m, table.X, table.y, task=table.codes) for m in members]
        return Blended(new, weights, by_task=True)

    @classmethod
    def _restore(cls, model: Any) -> Blended:
        return Blended(**model)

    @property
    def weights_(self) -> pd.DataFrame:
        """Weight of each member (columns) for each task adapted to (rows)."""
        check_is_fitted(self)
        blended, index = self._adaptation.model, self._adaptation.labels
        if blended is None:
            raise AttributeError("weights_ depend on a task's support: call adapt.")
        return pd.DataFrame(
            blended.weights,
            columns=list(self.estimators_),
            index=None if index is None else pd.Index(index, name="task"),
        )

    def _blend(
        self, X: Any, codes: IntArray, model: Blended, classes: NDArray[Any] | None
    ) -> NDArray[Any]:
        total: Any = 0.0
        asked = codes if model.by_task else None
        for m, member in enumerate(model.members):
            values = respond(member, X, asked)
            weight = model.weights[codes, m].astype(values.dtype)
            if classes is not None:
                values = spread(values, member.classes_, classes)
                weight = weight[:, None]
            total = total + weight * values
        return total


def _check_squares(table: Table) -> None:
    """Members are weighted by squared errors, which must not overflow."""
    if table.kind == TaskKind.REGRESSION:
        y = table.y.astype(np.float64, copy=False)
        check_targets(y, Scaling.identity(), np.float64)
