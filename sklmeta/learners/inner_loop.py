"""The inner loop: gradient steps on the support, for all tasks at once.

Parameters carry the tasks as their first dimension. A loss function maps them to one
loss per task, an update rule maps parameters and gradients to new parameters, so that
MAML, ANIL, Meta-SGD and Reptile differ in what they hand over and in nothing else.
"""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from sklmeta.learners.engine import Parameters
from sklmeta.learners.learner import State

LossFunction = Callable[[Parameters], Tensor]
"""Maps the parameters of the tasks to their losses, of shape (n_tasks,)."""

UpdateRule = Callable[[Parameters, Parameters], Parameters]
"""Maps parameters and gradients of the tasks to the parameters one step later."""

UpdateRules = UpdateRule | Sequence[UpdateRule]
"""One rule for all steps, or one for each."""

GROWTH_LIMIT = 10.0
MAX_HALVINGS = 10


def gradient_step(
    parameters: Parameters, gradients: Parameters, *, lr: float
) -> Parameters:
    """One step of gradient descent, the update rule of MAML."""
    return {
        name: torch.sub(value, gradients[name], alpha=lr)
        for name, value in parameters.items()
    }


def scaled_step(
    parameters: Parameters, gradients: Parameters, *, rates: Parameters
) -> Parameters:
    """One step with a step size of each parameter's own; they have no task axis."""
    return {
        name: torch.addcmul(value, gradients[name], rates[name], value=-1)
        for name, value in parameters.items()
    }


def task_gradients(
    loss: Tensor,  # shape: (n_tasks,)
    parameters: Parameters,
    *,
    create_graph: bool,
) -> Parameters:
    """Gradient of each task's loss with respect to its own parameters.

    A task's loss depends on its own parameters only, so that the gradient of the sum
    holds every task's gradient. Parameters that the loss does not use get zero.
    """
    gradients = torch.autograd.grad(
        loss.sum(),
        list(parameters.values()),
        create_graph=create_graph,
        allow_unused=True,
        materialize_grads=True,
    )
    return dict(zip(parameters, gradients, strict=True))


def loss_gradients(
    loss_function: LossFunction, parameters: Parameters, *, create_graph: bool
) -> Parameters:
    """As `task_gradients`, also where a graph is compiled."""
    if not torch.compiler.is_compiling():
        loss = loss_function(parameters)
        return task_gradients(loss, parameters, create_graph=create_graph)
    # What autograd.grad records has no place in a compiled graph.
    gradients = torch.func.grad(lambda p: loss_function(p).sum())(parameters)
    if create_graph:
        return gradients
    return {name: gradient.detach() for name, gradient in gradients.items()}


def _rule(update: UpdateRules, step: int) -> UpdateRule:
    return update if callable(update) else update[step]


def guarded_inner_loop(
    loss_function: LossFunction,
    parameters: Parameters,
    update: UpdateRules,
    n_steps: int,
    *,
    n_trained_steps: int,
    extra_update: UpdateRule | None = None,
) -> tuple[Parameters, Tensor]:
    """Take `n_steps` steps that no task can diverge by, keeping no graph.

    The learned rule is followed as long as the support loss stays finite and below ten
    times its start. Where it does not, that task's step is halved up to ten times and
    then dropped. Steps beyond the `n_trained_steps` that meta-training has seen must
    not raise the support loss at all, and are halved and dropped likewise.

    Parameters
    ----------
    loss_function : callable
        Support loss of each task, of shape (n_tasks,).

    parameters : dict of Tensor
        Where to start: {name: (n_tasks, *shape)}.

    update : callable or sequence of callable
        The learned update rule, or that of each of the trained steps.

    n_steps : int
        Number of steps.

    n_trained_steps : int
        How many of them follow the learned rule.

    extra_update : callable, default=None
        Update rule of the further steps; None is `update`, if that is one.

    Returns
    -------
    adapted : dict of Tensor
        Same names and shapes as `parameters`, detached.
    n_guarded : Tensor of shape (n_tasks,)
        Number of steps, of the trained ones, that were halved or dropped.
    """
    with torch.enable_grad():
        parameters = {name: _leaf(value) for name, value in parameters.items()}
        loss = loss_function(parameters)
        start = loss.detach()
        ceiling = torch.where(start.isfinite(), GROWTH_LIMIT * start, torch.inf)
        n_guarded = torch.zeros(len(start), dtype=torch.long, device=start.device)
        for step in range(n_steps):
            trained = step < n_trained_steps
            rule = _rule(update if trained else extra_update or update, step)
            limit = ceiling if trained else loss.detach()
            gradients = task_gradients(loss, parameters, create_graph=False)
            parameters, loss, whole = _guarded_step(
                loss_function, parameters, rule(parameters, gradients), limit
            )
            if trained:
                n_guarded += ~whole
    return {name: value.detach() for name, value in parameters.items()}, n_guarded


