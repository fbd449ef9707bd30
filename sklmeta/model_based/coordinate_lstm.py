"""The meta-learner of the meta-LSTM: one small network that moves every coordinate."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

LOG_RANGE = 10.0  # p of the paper's appendix A


class Memory(NamedTuple):
    """What the meta-learner remembers of each coordinate."""

    hidden: Tensor  # shape: (hidden_size, n_coordinates)
    cell: Tensor  # shape: (hidden_size, n_coordinates)
    forget: Tensor  # shape: (n_coordinates,); the last forget gate
    input: Tensor  # shape: (n_coordinates,); the last input gate


class CoordinateLSTM(nn.Module):
    """Proposes an update of every coordinate, all by the same weights.

    An LSTM reads a coordinate's gradient and the loss, both preprocessed. Its hidden
    state h, the coordinate theta and the last gates set the gates of a second one,
    whose cell is the coordinate itself (equation 3 of Ravi and Larochelle 2017)::

        forget_t = sigmoid(w_F . [h_t, theta_{t-1}, forget_{t-1}] + b_F)
        input_t  = sigmoid(w_I . [h_t, theta_{t-1}, input_{t-1}] + b_I)
        theta_t  = forget_t * theta_{t-1} - input_t * gradient_t

    Before the first step nothing has been forgotten, and nothing taken in: the gates
    are 1 and 0.

    Parameters
    ----------
    hidden_size : int, default=20
        Width of the first LSTM.

    inner_lr : float, default=0.01
        Where the input gate starts, below 1.

    forget_bias : float, default=6.0
        Logit of where the forget gate starts.
    """

    def __init__(
        self, hidden_size: int = 20, inner_lr: float = 0.01, forget_bias: float = 6.0
    ):
        super().__init__()
        self.hidden_size = hidden_size
        lstm = nn.LSTMCell(4, hidden_size)
        self.weight_x = nn.Parameter(lstm.weight_ih.detach())
        self.weight_h = nn.Parameter(lstm.weight_hh.detach())
        self.bias = nn.Parameter(lstm.bias_ih.detach() + lstm.bias_hh.detach())
        # Small, so that the first updates are nearly gradient steps of one size.
        self.weight_gates = nn.Parameter(0.01 * torch.randn(2, hidden_size))
        self.weight_theta = nn.Parameter(0.01 * torch.randn(2))
        self.weight_last = nn.Parameter(0.01 * torch.randn(2))
        start = torch.tensor([forget_bias, math.log(inner_lr / (1 - inner_lr))])
        self.bias_gates = nn.Parameter(start)

    def start(self, theta: Tensor) -> Memory:
        n = theta.numel()
        zero = theta.new_zeros(self.hidden_size, n)
        return Memory(zero, zero, theta.new_ones(n), theta.new_zeros(n))

    def forward(
        self,
        theta: Tensor,  # shape: (n_tasks, n_parameters)
        gradient: Tensor,  # shape: (n_tasks, n_parameters); taken as a constant
        loss: Tensor,  # shape: (n_tasks,); taken as a constant
        memory: Memory,
    ) -> tuple[Tensor, Memory]:  # the proposal, of theta's shape
        # Coordinates lie along the last axis: each of the LSTM's gates is then one
        # block of memory.
        x = torch.stack([*preprocess(gradient), *preprocess(loss[:, None], gradient)])
        gates = torch.addmm(self.bias[:, None], self.weight_x, x.flatten(1))
        gates = torch.addmm(gates, self.weight_h, memory.hidden)
        i, f, g, o = gates.chunk(4)
        cell = f.sigmoid() * memory.cell + i.sigmoid() * g.tanh()
        hidden = o.sigmoid() * cell.tanh()
        flat = theta.flatten()
        last = torch.stack([memory.forget, memory.input])
        logits = torch.addmm(self.bias_gates[:, None], self.weight_gates, hidden)
        logits = logits + self.weight_theta[:, None] * flat
        logits = logits + self.weight_last[:, None] * last
        forget, taken = logits.sigmoid().unbind()
        proposal = forget * flat - taken * gradient.flatten()
        return proposal.view_as(theta), Memory(hidden, cell, forget, taken)


def preprocess(x: Tensor, like: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Size and sign of numbers of any magnitude (the paper's appendix A)."""
    large = x.abs() >= math.exp(-LOG_RANGE)
    size = torch.where(large, x.abs().log() / LOG_RANGE, -1.0)
    sign = torch.where(large, x.sign(), math.exp(LOG_RANGE) * x)
    if like is None:
        return size, sign
    return size.expand_as(like), sign.expand_as(like)
