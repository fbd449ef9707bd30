"""
Sine waves: what each gradient step brings
==========================================

The figure of the MAML paper, and what stands beside it today. From ten points of a sine
wave, of an amplitude and a phase that nobody has told it, a network is to draw the
whole. The same network trained on all waves as one hardly leaves their mean in ten
gradient steps; from a start that MAML has learned one step is most of the way. A
learned last layer that is solved for gets as far without any, and whoever knows that
these are sines needs no meta-learning at all.
"""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, WhiteKernel
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from sklmeta import (
    FineTuneRegressor,
    MAMLRegressor,
    NeuralProcessRegressor,
    PerTask,
    RidgeHeadRegressor,
    adapted,
)
from sklmeta.datasets import make_sinusoids

N_OLD = 2000
N_NEW = 300
MAX_ITER_MAML = 2500
MAX_ITER_NEURAL_PROCESS = 1500
MAX_ITER = 1500
SHOTS = 10
STEPS = [0, 1, 2, 3, 5, 7, 10]

# %%
# The waves
# ---------
# Finn and others' family: amplitudes from 0.1 to 5, phases from 0 to π, no noise. A
# wave is a task. Models learn from twenty points of each old wave. Of each new one they
# are given ten, and judged on fifty others.

X, y, wave = make_sinusoids(N_OLD, n_rows=20, random_state=0)
X_new, y_new, new = make_sinusoids(N_NEW, n_rows=SHOTS + 50, random_state=1)
few = np.arange(len(y_new)) % (SHOTS + 50) < SHOTS

# %%
# The models
# ----------
# MAML is trained for five steps, with step sizes that are learned as well. The others:
# the same network trained on the points of all waves as one, and then tuned on the ten;
# a network whose last layer is solved for by ridge regression; and a neural process,
# which reads the ten points as a set and takes no step at all; it learns slowly, and
# would gain from more updates than a short example has. The mixed model from which the
# ridge head starts by default draws straight lines, so ``start=None`` leaves it out.
# What uses a wave's own points alone: a Gaussian process, and least squares by someone
# who knows that it is a sine.

network = {"hidden_layer_sizes": (40, 40), "random_state": 0}
maml = MAMLRegressor(
    **network,
    n_shots=SHOTS,
    n_query=10,
    inner_steps=5,
    learn_inner_lr=True,
    multi_step_loss=0.5,
    max_iter=MAX_ITER_MAML,
)
pretrained = FineTuneRegressor(**network, tune="all", max_iter=MAX_ITER)
sine = make_pipeline(
    FunctionTransformer(lambda x: np.hstack([np.sin(x), np.cos(x)])),
    LinearRegression(fit_intercept=False),
)
smooth = GaussianProcessRegressor(
    RBF(2.0) + WhiteKernel(1e-3), optimizer=None, normalize_y=True
)
solving = {
    "ridge head": RidgeHeadRegressor(
        **network, n_shots=SHOTS, start=None, early_stopping=False, max_iter=MAX_ITER
    ),
    "neural process": NeuralProcessRegressor(
        n_shots=SHOTS,
        aggregation="mean",
        lr=3e-3,
        max_iter=MAX_ITER_NEURAL_PROCESS,
        random_state=0,
    ),
    "own Gaussian process": PerTask(smooth),
    "own least squares, sine known": PerTask(sine),
}
for model in [maml, pretrained, *solving.values()]:
    model.fit(X, y, task=wave)

# %%
# The errors
# ----------
# One call of ``adapt`` is for all new waves. ``adapt_steps`` may be set after ``fit``:
# zero leaves the start as it is, and there may be more steps than were trained for.


def errors(model, **params):  # (n_new,)
    model.set_params(**params).adapt(X_new[few], y_new[few], task=new[few])
    off = model.predict(X_new[~few], task=new[~few]) - y_new[~few]
    return (off**2).reshape(N_NEW, -1).mean(axis=1)


stepping = {"MAML": maml, "pretrained on all": pretrained}
squares = {
    (name, steps): errors(model, adapt_steps=steps)
    for name, model in stepping.items()
    for steps in STEPS
}
squares |= {(name, ""): errors(model) for name, model in solving.items()}
squares = pd.DataFrame(squares, columns=pd.MultiIndex.from_tuples(squares))
table = pd.DataFrame({"MSE": squares.mean(), "± (95 %)": 1.96 * squares.sem()})
print(f"Mean squared error on {N_NEW} new waves, from {SHOTS} points each, by steps")
print(table.round(4))

# %%
# One wave, step by step
# ----------------------
# As in the paper all ten points lie on the left. What MAML draws on the right it knows
# from other waves. The pretrained network has the mean of all waves, and is slow to
# leave it.

rng = np.random.default_rng(1)
X_few, grid = rng.uniform(-5, 0, (SHOTS, 1)), np.linspace(-5, 5, 200)[:, None]
y_few, truth = (4 * np.sin(x[:, 0] - 1) for x in (X_few, grid))

figure, axes = plt.subplots(2, 2, figsize=(7, 5.6), layout="constrained")
for axis, (name, model) in zip(axes[0], stepping.items(), strict=True):
    for steps, colour in {0: "0.6", 1: "tab:orange", 10: "tab:blue"}.items():
        curve = adapted(model.set_params(adapt_steps=steps), X_few, y_few).predict(grid)
        axis.plot(grid, curve, color=colour, lw=2, label=f"steps: {steps}")
    axis.set_title(name, fontsize=11)
    each = table.loc[name, "MSE"]
    axes[1, 1].plot(each.index, each, "o-" if name == "MAML" else "s-", label=name)
for name, line in {"ridge head": "-", "neural process": "--"}.items():
    curve = adapted(solving[name], X_few, y_few).predict(grid)
    axes[1, 0].plot(grid, curve, line, color="tab:green", lw=2, label=name)
    level = table.loc[(name, ""), "MSE"]
    axes[1, 1].axhline(level, ls=line, color="tab:green", label=name)
axes[1, 0].set_title("without steps", fontsize=11)
for axis in [*axes[0], axes[1, 0]]:
    axis.plot(grid, truth, "k:", lw=1.5, label="truth")
    axis.plot(X_few, y_few, "k^", ms=5, label="ten points")
    axis.set(xlabel="x", ylabel="y", ylim=(-5.5, 10.5))
    axis.legend(fontsize=9, ncols=2, loc="upper center", columnspacing=1)
axes[1, 1].set(yscale="log", xlabel="gradient steps", ylabel="mean squared error")
axes[1, 1].set_title(f"{N_NEW} new waves", fontsize=11)
axes[1, 1].legend(fontsize=9)
plt.show()

start, first, last = (table.loc[("MAML", n), "MSE"] for n in (0, 1, 10))
slow = table.loc[("pretrained on all", 10), "MSE"]
print(f"Of MAML's error one step leaves {first / start:.0%}, ten {last / start:.0%};")
print(f"ten steps of the pretrained network are at {slow:.2f}, MAML's at {last:.2f}.")
gain = squares["ridge head", ""] - squares["MAML", 10]
half = 1.96 * gain.sem()
print(f"The ridge head is {gain.mean():+.3f} ± {half:.3f} from MAML's ten steps.")
print("The best by far knows the law: least squares of a sine. MAML did not need it.")
