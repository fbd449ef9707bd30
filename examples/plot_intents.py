"""
New intents from five sentences each
====================================

An assistant is to learn five new intents, "book a table" or "how do you say", from a
few sentences of each. One pipeline goes from text to prediction: words become numbers
and numbers an embedding, both learned on other intents, and ``adapt`` is told what the
new ones are. On CLINC150 it is far ahead of what one would do with the new sentences
alone; linear discriminants of the old intents, a baseline in closed form, are as good,
and learned in no time.
"""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

import inspect
import re
import tempfile
import textwrap

import matplotlib.pyplot as plt
import numpy as np
from scipy.stats import binomtest
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.utils.discovery import all_estimators

from sklmeta import (
    LDABaseline,
    NearestCentroidBaseline,
    PerTask,
    ProtoNetClassifier,
    adapted,
)
from sklmeta.comparing import compare
from sklmeta.datasets import DatasetNotFoundError, fetch_clinc150
from sklmeta.inspection import ShotCurveDisplay

N_WAY = 5
N_NEW = 15
MAX_ITER = 500
N_COMPONENTS = 200
SHOTS = [1, 2, 5, 10]
N_DRAWS = 3
rng = np.random.default_rng(0)

# %%
# The sentences
# -------------
# CLINC150 has a hundred sentences for each of 150 things that one says to an assistant.
# Without it the example reads what is there wherever scikit-learn is: the sentences of
# its documentation, and asks of which estimator one speaks.


def sentences_of_scikit_learn():
    rows = {}
    for name, estimator in all_estimators():
        text = re.sub(r"\s+", " ", inspect.getdoc(estimator).split("Examples\n")[0])
        for sentence in re.split(r"(?<=[a-z)`])\. ", text):
            rows.setdefault(sentence, []).append(name)
    own = {text: names[0] for text, names in rows.items() if len(names) == 1}
    X, y = np.array(list(own), dtype=object), np.array(list(own.values()))
    names, counts = np.unique(y, return_counts=True)
    often = np.isin(y, names[counts > 15])
    return X[often], y[often]


try:
    X, y, _ = fetch_clinc150(
        subset="train", return_X_y_task=True, download_if_missing=False
    )
except DatasetNotFoundError:
    X, y = sentences_of_scikit_learn()
    print("No CLINC150 (see `fetch_clinc150`): sentences from scikit-learn's pages.")

# %%
# Some intents, drawn at random, are new: five at a time are a task. All others are one
# table to learn from.

intents = rng.permutation(np.unique(y))
n_new = min(N_NEW, len(intents) // N_WAY // 2)
task_of = dict.fromkeys(intents, "old")
for i in range(n_new):
    names = intents[i * N_WAY : (i + 1) * N_WAY]
    task_of.update(dict.fromkeys(names, f"new {i}"))
task = np.array([task_of[name] for name in y])
old, new = np.flatnonzero(task == "old"), np.flatnonzero(task != "old")
print(f"{len(intents) - n_new * N_WAY} old intents, {n_new} tasks of {N_WAY} new ones")

# %%
# From text to prediction
# -----------------------
# Whatever is learned, the vocabulary as well, is learned from the old intents. The
# first steps are the same for all candidates, so scikit-learn's ``memory`` has them
# done once. By default prototypes start from the same discriminants as the baseline:
# what is left between them is what meta-training adds.

folder = tempfile.TemporaryDirectory()


def from_text(estimator):
    words = TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True)
    directions = TruncatedSVD(N_COMPONENTS, n_iter=2, random_state=0)
    return make_pipeline(words, directions, estimator, memory=folder.name)


prototypes = from_text(
    ProtoNetClassifier(
        n_way=N_WAY,
        n_shots=(1, 5),
        n_query=5,
        max_iter=MAX_ITER,
        early_stopping=False,
        random_state=0,
    )
)
prototypes.fit(X[old], y[old])
own = LogisticRegression(C=10, max_iter=1000)
candidates = {
    "prototypes": FrozenEstimator(prototypes),  # fitted is fitted
    "discriminants": from_text(LDABaseline(shared_classes=False)),
    "own logistic": from_text(PerTask(own, shared_classes=False)),
    "nearest centroid": from_text(NearestCentroidBaseline(shared_classes=False)),
}
how = {"shots": SHOTS, "cv": [(old, new)], "n_draws": N_DRAWS}
result = compare(candidates, X, y, task, **how, n_jobs=1, verbose=0)
print(result)

