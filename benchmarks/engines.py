"""Meta-updates per second of `fit`, against a plain loop over tasks.

    python benchmarks/engines.py

The loop is what learn2learn does, and as fast: functional_call and autograd.grad for
one task after the other, without any validation or sampling of rows to speak of. The
estimator's figure is its whole `fit`, overheads included. Both run interleaved in one
process on one thread; medians and ranges over rounds.
"""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import argparse
import time

import numpy as np
import torch
from report import write_report
from torch import nn
from torch.func import functional_call

from sklmeta import MAMLRegressor
from sklmeta.datasets import make_sinusoids

N_TASKS, N_ROWS, META_BATCH, INNER_LR = 2000, 20, 25, 0.01


def make_net() -> nn.Module:
    return nn.Sequential(
        nn.Linear(1, 40), nn.ReLU(), nn.Linear(40, 40), nn.ReLU(), nn.Linear(40, 1)
    )


class PlainLoop:
    """Second-order MAML, one task after the other."""

    def __init__(self, X: np.ndarray, y: np.ndarray, inner_steps: int):
        self.X = torch.tensor(X, dtype=torch.float32).view(N_TASKS, N_ROWS, 1)
        self.y = torch.tensor(y, dtype=torch.float32).view(N_TASKS, N_ROWS)
        self.net, self.inner_steps = make_net(), inner_steps
        self.optimizer = torch.optim.Adam(self.net.parameters(), 1e-3)
        self.rng = np.random.default_rng(0)

    def loss(self, parameters: dict, task: int, rows: torch.Tensor) -> torch.Tensor:
        prediction = functional_call(self.net, parameters, (self.X[task, rows],))
        return (prediction[:, 0] - self.y[task, rows]).square().mean()

    def seconds_per_update(self, n_updates: int) -> float:
        start = time.perf_counter()
        for _ in range(n_updates):
            self.optimizer.zero_grad()
            total = torch.zeros(())
            for task in self.rng.integers(0, N_TASKS, META_BATCH):
                rows = torch.randperm(N_ROWS)
                parameters = dict(self.net.named_parameters())
                for _ in range(self.inner_steps):
                    loss = self.loss(parameters, task, rows[:10])
                    gradients = torch.autograd.grad(
                        loss, list(parameters.values()), create_graph=True
                    )
                    parameters = {
                        name: value - INNER_LR * gradient
                        for (name, value), gradient in zip(
                            parameters.items(), gradients, strict=True
                        )
                    }
                total = total + self.loss(parameters, task, rows[10:])
            (total / META_BATCH).backward()
            self.optimizer.step()
        return (time.perf_counter() - start) / n_updates


def fit_seconds(data: tuple, engine: str, inner_steps: int, n_updates: int) -> float:
    X, y, task = data
    estimator = MAMLRegressor(
        hidden_layer_sizes=(40, 40),
        inner_lr=INNER_LR,
        inner_steps=inner_steps,
        n_shots=10,
        n_query=10,
        meta_batch_size=META_BATCH,
        max_iter=n_updates,
        engine=engine,
        random_state=0,
    )
    start = time.perf_counter()
    estimator.fit(X, y, task=task)
    return (time.perf_counter() - start) / n_updates


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    X, y, task = make_sinusoids(N_TASKS, n_rows=N_ROWS, random_state=0)
    data = X.astype(np.float32), y, task
    lines = [
        "| inner steps | engine | times the loop's updates per second | range |",
        "| --- | --- | --- | --- |",
    ]
    for inner_steps in (1, 5):
        loop = PlainLoop(X, y, inner_steps)
        loop.seconds_per_update(2)
        ratios: dict[str, list[float]] = {"batched": [], "vmap": [], "loop": []}
        for _ in range(rounds):
            base = loop.seconds_per_update(8)
            for engine, found in ratios.items():
                n_updates = 20 if engine == "loop" else 200
                found.append(base / fit_seconds(data, engine, inner_steps, n_updates))
        for engine, found in ratios.items():
            median = f"{np.median(found):.1f}"
            spread = f"{min(found):.1f} to {max(found):.1f}"
            lines.append(f"| {inner_steps} | {engine} | {median} | {spread} |")
    write_report(
        "engines",
        "MAML on sinusoids: 25 tasks, 10 + 10 rows, MLP 40-40, second order, float32. "
        "`fit` with validation and sampling, against a plain loop over tasks.",
        lines,
    )


if __name__ == "__main__":
    main()
