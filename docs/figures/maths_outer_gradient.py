"""Draw inner steps of two tasks, and where four outer gradients lead.

``python docs/figures/maths_outer_gradient.py`` writes the figure beside this file. A
task is a line, ``y = w x + b``, so that all there is to learn is two numbers. Half of
the tasks see x far from zero and have steep lines; the others see it near zero, and
fall.
"""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import numpy as np
import torch
from maths_style import BLUE, GREEN, ORANGE, PINK, new_figure, save
from torch import nn

from sklmeta.episodes.rows import Episodes, Rows
from sklmeta.gradient_based.maml import MAMLLearner
from sklmeta.gradient_based.reptile_learner import ReptileLearner
from sklmeta.learners.learner import TaskSpec

SPEC = TaskSpec("regression", (1,), 1, 0)
INNER = {"inner_lr": 0.05, "inner_steps": 5}
START = -1.0, -2.0
ON_LINES = {"frameon": True, "framealpha": 1, "edgecolor": "none"}
METHODS = {  # learner, step size of the outer loop, number of its steps
    "MAML": (MAMLLearner(SPEC, nn.Identity(), **INNER), 0.3, 100, BLUE),
    "first order": (
        MAMLLearner(SPEC, nn.Identity(), first_order=True, **INNER),
        0.1,
        100,
        ORANGE,
    ),
    "Reptile": (
        ReptileLearner(
            SPEC, nn.Identity(), inner_optimizer="sgd", inner_batch_size=4, **INNER
        ),
        0.5,
        60,
        GREEN,
    ),
    "no adaptation": (
        MAMLLearner(SPEC, nn.Identity(), inner_lr=1e-12, inner_steps=1),
        0.1,
        100,
        PINK,
    ),
}


def make_episodes(n_tasks: int = 200, sizes=(4, 40)) -> Episodes:
    """Supports of four rows, and queries; a wide task, a narrow one, and so on."""
    rng = np.random.default_rng(0)
    wide = np.arange(n_tasks) % 2 == 0
    slope = np.where(wide, 1.6, -0.4) + 0.3 * rng.normal(size=n_tasks)
    level = np.where(wide, -0.8, 0.8) + 0.3 * rng.normal(size=n_tasks)
    rows = []
    for n_rows in sizes:
        x = rng.normal(size=(n_tasks, n_rows)) * np.where(wide, 2.0, 0.7)[:, None]
        y = slope[:, None] * x + level[:, None] + 0.1 * rng.normal(size=x.shape)
        X, mask = torch.tensor(x)[..., None], torch.ones(x.shape)
        rows.append(Rows(X, torch.tensor(y), mask, 0))
    return Episodes(*rows)


def put(learner, point) -> None:
    """Start from this slope and level."""
    with torch.no_grad():
        learner.head.weight.fill_(point[0])
        learner.head.bias.fill_(point[1])


def outer_gradient(learner, episodes: Episodes, point) -> np.ndarray:
    """Mean gradient of the tasks, as the learner has it."""
    put(learner, point)
    learner.zero_grad()
    learner.meta_loss(episodes).mean().backward()
    return np.array([learner.head.weight.grad.item(), learner.head.bias.grad.item()])


def outer_path(learner, episodes: Episodes, lr: float, n_steps: int) -> np.ndarray:
    """Plain gradient descent of the outer loop."""
    path = [np.array(START)]
    for _ in range(n_steps):
        path.append(path[-1] - lr * outer_gradient(learner, episodes, path[-1]))
    return np.array(path)


def inner_paths(learner, episodes: Episodes, point) -> np.ndarray:
    """(n_steps + 1, n_tasks, 2): slopes and levels on the way down."""
    put(learner, point)
    theta = {k: v.detach() for k, v in learner.own_start(episodes.support).items()}
    path = []
    for _ in range(INNER["inner_steps"] + 1):
        theta = {name: value.clone().requires_grad_() for name, value in theta.items()}
        now = torch.cat([theta["head.weight"][:, 0], theta["head.bias"]], dim=1)
        path.append(now.detach().numpy())
        loss = learner.support_loss(theta, episodes.support).sum()
        slopes = torch.autograd.grad(loss, list(theta.values()))
        theta = {
            name: value.detach() - INNER["inner_lr"] * slope
            for (name, value), slope in zip(theta.items(), slopes, strict=True)
        }
    return np.array(path)


def draw_inner(ax, episodes: Episodes, point) -> None:
    """Steps of one task of each kind, and the outer gradient that it asks for."""
    kinds = {
        "wide": (0, "o", (-7, -2), "right"),
        "narrow": (1, "s", (7, 2), "left"),
    }
    path = inner_paths(METHODS["MAML"][0], episodes, point)
    for name, (index, mark, offset, side) in kinds.items():
        own = Episodes(
            *(Rows(*(p[index : index + 1] for p in r[:3]), 0) for r in episodes)
        )
        ax.plot(*path[:, index].T, mark + "-", color="black", ms=4, lw=1)
        place = {"xytext": offset, "textcoords": "offset points", "ha": side}
        ax.annotate(f"{name} task", path[-1, index], **place)
        for method in ("first order", "MAML"):
            learner, *_, colour = METHODS[method]
            step = -0.25 * outer_gradient(learner, own, point)
            arrow = {
                "arrowstyle": "-|>",
                "color": colour,
                "lw": 2,
                "mutation_scale": 13,
            }
            ax.annotate("", point + step, xytext=point, arrowprops=arrow)
            ax.plot([], [], color=colour, label=method if index == 0 else None, lw=2)
    ax.set(title="Five inner steps, and the outer step they ask for")
    ax.legend(loc="upper right", title="outer step")


def draw_outer(ax, episodes: Episodes) -> None:
    """The loss after adaptation, and where each method goes."""
    slopes, levels = np.linspace(-1.3, 2.0, 34), np.linspace(-2.3, 1.3, 34)
    learner = METHODS["MAML"][0]
    loss = np.empty((len(levels), len(slopes)))
    for i, level in enumerate(levels):
        for j, slope in enumerate(slopes):
            put(learner, (slope, level))
            with torch.no_grad():
                loss[i, j] = learner.meta_loss(episodes).mean()
    levels_drawn = loss.min() * np.array([1.02, 1.1, 1.3, 1.6, 2, 2.6, 3.4])
    ax.contour(slopes, levels, loss, levels_drawn, colors="#bbbbbb", linewidths=0.8)
    for name, (learner, lr, n_steps, colour) in METHODS.items():
        path = outer_path(learner, episodes, lr, n_steps)
        put(METHODS["MAML"][0], path[-1])
        after = METHODS["MAML"][0].meta_loss(episodes).mean().item()
        print(f"{name}: ends at {path[-1].round(2)}, loss after adaptation {after:.2f}")
        ax.plot(*path.T, color=colour, lw=1.5, label=f"{name}: {after:.2f}")
        ax.plot(*path[-1], "o", color=colour, ms=7)
    ax.set(title="Where it leads; contours: query loss after the steps")
    ax.legend(loc="upper left", title="query loss at its end", **ON_LINES)


def main() -> None:
    """Draw both halves."""
    torch.set_default_dtype(torch.float64)
    for learner, *_ in METHODS.values():
        learner.double()
    episodes = make_episodes()
    figure, (top, bottom) = new_figure(7.4, nrows=2)
    draw_inner(top, episodes, np.array([0.4, -0.2]))
    draw_outer(bottom, episodes)
    for ax in (top, bottom):
        ax.set(xlabel="slope w", ylabel="level b")
    save(figure, __file__)


if __name__ == "__main__":
    main()
