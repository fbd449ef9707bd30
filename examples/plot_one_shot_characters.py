"""
One-shot characters of a new alphabet
=====================================

Twenty characters of an alphabet never seen, one drawing of each: which of them is the
next drawing? And, of two drawings, are they of one character? Prototypes answer the
first question and a Siamese network the second, both in an embedding learned on other
alphabets. With Omniglot's thirty of these both are far ahead of pixels and of linear
discriminants, and the prototypes' embedding is the better one for both questions. With
five digits to learn from, which is the stand-in, pixels win.
"""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.offsetbox import AnnotationBbox, OffsetImage
from sklearn.datasets import load_digits
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from sklmeta import LDABaseline, PerTask, ProtoNetClassifier, SiameseClassifier
from sklmeta.comparing import compare
from sklmeta.datasets import DatasetNotFoundError, fetch_omniglot
from sklmeta.encoders import Conv4
from sklmeta.inspection import EmbeddingDisplay

MAX_ITER = 400
N_WAY = 20
SHOTS = [1, 5]
N_DRAWS = 2
N_PAIRS = 200
IMAGE_SIZE = 20
DATA_HOME = None  # the folder of the data; None: as `fetch_omniglot` looks for it
rng = np.random.default_rng(0)

# %%
# The characters
# --------------
# Omniglot has 30 alphabets to learn from and 20 others. An alphabet is a task, its
# characters are classes of its own. (Without the data the example takes the digits of
# scikit-learn: it learns from 0 to 4 and is asked about 5 to 9. Five classes are very
# few to learn from what makes two drawings the same.)

try:
    how = {"image_size": IMAGE_SIZE, "data_home": DATA_HOME}
    how |= {"download_if_missing": False}
    old, new = (fetch_omniglot(subset=s, **how) for s in ("background", "evaluation"))
    X_old, y_old, alphabet_old = old.data, old.target, old.task
    X_new, y_new, alphabet_new = new.data, new.target, new.task
except DatasetNotFoundError:
    digits = load_digits()
    images = np.kron(digits.images[:, None] / 16, np.ones((2, 2))).astype(np.float32)
    # Two halves of the drawings, for there to be two tasks of either kind.
    half = np.where(np.arange(len(images)) % 2, "odd", "even")
    seen = digits.target < 5
    X_old, y_old, alphabet_old = images[seen], digits.target[seen], half[seen]
    X_new, y_new, alphabet_new = images[~seen], digits.target[~seen], half[~seen]
    N_WAY = 5
    print(
        "No Omniglot (see `fetch_omniglot`): digits, five to learn from and five new."
    )

# %%
# Of each new alphabet we ask about 20 characters, drawn at random.

kept = []
for name in np.unique(alphabet_new):
    classes = np.unique(y_new[alphabet_new == name])
    asked = rng.choice(classes, N_WAY, replace=False)
    kept.append((alphabet_new == name) & np.isin(y_new, asked))
kept = np.any(kept, axis=0)
X_new, y_new, alphabet_new = X_new[kept], y_new[kept], alphabet_new[kept]
print(f"{len(np.unique(alphabet_new))} new alphabets, {N_WAY} characters of each")

# %%
# Which character is it?
# ----------------------
# Training is what the test is, on other alphabets: 20 characters of one alphabet, a
# drawing of each to adapt to. The embedding is four small convolutions.

network = {
    "module": Conv4,
    "module_params": {"n_filters": 32},
    "n_way": N_WAY,
    "n_shots": 1,
    "n_query": 5,
    "meta_batch_size": 1,
    "lr": 2e-3,
    "max_iter": MAX_ITER,
    "early_stopping": False,
    "random_state": 0,
}
prototypes = ProtoNetClassifier(**network)
prototypes.fit(X_old, y_old, task=alphabet_old)
siamese = SiameseClassifier(loss="contrastive", **network)
siamese.fit(X_old, y_old, task=alphabet_old)

# %%
# They are fitted, and `compare` need not do it again: what is frozen stays as it is.

