"""Siamese networks: one encoder for both rows of a pair, trained to tell same from
different; a row is classified by the remembered rows that it is close to.
"""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import math
import numbers

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sklmeta._compat import Interval, StrOptions
from sklmeta.data.kinds import TaskKind
from sklmeta.episodes.rows import Episodes, Rows, empty_some_supports
from sklmeta.estimator.faces import MetaClassifierMixin
from sklmeta.estimator.meta import BaseMetaEstimator
from sklmeta.learners.learner import ACTIVATION_BYTES, Learner, State, TaskSpec
from sklmeta.learners.losses import row_loss
from sklmeta.metric_based._embedding import EmbeddingLearner, EmbeddingMixin
from sklmeta.metric_based._pairs import (
    class_maxima,
    class_means,
    pair_cross_entropy,
    pair_weights,
    votes,
)
from sklmeta.metric_based._task_pairs import TaskPairsMixin
from sklmeta.metric_based._verification import VerificationMixin

LOSSES = ("contrastive", "cross_entropy")
RULES = ("nearest", "k_nearest", "mean")

PAIRS_PER_BLOCK = 2**24
"""Distances that prediction computes together."""


class SiameseLearner(EmbeddingLearner):
    """Distances in a learned embedding, trained by pairs of rows.

    Each query row of an episode is paired with every support row and every other query
    row. With D the distance, the loss of a pair is

    - "contrastive": ``D**2`` for rows of one class and ``max(0, margin - D)**2`` for
      others (Hadsell et al. 2006), D being Euclidean between embedded rows of norm 1;
    - "cross_entropy": the cross-entropy of ``sigmoid(b - D)`` with
      ``D = sum_j alpha_j |f_j(x1) - f_j(x2)|`` (Koch et al. 2015). The weights are
      ``alpha_j >= 0`` here, so that D is a distance.

    Pairs of one class and of two have half of the weight each, however many there are.

    The log-odds that two rows are of one class are ``b - a D**2`` for "contrastive", of
    which a and b are learned beside the encoder, and ``b - D`` for "cross_entropy". The
    logit of a class is what `predict_by` makes of the log-odds to its remembered rows,
    times a learned inverse temperature; one would be Bayes' rule for independent pairs.

    With shared classes every task remembers one learned row of each class as well;
    its log-odds have a learned constant. So a class absent from the support can be
    predicted, and there is a prediction for a task of which nothing is known.

    The gradient of the embedding comes from the loss of the pairs alone.

    Parameters
    ----------
    spec, encoder
        As in `EmbeddingLearner`.

    loss, margin, predict_by, n_neighbors
        As in `SiameseClassifier`.

    Raises
    ------
    ValueError
        If a parameter is unknown, or if the tasks are regression tasks.
    """

    def __init__(
        self,
        spec: TaskSpec,
        encoder: nn.Module,
        *,
        loss: str = "cross_entropy",
        margin: float = 1.0,
        predict_by: str = "nearest",
        n_neighbors: int = 5,
    ):
        super().__init__(spec, encoder)
        if loss not in LOSSES:
            raise ValueError(f"loss must be one of {LOSSES}, got {loss!r}.")
        if predict_by not in RULES:
            raise ValueError(f"predict_by must be one of {RULES}, got {predict_by!r}.")
        self.loss = loss
        self.margin = margin
        self.predict_by, self.takes_weights = predict_by, predict_by != "nearest"
        self.why_no_weights = "a row twice is no nearer; take predict_by='mean'"
        self.n_neighbors = n_neighbors
        width = spec.n_features_out
        self.offset = nn.Parameter(torch.tensor(1.0))  # b
        if loss == "contrastive":
            # Log-odds of 1 where rows coincide, and of -3 at the margin.
            self.log_slope = nn.Parameter(torch.tensor(2 * math.log(2 / margin)))
        else:
            self.log_weight = nn.Parameter(torch.full((width,), -math.log(width)))
        self.log_temperature = nn.Parameter(torch.tensor(0.0))
        if spec.kind == TaskKind.SHARED:
            self.class_rows = nn.Parameter(torch.zeros(spec.n_classes, width))
            self.class_offset = nn.Parameter(torch.zeros(spec.n_classes))

    def embed(
        self,
        X: Tensor,  # shape: (n_tasks, n_rows, *input)
    ) -> Tensor:  # shape: (n_tasks, n_rows, d)
        """Map rows into the space in which the distance is Euclidean, or Manhattan."""
        features = self.encode(X)
        if self.loss == "contrastive":
            return F.normalize(features, dim=-1)
        return features * self.log_weight.exp()

    def distance(
        self,
        first: Tensor,  # shape: (n_tasks, n_first, d)
        second: Tensor,  # shape: (n_tasks, n_second, d)
    ) -> Tensor:  # shape: (n_tasks, n_first, n_second)
        if self.loss == "cross_entropy":
            return torch.cdist(first, second, p=1)
        # In training the small distances need not be exact to the last digits; in
        # prediction they must not depend on how many rows there are.
        mode = ("" if self.training else "donot_") + "use_mm_for_euclid_dist"
        return torch.cdist(first, second, compute_mode=mode)

    def paired_distance(
        self,
        first: Tensor,  # shape: (n_pairs, d)
        second: Tensor,  # shape: (n_pairs, d)
    ) -> Tensor:  # shape: (n_pairs,)
        order = 1 if self.loss == "cross_entropy" else 2
        return torch.linalg.vector_norm(first - second, ord=order, dim=-1)

    def log_odds(self, distance: Tensor, offset: Tensor) -> Tensor:
        """Log-odds that two rows at this distance are of one class."""
        if self.loss == "cross_entropy":
            return offset - distance
        return offset - self.log_slope.exp() * distance.square()

    def adapt(self, support: Rows) -> State:
        """Remember the embedded rows.

        Returns
        -------
        state : dict
            ``embedded`` (n_tasks, n_rows, d); ``y`` (n_tasks, n_rows), the class, or -1
            for padding; ``weight`` (n_tasks, n_rows); ``counts`` (n_tasks, n_classes).
        """
        return self._remember(self.embed(support.X), support)

    def _remember(self, embedded: Tensor, support: Rows) -> State:
        real = support.mask > 0
        counts = support.mask.new_zeros(len(support.y), support.n_classes)
        return {
            "embedded": embedded,
            "y": torch.where(real, support.y, -1),
            "weight": support.mask,
            "counts": counts.scatter_add(1, support.y, support.mask),
        }

    def predict(
        self,
        state: State,
        X: Tensor,  # shape: (n_tasks, n_rows, *input)
    ) -> Tensor:  # shape: (n_tasks, n_rows, n_classes)
        """Return the logits of the classes."""
        embedded = self.embed(X)
        n_remembered = max(1, state["y"].numel())
        block = max(1, PAIRS_PER_BLOCK // n_remembered)
        parts = [
            self._class_logits(state, rows, self.distance(rows, state["embedded"]))
            for rows in embedded.split(block, dim=1)
        ]
        return torch.cat(parts, dim=1)

    def for_training(self, episodes: Episodes) -> Episodes:
        """Empty some supports, unless classes are a task's own."""
        return (
            episodes
            if self.spec.kind == TaskKind.OWN
            else empty_some_supports(episodes)
        )

    def auto_chunk_size(self, episodes: Episodes) -> int:
        """See the base class; beside, the pairs of a chunk are bounded."""
        size = super().auto_chunk_size(episodes)
        support, query = episodes
        if query.X.device.type != "cpu":
            return size
        n_pairs = query.X.shape[1] * (support.X.shape[1] + query.X.shape[1])
        return max(1, min(size, ACTIVATION_BYTES // (n_pairs * query.X.element_size())))

    def meta_loss(self, episodes: Episodes) -> Tensor:  # shape: (n_tasks,)
        """Loss of the pairs, and of what turns distances into probabilities."""
        support, query = episodes
        n_support = support.X.shape[1]
        embedded = self.of_both(episodes, self.embed)
        distance = self.distance(embedded[:, n_support:], embedded)
        same = query.y[:, :, None] == torch.cat([support.y, query.y], 1)[:, None]
        weight = pair_weights(same, support.mask, query.mask)
        remembered = distance.detach()
        if self.loss == "contrastive":
            apart = F.relu(self.margin - distance)
            losses = torch.where(same, distance, apart).square()
            odds = self.log_odds(remembered, self.offset)
            losses = losses + pair_cross_entropy(odds, same)
        else:
            odds = self.log_odds(distance, self.offset)
            losses = pair_cross_entropy(odds, same)
        rows = embedded.detach()
        state = self._remember(rows[:, :n_support], support)
        logits = self._class_logits(
            state, rows[:, n_support:], remembered[:, :, :n_support]
        )
        return (losses * weight).sum((1, 2)) + row_loss(logits, query)

    def _class_logits(
        self,
        state: State,
        embedded: Tensor,  # shape: (n_tasks, n_rows, d)
        distance: Tensor,  # shape: (n_tasks, n_rows, n_remembered)
    ) -> Tensor:  # shape: (n_tasks, n_rows, n_classes)
        y, counts = state["y"], state["counts"][:, None]  # (n_tasks, 1, n_classes)
        weight = state.get("weight", (y >= 0).to(embedded))[:, None]
        with torch.no_grad():
            odds = self.log_odds(distance, self.offset)
            odds = odds.masked_fill((y < 0)[:, None], -torch.inf)
        y = y.clamp(min=0)[:, None].expand_as(odds)
        learned = None
        if self.spec.kind == TaskKind.SHARED:
            to_class = self.distance(embedded, self.class_rows[None])
            learned = self.log_odds(to_class, self.class_offset)
            counts = counts + 1
        pool = class_means if self.predict_by == "mean" else class_maxima
        pooled = pool(odds, y, weight, counts, learned)
        absent = counts == 0
        logits = pooled.masked_fill(absent, 0.0) * self.log_temperature.exp()
        logits = logits.masked_fill(absent, -torch.inf)
        if self.predict_by == "k_nearest":
            won = votes(odds, y, weight, learned, self.n_neighbors, logits)
            # One more vote, shared out by the nearest row of each class: it breaks ties
            # and leaves no class without probability.
            total = won + logits.softmax(-1)
            tiny = torch.finfo(total.dtype).tiny
            logits = total.clamp(min=tiny).log().masked_fill(absent, -torch.inf)
        return logits


class SiameseClassifier(
    EmbeddingMixin,
    VerificationMixin,
    TaskPairsMixin,
    MetaClassifierMixin,
    BaseMetaEstimator,
):
    """Siamese network: a learned distance that tells same from different.

    It is trained on pairs of rows, of one table or of many. Adaptation remembers the
    support, and a row is given the class of the remembered rows that it is close to.
    Without any adaptation `predict_pairs` tells whether two rows are of one class.

    Parameters
    ----------
    loss : {"contrastive", "cross_entropy"}, default="cross_entropy"
        Loss of a pair at distance D. "contrastive": ``D**2`` for rows of one class and
        ``max(0, margin - D)**2`` for others, with D Euclidean between embedded rows of
        norm 1. "cross_entropy": that of the probability ``sigmoid(b - D)``, with D the
        weighted sum of the absolute differences.

    margin : float, default=1.0
        Distance beyond which rows of two classes no longer push each other away, with
        ``loss="contrastive"``. Embedded rows have norm 1: none are further apart than
        2, and after an activation that is never negative, as by default, than 1.41.

    predict_by : {"nearest", "k_nearest", "mean"}, default="nearest"
        How the remembered rows of a class speak for it: by the one nearest; by the
        number of them among the `n_neighbors` nearest of all; or by their mean
        similarity, the log-odds of being of the row's class.

    n_neighbors : int, default=5
        Number of neighbours with ``predict_by="k_nearest"``.

    pairs : {"class", "task"}, default="class"
        What makes two rows the same: a class, within a task; or a task, whatever the
        classes. With "task" `fit` ignores `y`, which may be anything or None, and tasks
        take the place of classes: `n_way` of them (None takes 8) are compared in a
        training episode, `fit` ends by remembering all rows, and ``predict(X)`` tells
        which of the training tasks each row comes from. ``adapt(X, y)`` remembers other
        rows, with `y` the label of where they come from.

    n_way : int, default=None
        Number of classes in a training episode, for classes that are a task's own;
        None takes all of a task's classes.

    shared_classes : bool, default=None
        Whether all tasks speak of the same classes. None means True unless `n_way`
        is given; it is never guessed from the labels.

    See `sklmeta.estimator.Parameters` for the encoder's `module`, `module_params`,
    `hidden_layer_sizes` and `activation`; the episodes' ``n_shots=(5, 15)``,
    ``n_query=20`` and `support`; the training's `meta_batch_size`, `max_iter`,
    ``lr=0.01``, `lr_schedule`, `optimizer`, `optimizer_params`, `weight_decay`,
    `max_grad_norm`, `chunk_size`, `early_stopping`, `validation_fraction`,
    `n_iter_no_change` and `callbacks`; and for ``standardize="auto"``, `transductive`,
    `device`, `compile`, `n_threads`, `random_state`, `verbose`, `max_time`,
    `checkpoint_dir`, `accelerator` and `warm_start`.

    Attributes
    ----------
    threshold_ : float
        Distance up to which `predict_pairs` takes two rows for the same: where both are
        equally likely, or what `calibrate_threshold` found.

    classes_ : ndarray of shape (n_classes,)
        The classes; where these are a task's own, those of the adapted tasks.

    shared_classes_ : bool
        Whether the tasks share their classes.

    See `sklmeta.estimator.Parameters` for `tasks_`, `engine_`, `n_features_in_`,
    `feature_names_in_`, `n_iter_`, `history_`, `compile_time_` and `n_guarded_`.

    See Also
    --------
    ProtoNetClassifier : Remembers one mean of each class.
    task_distance : Which tasks belong together; see ``pairs="task"``.

    Notes
    -----
    For classification alone prefer `ProtoNetClassifier`, whose loss is that of the
    classification. Siamese networks are for verification, for similarity search and
    for classes with several centres. All support rows are kept, and predicting a row
    costs a distance to each of them.

    The probability of a class is proportional to a learned power of the odds that the
    row is of the class of those remembered; with "k_nearest" it is the share of votes,
    of which one more is shared out by these odds.

    References
    ----------
    Bromley, Guyon, LeCun, Säckinger and Shah, "Signature Verification using a 'Siamese'
    Time Delay Neural Network", NeurIPS 1993.

    Hadsell, Chopra and LeCun, "Dimensionality Reduction by Learning an Invariant
    Mapping", CVPR 2006.

    Koch, Zemel and Salakhutdinov, "Siamese Neural Networks for One-shot Image
    Recognition", ICML Deep Learning Workshop 2015.

    Examples
    --------
    >>> from sklmeta import SiameseClassifier
    >>> from sklmeta.datasets import make_classification_tasks
    >>> X, y, task = make_classification_tasks(40, random_state=0)
    >>> old = task < 39
    >>> est = SiameseClassifier(n_way=5, max_iter=20, random_state=0)
    >>> est = est.fit(X[old], y[old], task=task[old])
    >>> est = est.adapt(X[~old][:25], y[~old][:25])
    >>> est.predict(X[~old][25:]).shape
    (25,)
    >>> est.predict_pairs(X[:3], X[:3])
    array([ True,  True,  True])
    """

    loss: str = "cross_entropy"
    margin: float = 1.0
    predict_by: str = "nearest"
    n_neighbors: int = 5
    pairs: str = "class"
    n_shots: int | tuple[int, int] = (5, 15)
    n_query: int = 20
    lr: float = 1e-2
    standardize: bool | str = "auto"

    _parameter_constraints = {
        "loss": [StrOptions(set(LOSSES))],
        "margin": [Interval(numbers.Real, 0, None, closed="neither")],
        "predict_by": [StrOptions(set(RULES))],
        "n_neighbors": [Interval(numbers.Integral, 1, None, closed="left")],
        "pairs": [StrOptions({"class", "task"})],
    }

    def _make_learner(self, spec: TaskSpec, encoder: nn.Module) -> Learner:
        return SiameseLearner(
            spec,
            encoder,
            loss=self.loss,
            margin=self.margin,
            predict_by=self.predict_by,
            n_neighbors=self.n_neighbors,
        )
