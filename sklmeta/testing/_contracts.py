"""The two contracts, to be checked at once or promise by promise."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from collections.abc import Collection, Sequence

from sklearn.base import BaseEstimator

from sklmeta.testing._checks import Check
from sklmeta.testing._estimator import ESTIMATOR
from sklmeta.testing._estimator_case import cases_of
from sklmeta.testing._learner import LEARNER, Case, LearnerFactory

KINDS = ("regression", "shared", "own")


def learner_checks(
    learner_factory: LearnerFactory,
    *,
    kinds: Sequence[str] = KINDS,
    input_shape: tuple[int, ...] = (3,),
    skip: Collection[str] = (),
    rtol: float = 1e-7,
    atol: float = 1e-9,
) -> list[tuple[str, Check]]:
    """List the checks of `check_learner`, to be run one by one.

    Parameters
    ----------
    learner_factory : callable
        ``learner_factory(spec, encoder)`` returns a `Learner`; see `check_learner`.

    kinds : sequence of {"regression", "shared", "own"}
        The kinds of tasks that the learner takes; all three by default.

    input_shape : tuple of int, default=(3,)
        Shape of one row.

    skip : collection of str, default=()
        Names of checks that the learner does not promise to pass.

    rtol, atol : float, default=1e-7 and 1e-9
        How close two answers must be to be the same.

    Returns
    -------
    checks : list of (str, callable)
        Names and checks. A check takes no argument and raises an AssertionError.

    Examples
    --------
    With pytest::

        @pytest.mark.parametrize(("name", "check"), learner_checks(MyLearner))
        def test_contract(name, check):
            check()
    """
    cases = [Case(learner_factory, kind, input_shape, rtol, atol) for kind in kinds]
    return LEARNER.checks(cases, skip)


def check_learner(
    learner_factory: LearnerFactory,
    *,
    kinds: Sequence[str] = KINDS,
    input_shape: tuple[int, ...] = (3,),
    skip: Collection[str] = (),
    rtol: float = 1e-7,
    atol: float = 1e-9,
) -> None:
    """Hold a learner to what `sklmeta.learners.Learner` promises.

    It is shown small ragged episodes in float64, with all its parameters a little away
    from where they start. The checks:

    ======================= =====================================================
    `shapes`                those of the state, of the predictions, of the loss
    `dtype`                 predictions have that of the rows
    `padding`               rows of mask 0 are inert, whatever stands in them
    `tasks`                 a task sees its own support alone
    `query_rows`            a query row is predicted alone as among others
    `support_order`         the order of the support does not matter
    `weights`               a mask of two is the row twice, with `takes_weights`
    `prior`                 `prior_state` is that of an empty support
    `single_row`            one support row is enough
    `extreme_rows`          equal rows, and rows far away, give no NaN
    `coinciding_rows`       equal rows leave the meta-gradient finite
    `evaluation`            `adapt` and `predict` change nothing in the learner
    `any_number_of_classes` of a task's own
    `class_order`           the numbers of a task's own classes mean nothing
    `meta_gradient`         it agrees with finite differences of the loss
    `chunks`                a meta-batch may go through in parts
    ======================= =====================================================

    Parameters
    ----------
    learner_factory : callable
        ``learner_factory(spec, encoder)`` returns a `Learner` of such tasks; often it
        is the learner's class. `encoder` maps rows to ``spec.n_features_out`` numbers;
        a learner without one need not take it. When torch's generator is in the same
        state it must return the same learner.

    kinds : sequence of {"regression", "shared", "own"}
        The kinds of tasks that the learner takes; all three by default.

    input_shape : tuple of int, default=(3,)
        Shape of one row.

    skip : collection of str, default=()
        Names of checks that the learner does not promise to pass: "meta_gradient"
        where the update is not meant to be the gradient of the loss.

    rtol, atol : float, default=1e-7 and 1e-9
        How close two answers must be to be the same.

    Raises
    ------
    AssertionError
        That names the promise which is broken, and how.

    See Also
    --------
    learner_checks : The same one by one, for a test runner.
    check_meta_estimator : The contract of an estimator.

    Examples
    --------
    >>> from sklmeta.closed_form.ridge_head_learner import RidgeHeadLearner
    >>> from sklmeta.testing import check_learner
    >>> check_learner(RidgeHeadLearner, kinds=["regression", "own"])
    """
    for _, check in learner_checks(
        learner_factory,
        kinds=kinds,
        input_shape=input_shape,
        skip=skip,
        rtol=rtol,
        atol=atol,
    ):
        check()


def meta_estimator_checks(
    estimator: BaseEstimator, *, skip: Collection[str] = ()
) -> list[tuple[str, Check]]:
    """List the checks of `check_meta_estimator`, to be run one by one.

    Parameters
    ----------
    estimator : estimator
        An instance that is quick to fit; it is cloned.

    skip : collection of str, default=()
        Names of checks that the estimator does not promise to pass.

    Returns
    -------
    checks : list of (str, callable)
        Names and checks. A check takes no argument and raises an AssertionError.

    Examples
    --------
    With pytest::

        @pytest.mark.parametrize(("name", "check"), meta_estimator_checks(est))
        def test_contract(name, check):
            check()
    """
    return ESTIMATOR.checks(cases_of(estimator), skip)


def check_meta_estimator(
    estimator: BaseEstimator, *, skip: Collection[str] = ()
) -> None:
    """Hold an estimator to the contract of this package, and to scikit-learn's.

    It is fitted to twelve small tasks: numbers for a regressor; for a classifier shared
    classes and then, if it has `shared_classes`, classes of a task's own. The checks:

    ===================== =======================================================
    `forms`               a flat table, a collection and pairs are the same to `fit`
    `task_labels`         names, numbers and categories are the same
    `zero_shots`          before `adapt` it predicts for an unknown task
    `not_adapted`         and with classes of a task's own it says that it cannot
    `bulk`                many tasks at once are each task alone
    `order_of_rows`       rows to predict may come in any order
    `replaced`            each `adapt` replaces the last
    `adapted_copy`        `sklmeta.adapted` leaves the model alone
    `weights`             a weight of two is the row twice, or weights are refused
    `more_rows`           `adapt_more` is `adapt` to all rows at once
    `failed_fit`          a `fit` that fails leaves the last one
    `failed_adapt`        so does an `adapt`
    `task_or_none`        `predict` wants `task` after a bulk `adapt` alone
    `pickles`             with its adaptation
    `clones`              unfitted, and to learn the same
    `randomness`          the global generators stay untouched
    `score`               scikit-learn's, or with `task` the few-shot score
    `routing`             `task` travels through cross-validation
    `dtypes`              outputs have the precision of `fit`'s rows
    `standard_deviations` positive, where there are any
    `labels`              the user's own, with probabilities that add up to one
    `small_supports`      of one row, or of one class
    `one_table`           `fit` without `task` ends adapted to the table
    `scikit_learn`        `sklearn.utils.estimator_checks.check_estimator`
    ===================== =======================================================

    Parameters
    ----------
    estimator : estimator
        An instance that is quick to fit, such as one with a small `max_iter`; it is
        cloned.

    skip : collection of str, default=()
        Names of checks that the estimator does not promise to pass.

    Raises
    ------
    AssertionError
        That names the promise which is broken, and how.

    See Also
    --------
    meta_estimator_checks : The same one by one, for a test runner.
    check_learner : The contract of a learner.

    Examples
    --------
    >>> from sklmeta import RidgeHeadRegressor
    >>> from sklmeta.testing import check_meta_estimator
    >>> check_meta_estimator(RidgeHeadRegressor(max_iter=2), skip=["scikit_learn"])
    """
    for _, check in meta_estimator_checks(estimator, skip=skip):
        check()
