"""A first answer where tables cannot be redrawn: in a file, or a notebook's shell."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from itertools import takewhile
from typing import Any

from sklmeta.comparing import Comparison
from sklmeta.evaluation.containers import inner_estimator


def n_quick(models: Mapping[str, Any]) -> int:
    """How many come before the first that takes meta-updates."""
    inner = map(inner_estimator, models.values())
    return sum(1 for _ in takewhile(lambda m: not hasattr(m, "meta_batch_size"), inner))


def first_answer(models: Mapping[str, Any]) -> Callable[[Comparison], None]:
    """Give a callback of `compare` that writes the table of the quick ones, once.

    It goes to standard error: what is on standard output is the whole answer.
    """
    start, quick = time.monotonic(), n_quick(models)

    def show(result: Comparison) -> None:
        if len(result.names) != quick or quick == len(models):
            return
        rest = ", ".join(list(models)[quick:])
        took = time.monotonic() - start
        print(
            f"After {took:.0f} s, without {rest}:\n\n{result.to_text()}",
            file=sys.stderr,
            flush=True,
        )

    return show
