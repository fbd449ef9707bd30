"""What `fit` and `adapt` leave on an estimator: records, read by name everywhere.

Pickled, or written by skops, they are dictionaries of arrays and plain values: a file
names no class that a later version might rename, and holds no live module.
"""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from sklmeta._version import __version__
from sklmeta.data.codes import IntArray, check_task
from sklmeta.data.frames import plain_rows, rows_of_plain
from sklmeta.data.kinds import TaskKind
from sklmeta.data.own_classes import SupportClasses, own_classes
from sklmeta.data.rows import LEAVE_ON_DISK
from sklmeta.data.scaling import Scaling
from sklmeta.data.stacking import stacked_rows
from sklmeta.data.table import Table
from sklmeta.data.weights import joined_weights
from sklmeta.exceptions import VersionMismatchWarning, warn
from sklmeta.learners.learner import Learner


class Fitted(NamedTuple):
    """What meta-training leaves: all that it takes to build the learner again."""

    weights: dict[str, NDArray]
    kind: TaskKind
    input_shape: tuple[int, ...]
    n_classes: int  # that tasks share; 0 otherwise
    dtype: str  # of adaptation and prediction
    x_scaling: Scaling
    y_scaling: Scaling
    seed: int = 0  # of the learner's first weights; early versions forgot it
    n_targets: int = 1  # of every row, in regression
    likelihood: str = "gaussian"

    @classmethod
    def restore(cls, plain: Mapping[str, Any]) -> Fitted:
        """Make the record of what `plain` made of it."""
        values = {**plain, "kind": TaskKind(plain["kind"])}
        for name in ("x_scaling", "y_scaling"):
            values[name] = Scaling(**plain[name])
        return cls(**values)


class SupportRows(NamedTuple):
    """The supports of a chunk's tasks, padded as in `sklmeta.learners.Rows`."""

    X: NDArray
    y: NDArray
    mask: NDArray
    n_classes: int


class Chunk(NamedTuple):
    """Tasks adapted together: their states or, where smaller, what they come from."""

    tasks: IntArray  # codes of the tasks
    ways: IntArray | None  # classes of each, if its own
    state: dict[str, NDArray] | None
    support: SupportRows | None  # to which prediction adapts again


class TaskModels(NamedTuple):
    """A learner adapted to each of many tasks."""

    chunks: list[Chunk]
    own: SupportClasses | None  # classes of each task, if its own

    @classmethod
    def restore(cls, plain: Mapping[str, Any]) -> TaskModels:
        """Make the record of what `plain` made of it."""
        chunks = []
        for chunk in plain["chunks"]:
            support = chunk["support"]
            if support is not None:
                support = SupportRows(**support)
            chunks.append(Chunk(**{**chunk, "support": support}))
        own = plain["own"]
        return cls(chunks, None if own is None else SupportClasses(**own))


class KeptRows(NamedTuple):
    """The rows of the one task that is adapted to, as validation left them."""

    X: Any
    y: NDArray
    kind: TaskKind
    classes: NDArray | None
    class_index: IntArray | None
    weight: NDArray | None

    @classmethod
    def of(cls, table: Table) -> KeptRows:
        """Keep what `followed_by` needs."""
        kept = cls(*(getattr(table, name) for name in cls._fields))
        if isinstance(kept.X, np.ndarray) and kept.X.nbytes < LEAVE_ON_DISK:
            # It may be the user's own array, which is free to change.
            kept = kept._replace(X=kept.X.copy())
        return kept._replace(y=kept.y.copy())

    def followed_by(self, more: Table) -> Table:
        """Put more rows of the task behind these."""
        n, n_more = len(self.y), len(more.y)
        table = more._replace(
            X=stacked_rows([self.X, more.X]),
            y=np.concatenate([self.y, more.y]),
            codes=np.zeros(n + n_more, dtype=np.intp),
            weight=joined_weights(self.weight, n, more.weight, n_more),
        )
        if self.kind == TaskKind.OWN:
            index, own = own_classes(table.y, table.codes, 1)
            return table._replace(classes=own.classes, class_index=index, own=own)
        if self.class_index is None or more.class_index is None:
            return table
        index = np.concatenate([self.class_index, more.class_index])
        return table._replace(class_index=index)

    def plain(self) -> dict[str, Any] | None:
        """Turn into arrays and plain values; None where rows cannot be."""
        X = plain_rows(self.X)
        return None if X is None else {**self._asdict(), "X": X, "kind": str(self.kind)}

    @classmethod
    def restore(cls, plain: Mapping[str, Any]) -> KeptRows:
        """Make the record of what `plain` made of it."""
        X, kind = rows_of_plain(plain["X"]), TaskKind(plain["kind"])
        return cls(**{**plain, "X": X, "kind": kind})


