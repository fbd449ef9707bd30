"""Does meta-learning pay? Full comparisons on real tasks, one page each in docs/.

    SKLMETA_DATA=... python -m benchmarks.accuracy.comparisons NAME ...
        [--jobs 2] [--fast]

With --seeds 5, sets of few tasks are compared again, AutoMeta with the baselines alone,
and the page tells the mean over the seeds. Each seed's comparison is kept in
output/comparisons: --resume takes from there what exists, and --again AutoMeta judges
some models again and takes the others.

Sets: parkinsons (random labelled rows), parkinsons-first (each patient's first rows in
time), wisdm, heart, clinc150 (intents of domains held out whole, features by SVD) and
tox21 (assays, no molecule in two of them; fingerprints of radius 2 where RDKit is
installed, else hashed pieces of the SMILES strings). Estimators have their default
parameters, but for CLINC150, whose tasks have 15 classes: there meta-learners train on
smaller meta-updates, as AutoMeta's members do by default; the page says which. There
the features, which are learned, are prepared inside AutoMeta, for each of its members,
and in a second line in front of it. AutoMeta blends its default portfolio.
"""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import argparse
import importlib.util
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import joblib
import matplotlib as mpl
import numpy as np
import pandas as pd
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.decomposition import TruncatedSVD
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
)
from sklearn.feature_extraction.text import HashingVectorizer, TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

import sklmeta
from benchmarks.shared.field_models import (
    load_heart,
    load_parkinsons,
    load_wisdm,
    prepare_heart,
)
from benchmarks.shared.report import DOCS, PACKAGES, table, write_report
from sklmeta import PerTask, Pooled
from sklmeta.auto._portfolio import MANY_CLASSES
from sklmeta.comparing import Comparison, compare
from sklmeta.datasets import fetch_clinc150, fetch_tox21
from sklmeta.evaluation.containers import inner_estimator
from sklmeta.inspection import ShotCurveDisplay
from sklmeta.model_selection import TaskKFold

mpl.use("Agg")
Data = tuple[Any, ...]
SHOTS = [0, 1, 2, 5, 10, 20, 50]
TEST_TIME = 2  # the column of days since recruitment
FEW_TASKS = 20
KEPT = DOCS.parent / "output" / "comparisons"


class Case(NamedTuple):
    """A collection, its preparation, and how supports are drawn."""

    title: str
    load: Callable[[], Data]
    prepare: Callable[[], list[Any]]
    is_regression: bool
    support: str = "random"
    shared_classes: bool = True
    n_folds: int = 4
    params: dict[str, Any] | None = None  # of meta-learners, in place of defaults
    learns_features: bool = False  # in `prepare`, which then goes into AutoMeta


def load_clinc150() -> Data:
    return fetch_clinc150(return_X_y_task=True)


def load_tox21() -> Data:
    X, y, task = fetch_tox21(return_X_y_task=True)
    return np.asarray(X, dtype=object), np.asarray(y), np.asarray(task)


def sentence_features() -> list[Any]:
    words = TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True)
    return [words, TruncatedSVD(100, random_state=0), StandardScaler()]


def fingerprints(smiles: Any) -> Any:
    """Morgan fingerprints of radius 2; shape: (n_molecules, 2048).

    Those of the few molecules that RDKit cannot read are zero.
    """
    from rdkit.Chem import MolFromSmiles, rdFingerprintGenerator
    from rdkit.RDLogger import DisableLog

    DisableLog("rdApp.*")  # it would tell of the same molecules in every fold
    generator = rdFingerprintGenerator.GetMorganGenerator(radius=2, fpSize=2048)
    bits = np.zeros((len(smiles), 2048), dtype=np.float32)
    for row, molecule in zip(bits, map(MolFromSmiles, smiles), strict=True):
        if molecule is not None:
            row[:] = generator.GetFingerprintAsNumPy(molecule)
    return bits


def molecule_features() -> list[Any]:
    if importlib.util.find_spec("rdkit") is not None:
        described: Any = FunctionTransformer(fingerprints)
    else:
        described = HashingVectorizer(
            analyzer="char", ngram_range=(2, 5), lowercase=False, n_features=2**16
        )
    return [described, TruncatedSVD(100, random_state=0), StandardScaler()]


CASES = {
    "parkinsons": Case(
        "Parkinson's telemonitoring: new patients, random labelled rows",
        load_parkinsons,
        lambda: [StandardScaler()],
        True,
    ),
    "parkinsons-first": Case(
        "Parkinson's telemonitoring: new patients, their first rows in time",
        load_parkinsons,
        lambda: [StandardScaler()],
        True,
        support="first",
    ),
    "wisdm": Case(
        "WISDM: new users of an activity tracker",
        load_wisdm,
        lambda: [SimpleImputer(), StandardScaler()],
        False,
    ),
    "heart": Case("Heart disease: a new hospital", load_heart, prepare_heart, False),
    "clinc150": Case(
        "CLINC150: intents of a new domain",
        load_clinc150,
        sentence_features,
        False,
        shared_classes=False,
        n_folds=5,
        params=MANY_CLASSES,
        learns_features=True,
    ),
    "tox21": Case(
        "Tox21: a new assay, whose molecules no other assay has",
        load_tox21,
        molecule_features,
        False,
    ),
}


