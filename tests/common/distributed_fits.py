"""Fits that one process makes, or several together; run by ``torchrun``."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

import os
import pickle
import sys
import warnings

import numpy as np
from torch import nn

from sklmeta import (
    BayesianLinearRegressor,
    MAMLRegressor,
    MatchingNetClassifier,
    ProtoNetClassifier,
)
from sklmeta.datasets import make_classification_tasks, make_linear_tasks

NUMBERS = make_linear_tasks(24, n_rows=10, random_state=0)
CLASSES = make_classification_tasks(12, n_way=3, shared_labels=True, random_state=0)
SMALL = {"hidden_layer_sizes": (8,), "random_state": 0, "meta_batch_size": 5}


class Unused(nn.Module):
    """Has a parameter without a gradient, and one less to optimise in each update."""

    def __init__(self, n_features_in):
        super().__init__()
        self.layer, self.idle = nn.Linear(n_features_in, 4), nn.Linear(2, 2)

    def forward(self, X):
        return self.layer(X)


CASES = {
    "by hand": (MAMLRegressor(max_iter=6, chunk_size=2, **SMALL), NUMBERS),
    "by autograd": (
        ProtoNetClassifier(max_iter=6, module=Unused, weight_decay=0.1, **SMALL),
        CLASSES,
    ),
    "whole meta-batch changed": (
        MatchingNetClassifier(max_iter=6, **{**SMALL, "meta_batch_size": 8}),
        CLASSES,
    ),
    "early stopping": (
        BayesianLinearRegressor(
            max_iter=105, start=None, early_stopping=True, n_iter_no_change=1, **SMALL
        ),
        NUMBERS,
    ),
    "folds": (
        BayesianLinearRegressor(
            max_iter=55, start=None, early_stopping="folds", **SMALL
        ),
        NUMBERS,
    ),
}


def learned(est):
    """Return the weights and the last loss in one row, and the number of updates."""
    weights = [np.ravel(w) for w in est._fitted.weights.values()]
    loss = [est.history_[-1]["train_loss"]]
    return np.concatenate([*weights, loss]).astype(float), est.n_iter_


def refusal(est, X, y, task):
    """Return what `fit` says against it."""
    try:
        est.fit(X, y, task=task)
    except ValueError as error:
        return str(error)
    return ""


def main(folder):
    """Fit all, in one of several processes; write down what comes out."""
    warnings.simplefilter("ignore")
    rank = int(os.environ["RANK"])
    found = {}
    for name, (est, (X, y, task)) in CASES.items():
        est.set_params(accelerator=True)
        found[name] = learned(est.fit(X, y, task=task))
    est, (X, y, task) = CASES["by hand"]
    # Each process has its own seed and folder, of which the main one's count.
    est.set_params(random_state=None, checkpoint_dir=f"{folder}/kept-{rank}")
    found["no seed"] = learned(est.fit(X, y, task=task))
    found["kept"] = learned(est.fit(X, y, task=task))
    est.set_params(max_iter=10**6, max_time=0.3, checkpoint_dir=None)
    found["in time"] = learned(est.fit(X, y, task=task))
    est.set_params(max_iter=2, max_time=None)
    found["other rows"] = refusal(est, X + rank, y, task)
    est.set_params(meta_batch_size=1)
    found["too few"] = refusal(est, X, y, task)
    with open(f"{folder}/{rank}.pickle", "wb") as file:
        pickle.dump(found, file)


if __name__ == "__main__":
    main(sys.argv[1])
