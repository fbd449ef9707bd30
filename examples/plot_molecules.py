"""
Molecules: a new assay, and the leak in the usual protocol
==========================================================

An assay asks of molecules whether they do one particular thing to a cell. Of a new
assay there are few measurements, but other assays have measured many molecules.
Usually an assay is held out while its molecules stay in the others. The best model is
then one that has learned nothing but remembers molecules. With molecules that no other
assay has measured it falls behind those that have learned something; on Tox21 a
prototypical network is ahead, by a little.
"""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline

from sklmeta import MixedModelClassifier, PerTask, Pooled, ProtoNetClassifier
from sklmeta.comparing import Comparison, compare
from sklmeta.datasets import DatasetNotFoundError, fetch_tox21

N_MOLECULES = 2500
N_ASSAYS = 12
N_FEATURES = 30
MAX_ITER = 100
N_DRAWS = 3
SHOTS = 20

# %%
# Molecules and assays
# --------------------
# Twelve assays of Tox21 (`fetch_tox21`), with all that each has measured. Where the
# data are not to be had, we make some up: molecules are strings of fragments, and it
# depends on these, on the assay, and on something of the molecule's own, whether one is
# active. In both, a molecule that is active in one assay is often so in another.

rng = np.random.default_rng(0)
FRAGMENTS = [
    *("C", "CC", "CO", "C=O", "N", "S", "Cl", "Br", "c1ccccc1", "C#N", "OC(C)C"),
    *("P", "F", "CN(C)C", "C1CCCC1"),
]


def measurements():
    try:
        data = fetch_tox21(disjoint=False, download_if_missing=False)
        return data.data, data.target, data.task
    except DatasetNotFoundError:
        print("Tox21 is not here: these are made-up molecules.")
    counts = rng.poisson(0.5, (N_MOLECULES, len(FRAGMENTS)))
    smiles = ["".join(np.repeat(FRAGMENTS, n)) + f"I{i}" for i, n in enumerate(counts)]
    shared, special = (rng.normal(0, 1, (len(FRAGMENTS), n)) for n in (1, 12))
    effects = shared + special
    own = rng.normal(0, 3, (N_MOLECULES, 1)) + rng.normal(0, 1, (N_MOLECULES, 12))
    score = counts @ effects + own
    active = np.where(score > np.quantile(score, 0.9, axis=0), "active", "inactive")
    names = np.tile([f"assay {i:02}" for i in range(12)], N_MOLECULES)
    return np.repeat(smiles, 12), active.ravel(), names


smiles, y, assay = measurements()
molecules, molecule = np.unique(smiles.astype(str), return_inverse=True)
order = rng.permutation(len(molecules))[:N_MOLECULES]
rows = np.isin(molecule, order)
molecule, y, assay = molecule[rows], y[rows], assay[rows]
active = pd.Series(y == "active")
elsewhere = active.groupby(molecule).transform("sum") - active > 0
print(
    f"{len(y)} measurements; {active.mean():.0%} of them are active, but of molecules"
)
print(f"that are active in another assay, too, {active[elsewhere].mean():.0%}.")

# %%
# Two ways of holding an assay out
# --------------------------------
# The rows to be predicted are the same: those of the new assay, of three tenths of the
# molecules. In the usual protocol the other assays have measured these molecules too,
# and four tenths more. Held out with its molecules, an assay leaves to the others the
# seven tenths that are not its own, so that there is as much to learn from.
# (``fetch_tox21(new_assay=...)`` deals the molecules out like this.)

letters = make_pipeline(
    TfidfVectorizer(analyzer="char", ngram_range=(1, 4), lowercase=False, min_df=3),
    TruncatedSVD(N_FEATURES, random_state=0),
)
X = letters.fit_transform(molecules)[molecule]  # sees no label
share = len(order) * 3 // 10
new = np.isin(molecule, order[:share])
others = {
    "usual": ~np.isin(molecule, order[-share:]),
    "disjoint": ~new,
}

