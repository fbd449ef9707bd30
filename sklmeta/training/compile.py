"""Meta-training under ``torch.compile``, once for every padded size."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Hashable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils._pytree import tree_map_only

from sklmeta.episodes.rows import Episodes, Rows
from sklmeta.exceptions import warn
from sklmeta.learners.engine import EngineWarning

MAX_PADDING = 1.5
"""A meta-batch is padded to a compiled size of at most so many times its own."""

MAX_GRAPHS = 1000


class Compiler:
    """Compiles what a learner asks for, and says what that cost.

    A graph holds for one size of support and query. Sizes that differ from one
    meta-update to the next are padded to few, which changes no result.

    Parameters
    ----------
    device : str
        On "cuda" the graph is captured as a CUDA graph, which saves the launches.

    Attributes
    ----------
    seconds : float
        Time that the first run of every size took.

    n_graphs : int
        Number of sizes.
    """

    def __init__(self, device: str = "cpu"):
        self.mode = "reduce-overhead" if device.startswith("cuda") else None
        self.seconds = 0.0
        self.n_graphs = 0
        self.gave_up = False
        self._functions: dict[str, Callable[..., Any]] = {}
        self._keys: set[Hashable] = set()
        self._widths: dict[str, list[int]] = {"support": [], "query": []}

    def pad(self, episodes: Episodes) -> Episodes:
        """Pad the rows to widths of which there are few."""
        return Episodes(
            _padded(episodes.support, self._width("support", episodes.support)),
            _padded(episodes.query, self._width("query", episodes.query)),
        )

    def _width(self, role: str, rows: Rows) -> int:
        width, known = rows.X.shape[1], self._widths[role]
        fitting = [w for w in known if width <= w <= MAX_PADDING * width]
        if fitting:
            return min(fitting)
        # The first is exact, as most often it stays the only one.
        found = _round_up(width) if known else width
        known.append(found)
        return found

    def __call__(
        self, name: str, function: Callable[..., Any], key: Hashable, *args: Any
    ) -> Any:
        """Run ``function(*args)`` compiled; `key` tells graphs of a function apart."""
        if self.gave_up:
            return function(*args)
        if name not in self._functions:
            self._functions[name] = torch.compile(
                function, dynamic=False, fullgraph=True, mode=self.mode
            )
        if self.mode is not None:
            torch.compiler.cudagraph_mark_step_begin()
        if (name, key) in self._keys:
            return self._own(self._functions[name](*args))
        start = time.perf_counter()
        try:
            # By default torch gives up, without an error, after eight sizes.
            with (
                warnings.catch_warnings(),
                torch._dynamo.config.patch(
                    recompile_limit=MAX_GRAPHS, accumulated_recompile_limit=MAX_GRAPHS
                ),
            ):
                # The compiler warns of its own internals, of which no user knows.
                warnings.simplefilter("ignore")
                result = self._functions[name](*args)
        except Exception as error:  # noqa: BLE001 - compilers refuse in many ways
            self.give_up(f"{type(error).__name__}: {_first_lines(error)}")
            return function(*args)
        self._keys.add((name, key))
        self.n_graphs += 1
        self.seconds += time.perf_counter() - start
        return self._own(result)

    def _own(self, result: Any) -> Any:
        """Copy what lies in a CUDA graph's memory, which its next run writes over."""
        if self.mode is None:
            return result
        return tree_map_only(torch.Tensor, torch.clone, result)

    def give_up(self, reason: str) -> None:
        self.gave_up = True
        warn(
            f"compile=True has no effect, the network runs as it is ({reason}).",
            EngineWarning,
        )


def _first_lines(error: Exception) -> str:
    """What went wrong: the part of the compiler, and the reason."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines[:2]) or "no message"


def _round_up(width: int) -> int:
    """Two sizes an octave: 8, 12, 16, 24, 32, 48, ..."""
    size = 4
    while size < width:
        if size + size // 2 >= width:
            return size + size // 2
        size *= 2
    return size


def _padded(rows: Rows, width: int) -> Rows:
    extra = width - rows.X.shape[1]
    if not extra:
        return rows

    def longer(values: Tensor) -> Tensor:
        return F.pad(values, [0, 0] * (values.ndim - 2) + [0, extra])

    return rows._replace(X=longer(rows.X), y=longer(rows.y), mask=longer(rows.mask))
