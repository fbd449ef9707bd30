"""What `compare_versions.py` records: estimators in all forms of data, and functions.

A key is ``form/dtype/state/what``, such as ``tasks/float64/bulk/proba``. Where
something raises, ``.../raises`` has the name of the exception, and ``.../warns`` has
those of the warnings.
"""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import sklearn
from recorded_instances import IMAGES, MAX_ITER, OPTIONS, OWN, SETTINGS, SMALL
from sklearn.base import BaseEstimator, clone, is_classifier
from sklearn.linear_model import Ridge

import sklmeta
from sklmeta import calibration, datasets, model_selection

TIMES = ["dur", "fit_time", "adapt_time", "fit_seconds", "adapt_milliseconds"]
"""Columns that no two runs agree on."""


# -- Data ---------------------------------------------------------------------


class Rows(NamedTuple):
    """Rows of many tasks."""

    X: Any
    y: Any
    task: Any

    def where(self, mask: Any) -> Rows:
        return Rows(*(column[mask] for column in self))


@dataclass(frozen=True)
class Form:
    """How data are given, and to which parameters."""

    name: str
    data: str = "flat"
    params: dict[str, Any] = field(default_factory=dict)
    dtype: str = "float64"
    is_thorough: bool = False

    @property
    def is_own(self) -> bool:
        return "shared_classes" in self.params

    def present(self, rows: Rows) -> Rows:
        """Give the rows the form's type."""
        X = rows.X.astype(self.dtype)
        if self.data == "images":
            return Rows(X.reshape(-1, 1, 2, 3), rows.y, rows.task)
        if self.data == "frame":
            frame = pd.DataFrame(X, columns=list("abcdef"))
            names = pd.Series([f"task {label}" for label in rows.task])
            return Rows(frame, pd.Series(rows.y), names)
        return Rows(X, rows.y, rows.task)


@cache
def make_rows(is_classes: bool, is_own: bool) -> dict[str, Rows]:
    """Make 26 ragged tasks, in random order: to fit, to calibrate, and new ones."""
    common: dict[str, Any] = {"n_features": 6, "random_state": 0}
    if is_own:
        common.update(n_rows=(15, 30), n_way=(2, 5), n_informative=3)
        rows = Rows(*datasets.make_classification_tasks(26, **common))
    elif is_classes:
        common.update(n_rows=(8, 18), n_way=3, n_informative=3, shared_labels=True)
        X, y, task = datasets.make_classification_tasks(26, **common)
        rows = Rows(X, np.array(["ill", "unsure", "well"])[y], task)
    else:
        rows = Rows(*datasets.make_linear_tasks(26, n_rows=(6, 16), **common))
    rows = rows.where(np.random.default_rng(0).permutation(len(rows.y)))
    frame = pd.DataFrame({"task": rows.task, "y": rows.y if is_own else 0})
    is_early = frame.groupby(["task", "y"]).cumcount() < (2 if is_own else 5)
    is_new = rows.task >= 20
    return {
        "fit": rows.where(rows.task < 12),
        "calibrate": rows.where((rows.task >= 12) & ~is_new),
        "new": rows.where(is_new),
        "support": rows.where(is_new & is_early.to_numpy()),
        "query": rows.where(is_new & ~is_early.to_numpy()),
    }


def forms_of(estimator: Any) -> Iterator[Form]:
    """Yield the forms that an estimator is tried in."""
    known = estimator.get_params(deep=False)
    for dtype in ("float64", "float32"):
        common: dict[str, Any] = {"dtype": dtype, "is_thorough": True}
        yield Form("tasks", **common)
        yield Form("one_table", "one_table", **common)
        if is_classifier(estimator):
            yield Form("own", params=OWN, **common)
            yield Form("own_one_table", "one_table", params=OWN, **common)
    yield Form("frame", "frame")
    yield Form("collection", "collection")
    if "module" in known:
        yield Form("images", "images", IMAGES)
        yield Form("settings", params=SETTINGS)
        if is_classifier(estimator):
            yield Form("own_images", "images", OWN | IMAGES)
            yield Form("own_settings", params=SETTINGS | OWN)
    for name, value in OPTIONS:
        if name in known and known[name] != value:
            yield Form(f"{name}={value}", params={name: value})
            if is_classifier(estimator):
                yield Form(f"own_{name}={value}", params={name: value, **OWN})


# -- Recording ----------------------------------------------------------------


