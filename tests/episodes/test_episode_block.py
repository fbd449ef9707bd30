"""Episodes drawn for many meta-updates at once."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from itertools import islice

import numpy as np
import pytest
import torch
from scipy.stats import chisquare

from sklmeta import MAMLRegressor
from sklmeta.data.rows import with_zero_row
from sklmeta.episodes import gather as _episode_block
from sklmeta.episodes.draw import PADDING, draw_distinct
from sklmeta.episodes.gather import gather_block, gather_episodes, stream_episodes
from sklmeta.episodes.sampler import EpisodeRows, EpisodeSampler

KINDS = ["regression", "shared", "own"]


def table(n_tasks=40, seed=0):
    rng = np.random.default_rng(seed)
    codes = np.repeat(np.arange(n_tasks), rng.integers(2, 40, n_tasks))
    rng.shuffle(codes)
    return codes, rng.integers(0, 4, len(codes)), np.arange(len(codes), dtype=float)


def sampler_of(kind, **options):
    codes, y, _ = table()
    options = {"n_shots": (1, 6), "n_query": 7, **options}
    if kind == "own":
        options["n_way"] = 3
    return EpisodeSampler(codes, kind=kind, y=y, **options)


@pytest.mark.parametrize("kind", KINDS)
def test_no_task_twice_in_any_meta_batch(kind):
    sampler = sampler_of(kind)
    n_usable = len(sampler.usable)
    for n_tasks in (3, n_usable - 1, 2 * n_usable + 1):
        drawn = sampler.sample(n_tasks, np.random.default_rng(0), 50)
        tasks = drawn.tasks.reshape(50, n_tasks)
        for batch in tasks:
            counts = np.bincount(batch, minlength=40)[sampler.usable]
            assert np.ptp(counts) <= 1
        assert len({tuple(batch) for batch in tasks}) > 40


def test_tasks_and_rows_of_a_block_are_uniform():
    codes = np.repeat(np.arange(30), 12)
    sampler = EpisodeSampler(codes, n_shots=2, n_query=3)
    drawn = sampler.sample(5, np.random.default_rng(0), 1200)
    for i in range(5):
        counts = np.bincount(drawn.tasks.reshape(1200, 5)[:, i], minlength=30)
        assert chisquare(counts).pvalue > 1e-3
    for rows in (drawn.support, drawn.query):
        assert chisquare(np.bincount(rows.ravel(), minlength=360)).pvalue > 1e-3
    # The two rows of a support: every ordered pair within a task alike.
    pairs = drawn.support % 12 @ [12, 1]
    counts = np.bincount(pairs, minlength=144).reshape(12, 12)
    assert not counts.diagonal().any()
    assert chisquare(counts[~np.eye(12, dtype=bool)]).pvalue > 1e-3


@pytest.mark.parametrize("sizes", [[3, 30], [30, 30], [3, 3], [90, 2]])
def test_draws_do_not_depend_on_what_other_groups_are_like(sizes):
    draws = draw_distinct(np.array(sizes * 3000), 3, np.random.default_rng(0))
    for group, size in enumerate(sizes):
        for column in range(min(size, 3)):
            counts = np.bincount(draws[group :: len(sizes), column], minlength=size)
            assert chisquare(counts).pvalue > 1e-3


@pytest.mark.parametrize("support", ["random", "first"])
@pytest.mark.parametrize("kind", KINDS)
def test_each_meta_batch_has_its_own_rows_and_no_spare_column(kind, support):
    sampler = sampler_of(kind, support=support)
    drawn = sampler.sample(4, np.random.default_rng(0), 30)
    _, labels, numbers = table()
    X = with_zero_row(numbers[:, None], "cpu", torch.float32)
    y = with_zero_row(labels, "cpu")
    batches = list(gather_block(drawn, 30, X, y, 4))
    assert len(batches) == 30
    for i, batch in enumerate(batches):
        part = slice(4 * i, 4 * i + 4)
        for rows, index, own in (
            (batch.support, drawn.support[part], drawn.support_labels),
            (batch.query, drawn.query[part], drawn.query_labels),
        ):
            width = rows.X.shape[1]
            assert (index[:, width:] == PADDING).all()
            index = index[:, :width]
            real = index != PADDING
            assert real[:, -1].any()
            assert (np.diff(real.astype(int), axis=1) <= 0).all()  # at the end
            assert np.array_equal(rows.mask.numpy(), real)
            assert np.array_equal(rows.X[..., 0][real], index[real])
            assert not rows.X.numpy()[~real].any()
            expected = labels[index] if own is None else own[part][:, :width]
            assert np.array_equal(rows.y[real], expected[real])
            assert not rows.y.numpy()[~real].any()
            if kind == "own":
                assert np.array_equal(rows.ways, drawn.ways[part])
                assert rows.n_classes == drawn.ways[part].max()


def test_a_batch_alone_is_as_in_the_block():
    drawn = sampler_of("own").sample(4, np.random.default_rng(0), 3)
    _, labels, numbers = table()
    X, y = with_zero_row(numbers, "cpu", torch.float32), with_zero_row(labels, "cpu")
    block = list(gather_block(drawn, 3, X[:, None], y, 0))
    alone = gather_episodes(EpisodeRows(*(part[4:8] for part in drawn)), X[:, None], y)
    for one, other in zip(block[1], alone, strict=True):
        for a, b in zip(one, other, strict=True):
            assert a == b if isinstance(a, int) else torch.equal(a, b)


def count_draws(monkeypatch, n_updates, **limits):
    """Draw so many meta-updates; return how many were drawn at a time."""
    sizes = []
    for name, value in limits.items():
        monkeypatch.setattr(_episode_block, name, value)

    class Counting(EpisodeSampler):
        def sample(self, n_tasks, rng, n_batches=1):
            sizes.append(n_batches)
            return super().sample(n_tasks, rng, n_batches)

    codes, _, numbers = table()
    X = with_zero_row(numbers[:, None], "cpu", torch.float32)
    stream = stream_episodes(
        Counting(codes), 4, X, X[:, 0], 0, np.random.default_rng(0)
    )
    batches = list(islice(stream, n_updates))
    return sizes, batches


def test_blocks_grow_and_are_bounded(monkeypatch):
    assert count_draws(monkeypatch, 1)[0] == [1]
    assert count_draws(monkeypatch, 20)[0] == [1, 2, 4, 8, 16]
    assert max(count_draws(monkeypatch, 600)[0]) == 128
    # 4 tasks of 5 + 15 rows
    assert count_draws(monkeypatch, 10, MAX_ENTRIES=250)[0] == [1, 2, 3, 3, 3]
    assert set(count_draws(monkeypatch, 5, MAX_ENTRIES=1)[0]) == {1}


def test_a_longer_training_begins_with_the_same_episodes(monkeypatch):
    few, many = (count_draws(monkeypatch, n)[1] for n in (11, 40))
    for one, other in zip(few, many, strict=False):
        assert torch.equal(one.query.X, other.query.X)
    assert not torch.equal(many[0].query.X, many[20].query.X)


def test_part_of_a_table_is_drawn_from_without_a_copy():
    codes, y, _ = table()
    kept = np.flatnonzero(np.arange(len(codes)) % 3 > 0)
    is_support = np.arange(len(kept)) % 2 == 0
    for kind in KINDS:
        for fixed in (None, is_support):
            sampler = EpisodeSampler(
                codes[kept], kind=kind, y=y[kept], rows=kept, is_support=fixed
            )
            drawn = sampler.sample(len(sampler.usable), np.random.default_rng(0))
            for rows in (drawn.support, drawn.query):
                real = rows != PADDING
                assert np.isin(rows[real], kept).all()
                owner = np.broadcast_to(drawn.tasks[:, None], rows.shape)
                assert (codes[rows[real]] == owner[real]).all()


def test_same_seed_same_weights_also_going_on():
    codes, _, numbers = table()
    X, y = np.sin(numbers)[:, None], np.cos(numbers)

    def weights():
        est = MAMLRegressor(
            hidden_layer_sizes=(4,), max_iter=9, warm_start=True, random_state=0
        )
        est.fit(X, y, codes).fit(X, y, codes)
        return est._fitted.weights

    for one, other in zip(weights().values(), weights().values(), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
def test_a_draw_never_waits_for_the_gpu():
    sampler = sampler_of("own")
    _, labels, numbers = table()
    X = with_zero_row(numbers[:, None], "cuda", torch.float32)
    y = with_zero_row(labels, "cuda")
    stream = stream_episodes(sampler, 4, X, y, 0, np.random.default_rng(0))
    on_cpu = stream_episodes(sampler, 4, X.cpu(), y.cpu(), 0, np.random.default_rng(0))
    next(stream)
    torch.cuda.set_sync_debug_mode("error")
    try:
        drawn = list(islice(stream, 40))
    finally:
        torch.cuda.set_sync_debug_mode("default")
    for one, other in zip(drawn, islice(on_cpu, 1, 41), strict=True):
        assert torch.equal(one.query.X.cpu(), other.query.X)
        assert torch.equal(one.query.mask.cpu(), other.query.mask)
        assert torch.equal(one.support.y.cpu(), other.support.y)