# %%
# The models
# ----------
# Structures are written as text (SMILES), of which pieces of up to four letters are
# counted. The first model is one that does nothing but remember: the neighbours of a
# molecule are, first of all, itself. The area under the ROC curve is one half for a
# model that knows nothing.

training = {"n_shots": SHOTS // 2, "max_iter": MAX_ITER, "random_state": 0}
candidates = {
    "pooled neighbours": Pooled(KNeighborsClassifier(10, weights="distance")),
    "pooled logistic": Pooled(LogisticRegression()),
    "own logistic": PerTask(LogisticRegression()),
    "mixed model": MixedModelClassifier(random_slopes="none"),
    "prototypes": ProtoNetClassifier(**training),
}
results = {}
for name, train in others.items():
    folds = [
        [np.flatnonzero(train & (assay != a)), np.flatnonzero(new & (assay == a))]
        for a in np.unique(assay)[:N_ASSAYS]
    ]
    how = {"support": "stratified", "scoring": "roc_auc", "n_jobs": 1, "verbose": 0}
    how = {"shots": SHOTS, "cv": folds, "n_draws": N_DRAWS, **how}
    results[name] = compare(candidates, X, y, assay, **how)
    print(f"\n{name}: area under the curve from {SHOTS} molecules of a new assay")
    print(results[name].table(SHOTS)[["mean", "low", "high", "rank"]].round(3))

# %%
# What the leak is worth
# ----------------------
# An arrow goes from the usual protocol to that with new molecules. Intervals are over
# assays: these are few, and have molecules in common.

figure, axis = plt.subplots(figsize=(7, 4), layout="constrained")
means = pd.DataFrame({k: r.table(SHOTS)["mean"] for k, r in results.items()})
means = means.sort_values("usual")
for i, (usual, disjoint) in enumerate(means.to_numpy()):
    arrow = {"arrowstyle": "-|>", "color": "0.6", "shrinkA": 5, "shrinkB": 5}
    axis.annotate("", (disjoint, i), (usual, i), arrowprops=arrow)
for (name, result), (colour, marker) in zip(
    results.items(), [("tab:orange", "s"), ("tab:blue", "o")], strict=True
):
    table = result.table(SHOTS).loc[means.index]
    place = np.arange(len(table)) + (0.12 if name == "usual" else -0.12)
    axis.hlines(place, table["low"], table["high"], color=colour, alpha=0.4)
    axis.plot(table["mean"], range(len(table)), marker, color=colour, label=name)
axis.axvline(0.5, color="0.5", ls=":")
axis.set_yticks(range(len(means)), labels=means.index)
axis.set(xlabel=f"area under the ROC curve, {SHOTS} molecules of a new assay")
axis.legend(fontsize=9, title="the other assays' molecules", loc="lower right")
plt.show()

draws = [
    result.draws.assign(estimator=result.draws["estimator"] + ", " + name)
    for name, result in results.items()
]
together = Comparison(pd.concat(draws), metric="roc_auc")
for name in candidates:
    leak = together.paired(f"{name}, usual", f"{name}, disjoint", SHOTS)
    print(
        f"The leak lifts {name} by {leak.mean:.3f} ({leak.low:.3f} to {leak.high:.3f})."
    )
ranking = {k: r.leader(SHOTS) for k, r in results.items()}
print(
    f"The usual protocol would choose {ranking['usual']}; of molecules that no other "
    f"assay has, {ranking['disjoint']} knows most."
)
best = results["disjoint"].leader(SHOTS, among=list(candidates)[:3])
gain = results["disjoint"].paired("prototypes", best, SHOTS)
print(
    f"There prototypes are {gain.mean:+.3f} ({gain.low:+.3f} to {gain.high:+.3f}) from "
    f"the best baseline, {best}, on {N_ASSAYS} assays."
)