class Adaptation(NamedTuple):
    """What an estimator is adapted to, and what predicts for it."""

    model: Any  # a record of the estimator's own; None where a support must be seen
    labels: NDArray | None  # shape: (n_tasks,); None is one task without a label
    shots: IntArray  # shape: (n_tasks,); support rows, per class if classes are its own
    classes: NDArray | None  # the estimator's `classes_`; None for regression
    sizes: IntArray | None = None  # shape: (n_tasks,); rows; early versions forgot
    support: KeptRows | None = None  # of a single task, for `adapt_more`

    def codes_of(self, task: ArrayLike | None, n_samples: int) -> IntArray:
        """Find whose model each row wants.

        Raises
        ------
        ValueError
            If `task` is missing, not wanted, or has a label that `adapt` has not seen.
        """
        if self.labels is None:
            if task is not None:
                raise ValueError(
                    "predict was given task, but the estimator is not adapted to tasks "
                    "by their labels, which holds for tasks that fit has seen as well. "
                    "Call adapt(X, y, task=...) first (inside a Pipeline or a search, "
                    "sklmeta.adapted(model, X, y, task=...)), or drop task."
                )
            return np.zeros(n_samples, dtype=np.intp)
        if task is None:
            raise ValueError(
                f"The estimator is adapted to {len(self.labels)} tasks; predict needs "
                "task to tell whose model each row wants."
            )
        codes, asked = check_task(task, n_samples)
        known = pd.Index(self.labels).get_indexer(pd.Index(asked))
        if (known < 0).any():
            unknown = ", ".join(map(repr, asked[known < 0][:5].tolist()))
            raise ValueError(
                f"task has {(known < 0).sum()} label(s) that adapt has not seen: "
                f"{unknown}. Adapt to them first."
            )
        return known[codes]


