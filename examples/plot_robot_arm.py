"""
A robot arm that picks up an unknown load
=========================================

A controller asks its model of the arm what torques a motion needs. Then the arm picks
up something, and the model is wrong. Here a model learned from forty loads adapts to a
new one from a second of motion, and the arm follows a path with it far better than with
the model as it was. Who knows the equations of the arm gives them to the model as
columns, and wins.
"""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import sklearn
from matplotlib.animation import FuncAnimation
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import RidgeCV
from sklearn.multioutput import MultiOutputRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from sklmeta import (
    BayesianLinearRegressor,
    MixedModelRegressor,
    PerTask,
    Pooled,
    adapted,
)

N_LOADS = 40
N_NEW = 60
N_ROWS = 200  # four seconds at 50 Hz
SHOTS = 50  # the first of them
MAX_ITER = 1500
DT = 0.002
N_FRAMES = 40

# %%
# The arm
# -------
# Two rigid links in a vertical plane, driven at shoulder and elbow. Angles ``q``,
# speeds ``v`` and accelerations ``a`` have the joint as last axis. The load is a mass
# at some distance beyond the hand; friction changes from day to day.

UPPER, FORE, GRAVITY = 0.4, 0.4, 9.81
rng = np.random.default_rng(0)
n = N_LOADS + N_NEW
mass, reach = rng.uniform(0, 4, n), FORE + rng.uniform(0, 0.15, n)
friction = rng.uniform(0.5, 1.5, n)


def dynamics(q, v, load):
    """Matrix of inertia, and the torques that it takes not to accelerate."""
    m, r, f = (x[load] for x in (mass, reach, friction))
    swing = 2.0 * FORE / 2 + m * r  # first moment of forearm and load
    cos, sin = UPPER * swing * np.cos(q[..., 1]), UPPER * swing * np.sin(q[..., 1])
    fore = 2.0 * FORE**2 / 3 + m * r**2
    upper = 3.0 * UPPER**2 / 3 + (2.0 + m) * UPPER**2
    inertia = np.stack([upper + fore + 2 * cos, *2 * [fore + cos], fore + 0 * cos], -1)
    weight = GRAVITY * swing * np.cos(q.sum(-1))
    above = GRAVITY * UPPER * (3.0 / 2 + 2.0 + m) * np.cos(q[..., 0])
    turn = -sin * (2 * v[..., 0] * v[..., 1] + v[..., 1] ** 2)
    still = np.stack([turn + above + weight, sin * v[..., 0] ** 2 + weight], -1)
    rub = np.array([1.5, 1.0]) * np.tanh(v / 0.1) + np.array([0.6, 0.4]) * v
    return inertia.reshape(*cos.shape, 2, 2), still + f[..., None] * rub


def torques(q, v, a, load):
    inertia, still = dynamics(q, v, load)
    return (inertia @ a[..., None])[..., 0] + still


def columns(q, v, a):
    return np.concatenate([np.cos(q), np.sin(q), v, a], axis=-1)


# %%
# What was measured: with every load the joints swung for four seconds, each at three
# frequencies. Torques are off by half a newton metre, accelerations a little, too. A
# load is a task, a row is an instant.

frequency = 2 * np.pi * rng.uniform(0.1, 0.8, (n, 1, 2, 3))
phase = frequency * np.arange(N_ROWS)[:, None, None] / 50
phase = phase + rng.uniform(0, 2 * np.pi, frequency.shape)
size = rng.uniform(0.2, 2, frequency.shape) / frequency
middle = np.radians([-45, 90]) + rng.uniform(-0.6, 0.6, (n, 1, 2))
q = middle + (size * np.sin(phase)).sum(-1)
v = (size * frequency * np.cos(phase)).sum(-1)
a = -(size * frequency**2 * np.sin(phase)).sum(-1)
load = np.repeat(np.arange(n)[:, None], N_ROWS, axis=1)
X = columns(q, v, a + rng.normal(0, 0.1, a.shape))
y = torques(q, v, a, load) + rng.normal(0, 0.5, a.shape)

# %%
# The models
# ----------
# Of the equations of motion all but the numbers is known: torques are linear in the ten
# columns below. One second of motion says little of some of them, so their least
# squares fail where a mixed model, which knows how loads differ, does not.


def equations(X):
    (cos1, cos2), (sin1, sin2), v, (a1, a2) = np.split(X.T, 4)
    turn = cos2 * (2 * a1 + a2) - sin2 * (2 * v[0] * v[1] + v[1] ** 2)
    back = cos2 * a1 + sin2 * v[0] ** 2
    level = cos1 * cos2 - sin1 * sin2
    return np.stack([a1, a1 + a2, turn, back, cos1, level, *v, *np.tanh(v / 0.1)], 1)


known = make_pipeline(FunctionTransformer(equations), StandardScaler())
boosting = Pooled(HistGradientBoostingRegressor(random_state=0), support="offset")
models = {
    "network, adapted": BayesianLinearRegressor(
        n_shots=(10, SHOTS),
        support="first",
        max_iter=MAX_ITER,
        random_state=0,
        early_stopping=False,
    ),
    "equations, mixed model": make_pipeline(
        known, MultiOutputRegressor(MixedModelRegressor())
    ),
    "equations, own ridge": make_pipeline(
        known, MultiOutputRegressor(PerTask(RidgeCV(np.logspace(-3, 2, 11))))
    ),
    "boosting + offset": MultiOutputRegressor(boosting),
}
with sklearn.config_context(enable_metadata_routing=True):
    for model in models.values():
        rows = [values[:N_LOADS].reshape(-1, *values.shape[2:]) for values in (X, y)]
        model.fit(*rows, task=load[:N_LOADS].ravel())

