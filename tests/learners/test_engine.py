"""The engines agree with an obvious loop over tasks, in value and in derivatives."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import warnings

import pytest
import torch
from torch import nn
from torch.func import functional_call

from sklmeta.learners.encoders import MLP
from sklmeta.learners.engine import Engine, EngineWarning, stack_parameters

N_TASKS, N_ROWS = 3, 5


class DataDependent(nn.Module):
    """Refuses vmap, as its control flow looks at the values."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(4, 6)

    def forward(self, X):
        hidden = self.linear(X)
        return hidden.tanh() if X.sum() > 0 else hidden.sin()


class Recurrent(nn.Module):
    """Refuses vmap, as its kernel has no batching rule."""

    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(4, 6, batch_first=True)

    def forward(self, X):
        return self.lstm(X[:, None])[0][:, 0]


class Attention(nn.Module):
    """The row's features attend to one another."""

    def __init__(self):
        super().__init__()
        self.layer = nn.TransformerEncoderLayer(
            4, 2, dim_feedforward=8, batch_first=True, dropout=0.0
        )

    def forward(self, X):
        return self.layer(X[:, None].expand(-1, 3, -1)).flatten(1)


class PartlyUsed(nn.Module):
    """Holds a parameter that no row ever meets."""

    def __init__(self):
        super().__init__()
        self.used = nn.Linear(4, 6)
        self.unused = nn.Parameter(torch.ones(2))

    def forward(self, X):
        return self.used(X).tanh()


def build(name):
    torch.manual_seed(0)
    tied = nn.Linear(4, 4)
    modules = {
        "mlp": lambda: MLP(4, (8, 6), "tanh"),
        "tied": lambda: nn.Sequential(tied, nn.Tanh(), tied),
        "no_bias": lambda: nn.Sequential(nn.Linear(4, 6, bias=False), nn.SiLU()),
        "identity": nn.Identity,
        "layer_norm": lambda: nn.Sequential(
            nn.Linear(4, 6), nn.LayerNorm(6), nn.Tanh(), nn.LayerNorm(6, bias=False)
        ),
        "batch_norm_eval": lambda: nn.Sequential(
            nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Tanh()
        ).eval(),
        "conv": lambda: nn.Sequential(
            nn.Conv2d(1, 3, 3, padding=1), nn.Tanh(), nn.MaxPool2d(2), nn.Flatten()
        ),
        "flatten": lambda: nn.Sequential(nn.Flatten(), nn.Linear(16, 6), nn.GELU()),
        "weight_norm": lambda: nn.Sequential(
            nn.utils.parametrizations.weight_norm(nn.Linear(4, 6))
        ),
        "data_dependent": DataDependent,
        "recurrent": Recurrent,
        "attention": Attention,
        "partly_used": PartlyUsed,
    }
    return modules[name]().double()


EXPECTED = {
    "mlp": "batched",
    "tied": "batched",
    "no_bias": "batched",
    "identity": "batched",
    "flatten": "batched",
    "layer_norm": "batched",
    "batch_norm_eval": "vmap",
    "conv": "vmap",
    "partly_used": "vmap",
    "attention": "vmap",
    "weight_norm": "loop",
    "data_dependent": "loop",
    "recurrent": "loop",
}


def rows(name, n_rows=N_ROWS):
    generator = torch.Generator().manual_seed(1)
    shape = {"conv": (1, 4, 4), "flatten": (4, 4)}.get(name, (4,))
    return torch.randn(N_TASKS, n_rows, *shape, generator=generator).double()


def distinct_parameters(module):
    """Stacked parameters that differ from task to task."""
    generator = torch.Generator().manual_seed(2)
    return {
        name: (p + 0.1 * torch.randn(p.shape, generator=generator)).detach()
        for name, p in stack_parameters(module, N_TASKS).items()
    }


def reference(module, parameters, X):
    return torch.stack(
        [
            functional_call(module, {n: p[t] for n, p in parameters.items()}, (X[t],))
            for t in range(len(X))
        ]
    )


@pytest.mark.parametrize("name", EXPECTED)
def test_auto_agrees_with_reference(name):
    module, X = build(name), rows(name)
    parameters = distinct_parameters(module)
    engine = Engine(module)
    assert engine.name is None
    if EXPECTED[name] == "loop":
        with pytest.warns(EngineWarning, match=type(module).__name__):
            output = engine(parameters, X)
    else:
        output = engine(parameters, X)
    assert engine.name == EXPECTED[name]
    torch.testing.assert_close(
        output, reference(module, parameters, X), rtol=1e-12, atol=1e-14
    )


@pytest.mark.parametrize("name", ["mlp", "tied", "no_bias", "flatten"])
@pytest.mark.parametrize("engine", ["batched", "vmap", "loop"])
def test_all_engines_agree(name, engine):
    module, X = build(name), rows(name)
    parameters = distinct_parameters(module)
    torch.testing.assert_close(
        Engine(module, engine)(parameters, X),
        reference(module, parameters, X),
        rtol=1e-12,
        atol=1e-14,
    )


