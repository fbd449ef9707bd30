"""
Grid search and nested cross-validation by task
===============================================

Settings are chosen for tasks that are yet to come, so a search has to hold out whole
tasks. Here a pipeline's settings are searched for in this way, and an outer
cross-validation, over tasks as well, judges the search as one more estimator beside
what one would do without meta-learning. All of it is scikit-learn's own: it runs in
parallel, and on a Dask cluster where there is one.
"""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

import time
from contextlib import contextmanager

import joblib
import matplotlib.pyplot as plt
import sklearn
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, WhiteKernel
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import SplineTransformer

from sklmeta import MixedModelRegressor, PerTask, Pooled
from sklmeta.comparing import compare
from sklmeta.datasets import make_pharmacokinetics
from sklmeta.model_selection import FewShotScorer, TaskKFold

N_PATIENTS = 120
N_KNOTS = [3, 4, 6, 9]
N_FOLDS = 5
N_DRAWS = 3
N_JOBS = 2
USE_DASK = False  # True needs `dask` (the extra of that name)
SHOTS = 3

# %%
# The tasks are generated patients after one dose of a drug: a dozen blood samples each,
# of which a new patient has given three. A mixed model is linear in the columns that it
# is given, so the pipeline bends time and dose into splines first. How many knots these
# have, and whether their coefficients differ between patients, is what we search for.

X, y, patient = make_pharmacokinetics(N_PATIENTS, random_state=0)

pipeline = make_pipeline(
    SplineTransformer(knots="quantile", degree=2), MixedModelRegressor()
)
grid = {
    "splinetransformer__n_knots": N_KNOTS,
    "mixedmodelregressor__random_slopes": ["none", "all"],
    "mixedmodelregressor__covariance": ["diagonal", "shrunk"],
}

# %%
# Where the work runs
# -------------------
# ``n_jobs=2`` starts processes through joblib and asks nothing else of a script. On a
# Dask cluster the same lines run inside ``joblib.parallel_config(backend="dask")``, and
# ``scatter`` sends the table to the workers once. The client below has its workers in
# threads of this process; for one that starts processes, put the calls of a script
# behind ``if __name__ == "__main__":``, as each of them imports the script.


@contextmanager
def workplace():
    if USE_DASK:
        from dask.distributed import Client

        with (
            Client(processes=False, n_workers=N_JOBS, threads_per_worker=1),
            joblib.parallel_config(backend="dask", scatter=[X, y, patient]),
        ):
            yield
    else:
        yield


# %%
# The search
# ----------
# `TaskKFold` keeps a patient whole. `FewShotScorer` adapts to three samples of each
# held-out patient and judges the rest of them. ``task=`` reaches both, and ``fit``, by
# scikit-learn's metadata routing. (With rows split at random every patient is on both
# sides; the scorer then warns that it is no new patient who is predicted.)

search = GridSearchCV(
    pipeline, grid, cv=TaskKFold(N_FOLDS), scoring=FewShotScorer(shots=SHOTS)
)
parallel = sklearn.clone(search).set_params(n_jobs=N_JOBS)
start = time.perf_counter()
with workplace(), sklearn.config_context(enable_metadata_routing=True):
    parallel.fit(X, y, task=patient)
results = parallel.cv_results_
n_fits = N_FOLDS * len(results["params"])
print(f"{n_fits} fits in {time.perf_counter() - start:.0f} s. The best settings:")
for name, value in parallel.best_params_.items():
    print(f"    {name} = {value}")
print(f"R² from {SHOTS} samples, on which they were chosen: {parallel.best_score_:.3f}")

# %%
# Judging the search: nested cross-validation
# -------------------------------------------
# The best of sixteen scores is a little too good, as it was chosen for being the best.
# What is honest is to hold patients out of the whole search. To `compare` a search is
# an estimator like any other: it opens the routing, fits the search to four fifths of
# the patients, and adapts what won to the others. Beside it stand the mixed model
# without splines, and what one would do without meta-learning.

time_and_dose = RBF([5.0, 5.0], (0.5, 1e3)) + WhiteKernel(0.1, (1e-2, 1e2))
own = GaussianProcessRegressor(time_and_dose, optimizer=None, normalize_y=True)
boosting = HistGradientBoostingRegressor(max_iter=100, random_state=0)
candidates = {
    "search": search,
    "no search, no splines": MixedModelRegressor(),
    "own Gaussian process": PerTask(own),
    "pooled boosting": Pooled(boosting),
    "pooled boosting + offset": Pooled(boosting, support="offset"),
}
with workplace():
    nested = compare(
        candidates,
        X,
        y,
        patient,
        shots=SHOTS,
        cv=TaskKFold(N_FOLDS, shuffle=True, random_state=0),
        n_draws=N_DRAWS,
        n_jobs=N_JOBS,
        verbose=0,
    )
print(nested)

# %%
# What the picture shows
# ----------------------
# Above is what the search saw: what knots bring, and what it brings to let the curves
# themselves differ between patients, not their levels alone. Below are the nested
# scores, of patients whom neither ``fit`` nor the search had seen.

figure, (above, below) = plt.subplots(2, 1, figsize=(6.5, 6.5), layout="constrained")
looks = {
    ("none", "diagonal"): ("levels differ", "tab:gray", "s--"),
    ("all", "diagonal"): ("curves differ, no correlations", "tab:orange", "^-"),
    ("all", "shrunk"): ("curves differ", "tab:blue", "o-"),
}
for (slopes, covariance), (label, colour, line) in looks.items():
    here = (results["param_mixedmodelregressor__random_slopes"] == slopes) & (
        results["param_mixedmodelregressor__covariance"] == covariance
    )
    scores = results["mean_test_score"][here]
    above.plot(N_KNOTS, scores, line, color=colour, label=label)
above.set(xlabel="knots of the spline", ylabel="R² on held-out patients")
above.set_title("What the search saw", fontsize=11)
above.legend(fontsize=9)

table = nested.table(SHOTS).iloc[::-1]
below.errorbar(
    table["mean"],
    table.index,
    xerr=[table["mean"] - table["low"], table["high"] - table["mean"]],
    fmt="o",
    color="tab:blue",
    capsize=3,
)
below.set(xlabel=f"RMSE, mg/L, from {SHOTS} samples (95 %)")
below.set_title("Nested: patients it never saw", fontsize=11)
below.margins(y=0.15)
plt.show()

baselines = [name for name in candidates if name not in list(candidates)[:2]]
best = nested.leader(SHOTS, among=baselines)
gain = nested.paired("search", best, SHOTS)
if gain.high < 0:
    print(
        f"From {SHOTS} samples the search is better than the best baseline ({best}) by "
        f"{-gain.mean:.2f} mg/L (95 % interval: {-gain.high:.2f} to {-gain.low:.2f})."
    )
else:
    print(f"Here the best baseline ({best}) may be as good as the search: use it.")
