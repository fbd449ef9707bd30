"""A new gas-sensor array, from six to twenty-four labelled readings."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from typing import Any

import numpy as np
import sklearn
from _report import compare, print_table, save
from sklearn.decomposition import PCA
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklmeta import (
    MAMLClassifier,
    PerTask,
    Pooled,
    ProtoNetClassifier,
    TransformerNeuralProcessClassifier,
    adapted,
)
from sklmeta.datasets import make_sensor_arrays

N_OLD, N_NEW = 100, 100
SHOWN = ("MAML", "own logistic regression", "pooled + offset")
MARKERS = "os^DvP"


def run() -> None:
    """Compare, print the table, draw a new device."""
    print("A new gas-sensor array")
    print(f"  {N_OLD} devices to learn from, {N_NEW} new ones, 60 readings each")
    X, y, device = make_sensor_arrays(N_OLD + N_NEW, random_state=0)
    old = device < N_OLD
    boosting = HistGradientBoostingClassifier(random_state=0)
    logistic = PerTask(LogisticRegression(max_iter=1000))
    models = {
        "MAML": MAMLClassifier(random_state=0),
        "prototypical network": ProtoNetClassifier(random_state=0),
        "transformer neural process": TransformerNeuralProcessClassifier(
            random_state=0
        ),
        "own logistic regression": make_pipeline(StandardScaler(), logistic),
        "pooled boosting": Pooled(boosting),
        "pooled + offset": Pooled(boosting, support="offset"),
        "centred pooled": Pooled(boosting, center=True),
    }
    scores, fitted = compare(models, X, y, device, old, shots=[6, 12, 24])
    accuracy = scores.groupby(["model", "shots"], sort=False).score.mean()
    print_table("Accuracy averaged over devices, higher is better", accuracy, "rows")
    draw(fitted, X, y, device)


def draw(fitted: dict[str, Any], X: Any, y: Any, device: Any) -> None:
    """Draw a typical new device: the labelled readings, and where each model errs."""
    from matplotlib import pyplot as plt

    devices = np.split(np.arange(len(y)), np.flatnonzero(np.diff(device)) + 1)[N_OLD:]
    supports = [one_of_each_first(rows, y, 12) for rows in devices]
    responses = {
        name: respond(fitted[name], np.concatenate(supports), X, y, device)
        for name in SHOWN
    }
    right = [[np.mean(r[0][i] == y[i]) for i in devices] for r in responses.values()]
    deviation = np.abs(right - np.mean(right, axis=1, keepdims=True)).sum(axis=0)
    typical = int(deviation.argmin())
    rows, support = devices[typical], supports[typical]
    query = np.setdiff1d(rows, support)
    position = np.zeros((len(y), 2))
    position[rows] = PCA(2).fit_transform(X[rows])
    figure, axes = plt.subplots(1, 3, figsize=(11, 4.2), sharex=True, sharey=True)
    for name, axis in zip(SHOWN, axes, strict=True):
        predicted, sure = responses[name]
        wrong = query[predicted[query] != y[query]]
        for i, gas in enumerate(np.unique(y)):
            style = {"marker": MARKERS[i], "color": f"C{i}"}
            few, others = support[y[support] == gas], query[y[query] == gas]
            axis.scatter(*position[few].T, s=75, ec="k", label=gas, zorder=3, **style)
            size = 8 + 40 * sure[others] ** 2
            axis.scatter(*position[others].T, s=size, alpha=0.5, **style)
        axis.scatter(*position[wrong].T, s=90, marker="x", c="k", lw=1.2, label="wrong")
        share = 1 - len(wrong) / len(query)
        axis.set(title=f"{name}: {share:.0%} right", xlabel="1st principal component")
    axes[0].set_ylabel("2nd principal component")
    figure.legend(*axes[0].get_legend_handles_labels(), ncol=7, loc="lower center")
    figure.suptitle(
        "A typical new gas-sensor array: 12 labelled readings (outlined), "
        "48 to tell apart (small: unsure)"
    )
    figure.tight_layout(rect=(0, 0.07, 1, 1))
    save(figure, "gas_sensors.png")
    plt.close(figure)


def respond(
    model: Any, support: np.ndarray, X: Any, y: Any, device: Any
) -> tuple[np.ndarray, np.ndarray]:
    """Adapt to all new devices at once; return every row's class and its probability.

    Rows of devices that are not adapted to are left at an empty class.
    """
    new = np.flatnonzero(device >= N_OLD)
    predicted, sure = np.zeros_like(y), np.zeros(len(y))
    with sklearn.config_context(enable_metadata_routing=True):
        now = adapted(model, X[support], y[support], task=device[support])
        probabilities = now.predict_proba(X[new], task=device[new])
    predicted[new] = now.classes_[probabilities.argmax(axis=1)]
    sure[new] = probabilities.max(axis=1)
    return predicted, sure


def one_of_each_first(rows: np.ndarray, y: np.ndarray, n: int) -> np.ndarray:
    """Choose `n` rows: the first of every class, then the first of the others."""
    _, first = np.unique(y[rows], return_index=True)
    rest = np.setdiff1d(np.arange(len(rows)), first)
    return rows[np.r_[first, rest][:n]]
