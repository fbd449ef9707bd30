"""Synthetic collections of related regression tasks."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.random import RandomState
from numpy.typing import ArrayLike

from sklmeta.datasets._layout import (
    Layout,
    check_count,
    check_interval,
    check_scale,
    make_generator,
)

#: Absorption (1/h), clearance (L/h/kg) and volume (L/kg) of the median patient.
PHARMACOKINETIC_MEDIANS = (1.5, 0.04, 0.45)
#: Standard deviations between patients of the logarithms of the same three.
PHARMACOKINETIC_LOG_STDS = (0.6, 0.3, 0.2)


def make_sinusoids(
    n_tasks: int = 100,
    *,
    n_rows: int | tuple[int, int] = 20,
    amplitude_range: tuple[float, float] = (0.1, 5.0),
    phase_range: tuple[float, float] = (0.0, np.pi),
    x_range: tuple[float, float] = (-5.0, 5.0),
    noise: float = 0.0,
    return_params: bool = False,
    random_state: int | RandomState | None = None,
) -> tuple[Any, ...]:
    """Make sine waves that differ in amplitude and phase.

    The regression benchmark of Finn et al. [1]_. For task t and its rows i::

        amplitude_t ~ U[0.1, 5]        phase_t ~ U[0, pi]        x_ti ~ U[-5, 5]
        y_ti = amplitude_t * sin(x_ti - phase_t) + noise * e_ti,   e_ti ~ N(0, 1)

    The law depends on the arguments alone: two calls with two seeds give tasks of the
    same family, one to learn from and one of new tasks.

    Parameters
    ----------
    n_tasks : int, default=100
        Number of tasks.
    n_rows : int or (int, int), default=20
        Rows of each task, or the inclusive range from which each task's number of
        rows is drawn uniformly.
    amplitude_range, phase_range, x_range : (float, float)
        Bounds of the uniform laws above. The phase is in radians.
    noise : float, default=0.0
        Standard deviation of the noise; 0 in the paper.
    return_params : bool, default=False
        Also return the true parameters.
    random_state : int, RandomState instance or None, default=None
        Pass an int for the same data at every call.

    Returns
    -------
    X : ndarray of shape (n_samples, 1)
    y : ndarray of shape (n_samples,)
    task : ndarray of shape (n_samples,)
        Task of each row, 0 to `n_tasks` - 1, ascending.
    params : dict
        Only with `return_params`: "amplitude" and "phase", each (n_tasks,).

    Raises
    ------
    ValueError
        If a parameter is out of its domain; the message names it.

    References
    ----------
    .. [1] C. Finn, P. Abbeel and S. Levine, "Model-Agnostic Meta-Learning for Fast
       Adaptation of Deep Networks", ICML 2017, section 5.1.

    Examples
    --------
    >>> from sklmeta.datasets import make_sinusoids
    >>> X, y, task = make_sinusoids(n_tasks=3, n_rows=10, random_state=0)
    >>> X.shape, y.shape, task[:11]
    ((30, 1), (30,), array([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]))
    """
    noise = check_scale("noise", noise)
    amplitude_bounds = check_interval("amplitude_range", amplitude_range)
    phase_bounds = check_interval("phase_range", phase_range)
    x_bounds = check_interval("x_range", x_range)
    rng = make_generator(random_state)
    layout = Layout(rng, n_tasks, n_rows)
    amplitude = rng.uniform(*amplitude_bounds, size=layout.n_tasks)
    phase = rng.uniform(*phase_bounds, size=layout.n_tasks)
    x = rng.uniform(*x_bounds, size=layout.shape)
    y = amplitude[:, None] * np.sin(x - phase[:, None])
    if noise > 0:
        y += noise * rng.standard_normal(layout.shape)
    data = layout.flatten(x[..., None]), layout.flatten(y), layout.task
    if return_params:
        return *data, {"amplitude": amplitude, "phase": phase}
    return data


def make_linear_tasks(
    n_tasks: int = 100,
    *,
    n_rows: int | tuple[int, int] = 20,
    n_features: int = 5,
    coef_mean: ArrayLike = 1.0,
    coef_cov: ArrayLike = 0.25,
    intercept_mean: float = 0.0,
    intercept_std: float = 1.0,
    noise: float = 0.5,
    return_params: bool = False,
    random_state: int | RandomState | None = None,
) -> tuple[Any, ...]:
    """Make linear regressions whose coefficients vary around a common mean.

    The linear mixed (random-effects) model of Laird and Ware [1]_ with random
    intercept and slopes. For task t and its rows i::

        w_t ~ N(coef_mean, coef_cov)         b_t ~ N(intercept_mean, intercept_std^2)
        x_ti ~ N(0, I)        y_ti = x_ti . w_t + b_t + noise * e_ti,   e_ti ~ N(0, 1)

    Given these parameters the best predictor of a new task is the Gaussian posterior
    of (w_t, b_t), so the family has an exact ceiling. The law depends on the arguments
    alone: two seeds give tasks of the same family.

    Parameters
    ----------
    n_tasks : int, default=100
        Number of tasks.
    n_rows : int or (int, int), default=20
        Rows of each task, or the inclusive range from which each task's number of
        rows is drawn uniformly.
    n_features : int, default=5
        Number of features.
    coef_mean : float or array-like of shape (n_features,), default=1.0
        Mean of the coefficients over tasks; a number stands for every feature.
    coef_cov : float or array-like of shape (n_features, n_features), default=0.25
        Covariance of the coefficients over tasks; a number is the variance of each,
        independent of one another.
    intercept_mean, intercept_std : float, default=0.0 and 1.0
        Mean and standard deviation of the intercept over tasks.
    noise : float, default=0.5
        Standard deviation of the noise.
    return_params : bool, default=False
        Also return the true parameters.
    random_state : int, RandomState instance or None, default=None
        Pass an int for the same data at every call.

    Returns
    -------
    X : ndarray of shape (n_samples, n_features)
    y : ndarray of shape (n_samples,)
    task : ndarray of shape (n_samples,)
        Task of each row, 0 to `n_tasks` - 1, ascending.
    params : dict
        Only with `return_params`: "coef" (n_tasks, n_features) and "intercept"
        (n_tasks,); and the law, "coef_mean" (n_features,), "coef_cov"
        (n_features, n_features).

    Raises
    ------
    ValueError
        If a parameter is out of its domain; the message names it.

    References
    ----------
    .. [1] N. M. Laird and J. H. Ware, "Random-Effects Models for Longitudinal Data",
       Biometrics 38(4), 1982.

    Examples
    --------
    >>> from sklmeta.datasets import make_linear_tasks
    >>> X, y, task = make_linear_tasks(n_tasks=4, n_rows=(3, 8), random_state=0)
    >>> X.shape[1], len(set(task))
    (5, 4)
    """
    n_features = check_count("n_features", n_features)
    noise = check_scale("noise", noise)
    intercept_std = check_scale("intercept_std", intercept_std)
    mean, cov, root = _check_coef_law(coef_mean, coef_cov, n_features)
    rng = make_generator(random_state)
    layout = Layout(rng, n_tasks, n_rows)
    coef = mean + rng.standard_normal((layout.n_tasks, n_features)) @ root.T
    intercept = intercept_mean + intercept_std * rng.standard_normal(layout.n_tasks)
    task = layout.task
    X = rng.standard_normal((len(task), n_features))
    y = np.einsum("ij,ij->i", X, coef[task]) + intercept[task]
    if noise > 0:
        y += noise * rng.standard_normal(len(task))
    data = X, y, task
    if return_params:
        law = {"coef_mean": mean, "coef_cov": cov}
        return *data, {"coef": coef, "intercept": intercept, **law}
    return data


def _check_coef_law(
    coef_mean: ArrayLike, coef_cov: ArrayLike, n_features: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean, covariance and a root of the covariance, also of a singular one."""
    mean = np.asarray(coef_mean, dtype=np.float64)
    if mean.shape not in ((), (n_features,)):
        raise ValueError(
            f"coef_mean must be a number or have shape ({n_features},), "
            f"got shape {mean.shape}."
        )
    cov = np.asarray(coef_cov, dtype=np.float64)
    if cov.ndim == 0:
        cov = cov * np.eye(n_features)
    if cov.shape != (n_features, n_features) or not np.allclose(cov, cov.T):
        raise ValueError(
            "coef_cov must be a variance or a symmetric matrix of shape "
            f"({n_features}, {n_features}), got shape {cov.shape}."
        )
    values, vectors = np.linalg.eigh(cov)
    if values[0] < -1e-10 * max(values[-1], 1.0):
        raise ValueError("coef_cov must have no negative eigenvalue.")
    root = vectors * np.sqrt(values.clip(min=0))
    return np.broadcast_to(mean, n_features).copy(), cov, root


