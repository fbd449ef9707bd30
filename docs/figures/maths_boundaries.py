"""Draw the boundaries of prototypes, and of attention, on the same support.

``python docs/figures/maths_boundaries.py`` writes the figure beside this file. The
encoder is the identity, so that what is seen is the comparison alone; one of the three
classes lies in two places.
"""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import numpy as np
import torch
from maths_style import BLUE, GREEN, ORANGE, new_figure, save
from torch import nn

from sklmeta.episodes.rows import Rows
from sklmeta.learners.task_spec import TaskSpec
from sklmeta.metric_based.matching import MatchingLearner
from sklmeta.metric_based.prototypical import PrototypicalLearner

CENTRES = [(-2.0, 1.5), (2.0, 1.5), (0.0, -2.0), (0.2, 4.2)]
CLASSES = [0, 1, 2, 2]
N_ROWS = 5
COLOURS, MARKS = (BLUE, ORANGE, GREEN), "osD"
GRID = np.linspace(-4.5, 4.5, 70), np.linspace(-4.0, 6.5, 70)


def make_support() -> Rows:
    """Some rows around each centre."""
    rng = np.random.default_rng(1)
    X = np.repeat(CENTRES, N_ROWS, axis=0)
    X = X + 0.7 * rng.normal(size=X.shape)
    y = torch.tensor(np.repeat(CLASSES, N_ROWS))[None]
    return Rows(torch.tensor(X)[None].float(), y, torch.ones(1, len(X)), 3)


def draw(ax, learner, support: Rows) -> None:
    """The regions of the classes, and the support."""
    with torch.no_grad():
        learner.log_scale.zero_()
        grid = torch.tensor(np.stack(np.meshgrid(*GRID), axis=-1)).float()
        state = learner.adapt(support)
        logits = learner.predict(state, grid.reshape(1, -1, 2))[0]
    logits = logits.reshape(*grid.shape[:2], 3).numpy()
    for k, (colour, mark) in enumerate(zip(COLOURS, MARKS, strict=True)):
        lead = logits[..., k] - np.delete(logits, k, axis=-1).max(axis=-1)
        ax.contourf(*GRID, lead, [0, np.inf], colors=[colour], alpha=0.15)
        ax.contour(*GRID, lead, [0], colors="#555555", linewidths=0.8)
        rows = support.X[0, support.y[0] == k]
        ax.plot(*rows.T, mark, color=colour, ms=4)
        if "prototypes" in state:
            ax.plot(
                *state["prototypes"][0, 0, k], "*", color=colour, ms=15, mec="white"
            )


def main() -> None:
    """Draw both."""
    figure, axes = new_figure(3.1, ncols=2, sharey=True)
    support = make_support()
    spec = TaskSpec("own", (2,), 2, 0)
    draw(axes[0], PrototypicalLearner(spec, nn.Identity()), support)
    draw(axes[1], MatchingLearner(spec, nn.Identity()), support)
    axes[0].set(title="Prototypes: lines", xlabel="first feature")
    axes[0].set(ylabel="second feature")
    axes[1].set(title="Attention to rows: curves", xlabel="first feature")
    save(figure, __file__)


if __name__ == "__main__":
    main()