def plain(value: Any) -> Any:
    """Turn records, also those within, into dictionaries."""
    if isinstance(value, KeptRows):
        return value.plain()
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return {name: plain(item) for name, item in value._asdict().items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return str(value) if isinstance(value, TaskKind) else value


class LearnerPool:
    """Built learners, each lent to one caller at a time.

    Calling a module with the weights of a task exchanges them inside the module for
    that long, so no two threads may share one; and building one costs as much as
    adapting it.
    """

    def __init__(self) -> None:
        self._idle: list[tuple[Any, Learner]] = []

    @contextmanager
    def lend(self, settings: Any, build: Callable[[], Learner]) -> Iterator[Learner]:
        """Lend a learner built with equal `settings`, or build one.

        One that an error interrupted is not lent again.
        """
        learner = None
        while learner is None and self._idle:
            try:
                known, candidate = self._idle.pop()
            except IndexError:  # another thread was faster
                break
            if _agree(known, settings):
                learner = candidate
        learner = build() if learner is None else learner.eval()
        yield learner
        self._idle.append((settings, learner))


def _agree(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether values are the same objects, or equal ones of a plain type."""
    easy = (str, int, float, tuple, dict, type(None))
    return one.keys() == other.keys() and all(
        value is other[name]
        or (
            (isinstance(value, easy) and type(value) is type(other[name]))
            and value == other[name]
        )
        for name, value in one.items()
    )


class RecordsMixin:
    """Reads and writes the records, and files of early versions."""

    _adaptation: Adaptation
    _initial_adaptation: Adaptation  # as `fit` left it
    _fitted: Fitted  # of meta-learners
    _learners: LearnerPool

    @classmethod
    def _restore(cls, model: Any) -> Any:
        """Make the estimator's own record of what a file holds of it."""
        return model

    def __getstate__(self) -> dict[str, Any]:
        # Records become dictionaries, so that a file names none of our classes but the
        # estimators'; built modules stay behind, and with them any device.
        state: Any = super().__getstate__()
        state = {name: plain(value) for name, value in state.items()}
        state.pop("_learners", None)
        if not isinstance(state.get("accelerator"), bool | None):
            state["accelerator"] = None  # its processes are not there elsewhere
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        new = upgraded(state)
        for name in ("_adaptation", "_initial_adaptation"):
            if name in new:
                model = new[name]["model"]
                model = None if model is None else self._restore(model)
                support = new[name].get("support")
                support = None if support is None else KeptRows.restore(support)
                changed = {"model": model, "support": support}
                new[name] = Adaptation(**{**new[name], **changed})
        if "_fitted" in new:
            if hasattr(type(self), "start"):  # early versions began from nothing
                new.setdefault("start", None)
            new["_fitted"] = Fitted.restore(new["_fitted"])
            new["_learners"] = LearnerPool()
        super().__setstate__(new)  # type: ignore[misc]
        # Baselines of early versions are silent about it; so is what is not fitted.
        silent = "(an early version)" if "_initial_adaptation" in new else __version__
        written = state.get("_sklmeta_version", silent)
        if written != __version__:
            warn(
                f"This {type(self).__name__} was written by sklmeta {written} and read "
                f"by {__version__}; predictions may differ.",
                VersionMismatchWarning,
            )


# Files of early versions ---------------------------------------------------------


def upgraded(state: Mapping[str, Any]) -> dict[str, Any]:
    """Return the attributes of an estimator pickled before there were records."""
    new = dict(state)
    if "_weights" in new:
        _upgrade_meta_learner(new)
    elif "_as_fitted" in new:
        _upgrade_baseline(new)
    return new


def _upgrade_meta_learner(new: dict[str, Any]) -> None:
    x_scaling, y_scaling = (
        dict(zip(Scaling._fields, pair, strict=False)) for pair in new.pop("_scalings")
    )
    new["_fitted"] = {
        "weights": new.pop("_weights"),
        "kind": new.pop("_kind"),
        "input_shape": tuple(new.pop("_input_shape")),
        "n_classes": new.pop("_n_classes"),
        "dtype": new.pop("_dtype"),
        "x_scaling": x_scaling,
        "y_scaling": y_scaling,
    }
    classes = {"_initial_adaptation": new.pop("_initial_classes")}
    for name in ("_adaptation", "_initial_adaptation"):
        known = classes.get(name, new.get("classes_"))
        new[name] = _upgrade_adaptation(new[name], known)


def _upgrade_adaptation(old: dict[str, Any], classes: NDArray | None) -> dict[str, Any]:
    if old["mode"] == "none":
        sizes, model, labels = np.zeros(1, dtype=np.intp), None, None
    else:
        own, sizes, labels = old["classes"], old["sizes"], old.get("labels")
        if own is not None:
            own = dict(zip(SupportClasses._fields, own, strict=True))
            sizes = sizes // own["ways"]
        either = {"state": None, "support": None}
        model = {"chunks": [{**either, **chunk} for chunk in old["chunks"]], "own": own}
    return {"model": model, "labels": labels, "shots": sizes, "classes": classes}


def _upgrade_baseline(new: dict[str, Any]) -> None:
    fit_classes, classes = new.pop("_fit_classes", None), new.get("classes_")
    first = {
        "model": new.pop("_as_fitted"),
        "labels": None,
        "shots": new.pop("_fit_sizes"),
        "classes": fit_classes,
    }
    adapted, labels = new.pop("_adapted"), new.pop("_adapted_tasks")
    shots = new.pop("_adapted_sizes", None)
    new["_initial_adaptation"] = new["_adaptation"] = first
    if adapted is not None:
        new["_adaptation"] = {
            "model": adapted,
            "labels": labels,
            "shots": shots,
            "classes": classes,
        }
