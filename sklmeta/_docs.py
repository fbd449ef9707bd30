"""The text of the parameters that all meta-learners share, written once."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import inspect
import re
from typing import TypeVar

T = TypeVar("T", bound=type)

_TEXTS = {
    "module": """
module : nn.Module class or instance, default=None
    The encoder, which maps rows (n, *input) to features (n, d). None is an MLP
    over `hidden_layer_sizes` and `activation`. A class is called with
    `module_params`, and with `n_features_in` when its ``__init__`` names it; an
    instance is copied by `fit`, which starts from its weights.

module_params : dict, default=None
    Arguments of the module class; also set as ``module__name``.
""",
    "mlp": """
hidden_layer_sizes : tuple of int, default={hidden_layer_sizes}
    Widths of the default encoder's layers.

activation : {{"relu", "tanh", "gelu", "silu", "elu", "identity"}}, default={activation}
    Activation of the default encoder.
""",
    "own_classes": """
n_way : int, default=None
    Number of classes in a training episode, for classes that are a task's own;
    None takes all of a task's classes.

shared_classes : bool, default=None
    Whether all tasks speak of the same classes. None means True unless `n_way`
    is given; it is never guessed from the labels.
""",
    "episodes": """
n_shots : int or (int, int), default={n_shots}
    Support rows of a training episode: per class when classes are a task's own,
    else in total. A range is inclusive, and trains for many support sizes; in
    total, it ends at half of a task's rows.

n_query : int, default={n_query}
    Query rows of a training episode, at most; counted as `n_shots` is.

support : {{"random", "first"}} or splitter, default="random"
    How the support of a training episode is chosen: at random, first in row
    order, or by an object with a scikit-learn ``split(X, y)``.
""",
    "outer": """
meta_batch_size : int, default={meta_batch_size}
    Tasks per meta-update.

max_iter : int, default={max_iter}
    Number of meta-updates.

lr : float, default={lr}
    Step size of the meta-updates.

lr_schedule : {{"constant", "cosine"}}, default={lr_schedule}
    Whether `lr` stays, or falls to zero along a cosine over `max_iter`.

optimizer : str or torch optimizer class, default={optimizer}
    Name of a class in ``torch.optim``, or the class.

optimizer_params : dict, default=None
    Arguments of the optimizer; also set as ``optimizer__name``.

weight_decay : float, default={weight_decay}
    Weight decay of the optimizer; with "AdamW" it is decoupled from the gradient.

max_grad_norm : float, default={max_grad_norm}
    The meta-gradient is scaled down to this norm; None leaves it alone.

chunk_size : int or "auto", default={chunk_size}
    Tasks that go through the network together within a meta-update. The memory of
    the graph grows with it; the loss and its gradient do not depend on it, but for
    what a module draws or shares over the tasks (dropout, batch statistics).
    "auto" chooses by the size of the network and of the tasks.

early_stopping : bool, default={early_stopping}
    Whether to hold out tasks (with fewer than ten: rows of each; from one table:
    rows, or classes with `n_way`), stop when their loss no longer falls, and
    return the best epoch's weights. An epoch is at most 100 meta-updates.

validation_fraction : float, default=0.1
    Fraction to hold out with `early_stopping`.

n_iter_no_change : int, default={n_iter_no_change}
    Epochs without improvement after which `early_stopping` stops.

callbacks : list of skorch callbacks, default=None
    Callbacks of the meta-training.

standardize : bool, default=True
    Whether to standardise X, and y of a regressor, by the training rows.

transductive : bool, default=False
    Whether layers with batch statistics use those of a task's query rows in
    prediction. Then predictions of one task's rows depend on one another.

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

verbose : int, default=0
    1 prints a line per epoch.

warm_start : bool, default=False
    Whether `fit` goes on from the weights of the last call.
""",
    "fitted": """
tasks_ : ndarray of shape (n_tasks,)
    Labels of the tasks that `fit` saw.

engine_ : str
    How the tasks of a meta-update went through the network: "once", the rows of all
    together; with weights of each task's own by "adjoint", "batched" or "vmap"; or
    one after the other, "loop".

n_features_in_ : int
    Number of features seen during `fit`.

feature_names_in_ : ndarray of shape (n_features_in_,)
    Names of the features, when X has names that are all strings.

n_iter_ : int
    Meta-updates made.

history_ : list of dict
    Losses and seconds of every epoch.

compile_time_ : float
    Seconds that compilation took, with ``compile=True``.

n_guarded_ : int
    Steps of the last adaptation that were shortened or dropped, because they
    would have let the support loss grow tenfold.
""",
    "fitted_classes": """
classes_ : ndarray of shape (n_classes,)
    The classes; where these are a task's own, those of the adapted tasks.

shared_classes_ : bool
    Whether the tasks share their classes.
""",
}


def document(cls: T) -> T:
    """Fill ``%(name)s`` in a class docstring with the texts of the shared parameters.

    Defaults are read from the signature, so that they cannot disagree with it.
    """
    defaults = {
        name: f'"{p.default}"' if isinstance(p.default, str) else p.default
        for name, p in inspect.signature(cls).parameters.items()
    }

    def text(placeholder: re.Match[str]) -> str:
        return _TEXTS[placeholder[1]].strip().format_map(defaults)

    doc = inspect.getdoc(cls) or ""
    cls.__doc__ = re.sub(r"^%\((\w+)\)s$", text, doc, flags=re.MULTILINE)
    return cls
