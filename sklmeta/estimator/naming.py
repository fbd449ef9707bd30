"""Arguments under another name: what they are called here."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable
from difflib import get_close_matches
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

ELSEWHERE = {
    "estimators": "candidates members models",
    "task": "group groups task_id task_ids tasks task_labels",
    "max_iter": "epochs max_epochs n_epochs num_epochs n_iter n_iterations n_updates",
    "lr": "eta learning_rate learning_rate_init meta_lr outer_lr",
    "inner_lr": "fast_lr inner_learning_rate task_lr",
    "inner_steps": "adaptation_steps n_inner_steps num_inner_steps",
    "meta_batch_size": "batch_size n_tasks tasks_per_batch",
    "hidden_layer_sizes": "hidden hidden_layers hidden_sizes hidden_units layers",
    "module": "backbone encoder model net network",
    "n_shots": "k_shot n_support num_shots shot shots",
    "n_way": "k_way n_classes n_ways num_ways way ways",
    "shots": "k_shot n_shots n_support num_shots shot",
    "random_state": "seed",
    "sample_weight": "sample_weights weight weights",
    "device": "cuda gpu",
}
"""What other libraries call our arguments."""


def says_what_it_takes(method: Callable[P, R]) -> Callable[P, R]:
    """Let a method say what an argument that it does not know is called here."""
    known = list(inspect.signature(method).parameters)[1:]

    @functools.wraps(method)
    def checked(*args: P.args, **kwargs: P.kwargs) -> R:
        owner = type(args[0]).__name__
        refuse_unknown(f"{owner}.{method.__name__}", kwargs, known)
        return method(*args, **kwargs)

    return checked


class NamedParametersMixin:
    """Lets a class say so too, of its parameters."""

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        known = list(inspect.signature(cls.__init__).parameters)[1:]
        if "kwargs" not in known:
            refuse_unknown(cls.__name__, kwargs, known)
        return super().__new__(cls)

    # Where a class has no parameters, that is what tools should read.
    __new__.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [inspect.Parameter("cls", inspect.Parameter.POSITIONAL_ONLY)]
    )


def refuse_unknown(owner: str, given: Iterable[str], known: list[str]) -> None:
    """Refuse a name that is none of the known ones.

    Raises
    ------
    TypeError
        That says what the argument is called here, as far as that can be guessed.
    """
    for name in given:
        if name not in known:
            raise TypeError(f"{owner} takes no argument {name!r}{_remedy(name, known)}")


def _remedy(name: str, known: list[str]) -> str:
    group, _, entry = name.partition("__")
    if entry and f"{group}_params" in known:
        given = f"{group}_params={{'{entry}': ...}}"
        return f": give {given}, or use set_params({name}=...) afterwards."
    names = [ours for ours, theirs in ELSEWHERE.items() if name in theirs.split()]
    names = [ours for ours in names if ours in known]
    names = names or get_close_matches(name, known, n=1)
    if not names:
        return f"; it takes {', '.join(known)}."
    if names[0] == "max_iter":
        return ": set max_iter, which counts meta-updates and not epochs."
    return f": here it is called {names[0]!r}."
