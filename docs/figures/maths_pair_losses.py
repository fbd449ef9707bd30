"""Draw the losses of a pair of rows, and what the margin does to an embedding.

``python docs/figures/maths_pair_losses.py`` writes the figure beside this file, in a
minute: it trains a Siamese network with each of six margins, and three seeds.
"""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import numpy as np
from maths_style import BLUE, GREY, ORANGE, new_figure, save
from scipy.spatial.distance import cdist

from sklmeta import SiameseClassifier
from sklmeta.datasets import make_classification_tasks

MARGINS = (0.1, 0.25, 0.5, 1.0, 1.4, 2.0)
SEEDS = (0, 1, 2)
FURTHEST = 2**0.5
"""Between two embedded rows, of norm 1 and without negative entries."""


def draw_losses(ax) -> None:
    """Loss by distance, of pairs of one class and of two."""
    D = np.linspace(0, 2, 60)
    ax.plot(D, D**2, color=BLUE, label="same class")
    ax.plot(D, np.maximum(0, 1 - D) ** 2, color=ORANGE, label="two classes, margin 1")
    ax.plot(
        D,
        np.maximum(0, 0.5 - D) ** 2,
        color=ORANGE,
        ls="--",
        label="two classes, margin 0.5",
    )
    ax.set(title="The contrastive loss of a pair", xlabel="distance D", ylim=(0, 1.6))
    ax.set(ylabel="loss")
    ax.legend(loc="upper right")


def distances(embedded, y, task) -> tuple[np.ndarray, np.ndarray]:
    """Of all pairs of a task, of one class and of two."""
    same, other = [], []
    for own in np.unique(task):
        rows, labels = embedded[task == own], y[task == own]
        D, alike = cdist(rows, rows), labels[:, None] == labels
        same.append(D[alike & ~np.eye(len(rows), dtype=bool)])
        other.append(D[~alike])
    return np.concatenate(same), np.concatenate(other)


def train(margin: float, seed: int) -> tuple[float, float, float]:
    """Mean distances on new tasks, and the accuracy there from five rows a class."""
    X, y, task = make_classification_tasks(80, random_state=0)
    old = task < 60
    est = SiameseClassifier(
        loss="contrastive", margin=margin, n_way=5, max_iter=300, random_state=seed
    )
    est.fit(X[old], y[old], task=task[old])
    X, y, task = X[~old], y[~old], task[~old]
    same, other = distances(est.transform(X), y, task)
    return same.mean(), other.mean(), est.score(X, y, task=task, shots=5)


def draw_embeddings(ax) -> None:
    """Mean distances by the margin."""
    found = np.array([[train(m, seed) for seed in SEEDS] for m in MARGINS])
    same, other, accuracy = found.mean(axis=1).T
    for m, a, b, score in zip(MARGINS, same, other, accuracy, strict=True):
        print(f"margin {m}: {a:.2f}, {b:.2f}, accuracy {score:.3f}")
    ax.plot(MARGINS, other, "o-", color=ORANGE, label="pairs of two classes")
    ax.plot(MARGINS, same, "s-", color=BLUE, label="pairs of one class")
    ax.plot(MARGINS, MARGINS, ":", color=GREY, label="the margin")
    ax.axhline(FURTHEST, color=GREY, lw=0.8)
    ax.annotate("furthest apart that rows can be", (0.1, FURTHEST + 0.05), fontsize=9)
    ax.set(title="After training: mean distance in new tasks", xlabel="margin")
    ax.set(ylabel="distance D", ylim=(0, 2.7))
    ax.legend(loc="upper left")


def main() -> None:
    """Draw both halves."""
    figure, (top, bottom) = new_figure(6.0, nrows=2)
    draw_losses(top)
    draw_embeddings(bottom)
    save(figure, __file__)


if __name__ == "__main__":
    main()
