"""Several processes end where one does."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

import os
import pickle
import subprocess
import sys

import distributed_fits
import numpy as np
import pytest
from distributed_fits import CASES, NUMBERS, learned
from sklearn.base import clone

from sklmeta import MAMLRegressor

accelerate = pytest.importorskip("accelerate")


@pytest.fixture(scope="module")
def of_both(tmp_path_factory):
    """What two processes found, each."""
    folder = tmp_path_factory.mktemp("two")
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    work = ["--nproc_per_node=2", distributed_fits.__file__, str(folder)]
    env = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(
        [*launch, *work], env=env, capture_output=True, text=True, check=False
    )
    assert not done.returncode, done.stderr
    found = [pickle.loads((folder / f"{i}.pickle").read_bytes()) for i in range(2)]
    return folder, *found


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", CASES)
def test_two_processes_end_where_one_does(name, of_both):
    est, (X, y, task) = CASES[name]
    weights, n_iter = learned(clone(est).fit(X, y, task=task))
    for found in of_both[1:]:
        assert found[name][1] == n_iter
        np.testing.assert_allclose(found[name][0], weights, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", [*CASES, "no seed", "kept", "in time"])
def test_processes_end_alike(name, of_both):
    _, one, other = of_both
    np.testing.assert_array_equal(one[name][0], other[name][0])
    assert one[name][1] == other[name][1] > 0


def test_the_main_process_alone_keeps_checkpoints(of_both):
    folder, one, _ = of_both
    assert (folder / "kept-0").is_dir() and not (folder / "kept-1").exists()
    np.testing.assert_array_equal(one["kept"][0], one["no seed"][0])


def test_processes_with_other_data_or_no_task_are_refused(of_both):
    for found in of_both[1:]:
        assert "same X, y and task" in found["other rows"]
        assert "meta_batch_size=1" in found["too few"]


def test_an_accelerator_is_cloned_and_stays_out_of_files():
    X, y, task = NUMBERS
    accelerator = accelerate.Accelerator(cpu=True)
    est = MAMLRegressor(max_iter=2, random_state=0, accelerator=accelerator)
    alone = clone(est).set_params(accelerator=None).fit(X, y, task=task)
    clone(est.fit(X, y, task=task))
    assert est.accelerator is accelerator
    np.testing.assert_array_equal(learned(est)[0], learned(alone)[0])
    read = pickle.loads(pickle.dumps(est))
    assert read.accelerator is None
    np.testing.assert_array_equal(read.predict(X), est.predict(X))


def test_an_accelerator_that_knows_of_too_few_processes_is_refused(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    est = MAMLRegressor(max_iter=1, accelerator=accelerate.Accelerator(cpu=True))
    with pytest.raises(ValueError, match="2 processes were started"):
        est.fit(*NUMBERS[:2], task=NUMBERS[2])


def test_mixed_precision_is_refused():
    class Half:
        num_processes, process_index, mixed_precision = 1, 0, "fp16"

        def reduce(self): ...

    est = MAMLRegressor(max_iter=1, accelerator=Half())
    with pytest.raises(ValueError, match="mixed_precision='no'"):
        est.fit(*NUMBERS[:2], task=NUMBERS[2])
