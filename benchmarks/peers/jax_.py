"""JAX: ``jit`` of the gradient of ``vmap``, Adam inside; multi-layer perceptrons."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import os
from collections.abc import Callable
from importlib.util import find_spec
from itertools import pairwise
from typing import Any

import numpy as np

from benchmarks.peers import Updates
from benchmarks.shared.workloads import OUTER_LR, Workload

# One thread, as everyone has.
FLAGS = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"


def importable() -> bool:
    return find_spec("jax") is not None


def prepare() -> None:
    """Must come before JAX's first import."""
    os.environ.setdefault("XLA_FLAGS", FLAGS)
    os.environ.setdefault("JAX_PLATFORMS", "cpu")


def updates(workload: Workload) -> Updates | None:
    if workload.widths is None:
        return None
    prepare()
    import jax
    import jax.numpy as jnp

    rng = np.random.default_rng(0)
    X, y = workload.X, workload.y.astype(_target_type(workload))
    net = [[jnp.asarray(part) for part in layer] for layer in _layers(workload, rng)]
    zeros = jax.tree.map(jnp.zeros_like, net)
    step = jax.jit(_adam(jax.value_and_grad(meta_loss(workload))))
    state = (net, zeros, zeros, jnp.zeros(()))

    def run(n: int) -> None:
        nonlocal state
        for _ in range(n):
            tasks, support, query = workload.draw(rng)
            tasks = tasks[:, None]
            rows = X[tasks, support], y[tasks, support], X[tasks, query]
            state = step(state, (*rows, y[tasks, query]))
        jax.block_until_ready(state)

    return run


def _target_type(workload: Workload) -> type:
    return np.float32 if workload.kind == "regression" else np.int32


def _layers(workload: Workload, rng: np.random.Generator) -> list[list[np.ndarray]]:
    assert workload.widths is not None
    n_outputs = workload.n_way if workload.kind == "shared" else 1
    sizes = [workload.X.shape[-1], *workload.widths, n_outputs]
    return [
        [
            rng.normal(0, (2 / a) ** 0.5, (a, b)).astype(np.float32),
            np.zeros(b, np.float32),
        ]
        for a, b in pairwise(sizes)
    ]


def meta_loss(workload: Workload) -> Callable[..., Any]:
    import jax
    import jax.numpy as jnp

    def loss(net: Any, X: Any, y: Any) -> Any:
        for weight, bias in net[:-1]:
            X = jax.nn.relu(X @ weight + bias)
        output = X @ net[-1][0] + net[-1][1]
        if workload.kind == "regression":
            return jnp.square(output[:, 0] - y).mean()
        log_p = jax.nn.log_softmax(output)
        return -jnp.take_along_axis(log_p, y[:, None], axis=1).mean()

    def one_task(net: Any, X: Any, y: Any, X_query: Any, y_query: Any) -> Any:
        if workload.kind == "own":  # one row serves the classes of every task
            head = [jnp.repeat(part, workload.n_way, axis=-1) for part in net[-1]]
            net = [*net[:-1], head]
        for _ in range(workload.inner_steps):
            gradient = jax.grad(loss)(net, X, y)
            if workload.first_order:
                gradient = jax.lax.stop_gradient(gradient)
            net = jax.tree.map(lambda p, g: p - workload.inner_lr * g, net, gradient)
        return loss(net, X_query, y_query)

    def mean_loss(net: Any, episodes: Any) -> Any:
        return jax.vmap(one_task, (None, 0, 0, 0, 0))(net, *episodes).mean()

    return mean_loss


def _adam(value_and_grad: Callable[..., Any]) -> Callable[..., Any]:
    import jax
    import jax.numpy as jnp

    def step(state: Any, episodes: Any) -> Any:
        net, mean, square, t = state
        t = t + 1
        _, gradient = value_and_grad(net, episodes)
        mean = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, mean, gradient)
        square = jax.tree.map(lambda s, g: 0.999 * s + 1e-3 * g * g, square, gradient)
        scale = OUTER_LR * jnp.sqrt(1 - 0.999**t) / (1 - 0.9**t)
        net = jax.tree.map(
            lambda p, m, s: p - scale * m / (jnp.sqrt(s) + 1e-8), net, mean, square
        )
        return net, mean, square, t

    return step