# %%
# Following a path
# ----------------
# The hand is to follow a path that no load has seen, four seconds long. Motors get the
# torques that the model says, and a soft spring and damper about the path make good
# some of what it gets wrong: stiff ones would hide a bad model, and hurt people.

time = np.arange(0, 4, DT)
turns = np.pi / 2 * time[:, None] * [1, 2]
goal = np.radians([-45, 90]) + 0.6 * np.sin(turns)
goal_v = 0.3 * np.pi * np.array([1, 2]) * np.cos(turns)
goal_a = -0.6 * (np.pi / 2 * np.array([1, 2])) ** 2 * np.sin(turns)
X_goal = columns(goal, goal_v, goal_a)
new = np.arange(N_LOADS, n)


def follow(torque):  # (n_new, n_steps, 2)
    q, v = (np.repeat(start[:1], len(new), axis=0) for start in (goal, goal_v))
    path = []
    for i in range(len(time)):
        path.append(q)
        push = 100 * (goal[i] - q) + 10 * (goal_v[i] - v)
        inertia, still = dynamics(q, v, new)
        a = np.linalg.solve(inertia, (torque[:, i] + push - still)[..., None])
        v = v + DT * a[..., 0]
        q = q + DT * v
    return np.stack(path, axis=1)


first, learned = "network, not adapted", "network, adapted"
torque = {first: [models[learned].predict(X_goal)] * N_NEW}
for name, model in models.items():
    torque[name] = [
        adapted(model, X[i, :SHOTS], y[i, :SHOTS]).predict(X_goal) for i in new
    ]
torque["the truth"] = torques(goal, goal_v, goal_a, new[:, None])
paths = {name: follow(np.array(values)) for name, values in torque.items()}
errors = pd.DataFrame(
    {k: np.degrees(((p - goal) ** 2).mean((1, 2)) ** 0.5) for k, p in paths.items()}
)

# %%
# Errors are of both joints, over the path, in degrees; each new load counts once.

rows = {}
for name, values in errors.items():
    draws = rng.choice(values, (2000, N_NEW)).mean(axis=1)
    rows[name] = [values.mean(), *np.quantile(draws, [0.025, 0.975])]
print(pd.DataFrame(rows, index=["degrees", "low", "high"]).T.round(2))

# %%
# Left, the path of the hand with the load that is four fifths of the way to the worst
# for the model as it was. Right, all new loads: without adapting an arm sags under
# heavy ones and is thrown up by light ones, as the model expects the usual one.


def points(q):
    elbow = UPPER * np.stack([np.cos(q[..., 0]), np.sin(q[..., 0])], -1)
    angle = q.sum(-1)
    return elbow, elbow + FORE * np.stack([np.cos(angle), np.sin(angle)], -1)


shown = errors[first].sort_values().index[int(0.8 * N_NEW)]
looks = {
    first: ("tab:orange", "s"),
    "network, adapted": ("tab:blue", "o"),
    "equations, mixed model": ("0.2", "x"),
}
figure, (left, right) = plt.subplots(
    1, 2, figsize=(7, 4), layout="constrained", width_ratios=[2, 3]
)
left.plot(*points(goal)[1].T, color="0.8", lw=6, label="to be followed")
for name, (colour, marker) in looks.items():
    left.plot(*points(paths[name][shown])[1].T, color=colour)
    right.plot(mass[new], errors[name], marker, color=colour, ms=5, label=name)
left.plot(*np.transpose([[0, 0], *points(goal[0])]), "o-", color="0.6", lw=3, zorder=0)
left.set(xlabel="m", ylabel="m", aspect="equal")
left.set_title(f"The hand with {mass[new[shown]]:.1f} kg", fontsize=11)
right.set(yscale="log", xlabel="load, kg", ylabel="error on the path")
right.set_yticks([0.1, 0.3, 1, 3, 10], labels=["0.1°", "0.3°", "1°", "3°", "10°"])
right.minorticks_off()
right.set_title(f"{N_NEW} new loads", fontsize=11)
figure.legend(loc="outside lower center", ncols=2, fontsize=9)

# %%
# The same load, moving: with the model as it was, and adapted.

film, axes = plt.subplots(1, 2, figsize=(7, 3.6), layout="constrained", sharey=True)
arms = []
for axis, name in zip(axes, list(looks)[:2], strict=True):
    axis.plot(*points(goal)[1].T, color="0.8", lw=6)
    links = axis.plot([], [], "o-", color=looks[name][0], lw=4, ms=9)[0]
    trace = axis.plot([], [], color="k", lw=1)[0]
    axis.set(xlim=(-0.15, 0.85), ylim=(-0.65, 0.4), aspect="equal", xlabel="m")
    axis.set_title(name, fontsize=11)
    arms.append((links, trace, *points(paths[name][shown])))


def draw(frame):
    i = frame * len(time) // N_FRAMES
    for links, trace, elbow, hand in arms:
        links.set_data(*np.array([[0, 0], elbow[i], hand[i]]).T)
        trace.set_data(*hand[: i + 1].T)


animation = FuncAnimation(film, draw, N_FRAMES, interval=4000 / N_FRAMES)
film.canvas.draw()
film.set_layout_engine("none")
plt.show()

share = errors[learned].mean() / errors[first].mean()
print(f"Adapting the network leaves {share:.0%} of its error.")
others = errors.drop(columns=[first, learned, "the truth"])
best = others.mean().idxmin()
gain = others[best] - errors[learned]
low, high = np.quantile(rng.choice(gain, (2000, N_NEW)).mean(1), [0.025, 0.975])
print(
    f"The best of the others ({best}) is {gain.mean():+.2f} degrees from that "
    f"(95 %: {low:+.2f} to {high:+.2f}; less is better)."
)