@pytest.mark.parametrize("name", [name for name in EXPECTED if name != "recurrent"])
def test_second_derivatives_exist(name):
    module, X = build(name), rows(name).requires_grad_()
    parameters = {n: p.requires_grad_() for n, p in distinct_parameters(module).items()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", EngineWarning)
        loss = Engine(module)(parameters, X).square().sum()
    inputs = [X, *parameters.values()]
    first = torch.autograd.grad(loss, inputs, create_graph=True, materialize_grads=True)
    second = torch.autograd.grad(
        sum(g.square().sum() for g in first), inputs, materialize_grads=True
    )
    assert all(g.isfinite().all() for g in second)


def test_warns_once():
    module, X = DataDependent(), rows("mlp").float()
    engine = Engine(module)
    with pytest.warns(EngineWarning, match="torch.vmap refused it"):
        engine(stack_parameters(module, N_TASKS), X)
    with torch.no_grad():
        engine(stack_parameters(module, N_TASKS), X)
    module.eval()
    engine(stack_parameters(module, N_TASKS), X)


def test_fused_attention_in_evaluation():
    module, X = build("attention").eval(), rows("attention")
    parameters = distinct_parameters(module)
    engine = Engine(module)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore", EngineWarning)
        output = engine(parameters, X)
        expected = reference(module, parameters, X)
    torch.testing.assert_close(output, expected, rtol=1e-12, atol=1e-12)


def test_running_statistics_loop_in_training_and_vmap_in_evaluation():
    module, X = build("batch_norm_eval").train(), rows("batch_norm_eval")
    parameters = distinct_parameters(module)
    engine = Engine(module)
    with pytest.warns(EngineWarning, match="batch statistics"):
        engine(parameters, X)
    assert engine.name == "loop"
    assert module[1].num_batches_tracked == N_TASKS
    module.eval()
    torch.testing.assert_close(
        engine(parameters, X),
        reference(module, parameters, X),
        rtol=1e-12,
        atol=1e-14,
    )
    assert module[1].num_batches_tracked == N_TASKS


def test_trial_leaves_buffers_alone():
    class Counting(DataDependent):
        def __init__(self):
            super().__init__()
            self.register_buffer("n_calls", torch.zeros(()))

        def forward(self, X):
            self.n_calls += 1
            return super().forward(X)

    module = Counting()
    with pytest.warns(EngineWarning, match="Counting"):
        Engine(module)(stack_parameters(module, N_TASKS), rows("mlp").float())
    assert module.n_calls == N_TASKS


@pytest.mark.parametrize(
    "hook", ["register_forward_hook", "register_full_backward_hook"]
)
def test_hooks_are_not_batched_away(hook):
    module = MLP(4)
    getattr(module[0], hook)(lambda *args: None)
    with pytest.raises(ValueError, match="engine='auto'"):
        Engine(module, "batched")


def test_subclasses_are_not_batched_away():
    class Doubled(nn.Linear):
        def forward(self, X):
            return 2 * super().forward(X)

    module = nn.Sequential(Doubled(4, 6)).double()
    parameters, X = distinct_parameters(module), rows("mlp")
    engine = Engine(module)
    torch.testing.assert_close(engine(parameters, X), reference(module, parameters, X))
    assert engine.name == "vmap"


@pytest.mark.parametrize("engine", ["batched", "vmap", "loop"])
def test_frozen_parameters_are_the_modules_own(engine):
    module, X = build("mlp"), rows("mlp")
    module[0].weight.requires_grad_(False)
    parameters = distinct_parameters(module)
    assert "0.weight" not in parameters
    torch.testing.assert_close(
        Engine(module, engine)(parameters, X), reference(module, parameters, X)
    )


@pytest.mark.parametrize("engine", ["batched", "vmap", "loop"])
def test_no_rows(engine):
    module = build("mlp")
    X = torch.zeros(N_TASKS, 0, 4).double()
    output = Engine(module, engine)(distinct_parameters(module), X)
    assert output.shape == (N_TASKS, 0, 6)


def test_large_modules_run_task_by_task():
    module = MLP(4, (512, 512)).double()
    engine = Engine(module)
    engine(stack_parameters(module, N_TASKS), rows("mlp"))
    assert engine.name == "loop"


def test_linear_layers_over_further_dimensions():
    module, X = MLP(4, (8, 6)).double(), rows("flatten")
    engine = Engine(module)
    parameters = distinct_parameters(module)
    torch.testing.assert_close(engine(parameters, X), reference(module, parameters, X))
    assert engine.name == "vmap"


def test_dropout_draws_per_task():
    module = nn.Sequential(nn.Identity(), nn.Dropout(0.5)).train()
    torch.manual_seed(0)
    output = Engine(module)({}, torch.ones(2, 4, 50))
    assert (output[0] != output[1]).any()


def test_unknown_engine():
    with pytest.raises(ValueError, match="engine must be one of"):
        Engine(nn.Identity(), "jit")
