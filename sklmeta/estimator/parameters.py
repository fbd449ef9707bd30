"""The parameters that all meta-learners share: constraints, and nested names."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import numbers
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from sklearn.base import BaseEstimator
from torch import nn

from sklmeta._compat import Interval, StrOptions
from sklmeta.learners.encoders import ACTIVATIONS
from sklmeta.training.callbacks import SCHEDULES

_NESTED = ("module", "optimizer")


COMMON_CONSTRAINTS: dict[str, Any] = {
    "module": [None, nn.Module, type],
    "module_params": [dict, None],
    "hidden_layer_sizes": ["array-like"],
    "activation": [StrOptions(set(ACTIVATIONS))],
    "n_shots": [Interval(numbers.Integral, 1, None, closed="left"), tuple, list],
    "n_query": [Interval(numbers.Integral, 1, None, closed="left")],
    "support": [StrOptions({"random", "first"}), "cv_object"],
    "meta_batch_size": [Interval(numbers.Integral, 1, None, closed="left")],
    "max_iter": [Interval(numbers.Integral, 0, None, closed="left")],
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
    "early_stopping": ["boolean"],
    "validation_fraction": [Interval(numbers.Real, 0, 1, closed="neither")],
    "n_iter_no_change": [Interval(numbers.Integral, 1, None, closed="left")],
    "callbacks": ["array-like", None],
    "standardize": ["boolean"],
    "transductive": ["boolean"],
    "device": [str],
    "compile": ["boolean"],
    "n_threads": [Interval(numbers.Integral, 1, None, closed="left"), None],
    "random_state": ["random_state"],
    "verbose": ["verbose"],
    "warm_start": ["boolean"],
}

CLASS_CONSTRAINTS: dict[str, Any] = {
    **COMMON_CONSTRAINTS,
    "n_way": [Interval(numbers.Integral, 2, None, closed="left"), None],
    "shared_classes": ["boolean", None],
}


@dataclass(kw_only=True, eq=False, repr=False)
class Parameters(BaseEstimator):
    """The shared parameters, with skorch's spelling for the entries of dicts.

    Estimators are data classes: the generated ``__init__`` has a real signature and
    does nothing but assign, which is all that scikit-learn asks of it, and a parameter
    that all learners share is declared once.
    """

    module: type[nn.Module] | nn.Module | None = None
    module_params: dict[str, Any] | None = None
    hidden_layer_sizes: Sequence[int] = (64, 64)
    activation: str = "relu"
    n_shots: int | tuple[int, int] = 5
    n_query: int = 15
    support: Any = "random"
    meta_batch_size: int = 16
    max_iter: int = 1000
    lr: float = 1e-3
    lr_schedule: str = "cosine"
    optimizer: str | type[torch.optim.Optimizer] = "Adam"
    optimizer_params: dict[str, Any] | None = None
    weight_decay: float = 0.0
    max_grad_norm: float | None = 10.0
    chunk_size: int | str = "auto"
    early_stopping: bool = False
    validation_fraction: float = 0.1
    n_iter_no_change: int = 10
    callbacks: Sequence[Any] | None = None
    standardize: bool = True
    transductive: bool = False
    device: str = "auto"
    compile: bool = False
    n_threads: int | None = None
    random_state: int | np.random.RandomState | None = None
    verbose: int = 0
    warm_start: bool = False

    _parameter_constraints: ClassVar[dict[str, Any]] = COMMON_CONSTRAINTS

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
