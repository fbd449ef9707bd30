"""
Recommending films to a new viewer
==================================

A recommender knows nothing of who has just arrived. Each viewer is a task of their own,
and from five ratings a model that was learned from other viewers says what else they
will like. Among viewers generated here, a mixed model with a covariance of low rank,
which is matrix factorisation in other words, beats the films' means and the taste of
the nearest viewers. They are of the family that suits it; real ratings can be put in
their place.
"""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

import os
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.impute import KNNImputer
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from sklmeta import BayesianLinearRegressor, MixedModelRegressor, PerTask, Pooled
from sklmeta.comparing import compare

N_VIEWERS = 300  # two thirds of them are old ones
N_FILMS = 60
SHOTS = [0, 1, 2, 5, 10]
MAX_ITER = 500
N_TASTES = 4
N_NEIGHBOURS = 30

# %%
# The ratings
# -----------
# MovieLens may not be passed on. Who has it (``ml-latest-small``, say) names its folder
# in the environment variable ``MOVIELENS``, and the films rated most often are taken.
# Without it viewers are generated: their ratings are what is thought of a film, their
# mood, and three tastes of theirs for three traits of the film, rounded to half stars.
# They choose what is popular and what they like. A row is a rating, its one column the
# number of the film.


def generated(rng):
    traits = rng.normal(size=(3, N_FILMS))
    taste = rng.normal(size=(N_VIEWERS, 3)) * [0.6, 0.4, 0.3]
    quality, mood = rng.normal(3.4, 0.4, N_FILMS), rng.normal(0, 0.4, (N_VIEWERS, 1))
    liking = quality + mood + taste @ traits
    liking += rng.normal(0, 0.6, liking.shape)
    chance = 0.3 * liking + rng.normal(0, 0.8, N_FILMS) + rng.gumbel(size=liking.shape)
    n_rated = rng.integers(20, N_FILMS - 10, (N_VIEWERS, 1))
    viewer, film = np.nonzero(chance.argsort(1).argsort(1) >= N_FILMS - n_rated)
    stars = np.clip(np.round(2 * liking[viewer, film]) / 2, 0.5, 5)
    return film, stars, viewer


def movielens(folder, rng):
    ratings = pd.read_csv(Path(folder) / "ratings.csv")
    often = ratings["movieId"].value_counts().index[:N_FILMS]
    ratings = ratings[ratings["movieId"].isin(often)]
    count = ratings["userId"].value_counts()
    chosen = rng.permutation(count.index[count >= 20].sort_values())[:N_VIEWERS]
    ratings = ratings[ratings["userId"].isin(chosen)]
    film = often.get_indexer(ratings["movieId"])
    viewer = pd.Index(chosen).get_indexer(ratings["userId"])
    return film, ratings["rating"].to_numpy(), viewer


rng, folder = np.random.default_rng(0), os.environ.get("MOVIELENS")
film, stars, viewer = movielens(folder, rng) if folder else generated(rng)
print("Ratings of MovieLens." if folder else "MOVIELENS is not set: made-up viewers.")
X, n_old = film[:, None], 2 * (viewer.max() + 1) // 3
old = viewer < n_old

# %%
# The candidates
# --------------
# With a column for each film, a viewer's coefficients are what this viewer thinks of
# every film beside the mean. Their covariance, which the mixed model learns, says who
# likes this likes that; as many factors as there are tastes suffice for it. A Bayesian
# linear model learns such a prior by episodes. Then there is what is done without
# learning how viewers differ: the film's mean, the same with an offset for the viewer,
# which a random intercept keeps in bounds, and the old viewers whose ratings are
# nearest.


class Neighbours(RegressorMixin, BaseEstimator):
    """What those old viewers gave a film who are nearest to this one."""

    def __init__(self, table, n_neighbors):
        self.table = table
        self.n_neighbors = n_neighbors

    def fit(self, X, y):
        usual = np.nanmean(self.table, axis=0)
        row = np.full((1, len(usual)), np.nan)
        row[0, X[:, 0]] = y - usual[X[:, 0]]
        imputer = KNNImputer(n_neighbors=self.n_neighbors)
        self.stars_ = usual + imputer.fit(self.table - usual).transform(row)[0]
        return self

    def predict(self, X):
        return self.stars_[X[:, 0]]


def of_films(estimator):
    films = [np.arange(N_FILMS)]
    return make_pipeline(
        OneHotEncoder(categories=films, sparse_output=False), estimator
    )


table = np.full((n_old, N_FILMS), np.nan)
table[viewer[old], film[old]] = stars[old]
low_rank = MixedModelRegressor(covariance="low_rank", rank=N_TASTES, tol=1e-6)
by_episodes = BayesianLinearRegressor(
    hidden_layer_sizes=(),
    meta_batch_size=16,
    max_iter=MAX_ITER,
    early_stopping=False,
    random_state=0,
)
candidates = {
    "low-rank mixed model": of_films(low_rank),
    "prior by episodes": of_films(by_episodes),
    "film's mean": of_films(Pooled(Ridge())),
    "film's mean + offset": of_films(Pooled(Ridge(), support="offset")),
    "random intercept": of_films(MixedModelRegressor(random_slopes="none")),
    "nearest viewers": PerTask(Neighbours(table, N_NEIGHBOURS)),
}

# %%
# The comparison
# --------------
# Beside the error we look at what is wanted of a recommender: how many stars the five
# films get, among those not yet shown to it, that it would have recommended.


def stars_of_five(y_true, y_pred):
    return y_true[np.argsort(-y_pred, kind="stable")[:5]].mean()


split = [(np.flatnonzero(old), np.flatnonzero(~old))]
result = compare(
    candidates,
    X,
    stars,
    viewer,
    shots=SHOTS,
    cv=split,
    n_draws=1,
    n_jobs=1,
    scoring=["rmse", stars_of_five],
    verbose=0,
)
print(result)

# %%
# Means over the new viewers, with 95 % intervals for the mixed model. An offset makes
# much of a single rating; a learned one knows how little that says.

first = "low-rank mixed model"
figure, axes = plt.subplots(1, 2, figsize=(7, 4.2), layout="constrained")
looks = ["o-", "s-", "v:", "^:", "D:", "x--"]
colours = ["k", "tab:blue", "0.6", "tab:pink", "tab:purple", "tab:orange"]
for axis, part in zip(axes, result.by_metric.values(), strict=True):
    scores = [part.table(shots) for shots in SHOTS]
    for name, look, colour in zip(candidates, looks, colours, strict=True):
        means = [score.loc[name, "mean"] for score in scores]
        since = int(name == "nearest viewers")  # there are none before a rating
        places = range(since, len(SHOTS))
        axis.plot(places, means[since:], look, color=colour, ms=5, label=name)
    low, high = ([score.loc[first, end] for score in scores] for end in ("low", "high"))
    axis.fill_between(range(len(SHOTS)), low, high, color="k", alpha=0.1, lw=0)
    axis.set_xticks(range(len(SHOTS)), labels=SHOTS)
    axis.set(xlabel="ratings of the new viewer")
axes[0].set(ylabel="RMSE, stars (less is better)")
axes[1].set(ylabel="stars of the five recommended")
figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
plt.show()

baselines = list(candidates)[2:]
for name, part in result.by_metric.items():
    leader = part.leader(5, among=baselines)
    gain = part.paired(first, leader, 5)
    print(
        f"{name} from five ratings: the {first} is {gain.mean:+.2f} stars "
        f"from the best baseline, {leader} (95 %: {gain.low:+.2f} to {gain.high:+.2f})."
    )
