"""
Your own network, callbacks and early stopping
==============================================

A meta-learner learns features, and you may know what kind of features. Here the encoder
is a torch module of ours that knows what pharmacologists know of drugs: concentrations
are sums of decays. Learning what decays there are takes fewer patients than learning a
curve from nothing. The learning-rate schedule and a look into training are skorch
callbacks, and held-out patients say when to stop.
"""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

import matplotlib.pyplot as plt
import numpy as np
import torch
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, WhiteKernel
from skorch.callbacks import Callback, LRScheduler
from torch import nn
from torch.optim.lr_scheduler import OneCycleLR

from sklmeta import BayesianLinearRegressor, PerTask, Pooled
from sklmeta.comparing import compare
from sklmeta.datasets import make_pharmacokinetics

N_PATIENTS = 30
N_NEW = 200
MAX_ITER = 1500
MAX_ITER_DEFAULT = 2000
SHOTS = [2, 4]
SHOWN = 3

# %%
# The tasks are generated patients after one dose: thirty to learn from, and others for
# whom we have two or four blood samples. Columns are the time in hours and the dose.

X, y, patient = make_pharmacokinetics(N_PATIENTS + N_NEW, random_state=0)
old, new = patient < N_PATIENTS, patient >= N_PATIENTS

# %%
# The module
# ----------
# Any ``nn.Module`` will do that maps rows (n, n_features) to features (n, d); what
# reads these, and adapts to a patient, is the learner's. Rows arrive standardised. A
# decay of standardised time is still a decay, with another rate, so nothing has to be
# undone.


class Decays(nn.Module):
    """Decays in time at learned rates, by themselves and times the dose."""

    def __init__(self, n_rates=6):
        super().__init__()
        self.log_rates = nn.Parameter(torch.linspace(-1.5, 2.5, n_rates))

    def forward(self, X):
        time, dose = X[..., :1] + 1, X[..., 1:]  # the first samples are at about -1
        decays = torch.exp(-self.log_rates.exp() * time)
        return torch.cat([decays, decays * dose], dim=-1)


# %%
# Callbacks
# ---------
# All of skorch's can be passed. One is a schedule of torch's that warms up and falls,
# stepped after every meta-update; it takes the place of the built-in cosine. The other
# is a class of our own that notes the rates after each epoch, which is a hundred
# meta-updates. ``fit`` works on copies of callbacks, as scikit-learn does on
# parameters, so what is noted goes into a list outside.

rates = []


class NoteRates(Callback):
    def on_epoch_end(self, net, **kwargs):
        rates.append(net.module_.encoder.log_rates.detach().exp().cpu().numpy())


schedule = LRScheduler(
    OneCycleLR, max_lr=0.02, total_steps=MAX_ITER, step_every="batch"
)

# %%
# Early stopping
# --------------
# ``early_stopping=True`` holds a fifth of the *patients* out, and keeps the weights of
# the epoch that predicts them best. What the module is built with are parameters as
# well (``module__n_rates``), which a grid search can tune.

decays = BayesianLinearRegressor(
    module=Decays,
    module_params={"n_rates": 6},
    lr_schedule="constant",
    callbacks=[schedule, NoteRates()],
    max_iter=MAX_ITER,
    early_stopping=True,
    validation_fraction=0.2,
    n_shots=(1, 8),
    random_state=0,
)
decays.fit(X[old], y[old], task=patient[old])
losses = [epoch["valid_loss"] for epoch in decays.history_]
best = decays.history_[int(np.argmin(losses))]["n_iter"]
print(
    f"{decays.n_iter_} meta-updates; the held-out patients liked those of {best} most."
)
path = np.log(2) / np.array(rates) * X[old, 0].std()  # half-lives, in hours

# %%
# Does it pay?
# ------------
# The same learner with its default network (and default training, which is better for
# it than ours), boosting, and each patient's own Gaussian process, on the same new
# patients and the same samples.

kernel = RBF([5.0, 5.0], (0.5, 1e3)) + WhiteKernel(0.1)
own = GaussianProcessRegressor(kernel, optimizer=None, normalize_y=True)
default = BayesianLinearRegressor(
    n_shots=(1, 8), max_iter=MAX_ITER_DEFAULT, random_state=0
)
candidates = {
    "our decays": decays,
    "default network": default,
    "pooled boosting + offset": Pooled(
        HistGradientBoostingRegressor(random_state=0), support="offset"
    ),
    "own Gaussian process": PerTask(own),
}
split = [(np.flatnonzero(old), np.flatnonzero(new))]
result = compare(candidates, X, y, patient, shots=SHOTS, cv=split, n_jobs=1, verbose=0)
print(result)

# %%
# A new patient, and what was learned
# -----------------------------------
# Above, a patient from two samples, with both networks. Below, the half-lives of the
# six decays while they are learned. What is learned can be read, because the module has
# a meaning; the fit of a network of 4,000 weights has none.

default.fit(X[old], y[old], task=patient[old])
figure, (above, below) = plt.subplots(2, 1, figsize=(6.5, 7), layout="constrained")
rows = np.flatnonzero(patient == N_PATIENTS + SHOWN)
known = rows[[2, 7]]
hours = np.linspace(X[rows, 0].min(), 24, 100)
grid = np.column_stack([hours, np.full(100, X[rows[0], 1])])
for model, name, colour in (
    (default, "default network", "tab:gray"),
    (decays, "our decays", "tab:blue"),
):
    model.adapt(X[known], y[known])
    mean, std = model.predict(grid, return_std=True)
    above.plot(hours, mean, color=colour, label=name)
    above.fill_between(hours, mean - std, mean + std, color=colour, alpha=0.2, lw=0)
above.plot(X[rows, 0], y[rows], "o", mfc="none", color="k", label="measured later")
above.plot(X[known, 0], y[known], "o", color="tab:orange", label="the two samples")
above.set(xlabel="hours after the dose", ylabel="concentration, mg/L")
above.set_title(
    "A new patient from two samples (± one standard deviation)", fontsize=11
)
above.legend(fontsize=9)

updates = [epoch["n_iter"] for epoch in decays.history_]
below.plot(updates, path, "o-", ms=3)
below.axvline(best, color="0.5", ls=":")
below.text(best, path.max(), " kept ", ha="right", va="top", fontsize=10)
below.set(yscale="log", xlabel="meta-updates", ylabel="half-life, hours")
below.set_yticks([0.5, 1, 2, 5, 10, 20], labels=["½", "1", "2", "5", "10", "20"])
below.minorticks_off()
below.set_title("The six decays while they are learned", fontsize=11)
plt.show()

for shots in SHOTS:
    gain = result.paired("our decays", "default network", shots)
    print(
        f"From {shots} samples the module changes the error by {gain.mean:+.2f} mg/L "
        f"against the default network (95 %: {gain.low:+.2f} to {gain.high:+.2f})."
    )
baselines = ["pooled boosting + offset", "own Gaussian process"]
leader = result.leader(SHOTS[-1], among=baselines)
gain = result.paired("our decays", leader, SHOTS[-1])
print(f"Against the best baseline, {leader}, it is {gain.mean:+.2f} mg/L.")
