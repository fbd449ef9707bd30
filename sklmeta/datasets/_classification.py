"""Synthetic collections of related classification tasks."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.random import Generator, RandomState

from sklmeta.datasets._layout import (
    Layout,
    check_count,
    check_count_range,
    check_scale,
    make_generator,
)

#: The gases, in the order of the rows of `params["baseline"]`.
GAS_NAMES = ("acetaldehyde", "acetone", "ammonia", "ethanol", "ethylene", "toluene")


def make_sensor_arrays(
    n_tasks: int = 200,
    *,
    n_rows: int | tuple[int, int] = 60,
    n_gases: int = 6,
    n_sensors: int = 8,
    cross_talk: float = 0.35,
    offset_std: float = 0.3,
    noise: float = 0.08,
    return_params: bool = False,
    random_state: int | RandomState | None = None,
) -> tuple[Any, ...]:
    """Make readings of gas-sensor arrays, no two of which are alike.

    Every device (a task) has sensors of the same kinds, but each device mixes and
    shifts their responses in its own way, as arrays of metal-oxide sensors do from
    unit to unit and over time [1]_. The logarithm of the response to gas g at log
    concentration c, a row vector over sensors, is on device d::

        x = (a_g + b_g * c) (I + 0.35 * E_d) + o_d + 0.08 * e

        gas:     a_g ~ N(0, 0.9^2) and b_g ~ U[0.3, 0.9], per gas and sensor
        device:  E_d ~ N(0, 1), (n_sensors, n_sensors); o_d ~ N(0, 0.3^2), per sensor
        row:     g uniform over gases, c ~ U[-1.5, 1.5], e ~ N(0, 1) per sensor

    The gases (a and b) are drawn once per call and shared by all its devices. So draw
    the devices to learn from and the new ones in **one call** and split them by task:
    two calls with two seeds speak of different gases. Classes are shared by all tasks;
    a device with few rows may lack a gas.

    Parameters
    ----------
    n_tasks : int, default=200
        Number of devices.
    n_rows : int or (int, int), default=60
        Readings of each device, or the inclusive range from which each device's
        number of readings is drawn uniformly.
    n_gases : int, default=6
        Number of gases, 2 to 6.
    n_sensors : int, default=8
        Number of sensors, the features.
    cross_talk : float, default=0.35
        Factor of E_d.
    offset_std : float, default=0.3
        Standard deviation of o_d.
    noise : float, default=0.08
        Standard deviation of the noise of a reading.
    return_params : bool, default=False
        Also return the true parameters.
    random_state : int, RandomState instance or None, default=None
        Pass an int for the same data at every call.

    Returns
    -------
    X : ndarray of shape (n_samples, n_sensors)
        Log responses.
    y : ndarray of shape (n_samples,)
        Name of the gas, a str such as "acetone".
    task : ndarray of shape (n_samples,)
        Device of each row, 0 to `n_tasks` - 1, ascending.
    params : dict
        Only with `return_params`: of the gases "gas_names" (n_gases,), "baseline" a
        and "slope" b (n_gases, n_sensors); of the devices "mixing" I + 0.35 E_d
        (n_tasks, n_sensors, n_sensors) and "offset" (n_tasks, n_sensors); of the rows
        "log_concentration" (n_samples,).

    Raises
    ------
    ValueError
        If a parameter is out of its domain; the message names it.

    References
    ----------
    .. [1] A. Vergara et al., "Chemical gas sensor drift compensation using classifier
       ensembles", Sensors and Actuators B 166, 2012 (the same six gases; the law above
       is this package's own).

    Examples
    --------
    >>> from sklmeta.datasets import make_sensor_arrays
    >>> X, y, device = make_sensor_arrays(n_tasks=3, random_state=0)
    >>> X.shape, sorted(set(y.tolist()))[:2]
    ((180, 8), ['acetaldehyde', 'acetone'])
    """
    n_gases = check_count("n_gases", n_gases, 2)
    if n_gases > len(GAS_NAMES):
        raise ValueError(f"n_gases must be at most {len(GAS_NAMES)}, got {n_gases}.")
    n_sensors = check_count("n_sensors", n_sensors)
    cross_talk = check_scale("cross_talk", cross_talk)
    offset_std = check_scale("offset_std", offset_std)
    noise = check_scale("noise", noise)
    rng = make_generator(random_state)
    baseline = 0.9 * rng.standard_normal((n_gases, n_sensors))
    slope = rng.uniform(0.3, 0.9, size=(n_gases, n_sensors))
    layout = Layout(rng, n_tasks, n_rows)
    square = (layout.n_tasks, n_sensors, n_sensors)
    mixing = np.eye(n_sensors) + cross_talk * rng.standard_normal(square)
    offset = offset_std * rng.standard_normal((layout.n_tasks, n_sensors))
    gas = rng.integers(n_gases, size=layout.shape)
    concentration = rng.uniform(-1.5, 1.5, size=layout.shape)
    X = slope[gas]
    X *= concentration[..., None]
    X += baseline[gas]
    X = layout.flatten(X @ mixing + offset[:, None, :])
    if noise > 0:
        X += noise * rng.standard_normal(X.shape)
    names = np.array(GAS_NAMES[:n_gases])
    data = X, names[layout.flatten(gas)], layout.task
    if not return_params:
        return data
    gases = {"gas_names": names, "baseline": baseline, "slope": slope}
    devices = {"mixing": mixing, "offset": offset}
    rows = {"log_concentration": layout.flatten(concentration)}
    return *data, {**gases, **devices, **rows}


def make_classification_tasks(
    n_tasks: int = 100,
    *,
    n_rows: int | tuple[int, int] = 50,
    n_way: int | tuple[int, int] = 5,
    n_features: int = 20,
    n_informative: int = 4,
    class_sep: float = 2.0,
    nuisance_std: float = 3.0,
    shared_labels: bool = False,
    return_params: bool = False,
    random_state: int | RandomState | None = None,
) -> tuple[Any, ...]:
    """Make classification tasks that share a subspace in which classes differ.

    Each class is a Gaussian around a prototype, the model under which the
    nearest-prototype rule is optimal (Snell et al. [1]_, section 2.3), once the
    subspace is known. A single small table cannot find the subspace; many can. For
    class k of task t and a row i of it::

        m_tk ~ N(0, class_sep^2 I)      prototype, n_informative dimensions
        z_i = m_tk + e_i                e_i ~ N(0, I)
        v_i ~ N(0, nuisance_std^2 I)    n_features - n_informative dimensions
        x_i = [z_i, v_i] Q

    with Q an orthogonal matrix, uniform over all of them, drawn once per call and
    shared by all its tasks. So draw the tasks to learn from and the new ones in **one
    call** and split them by task. Every task has its rows spread evenly over its
    classes (numbers differ by at most one), in random order.

    With `shared_labels` every task speaks of the same classes, and half the variance
    of a prototype is the class's own: m_tk = class_sep (c_k + d_tk) / sqrt(2), with
    c_k and d_tk standard normal.

    Parameters
    ----------
    n_tasks : int, default=100
        Number of tasks.
    n_rows : int or (int, int), default=50
        Rows of each task, or the inclusive range from which each task's number of
        rows is drawn uniformly; at least the largest `n_way`.
    n_way : int or (int, int), default=5
        Classes of each task, or the inclusive range from which each task's number of
        classes is drawn uniformly.
    n_features : int, default=20
        Number of features.
    n_informative : int, default=4
        Dimension of the shared subspace, at most `n_features`.
    class_sep : float, default=2.0
        Standard deviation of a prototype's coordinates, in units of the spread of a
        class.
    nuisance_std : float, default=3.0
        Standard deviation of the nuisance coordinates.
    shared_labels : bool, default=False
        False: labels are a task's own, no label occurs in two tasks. True: labels 0
        to `n_way` - 1 in every task.
    return_params : bool, default=False
        Also return the true parameters.
    random_state : int, RandomState instance or None, default=None
        Pass an int for the same data at every call.

    Returns
    -------
    X : ndarray of shape (n_samples, n_features)
    y : ndarray of shape (n_samples,)
        Integer labels.
    task : ndarray of shape (n_samples,)
        Task of each row, 0 to `n_tasks` - 1, ascending.
    params : dict
        Only with `return_params`: "prototypes" (n_tasks, largest n_way,
        n_informative), "n_classes" (n_tasks,), "first_label" (n_tasks,), so that class
        k of task t has the label first_label[t] + k; and "basis" (n_informative,
        n_features), the shared subspace: z = x @ basis.T.

    Raises
    ------
    ValueError
        If a parameter is out of its domain; the message names it.

    References
    ----------
    .. [1] J. Snell, K. Swersky and R. Zemel, "Prototypical Networks for Few-shot
       Learning", NeurIPS 2017.

    Examples
    --------
    >>> from sklmeta.datasets import make_classification_tasks
    >>> X, y, task = make_classification_tasks(n_tasks=2, n_way=3, random_state=0)
    >>> X.shape, sorted(set(y.tolist()))
    ((100, 20), [0, 1, 2, 3, 4, 5])
    """
    fewest, most = check_count_range("n_way", n_way, 2)
    n_features = check_count("n_features", n_features)
    n_informative = check_count("n_informative", n_informative)
    if n_informative > n_features:
        raise ValueError(
            f"n_informative must be at most n_features={n_features}, "
            f"got {n_informative}."
        )
    class_sep = check_scale("class_sep", class_sep)
    nuisance_std = check_scale("nuisance_std", nuisance_std)
    rng = make_generator(random_state)
    rotation = _draw_rotation(rng, n_features)
    layout = Layout(rng, n_tasks, n_rows, minimum=most)
    n_classes = rng.integers(fewest, most + 1, size=layout.n_tasks)
    shape = (layout.n_tasks, most, n_informative)
    prototypes = rng.standard_normal(shape)
    if shared_labels:
        prototypes = (prototypes + rng.standard_normal(shape[1:])) / np.sqrt(2)
    prototypes *= class_sep
    index = layout.flatten(_draw_classes(rng, layout, n_classes))
    task = layout.task
    X = rng.standard_normal((len(task), n_features))
    X[:, :n_informative] += prototypes[task, index]
    X[:, n_informative:] *= nuisance_std
    first_label = np.cumsum(n_classes) - n_classes
    if shared_labels:
        first_label = np.zeros_like(first_label)
    data = X @ rotation, index + first_label[task], task
    if not return_params:
        return data
    labels = {"n_classes": n_classes, "first_label": first_label}
    basis = rotation[:n_informative]
    return *data, {"prototypes": prototypes, "basis": basis, **labels}


def _draw_rotation(rng: Generator, size: int) -> np.ndarray:
    """Orthogonal matrix, uniform over the group."""
    q, r = np.linalg.qr(rng.standard_normal((size, size)))
    # QR alone is not uniform: the signs of R's diagonal must be random.
    return q * np.sign(np.diag(r))


def _draw_classes(rng: Generator, layout: Layout, n_classes: np.ndarray) -> np.ndarray:
    """Class index of each row, (n_tasks, n_columns), balanced within each task."""
    key = rng.random(layout.shape)
    key[~layout.mask] = np.inf  # real rows take the ranks 0 to size - 1
    rank = key.argsort(axis=1).argsort(axis=1)
    return rank % n_classes[:, None]
