"""Equal work: the estimators and the plain loop compute the same numbers."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import nn

from benchmarks.peers import higher_, jax_, learn2learn_, loop, own_loops, torchopt_
from benchmarks.shared import workloads
from benchmarks.shared.bulk import Bulk
from benchmarks.shared.workloads import Workload
from sklmeta.episodes.rows import Episodes, Rows
from sklmeta.gradient_based.anil import ANILLearner
from sklmeta.gradient_based.maml import MAMLLearner
from sklmeta.gradient_based.reptile import ReptileLearner
from sklmeta.learners.learner import TaskSpec
from sklmeta.learners.network import ENGINES

TOLERANCE = 1e-12  # of float64 meta-gradients, relative to the largest entry


def check_meta_gradients() -> float:
    """Largest relative error over workloads and engines.

    Raises
    ------
    AssertionError
        If it is not within the tolerance: then the ratio compares unequal work.
    """
    errors = [0.0]
    for workload in (
        workloads.sinusoid(5),
        workloads.tabular(meta_batch_size=3),
        workloads.tabular(first_order=True, meta_batch_size=3),
        workloads.conv4(16),
    ):
        for engine in ENGINES:
            error = meta_gradient_error(workload, engine)
            if error is None:
                assert engine not in ("auto", "loop"), (workload.name, engine)
            else:
                assert error < TOLERANCE, (workload.name, engine, error)
                errors.append(error)
    return max(errors)


def meta_gradient_error(workload: Workload, engine: str) -> float | None:
    """Of the learner against the loop, in float64; None if the engine refuses."""
    torch.manual_seed(0)
    net = loop.make_net(workload).double()
    n_classes = {"regression": 0, "shared": workload.n_way, "own": 0}[workload.kind]
    spec = TaskSpec(
        workload.kind, workload.X.shape[2:], workload.n_features_out, n_classes
    )
    try:
        learner = MAMLLearner(
            spec,
            copy.deepcopy(net[0]),
            inner_lr=workload.inner_lr,
            inner_steps=workload.inner_steps,
            first_order=workload.first_order,
            head_init="shared",
            engine=engine,
        ).double()
        load(learner, net)
        support, query = episodes(workload)
        learner.meta_loss(Episodes(support, query)).mean().backward()
    except (ValueError, RuntimeError):
        return None
    for t in range(workload.meta_batch_size):
        loop.backward(
            workload, net, (support.X[t], support.y[t]), (query.X[t], query.y[t])
        )
    found = dict(learner.named_parameters())
    expected = {our_name(name): p for name, p in net.named_parameters()}
    largest = max(float(p.grad.abs().max()) for p in expected.values())
    return max(
        float((found[name].grad - p.grad).abs().max()) / largest
        for name, p in expected.items()
    )


def check_own_loops() -> None:
    """ANIL and Reptile, in float64, go where their plain loops go.

    Reptile by gradient steps on whole supports: with Adam a batch of tasks shares one
    state, and draws other minibatches.

    Raises
    ------
    AssertionError
        If a gradient differs by more than the tolerance.
    """
    for workload in (workloads.sinusoid(5), workloads.tabular(meta_batch_size=3)):
        n_classes = 0
        spec = TaskSpec(
            workload.kind, workload.X.shape[2:], workload.n_features_out, n_classes
        )
        support, query = episodes(workload)
        for cls in (ANILLearner, ReptileLearner):
            torch.manual_seed(0)
            net = loop.make_net(workload).double()
            params: dict[str, Any] = {"head_init": "shared"}
            if cls is ReptileLearner:
                params |= {"inner_optimizer": "sgd", "inner_batch_size": 100}
            learner = cls(
                spec,
                copy.deepcopy(net[0]),
                inner_lr=workload.inner_lr,
                inner_steps=workload.inner_steps,
                **params,
            ).double()
            weights = {our_name(k): v for k, v in net.state_dict().items()}
            learner.load_state_dict(weights, strict=False)
            learner(Episodes(support, query)).mean().backward()
            found = {name: p.grad for name, p in learner.named_parameters()}
            if cls is ANILLearner:
                expected = anil_gradients(workload, net, support, query)
            else:
                expected = reptile_displacements(workload, net, support)
            largest = max(float(g.abs().max()) for g in expected.values())
            for name, gradient in expected.items():
                error = float((found[our_name(name)] - gradient).abs().max())
                assert error / largest < TOLERANCE, (workload.name, cls, name, error)


def anil_gradients(
    workload: Workload, net: nn.Module, support: Rows, query: Rows
) -> dict[str, torch.Tensor]:
    for t in range(workload.meta_batch_size):
        pair = (support.X[t], support.y[t]), (query.X[t], query.y[t])
        own_loops.anil_backward(workload, net, *pair)
    return {name: p.grad for name, p in net.named_parameters()}


def reptile_displacements(
    workload: Workload, net: nn.Module, support: Rows
) -> dict[str, torch.Tensor]:
    """Start minus the mean over the tasks, and over equal rows of the head."""
    whole = loop.whole_net(workload).double()
    start = {
        name: value.expand(whole.get_parameter(name).shape).clone()
        for name, value in net.state_dict().items()
    }
    whole.load_state_dict(start)
    sgd = torch.optim.SGD(whole.parameters(), workload.inner_lr)
    ends = []
    for X, y in zip(support.X, support.y, strict=True):
        batches = [(X, y)] * workload.inner_steps
        ends.append(own_loops.reptile_task(workload, whole, sgd, batches))
    gone = {
        name: start[name] - torch.stack(found).mean(0)
        for name, *found in zip(start, *ends, strict=True)
    }
    if workload.kind == "own":
        for name in ("1.weight", "1.bias"):
            gone[name] = gone[name].mean(0, keepdim=True)
    return gone


def check_peers() -> None:
    """The peers that can be imported compute the loop's meta-gradient too.

    Raises
    ------
    AssertionError
        If one does not: in float64, or for JAX in float32.
    """
    for workload in (workloads.sinusoid(5), workloads.conv4(16)):
        one = replace(workload, meta_batch_size=1)
        support, query = ((part.X[0], part.y[0]) for part in episodes(one))
        expected = None
        for peer in (loop, learn2learn_, torchopt_, higher_):
            if peer.importable():
                torch.manual_seed(0)
                net = peer.make_net(one).double()
                peer.backward(one, net, support, query)
                found = torch.cat([p.grad.flatten() for p in net.parameters()])
                expected = found if expected is None else expected
                assert torch.allclose(found, expected, rtol=0, atol=1e-12), peer
    for workload in (workloads.sinusoid(5), workloads.tabular()):
        if jax_.importable():
            error = jax_error(replace(workload, meta_batch_size=3))
            assert error < 1e-4, (workload.name, error)


def jax_error(workload: Workload) -> float:
    """Of JAX's meta-gradient against the loop's, relative to its largest entry."""
    jax_.prepare()
    import jax
    import jax.numpy as jnp

    torch.manual_seed(0)
    net = loop.make_net(workload)
    support, query = (part.to("cpu", torch.float32) for part in episodes(workload))
    for t in range(workload.meta_batch_size):
        loop.backward(
            workload, net, (support.X[t], support.y[t]), (query.X[t], query.y[t])
        )
    layers = [layer for layer in net.modules() if isinstance(layer, nn.Linear)]
    values = [
        [jnp.asarray(p.detach().numpy().T) for p in (layer.weight, layer.bias)]
        for layer in layers
    ]
    rows = [part.numpy() for part in (support.X, support.y, query.X, query.y)]
    found = jax.grad(jax_.meta_loss(workload))(values, rows)
    expected = [
        p.grad.numpy().T for layer in layers for p in (layer.weight, layer.bias)
    ]
    flat = [np.asarray(part) for pair in found for part in pair]
    error = max(np.abs(a - b).max() for a, b in zip(flat, expected, strict=True))
    return float(error / max(np.abs(part).max() for part in expected))


def our_name(name: str) -> str:
    """Name in the learner of a parameter of the loop's network."""
    part, _, rest = name.partition(".")
    return f"{('encoder', 'head')[int(part)]}.{rest}"


