"""Speed of meta-training and of bulk adaptation against a plain loop and the peers.

    python -m benchmarks.speed.engines [--workloads sinusoid-1 tabular ...] [--rounds 9]

The loop is functional_call and autograd.grad for one task after the other; learn2learn
is as fast or a little slower. The peers' figure is a whole meta-update: rows drawn,
meta-gradient, Adam. The estimators' is their whole `fit`, with validation of the table,
choice of engine and all, divided by its number of updates. All run interleaved in one
process, with one thread on one core; a figure is the median, over rounds, of the loop's
time divided by theirs in the same round, and in brackets the range. Before anything is
timed, the meta-gradients of every engine and peer must equal the loop's.
"""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from benchmarks.peers import (
    Updates,
    higher_,
    jax_,
    learn2learn_,
    learned_steps,
    loop,
    own_loops,
    seconds_per_update,
    torchopt_,
)
from benchmarks.shared import workloads
from benchmarks.shared.agreement import (
    check_adaptation,
    check_meta_gradients,
    check_own_loops,
    check_peers,
)
from benchmarks.shared.bulk import Bulk
from benchmarks.shared.compiled import compiled_row
from benchmarks.shared.report import (
    PACKAGES,
    pin_to_one_core,
    ratio,
    table,
    write_report,
)
from benchmarks.shared.workloads import Workload
from sklmeta.learners.engine import EngineWarning
from sklmeta.learners.network import ENGINES

PEERS = {
    "learn2learn": learn2learn_,
    "TorchOpt": torchopt_,
    "higher": higher_,
    "JAX jit": jax_,
}
OURS = ["auto", *(engine for engine in ENGINES if engine != "auto")]
COLUMNS = [*PEERS, *OURS]
MAX_UPDATES = 400  # of a peer, in one timing
CHECKED = "The estimators' float64 meta-gradient equals the loop's to"


