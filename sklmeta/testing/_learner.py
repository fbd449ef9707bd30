"""The contract of a learner: what `Learner` says in words, held against numbers."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sklmeta.data.kinds import TaskKind
from sklmeta.episodes.rows import Episodes, Rows, of_tasks, split_episodes
from sklmeta.learners.encoders import MLP
from sklmeta.learners.learner import Learner, State, TaskSpec
from sklmeta.learners.shapes import check_state, checked_shapes
from sklmeta.testing._checks import Promises
from sklmeta.testing._episodes import N_CLASSES, random_episodes, random_rows

WIDTH = 4
N_EXTRA = 3
"""Rows of padding that are put behind the others."""

LearnerFactory = Callable[[TaskSpec, nn.Module], Learner]


@dataclass
class Case:
    """A learner to be built, and how close its answers must come."""

    factory: LearnerFactory
    kind: str
    input_shape: tuple[int, ...]
    rtol: float
    atol: float
    name: str = "The learner"

    @property
    def label(self) -> str:
        return self.kind

    @property
    def title(self) -> str:
        return f"{self.name} ({self.kind})"

    def learner(
        self,
        *,
        training: bool = False,
        dtype: torch.dtype = torch.float64,
        activation: str = "tanh",
    ) -> Learner:
        """Build it, always the same, each parameter away from where it starts."""
        n_classes = N_CLASSES if self.kind == "shared" else 0
        spec = TaskSpec(TaskKind(self.kind), self.input_shape, WIDTH, n_classes)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            encoder: nn.Module = MLP(
                math.prod(self.input_shape), (6, WIDTH), activation
            )
            if len(self.input_shape) > 1:
                encoder = nn.Sequential(nn.Flatten(), encoder)
            learner = self.factory(spec, encoder)
            self.name = type(learner).__name__
            with torch.no_grad():  # zeros would hide what they multiply
                for parameter in learner.parameters():
                    parameter.add_(0.1 * torch.randn_like(parameter))
        learner.to(dtype).train(training)
        for module in learner.modules():
            if isinstance(module, nn.modules.dropout._DropoutNd):
                module.eval()
        learner.begin_update(0.25)
        return learner

    def episodes(self, dtype: torch.dtype = torch.float64) -> Episodes:
        """Ragged tasks; with shared classes one of them lacks a class."""
        episodes = random_episodes(self.kind, input_shape=self.input_shape)
        return Episodes(*(rows.to("cpu", dtype) for rows in episodes))

    def rows(self, sizes: Sequence[int], n_classes: int = N_CLASSES) -> Rows:
        return random_rows(
            self.kind,
            sizes,
            input_shape=self.input_shape,
            n_classes=n_classes,
            random_state=5,
        )

    def same(self, actual: Tensor, expected: Tensor, complaint: str) -> None:
        """Raise with the complaint, and by how much, unless they are close."""
        if not torch.allclose(actual, expected, rtol=self.rtol, atol=self.atol):
            off = (actual - expected).abs().nan_to_num(0.0, torch.inf).max()
            raise AssertionError(f"{complaint}, by up to {float(off):.2g}.")


LEARNER = Promises()


def _adapt(learner: Learner, support: Rows) -> State:
    with torch.no_grad():
        state = learner.adapt(support)
    return {name: value for name, value in state.items() if name != "n_guarded"}


def _predict(learner: Learner, support: Rows, X: Tensor) -> Tensor:
    state = _adapt(learner, support)
    with torch.no_grad():
        return learner.predict(state, X)


def _updated(learner: Learner, parts: Sequence[Episodes]) -> tuple[Tensor, Tensor]:
    """Losses of a meta-update, and its gradient as one vector."""
    parameters = [p for p in learner.parameters() if p.requires_grad]
    if not parameters:
        losses = torch.cat([learner(part) for part in parts])
        return losses, losses.new_zeros(0)
    losses = torch.cat([learner.accumulate(part, 0.5) for part in parts])
    gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
    return losses, nn.utils.parameters_to_vector(gradients)


@LEARNER.add(
    "`adapt` returns tensors with the tasks as their first dimension, `predict` a "
    "tensor of shape (n_tasks, n_rows, n_outputs), and the loss is one number per task"
)
def shapes(case: Case) -> None:
    learner, episodes = case.learner(), case.episodes()
    with checked_shapes(learner):
        _predict(learner, *episodes[:1], episodes.query.X)
    losses, gradient = _updated(case.learner(training=True), [episodes])
    if losses.shape != (3,):
        raise AssertionError(f"For 3 tasks the loss has shape {tuple(losses.shape)}.")
    if not (losses.isfinite().all() and gradient.isfinite().all()):
        raise AssertionError("The loss of plain rows, or its gradient, is not finite.")


@LEARNER.add("predictions have the dtype of the rows")
def dtype(case: Case) -> None:
    for dtype in (torch.float32, torch.float64):
        support, query = case.episodes(dtype)
        outputs = _predict(case.learner(dtype=dtype), support, query.X)
        if outputs.dtype != dtype:
            raise AssertionError(f"Rows of {dtype} gave {outputs.dtype}.")


@LEARNER.add("padding rows are inert, whatever stands in them")
def padding(case: Case) -> None:
    episodes = case.episodes()
    expected = _predict(case.learner(), episodes.support, episodes.query.X)
    losses, gradient = _updated(case.learner(training=True), [episodes])
    for value in (0.0, 1e3):
        wide = Episodes(*(_padded(rows, value) for rows in episodes))
        actual = _predict(case.learner(), wide.support, episodes.query.X)
        others, other = _updated(case.learner(training=True), [wide])
        padding = f"change with {N_EXTRA} rows more of mask 0, filled with {value:g}"
        case.same(actual, expected, f"The predictions {padding}")
        case.same(others, losses, f"The losses {padding}")
        case.same(other, gradient, f"The meta-gradients {padding}")


def _padded(rows: Rows, value: float) -> Rows:
    """More padding, and `value` in all of it; a class that every task has, in y."""
    n_tasks = len(rows.mask)
    X, y, mask = (
        torch.cat([v, v.new_zeros(n_tasks, N_EXTRA, *v.shape[2:])], 1) for v in rows[:3]
    )
    y[mask == 0] = int(value > 0) if rows.n_classes else value
    X[mask == 0] = value
    return rows._replace(X=X, y=y, mask=mask)


@LEARNER.add("a task sees its own support alone, in whatever batch it comes")
def tasks(case: Case) -> None:
    learner, (support, query) = case.learner(), case.episodes()
    together = _predict(learner, support, query.X)
    for t in range(len(together)):
        alone = _predict(
            learner, of_tasks(support, slice(t, t + 1)), query.X[t : t + 1]
        )
        case.same(alone[0], together[t], f"Task {t} is predicted otherwise alone")


@LEARNER.add("the prediction of a query row depends on no other query row")
def query_rows(case: Case) -> None:
    learner, (support, query) = case.learner(), case.episodes()
    state = _adapt(learner, support)
    with torch.no_grad():
        together = learner.predict(state, query.X)
        for i in range(together.shape[1]):
            alone = learner.predict(state, query.X[:, i : i + 1])
            case.same(
                alone[:, 0], together[:, i], f"Row {i} is predicted otherwise alone"
            )


@LEARNER.add("the order of the support rows does not matter")
def support_order(case: Case) -> None:
    learner, (support, query) = case.learner(), case.episodes()
    X, y, mask = (values.flip(1) for values in support[:3])
    actual = _predict(learner, support._replace(X=X, y=y, mask=mask), query.X)
    expected = _predict(learner, support, query.X)
    case.same(
        actual, expected, "Backwards, padding first, they are predicted otherwise"
    )


@LEARNER.add("where it `takes_weights`, a row whose mask is two is the row twice")
def weights(case: Case) -> None:
    learner, support, X = case.learner(), case.rows((3, 4)), case.episodes().query.X[:2]
    if not learner.takes_weights:
        return
    times = torch.tensor([[1, 2, 1, 0], [2, 1, 3, 1]])
    weighted = support._replace(mask=times.to(support.mask))
    kept = [torch.arange(4).repeat_interleave(n) for n in times]
    index = nn.utils.rnn.pad_sequence(kept, batch_first=True)
    long = torch.arange(index.shape[1]) < times.sum(1, keepdim=True)
    rows = torch.arange(2)[:, None], index
    copied = support._replace(
        X=support.X[rows], y=support.y[rows], mask=long.to(support.mask)
    )
    expected = _predict(learner, copied, X)
    case.same(_predict(learner, weighted, X), expected, "The predictions differ")
    less = weighted._replace(mask=0.1 * weighted.mask)
    _check_finite(_predict(learner, less, X), "whose weights are small")


@LEARNER.add(
    "`prior_state` is the state of one task whose support is empty, and None where "
    "classes are a task's own"
)
def prior(case: Case) -> None:
    learner, (support, query) = case.learner(), case.episodes()
    with torch.no_grad():
        state = learner.prior_state()
    if state is None:
        return
    if case.kind == "own":
        raise AssertionError(f"It returned a {type(state).__name__}.")
    X, one = query.X[:1], of_tasks(support, slice(1))
    check_state(learner, state, 1)
    with torch.no_grad():
        expected = learner.predict(state, X)
    _check_finite(expected, "of no rows")
    empty = one._replace(mask=torch.zeros_like(one.mask))
    none = Rows(one.X[:, :0], one.y[:, :0], one.mask[:, :0], one.n_classes)
    for name, rows in (("no rows", none), ("padding alone", empty)):
        actual = _predict(learner, rows, X)
        case.same(actual, expected, f"`adapt` to {name} predicts otherwise")


@LEARNER.add("one support row is enough for a finite prediction")
def single_row(case: Case) -> None:
    support = case.rows((1, 1), 1 if case.kind == "own" else N_CLASSES)
    outputs = _predict(case.learner(), support, case.episodes().query.X[:2])
    _check_finite(outputs, "of one row")


@LEARNER.add("finite rows give no NaN, also where they coincide or lie far away")
def extreme_rows(case: Case) -> None:
    for dtype in (torch.float32, torch.float64):
        learner = case.learner(dtype=dtype, activation="relu")
        support, query = case.episodes(dtype)
        for scale in (0.0, 1e4):
            for X in (torch.full_like(support.X, scale), scale * support.X):
                outputs = _predict(learner, support._replace(X=X), scale * query.X)
                _check_finite(outputs, f"as large as {scale:g}, in {dtype}")


@LEARNER.add("rows that coincide leave the meta-gradient finite")
def coinciding_rows(case: Case) -> None:
    for value in (0.0, 1.0):
        same = (
            rows._replace(X=torch.full_like(rows.X, value)) for rows in case.episodes()
        )
        learner = case.learner(training=True, activation="relu")
        _, gradient = _updated(learner, [Episodes(*same)])
        if not gradient.isfinite().all():
            raise AssertionError(f"Where all are {value:g} it is not.")


def _check_finite(outputs: Tensor, rows: str) -> None:
    # Minus infinity is a class that a task does not have.
    if outputs.isnan().any() or (outputs == torch.inf).any():
        raise AssertionError(f"A support {rows} gives predictions that are not finite.")


@LEARNER.add("in evaluation mode `adapt` and `predict` change nothing in the learner")
def evaluation(case: Case) -> None:
    learner, (support, query) = case.learner(), case.episodes()
    before = {name: value.clone() for name, value in learner.state_dict().items()}
    modes = [module.training for module in learner.modules()]
    first = _predict(learner, support, query.X)
    for name, value in learner.state_dict().items():
        if not torch.equal(value, before[name]):
            raise AssertionError(f"{name} is not what it was.")
    if modes != [module.training for module in learner.modules()]:
        raise AssertionError("Part of it is in training mode.")
    case.same(
        _predict(learner, support, query.X), first, "The second time is different"
    )


@LEARNER.add(
    "where classes are a task's own, it may have any number of them",
    lambda case: case.kind == "own",
)
def any_number_of_classes(case: Case) -> None:
    learner = case.learner()
    for n_classes in (1, 2, 7):
        support = case.rows((n_classes, 2 * n_classes), n_classes)
        with checked_shapes(learner):
            outputs = _predict(learner, support, support.X)
        _check_finite(outputs, f"of {n_classes} class(es)")


@LEARNER.add(
    "where classes are a task's own, none is treated differently from another",
    lambda case: case.kind == "own",
)
def class_order(case: Case) -> None:
    learner, support = case.learner(), case.rows((5, 6))
    other = support._replace(y=(N_CLASSES - 1 - support.y) * support.mask.long())
    actual = _predict(learner, other, support.X).flip(-1)
    expected = _predict(learner, support, support.X)
    case.same(
        actual, expected, "With the classes numbered backwards the predictions change"
    )


@LEARNER.add(
    "`accumulate` adds the gradient of `scale` times the sum of the losses that it "
    "returns"
)
def meta_gradient(case: Case) -> None:
    episodes = case.episodes()
    _, gradient = _updated(case.learner(training=True), [episodes])
    generator = torch.Generator().manual_seed(3)
    direction = torch.randn(gradient.shape, generator=generator, dtype=gradient.dtype)
    values = []
    for step in (1e-6, -1e-6):
        moved = case.learner(training=True)
        parameters = [p for p in moved.parameters() if p.requires_grad]
        start = nn.utils.parameters_to_vector(parameters).detach()
        nn.utils.vector_to_parameters(start + step * direction, parameters)
        values.append(0.5 * float(moved(episodes).detach().sum()))
    expected, found = (values[0] - values[1]) / 2e-6, float(gradient @ direction)
    if not math.isclose(found, expected, rel_tol=1e-5, abs_tol=1e-7):
        raise AssertionError(
            f"Along a random direction it is {found:.8g}, by finite differences "
            f"{expected:.8g}. If the update is not meant to be a gradient, skip this."
        )


@LEARNER.add("chunks of a meta-batch add up to the whole")
def chunks(case: Case) -> None:
    episodes = case.episodes()
    losses, gradient = _updated(case.learner(training=True), [episodes])
    parts = split_episodes(episodes, 1)
    others, other = _updated(case.learner(training=True), parts)
    case.same(others, losses, "The losses are not those of the whole")
    case.same(other, gradient, "The gradients are not those of the whole")
