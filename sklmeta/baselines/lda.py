"""Linear discriminants of the training classes, for classes yet to be seen."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax
from sklearn.utils import ClassifierTags

from sklmeta._compat import StrOptions
from sklmeta.baselines._base import BaselineEstimator
from sklmeta.data.codes import IntArray
from sklmeta.data.kinds import TaskKind
from sklmeta.data.scaling import Scaling
from sklmeta.data.table import Table
from sklmeta.mixed_models.discriminants import (
    Cells,
    Parts,
    Space,
    cells_of,
    find_space,
    of_equal_length,
)
from sklmeta.mixed_models.held_out_classes import choose, scaled_rows


class LDABaseline(BaselineEstimator):
    """Linear discriminant analysis whose classes are new: learned covariances.

    `fit` estimates from the training tasks how rows scatter about the mean of their
    class and how the means of classes scatter, both shrunk as Ledoit and Wolf do.
    `adapt` takes the mean of each class's support rows, drawn towards what it was
    expected to be, and `predict` gives a row to the class under which it is likeliest.
    All of it is in closed form, for all tasks at once.

    Parameters
    ----------
    standardize : bool or "auto", default="auto"
        Whether every feature has a scale of its own. False keeps the features' scales
        relative to one another, which mean something in principal components or pixels:
        where little is known, features that vary little then count little. "auto"
        takes what predicts held-out training tasks better.

    normalize : bool or "auto", default="auto"
        Whether rows are brought to equal length, in the space in which they are
        compared: only their direction from the centre counts then. That suits text, in
        which length says how much was written. "auto" takes what predicts held-out
        training tasks better.

    shared_classes : bool, default=True
        Whether all tasks speak of the same classes. Then the mean of a class of a task
        is expected where that of its training rows is, and stays there without support
        rows. Else a task has the classes of its support alone, their means are expected
        at the centre of all, and `predict` needs `adapt` first.

    Attributes
    ----------
    tasks_ : ndarray of shape (n_tasks,)
        Labels of the tasks that `fit` saw.

    classes_ : ndarray of shape (n_classes,)
        Classes that `fit` saw; with classes of a task's own, those of the tasks adapted
        to.

    shared_classes_ : bool
        What was used.

    standardize_, normalize_ : bool
        What was used.

    scalings_ : ndarray of shape (n_features, n_coordinates)
        Maps rows to coordinates in which a class has variance 1 in every direction.

    between_ : ndarray of shape (n_coordinates,)
        Variances of the means of classes in these coordinates, about what is expected
        of them: how much each tells of the class.

    temperature_ : float
        By which log likelihoods are divided, as features are seldom normal: what makes
        the probabilities of held-out training tasks the best.

    n_features_in_ : int

    See Also
    --------
    NearestCentroidBaseline : Without covariances: features count alike.
    ProtoNetClassifier : Learns a network instead of a linear map.

    Notes
    -----
    With W the covariance within classes, B that of their means and k support rows of
    mean x, the mean of the class is normal with mean ``m + G (x - m)``, where ``G = B
    (B + W / k)^-1`` and m is what was expected, and covariance ``B - G B``; a new row
    adds W. This is probabilistic linear discriminant analysis [1]_, a mixed model with
    classes as groups. If rows are brought to equal length, both covariances are
    estimated anew as multiples of the identity [2]_.

    What "auto" chooses, and the temperature, come from three folds: whole tasks where
    there are four or more, else classes; up to ten of them are told apart from one and
    from five rows each. With one table of shared classes there is nothing to hold out,
    and features are standardised, rows not normalised.

    Past 1,000 features, pixels of images for instance, their leading 1,000 principal
    components stand for them.

    References
    ----------
    .. [1] Ioffe, "Probabilistic Linear Discriminant Analysis", ECCV 2006.
    .. [2] Garcia-Romero and Espy-Wilson, "Analysis of i-vector Length Normalization in
       Speaker Recognition Systems", Interspeech 2011.

    Examples
    --------
    >>> from sklmeta import LDABaseline
    >>> from sklmeta.datasets import make_classification_tasks
    >>> X, y, task = make_classification_tasks(40, random_state=0)
    >>> old = task < 39
    >>> model = LDABaseline(shared_classes=False).fit(X[old], y[old], task=task[old])
    >>> model = model.adapt(X[~old][:25], y[~old][:25])
    >>> model.predict(X[~old][25:]).shape
    (25,)
    """

    _parameter_constraints = {
        "standardize": ["boolean", StrOptions({"auto"})],
        "normalize": ["boolean", StrOptions({"auto"})],
        "shared_classes": ["boolean"],
    }

    def __init__(
        self,
        *,
        standardize: bool | Literal["auto"] = "auto",
        normalize: bool | Literal["auto"] = "auto",
        shared_classes: bool = True,
    ):
        self.standardize = standardize
        self.normalize = normalize
        self.shared_classes = shared_classes

    def _learn(self, table: Table) -> Cells | None:
        shared = table.kind == TaskKind.SHARED
        n_classes = len(self.classes_)
        index = np.searchsorted(self.classes_, table.y)
        labels, cell = np.unique(table.codes * n_classes + index, return_inverse=True)
        prior_of = labels % n_classes if shared else np.zeros_like(labels)
        self._log_prior = np.zeros(1)
        if shared:
            self._log_prior = np.log(np.bincount(index) / len(index))
        parts = Parts(cell, labels // n_classes, prior_of)
        choice = choose(
            table.X, parts, self._log_prior, self.standardize, self.normalize
        )
        self.standardize_, self.normalize_, self.temperature_ = choice
        scaling = Scaling.of(table.X, common=not self.standardize_)
        self._scaling: tuple[Any, ...] = tuple(scaling)
        Z = self._scaled(table.X)
        space = find_space(Z, parts, standardize=self.standardize_)
        self.scalings_ = space.directions / np.ravel(scaling.unit)[:, None]
        self.between_ = space.between
        if self.normalize_:
            space = of_equal_length(space, Z, parts)
        self._space: tuple[Any, ...] = tuple(space)
        known = slice(0 if shared else None)
        if not (shared or table.one_table):
            return None
        Z = space.coordinates(Z[known])
        return cells_of(
            space, Z, np.zeros_like(index[known]), index[known], 1, n_classes
        )

    def _specialise(self, table: Table) -> Cells:
        assert table.classes is not None
        space, Z = Space(*self._space), self._scaled(table.X)
        index = np.searchsorted(table.classes, table.y)
        n_classes = len(table.classes)
        Z = space.coordinates(Z)
        given = table.codes, index, table.n_tasks, n_classes
        return cells_of(space, Z, *given, weight=table.weight)

    def _why_no_weights(self, weight: NDArray[np.float64]) -> str:
        return ""

    def _predict(self, X: NDArray, codes: IntArray, model: Cells) -> NDArray[Any]:
        likeliest = self._logits(X, codes, model).argmax(axis=1)
        return self.classes_[model.classes[model.first[codes] + likeliest]]

    def _probabilities(
        self, X: NDArray, codes: IntArray, model: Cells
    ) -> NDArray[np.float64]:
        logits = self._logits(X, codes, model)
        values = softmax(logits, axis=1)
        row, local = np.nonzero(logits > -np.inf)
        spread = np.zeros((len(X), len(self.classes_)))
        spread[row, model.classes[model.first[codes[row]] + local]] = values[row, local]
        return spread

    @classmethod
    def _restore(cls, model: Any) -> Cells:
        return Cells(**model)

    def _logits(self, X: NDArray, codes: IntArray, model: Cells) -> NDArray[np.float64]:
        space = Space(*self._space)
        Z = space.coordinates(self._scaled(X))
        logits = space.log_likelihood(Z, codes, model) / self.temperature_
        return logits + self._log_prior

    def _scaled(self, X: NDArray) -> NDArray[np.float64]:  # shape: (n_rows, n_features)
        return scaled_rows(X, Scaling(*self._scaling))

    def _options(self, X: Any) -> dict[str, Any]:
        return {**super()._options(X), "allow_nd": True}

    def __sklearn_tags__(self) -> Any:
        # Not from ClassifierMixin, whose score knows of no task.
        tags = super().__sklearn_tags__()
        tags.estimator_type = "classifier"
        tags.classifier_tags = ClassifierTags()
        return tags
