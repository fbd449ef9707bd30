"""Mistakes after `fit`: adapting, predicting, scoring, cross-validating, comparing."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import numpy as np
import pandas as pd
import sklearn
from mistakes import Mistake, check, table
from sklearn.cluster import KMeans
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import (
    GridSearchCV,
    KFold,
    cross_val_score,
    cross_validate,
)

from sklmeta import (
    AutoMetaRegressor,
    BayesianLinearRegressor,
    NotAdaptedError,
    PerTask,
    TaskCollection,
    adapted,
    stack_tasks,
)
from sklmeta.comparing import compare
from sklmeta.model_selection import (
    FewShotScorer,
    LeaveOneTaskOut,
    TaskKFold,
    few_shot_cross_validate,
)


def routed(call):
    """Make a call with metadata routing enabled."""

    def made(d):
        with sklearn.config_context(enable_metadata_routing=True):
            return call(d)

    return made


def model(**params):
    return BayesianLinearRegressor(max_iter=2, random_state=0, **params)


ADAPT = {
    "before fit": Mistake(
        lambda d: model().adapt(d.X, d.y), NotFittedError, "not fitted yet|'fit'"
    ),
    "to nothing": Mistake(
        lambda d: d.bayes.adapt(d.X[:0], d.y[:0]), ValueError, "empty|after fit"
    ),
    "without labels": Mistake(lambda d: d.bayes.adapt(d.X), ValueError, "requires y"),
    "to other features": Mistake(
        lambda d: d.bayes.adapt(d.X[:, :2], d.y), ValueError, "2 features|3 features"
    ),
    "to columns of other names": Mistake(
        lambda d: d.mixed.adapt(d.frame.rename(columns={"day": "date"}), d.y),
        ValueError,
        "feature names|date|day",
    ),
    "to a class that fit has not seen": Mistake(
        lambda d: d.proto.adapt(d.X[:2], ["high", "huge"]),
        ValueError,
        "huge|has not seen|shared_classes=False",
    ),
    "with task in another order": Mistake(
        lambda d: d.bayes.adapt(d.frame, d.y, task=pd.Series(d.task)[::-1]),
        ValueError,
        "another order",
    ),
    "with groups": Mistake(
        lambda d: d.bayes.adapt(d.X, d.y, groups=d.task), TypeError, "groups|'task'"
    ),
    "with text targets": Mistake(
        lambda d: d.bayes.adapt(d.X, d.labels), ValueError, "y is text"
    ),
    "after a fit to one table": Mistake(
        lambda d: d.alone.adapt(d.X[30:], d.y[30:]),
        UserWarning,
        r"one table|given no task|fit\(X, y, task=task\)",
    ),
    "more, before any": Mistake(
        lambda d: model().fit(d.X, d.y, task=d.task).adapt_more(d.X, d.y),
        NotAdaptedError,
        r"adapt\(X, y\) first",
    ),
    "a pipeline without adapt": Mistake(
        lambda d: adapted(LogisticRegression().fit(d.X, d.labels), d.X, d.labels),
        TypeError,
        "has no `adapt`|PerTask",
    ),
    "a cluster": Mistake(
        lambda d: adapted(KMeans(2), d.X, d.y), TypeError, "has no `adapt`"
    ),
}

PREDICT = {
    "before fit": Mistake(lambda d: model().predict(d.X), NotFittedError, "'fit'"),
    "own classes before adapt": Mistake(
        lambda d: d.ways.predict(d.X), NotAdaptedError, r"adapt\(X, y\)|adapted\("
    ),
    "with task before adapt": Mistake(
        lambda d: d.bayes.predict(d.X, task=d.task),
        ValueError,
        r"not adapted|adapt\(X, y, task|adapted\(|drop task",
    ),
    "without task after a bulk adapt": Mistake(
        lambda d: adapted(d.bayes, d.X, d.y, task=d.task).predict(d.X),
        ValueError,
        "6 tasks|needs task",
    ),
    "of an unknown task": Mistake(
        lambda d: adapted(d.bayes, d.X, d.y, task=d.task).predict(d.X[:1], task=["s9"]),
        ValueError,
        "s9|Adapt to them first",
    ),
    "with groups": Mistake(
        lambda d: d.bayes.predict(d.X, groups=d.task), TypeError, "'task'"
    ),
    "with task in another order": Mistake(
        lambda d: adapted(d.mixed, d.frame, d.y, task=d.task).predict(
            d.frame, task=pd.Series(d.task)[::-1]
        ),
        ValueError,
        "another order",
    ),
    "a list of tasks": Mistake(
        lambda d: d.bayes.predict([(d.X, d.y)]), TypeError, "list of tasks|stack_tasks"
    ),
    "a collection": Mistake(
        lambda d: d.bayes.predict(TaskCollection(d.X, d.y, d.task)),
        TypeError,
        "to_arrays",
    ),
    "probabilities of a regressor": Mistake(
        lambda d: d.bayes.predict_proba(d.X), AttributeError, "predict_proba"
    ),
    "intervals without calibration": Mistake(
        lambda d: d.bayes.predict_interval(d.X), NotFittedError, "calibrate"
    ),
}

SCORE = {
    "shots without task": Mistake(
        lambda d: d.bayes.score(d.X, d.y, shots=5),
        ValueError,
        "shots=5|no task|task=task|drop shots",
    ),
    "task in the place of weights": Mistake(
        lambda d: d.bayes.score(d.X, d.y, d.task), ValueError, "task=task"
    ),
    "more shots than rows": Mistake(
        lambda d: PerTask(Ridge()).fit(d.X, d.y).score(d.X, d.y, task=np.arange(60)),
        ValueError,
        "row left to predict|tasks of more rows",
    ),
    "shots of half a row": Mistake(
        lambda d: d.bayes.score(d.X, d.y, task=d.task, shots=2.5), ValueError, "an int"
    ),
    "other rows of known tasks": Mistake(
        lambda d: (
            model()
            .fit(d.X[::2], d.y[::2], task=d.task[::2])
            .score(d.X[1::2], d.y[1::2], task=d.task[1::2], shots=2)
        ),
        UserWarning,
        "other rows of tasks that fit has seen|'s0'|TaskKFold",
    ),
    "labels of another type": Mistake(
        lambda d: d.proto.score(d.X, np.arange(60) % 2, task=d.task),
        ValueError,
        "of the same type",
    ),
    "with tasks, after a fit to one table": Mistake(
        lambda d: d.alone.score(d.X[20:], d.y[20:], task=d.task[20:], shots=2),
        UserWarning,
        "fitted to one table|task=task",
    ),
}

VALIDATE = {
    "a splitter without tasks": Mistake(
        lambda d: cross_val_score(model(), d.X, d.y, cv=TaskKFold(2)),
        ValueError,
        "task of every row|routing|few_shot_cross_validate",
    ),
    "leave one out without tasks": Mistake(
        lambda d: LeaveOneTaskOut().get_n_splits(d.X), ValueError, "task of every row"
    ),
    "groups without routing": Mistake(
        lambda d: cross_val_score(
            PerTask(Ridge()), d.X, d.y, groups=d.task, cv=TaskKFold(2)
        ),
        UserWarning,
        "routing is disabled|reaches TaskKFold alone|enable",
    ),
    "a scorer without routing": Mistake(
        lambda d: cross_validate(
            PerTask(Ridge()), d.X, d.y, scoring=FewShotScorer(), cv=2
        ),
        TypeError,
        "did not receive `task`|enable metadata routing",
    ),
    "a search without routing": Mistake(
        lambda d: GridSearchCV(
            PerTask(Ridge()), {"estimator__alpha": [1]}, scoring=FewShotScorer(), cv=2
        ).fit(d.X, d.y),
        TypeError,
        "did not receive `task`",
    ),
    "folds that cut tasks": Mistake(
        routed(
            lambda d: cross_validate(
                model(),
                d.X,
                d.y,
                params={"task": d.task, "shots": 1},
                cv=KFold(2, shuffle=True, random_state=0),
            )
        ),
        UserWarning,
        "other rows of tasks|TaskKFold",
    ),
    "folds that cut tasks, with our scorer": Mistake(
        routed(
            lambda d: cross_validate(
                model(),
                d.X,
                d.y,
                params={"task": d.task},
                cv=KFold(2, shuffle=True, random_state=0),
                scoring=FewShotScorer(shots=1),
            )
        ),
        UserWarning,
        "other rows of tasks|TaskKFold",
    ),
    "folds that cut tasks, with our function": Mistake(
        lambda d: few_shot_cross_validate(
            model(), d.X, d.y, d.task, cv=KFold(2, shuffle=True, random_state=0)
        ),
        ValueError,
        r"both in the training|cv=TaskKFold\(5\)",
    ),
    "more folds than tasks": Mistake(
        lambda d: few_shot_cross_validate(model(), d.X, d.y, d.task, cv=9),
        ValueError,
        "n_splits=9|groups: 6",
    ),
    "no task": Mistake(
        lambda d: few_shot_cross_validate(model(), d.X, d.y), ValueError, "the task of"
    ),
    "no estimator that adapts": Mistake(
        lambda d: few_shot_cross_validate(Ridge(), d.X, d.y, d.task),
        TypeError,
        "no `adapt`|PerTask",
    ),
    "negative shots": Mistake(
        lambda d: few_shot_cross_validate(model(), d.X, d.y, d.task, shots=-1),
        ValueError,
        "at least 0",
    ),
    "no draws": Mistake(lambda d: FewShotScorer(n_draws=0), ValueError, "at least 1"),
    "a metric of no name": Mistake(
        lambda d: FewShotScorer("r3")(d.mixed, d.frame, d.y, task=d.task),
        ValueError,
        "r3",
    ),
}

COMPARE = {
    "nothing": Mistake(
        lambda d: compare([], d.X, d.y, d.task), ValueError, "nothing to compare"
    ),
    "a class": Mistake(
        lambda d: compare([Ridge], d.X, d.y, d.task), TypeError, r"pass instances"
    ),
    "both kinds": Mistake(
        lambda d: compare([Ridge(), LogisticRegression()], d.X, d.y, d.task),
        ValueError,
        "cannot be compared with others",
    ),
    "without task": Mistake(
        lambda d: compare([Ridge()], d.X, d.y), ValueError, "the task of every row"
    ),
    "a blend of nothing": Mistake(
        lambda d: AutoMetaRegressor(estimators=[]).fit(d.X, d.y, task=d.task),
        ValueError,
        "nothing to blend",
    ),
    "a blend of what cannot adapt": Mistake(
        lambda d: AutoMetaRegressor(estimators=[("r", Ridge())]).fit(
            d.X, d.y, task=d.task
        ),
        TypeError,
        "no `adapt`|PerTask",
    ),
    "calibration with few tasks": Mistake(
        lambda d: d.bayes.calibrate(d.X, d.y, task=d.task), ValueError, "tasks"
    ),
}

COLLECT = {
    "no tasks": Mistake(lambda d: stack_tasks([]), ValueError, "no task to stack"),
    "one label too few": Mistake(
        lambda d: stack_tasks([(d.X, d.y)], labels=[]), ValueError, "0 labels"
    ),
    "a column that is not there": Mistake(
        lambda d: TaskCollection.from_frame(d.frame, target="sales", task="day"),
        ValueError,
        "No column 'sales'|price",
    ),
    "a target that is the task": Mistake(
        lambda d: TaskCollection.from_frame(d.frame, target="day", task="day"),
        ValueError,
        "A column has one use",
    ),
    "a task beyond the last": Mistake(
        lambda d: TaskCollection(d.X, d.y, d.task[:1]), ValueError, "one label per row"
    ),
    "a support of numbers": Mistake(
        lambda d: TaskCollection(d.X, d.y, d.task, is_support=d.y),
        ValueError,
        "one bool per row",
    ),
    "task in another order": Mistake(
        lambda d: TaskCollection(d.frame, d.y, pd.Series(d.task)[::-1]),
        ValueError,
        "another order",
    ),
    "a group": Mistake(
        lambda d: TaskCollection(d.frame.groupby(d.task), d.y, d.task),
        TypeError,
        "grouped",
    ),
}


@table(
    {
        f"{topic}: {name}": mistake
        for topic, mistakes in {
            "adapt": ADAPT,
            "predict": PREDICT,
            "score": SCORE,
            "validate": VALIDATE,
            "compare": COMPARE,
            "collect": COLLECT,
        }.items()
        for name, mistake in mistakes.items()
    }
)
def test_it_is_said(mistake, shop):
    fitted = [(shop.bayes, shop.X), (shop.mixed, shop.frame), (shop.proto, shop.X)]
    before = [model.predict(X) for model, X in fitted]
    check(mistake, shop)
    for (model, X), expected in zip(fitted, before, strict=True):
        np.testing.assert_array_equal(model.predict(X), expected)
