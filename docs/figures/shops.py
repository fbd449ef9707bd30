"""Draw the README's picture: a new shop before and after five rows, and what rows buy.

``python docs/figures/shops.py`` writes ``docs/figures/shops.png``.
"""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import Ridge

from sklmeta import MixedModelRegressor, PerTask, Pooled
from sklmeta.comparing import compare
from sklmeta.datasets import load_store_sales

SHOP = "Birch"
SHOTS = [0, 1, 2, 5, 10, 20]
BLUE, ORANGE, GREY = "#0072b2", "#d55e00", "#777777"


def read_sales():
    """Return the frame of sales, and the names of the features."""
    df = load_store_sales().frame.dropna(subset=["price", "sales"])
    df["promo"] = df["promotion"] != "none"
    return df, ["price", "promo"]


def draw_shop(ax, df, features):
    """Draw the sales of one new shop, predicted with none and with five weeks."""
    old, new = df[df["store"] != SHOP], df[df["store"] == SHOP]
    model = MixedModelRegressor().fit(old[features], old["sales"], task=old["store"])
    before = model.predict(new[features])
    known = np.arange(len(new)) < 5
    model.adapt(new.loc[known, features], new.loc[known, "sales"])
    after, std = model.predict(new[features], return_std=True)
    week = np.arange(len(new)) + 1
    ax.fill_between(
        week, after - 1.96 * std, after + 1.96 * std, color=BLUE, alpha=0.2, lw=0
    )
    ax.plot(week, before, color=GREY, ls="--", label="before, from other shops")
    ax.plot(week, after, color=BLUE, label="after five weeks, ±1.96 std")
    ax.plot(week[known], new["sales"][known], "o", color=ORANGE, label="labelled")
    ax.plot(week[~known], new["sales"][~known], "o", mfc="none", color=ORANGE)
    ax.plot([], [], "o", mfc="none", color=ORANGE, label="what really came")
    ax.set(title=f"A new shop, {SHOP}", xlabel="week", ylabel="sales (units)")
    ax.set_ylim(0, 1.6 * new["sales"].max())
    ax.legend(frameon=False, fontsize=9, loc="upper right", ncols=2)


def draw_curve(ax, df, features):
    """Draw the error on held-out shops by the number of labelled weeks."""
    models = {
        "mixed model": MixedModelRegressor(),
        "one model for all shops": Pooled(
            HistGradientBoostingRegressor(random_state=0), support="offset"
        ),
        "each shop's own ridge": PerTask(Ridge()),
    }
    X, y, task = df[features], df["sales"], df["store"]
    result = compare(
        list(models.items()), X, y, task, shots=SHOTS, cv=5, random_state=0
    )
    places = np.arange(len(SHOTS))
    for (name, _), colour, mark in zip(
        models.items(), (BLUE, GREY, ORANGE), "osD", strict=True
    ):
        mean = [result.scores(shots)[name].mean() for shots in SHOTS]
        ax.plot(places, mean, marker=mark, color=colour, label=name)
    ax.set_xticks(places, [str(shots) for shots in SHOTS])
    ax.set(
        title="Error on shops held out",
        xlabel="labelled weeks of the new shop",
        ylabel="RMSE (units)",
    )
    ax.set_ylim(0)
    ax.legend(frameon=False, fontsize=9)


def main() -> None:
    """Draw both halves."""
    df, features = read_sales()
    plt.rcParams.update({"font.size": 10, "axes.spines.top": False})
    plt.rcParams["axes.spines.right"] = False
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    draw_shop(left, df, features)
    draw_curve(right, df, features)
    figure.savefig(Path(__file__).with_suffix(".png"), dpi=110)


if __name__ == "__main__":
    main()
