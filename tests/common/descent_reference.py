"""Gradient descent on the support, task by task, each step written out in autograd."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import torch
from descent_tasks import N_TASKS, loss_of
from torch.func import functional_call

KINDS = [
    ("regression", "prototypes"),
    ("shared", "prototypes"),
    ("own", "shared"),
    ("own", "prototypes"),
]
ENGINES = ["adjoint", "batched", "vmap", "loop"]


def predict(learner, parameters, X):
    body = {
        name.removeprefix("encoder."): value
        for name, value in parameters.items()
        if name.startswith("encoder.")
    }
    features = functional_call(learner.encoder, body, (X,))
    return features @ parameters["head.weight"].T + parameters["head.bias"]


def start_of(learner, support, t):
    body = dict(learner.encoder.named_parameters())
    X, y = support.X[t], support.y[t]
    own = learner.spec.kind == "own"
    width = support.n_classes or learner.spec.n_targets
    n_outputs = int(support.ways[t]) if own else width
    if learner.has_prototypes:
        features = functional_call(learner.encoder, body, (X,))
        means = torch.stack([features[y == c].mean(0) for c in range(n_outputs)])
        weight, bias = 2 * means, -(means**2).sum(1)
    else:
        weight = learner.head.weight.expand(n_outputs, -1)
        bias = learner.head.bias.expand(n_outputs)
    # Copies, so that the inner gradient takes the prototypes as given.
    body = {f"encoder.{name}": value.clone() for name, value in body.items()}
    return {**body, "head.weight": weight, "head.bias": bias}


def path_of(learner, support, t, rate, *, first_order=False):
    """Parameters of task `t` after each step; ``rate(name, k)`` is a step size."""
    parameters, path = start_of(learner, support, t), []
    for k in range(learner.inner_steps):
        output = predict(learner, parameters, support.X[t])
        loss = loss_of(output, support.y[t], learner.spec.kind)
        gradients = torch.autograd.grad(
            loss, list(parameters.values()), create_graph=not first_order
        )
        parameters = {
            name: value - rate(name, k) * gradient
            for (name, value), gradient in zip(
                parameters.items(), gradients, strict=True
            )
        }
        path.append(parameters)
    return path


def meta_loss_of(learner, episodes, rate, *, weights=None, first_order=False):
    support, query = episodes
    kind, losses = learner.spec.kind, []
    for t in range(N_TASKS):
        after = [
            loss_of(predict(learner, parameters, query.X[t]), query.y[t], kind)
            for parameters in path_of(
                learner, support, t, rate, first_order=first_order
            )
        ]
        own = after[-1]
        if weights is not None:
            own = sum(w * loss for w, loss in zip(weights, after, strict=True))
        losses.append(own)
    return torch.stack(losses)


def gradients_of(learner, losses):
    weight = torch.arange(1, N_TASKS + 1).double()
    return torch.autograd.grad((weight * losses).sum(), list(learner.parameters()))


def accumulated(learner, episodes, scale):
    """Losses and gradients as meta-training makes them."""
    for p in learner.parameters():
        p.grad = None
    losses = learner.accumulate(episodes, scale)
    return losses, [p.grad for p in learner.parameters()]


def randomise(step_sizes, seed=0):
    """Step sizes of both signs."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in step_sizes.parameters():
            p.copy_(0.05 + 0.05 * torch.randn(p.shape, generator=generator).double())


def padded(rows):
    """Two rows more in each task, of which the mask tells nothing good."""
    fill = torch.full_like(rows.X[:, :2], 1e3)
    zeros = torch.zeros_like(rows.y[:, :2])
    return rows._replace(
        X=torch.cat([rows.X, fill], 1),
        y=torch.cat([rows.y, zeros], 1),
        mask=torch.cat([rows.mask, torch.zeros_like(rows.mask[:, :2])], 1),
    )


def assert_same(actual, expected, tolerance=1e-12):
    """Equal relative to the largest entry."""
    for a, e in zip(actual, expected, strict=True):
        assert a.shape == e.shape
        assert (a - e).abs().max() <= tolerance * e.abs().max().clamp(min=1e-3)
