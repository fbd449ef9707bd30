"""Matching networks: attention over the support rows in a meta-learned embedding.

Adaptation remembers every support row; the probability of a class is the attention
that a query row pays to the rows of the class.
"""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sklmeta._compat import StrOptions
from sklmeta.data.kinds import TaskKind
from sklmeta.episodes.rows import Episodes, Rows
from sklmeta.estimator.faces import MetaClassifierMixin
from sklmeta.learners.learner import Learner, State, TaskSpec
from sklmeta.metric_based._embedding import (
    EmbeddingLearner,
    EmbeddingMixin,
    MemberParameters,
    class_indicators,
    closeness,
)

METRICS = ("sqeuclidean", "cosine")


class MatchingLearner(EmbeddingLearner):
    """Attention over the support under a learned embedding.

    A query row pays attention to the support rows by a softmax of a learned inverse
    temperature times their similarity, and the probability of a class is the sum over
    its rows (equation 1 of Vinyals et al. 2016).

    With shared classes one imaginary row of each class stands beside the support's,
    with a learned place in the embedding and a learned weight: it counts as
    ``exp(weight)`` rows. So a class absent from the support can be predicted, and there
    is a prediction for a task of which nothing is known.

    Parameters
    ----------
    spec : TaskSpec
        What the tasks are; its kind must be "shared" or "own".

    encoder : nn.Module
        Maps rows (n, *input) to the embedding (n, n_features_out).

    metric : {"sqeuclidean", "cosine"}, default="sqeuclidean"
        Similarity: minus the squared Euclidean distance, or the cosine of the angle.

    n_members : int, default=1
        Number of members: the encoder's features are cut into as many equal parts.

    raw : bool, default=False
        Whether to add the distance between the raw rows; for classes of a task's own
        and "sqeuclidean" only.

    Raises
    ------
    ValueError
        If `metric` is unknown, or if the tasks are regression tasks.

    References
    ----------
    Vinyals, Blundell, Lillicrap, Kavukcuoglu and Wierstra, "Matching Networks for One
    Shot Learning", NeurIPS 2016.

    Examples
    --------
    >>> import torch
    >>> from sklmeta.episodes.rows import Rows
    >>> from sklmeta.learners.learner import TaskSpec
    >>> from sklmeta.metric_based.matching import MatchingLearner
    >>> learner = MatchingLearner(TaskSpec("own", (1,), 1, 0), torch.nn.Identity())
    >>> X = torch.tensor([[[0.0], [8.0], [9.0]]])
    >>> y = torch.tensor([[0, 1, 1]])
    >>> state = learner.adapt(Rows(X, y, torch.ones(1, 3), n_classes=2))
    >>> learner.predict(state, torch.tensor([[[2.0], [7.0]]])).argmax(-1)
    tensor([[0, 1]])
    """

    def __init__(
        self,
        spec: TaskSpec,
        encoder: nn.Module,
        *,
        metric: str = "sqeuclidean",
        n_members: int = 1,
        raw: bool = False,
    ):
        if metric not in METRICS:
            raise ValueError(f"metric must be one of {METRICS}, got {metric!r}.")
        if raw and (metric, spec.kind) != ("sqeuclidean", TaskKind.OWN):
            raise ValueError("raw=True needs metric='sqeuclidean' and own classes.")
        super().__init__(spec, encoder, n_members=n_members, raw=raw)
        self.metric = metric
        # As for prototypes: squared distances grow with the width.
        scale = 10.0 if metric == "cosine" else 1.0 / (self.width + self.n_raw)
        self.log_scale = nn.Parameter(torch.tensor(scale).log())
        if spec.kind == TaskKind.SHARED:
            rows = torch.zeros(n_members, spec.n_classes, self.width)
            self.prior_rows = nn.Parameter(rows)
            self.log_prior_weights = nn.Parameter(torch.zeros(spec.n_classes))

    def adapt(self, support: Rows) -> State:
        """Remember the embedded support, the imaginary rows behind it.

        Returns
        -------
        state : dict
            ``rows`` (n_tasks, n_members, n_rows, d) and, if `raw`, ``raw_rows``
            (n_tasks, 1, n_rows, n_raw); ``classes`` (n_tasks, n_rows);
            ``log_weights`` (n_tasks, n_rows), 0 or, for padding, minus infinity;
            ``present`` (n_tasks, n_classes), whether a class has a row.
        """
        rows = self._features(support.X)
        present = class_indicators(support, rows.dtype).sum((1, 2)) > 0
        # A padding row must be finite to leave no trace in a gradient.
        kept = support.mask > 0
        state = {
            "rows": rows.masked_fill(~kept[:, None, :, None], 0),
            "classes": support.y.masked_fill(~kept, 0),
            "log_weights": support.mask.log(),
            "present": present,
        }
        if self.raw:
            raw = self._raw_features(support.X)
            state["raw_rows"] = raw.masked_fill(~kept[:, None, :, None], 0)
        if self.spec.kind == TaskKind.SHARED:
            n_tasks, n_classes = present.shape
            classes = torch.arange(n_classes, device=rows.device)
            behind = {
                "rows": self.prior_rows.expand(n_tasks, -1, -1, -1),
                "classes": classes.expand(n_tasks, -1),
                "log_weights": self.log_prior_weights.expand(n_tasks, -1),
            }
            for name, value in behind.items():
                axis = 2 if name == "rows" else 1
                state[name] = torch.cat([state[name], value], dim=axis)
            state["present"] = torch.ones_like(present)
        if self.metric == "cosine":
            state["rows"] = F.normalize(state["rows"], dim=-1)
        return state

    def for_training(self, episodes: Episodes) -> Episodes:
        """Cut a quarter of the supports down to 0, 1, 2, ... rows.

        Supports seldom lack a class otherwise, and one row of another class would take
        all attention from the imaginary rows of those that are absent.
        """
        if self.spec.kind == TaskKind.OWN:
            return episodes
        mask = episodes.support.mask
        n_tasks, n_rows = mask.shape
        n_kept = torch.arange(n_tasks, device=mask.device)
        n_kept = n_kept.masked_fill(n_kept >= n_tasks // 4, n_rows)
        kept = torch.arange(n_rows, device=mask.device) < n_kept[:, None]
        return episodes._replace(support=episodes.support._replace(mask=mask * kept))

    def _member_logits(
        self,
        state: State,
        X: Tensor,  # shape: (n_tasks, n_rows, *input)
    ) -> Tensor:  # shape: (n_tasks, n_members, n_rows, n_classes)
        """Log-probabilities, up to a constant of each row."""
        features = self._features(X)
        if self.metric == "cosine":
            similarity = F.normalize(features, dim=-1) @ state["rows"].mT
        else:
            similarity = closeness(features, state["rows"])
        if self.raw:
            similarity = similarity + closeness(
                self._raw_features(X), state["raw_rows"]
            )
        scores = self.log_scale.exp() * similarity
        scores = scores + state["log_weights"][:, None, None]
        return class_logsumexp(scores, state["classes"], state["present"])


def class_logsumexp(
    scores: Tensor,  # shape: (n_tasks, n_members, n_rows, n_support)
    classes: Tensor,  # shape: (n_tasks, n_support)
    present: Tensor,  # shape: (n_tasks, n_classes)
) -> Tensor:  # shape: (n_tasks, n_members, n_rows, n_classes)
    """Logarithm of the sum of ``exp(scores)`` over the support rows of each class.

    Minus infinity for a class that is not present. The largest score of every class is
    taken out first: one of the row would let the exponentials of a far class vanish,
    and its loss with them.
    """
    shape = (*scores.shape[:-1], present.shape[1])
    index = classes[:, None, None].expand(scores.shape)
    with torch.no_grad():
        least = scores.new_full(shape, -torch.inf)
        top = least.scatter_reduce(-1, index, scores, "amax")
        top = top.masked_fill(top == -torch.inf, 0)
    weights = (scores - top.gather(-1, index)).exp()
    indicators = F.one_hot(classes, present.shape[1]).to(scores.dtype)
    sums = weights @ indicators[:, None]  # without atomic additions on a GPU
    absent = ~present[:, None, None]
    return (sums.masked_fill(absent, 1).log() + top).masked_fill(absent, -torch.inf)


class MatchingNetClassifier(EmbeddingMixin, MetaClassifierMixin, MemberParameters):
    """Matching network: a soft nearest neighbour in a meta-learned embedding.

    Adaptation remembers the embedded support rows, so it is immediate and cannot
    diverge. A query row pays attention to each of them by their similarity, and the
    probability of a class is the attention to its rows. With classes of each task's
    own, a task may have any number of them. With shared classes an imaginary row of
    each class, learned across tasks, stands beside the support, and a class absent
    from it can still be predicted.

    Parameters
    ----------
    metric : {"sqeuclidean", "cosine"}, default="sqeuclidean"
        Similarity of two rows: minus the squared Euclidean distance, or the cosine of
        the angle, as in the paper. Either is multiplied by a learned number.

    n_way : int, default=None
        Number of classes in a training episode, for classes that are a task's own;
        None takes all of a task's classes.

    shared_classes : bool, default=None
        Whether all tasks speak of the same classes. None means True unless `n_way`
        is given; it is never guessed from the labels.

    n_members : int, default=4
        Networks of different initial weights whose probabilities are averaged. Only
        the default encoder has members: a `module` is used as it is.

    See `sklmeta.estimator.Parameters` for the encoder's `module`, `module_params`,
    `hidden_layer_sizes` and `activation`; the episodes' ``n_shots=(5, 15)``,
    ``n_query=20`` and `support`; the training's `meta_batch_size`, `max_iter`,
    ``lr=0.01``, `lr_schedule`, ``optimizer="AdamW"``, `optimizer_params`,
    ``weight_decay=1.0``, `max_grad_norm`, `chunk_size`, `early_stopping`,
    `validation_fraction`, `n_iter_no_change` and `callbacks`; and for
    ``standardize="auto"``, `transductive`, `device`, `compile`, `n_threads`,
    `random_state`, `verbose`, `max_time`, `checkpoint_dir`, `accelerator`
    and `warm_start`.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The classes; where these are a task's own, those of the adapted tasks.

    shared_classes_ : bool
        Whether the tasks share their classes.

    See `sklmeta.estimator.Parameters` for `tasks_`, `engine_`, `n_features_in_`,
    `feature_names_in_`, `n_iter_`, `history_`, `compile_time_` and `n_guarded_`.

    See Also
    --------
    ProtoNetClassifier : Remembers the mean of each class.
    RelationNetClassifier : Learns the similarity as well.

    Notes
    -----
    With one row of each class it is a prototypical network. With more, a class may lie
    in several places; but every row is kept, and one that is mislabelled keeps its
    neighbourhood. Where each class lies around one centre prefer `ProtoNetClassifier`,
    which needs fewer rows. A class with many rows in the support is thought likely.

    The paper's full context embeddings, which pass the support through a bidirectional
    LSTM, are left out: the prediction would depend on the order of the support rows.
    `TransformerNeuralProcessClassifier` lets support rows look at one another without
    an order.

    References
    ----------
    Vinyals, Blundell, Lillicrap, Kavukcuoglu and Wierstra, "Matching Networks for One
    Shot Learning", NeurIPS 2016.

    Examples
    --------
    >>> from sklmeta import MatchingNetClassifier
    >>> from sklmeta.datasets import make_classification_tasks
    >>> X, y, task = make_classification_tasks(40, random_state=0)
    >>> old = task < 39
    >>> est = MatchingNetClassifier(n_way=5, max_iter=50, random_state=0)
    >>> est = est.fit(X[old], y[old], task=task[old])
    >>> est = est.adapt(X[~old][:25], y[~old][:25])
    >>> est.predict(X[~old][25:]).shape
    (25,)
    """

    metric: str = "sqeuclidean"

    _parameter_constraints = {"metric": [StrOptions(set(METRICS))]}

    def _make_learner(self, spec: TaskSpec, encoder: nn.Module) -> Learner:
        return self._make_metric_learner(MatchingLearner, self.metric, spec, encoder)
