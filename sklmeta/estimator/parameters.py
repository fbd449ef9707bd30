"""The parameters that all meta-learners share, with skorch's nested names."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import numbers
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from sklearn.base import BaseEstimator
from torch import nn

from sklmeta._compat import HasMethods, Interval, StrOptions
from sklmeta.estimator.declared import DeclaredParameters
from sklmeta.learners.encoders import ACTIVATIONS
from sklmeta.training.callbacks import SCHEDULES

_NESTED = ("module", "optimizer")


class Parameters(DeclaredParameters, BaseEstimator):
    """The parameters that all meta-learners share, described once.

    Their defaults are those of most estimators; each estimator's signature has its own.
    Entries of `module_params` and `optimizer_params` are parameters too, by skorch's
    spelling ``module__name`` and ``optimizer__name``. An estimator of your own derives
    from this class through `BaseMetaEstimator`, and declares its parameters as this one
    does: by an annotation, a default and a constraint.

    Parameters
    ----------
    module : nn.Module class or instance, default=None
        The encoder, which maps rows ``(n, *input)`` to features ``(n, d)``. None is an
        MLP over `hidden_layer_sizes` and `activation`. A class is called with
        `module_params`, and with `n_features_in` when its ``__init__`` names it; an
        instance is copied by `fit`, which starts from its weights.

    module_params : dict, default=None
        Arguments of the module class; also set as ``module__name``.

    hidden_layer_sizes : int or tuple of int, default=(64, 64)
        Widths of the default encoder's layers.

    activation : {"relu", "tanh", "gelu", "silu", "elu", "identity"}, default="relu"
        Activation of the default encoder.

    n_shots : int or (int, int), default=5
        Support rows of a training episode: per class when classes are a task's own,
        else in total. A range is inclusive, and trains for many support sizes; in
        total, it ends at half of a task's rows.

    n_query : int, default=15
        Query rows of a training episode, at most; counted as `n_shots` is.

    support : {"random", "stratified", "first"} or splitter, default="random"
        How the support of a training episode is chosen: at random, first in row
        order, or by an object with a scikit-learn ``split(X, y)``. In training, of
        shared classes a row of each that the task has comes first both for "random"
        and for "stratified". ``score(..., task=...)`` draws as this says: for "random"
        truly at random.

    meta_batch_size : int, default=16
        Tasks per meta-update.

    max_iter : int, default=1000
        Number of meta-updates. With 0 nothing is learned but the scaling and, where
        there is one, the mixed model to start from.

    max_time : float, default=None
        Seconds that `fit` may take, about; what is reached by then is used, with a
        warning that says how far that is, and the step size falls in time. Of "folds"
        each has as much as the training that comes after them.

    lr : float, default=0.001
        Step size of the meta-updates.

    lr_schedule : {"constant", "cosine", "linear"}, default="cosine"
        Whether `lr` stays, or falls to zero over `max_iter`: along a cosine, or a line.

    optimizer : str or torch optimizer class, default="Adam"
        Name of a class in ``torch.optim``, or the class.

    optimizer_params : dict, default=None
        Arguments of the optimizer; also set as ``optimizer__name``.

    weight_decay : float, default=0.0
        Weight decay of the optimizer; with "AdamW" it is decoupled from the gradient.

    max_grad_norm : float, default=10.0
        The meta-gradient is scaled down to this norm; None leaves it alone.

    chunk_size : int or "auto", default="auto"
        Tasks that go through the network together within a meta-update. The memory of
        the graph grows with it; the loss and its gradient do not depend on it, but for
        what a module draws or shares over the tasks (dropout, batch statistics).
        "auto" chooses by the size of the network and of the tasks.

    early_stopping : bool or "folds", default=False
        True holds out tasks (with fewer than ten: rows of each; from one table: rows,
        or classes with `n_way`), stops when their loss no longer falls, and returns the
        best epoch's weights. An epoch is at most 100 meta-updates. With fewer than some
        fifty tasks it may do more harm than good: those held out are not learned from,
        and are too few to tell when to stop. "folds" trains on all tasks, for as many
        updates as predicted held-out tasks best when each of three folds of tasks
        (five, of fewer than 30 tasks) was held out once; where fewer are as good within
        a standard error, for fewer, down to none. It takes four to six times as long.
        One table has no tasks to hold out.

    validation_fraction : float, default=0.1
        Fraction to hold out with `early_stopping`.

    n_iter_no_change : int, default=10
        Epochs without improvement after which `early_stopping` stops.

    callbacks : list of skorch callbacks, default=None
        Callbacks of the meta-training. `fit` works on copies of them, as it leaves all
        parameters alone; what one records, ``net.history.record("name", value)``, is in
        `history_` afterwards.

    standardize : bool or "auto", default=True
        Whether to standardise X, and y of a regressor, by the training rows. With
        "auto", classes of a task's own and the default encoder, rows are mapped to the
        linear discriminants of the training classes instead, each scaled by what it
        tells of the class. As in `LDABaseline` these choose, on held-out ones of
        theirs, whether features have a scale of their own or one in common, and whether
        rows are brought to equal length. Fewer than ten classes, or more than 1,000
        features, are standardised.

    transductive : bool, default=False
        Whether layers with batch statistics use those of a task's query rows in
        prediction. Then predictions of one task's rows depend on one another. Otherwise
        they use what they learned in `fit`, or, in a network whose encoder adapts, the
        statistics of the task's support.

    device : str, default="auto"
        Where to compute; "auto" takes CUDA when there is one.

    compile : bool, default=False
        Whether to compile a meta-update with ``torch.compile``, once for every size of
        support and query (sizes are padded to few). That takes half a minute or more,
        which `compile_time_` tells, and a C++ compiler; it pays from some tens of
        thousands of updates on.

    n_threads : int, default=None
        CPU threads within an operation during `fit`, which restores them. None takes
        one for a small network, which gains nothing from a second and loses a great
        deal where that core is busy; and torch's own number for a network with
        convolutions or of more than 4 MiB, and on a GPU.

    random_state : int, RandomState instance or None, default=None
        Seeds the weights and the episodes.

    verbose : int, default=None
        None shows a bar, with the time left, where a fit takes more than two seconds
        and standard error is a terminal or a notebook's; 0 shows nothing; 1 keeps the
        bar when it is done, and writes a plain line now and then where there is no
        terminal.

    checkpoint_dir : str or path-like, default=None
        A folder for this fit alone, in which its state is kept. A `fit` that was killed
        goes on from there, if called again with the same data and parameters, and ends
        as it would have; one that was done is not made again. With other ones it is
        refused. Callbacks begin anew.

    accelerator : bool or accelerate.Accelerator, default=None
        With several processes, as ``torchrun`` or ``accelerate launch`` start them, all
        of which call `fit` with the same data: each makes its share of every
        meta-update, and all end with the same model, that of one process but for
        rounding (and for what a module draws or shares over the tasks). True makes the
        accelerator; one that is given is not kept by pickling. It is also the device,
        with ``device="auto"``.

    warm_start : bool, default=False
        Whether `fit` goes on from the weights of the last call.

    Attributes
    ----------
    tasks_ : ndarray of shape (n_tasks,)
        Labels of the tasks that `fit` saw.

    engine_ : str
        How the tasks of a meta-update went through the network: "once", the rows of all
        together; with weights of each task's own by "adjoint", "batched" or "vmap"; or
        one after the other, "loop".

    n_features_in_ : int
        Number of features seen during `fit`.

    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the features, when X has names that are all strings.

    n_iter_ : int
        Meta-updates made.

    history_ : list of dict
        Losses and seconds of every epoch, and what `callbacks` record.

    compile_time_ : float
        Seconds that compilation took, with ``compile=True``.

    n_guarded_ : int
        Steps of the last adaptation that were shortened or dropped, because they
        would have let the support loss grow tenfold.
    """

    module: type[nn.Module] | nn.Module | None = None
    module_params: dict[str, Any] | None = None
    hidden_layer_sizes: int | Sequence[int] = (64, 64)
    activation: str = "relu"
    n_shots: int | tuple[int, int] = 5
    n_query: int = 15
    support: Any = "random"
    meta_batch_size: int = 16
    max_iter: int = 1000
    max_time: float | None = None
    lr: float = 1e-3
    lr_schedule: str = "cosine"
    optimizer: str | type[torch.optim.Optimizer] = "Adam"
    optimizer_params: dict[str, Any] | None = None
    weight_decay: float = 0.0
    max_grad_norm: float | None = 10.0
    chunk_size: int | str = "auto"
    early_stopping: bool | str = False
    validation_fraction: float = 0.1
    n_iter_no_change: int = 10
    callbacks: Sequence[Any] | None = None
    standardize: bool | str = True
    transductive: bool = False
    device: str = "auto"
    compile: bool = False
    n_threads: int | None = None
    random_state: int | np.random.RandomState | None = None
    verbose: int | None = None
    checkpoint_dir: str | os.PathLike[str] | None = None
    accelerator: Any = None
    warm_start: bool = False

    _parameter_constraints = {
        "module": [None, nn.Module, type],
        "module_params": [dict, None],
        "hidden_layer_sizes": [
            Interval(numbers.Integral, 1, None, closed="left"),
            "array-like",
        ],
        "activation": [StrOptions(set(ACTIVATIONS))],
        "n_shots": [Interval(numbers.Integral, 1, None, closed="left"), tuple, list],
        "n_query": [Interval(numbers.Integral, 1, None, closed="left")],
        "support": [StrOptions({"random", "stratified", "first"}), "cv_object"],
        "meta_batch_size": [Interval(numbers.Integral, 1, None, closed="left")],
        "max_iter": [Interval(numbers.Integral, 0, None, closed="left")],
        "max_time": [Interval(numbers.Real, 0, None, closed="neither"), None],
        "lr": [Interval(numbers.Real, 0, None, closed="neither")],
        "lr_schedule": [StrOptions({"constant", *SCHEDULES})],
        "optimizer": [str, type],
        "optimizer_params": [dict, None],
        "weight_decay": [Interval(numbers.Real, 0, None, closed="left")],
        "max_grad_norm": [Interval(numbers.Real, 0, None, closed="neither"), None],
        "chunk_size": [
            StrOptions({"auto"}),
            Interval(numbers.Integral, 1, None, closed="left"),
        ],
        "early_stopping": ["boolean", StrOptions({"folds"})],
        "validation_fraction": [Interval(numbers.Real, 0, 1, closed="neither")],
        "n_iter_no_change": [Interval(numbers.Integral, 1, None, closed="left")],
        "callbacks": ["array-like", None],
        "standardize": ["boolean", StrOptions({"auto"})],
        "transductive": ["boolean"],
        "device": [str],
        "compile": ["boolean"],
        "n_threads": [Interval(numbers.Integral, 1, None, closed="left"), None],
        "random_state": ["random_state"],
        "verbose": ["verbose", None],
        "checkpoint_dir": [str, os.PathLike, None],
        "accelerator": ["boolean", None, HasMethods(["reduce"])],
        "warm_start": ["boolean"],
    }

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Get the parameters; entries of the parameter dicts as ``module__name``.

        Parameters
        ----------
        deep : bool, default=True
            Whether to show the entries of `module_params` and `optimizer_params`.

        Returns
        -------
        dict
        """
        params = super().get_params(deep=deep)
        if deep:
            for name in _NESTED:
                entries = params.get(f"{name}_params")
                if isinstance(entries, dict):
                    params.update({f"{name}__{k}": v for k, v in entries.items()})
        return params

    def set_params(self, **params: Any) -> Any:
        """Set parameters; ``module__name=value`` sets one entry of `module_params`.

        Parameters
        ----------
        **params : dict
            Parameters of the estimator.

        Returns
        -------
        self
        """
        nested = {
            key: params.pop(key)
            for key in list(params)
            if key.partition("__")[0] in _NESTED and "__" in key
        }
        super().set_params(**params)
        for key, value in nested.items():
            name, _, entry = key.partition("__")
            entries = getattr(self, f"{name}_params") or {}
            setattr(self, f"{name}_params", {**entries, entry: value})
        return self