# %%
# From five sentences each
# ------------------------
# `adapted` gives a copy of the whole pipeline that knows the new intents; sentences go
# in, probabilities come out. A network is too sure of itself on classes that it was not
# trained on: all new tasks but the first tell it by how much. Of the first it reads ten
# sentences that it was not shown.

others = np.flatnonzero(~np.isin(task, ["old", "new 0"]))
numbers = prototypes[:-1].transform(X[others])
prototypes[-1].calibrate(numbers, y[others], task[others], shots=5, n_draws=1)

rows = rng.permutation(np.flatnonzero(task == "new 0"))
place = np.zeros(len(rows), dtype=int)
for name in np.unique(y[rows]):
    place[y[rows] == name] = np.arange((y[rows] == name).sum())
shown, asked = rows[place < 5], rows[(place >= 5) & (place < 7)]
asked = asked[np.argsort(y[asked])]
model = adapted(prototypes, X[shown], y[shown])
probability = model.predict_proba(X[asked])

# %%
# And sentiment?
# --------------
# Is a customer pleased or annoyed? That is no intent, but it is two classes of
# sentences, and a few of each are quickly written. What was learned here is which words
# tell intents apart, and few of these say what anybody feels: do not expect much.

pleased = """\
thank you that was a great help
wonderful service and so friendly
i love how easy this is
perfect exactly what i wanted
you are the best i am so happy
this is awesome thanks a lot
i am really pleased with my new card
great job everything works fine now
what a nice and quick answer
the food was delicious and the staff lovely""".splitlines()
annoyed = """\
this is terrible and nobody helps me
i hate waiting this long for an answer
worst service i have ever had
it does not work again i am angry
you got my order wrong and do not care
i am really upset about my new card
what a horrible experience
the food was cold and the staff rude
this is useless and far too slow
never again i want my money back""".splitlines()
first = np.array(pleased[:5] + annoyed[:5], dtype=object)
later = np.array(pleased[5:] + annoyed[5:], dtype=object)
feeling = np.repeat(["pleased", "annoyed"], 5)
right = int((adapted(prototypes, first, feeling).predict(later) == feeling).sum())
chance = binomtest(right, len(later)).proportion_ci()
print(
    f"Sentiment: {right} of {len(later)} sentences are right "
    f"(95 %: {chance.low:.0%} to {chance.high:.0%}; a coin has 50 %)."
)

# %%
# What the picture shows
# ----------------------
# Above, all new tasks, by how many sentences of each class there are. Below, what the
# adapted pipeline makes of ten sentences, the darker the surer; a ring is the truth.

figure, (above, below) = plt.subplots(
    2, 1, figsize=(7, 7.5), layout="constrained", height_ratios=[3, 4]
)
ShotCurveDisplay.from_comparison(result, highlight=list(candidates)[:3], ax=above)
above.legend(loc="lower right", fontsize=9)
above.set_title(f"{n_new} tasks of {N_WAY} new classes", fontsize=11)
below.imshow(probability, cmap="Blues", vmin=0, vmax=1.2, aspect="auto")
truth = np.searchsorted(model.classes_, y[asked])
below.scatter(truth, range(len(asked)), s=120, fc="none", ec="tab:orange", lw=2)
names = [textwrap.fill(str(name).replace("_", " "), 10) for name in model.classes_]
below.set_xticks(range(len(names)), labels=names, fontsize=9)
lines = [textwrap.shorten(text, 42, placeholder=" ...") for text in X[asked]]
below.set_yticks(range(len(asked)), labels=lines, fontsize=9)
below.set_title("Read after five sentences of each", fontsize=11)
plt.show()
folder.cleanup()

for shots in SHOTS:
    best = result.leader(shots, among=list(candidates)[1:])
    gain = result.paired("prototypes", best, shots)
    print(
        f"From {shots} of each: prototypes {gain.mean:+.3f} from the best baseline, "
        f"{best} (95 %: {gain.low:+.3f} to {gain.high:+.3f})."
    )
