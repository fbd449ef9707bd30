"""
Calibrating a new thermometer from two points
=============================================

A thermistor's resistance falls with temperature, and how it falls differs from one to
the next. Here a new one is calibrated from a few points with what forty others have
taught. Their levels differ much more than their shapes, and this is what pooling cannot
bear: the example turns that difference up from nothing and watches. The physicists'
equation, given to a mixed model, is best of all.
"""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

import matplotlib.pyplot as plt
import numpy as np
from sklearn.compose import TransformedTargetRegressor
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from sklmeta import BayesianLinearRegressor, MixedModelRegressor, PerTask, Pooled
from sklmeta.comparing import compare

N_DEVICES = 40
N_NEW = 60
N_ROWS = 16
SHOTS = [1, 2, 3, 5]
SHIFTS = [0, 0.1, 0.3, 1]
MAX_ITER = 1000

# %%
# The devices
# -----------
# The temperature of a thermistor of L = log(R/Ω) is 1 / (A + B L + C L³) kelvin, as
# Steinhart and Hart found. Each device has constants of its own, and works within 30
# degrees of some middle. Whoever buys thermistors takes some of few ohms for the cold
# and of many for the heat, so that all of them have about ten kilohms where they work.
# ``shift=1`` is that habit, ``shift=0`` is one type for all, with a tolerance of 5 %.
# A device is a task, a row is a point of its calibration, good to a tenth of a degree.


def make_thermistors(shift, random_state=0):
    rng = np.random.default_rng(random_state)
    n = N_DEVICES + N_NEW
    middle = rng.uniform(0, 100, (n, 1))
    beta, cubic = rng.normal(3800, 150, (n, 1)), rng.normal(1e-7, 2e-8, (n, 1))
    usual = 0.035 * (middle - 50) + rng.normal(0, 0.3, (n, 1))
    at_25 = np.log(10_000) + rng.normal(0, 0.05, (n, 1)) + shift * usual
    slope = 1 / beta - 3 * cubic * at_25**2
    place = middle + rng.uniform(-30, 30, (n, N_ROWS))
    log_r = at_25 + beta * (1 / (place + 273.15) - 1 / 298.15)
    inverse = 1 / 298.15 + slope * (log_r - at_25) + cubic * (log_r**3 - at_25**3)
    y = 1 / inverse - 273.15 + rng.normal(0, 0.1, log_r.shape)
    return log_r.reshape(-1, 1), y.ravel(), np.repeat(np.arange(n), N_ROWS)


# %%
# The candidates
# --------------
# The equation is linear once the target is one over kelvin, for which
# ``TransformedTargetRegressor`` is made, and L and L³ are the columns. Three points
# determine its constants; the simpler Beta equation, without the cube, has two.


def of_inverse_kelvin(estimator):
    return TransformedTargetRegressor(
        estimator,
        func=lambda celsius: 1 / (celsius + 273.15),
        inverse_func=lambda inverse: 1 / inverse - 273.15,
    )


cubes = FunctionTransformer(lambda L: np.hstack([L, L**3]))
own = make_pipeline(cubes, StandardScaler(), LinearRegression())
boosting = HistGradientBoostingRegressor(random_state=0)
candidates = {
    "meta-learned network": BayesianLinearRegressor(
        n_shots=(1, 8), max_iter=MAX_ITER, early_stopping=False, random_state=0
    ),
    "Steinhart-Hart, mixed model": of_inverse_kelvin(
        make_pipeline(cubes, MixedModelRegressor())
    ),
    "Steinhart-Hart, own": PerTask(of_inverse_kelvin(own)),
    "Beta equation, own": PerTask(of_inverse_kelvin(LinearRegression())),
    "pooled boosting": Pooled(boosting),
    "pooled + offset": Pooled(boosting, support="offset"),
    "pooled, centred": Pooled(boosting, center=True),
}


def judge(shift, shots, names):
    X, y, device = make_thermistors(shift)
    split = [(np.flatnonzero(device < N_DEVICES), np.flatnonzero(device >= N_DEVICES))]
    chosen = {name: candidates[name] for name in names}
    return compare(chosen, X, y, device, shots=shots, cv=split, n_jobs=1, verbose=0)


result = judge(SHIFTS[-1], SHOTS, candidates)
print(result)

# %%
# What shifts of level do
# -----------------------
# Within each device a higher resistance means colder. Between devices it means little
# once resistances are matched to where they work, and a pooled model learns a muddle of
# both (black, left). An offset mends the level and leaves the wrong slope. Centring
# each device before pooling does not mind the shift, but takes one shape for all and
# forgets what levels say where they hardly differ. What learns over tasks learns from
# the devices it is shown how much of a level is the task's own, and its error hardly
# depends on how far apart they are.

looks = {
    "pooled boosting": ("0.5", "s-"),
    "pooled + offset": ("tab:orange", "s--"),
    "pooled, centred": ("tab:orange", "^-"),
    "Beta equation, own": ("tab:green", "v:"),
    "meta-learned network": ("tab:blue", "o-"),
    "Steinhart-Hart, mixed model": ("k", "x-"),
}
at = SHOTS[2]
sweep = [judge(shift, [at], looks).table(at)["mean"] for shift in SHIFTS]

figure, (left, right) = plt.subplots(1, 2, figsize=(7, 4.4), layout="constrained")
X, y, device = make_thermistors(SHIFTS[-1])
for i in range(N_DEVICES):
    rows = np.flatnonzero(device == i)
    rows = rows[X[rows, 0].argsort()]
    colour = plt.get_cmap("viridis")(np.clip(y[rows].mean() / 100, 0, 1))
    left.plot(np.exp(X[rows, 0]) / 1000, y[rows], color=colour, lw=1)
old = device < N_DEVICES
grid = np.linspace(X[old].min(), X[old].max(), 200)[:, None]
pooled = boosting.fit(X[old], y[old])
left.plot(np.exp(grid) / 1000, pooled.predict(grid), color="k", lw=2, label="pooled")
left.set(xscale="log", xlabel="resistance, kΩ", ylabel="temperature, °C")
left.set_xticks([1, 3, 10, 30], labels=["1", "3", "10", "30"])
left.set_title(f"{N_DEVICES} thermistors, colour by range", fontsize=11)
left.legend(fontsize=9)
for name, (colour, line) in looks.items():
    errors = [means[name] for means in sweep]
    right.plot(range(len(SHIFTS)), errors, line, color=colour, label=name)
right.set_xticks(range(len(SHIFTS)), labels=SHIFTS)
right.set(yscale="log", xlabel="shift of the levels", ylabel="RMSE, °C")
right.set_yticks([0.1, 0.3, 1, 3, 10, 30], labels=["0.1", "0.3", "1", "3", "10", "30"])
right.set_title(f"New devices from {at} points", fontsize=11)
figure.legend(*right.get_legend_handles_labels(), loc="outside lower center", ncols=2)
plt.show()

learned, baselines = list(candidates)[:2], list(candidates)[2:]
for shots in SHOTS:
    leader = result.leader(shots, among=baselines)
    best = result.leader(shots, among=learned)
    gain = result.paired(best, leader, shots)
    print(
        f"From {shots} point{'s' * (shots > 1)}: {best} is {gain.mean:+.2f} °C from "
        f"the best baseline, {leader} (95 %: {gain.low:+.2f} to {gain.high:+.2f})."
    )
