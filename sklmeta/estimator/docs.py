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

lr_schedule : {{"constant", "cosine", "linear"}}, default={lr_schedule}
    Whether `lr` stays, or falls to zero over `max_iter`: along a cosine, or a line.

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

verbose : int, default=0
    1 prints a line per epoch.

warm_start : bool, default=False
    Whether `fit` goes on from the weights of the last call.
""",
    "inner_steps": """
inner_steps : int, default={inner_steps}
    Gradient steps on the support in meta-training.

adapt_steps : int, default=None
    Gradient steps in `adapt`; None is `inner_steps`. Steps beyond `inner_steps`
    are of `inner_lr`, with backtracking.

first_order : bool, default={first_order}
    Take the inner gradients as constants (FOMAML): cheaper, a little less
    accurate.
""",
    "stabilisers": """
multi_step_loss : float, default={multi_step_loss}
    Share of the meta-updates, from the first, in which the query loss after every
    inner step counts: with equal weights at first, which move linearly to the last
    step's. Validation always takes the last step's loss.

learn_inner_lr : bool, default={learn_inner_lr}
    Whether each parameter tensor learns a step size for each inner step; they start
    from `inner_lr`, and may become negative.

derivative_order_annealing : float, default={derivative_order_annealing}
    Share of the meta-updates, from the first, that take the inner gradients as
    constants, as `first_order` does for all.
""",
    "head_init": """
head_init : {{"shared", "prototypes"}}, default={head_init}
    Start of the head where classes are a task's own: one learned vector for all
    classes, or the linear form of squared distances to the class means.
""",
    "engine": """
engine : {{"auto", "adjoint", "batched", "vmap", "loop"}}, default={engine}
    How the encoder runs with the weights of many tasks; "auto" chooses, and
    `engine_` tells.
""",
    "tuning": """
tune : {{"head", "all"}}, default={tune}
    What `adapt` moves: the head, or the encoder as well.

inner_lr : float, default={inner_lr}
    Step size of tuning. A step that would raise a task's loss is halved, up to ten
    times, and then left out.

adapt_steps : int, default={adapt_steps}
    Gradient steps of tuning; 0 keeps the pooled network.

alpha : float, default={alpha}
    Pull of tuning towards where it starts: ``alpha / 2`` times the squared distance
    is added to the sum of the losses of the support rows, as in `Ridge`. So few
    rows move the network a little and many as far as they ask.

batch_size : int, default={batch_size}
    Rows of a minibatch, of all tasks together; one minibatch is one update.

n_shots, n_query, support, meta_batch_size : as in other estimators
    The episodes of held-out tasks by which `early_stopping` judges; by default
    {n_shots}, {n_query}, {support} and {meta_batch_size}. Training here has none.
""",
    "minibatches": """
inner_lr : float, default={inner_lr}
    Step size of the inner optimizer, in meta-training and in `adapt`.

inner_steps : int, default={inner_steps}
    Minibatches of its support that a task is trained on in a meta-update.

inner_batch_size : int, default={inner_batch_size}
    Rows of a minibatch. A task with no more rows takes all of them at every step;
    any other goes through its rows in random order, again and again.

inner_optimizer : {{"adam", "sgd"}}, default={inner_optimizer}
    Adam without momentum, whose second moments are learned across the tasks of
    meta-training and go with the start; or plain gradient steps.

adapt_steps : int, default={adapt_steps}
    Minibatches in `adapt`; None is `inner_steps`. More than in meta-training, as
    in the paper.
""",
    "reptile_notes": """
With ``meta_batch_size=1`` this is the serial algorithm, which moves after every
task. In a batch the tasks share one state of Adam, into which the mean of their
squared gradients goes; a step of n tasks counts as n steps. `adapt` gives each
task a copy of the state, and leaves the learned one as it is.

The order of minibatches in `adapt` depends on the number of rows alone, so that
it is the same at every call, whatever other tasks are adapted to with it.
""",
    "preparation": """
preparation : transformer, default=None
    What turns X into numbers, such as a pipeline of a vectoriser and a
    decomposition; every member gets a copy of its own. X may then be what this
    takes: text, or a data frame with categories. Prepared *before* the blend, the
    tasks held out to weigh the members are no longer unseen.
""",
    "stacking": """
cv : int, default={cv}
    Folds of training tasks for stacking. Each member is fitted once per fold and
    once to all tasks.

shots : sequence of int, default={shots}
    Numbers of support rows at which the members are compared; between them the
    weights are interpolated. Per class when classes are a task's own, where 0 is
    passed over.

n_draws : int, default={n_draws}
    Supports drawn per task and number of shots.

support : {{"random", "first"}}, default={support}
    How the support is chosen in stacking, and by the members of the default
    portfolio in their training. Take "first" if the labelled rows of a new task
    will be its first in order.

member_params : dict, default=None
    Parameters for those members that have them, such as ``{{"max_iter": 500}}`` for
    the meta-updates of all meta-learners.

n_jobs : int, default=None
    Folds run at a time.

random_state : int, RandomState instance or None, default=None
    Seed of members, folds and draws.

verbose : int, default=0
    1 shows a progress bar over the folds.
""",
    "stacking_notes": """
The weights are a softmax, linear in log(1 + rows) and in how much better than the
average each member predicts the support's own rows, left out one after the other (by
fifths where there are more than five). Its coefficients are those that would have
blended best the predictions for held-out training tasks: stacked generalisation
[1]_, in which supports of all sizes count alike. With few tasks they stay close to
equal weights. On a single table there is nothing to learn them from, and members
count alike.

`fit` costs ``cv + 1`` fits of every member; `adapt` up to six adaptations of every
member.
""",
    "stacked": """
estimators_ : dict of str to estimator
    The members, fitted to all tasks.

weights_ : DataFrame of shape (n_tasks, n_members)
    What each member weighs, for every task adapted to; before `adapt`, with no
    rows of a task.

tasks_ : ndarray of shape (n_tasks,)
    Labels of the tasks that `fit` saw.

n_features_in_ : int
    Number of features seen during `fit`.
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

_TEXTS["updates"] = _TEXTS["outer"].partition("\n\n")[2]  # without meta_batch_size


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
