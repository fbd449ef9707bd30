"""Meta-updates that are not finite are left out, wherever that is decided."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from collections import Counter

import numpy as np
import pytest
import torch
from quadratic_learner import Bowl, plain_episodes, train
from skorch.callbacks import Callback

from sklmeta.exceptions import NonFiniteLossError
from sklmeta.training import net as meta_net
from sklmeta.training.finite_guard import DeviceGuard


@pytest.fixture(params=["host", "device"])
def guard(request, monkeypatch):
    """Decide on the host, and as on a device, where the host does not wait."""
    if request.param == "device":
        monkeypatch.setattr(meta_net, "make_guard", lambda norm, *_: DeviceGuard(norm))
    return request.param


@pytest.mark.parametrize("bad", ["bad_losses", "bad_gradients"])
@pytest.mark.parametrize("optimizer", ["Adam", "AdamW", "SGD"])
def test_updates_that_are_not_finite_are_left_out(guard, optimizer, bad):
    params = {"lr": 1e-2, "optimizer": optimizer, "max_grad_norm": 0.5}
    learner = Bowl(**{bad: [1, 4, 5, 110]})
    result, messages = train(learner, max_iter=124, **params)
    assert ["4 of 124 meta-updates" in text for text in messages] == [True]
    expected = Bowl()
    train(expected, max_iter=120, **params)
    torch.testing.assert_close(learner.w, expected.w)
    assert all(np.isfinite(row["train_loss"]) for row in result.history)


def test_history_is_the_same_wherever_it_is_decided(monkeypatch):
    def run():
        learner = Bowl(bad_losses=[3, 4], bad_gradients=[7])
        valid = [plain_episodes(3)]
        result, _ = train(learner, max_iter=105, valid=valid, max_grad_norm=1e9)
        for row in result.history:
            del row["dur"]
        return learner, result.history

    host, host_history = run()
    monkeypatch.setattr(meta_net, "make_guard", lambda norm, *_: DeviceGuard(norm))
    device, device_history = run()
    assert device_history == host_history
    assert torch.equal(device.w, host.w)


@pytest.mark.parametrize("chunk_size", [3, 7])
def test_one_bad_chunk_drops_the_meta_batch(guard, chunk_size):
    class OneWildTask(Bowl):
        def meta_loss(self, episodes):
            return super().meta_loss(episodes) / episodes.query.y[:, 0]

    def draw():
        wild = plain_episodes()
        wild.query.y[4] = 0
        return wild

    learner = OneWildTask()
    before = learner.w.detach().clone()
    _, messages = train(learner, draw, max_iter=5, chunk_size=chunk_size)
    assert "5 of 5 meta-updates were left out" in messages[0]
    assert torch.equal(learner.w, before)


def test_a_loss_that_stays_so_ends_the_training(guard):
    learner = Bowl(bad_losses=range(120, 1000))
    result, _ = train(learner, max_iter=400)
    assert isinstance(result.error, NonFiniteLossError)
    assert "not finite at iteration 139;" in str(result.error)
    assert result.n_iter == 100
    # on a device the epoch runs to its end, and the weights stay
    assert learner.n_calls == {"host": 139, "device": 200}[guard]
    assert torch.isfinite(learner.w).all()


def test_no_value_is_read_within_an_epoch(monkeypatch):
    reads = Counter()

    def counted(name):
        original = getattr(torch.Tensor, name)

        def method(self, *args, **kwargs):
            reads[name] += 1
            return original(self, *args, **kwargs)

        monkeypatch.setattr(torch.Tensor, name, method)

    for name in ("item", "tolist", "cpu", "numpy", "__bool__", "__float__", "__int__"):
        counted(name)
    valid = [plain_episodes(3)] * 2

    def run(max_iter):
        reads.clear()
        params = {"max_grad_norm": 1.0, "lr_schedule": "cosine", "chunk_size": 3}
        train(Bowl(), max_iter=max_iter, valid=valid, **params)
        return dict(reads)

    assert run(50)["item"] >= 50  # the count counts
    monkeypatch.setattr(meta_net, "make_guard", lambda norm, *_: DeviceGuard(norm))
    assert run(200) == {"tolist": 4}  # of two epochs, the losses of either kind


def test_interrupt_on_a_device_leaves_numbers_in_the_history(monkeypatch):
    monkeypatch.setattr(meta_net, "make_guard", lambda norm, *_: DeviceGuard(norm))
    rows = []

    class Stop(Callback):
        def on_batch_end(self, net, **kwargs):
            if len(net.history[-1]["batches"]) == 7:
                raise KeyboardInterrupt

        def on_train_end(self, net, **kwargs):
            rows.extend(row["train_loss"] for row in net.history[-1]["batches"])

    result, _ = train(Bowl(), callbacks=[Stop()])
    assert (result.n_iter, result.interrupted) == (7, True)
    assert [type(value) for value in rows] == [float] * 7


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_the_host_does_not_wait_for_the_device():
    class Strict(Callback):
        """Makes waiting an error, from the second update to the end of the epoch."""

        def on_batch_begin(self, net, **kwargs):
            n_done = len(net.history[-1]["batches"]) - 1
            torch.cuda.set_sync_debug_mode("error" if n_done else "default")

        def on_batch_end(self, net, **kwargs):
            if len(net.history[-1]["batches"]) == 20:
                torch.cuda.set_sync_debug_mode("default")

    learner = Bowl(bad_losses=[3], bad_gradients=[7]).to("cuda")
    try:
        _, messages = train(
            learner, callbacks=[Strict()], device="cuda", max_grad_norm=1.0
        )
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert "2 of 20 meta-updates" in messages[0]
    assert torch.isfinite(learner.w).all()
