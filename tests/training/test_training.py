"""The meta-training loop: its events, chunks and optimizers."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from collections import Counter

import numpy as np
import pytest
import torch
from quadratic_learner import Bowl, options, plain_episodes, train
from skorch.callbacks import (
    Callback,
    Checkpoint,
    EarlyStopping,
    GradientNormClipping,
    LRScheduler,
)

from sklmeta import BayesianLinearRegressor, MAMLClassifier, ProtoNetClassifier
from sklmeta.episodes.rows import Episodes, Rows, split_episodes
from sklmeta.training import loop as training
from sklmeta.training.finite_guard import reads_found_inf
from sklmeta.training.net import Batch
from sklmeta.training.progress import Progress
from sklmeta.training.watch import Deadline, Watch


def regressor(**params):
    usual = {"max_iter": 20, "early_stopping": False, "random_state": 0}
    return BayesianLinearRegressor(**{**usual, **params})


# Callbacks --------------------------------------------------------------------


class Listener(Callback):
    """Counts every event, with its arguments."""

    def __init__(self):
        self.seen = Counter()

    def on_train_begin(self, net, **kwargs):
        self.seen["train_begin", *sorted(kwargs)] += 1

    def on_train_end(self, net, **kwargs):
        self.seen["train_end", *sorted(kwargs)] += 1

    def on_epoch_begin(self, net, **kwargs):
        self.seen["epoch_begin", *sorted(kwargs)] += 1

    def on_epoch_end(self, net, **kwargs):
        self.seen["epoch_end", *sorted(kwargs)] += 1

    def on_batch_begin(self, net, **kwargs):
        self.seen["batch_begin", kwargs.pop("training"), *sorted(kwargs)] += 1

    def on_batch_end(self, net, **kwargs):
        row = net.history[-1]["batches"][-1]
        prefix = "train" if kwargs["training"] else "valid"
        assert row[f"{prefix}_loss"] == pytest.approx(kwargs["loss"].item())
        assert row[f"{prefix}_batch_size"] == len(kwargs["y_pred"])
        self.seen["batch_end", kwargs.pop("training"), *sorted(kwargs)] += 1

    def on_grad_computed(self, net, named_parameters, **kwargs):
        for _ in range(2):  # skorch lets it be read more than once
            assert {name for name, p in named_parameters if p.grad is not None} == {
                "w",
                "b",
            }
        self.seen["grad_computed", *sorted(kwargs)] += 1


def test_a_callback_sees_every_event():
    net_callbacks = []

    class Keep(Listener):
        def __deepcopy__(self, memo):  # the training works on copies
            net_callbacks.append(self)
            return self

    train(
        Bowl(),
        max_iter=130,
        callbacks=[Keep()],
        valid=[plain_episodes(3), plain_episodes(5)],
    )
    assert dict(net_callbacks[0].seen) == {
        ("train_begin", "X", "y"): 1,
        ("train_end", "X", "y"): 1,
        ("epoch_begin", "dataset_train", "dataset_valid"): 2,
        ("epoch_end", "dataset_train", "dataset_valid"): 2,
        ("batch_begin", True, "batch"): 130,
        ("batch_begin", False, "batch"): 4,
        ("batch_end", True, "batch", "loss", "y_pred"): 130,
        ("batch_end", False, "batch", "loss", "y_pred"): 4,
        ("grad_computed", "batch", "training"): 130,
    }


def test_a_method_set_on_a_callback_is_called_too():
    calls = []
    callback = Callback()
    callback.on_batch_end = lambda net, **kwargs: calls.append(kwargs["training"])
    train(Bowl(), max_iter=3, callbacks=[callback])
    assert calls == [True] * 3


def test_an_evaluation_within_training_does_not_end_training_mode():
    modes = []

    class Evaluates(Callback):
        def on_batch_end(self, net, **kwargs):
            net._set_training(False)

    class Moody(Bowl):
        def meta_loss(self, episodes):
            modes.append(self.training)
            return super().meta_loss(episodes)

    train(Moody(), max_iter=3, callbacks=[Evaluates()])
    assert modes == [True] * 3


def test_skorch_callbacks_work(regression_tasks, tmp_path):
    X, y, task = regression_tasks
    est = regressor(
        max_iter=2000,
        lr=1e-9,
        callbacks=[
            EarlyStopping(
                monitor="train_loss", patience=2, threshold=1e3, threshold_mode="abs"
            ),
            Checkpoint(monitor="train_loss_best", dirname=tmp_path),
        ],
    ).fit(X, y, task=task)
    assert est.n_iter_ == 200
    assert {p.name for p in tmp_path.iterdir()} >= {"params.pt", "history.json"}


def test_what_a_callback_records_is_in_the_history(regression_tasks):
    class Norm(Callback):
        def on_epoch_end(self, net, **kwargs):
            net.history.record("norm", np.float64(len(net.history)))

    X, y, task = regression_tasks
    est = regressor(max_iter=200, callbacks=[Norm()]).fit(X, y, task=task)
    assert [row["norm"] for row in est.history_] == [1, 2]
    assert set(est.history_[0]) == {"epoch", "train_loss", "dur", "norm", "n_iter"}
    assert {type(value) for value in est.history_[0].values()} == {int, float}


def test_step_size_follows_a_callback(regression_tasks):
    rates = []

    class Watch(Callback):
        def on_batch_end(self, net, training, **kwargs):
            rates.append(net.optimizer_.param_groups[0]["lr"])

    schedule = LRScheduler("StepLR", step_size=1, gamma=0.5, step_every="batch")
    schedule.policy = torch.optim.lr_scheduler.StepLR
    train(Bowl(), max_iter=3, callbacks=[schedule, Watch()])
    assert rates == pytest.approx([0.05, 0.025, 0.0125])


def test_clipping_by_a_callback():
    learner = Bowl()
    before = learner.w.detach().clone()
    train(
        learner,
        max_iter=1,
        optimizer="SGD",
        lr=1.0,
        callbacks=[GradientNormClipping(1e-3)],
    )
    assert 0 < (learner.w - before).norm() <= 1e-3


def test_interrupt_within_an_epoch_leaves_the_last_whole_update():
    class Stop(Callback):
        n = 0

        def on_batch_end(self, net, **kwargs):
            self.n += 1
            if self.n == 150:
                raise KeyboardInterrupt

    result, _ = train(Bowl(), max_iter=300, callbacks=[Stop()])
    assert (result.n_iter, result.interrupted) == (150, True)


@pytest.mark.parametrize("name", ["cosine", "linear"])
def test_schedule_is_the_one_of_torch(name):
    n_updates = 157
    rates = []

    class Watch(Callback):
        def on_batch_begin(self, net, training=False, **kwargs):
            rates.append(net.optimizer_.param_groups[0]["lr"])

    train(Bowl(), max_iter=n_updates, lr_schedule=name, callbacks=[Watch()])
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)
    if name == "cosine":
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, n_updates)
    else:
        schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, n_updates)
    expected = []
    for _ in range(n_updates):
        expected.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    assert rates == pytest.approx(expected, rel=1e-12)


# Chunks -----------------------------------------------------------------------


def ragged_episodes(dtype, n_tasks=7, width=4, n_features=5):
    """Tasks of two to four classes of their own, of unequal numbers of rows."""
    rng = np.random.default_rng(0)
    ways = torch.from_numpy(rng.integers(2, width + 1, size=n_tasks))
    episodes = []
    for n_rows in (10, 13):
        sizes = rng.integers(width, n_rows + 1, size=n_tasks)
        real = torch.from_numpy(np.arange(n_rows) < sizes[:, None])
        # every class of a task has a row, as in episodes that are drawn
        y = torch.where(real, torch.arange(n_rows) % ways[:, None], 0)
        X = torch.from_numpy(rng.normal(size=(n_tasks, n_rows, n_features))).to(dtype)
        X = (X + y[..., None]) * real[..., None]
        episodes.append(Rows(X, y, real.to(dtype), width, ways))
    return Episodes(*episodes)


def net_of(learner, **changed):
    watch = Watch(Deadline(None), Progress(1, "fit"))
    recorder = training.Recorder(None, watch, None, None)
    net = training._make_net(learner, options(**changed), recorder, None)
    net.initialize()
    net.notify("on_train_begin", X=None, y=None)
    return net


def test_splitting_cuts_every_tensor():
    episodes = ragged_episodes(torch.float64)
    parts = split_episodes(episodes, 3)
    assert [len(part.query.X) for part in parts] == [2, 2, 3]
    for rows, *of_parts in zip(episodes, *parts, strict=True):
        for whole, *pieces in zip(rows, *of_parts, strict=True):
            if torch.is_tensor(whole):
                assert torch.equal(torch.cat(pieces), whole)
            else:
                assert set(pieces) == {whole}


@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-5)]
)
@pytest.mark.parametrize("face", [MAMLClassifier, ProtoNetClassifier])
def test_gradient_does_not_depend_on_the_chunks(face, dtype, tolerance):
    episodes = ragged_episodes(dtype)
    est = face(hidden_layer_sizes=(8,), n_way=3)
    learner = est._build_learner("own", episodes.query.X.shape[2:], 0, 0).to(dtype)
    found = {}
    for size in (1, 3, 7, "auto"):
        net = net_of(learner.train(), chunk_size=size)
        n_parts = len(net._parts(Batch(episodes)))
        assert size == "auto" or n_parts == -(-7 // size)
        net.optimizer_.zero_grad()
        step = net.train_step_single((Batch(episodes), None))
        gradients = [p.grad.clone() for p in learner.parameters()]
        found[size] = [step["loss"], step["y_pred"], *gradients]
        valid = net.validation_step((Batch(episodes), None))
        torch.testing.assert_close(
            valid["loss"], step["loss"], rtol=tolerance, atol=tolerance
        )
    for values in found.values():
        for value, expected in zip(values, found[7], strict=True):
            torch.testing.assert_close(
                value, expected, rtol=tolerance, atol=tolerance * expected.abs().max()
            )


def test_chunks_of_a_fit(regression_tasks):
    X, y, task = regression_tasks
    together = regressor(early_stopping=True).fit(X, y, task=task)
    chunked = regressor(early_stopping=True, chunk_size=3).fit(X, y, task=task)
    for name, value in together._fitted.weights.items():
        np.testing.assert_allclose(chunked._fitted.weights[name], value, atol=1e-4)
    for name in ("train_loss", "valid_loss"):
        losses = [est.history_[0][name] for est in (together, chunked)]
        assert losses[0] == pytest.approx(losses[1], rel=1e-4)
    with pytest.raises(ValueError, match="'chunk_size' parameter"):
        regressor(chunk_size=0).fit(X, y, task=task)


# Optimizers -------------------------------------------------------------------


class Custom(torch.optim.Adam):
    """A user's own, which may not take ``fused``."""


@pytest.mark.parametrize(
    ("optimizer", "params", "fused", "on_device"),
    [
        ("Adam", {}, True, True),
        (torch.optim.AdamW, {"weight_decay": 0.1}, True, True),
        ("SGD", {}, True, True),
        ("SGD", {"momentum": 0.9}, True, False),
        ("Adam", {"fused": False}, False, False),
        ("Adam", {"foreach": True}, None, False),
        (Custom, {}, None, False),
        ("RMSprop", {}, None, False),
    ],
)
def test_one_kernel_for_all_parameters(optimizer, params, fused, on_device):
    net = net_of(Bowl(), optimizer=optimizer, optimizer_params=params)
    assert net.optimizer_.param_groups[0].get("fused") is fused
    assert reads_found_inf(net.optimizer_) is on_device


def test_an_optimizer_that_evaluates_several_times():
    learner = Bowl()
    result, _ = train(learner, max_iter=3, optimizer="LBFGS", lr=0.5)
    assert result.n_iter == 3
    assert learner.w.abs().max() < 0.1 < learner.n_calls
