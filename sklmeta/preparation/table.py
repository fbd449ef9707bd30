"""One preparation of raw tables, for Python and for the command line."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import warnings
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.preprocessing import OneHotEncoder
from sklearn.utils.validation import check_is_fitted

from sklmeta.data.scaling import Scaling
from sklmeta.preparation._columns import (
    DATES,
    NUMBERS,
    as_frame,
    dates_of,
    kind_of_column,
    numbers_of,
    pick,
    words_of,
)


class Part(NamedTuple):
    """Numbers that a column becomes, or some of them."""

    column: str
    label: str
    values: NDArray[np.float64]


class TablePreparation(TransformerMixin, BaseEstimator):
    """Turn a raw table into numbers: dates, categories, text, gaps.

    Every column is read as it was in `fit`, whatever type it has later.

    =====================  =====================================================
    a column of            becomes
    =====================  =====================================================
    numbers, true/false    itself, standardised; the mean where it is missing, and
                           a column that says where, if `fit` saw gaps
    dates, also as text    year, month, day, hour and weekday, and days since the
                           first date of `fit`
    few different words    an indicator of each, and one of "missing"
    more words, or text    `n_components` numbers: what parts of words it has
                           (TF-IDF of three and four letters, by its main directions)
    =====================  =====================================================

    Columns that are empty in `fit`, and results that never change in it, are left out:
    no weight for them could be learnt. Words that `fit` has not seen are none of those
    it knows.

    Parameters
    ----------
    cardinality_threshold : int, default=50
        Columns of words with at least so many different ones are text.

    n_components : int, default=10
        Numbers that a column of text becomes, at most.

    Attributes
    ----------
    n_features_in_ : int
        Columns of `X` in `fit`.

    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Their names, as text.

    kinds_ : dict of str to str
        What each column was read as: "numbers", "dates", "words" or "text".

    left_out_ : list of str
        Columns that were empty.

    See Also
    --------
    sklmeta.preparation.needs_preparation : Which tables want it.

    Notes
    -----
    Needs skrub where a column is not numbers: ``pip install 'sklmeta[table]'``. Dates,
    categories and text are its `TableVectorizer`'s. Numbers pass it by, as it would
    round them to float32 before they are standardised.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklmeta import MixedModelRegressor
    >>> from sklmeta.datasets import load_store_sales
    >>> from sklmeta.preparation import TablePreparation
    >>> X, y, task = load_store_sales(return_X_y_task=True)
    >>> preparation = TablePreparation().fit(X)
    >>> preparation.transform(X).shape
    (933, 10)
    >>> preparation.kinds_["week"], preparation.kinds_["promotion"]
    ('dates', 'words')
    >>> pipe = make_pipeline(preparation, MixedModelRegressor())
    >>> pipe = pipe.fit(X, y, mixedmodelregressor__task=task)
    """

    def __init__(self, *, cardinality_threshold: int = 50, n_components: int = 10):
        self.cardinality_threshold = cardinality_threshold
        self.n_components = n_components

    def fit(self, X: Any, y: ArrayLike | None = None) -> TablePreparation:
        """Learn what the columns hold.

        Parameters
        ----------
        X : data frame of shape (n_samples, n_features)
            Of pandas or polars; an array of numbers or objects will do.

        y : array-like, default=None
            Ignored.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If a parameter is no whole number from 1 on, or X holds nothing.
        """
        for name in ("cardinality_threshold", "n_components"):
            value = getattr(self, name)
            if not isinstance(value, int | np.integer) or value < 1:
                raise ValueError(f"{name} is a whole number from 1 on; got {value!r}.")
        frame = as_frame(X)
        if not len(frame):
            raise ValueError("X has no rows to learn a preparation from.")
        self.feature_names_in_ = np.array(frame.columns, dtype=object)
        self.n_features_in_ = len(frame.columns)
        kinds = {str(name): kind_of_column(frame[name]) for name in frame}
        empty = frame.isna().all()
        self.left_out_ = [name for name in kinds if empty[name]]
        self.kinds_ = {n: k for n, k in kinds.items() if n not in self.left_out_}
        if not self.kinds_:
            raise ValueError("X has no column with a value in it.")
        self._fit_skrub(frame)
        self._learn(self._read(frame))
        return self

    def _fit_skrub(self, frame: pd.DataFrame) -> None:
        """Keep skrub's fitted steps of each column that is not numbers, in order."""
        self._steps: dict[str, list[Any]] = {}
        others = [name for name, kind in self.kinds_.items() if kind != NUMBERS]
        if not others:
            return
        vectorizer = _vectorizer(self.cardinality_threshold, self.n_components)
        given = pd.DataFrame({name: _for_skrub(frame[name]) for name in others})
        with warnings.catch_warnings():
            # Texts with fewer parts of words than components give fewer numbers.
            warnings.filterwarnings("ignore", "The matrix shape is")
            warnings.filterwarnings("ignore", "Could not infer format")
            vectorizer.fit(given)
        self.left_out_ += [n for n in others if n not in vectorizer.column_to_kind_]
        for name, kind in vectorizer.column_to_kind_.items():
            steps = vectorizer.all_processing_steps_[name]
            # What stays are single transformers of columns, in a dict: no selectors,
            # and no functions, which a file of a model could call.
            self._steps[name] = [step for step in steps if hasattr(step, "transform")]
            for step in self._steps[name]:
                if hasattr(step, "output_dtype_"):  # a zone of time is no plain value
                    step.output_dtype_ = str(step.output_dtype_)
            if kind == "datetime":
                self.kinds_[name] = DATES
            elif kind == "high_cardinality":
                self.kinds_[name] = "text"
        self.kinds_ = {n: k for n, k in self.kinds_.items() if n not in self.left_out_}

    def transform(self, X: Any) -> NDArray[np.float64]:
        """Turn rows into numbers.

        Parameters
        ----------
        X : data frame of shape (n_samples, n_features)
            With the columns of `fit`, in any order; further ones are ignored.

        Returns
        -------
        Z : ndarray of shape (n_samples, n_features_out)

        Raises
        ------
        ValueError
            If a column is missing, or is no longer what it was.
        """
        check_is_fitted(self)
        frame = as_frame(X)
        if not isinstance(X, pd.DataFrame) and not hasattr(X, "columns"):
            if frame.shape[1] != self.n_features_in_:
                raise ValueError(
                    f"X has {frame.shape[1]} features, but TablePreparation is "
                    f"expecting {self.n_features_in_} features as input."
                )
            frame = frame.set_axis(list(self.feature_names_in_), axis=1)
        frame = pick(frame, list(self.kinds_))
        return self._scaled(self._read(frame))[1][:, self._kept]

    def _read(self, frame: pd.DataFrame) -> list[Part]:
        """Return the numbers that the columns become."""
        found = []
        for name, kind in self.kinds_.items():
            column = frame[name].reset_index(drop=True)
            if kind == NUMBERS:
                parts = {name: numbers_of(column)}
            else:
                read = dates_of if kind == DATES else words_of
                parts = _apply(read(column), self._steps[name])
            found += [Part(name, label, values) for label, values in parts.items()]
        return found

    def _learn(self, found: list[Part]) -> None:
        """Learn means, scales, which columns have gaps, and which results change."""
        self._scalings: list[tuple[float, float] | None] = []
        self._gaps: list[str] = []
        for name, _, values in found:
            known = ~np.isnan(values)
            scaling = None
            if self.kinds_[name] in (NUMBERS, DATES):
                learned = Scaling.of(values[known])
                scaling = float(learned.mean), float(learned.scale)  # type: ignore[arg-type]
                if not known.all() and name not in self._gaps:
                    self._gaps.append(name)
            self._scalings.append(scaling)
        names, Z = self._scaled(found)
        changes = (Z != Z[:1]).any(axis=0)
        # With nothing that changes a model can still learn a mean.
        self._kept = changes if changes.any() else np.ones(len(names), dtype=bool)
        self._names = [n for n, keep in zip(names, self._kept, strict=True) if keep]

    def _scaled(self, found: list[Part]) -> tuple[list[str], NDArray[np.float64]]:
        names, columns = [], []
        gaps: dict[str, NDArray[np.float64]] = {}
        for (name, label, values), scaling in zip(found, self._scalings, strict=True):
            known = ~np.isnan(values)
            z = np.zeros(len(values))  # a gap is the mean, or has no parts of words
            z[known] = values[known]
            if scaling is not None:
                scaled = np.empty(known.sum())
                mean, scale = map(np.asarray, scaling)
                used = Scaling(mean, scale, cuts=False)
                used.apply(values[known], out=scaled)
                z[known] = scaled
            if name in self._gaps:
                gaps[name] = (~known).astype(np.float64)
            names.append(label)
            columns.append(z)
        names += [f"{name}_is_missing" for name in gaps]
        return names, np.column_stack([*columns, *gaps.values()])

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[Any]:
        """Return the names of the results.

        Parameters
        ----------
        input_features : array-like of str, default=None
            Ignored.

        Returns
        -------
        names : ndarray of str
        """
        check_is_fitted(self)
        return np.array(self._names, dtype=object)

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "_names")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.string = True
        tags.input_tags.categorical = True
        return tags


