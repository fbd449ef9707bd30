"""Damaged and hostile model files: nothing is run, and nothing wrong is read.

    python -m benchmarks.faults.mutations [n_files]

Files of five estimators, sealed and as skops alone writes them, changed at random:
bits turned, ends cut, bytes put in, parts of the schema exchanged. An audit hook
listens for what reading must never do. Files that are read must be the same model.
"""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import io
import json
import random
import sys
import tempfile
import time
import warnings
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import skops.io

import sklmeta
from benchmarks.shared.report import write_report
from sklmeta.datasets import make_linear_tasks
from sklmeta.persistence import ModelFileError

FORBIDDEN = ("os.system", "subprocess.Popen", "os.exec", "os.posix_spawn", "socket.")
CALLS = ["builtins.eval", "os.system", "numpy.load", "sklmeta.load", "pickle.loads"]
heard: list[str] = []


def listen(event: str, arguments: tuple[Any, ...]) -> None:
    if event.startswith(FORBIDDEN) or event == "pickle.find_class":
        heard.append(event)


def models() -> dict[str, Any]:
    X, y, task = make_linear_tasks(n_tasks=12, random_state=0)
    few = {"max_iter": 2, "random_state": 0}
    made = {
        "mixed model": sklmeta.MixedModelRegressor(),
        "Bayesian linear": sklmeta.BayesianLinearRegressor(early_stopping=False, **few),
        "MAML": sklmeta.MAMLRegressor(**few),
        "transformer": sklmeta.TransformerNeuralProcessRegressor(
            early_stopping=False, **few
        ),
        "boosting": sklmeta.EpisodicBoostingRegressor(n_rows=200, random_state=0),
    }
    return {name: model.fit(X, y, task=task) for name, model in made.items()}


def damaged(data: bytes, rng: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.choice([1, 1, 1, 3])):
        place = rng.randrange(len(changed))
        kind = rng.randrange(4)
        if kind == 0:
            changed[place] ^= 1 << rng.randrange(8)
        elif kind == 1:
            del changed[max(place, 1) :]
        elif kind == 2:
            changed[place : place + rng.randrange(1, 50)] = rng.randbytes(
                rng.randrange(50)
            )
        else:
            changed[place:place] = rng.randbytes(rng.randrange(1, 50))
    return bytes(changed)


def forged(data: bytes, rng: random.Random) -> bytes:
    """Exchange a part of the schema; sums are right, as a forger would see to."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    schema = json.loads(members["schema.json"])
    nodes = list(inner_nodes(schema))
    node, other = rng.choice(nodes), rng.choice(nodes)
    kind = rng.randrange(4)
    if kind == 0:
        called = rng.choice(CALLS)
        node["__module__"], _, node["__class__"] = called.rpartition(".")
    elif kind == 1:
        node["__loader__"] = rng.choice(nodes)["__loader__"]
    elif kind == 2:
        node.clear()
        node.update(json.loads(json.dumps(other)))
    else:
        node.pop(rng.choice(sorted(node)))
    members["schema.json"] = json.dumps(schema).encode()
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


def inner_nodes(thing: Any) -> Any:
    if isinstance(thing, dict):
        if "__loader__" in thing:
            yield thing
        thing = list(thing.values())
    if isinstance(thing, list):
        for part in thing:
            yield from inner_nodes(part)


def outcome(path: Path, asked: np.ndarray, expected: np.ndarray) -> str:
    try:
        model = sklmeta.load(path)
    except ModelFileError:
        return "one clear error"
    try:
        found = model.predict(asked)
    except Exception:  # noqa: BLE001 - whatever it is, it is counted
        return "read, then an error of the model's own"
    same = np.shape(found) == expected.shape and np.array_equal(found, expected)
    return "read, the same model" if same else "read, another model"


def main(n_files: int = 10_000) -> None:
    warnings.simplefilter("ignore")
    fitted = models()
    asked = np.random.default_rng(1).normal(size=(3, 5))
    answers = {name: model.predict(asked) for name, model in fitted.items()}
    rng, counts = random.Random(0), {}
    sys.addaudithook(listen)
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "m.skops"
        for number in range(n_files):
            name = list(fitted)[number % len(fitted)]
            kind = ("damaged, sealed", "damaged", "forged")[number // 5 % 3]
            sklmeta.save(fitted[name], path)
            sealed = path.read_bytes()
            data = sealed if "sealed" in kind else skops.io.dumps(fitted[name])
            change = forged if kind == "forged" else damaged
            path.write_bytes(change(data, rng))
            said = outcome(path, asked, answers[name])
            counts.setdefault(kind, Counter())[said] += 1
    rows = [f"| {k} | {s} | {n:,} |" for k, c in counts.items() for s, n in c.items()]
    title = (
        f"{n_files:,} changed model files of five estimators, seed 0, "
        f"{time.perf_counter() - start:.0f} s. What an audit hook heard of running "
        f"other programs, sockets or pickles: {', '.join(heard) or 'nothing'}."
    )
    lines = [
        "| change | outcome | files |",
        "| --- | --- | --- |",
        *sorted(rows),
    ]
    write_report("mutations", title, lines)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
