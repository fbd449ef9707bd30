"""What the figures of the mathematics have in common.

A white card with dark ink, so that they can be read on dark pages too, as wide as a
phone; the same input gives the same file.
"""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import re
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

BLUE, ORANGE, GREEN, PINK, GREY = "#0072b2", "#d55e00", "#00805c", "#b3588f", "#666666"
WIDTH = 5.0


def new_figure(height: float, **layout):
    """A figure, and its axes."""
    plt.rcParams.update(
        {
            "font.size": 10,
            "axes.titlesize": 10.5,
            "legend.fontsize": 9,
            "legend.frameon": False,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "svg.hashsalt": "sklmeta",
            "svg.fonttype": "none",  # text can be read aloud, and takes little room
        }
    )
    return plt.subplots(figsize=(WIDTH, height), layout="constrained", **layout)


def save(figure, script: str) -> None:
    """Write the figure beside its script."""
    path = Path(script).with_suffix(".svg")
    figure.savefig(path, facecolor="white", metadata={"Date": None})
    svg = re.sub(r' d="[^"]*"', _rounded, path.read_text("utf-8"))
    path.write_text(re.sub(r"[ \t]+$", "", svg, flags=re.MULTILINE), "utf-8")
    print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB")


def _rounded(path: re.Match) -> str:
    """A path's numbers to a tenth of a point, which halves the file."""
    return re.sub(r"\d+\.\d+", lambda number: f"{float(number[0]):.1f}", path[0])