def regressors(support: str, seed: int) -> dict[str, Any]:
    meta: dict[str, Any] = {"support": support, "random_state": seed}
    boosting = HistGradientBoostingRegressor(random_state=seed)
    return {
        "AutoMeta": sklmeta.AutoMetaRegressor(**meta),
        "Bayesian linear": sklmeta.BayesianLinearRegressor(**meta),
        "mixed model": sklmeta.BayesianLinearRegressor(hidden_layer_sizes=(), **meta),
        "deep kernel": sklmeta.DeepKernelRegressor(**meta),
        "fine-tuned": sklmeta.FineTuneRegressor(random_state=seed),
        "own ridge": PerTask(Ridge()),
        "pooled boosting": Pooled(boosting),
        "pooled boosting + offset": Pooled(boosting, support="offset"),
        "centred pooled boosting": Pooled(boosting, center=True),
    }


def classifiers(support: str, shared_classes: bool, seed: int) -> dict[str, Any]:
    common: dict[str, Any] = {"random_state": seed, "shared_classes": shared_classes}
    meta = {**common, "support": support}
    logistic = LogisticRegression(max_iter=1000)
    found = {
        "AutoMeta": sklmeta.AutoMetaClassifier(**meta),
        "prototypical": sklmeta.ProtoNetClassifier(**meta),
        "matching": sklmeta.MatchingNetClassifier(**meta),
        "deep kernel": sklmeta.DeepKernelClassifier(**meta),
        "fine-tuned": sklmeta.FineTuneClassifier(**common),
        "nearest centroid": sklmeta.NearestCentroidBaseline(
            shared_classes=shared_classes
        ),
        "own logistic": PerTask(logistic, shared_classes=shared_classes),
    }
    if shared_classes:
        boosting = HistGradientBoostingClassifier(random_state=seed)
        for name, model in [("boosting", boosting), ("logistic", logistic)]:
            found[f"pooled {name}"] = Pooled(model)
            found[f"pooled {name}, shifted"] = Pooled(model, support="offset")
    return found


def models(case: Case, max_iter: int | None, seed: int) -> dict[str, Any]:
    """Build every model behind the set's preparation."""
    if case.is_regression:
        built = regressors(case.support, seed)
    else:
        built = classifiers(case.support, case.shared_classes, seed)
    if max_iter is not None:
        for model in built.values():
            params = model.get_params(deep=False)
            if "max_iter" in params:
                model.set_params(max_iter=max_iter)
            elif "member_params" in params:
                model.set_params(member_params={"max_iter": max_iter})
    for model in built.values():
        if case.params and "n_way" in model.get_params() and not is_baseline(model):
            model.set_params(**case.params)
    piped = {n: make_pipeline(*case.prepare(), m) for n, m in built.items()}
    if case.learns_features:
        preparation = make_pipeline(*case.prepare())
        piped["AutoMeta, features in front"] = piped["AutoMeta"]
        piped["AutoMeta"] = clone(built["AutoMeta"]).set_params(preparation=preparation)
    if case.load is load_parkinsons:
        # What an expert would do, who knows that the target was interpolated in time.
        alone = make_column_transformer(("passthrough", [TEST_TIME]))
        own = make_pipeline(alone, StandardScaler(), PerTask(Ridge()))
        piped["own ridge on test_time"] = own
    return piped


def against_the_best_baseline(result: Comparison) -> list[str]:
    """Markdown: AutoMeta and the best baseline at each number of shots, paired."""
    rows = []
    for k in result.shots:
        best = result.leader(k, among=result.baselines)
        pair = result.paired("AutoMeta", best, k)
        harm = result.harm("AutoMeta", against=best, shots=k)
        interval = f"{pair.low:+.4f} to {pair.high:+.4f}"
        better = pair.better or "neither"
        worse = f"{harm.n_worse} of {harm.n_tasks}"
        rows.append([str(k), best, f"{pair.mean:+.4f}", interval, better, worse])
    header = ["rows", "best baseline", "difference", "95 % interval", "better"]
    return table([*header, "AutoMeta worse on"], rows)


def lines_of(
    case: Case, result: Comparison, figure: str, minutes: float, seed: int
) -> list[str]:
    table_and_verdict = result.to_markdown().strip().split("\n")
    lines = ["## Verdict", "", result.verdict(), ""]
    if len(result.tasks) < FEW_TASKS:
        lines += [
            f"There are {len(result.tasks)} tasks: too few for claims of significance,",
            "and the intervals promise more than they hold.",
            "",
        ]
    lines += [f"![score by the number of labelled rows]({figure})", ""]
    lines += ["## Scores", "", *table_and_verdict[:-1]]
    lines += ["## AutoMeta against the best baseline", ""]
    lines += ["Difference of the scores, AutoMeta less the baseline.", ""]
    lines += against_the_best_baseline(result)
    lines += ["", f"Seed {seed}; {minutes:.0f} minutes."]
    if case.params:
        given = ", ".join(f"`{name}={value}`" for name, value in case.params.items())
        lines += ["", f"Meta-learners were trained with {given}."]
    return lines


