"""AutoMeta: members, stacked on held-out training tasks."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral, Real
from os import PathLike
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import clone, is_classifier
from sklearn.pipeline import Pipeline
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from sklmeta._compat import HasMethods, Interval, StrOptions, _BaseComposition
from sklmeta.auto._bounds import TargetRange
from sklmeta.auto._evidence import Cases, Protocol, draw_cases, gathered
from sklmeta.auto._portfolio import Members
from sklmeta.auto._preparing import Prepared
from sklmeta.auto._response import respond
from sklmeta.auto._schedule import Schedule
from sklmeta.auto._sharing import is_trained
from sklmeta.auto._stacking import WeightModel, equal_weights, fit_weights
from sklmeta.auto._support_losses import adapt_and_judge
from sklmeta.baselines import PerTask
from sklmeta.data.codes import IntArray
from sklmeta.data.kinds import TaskKind
from sklmeta.data.scaling import Scaling, check_targets
from sklmeta.data.table import Table
from sklmeta.data.validation import as_given
from sklmeta.estimator.base import AdaptableEstimator
from sklmeta.estimator.upkeep import about_fit
from sklmeta.evaluation.containers import inner_estimator
from sklmeta.evaluation.shots import check_count
from sklmeta.exceptions import warn
from sklmeta.preparation.automatic import chosen_preparation, prepares_itself
from sklmeta.training.checkpoint import Checkpoints

FEWEST_TASKS = 4
"""To weigh members by."""


class Blended(NamedTuple):
    """Members that predict for some tasks, and what each weighs."""

    members: list[Any]
    weights: NDArray[np.float64]  # shape: (n_tasks, n_members)
    by_task: bool  # whether the members are adapted to the tasks by their codes
    bounds: NDArray[np.float64] | None = None  # shape: (n_tasks, 2); of predictions


class Blend(AdaptableEstimator, _BaseComposition):
    """A blend of members whose weights are learned on held-out training tasks."""

    _parameter_constraints = {
        "estimators": [list, None],
        "preparation": [HasMethods(["fit", "transform"]), StrOptions({"auto"}), None],
        "cv": [Interval(Integral, 2, None, closed="left"), None],
        "shots": ["array-like"],
        "n_draws": [Interval(Integral, 1, None, closed="left")],
        "support": [StrOptions({"random", "stratified", "first"})],
        "member_params": [dict, None],
        "max_time": [Interval(Real, 0, None, closed="neither"), None],
        "n_jobs": [Integral, None],
        "random_state": ["random_state"],
        "verbose": ["verbose", None],
        "checkpoint_dir": [str, PathLike, None],
    }

    estimators: Members | None
    preparation: Any
    cv: int | None
    shots: Sequence[int]
    n_draws: int
    support: str
    member_params: dict[str, Any] | None
    max_time: float | None
    n_jobs: int | None
    random_state: Any
    verbose: int | None
    checkpoint_dir: str | PathLike[str] | None

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
            known = set(inner.get_params(deep=False))
            if not is_trained(member):
                known.discard("max_iter")  # others count other things
            inner.set_params(**{k: v for k, v in params.items() if k in known})
        return named

    def _options(self, X: Any) -> dict[str, Any]:
        """Leave X to what prepares it, which may be the members themselves."""
        prepares = self._preparation_of(X)
        if hasattr(self, "preparation_"):
            prepares = self.preparation_
        raw = prepares is not None or self._pipelines
        return as_given(X) if raw else super()._options(X)

    @property
    def _pipelines(self) -> list[Pipeline]:
        """All members, if all are pipelines."""
        members = [member for _, member in self.estimators or []]
        return members if all(isinstance(m, Pipeline) for m in members) else []

    def _preparation_of(self, X: Any) -> Any:
        """What `fit` is to prepare X by, if anything."""
        they_do = self._pipelines and all(map(prepares_itself, self._pipelines))
        if isinstance(self.preparation, str) and they_do:
            return None
        return chosen_preparation(self.preparation, X)

    def _prepared(self, X: Any) -> Any:
        fitted = getattr(self, "preparation_", None)  # files of before have none
        return X if fitted is None else fitted.transform(X)

    def _check_members(self, named: Members) -> None:
        if not named:
            raise ValueError("estimators is empty: there is nothing to blend.")
        self._validate_names([name for name, _ in named])
        for name, member in named:
            inner_estimator(member)  # raises where there is no adapt
            if is_classifier(member) != is_classifier(self):
                kind = "classifier" if is_classifier(self) else "regressor"
                raise ValueError(f"Member {name!r} is no {kind}.")

    def _fit_table(self, X: Any, y: Any, task: Any) -> Table:
        self.__dict__.pop("preparation_", None)  # X may be of another kind now
        return super()._fit_table(X, y, task)

    def _fit(self, X: Any, y: Any, task: Any) -> BaseException | None:
        # A table without tasks is scikit-learn's usual case, and no mistake.
        self._was_given_tasks = task is not None or y is None
        error = super()._fit(X, y, task)
        del self._checkpoints
        if self.__dict__.pop("_interrupted"):
            return KeyboardInterrupt(
                f"Interrupted: {', '.join(self.left_out_) or 'nothing'} left out of "
                "the blend."
            )
        return error

    def _random_numbers(self, table: Table) -> np.random.RandomState:
        """Open the folder, if there is one, and take up the numbers that it goes by."""
        rng = check_random_state(self.random_state)
        self._checkpoints: Checkpoints | None = None
        if self.checkpoint_dir is None:
            return rng
        seed = int(rng.randint(2**31 - 1))
        about = about_fit(self, table)
        self._checkpoints = Checkpoints(self.checkpoint_dir, about, seed)
        if isinstance(self.random_state, Integral):
            return check_random_state(self.random_state)
        return check_random_state(self._checkpoints.seed)

    def _warn_of_few_tasks(self) -> None:
        """Say nothing: `_learn` says what they mean to a blend."""

    def _learn(self, table: Table) -> Blended | None:
        for value in self.shots:
            check_count("shots", value, 0)
        _check_squares(table)
        prepared = Prepared(table, self._preparation_of(table.X))
        rng = self._random_numbers(table)
        named = self._members(rng, table)
        own = table.kind == TaskKind.OWN
        shots = sorted({int(k) for k in self.shots if k or not own})
        protocol = Protocol(shots, self.n_draws, self.support)
        reason = None
        if table.one_table:
            reason = "one table"
        elif table.n_tasks < FEWEST_TASKS:
            reason = f"{table.n_tasks} tasks"
        cases = None
        if reason is None:
            seed = int(rng.randint(2**31 - 1))
            cases = draw_cases(table, protocol, np.random.default_rng(seed))
        names, fitted, model = self._fit_members(named, prepared, cases, protocol, rng)
        if model is None:
            reason = reason or "tasks too small to draw supports from"
            if self._was_given_tasks or own:
                warn(
                    f"{type(self).__name__} was fitted to {reason}, which cannot tell "
                    "what its members are worth: they count alike."
                )
            model = equal_weights(len(names), table.classes is not None)
        self.preparation_ = prepared.fitted
        self.estimators_ = dict(zip(names, fitted, strict=True))
        self._weight_model: dict[str, Any] = model._asdict()
        self._equal_because = reason
        self._span: dict[str, float] | None = None
        if table.kind == TaskKind.REGRESSION:
            self._span = TargetRange.of(table)._asdict()
        if own and not table.one_table:
            return None
        unknown = np.full((1, len(names)), np.nan)
        weights = model.weights(np.zeros(1, np.intp), unknown)
        bounds = None
        if self._span is not None and not table.one_table:
            bounds = TargetRange(**self._span).without_rows()
        return Blended(fitted, weights, by_task=False, bounds=bounds)

    def _fit_members(
        self,
        named: Members,
        prepared: Prepared,
        cases: Cases | None,
        protocol: Protocol,
        rng: np.random.RandomState,
    ) -> tuple[list[str], list[Any], WeightModel | None]:
        """Fit the members, and weigh them if there are cases that tell how."""
        table = prepared.whole
        schedule = Schedule(
            [name for name, _ in named],
            [member for _, member in named],
            prepared,
            cases,
            protocol.judged_by,
            cv=self.cv,
            max_time=self.max_time,
            n_jobs=self.n_jobs,
            verbose=self.verbose,
            random_state=rng,
            checkpoints=self._checkpoints,
        )
        said = schedule.answers()
        kept = sorted(i for group, _ in said for i in group)
        given = is_classifier(self), table.n_tasks, protocol.judged_by
        evidence = None if cases is None else gathered(table, cases, len(named), said)
        model = None
        if evidence is not None:
            evidence = evidence.of(kept)
            model = fit_weights(evidence, *given)
            if self.estimators is None:
                worth = model.of_interest(evidence)
                kept = [i for i, is_worth in zip(kept, worth, strict=True) if is_worth]
                evidence = evidence.of(np.flatnonzero(worth))
                model = fit_weights(evidence, *given)
        members = schedule.fit(kept)
        self._interrupted = schedule.interrupted
        if evidence is not None and len(members) < len(kept):
            here = [j for j, i in enumerate(kept) if i in members]
            model = fit_weights(evidence.of(here), *given)
        self.left_out_ = [n for i, (n, _) in enumerate(named) if i not in members]
        return [named[i][0] for i in members], list(members.values()), model

    def _specialise(self, table: Table) -> Blended:
        _check_squares(table)
        table = table._replace(X=self._prepared(table.X))
        model = WeightModel(**self._weight_model)
        bounds = None
        span = getattr(self, "_span", None)  # files of before have none
        if span is not None:
            bounds = TargetRange(**span).of_tasks(table)
        members, losses = [], []
        for member in self.estimators_.values():
            new, lost = adapt_and_judge(member, table, model.judged_by, bounds)
            members.append(new)
            losses.append(lost)
        weights = model.weights(table.shots, np.stack(losses, axis=1))
        if is_classifier(self) and not np.any(model.coefficients):
            weights = _of_two_classes(weights, members, table)
        return Blended(members, weights, by_task=True, bounds=bounds)

    def _why_no_weights(self, weight: NDArray[np.float64]) -> str:
        return (
            "a blend weighs its members by how they predict some of the rows from the "
            "others, and a row is among either whole"
        )

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
        frame = pd.DataFrame(
            blended.weights,
            columns=list(self.estimators_),
            index=None if index is None else pd.Index(index, name="task"),
        )
        reason = getattr(self, "_equal_because", None)  # files of before have none
        if reason is not None:
            frame.attrs["equal_because_of"] = reason
        return frame

    def _blend(
        self, X: Any, codes: IntArray, model: Blended, classes: NDArray[Any] | None
    ) -> NDArray[Any]:
        total: Any = 0.0
        X = self._prepared(X)
        asked = codes if model.by_task else None
        for m, member in enumerate(model.members):
            values = respond(member, X, asked, classes)
            weight = model.weights[codes, m].astype(values.dtype)
            if classes is not None:
                weight = weight[:, None]
            elif model.bounds is not None:
                low, high = model.bounds[codes].T.astype(values.dtype)
                values = np.clip(values, low, high)
            total = total + weight * values
        return total


def _of_two_classes(
    weights: NDArray[np.float64], members: list[Any], table: Table
) -> NDArray[np.float64]:
    """Weights of nothing known, less those of own models that have seen one class.

    Such a model is certain of that class. Where training tasks tell the weights, they
    tell this too.
    """
    own = [isinstance(inner_estimator(member), PerTask) for member in members]
    pairs = pd.DataFrame({"task": table.codes, "class": np.asarray(table.y)})
    n_seen = pairs.groupby("task")["class"].nunique()
    one = n_seen.reindex(range(table.n_tasks), fill_value=0).to_numpy() < 2
    if all(own) or not one.any():
        return weights
    weights = np.where(np.outer(one, own), 0.0, weights)
    return weights / weights.sum(axis=1, keepdims=True)


def _check_squares(table: Table) -> None:
    """Members are weighted by squared errors, which must not overflow."""
    if table.kind == TaskKind.REGRESSION:
        y = table.y.astype(np.float64, copy=False)
        check_targets(y, Scaling.identity(), np.float64)
