"""The written-out derivatives of dense networks against autograd, task by task."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import weakref
from types import SimpleNamespace

import pytest
import torch
from descent_reference import KINDS, assert_same
from torch import nn

from sklmeta.episodes.rows import Episodes, Rows, of_tasks
from sklmeta.gradient_based.maml import MAMLLearner
from sklmeta.gradient_based.reptile import ReptileLearner
from sklmeta.learners.dense.descent import DenseDescent
from sklmeta.learners.descent import Steps
from sklmeta.learners.encoders import ACTIVATIONS, MLP
from sklmeta.learners.inner_loop import gradient_step, guarded_inner_loop
from sklmeta.learners.learner import TaskSpec

N_TASKS, N_CLASSES = 3, 4
ENCODERS = {
    **{
        name: lambda layer=layer: nn.Sequential(
            nn.Linear(3, 6), layer(), nn.Linear(6, 5), layer()
        )
        for name, layer in ACTIVATIONS.items()
    },
    "elu_alpha": lambda: nn.Sequential(nn.Linear(3, 5), nn.ELU(alpha=0.7)),
    "in_place": lambda: nn.Sequential(nn.Linear(3, 5), nn.ELU(inplace=True)),
    "no_activation_between": lambda: nn.Sequential(
        nn.Linear(3, 6), nn.Linear(6, 5), nn.Tanh()
    ),
    "no_bias": lambda: nn.Sequential(
        nn.Linear(3, 6, bias=False), nn.SiLU(), nn.Linear(6, 5, bias=False)
    ),
    "flatten": lambda: nn.Sequential(nn.Flatten(), *MLP(4, (6, 5), "gelu")),
    "one_layer": lambda: nn.Linear(3, 5),
    "mlp": lambda: MLP(3, (7, 6, 5), "tanh"),
}
INPUTS = {"flatten": (2, 2), "head_alone": (5,)}


def learners_of(name, kind="regression", encoder=None, **params):
    """The same learner twice: by the adjoint, and by autograd in a loop over tasks."""
    shape = INPUTS.get(name, (3,))
    n_classes = N_CLASSES if kind == "shared" else 0
    spec = TaskSpec(kind, shape, n_features_out=5, n_classes=n_classes)
    params = {"inner_lr": 0.1, "inner_steps": 2, **params}
    learners = []
    for engine in ("adjoint", "loop"):
        torch.manual_seed(0)
        module = (encoder or ENCODERS[name])()
        learner = MAMLLearner(spec, module, engine=engine, **params).double()
        if not learner.has_prototypes:
            nn.init.normal_(learner.head.bias)
        learners.append(learner)
    assert learners[0].engine_name == "adjoint"
    return learners


def rows_of(
    kind,
    generator,
    *,
    n_tasks=N_TASKS,
    n_rows=7,
    ways=(2, 4, 3),
    shape=(3,),
    padded=False,
):
    X = torch.randn(n_tasks, n_rows, *shape, generator=generator).double()
    mask = torch.ones(n_tasks, n_rows).double()
    n_classes, own = 0, None
    if kind == "regression":
        y = torch.randn(n_tasks, n_rows, generator=generator).double()
    else:
        own = torch.tensor([ways[t % len(ways)] for t in range(n_tasks)])
        n_classes = int(own.max()) if kind == "own" else N_CLASSES
        y = torch.arange(n_rows).expand(n_tasks, -1) % own[:, None]
        own = own if kind == "own" else None
    if padded:
        mask[0, 4:], mask[-1, -1:] = 0, 0
        X[mask == 0] = 1e3  # whatever stands there
        y = y.masked_fill(mask == 0, 0)
    return Rows(X, y, mask, n_classes, own)


def episodes_of(kind="regression", seed=0, n_query=5, **options):
    generator = torch.Generator().manual_seed(seed)
    support = rows_of(kind, generator, **options)
    return Episodes(support, rows_of(kind, generator, **{**options, "n_rows": n_query}))


def weighted_gradient(learner, loss, seed=0):
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(len(loss), generator=generator).double()
    return torch.autograd.grad((weight * loss).sum(), list(learner.parameters()))


def assert_learners_agree(learners, episodes):
    losses = [learner.meta_loss(episodes) for learner in learners]
    assert_same(*[[loss] for loss in losses])
    gradients = map(weighted_gradient, learners, losses)
    assert_same(*gradients)


@pytest.mark.parametrize(("kind", "head_init"), KINDS)
@pytest.mark.parametrize("name", ENCODERS)
def test_every_network(name, kind, head_init):
    learners = learners_of(name, kind, head_init=head_init)
    shape = INPUTS.get(name, (3,))
    assert_learners_agree(learners, episodes_of(kind, shape=shape))


@pytest.mark.parametrize(
    ("kind", "head_init"), [("regression", "shared"), ("own", "shared")]
)
def test_a_head_alone(kind, head_init):
    learners = learners_of(
        "head_alone", kind, encoder=lambda: MLP(5, ()), head_init=head_init
    )
    assert_learners_agree(learners, episodes_of(kind, shape=(5,)))


@pytest.mark.parametrize("first_order", [False, True])
@pytest.mark.parametrize("inner_steps", [1, 2, 5])
@pytest.mark.parametrize(("kind", "head_init"), KINDS)
def test_steps_and_padding(kind, head_init, inner_steps, first_order):
    params = {"inner_steps": inner_steps, "first_order": first_order}
    for name in ("relu", "gelu"):
        learners = learners_of(name, kind, head_init=head_init, **params)
        assert_learners_agree(learners, episodes_of(kind, padded=True))


@pytest.mark.parametrize(("kind", "head_init"), KINDS)
def test_sizes_that_change_from_call_to_call(kind, head_init):
    learners = learners_of("silu", kind, head_init=head_init)
    sizes = [(3, 7, (2, 4, 3)), (5, 12, (4, 2)), (1, 4, (2,)), (3, 7, (2, 4, 3))]
    for seed, (n_tasks, n_rows, ways) in enumerate(sizes):
        options = {"n_tasks": n_tasks, "n_rows": n_rows, "ways": ways}
        assert_learners_agree(learners, episodes_of(kind, seed, **options))


def test_other_precisions_and_many_sizes(monkeypatch):
    monkeypatch.setattr("sklmeta.learners.dense.descent.MAX_NETWORKS", 2)
    adjoint, loop = learners_of("tanh")
    for n_rows in range(2, 8):
        for learner in (adjoint, loop):
            learner.float()
        few = Episodes(*(rows.to("cpu", torch.float32) for rows in episodes_of()))
        torch.testing.assert_close(adjoint.meta_loss(few), loop.meta_loss(few))
        episodes = episodes_of(n_rows=n_rows)
        assert_learners_agree([adjoint.double(), loop.double()], episodes)


@pytest.mark.parametrize("n_rows", [7, 9])
@pytest.mark.parametrize("first_order", [False, True])
def test_losses_that_wait_for_their_backward_pass(n_rows, first_order):
    learners = learners_of("gelu", first_order=first_order)
    first, second = episodes_of(seed=1), episodes_of(seed=2, n_rows=n_rows)
    gradients = []
    for learner in learners:
        early, late = learner.meta_loss(first), learner.meta_loss(second)
        with torch.no_grad():
            learner.meta_loss(second)
        one, two = (
            weighted_gradient(learner, loss, seed)
            for seed, loss in enumerate([early, late])
        )
        both = weighted_gradient(
            learner, learner.meta_loss(first) - learner.meta_loss(second)
        )
        gradients.append([*one, *two, *both])
    assert_same(*gradients)


def test_evaluation_without_gradients():
    adjoint, loop = learners_of("elu")
    episodes = episodes_of(padded=True)
    with torch.no_grad():
        loss = adjoint.meta_loss(episodes)
    assert not loss.requires_grad
    assert_same([loss], [loop.meta_loss(episodes)])


@pytest.mark.parametrize("engine", ["adjoint", "loop"])
@pytest.mark.parametrize("cls", [MAMLLearner, ReptileLearner])
def test_a_learners_memory_goes_with_it(cls, engine):
    spec = TaskSpec("regression", (3,), n_features_out=5, n_classes=0)
    learner = cls(spec, MLP(3, (5,)), engine=engine).double()
    learner.accumulate(episodes_of(), scale=1.0)
    reference = weakref.ref(learner)
    del learner
    assert reference() is None


class Square(nn.Module):
    def forward(self, X):
        return X**2


def hooked():
    module = MLP(3, (5,))
    module[0].register_forward_hook(lambda *args: 2 * args[-1])
    return module


def frozen():
    module = MLP(3, (5,))
    module[0].bias.requires_grad_(False)
    return module


def twice():
    layer = nn.Linear(3, 3)
    return nn.Sequential(layer, nn.Tanh(), layer)


NOT_DENSE = {
    "gelu_tanh": lambda: nn.Sequential(nn.Linear(3, 5), nn.GELU("tanh")),
    "square": Square,
    "twice": twice,
    "frozen": frozen,
    "frozen_norm": lambda: nn.LayerNorm(3).requires_grad_(False),
    "layer_norm": lambda: nn.Sequential(nn.Linear(3, 5), nn.LayerNorm(5)),
    "dropout": lambda: nn.Sequential(nn.Linear(3, 5), nn.Dropout()),
    "hook": hooked,
    "two_activations": lambda: nn.Sequential(nn.Linear(3, 5), nn.ReLU(), nn.Tanh()),
}


@pytest.mark.parametrize("name", NOT_DENSE)
def test_what_the_adjoint_does_not_take(name):
    width = NOT_DENSE[name]()(torch.zeros(2, 3)).shape[1]
    spec = TaskSpec("regression", (3,), n_features_out=width, n_classes=0)
    with pytest.raises(ValueError, match="engine='adjoint' takes"):
        MAMLLearner(spec, NOT_DENSE[name](), engine="adjoint")
    learners = []
    for engine in ("auto", "loop"):
        torch.manual_seed(0)
        module = NOT_DENSE[name]()
        learners.append(MAMLLearner(spec, module, engine=engine).double().eval())
    episodes = episodes_of()
    losses = [learner.meta_loss(episodes) for learner in learners]
    assert learners[0].engine_name in ("batched", "vmap")
    torch.testing.assert_close(*losses, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("layer", [nn.SiLU, nn.ReLU, nn.ELU])
def test_activations_in_place(layer):
    spec = TaskSpec("regression", (3,), n_features_out=5, n_classes=0)
    learners = []
    for engine in ("auto", "loop"):
        torch.manual_seed(0)
        module = nn.Sequential(nn.Linear(3, 5), layer(inplace=True))
        learners.append(MAMLLearner(spec, module, engine=engine).double())
    assert_learners_agree(learners, episodes_of())


@pytest.mark.parametrize(("kind", "head_init"), KINDS)
@pytest.mark.parametrize("name", ["relu", "elu_alpha", "mlp", "gelu", "silu"])
def test_hessian_product(name, kind, head_init):
    """One step from v gives v - lr * H v: the two orders differ by lr * H v."""
    adjoint, loop = learners_of(name, kind, head_init=head_init)
    support, query = episodes_of(kind, padded=True)
    start = {n: p.detach() for n, p in adjoint.own_start(support).items()}
    values = tuple(value.clone().requires_grad_() for value in start.values())

    def gradient(first_order):
        named = dict(zip(start, values, strict=True))
        learner = SimpleNamespace(start=lambda support: named)
        descent, steps = DenseDescent(adjoint.dense), Steps(0.5, 1, first_order)
        loss = descent.query_loss(learner, Episodes(support, query), steps)
        return torch.autograd.grad(loss.sum(), values)

    def loss(*values):
        return loop.support_loss(dict(zip(start, values, strict=True)), support).sum()

    vector, corrected = gradient(True), gradient(False)
    _, expected = torch.autograd.functional.hvp(loss, values, vector)
    for v, c, e in zip(vector, corrected, expected, strict=True):
        largest = torch.stack([v.abs().max(), e.abs().max()]).max()
        assert ((v - c) / 0.5 - e).abs().max() <= 1e-12 * largest


@pytest.mark.parametrize("adapt_steps", [0, 1, 4, 9])
@pytest.mark.parametrize(("kind", "head_init"), KINDS)
def test_a_diverging_task_among_good_ones(kind, head_init, adapt_steps):
    params = {"inner_steps": 4, "adapt_steps": adapt_steps, "inner_lr": 0.02}
    adjoint, loop = (
        learner.eval()
        for learner in learners_of("relu", kind, head_init=head_init, **params)
    )
    support = episodes_of(kind, padded=True).support
    support.X[1] *= 1e5
    state = adjoint.adapt(support)
    start = {n: p.detach() for n, p in loop.own_start(support).items()}
    expected, n_guarded = guarded_inner_loop(
        lambda parameters: loop.support_loss(parameters, support),
        start,
        lambda p, g: gradient_step(p, g, lr=0.02),
        adapt_steps,
        n_trained_steps=4,
    )
    assert (n_guarded > 0).tolist() == [False, adapt_steps > 0, False]
    assert state.pop("n_guarded").tolist() == n_guarded.tolist()
    for name, value in state.items():
        torch.testing.assert_close(value, expected[name], rtol=1e-9, atol=1e-12)
        assert value.is_contiguous()
    for t in (0, 2):
        alone = adjoint.adapt(of_tasks(support, torch.tensor([t])))
        for name, value in state.items():
            torch.testing.assert_close(value[[t]], alone[name], rtol=1e-10, atol=1e-13)