flat = FunctionTransformer(lambda X: X.reshape(len(X), -1))
nearest = PerTask(KNeighborsClassifier(1), shared_classes=False)
candidates = {
    "prototypes": FrozenEstimator(prototypes),
    "Siamese": FrozenEstimator(siamese),
    "discriminants": make_pipeline(flat, LDABaseline(shared_classes=False)),
    "nearest in pixels": make_pipeline(flat, nearest),
}
X, y = np.concatenate([X_old, X_new]), np.concatenate([y_old, y_new])
alphabet = np.concatenate([np.char.add("old ", alphabet_old), alphabet_new])
split = [np.split(np.arange(len(X)), [len(X_old)])]
how = {"shots": SHOTS, "cv": split, "n_draws": N_DRAWS, "n_jobs": 1, "verbose": 0}
result = compare(candidates, X, y, alphabet, **how)
print(result)

# %%
# Are they of one character?
# --------------------------
# Pairs of drawings of one alphabet, half of them of one character. Nothing is adapted,
# no character of the alphabet needs to be known. The Siamese network was trained for
# this, and has a threshold; any embedding has distances. (The loss is the contrastive
# one, which was ahead of the default on some of the old alphabets.) The table is a mean
# over alphabets, with its 95 % interval.


def draw_pairs(name):
    rows = np.flatnonzero(alphabet_new == name)
    first, second = rng.permutation(rows), rng.permutation(rows)
    same = np.arange(len(rows)) % 2 == 0
    for i, row in enumerate(first):
        fits = (y_new[rows] == y_new[row]) == same[i]
        second[i] = rng.choice(rows[fits & (rows != row)])
    return first[:N_PAIRS], second[:N_PAIRS], same[:N_PAIRS]


pairs = [draw_pairs(name) for name in np.unique(alphabet_new)]
spaces = {"prototypes": prototypes.transform(X_new), "pixels": flat.transform(X_new)}
areas, answers, alike = [], [], []
for first, second, same in pairs:
    score = siamese.pair_score(X_new[first], X_new[second])
    answers.append(siamese.predict_pairs(X_new[first], X_new[second]) == same)
    area = {"Siamese": roc_auc_score(same, score)}
    for name, Z in spaces.items():
        area[name] = roc_auc_score(same, -np.square(Z[first] - Z[second]).sum(1))
    areas.append(area)
    alike.append(score)
areas = pd.DataFrame(areas)
table = pd.DataFrame({"area under ROC": areas.mean(), "+-": 1.96 * areas.sem()})
print(table.sort_values("area under ROC").round(3))
print(f"Siamese threshold: {np.mean(np.concatenate(answers)):.0%} of pairs are right.")

# %%
# What the picture shows
# ----------------------
# Left, ten characters of a new alphabet where the prototypes' embedding has them: a
# point is a drawing, and the ink is one of them, up and left of their middle. Right,
# what the Siamese network thinks of pairs.

figure, (left, right) = plt.subplots(
    1, 2, figsize=(8, 4.6), layout="constrained", width_ratios=[3, 2]
)
name = np.unique(alphabet_new)[-1]
some = np.unique(y_new[alphabet_new == name])[:10]
rows = np.flatnonzero(np.isin(y_new, some) & (alphabet_new == name))
embedding = EmbeddingDisplay.from_estimator(
    prototypes, X_new[rows], y_new[rows], of="rows", method="tsne", ax=left
)
left.get_legend().remove()
for character in some:
    own = y_new[rows] == character
    middle = embedding.points[own].mean(axis=0)
    ink = OffsetImage(X_new[rows[own][0], 0], zoom=1.1, cmap="Greys")
    corner = {"xybox": (-20, 20), "boxcoords": "offset points", "pad": 0}
    left.add_artist(AnnotationBbox(ink, middle, **corner))
left.set_title(f"{name}: {len(some)} new characters", fontsize=11)
score, same = np.concatenate(alike), np.concatenate([s for *_, s in pairs])
look = {"bins": np.linspace(0, 1, 21), "histtype": "step", "lw": 2}
right.hist(score[~same], color="tab:orange", label="two characters", **look)
right.hist(score[same], color="tab:blue", label="one character", **look)
right.set(xlabel="probability of one character", ylabel="pairs")
right.set_title("Siamese: one or two?", fontsize=11)
right.legend(fontsize=9)
plt.show()

print(f"Best at pairs: {areas.mean().idxmax()}.")
first = SHOTS[0]
best = result.leader(first, among=["discriminants", "nearest in pixels"])
for learned in ("prototypes", "Siamese"):
    gain = result.paired(learned, best, first)
    print(
        f"From {first} drawing of each: {learned} {gain.mean:+.3f} from the best "
        f"baseline, {best} (95 %: {gain.low:+.3f} to {gain.high:+.3f})."
    )