class Record:
    """Arrays by key."""

    def __init__(self) -> None:
        self.arrays: dict[str, Any] = {}

    def note(self, key: str, function: Callable[[], Any]) -> Any:
        """Call a function and keep what it returns, raises or warns of."""
        value = None
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                value = function()
            except Exception as error:  # noqa: BLE001 it is what is recorded
                self.arrays[f"{key}/raises"] = np.array(type(error).__name__)
        if caught:
            names = sorted({warning.category.__name__ for warning in caught})
            self.arrays[f"{key}/warns"] = np.array(names)
        self.keep(key, value)
        return value

    def keep(self, key: str, value: Any) -> None:
        """Keep numbers and text, and those inside of containers."""
        if isinstance(value, list) and value and isinstance(value[0], dict):
            value = pd.DataFrame(value)  # a history
        if isinstance(value, pd.DataFrame):
            frame = value.drop(columns=TIMES, errors="ignore")
            numbers = frame.select_dtypes("number")
            text = frame.select_dtypes(exclude="number")
            value = (frame.index, frame.columns, numbers.to_numpy(), text.to_numpy())
        if isinstance(value, BaseEstimator):
            return  # a pipeline has a length
        if isinstance(value, tuple):
            for i, part in enumerate(value):
                self.keep(f"{key}/{i}", part)
            return
        array = np.asarray(value)
        if array.dtype.kind != "O" or array.ndim:  # else some object, or None
            is_text = array.dtype.kind in "OTU"
            self.arrays[key] = array.astype(str) if is_text else array


def record_form(record: Record, estimator: Any, form: Form) -> None:
    """Fit in one form, and note all that can be asked of the model."""
    model = clone(estimator)
    for part in (model, *model.get_params().values()):
        is_ours = type(part).__module__.startswith("sklmeta.")
        if is_ours and hasattr(part, "get_params"):
            known = part.get_params(deep=False)
            params = {"max_iter": MAX_ITER, **form.params}
            part.set_params(**{k: v for k, v in params.items() if k in known})
    split = make_rows(is_classifier(model), form.is_own)
    rows = {name: form.present(part) for name, part in split.items()}
    key = f"{form.name}/{form.dtype}"
    with sklearn.config_context(enable_metadata_routing=not hasattr(model, "adapt")):
        if record.note(f"{key}/fit", partial(fit, model, rows["fit"], form)) is None:
            return
        if form.params.get("warm_start"):
            record.note(f"{key}/refit", partial(fit, model, rows["fit"], form))
        for name in sorted(vars(model)):
            if name[-1] == "_" != name[0]:
                record.keep(f"{key}/fitted/{name}", getattr(model, name))
        note_states(record, key, model, rows, form.is_thorough)


def fit(model: Any, rows: Rows, form: Form) -> Any:
    """Fit in the form's way of giving tasks."""
    if form.data == "one_table":
        return model.fit(rows.X, rows.y)
    if form.data == "collection":
        tables = [rows.where(rows.task == label) for label in np.unique(rows.task)]
        return model.fit([(table.X, table.y) for table in tables])
    return model.fit(rows.X, rows.y, task=rows.task)


def adapt(model: Any, rows: Rows, **task: Any) -> Any:
    """Adapt in place; a copy, where the estimator is inside another."""
    if hasattr(model, "adapt"):
        return model.adapt(rows.X, rows.y, **task)
    return sklmeta.adapted(model, rows.X, rows.y, **task)


def note_states(
    record: Record, key: str, model: Any, rows: dict[str, Rows], is_thorough: bool
) -> None:
    """Note what a fitted model predicts, and what it does once adapted."""
    support, query, new = rows["support"], rows["query"], rows["new"]
    note_views(record, f"{key}/as_fitted", model, query.X)
    label = min(query.task)
    one = support.where(support.task == label)
    if is_thorough:
        first = one.where(np.arange(len(one.y)) < 1)
        model_one = record.note(f"{key}/one_row", partial(adapt, model, first))
        note_views(record, f"{key}/one_row", model_one or model, query.X)
    single = record.note(f"{key}/single", partial(adapt, model, one)) or model
    note_views(record, f"{key}/single", single, query.X)
    if is_thorough:
        rest = query.where(query.task == label)
        record.note(f"{key}/single/score", partial(single.score, rest.X, rest.y))
        note_errors(record, f"{key}/single", single, query)
    bulk = partial(adapt, model, support, task=support.task)
    bulk_model = record.note(f"{key}/bulk", bulk) or model
    note_views(record, f"{key}/bulk", bulk_model, query.X, task=query.task)
    score = partial(model.score, new.X, new.y, task=new.task, shots=3)
    record.note(f"{key}/score", score)
    if is_thorough:
        note_errors(record, f"{key}/bulk", bulk_model, query)
        embedding = partial(sklmeta.task_embedding, model, new.X, new.y, new.task)
        record.note(f"{key}/task_embedding", embedding)
        note_calibrated(record, f"{key}/calibrated", model, rows)