def pharmacokinetic_curve(
    time: ArrayLike,
    dose: ArrayLike,
    absorption: ArrayLike,
    clearance: ArrayLike,
    volume: ArrayLike,
) -> np.ndarray:
    """Concentration after one oral dose: one compartment, first-order absorption.

    With the elimination rate k = clearance / volume and complete bioavailability::

        C(t) = dose * absorption / (volume * (absorption - k))
               * (exp(-k * t) - exp(-absorption * t))

    evaluated so that absorption = k, where the formula is 0 / 0, is no exception.

    Parameters
    ----------
    time : array-like
        Hours since the dose.
    dose : array-like
        Dose in mg per kg of body weight.
    absorption : array-like
        Absorption rate in 1/h.
    clearance : array-like
        Clearance in L/h per kg.
    volume : array-like
        Volume of distribution in L per kg.

    Returns
    -------
    concentration : ndarray
        In mg/L, of the arguments' broadcast shape.

    Examples
    --------
    >>> from sklmeta.datasets import pharmacokinetic_curve
    >>> pharmacokinetic_curve([1.0, 24.0], 4.0, 1.5, 0.04, 0.45).round(2)
    array([6.54, 1.12])
    """
    time, dose = np.asarray(time, np.float64), np.asarray(dose, np.float64)
    absorption = np.asarray(absorption, np.float64)
    elimination = np.asarray(clearance, np.float64) / np.asarray(volume, np.float64)
    slower = np.minimum(absorption, elimination)
    gap = np.abs(absorption - elimination) * time
    safe = np.where(gap > 0, gap, 1.0)
    # (exp(-k t) - exp(-a t)) / (a - k), symmetric in a and k
    shape = time * np.exp(-slower * time)
    shape = shape * np.where(gap > 0, -np.expm1(-safe) / safe, 1.0)
    return dose * absorption / np.asarray(volume, np.float64) * shape


