"""Names beside points, so that none is written over another."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Boxes = NDArray[np.float64]  # shape: (n_boxes, 4); left, bottom, right, top in pixels

NEAR, FAR = 7, (16, 26, 38, 54, 72)
"""Distances from a point in typographic points; beyond the first a line leads there."""
ANGLES = np.deg2rad([45, 135, 315, 225, 90, 270, 0, 180])
MARK = 4


def write_labels(ax: Any, points: NDArray[Any], names: Sequence[str]) -> None:
    """Write each name at the first free place around its point.

    The places are found for the figure as it is now, so this comes last. A name without
    a free place is left out.
    """
    texts = [
        ax.annotate(
            name,
            point,
            xytext=(0, 0),
            textcoords="offset points",
            fontsize="small",
            color="0.3",
            ha="center",
            va="center",
            arrowprops={"arrowstyle": "-", "color": "0.6", "lw": 0.6, "shrinkB": 3},
        )
        for name, point in zip(names, points, strict=True)
    ]
    for text in texts:  # or the layout would make room for them where they are now
        text.set_in_layout(False)
    figure = ax.figure.canvas.figure
    figure.draw_without_rendering()  # axes get their limits and their place
    scale = figure.dpi / 72
    marks = ax.transData.transform(points)
    frame = np.array(ax.get_window_extent().extents)
    taken = np.hstack([marks - MARK * scale, marks + MARK * scale])
    for i in np.argsort(-marks[:, 1], kind="stable"):
        texts[i].arrow_patch.set_visible(False)  # it would count to the extent
        extent = texts[i].get_window_extent()
        half = np.array([extent.width, extent.height]) / 2
        place = _free_place(marks[i], half, scale, taken, frame)
        if place is None:
            texts[i].remove()
            continue
        offset, box, is_near = place
        texts[i].set_position(tuple(offset / scale))
        texts[i].arrow_patch.set_visible(not is_near)
        taken = np.vstack([taken, box])


def _free_place(
    mark: NDArray[Any], half: NDArray[Any], scale: float, taken: Boxes, frame: Boxes
) -> tuple[NDArray[Any], NDArray[Any], bool] | None:
    """Offset in pixels, the box there, and whether it is beside the point."""
    for distance in (NEAR, *FAR):
        for angle in ANGLES:
            way = np.array([np.cos(angle), np.sin(angle)])
            offset = way * (half + distance * scale) * (np.abs(way) > 1e-9)
            if distance == NEAR:  # corners touch the point
                offset = np.sign(way.round(9)) * (half + 0.6 * distance * scale)
            centre = mark + offset
            box = np.concatenate([centre - half, centre + half])
            inside = (box[:2] >= frame[:2]).all() and (box[2:] <= frame[2:]).all()
            if inside and not _overlaps(box, taken).any():
                return offset, box, distance == NEAR
    return None


def _overlaps(box: NDArray[Any], others: Boxes) -> NDArray[np.bool_]:
    apart = (box[:2] >= others[:, 2:]) | (box[2:] <= others[:, :2])
    return np.logical_not(apart.any(axis=1))
