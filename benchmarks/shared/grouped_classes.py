"""Collections of classes: shared by all tasks, or each task's own.

Where features are learned from text, from all tasks' rows alike, they are learned on
the training tasks of each fold and transform the others. They keep the scale that the
decomposition gives; the linear discriminants have the scaling that suits them.

Defaults are chosen on ``TUNING`` alone: generated tasks, and the background alphabets
of Omniglot, of which the table learns but none of which it holds out.
"""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import TruncatedSVD
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import _safe_indexing

from benchmarks.accuracy.clinc150 import draw_episodes, held_out_intents, vectors
from benchmarks.accuracy.comparisons import load_tox21, molecule_features
from benchmarks.shared.field_models import SETS as FIELD
from benchmarks.shared.field_models import load_heart, prepare_heart
from benchmarks.shared.grouped import (
    OTHER_SEEDS,
    Problem,
    classic,
    folds_of,
    preparation,
)
from sklmeta.datasets import (
    fetch_clinc150,
    fetch_omniglot,
    make_classification_tasks,
    make_sensor_arrays,
)

SHOTS = [1, 5, 10, 20]
FIVE_WAY = {"n_way": 5, "n_shots": (1, 5), "n_query": 5}
N_EPISODES = 200
N_COMPONENTS = 400


def shared(
    load: Callable[[], tuple[Any, Any, Any]],
    prepare: Callable[[], list[Any]],
    seed: int,
    n_seeds: int = 1,
) -> list[Problem]:
    X, y, task = load()
    return [
        Problem(
            *(X, y, task),
            folds=folds_of(task, np.unique(task), s),
            rows=SHOTS,
            support="stratified",
            prepare=prepare,
            seed=s,
        )
        for s in range(seed, seed + n_seeds)
    ]


def contraception(seed: int) -> list[Problem]:
    categories = ("livch", "urban")
    load = partial(classic("contraception"), seed)
    return shared(load, partial(preparation, categories), seed)


def tox21(seed: int) -> list[Problem]:
    X, y, task = load_tox21()
    problems = []
    for train, test in folds_of(task, np.unique(task), seed):
        features = make_pipeline(*molecule_features())
        features.fit(X[train])
        problem = Problem(
            *(features.transform(X), y, task),
            folds=[(train, test)],
            rows=[5, 10, 20, 50],
            support="stratified",
            prepare=list,
            seed=seed,
            metric="roc_auc",
        )
        problems.append(problem)
    return problems


def of_episodes(
    X: Any,
    y: NDArray[Any],
    task: NDArray[Any],
    train: NDArray[np.intp],
    episodes: NDArray[np.intp],
    seed: int,
) -> Problem:
    """Training tasks, and a held-out task for each episode of five classes."""
    rows = np.concatenate([train, episodes.ravel()])
    names = np.repeat([f"{seed}: {i}" for i in range(len(episodes))], len(episodes[0]))
    return Problem(
        *(_safe_indexing(X, rows), y[rows], np.concatenate([task[train], names])),
        folds=[tuple(np.split(np.arange(len(rows)), [len(train)]))],
        rows=[1, 5],
        support="random",
        prepare=list,
        seed=seed,
        shared_classes=False,
        params=FIVE_WAY,
    )


def clinc150(protocol: str, seed: int) -> list[Problem]:
    """Four draws of the intents that are held out, as in `clinc150.py`."""
    X, y, domain = fetch_clinc150(return_X_y_task=True)
    problems = []
    for s in range(seed + 1, seed + 5):
        rng = np.random.default_rng(s)
        intents = held_out_intents(protocol, y, domain, rng)
        episodes = draw_episodes(y, intents, N_EPISODES, rng)
        train = np.flatnonzero(~np.isin(y, intents))
        features = make_pipeline(
            vectors(), TruncatedSVD(N_COMPONENTS, n_iter=2, random_state=0)
        )
        features.fit(X[train])
        Z = features.transform(X).astype(np.float32)
        problems.append(of_episodes(Z, y, domain, train, episodes, s))
    return problems


def omniglot(seed: int) -> list[Problem]:
    """Pixels of 14 x 14, as a table; `omniglot.py` has the convolutional networks."""
    X, y, alphabet = fetch_omniglot(image_size=14, return_X_y_task=True)
    _, _, evaluation = fetch_omniglot(
        image_size=14, subset="evaluation", return_X_y_task=True
    )
    return drawings(X, y, alphabet, np.isin(alphabet, evaluation), seed)


def background(seed: int) -> list[Problem]:
    """Ten of the thirty background alphabets held out."""
    X, y, alphabet = fetch_omniglot(
        image_size=14, subset="background", return_X_y_task=True
    )
    alphabets = np.random.default_rng(seed).permutation(np.unique(alphabet))
    return drawings(X, y, alphabet, np.isin(alphabet, alphabets[:10]), seed)


def drawings(
    X: Any, y: NDArray[Any], alphabet: NDArray[Any], test: NDArray[Any], seed: int
) -> list[Problem]:
    rng = np.random.default_rng(seed)
    episodes = draw_episodes(y, np.unique(y[test]), N_EPISODES, rng)
    X = X.reshape(len(X), -1)
    return [of_episodes(X, y, alphabet, np.flatnonzero(~test), episodes, seed)]


def generated(make: Callable[..., Any], seed: int, **params: Any) -> list[Problem]:
    data = make(100, random_state=seed, **params)
    return shared(lambda: data, lambda: [StandardScaler()], seed)


def own_classes(seed: int) -> list[Problem]:
    """Tasks of five classes of their own, a third of the tasks held out."""
    X, y, task = make_classification_tasks(90, n_rows=60, random_state=seed)
    (train, test), *_ = folds_of(task, np.unique(task), seed)
    return [
        Problem(
            *(X, y, task),
            folds=[(train, test)],
            rows=[1, 5],
            support="random",
            prepare=list,
            seed=seed,
            shared_classes=False,
            params=FIVE_WAY,
        )
    ]


SETS: dict[str, Callable[[int], list[Problem]]] = {
    "wisdm": partial(shared, FIELD["wisdm"].load, FIELD["wisdm"].prepare),
    "heart": partial(shared, load_heart, prepare_heart, n_seeds=5),
    "contraception": contraception,
    "tox21": tox21,
    "clinc150-random": partial(clinc150, "B"),
    "clinc150-domains": partial(clinc150, "A"),
    "omniglot": omniglot,
}
SETTINGS = list(SETS)
TUNING: dict[str, Callable[[int], list[Problem]]] = {
    "sensors": partial(generated, make_sensor_arrays),
    "generated-shared": partial(
        generated, make_classification_tasks, shared_labels=True
    ),
    "generated-own": own_classes,
    "omniglot-background": background,
}


def problems(setting: str, seed: int = 0, *, tuning: bool = False) -> list[Problem]:
    if tuning:
        return TUNING[setting](seed + OTHER_SEEDS)
    return SETS[setting](seed)
