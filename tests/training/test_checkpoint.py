"""A killed fit goes on, and ends bit for bit where it would have."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

import pytest
import torch
from killing import die_at_writing, dying, learned
from torch import nn

from sklmeta import (
    BayesianLinearRegressor,
    FineTuneClassifier,
    MAMLClassifier,
    ReptileClassifier,
    SiameseClassifier,
)
from sklmeta.datasets import make_classification_tasks, make_linear_tasks
from sklmeta.exceptions import NonFiniteLossError
from sklmeta.training.checkpoint import Checkpoints

NUMBERS = make_linear_tasks(24, n_rows=10, random_state=0)
CLASSES = make_classification_tasks(12, n_way=3, shared_labels=True, random_state=0)
CALM = {"hidden_layer_sizes": (4,), "random_state": 0, "meta_batch_size": 2}
PLAIN = {**CALM, "start": None, "early_stopping": False}


class Noisy(nn.Module):
    """Draws from torch's own generator."""

    def __init__(self, n_features_in):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(n_features_in, 4), nn.Dropout(0.3))

    def forward(self, X):
        return self.layers(X)


CASES = {
    "closed form": (BayesianLinearRegressor(max_iter=210, **PLAIN), NUMBERS),
    "early stopping": (
        BayesianLinearRegressor(
            max_iter=500, n_iter_no_change=2, **{**PLAIN, "early_stopping": True}
        ),
        NUMBERS,
    ),
    "folds": (
        BayesianLinearRegressor(max_iter=210, **{**PLAIN, "early_stopping": "folds"}),
        NUMBERS,
    ),
    "dropout": (MAMLClassifier(max_iter=210, module=Noisy, **CALM), CLASSES),
    "own generator": (
        ReptileClassifier(max_iter=210, inner_batch_size=3, **CALM),
        CLASSES,
    ),
    "pooled rows": (FineTuneClassifier(max_iter=210, **CALM), CLASSES),
    "pairs": (SiameseClassifier(max_iter=210, **CALM), CLASSES),
}


@pytest.mark.parametrize("name", CASES)
def test_a_killed_fit_ends_where_a_whole_one_does(name, tmp_path, monkeypatch):
    est, (X, y, task) = CASES[name]
    whole = learned(est.set_params(checkpoint_dir=None).fit(X, y, task=task))
    est.set_params(checkpoint_dir=tmp_path)
    for n in (2, 1):  # the first writing says what the folder is of
        with dying(monkeypatch, n):
            est.fit(X, y, task=task)
    drawn = torch.get_rng_state()
    with monkeypatch.context() as patched:
        die_at_writing(patched, -1)
        assert learned(est.fit(X, y, task=task)) == whole
    assert torch.equal(torch.get_rng_state(), drawn)
    with monkeypatch.context() as patched:  # what is done is not done again
        calls = die_at_writing(patched, 1)
        assert learned(est.fit(X, y, task=task)) == whole
        assert not calls


def regressor(folder, **params):
    return BayesianLinearRegressor(
        **{"max_iter": 310, "checkpoint_dir": folder, **PLAIN, **params}
    )


def killed(folder, monkeypatch, n=4):
    with dying(monkeypatch, n):
        regressor(folder).fit(*NUMBERS[:2], task=NUMBERS[2])


@pytest.mark.parametrize("how", ["cut", "changed", "empty"])
def test_a_damaged_state_gives_way_to_the_one_before(how, tmp_path, monkeypatch):
    X, y, task = NUMBERS
    whole = learned(regressor(None).fit(X, y, task=task))
    killed(tmp_path, monkeypatch)
    newest = max(tmp_path.glob("fit-*.state"), key=lambda path: path.stat().st_mtime_ns)
    data = newest.read_bytes()
    changed = data[:900] + bytes([data[900] ^ 1]) + data[901:]
    newest.write_bytes({"cut": data[:-7], "changed": changed, "empty": b""}[how])
    est = regressor(tmp_path)
    with pytest.warns(UserWarning, match="is damaged; the one before is taken"):
        assert learned(est.fit(X, y, task=task)) == whole


def test_other_data_and_parameters_are_refused_by_name(tmp_path, monkeypatch):
    X, y, task = NUMBERS
    killed(tmp_path, monkeypatch)
    with pytest.raises(ValueError, match=r"another fit: lr was 0.01, and is 0.5\. "):
        regressor(tmp_path, lr=0.5).fit(X, y, task=task)
    with pytest.raises(ValueError, match=r"fit: y was \(240,\) float64 \w+, and is"):
        regressor(tmp_path).fit(X, y + 1, task=task)
    with pytest.raises(ValueError, match="random_state was 0, and is 1"):
        regressor(tmp_path, random_state=1).fit(X, y, task=task)


def test_the_folder_without_its_description_is_refused(tmp_path):
    (tmp_path / "about.json").write_text("[]")
    with pytest.raises(ValueError, match=r"is not what fit wrote there\. Give another"):
        regressor(tmp_path).fit(*NUMBERS[:2], task=NUMBERS[2])


def test_without_a_seed_the_one_of_before_is_taken(tmp_path, monkeypatch):
    X, y, task = NUMBERS
    est = regressor(tmp_path, random_state=None)
    with dying(monkeypatch, 2):
        est.fit(X, y, task=task)
    assert learned(est.fit(X, y, task=task)) == learned(est.fit(X, y, task=task))


def test_a_state_runs_no_code(tmp_path):
    class Evil:
        def __reduce__(self):
            return print, ("run",)

    place = Checkpoints(tmp_path, {"a": "b"}, 0).part("fit")
    place.save({"weights": Evil()})
    with pytest.raises(Exception, match=r"weights_only|Unsupported|print"):
        place.load()


def test_no_end_is_kept_of_a_fit_that_failed(tmp_path):
    X, y, task = NUMBERS
    est = regressor(tmp_path, lr=1e30, max_grad_norm=None, optimizer="SGD")
    with pytest.raises(NonFiniteLossError):
        est.fit(X, y, task=task)
    with pytest.raises(NonFiniteLossError):
        est.fit(X, y, task=task)