def load(learner: nn.Module, net: nn.Module) -> None:
    weights = {our_name(name): value for name, value in net.state_dict().items()}
    learner.load_state_dict(weights)


def episodes(workload: Workload) -> tuple[Rows, Rows]:
    X, y = workload.tensors()
    X = X.double()
    y = y.double() if workload.kind == "regression" else y
    tasks, *parts = workload.draw(np.random.default_rng(0))
    n_classes = 0 if workload.kind == "regression" else workload.n_way
    found = []
    for rows in parts:
        mask = torch.ones(rows.shape, dtype=torch.float64)
        at = tasks[:, None], rows
        ways = None
        if workload.kind == "own":
            ways = torch.full((len(tasks),), workload.n_way)
        found.append(Rows(X[at], y[at], mask, n_classes, ways))
    return found[0], found[1]


def check_adaptation(bulk: Bulk, estimator: Any) -> None:
    """`predict_proba` after a bulk `adapt` equals the loop's, in float32.

    Raises
    ------
    AssertionError
        If a probability differs by more than 1e-4.
    """
    weights = estimator._restore_learner(estimator._fitted).float().state_dict()
    names = bulk.net.state_dict()
    bulk.net.load_state_dict({name: weights[our_name(name)] for name in names})
    logits = bulk.loop_logits()
    estimator.adapt(bulk.X, bulk.y, task=bulk.task)
    found = estimator.predict_proba(bulk.X_query, task=bulk.task_query)
    expected = np.zeros_like(found)
    first = 0
    for part in logits:
        p = part.softmax(1).numpy()
        expected[first : first + len(p), : p.shape[1]] = p
        first += len(p)
    worst = float(np.abs(found - expected).max())
    assert worst < 1e-4, worst