def compared(
    name: str, data: Data, seed: int, *, alone: bool, args: Any
) -> tuple[Comparison, float]:
    """Compare all models, or AutoMeta and the baselines alone; and tell the minutes."""
    path = KEPT / f"{name}-{seed}{'-alone' * alone}.joblib"
    kept, minutes = None, 0.0
    if (args.resume or args.again) and path.exists():
        kept, minutes = joblib.load(path)
        if not args.again:
            return kept, minutes
    case = CASES[name]
    X, y, task = data
    folds = min(case.n_folds, len(np.unique(task)))
    found = models(case, 20 if args.fast else None, seed)
    if alone:
        found = {n: m for n, m in found.items() if n == "AutoMeta" or is_baseline(m)}
    if kept is not None:
        found = {n: found[n] for n in args.again}
    start = time.perf_counter()
    result = compare(
        found,
        *(X, y, task),
        shots=SHOTS,
        cv=TaskKFold(folds, shuffle=True, random_state=seed),
        n_draws=1 if args.fast else 5,
        # A row of each class first, if classes are shared, as when these were made.
        support=case.support if case.support == "first" else "stratified",
        random_state=seed,
        n_jobs=args.jobs,
        verbose=1,
    )
    minutes += (time.perf_counter() - start) / 60
    if kept is not None:
        result = replaced(kept, result)
    if not args.fast:
        KEPT.mkdir(parents=True, exist_ok=True)
        joblib.dump((result, minutes), path)
    return result, minutes


def replaced(kept: Comparison, again: Comparison) -> Comparison:
    """Take some models from `again`: the supports are the same."""
    old = kept.draws[~kept.draws.estimator.isin(again.names)]
    draws = pd.concat([again.draws, old], ignore_index=True)
    return Comparison(
        draws,
        baselines=kept.baselines,
        metric=kept.metric,
        greater_is_better=kept.greater_is_better,
    )


def is_baseline(model: Any) -> bool:
    return bool(getattr(inner_estimator(model), "_is_baseline", False))


def over_seeds(results: list[Comparison]) -> list[str]:
    """Markdown: means over the seeds of AutoMeta and of the best baseline."""
    first = results[0]
    means = [r.draws.groupby(["shots", "task", "estimator"]).score for r in results]
    tasks = pd.concat([m.mean() for m in means], axis=1).mean(axis=1)
    frame = tasks.groupby(["shots", "estimator"]).mean().unstack()
    rows = []
    for k in first.shots:
        among = frame.loc[k, first.baselines]
        best = among.idxmax() if first.greater_is_better else among.idxmin()
        own, other = frame.loc[k, "AutoMeta"], among[best]
        if first.greater_is_better:
            behind = f"{max(other - own, 0.0):.4f}"
        else:
            behind = f"{max(own / other - 1, 0.0):.1%}"
        rows.append([str(k), f"{own:.4f}", str(best), f"{other:.4f}", behind])
    header = ["rows", "AutoMeta", "best baseline", "its score", "AutoMeta behind by"]
    return [
        f"## Means over {len(results)} seeds",
        "",
        "The seed draws the folds, the supports and the networks' first weights.",
        "",
        *table(header, rows),
        "",
    ]


def run(name: str, args: argparse.Namespace) -> None:
    case = CASES[name]
    data = case.load()
    result, minutes = compared(name, data, args.seed, alone=False, args=args)
    print(result.to_markdown())
    lines = lines_of(case, result, f"{name}.png", minutes, args.seed)
    command = f"python -m benchmarks.accuracy.comparisons {name}"
    if args.seeds > 1 and len(result.tasks) < FEW_TASKS:
        more = range(args.seed + 1, args.seed + args.seeds)
        others = [compared(name, data, s, alone=True, args=args)[0] for s in more]
        lines += ["", *over_seeds([result, *others])]
        command += f" --seeds {args.seeds}"
    if args.fast:
        print(*lines, sep="\n")
        return
    folder = DOCS / "comparisons"
    folder.mkdir(exist_ok=True)
    figure = ShotCurveDisplay.from_comparison(result).figure_
    figure.savefig(folder / f"{name}.png", dpi=110)
    packages = (*PACKAGES, "rdkit") if name == "tox21" else PACKAGES
    write_report(name, case.title, lines, packages, folder=folder, command=command)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="+", choices=CASES, metavar="name")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seeds", type=int, default=1, help="for sets of few tasks")
    parser.add_argument("--jobs", type=int, default=None)
    parser.add_argument("--resume", action="store_true", help="take what was kept")
    parser.add_argument("--again", nargs="+", default=[], help="but not these models")
    parser.add_argument("--fast", action="store_true", help="20 updates, nothing kept")
    arguments = parser.parse_args()
    for name in arguments.names:
        run(name, arguments)


if __name__ == "__main__":
    main()