def stayed_within_bounds(
    parameters: Parameters,
    losses: Tensor,  # shape: (n_steps + 1, n_tasks)
    n_trained_steps: int,
) -> Tensor:  # shape: (n_tasks,)
    """Whether the guard would have let every step of a task pass.

    `losses` are the support losses before each step and after the last, `parameters`
    what the steps led to.
    """
    start, after = losses[0], losses[1:]
    ceiling = torch.where(start.isfinite(), GROWTH_LIMIT * start, torch.inf)
    limits = losses[:-1].clone()
    limits[:n_trained_steps] = ceiling
    within = ((after <= limits) & after.isfinite()).all(0)
    return within & _all_finite(parameters)


def guard_wild_tasks(
    state: State,
    losses: Tensor,  # shape: (n_steps + 1, n_tasks)
    n_trained_steps: int,
    guarded: Callable[[Tensor], State],
) -> State:
    """Take the steps again, guarded, of those tasks that the guard would have stopped.

    It seldom acts, and then on few tasks, which no other task sees. `guarded` maps
    their numbers to their state; ``state["n_guarded"]`` is zero for all others.
    """
    wild = ~stayed_within_bounds(state, losses, n_trained_steps)
    state = {**state, "n_guarded": torch.zeros_like(wild, dtype=torch.long)}
    if wild.any():
        tasks = wild.nonzero()[:, 0]
        for name, value in guarded(tasks).items():
            state[name][tasks] = value
    return state


def _guarded_step(
    loss_function: LossFunction,
    parameters: Parameters,
    proposal: Parameters,
    limit: Tensor,  # shape: (n_tasks,)
) -> tuple[Parameters, Tensor, Tensor]:
    """Go towards `proposal` as far as the loss stays finite and within `limit`.

    Returns the parameters, their losses with a graph for the next gradient, and
    whether each task took its whole step.
    """
    scale = torch.ones_like(limit)
    for n_halvings in range(MAX_HALVINGS + 2):
        candidate = {
            name: _leaf(_move(value, proposal[name], scale))
            for name, value in parameters.items()
        }
        loss = loss_function(candidate)
        accepted = (loss <= limit) & loss.isfinite() & _all_finite(candidate)
        # A dropped step leaves the task where it was, which needs no acceptance.
        if (accepted | (scale == 0)).all():
            break
        last = n_halvings == MAX_HALVINGS
        scale = torch.where(accepted, scale, 0.0 if last else scale / 2)
    return candidate, loss, scale == 1


def _leaf(value: Tensor) -> Tensor:
    return value.detach().requires_grad_()


@torch.no_grad()
def _move(
    value: Tensor,  # shape: (n_tasks, *shape)
    proposal: Tensor,  # shape: (n_tasks, *shape)
    scale: Tensor,  # shape: (n_tasks,)
) -> Tensor:
    if (scale == 1).all():
        return proposal
    scale = scale.view(-1, *[1] * (value.ndim - 1))
    # Whole and dropped steps are exact: no rounding that depends on the other tasks,
    # and no zero times infinity.
    moved = torch.where(scale == 1, proposal, value + scale * (proposal - value))
    return torch.where(scale == 0, value, moved)


def _all_finite(parameters: Parameters) -> Tensor:  # shape: (n_tasks,)
    # A sum is finite where all its terms are, and costs a third of looking at each.
    sums = [value.flatten(1).sum(1) for value in parameters.values()]
    return torch.stack(sums).isfinite().all(0)