def note_views(record: Record, key: str, model: Any, X: Any, **task: Any) -> None:
    """Note all that a model says of rows."""
    views = {"predict": "predict", "proba": "predict_proba", "log": "predict_log_proba"}
    for name, method in views.items():
        if hasattr(model, method):
            record.note(f"{key}/{name}", partial(getattr(model, method), X, **task))
    if "return_std" in inspect.signature(model.predict).parameters:
        with_std = partial(model.predict, X, return_std=True, **task)
        record.note(f"{key}/with_std", with_std)
    if hasattr(model, "transform"):
        record.note(f"{key}/transform", partial(model.transform, X))
    if hasattr(type(model), "weights_"):
        record.note(f"{key}/weights", lambda: model.weights_)
    if hasattr(model, "n_guarded_"):
        record.keep(f"{key}/n_guarded", model.n_guarded_)


def note_errors(record: Record, key: str, model: Any, rows: Rows) -> None:
    """Note what is refused."""
    unknown = np.full(len(rows.y), -1)
    record.note(f"{key}/without_task", lambda: model.predict(rows.X))
    record.note(f"{key}/unknown_task", lambda: model.predict(rows.X, task=unknown))
    record.note(f"{key}/narrow", lambda: model.predict(rows.X[:, :2]))
    if hasattr(model, "adapt"):
        empty = rows.where(unknown > 0)
        strange = rows._replace(y=np.full(len(rows.y), "dead"))
        record.note(f"{key}/empty", lambda: adapt(model, empty))
        record.note(f"{key}/interval", lambda: model.predict_interval(rows.X))
        if not is_classifier(model) or model.shared_classes_:
            record.note(f"{key}/strange", lambda: adapt(model, strange))


def note_calibrated(
    record: Record, key: str, model: Any, rows: dict[str, Rows]
) -> None:
    """Note intervals, or probabilities, after calibration."""
    options: dict[str, Any] = {"shots": (2, 4), "n_draws": 1}
    call = partial(calibration.calibrated, model, *rows["calibrate"], **options)
    model = record.note(key, call)
    if model is None:
        return
    support, query = rows["support"], rows["query"]
    adapted = record.note(key, lambda: adapt(model, support, task=support.task))
    task = {"task": query.task}
    if is_classifier(model):
        record.note(f"{key}/proba", lambda: adapted.predict_proba(query.X, **task))
    else:
        interval = partial(calibration.predict_interval, adapted, query.X, 0.8, **task)
        record.note(f"{key}/interval", interval)


def record_functions(record: Record) -> None:
    """Note what the package's functions return."""
    for name in datasets.__all__:
        if name.startswith("make_"):
            maker = partial(getattr(datasets, name), 5, random_state=0)
            record.note(f"datasets/{name}", maker)
    X, y, task = rows = make_rows(False, False)["fit"]
    splitters = (
        model_selection.TaskKFold(3, shuffle=True, random_state=0),
        model_selection.TaskShuffleSplit(3, random_state=0),
        model_selection.LeaveOneTaskOut(),
    )
    for splitter in splitters:
        split = partial(splitter.split, X, y, task)
        record.note(f"split/{type(splitter).__name__}", lambda f=split: tuple(f()))
    linear = sklmeta.BayesianLinearRegressor(max_iter=MAX_ITER, **SMALL)
    options: dict[str, Any] = {"shots": [0, 3], "n_draws": 2, "cv": 3}
    validate = partial(model_selection.few_shot_cross_validate, linear, *rows)
    record.note("few_shot_cross_validate", partial(validate, **options))
    compare = partial(model_selection.compare, [linear, Ridge()], *rows, **options)
    result = record.note("compare", compare)
    record.note("compare/draws", lambda: result.draws)
    record.note("compare/verdict", lambda: str(result.verdict()))
    record.note("compare/table", lambda: result.table(3))
    calibrated = partial(calibration.cross_calibrated, linear, *rows, **options)
    model = record.note("cross_calibrated", calibrated)
    new = make_rows(False, False)["new"]
    intervals = partial(calibration.few_shot_intervals, model, *new, shots=[0, 3])
    record.note("few_shot_intervals", partial(intervals, coverage=0.8))
