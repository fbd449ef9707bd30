"""Interrupts and kills at chosen meta-updates, and fits to compare after them."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

import os
import signal
from contextlib import contextmanager

import numpy as np
import pytest
from skorch.callbacks import Callback

from sklmeta.training import checkpoint


class CtrlC(Callback):
    """Sends SIGINT, as a terminal does, at the n-th call of one event."""

    def __init__(self, event, at):
        self.event, self.at = event, at

    def initialize(self):
        self.n_calls_ = 0
        setattr(self, self.event, self._count)
        return self

    def _count(self, net, training=True, **kwargs):
        self.n_calls_ += 1
        if self.n_calls_ == self.at:
            os.kill(os.getpid(), signal.SIGINT)

    def on_batch_begin(self, net, **kwargs):
        """Here, so that the net listens to it."""

    def on_batch_end(self, net, **kwargs):
        """See above."""


class Killed(Exception):
    """Stands for a process that ends here."""


def die_at_writing(monkeypatch, n):
    """End at the n-th writing of a state, which is written first; all are due."""
    whole, calls = checkpoint.write_atomically, []
    monkeypatch.setattr(checkpoint, "EVERY", 0.0)

    def write(path, data):
        whole(path, data)
        calls.append(path)
        if len(calls) == n:
            raise Killed

    monkeypatch.setattr(checkpoint, "write_atomically", write)
    return calls


@contextmanager
def dying(monkeypatch, n):
    """Expect the end at the n-th writing."""
    with monkeypatch.context() as patched:
        die_at_writing(patched, n)
        with pytest.raises(Killed):
            yield


def learned(est):
    """What a fit has learned, bit by bit."""
    losses = [
        {name: float(row[name]) for name in row if name != "dur"}
        for row in est.history_
    ]
    weights = {n: np.asarray(v).tobytes() for n, v in est._fitted.weights.items()}
    return weights, losses, est.n_iter_