@dataclass
class Row:
    """One workload: the loop, and all that are measured against it."""

    title: str
    loop: Callable[[int], float]  # seconds per update of n updates
    contenders: dict[str, Callable[[int], float]]
    ratios: dict[str, list[float]] = field(default_factory=dict)
    loop_seconds: list[float] = field(default_factory=list)
    notes: dict[str, str] = field(default_factory=dict)
    n_updates: int | None = None  # of a `fit`, if not what the command line says

    def measure(self, n_rounds: int, seconds: float, n_updates: int) -> None:
        """Time all in turn: `fit`s of `n_updates`, the others for about `seconds`."""
        n_updates = self.n_updates or n_updates
        counts = {"loop": max(1, n_updates // 10)}  # the engine, not the plain loop
        for name, run in {"": self.loop, **self.contenders}.items():
            if name not in OURS:
                start = time.perf_counter()
                run(1)  # compiles, where there is something to compile
                first = time.perf_counter() - start
                counts[name] = max(2, min(MAX_UPDATES, int(seconds / run(3))))
                if name == "JAX jit":
                    self.notes[name] = f"first call {first:.1f} s"
        for _ in range(n_rounds):
            base = self.loop(counts[""])
            self.loop_seconds.append(base)
            for name, run in self.contenders.items():
                found = base / run(counts.get(name, n_updates))
                self.ratios.setdefault(name, []).append(found)

    def cells(self) -> list[str]:
        cells = [self.title, ratio([1e3 * s for s in self.loop_seconds])]
        for name in COLUMNS:
            cell = ratio(self.ratios.get(name, []))
            if cell and name in self.notes:
                cell += f", {self.notes[name]}"
            cells.append(cell or "–")
        return cells


def meta_training(
    workload: Workload,
    engines: Sequence[str],
    fit_seconds: Callable[..., tuple[float, Any]],
    peers: Sequence[str] = (),
    loop_updates: Callable[[Workload], Updates] = loop.updates,
) -> Row:
    updates = loop_updates(workload)
    row = Row(workload.title, lambda n: seconds_per_update(updates, n), {})

    def of_peer(found: Updates) -> Callable[[int], float]:
        return lambda n: seconds_per_update(found, n)

    def of_engine(engine: str) -> Callable[[int], float]:
        def run(n: int) -> float:
            params = {} if engine == "only" else {"engine": engine}
            seconds, estimator = fit_seconds(n, **params)
            if engine == "auto":
                row.notes.setdefault("auto", str(estimator.engine_))
            return seconds

        return run

    for name in peers:
        if PEERS[name].importable():
            found = PEERS[name].updates(workload)
            if found is not None:
                row.contenders[name] = of_peer(found)
    for engine in engines:
        if accepts(workload, engine):
            name = "auto" if engine == "only" else engine
            row.contenders[name] = of_engine(engine)
    return row


def accepts(workload: Workload, engine: str) -> bool:
    """Whether the engine takes the workload's module."""
    if engine in ("auto", "only"):
        return True
    try:
        workload.fit_seconds(1, engine=engine)
    except (ValueError, RuntimeError):  # the engine's own refusal, or torch.vmap's
        return False
    return True


def maml(workload: Workload, engines: Sequence[str] = OURS) -> Row:
    peers = list(PEERS)
    return meta_training(workload, engines, workload.fit_seconds, peers)


def conv4(n_filters: int) -> Row:
    """As `maml`, without what `fit` does once: it is worth a hundred updates here."""
    workload = workloads.conv4(n_filters)
    once: list[float] = []

    def steady(n: int, **params: Any) -> tuple[float, Any]:
        seconds, rest, estimator = workload.update_seconds(n, **params)
        once.append(rest)
        row.notes["auto"] = f"{estimator.engine_}; once {np.median(once):.1f} s"
        return float(seconds.mean()), estimator

    row = meta_training(workload, ["auto", "vmap"], steady, list(PEERS))
    row.n_updates = 5
    return row


def user_module(workload: Workload) -> Row:
    """A module that the package does not know: it must go through vmap."""
    workload = workloads.with_user_module(workload)
    return meta_training(workload, ["auto", "vmap", "loop"], workload.fit_seconds)


def proto_net() -> Row:
    workload = workloads.tabular()
    X, y, task = workload.table()

    def fit_seconds(n: int) -> tuple[float, Any]:
        estimator = workloads.proto_net(workload, n)
        start = time.perf_counter()
        estimator.fit(X, y, task=task)
        return (time.perf_counter() - start) / n, estimator

    row = meta_training(
        workload, ["only"], fit_seconds, loop_updates=loop.proto_net_updates
    )
    row.title = "ProtoNet, 5-way 5-shot, 32 features, MLP 64-64, 32 episodes"
    return row


def own_loop(
    name: str,
    workload: Workload,
    make: Callable[[Workload, int], Any],
    loop_updates: Callable[[Workload], Updates],
) -> Row:
    """An estimator against its own algorithm, one task after the other."""
    X, y, task = workload.table()

    def fit_seconds(n: int) -> tuple[float, Any]:
        estimator = make(workload, n)
        start = time.perf_counter()
        estimator.fit(X, y, task=task)
        return (time.perf_counter() - start) / n, estimator

    row = meta_training(workload, ["only"], fit_seconds, loop_updates=loop_updates)
    row.title = f"{name}, {workload.title}"
    return row


def anil(workload: Workload) -> Row:
    return own_loop("ANIL", workload, workloads.anil, own_loops.anil_updates)


def reptile(workload: Workload) -> Row:
    name = f"Reptile (minibatches of {workloads.INNER_BATCH})"
    return own_loop(name, workload, workloads.reptile, own_loops.reptile_updates)


def meta_sgd(workload: Workload) -> Row:
    updates = learned_steps.meta_sgd_updates
    return own_loop("Meta-SGD", workload, workloads.meta_sgd, updates)


def stabilised(workload: Workload) -> Row:
    updates = learned_steps.stabilised_updates
    return own_loop("MAML++", workload, workloads.stabilised, updates)


def bulk_adaptation(ragged: bool) -> Row:
    """`adapt` and `predict`, against adapting to one task after the other."""
    workload = workloads.tabular()
    bulk = Bulk(workload, ragged)
    row = Row(bulk.title, lambda n: bulk.loop_seconds(), {}, n_updates=1)
    for engine in OURS:
        if accepts(workload, engine):
            estimator = bulk.fitted(engine)
            if not row.contenders:
                check_adaptation(bulk, estimator)
            row.contenders[engine] = lambda n, e=estimator: bulk.seconds(e)
            if engine == "auto":
                row.notes["auto"] = str(estimator.engine_)
    return row


ROWS: dict[str, Callable[[], Row]] = {
    "sinusoid-1": lambda: maml(workloads.sinusoid(1)),
    "sinusoid-5": lambda: maml(workloads.sinusoid(5)),
    "tabular": lambda: maml(workloads.tabular()),
    "tabular-first-order": lambda: maml(workloads.tabular(first_order=True)),
    "sinusoid-1-module": lambda: user_module(workloads.sinusoid(1)),
    "sinusoid-5-module": lambda: user_module(workloads.sinusoid(5)),
    "tabular-module": lambda: user_module(workloads.tabular()),
    "conv4-16": lambda: conv4(16),
    "conv4-32": lambda: conv4(32),
    "conv4-64": lambda: conv4(64),
    "protonet": proto_net,
    "anil-sinusoid-5": lambda: anil(workloads.sinusoid(5)),
    "anil-tabular": lambda: anil(workloads.tabular()),
    "reptile-sinusoid-5": lambda: reptile(workloads.sinusoid(5)),
    "reptile-tabular": lambda: reptile(workloads.tabular()),
    "meta-sgd-sinusoid-1": lambda: meta_sgd(workloads.sinusoid(1)),
    "meta-sgd-sinusoid-5": lambda: meta_sgd(workloads.sinusoid(5)),
    "meta-sgd-tabular": lambda: meta_sgd(workloads.tabular()),
    "stabilised-sinusoid-5": lambda: stabilised(workloads.sinusoid(5)),
    "stabilised-tabular": lambda: stabilised(workloads.tabular()),
    "bulk-equal": lambda: bulk_adaptation(ragged=False),
    "bulk-ragged": lambda: bulk_adaptation(ragged=True),
}
COMPILED = ("compiled-1", "compiled-5")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--workloads",
        nargs="+",
        choices=[*ROWS, *COMPILED],
        default=[*ROWS, *COMPILED],
    )
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument(
        "--seconds", type=float, default=1.0, help="of one timing of a peer, about"
    )
    parser.add_argument("--updates", type=int, default=200, help="of one `fit`")
    parser.add_argument("--name", default="engines", help="of the file in results/")
    return parser.parse_args()


def main() -> None:
    args = arguments()
    pinned = pin_to_one_core()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore", EngineWarning)
    error = check_meta_gradients()
    check_peers()
    check_own_loops()
    lines = [f"{CHECKED} {error:.0e}, relative.", ""]
    rows = []
    for name in args.workloads:
        if name in ROWS:
            row = ROWS[name]()
            row.measure(args.rounds, args.seconds, args.updates)
            rows.append(row.cells())
            print(" | ".join(rows[-1]), flush=True)
    if rows:
        header = ["workload", "loop, ms per update", *COLUMNS]
        lines += table(header, rows)
    for name in args.workloads:
        if name in COMPILED:
            workload = workloads.sinusoid(int(name[-1]))
            lines += ["", *compiled_row(workload, args.rounds)]
    missing = [name for name, peer in PEERS.items() if not peer.importable()]
    if missing:
        lines += ["", f"Not importable here: {', '.join(missing)}."]
    write_report(
        args.name,
        "Times the speed of a plain loop over tasks: median over the rounds, range in "
        f"brackets; float32, one thread, {pinned}. The estimators' columns are whole "
        f"`fit`s of {args.updates} updates (engine='loop': a tenth), or `adapt` and "
        "`predict`; for Conv4 the updates alone, with the seconds of what a `fit` does "
        "once. The loop's column is its milliseconds per update, or for all tasks.",
        lines,
        (*PACKAGES, "learn2learn", "torchopt", "higher", "jax"),
    )


if __name__ == "__main__":
    main()
