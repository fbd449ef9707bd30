"""Tasks, or rows, in two dimensions."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE

from sklmeta.evaluation.task_vectors import task_embedding
from sklmeta.inspection._drawing import Display, plain, style
from sklmeta.inspection._labels import write_labels

MOST_NAMED = 60
MOST_GROUPS = 11
"""With more groups than there are markers they are not told apart."""


class EmbeddingDisplay(Display):
    """Tasks, or rows, where a model puts them, in two dimensions.

    Parameters
    ----------
    points : ndarray of shape (n_points, 2)
        Positions.

    names : ndarray of shape (n_points,), default=None
        Names to write beside the points.

    groups : ndarray of shape (n_points,), default=None
        What colour and marker say.

    axis : str, default="component"
        Name of the axes.

    what : str, default="points"
        What a point is, for the title: "tasks", "rows".

    Attributes
    ----------
    ax_ : matplotlib Axes
        What was drawn on.

    figure_ : matplotlib Figure
        Its figure.

    See Also
    --------
    sklmeta.task_embedding : The vectors of tasks.

    Examples
    --------
    >>> from sklmeta import BayesianLinearRegressor
    >>> from sklmeta.datasets import make_sinusoids
    >>> from sklmeta.inspection import EmbeddingDisplay
    >>> X, y, task = make_sinusoids(30, random_state=0)
    >>> est = BayesianLinearRegressor(max_iter=50, random_state=0)
    >>> est = est.fit(X, y, task=task)
    >>> EmbeddingDisplay.from_estimator(est, X, y, task).points.shape
    (30, 2)
    """

    _size = (6, 5.5)

    def __init__(
        self,
        points: NDArray[Any],
        *,
        names: NDArray[Any] | None = None,
        groups: NDArray[Any] | None = None,
        axis: str = "component",
        what: str = "points",
    ):
        self.points = points
        self.names = names
        self.groups = groups
        self.axis = axis
        self.what = what

    @classmethod
    def from_estimator(
        cls,
        model: Any,
        X: Any,
        y: ArrayLike | None = None,
        task: ArrayLike | None = None,
        *,
        of: Literal["tasks", "rows"] = "tasks",
        method: Literal["pca", "tsne"] = "pca",
        groups: ArrayLike | None = None,
        random_state: int | None = 0,
        ax: Any = None,
    ) -> EmbeddingDisplay:
        """Embed tasks by `task_embedding`, or rows by the model's ``transform``.

        Parameters
        ----------
        model : estimator
            A fitted model; it is left alone.

        X : {array-like, data frame} of shape (n_samples, n_features)
            Rows.

        y : array-like of shape (n_samples,), default=None
            Their targets: needed for tasks; for rows they are the default groups.

        task : array-like of shape (n_samples,), default=None
            Task of every row, for tasks.

        of : {"tasks", "rows"}, default="tasks"
            What a point is.

        method : {"pca", "tsne"}, default="pca"
            Principal components, whose distances mean something throughout, or t-SNE,
            whose distances mean something nearby.

        groups : array-like of shape (n_tasks,) or (n_samples,), default=None
            What colour and marker say, for tasks in sorted order of their labels.

        random_state : int or None, default=0
            Seed of t-SNE.

        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.

        Returns
        -------
        EmbeddingDisplay

        Raises
        ------
        ValueError
            If `of` is neither of these, or what it needs is missing: the task of every
            row, or a `transform` of the model.
        """
        names = None
        if of == "tasks":
            if task is None:
                raise ValueError('of="tasks" needs the task of every row.')
            vectors = task_embedding(model, X, y, task)
            names, values = vectors.index.to_numpy(), vectors.to_numpy()
        elif of == "rows":
            if not hasattr(model, "transform"):
                raise ValueError(
                    f'of="rows" needs a model with `transform`, which '
                    f"{type(model).__name__} lacks; metric-based learners have one."
                )
            values = np.asarray(model.transform(X))
            groups = y if groups is None else groups
        else:
            raise ValueError(f'of must be "tasks" or "rows"; got {of!r}.')
        return cls.from_embedding(
            values,
            method=method,
            names=names,
            groups=groups,
            what=of,
            random_state=random_state,
            ax=ax,
        )

    @classmethod
    def from_embedding(
        cls,
        vectors: ArrayLike | pd.DataFrame,
        *,
        method: Literal["pca", "tsne"] = "pca",
        names: ArrayLike | None = None,
        groups: ArrayLike | None = None,
        what: str = "points",
        random_state: int | None = 0,
        ax: Any = None,
    ) -> EmbeddingDisplay:
        """Draw vectors that were made already.

        Parameters
        ----------
        vectors : array-like or data frame of shape (n_points, n_dimensions)
            One vector per point; a data frame's index names the points.

        method : {"pca", "tsne"}, default="pca"
            How they are brought to two dimensions, if they have more.

        names : array-like of shape (n_points,), default=None
            Names of the points.

        groups : array-like of shape (n_points,), default=None
            What colour and marker say.

        what : str, default="points"
            What a point is, for the title.

        random_state : int or None, default=0
            Seed of t-SNE.

        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.

        Returns
        -------
        EmbeddingDisplay

        Raises
        ------
        ValueError
            If there are fewer than two vectors, or `method` is neither of these.
        """
        if names is None and isinstance(vectors, pd.DataFrame):
            names = vectors.index.to_numpy()
        values = np.asarray(vectors, dtype=np.float64)
        if values.ndim != 2 or len(values) < 2:
            raise ValueError(
                f"There must be two vectors or more, one per row; got an array of "
                f"shape {values.shape}."
            )
        axis = "component"
        if method == "tsne":
            # The default of 30 neighbours needs more points than many have tasks.
            perplexity = min(30.0, (len(values) - 1) / 3)
            tsne = TSNE(perplexity=perplexity, random_state=random_state)
            points, axis = tsne.fit_transform(values), "t-SNE"
        elif method != "pca":
            raise ValueError(f'method must be "pca" or "tsne"; got {method!r}.')
        elif values.shape[1] > 2:
            pca = PCA(2, random_state=random_state).fit(values)
            points = pca.transform(values)
            axis = f"component ({pca.explained_variance_ratio_.sum():.0%} of variance)"
        else:
            points = np.column_stack([values, np.zeros(len(values))])[:, :2]
        display = cls(
            points,
            names=None if names is None else np.asarray(names),
            groups=None if groups is None else np.asarray(groups),
            axis=axis,
            what=what,
        )
        return display.plot(ax=ax)

    def _draw(self, ax: Any) -> None:
        groups = np.zeros(len(self.points)) if self.groups is None else self.groups
        labels = np.unique(groups)
        if len(labels) > MOST_GROUPS and groups.dtype.kind == "f":
            drawn = ax.scatter(*self.points.T, c=groups, cmap="viridis", s=24)
            ax.figure.colorbar(drawn, ax=ax)
        else:
            for i, label in enumerate(labels):
                look = style(i % MOST_GROUPS)
                chosen = self.points[groups == label]
                text = None if self.groups is None else plain(label)
                ax.scatter(
                    *chosen.T, color=look.color, marker=look.marker, s=24, label=text
                )
            if self.groups is not None and len(labels) <= MOST_GROUPS:
                ax.legend(frameon=False, fontsize="small")
        ax.set_title(f"{len(self.points):,} {self.what}")
        ax.set_xlabel(f"First {self.axis}")
        ax.set_ylabel("Second " + self.axis.split(" (")[0])
        ax.set_aspect("equal", adjustable="datalim")
        if self.names is not None and len(self.names) <= MOST_NAMED:
            write_labels(ax, self.points, [plain(name, 24) for name in self.names])