def _for_skrub(column: pd.Series) -> pd.Series:
    """Text that is no date goes as categories: skrub takes "none" to be missing."""
    from skrub import ToDatetime

    if kind_of_column(column) == DATES:
        return dates_of(column)
    if not isinstance(column.dtype, pd.CategoricalDtype):
        plain = column.astype(object).where(column.notna(), None)
        try:
            return ToDatetime().fit_transform(plain)
        except ValueError:  # skrub's RejectColumn
            pass
    return words_of(column)


def _apply(column: pd.Series, steps: list[Any]) -> dict[str, NDArray[np.float64]]:
    value: Any = column
    for step in steps:
        if isinstance(step, OneHotEncoder):
            labels = step.get_feature_names_out([str(column.name)])
            numbers = step.transform(value.to_frame())
            return dict(zip(labels, np.asarray(numbers, np.float64).T, strict=True))
        value = step.transform(value)
    return {str(n): value[n].to_numpy(np.float64, na_value=np.nan) for n in value}


def _vectorizer(cardinality_threshold: int, n_components: int) -> Any:
    try:
        from skrub import StringEncoder, TableVectorizer

        from sklmeta.preparation._calendar import CalendarEncoder
    except ImportError as error:
        raise ImportError(
            "X has columns that are not numbers, and preparing them needs skrub: pip "
            "install 'sklmeta[table]'."
        ) from error
    return TableVectorizer(
        cardinality_threshold=cardinality_threshold,
        datetime=CalendarEncoder(),
        # Both halves of a binary category stay, so that an unknown one is neither.
        low_cardinality=OneHotEncoder(handle_unknown="ignore", sparse_output=False),
        high_cardinality=StringEncoder(n_components=n_components, random_state=0),
    )