def make_pharmacokinetics(
    n_tasks: int = 200,
    *,
    n_rows: int | tuple[int, int] = 12,
    noise: float = 0.1,
    duration: float = 24.0,
    dose_range: tuple[float, float] = (3.0, 6.0),
    return_params: bool = False,
    random_state: int | RandomState | None = None,
) -> tuple[Any, ...]:
    """Make drug concentrations of patients after one oral dose.

    The one-compartment model with first-order absorption, in the units and about the
    values of the theophylline study [1]_. Patient t has one dose and the rows are
    blood samples i::

        absorption_t = 1.5  1/h     * exp(0.6 * z_t1)
        clearance_t  = 0.04 L/h/kg  * exp(0.3 * z_t2)          z_tj ~ N(0, 1)
        volume_t     = 0.45 L/kg    * exp(0.2 * z_t3)
        dose_t ~ U[3, 6] mg/kg
        time_ti = 24 h * ((i - u_ti) / n_t)^2,                 u_ti ~ U[0, 1/3)
        y_ti = C(time_ti) * exp(0.1 * e_ti),                   e_ti ~ N(0, 1)

    for i = 1 to n_t, where C is `pharmacokinetic_curve`. The schedule is dense while
    the drug is absorbed and sparse afterwards, as in real studies. The noise is the
    exponential error model: 10 % of the concentration, which stays positive. The law
    depends on the arguments alone: two seeds give patients of the same population.

    Parameters
    ----------
    n_tasks : int, default=200
        Number of patients.
    n_rows : int or (int, int), default=12
        Samples of each patient, or the inclusive range from which each patient's
        number of samples is drawn uniformly.
    noise : float, default=0.1
        Standard deviation of the noise on the logarithm of the concentration.
    duration : float, default=24.0
        Hours over which samples are taken.
    dose_range : (float, float), default=(3.0, 6.0)
        Bounds of the dose in mg/kg.
    return_params : bool, default=False
        Also return the true parameters.
    random_state : int, RandomState instance or None, default=None
        Pass an int for the same data at every call.

    Returns
    -------
    X : ndarray of shape (n_samples, 2)
        Time since the dose in h, and the dose in mg/kg, which is constant within a
        patient. Rows are in time order within each patient.
    y : ndarray of shape (n_samples,)
        Measured concentration in mg/L.
    task : ndarray of shape (n_samples,)
        Patient of each row, 0 to `n_tasks` - 1, ascending.
    params : dict
        Only with `return_params`: "absorption", "clearance", "volume" and "dose",
        each (n_tasks,).

    Raises
    ------
    ValueError
        If a parameter is out of its domain; the message names it.

    References
    ----------
    .. [1] J. C. Pinheiro and D. M. Bates, "Mixed-Effects Models in S and S-PLUS",
       Springer 2000 (the theophylline data of R. A. Upton).

    Examples
    --------
    >>> from sklmeta.datasets import make_pharmacokinetics
    >>> X, y, patient = make_pharmacokinetics(n_tasks=5, random_state=0)
    >>> X.shape, bool((y > 0).all())
    ((60, 2), True)
    """
    noise = check_scale("noise", noise)
    duration = check_scale("duration", duration)
    if duration == 0:
        raise ValueError("duration must be greater than 0 hours, got 0.")
    dose_bounds = check_interval("dose_range", dose_range)
    rng = make_generator(random_state)
    layout = Layout(rng, n_tasks, n_rows)
    z = rng.standard_normal((3, layout.n_tasks)) * np.c_[[*PHARMACOKINETIC_LOG_STDS]]
    names = ("absorption", "clearance", "volume")
    medians = np.c_[[*PHARMACOKINETIC_MEDIANS]]
    params = dict(zip(names, medians * np.exp(z), strict=True))
    dose = rng.uniform(*dose_bounds, size=layout.n_tasks)
    step = np.arange(1, layout.n_columns + 1) - rng.random(layout.shape) / 3
    time = duration * (step / layout.sizes[:, None]) ** 2
    task = layout.task
    X = np.column_stack([layout.flatten(time), dose[task]])
    y = pharmacokinetic_curve(*X.T, *(params[name][task] for name in names))
    if noise > 0:
        y *= np.exp(noise * rng.standard_normal(len(y)))
    if return_params:
        return X, y, task, {**params, "dose": dose}
    return X, y, task
