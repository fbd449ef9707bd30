"""Drawing episodes: the laws of the draw, and what it must never do."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

import numpy as np
import pytest
import torch
from scipy.stats import chisquare
from sklearn.model_selection import ShuffleSplit, TimeSeriesSplit

from sklmeta.data.kinds import TaskKind
from sklmeta.episodes.draw import draw_distinct, first_distinct
from sklmeta.episodes.gather import gather_episodes
from sklmeta.episodes.sampler import EpisodeSampler, split_support_query

KINDS = ["regression", "shared", "own"]


def ragged_table(n_tasks=60, n_classes=4, seed=0):
    rng = np.random.default_rng(seed)
    codes = np.repeat(np.arange(n_tasks), rng.integers(1, 40, n_tasks))
    rng.shuffle(codes)
    return codes, rng.integers(0, n_classes, len(codes))


def real(rows):
    return rows[rows >= 0]


@pytest.mark.parametrize("n_draws", [1, 3, 20])
@pytest.mark.parametrize("size", [20, 500])
def test_draws_are_uniform_and_distinct(size, n_draws):
    rng = np.random.default_rng(0)
    draws = draw_distinct(np.full(4000, size), n_draws, rng)
    assert (np.diff(np.sort(draws, axis=1), axis=1) > 0).all()
    for column in {0, n_draws - 1}:
        counts = np.bincount(draws[:, column], minlength=size)
        assert chisquare(counts).pvalue > 1e-3


def test_small_groups_are_exhausted_and_padded():
    draws = draw_distinct(np.array([0, 2, 5]), 4, np.random.default_rng(0))
    assert draws[0].tolist() == [-1] * 4
    assert sorted(draws[1].tolist()) == [-1, -1, 0, 1]
    assert len(set(draws[2])) == 4


def test_first_distinct_keeps_the_order():
    values = np.array([[3, 3, -1, 1, 3, 2], [5, -1, -1, -1, -1, -1]])
    assert first_distinct(values, 3).tolist() == [[3, 1, 2], [5, -1, -1]]


@pytest.mark.parametrize("support", ["random", "first"])
@pytest.mark.parametrize("kind", KINDS)
def test_no_row_twice_and_none_of_another_task(kind, support):
    codes, y = ragged_table()
    n_way = 3 if kind == "own" else None
    sampler = EpisodeSampler(
        codes, kind=kind, y=y, n_shots=(1, 6), n_query=7, n_way=n_way, support=support
    )
    rng = np.random.default_rng(1)
    for _ in range(20):
        drawn = sampler.sample(16, rng)
        assert len(set(drawn.tasks)) == 16
        for task, s, q in zip(drawn.tasks, drawn.support, drawn.query, strict=True):
            rows = np.concatenate([real(s), real(q)])
            assert len(set(rows)) == len(rows)
            assert (codes[rows] == task).all()
            assert len(real(s)) >= 1


@pytest.mark.parametrize("kind", ["regression", "shared"])
def test_sizes_in_total(kind):
    codes, y = ragged_table()
    sampler = EpisodeSampler(codes, kind=kind, y=y, n_shots=8, n_query=10)
    drawn = sampler.sample(len(sampler.usable), np.random.default_rng(0))
    sizes = np.bincount(codes)
    for task, s, q in zip(drawn.tasks, drawn.support, drawn.query, strict=True):
        n_support = min(8, sizes[task] - 1)
        assert len(real(s)) == n_support
        assert len(real(q)) == min(10, sizes[task] - n_support)


def test_sizes_per_class_and_relabelling():
    codes, y = ragged_table()
    sampler = EpisodeSampler(codes, kind="own", y=y, n_shots=3, n_query=4, n_way=3)
    drawn = sampler.sample(20, np.random.default_rng(0))
    for i, task in enumerate(drawn.tasks):
        counts = np.bincount(y[codes == task], minlength=4)
        s, q = drawn.support[i], drawn.query[i]
        assert drawn.ways[i] == min(3, (counts > 0).sum())
        for local in range(drawn.ways[i]):
            rows = real(s[drawn.support_labels[i] == local]) if local else None
            if rows is None:
                rows = s[(drawn.support_labels[i] == 0) & (s >= 0)]
            (label,) = set(y[rows])
            n_shots = min(3, max(counts[label] - 1, 1))
            assert len(rows) == n_shots
            queries = q[(drawn.query_labels[i] == local) & (q >= 0)]
            assert set(y[queries]) <= {label}
            assert len(queries) == min(4, counts[label] - n_shots)


def test_shared_classes_come_one_of_each_first():
    codes, y = ragged_table()
    sampler = EpisodeSampler(
        codes, kind="shared", y=y, n_shots=4, n_query=3, support="stratified"
    )
    drawn = sampler.sample(len(sampler.usable), np.random.default_rng(0))
    for task, s in zip(drawn.tasks, drawn.support, strict=True):
        n_present = len(set(y[codes == task]))
        assert len(set(y[real(s)])) == min(n_present, len(real(s)))


def test_rest_of_a_shared_support_and_query_is_uniform():
    codes = np.zeros(30, dtype=int)
    y = np.r_[np.zeros(27, int), 1, 1, 2]
    sampler = EpisodeSampler(
        codes, kind="shared", y=y, n_shots=1, n_query=1, support="stratified"
    )
    rng = np.random.default_rng(0)
    queries = np.concatenate([sampler.sample(1, rng).query[0] for _ in range(2000)])
    counts = np.bincount(queries, minlength=30)
    # The support is of each class a third of the time, then uniform; the query is
    # uniform over what is left.
    taken = np.r_[np.full(27, 1 / 81), 1 / 6, 1 / 6, 1 / 3]
    assert chisquare(counts, (1 - taken) / 29 * 2000).pvalue > 1e-3


def test_first_takes_rows_in_order():
    codes, y = ragged_table()
    sampler = EpisodeSampler(codes, n_shots=5, n_query=5, support="first")
    drawn = sampler.sample(20, np.random.default_rng(0))
    for task, s in zip(drawn.tasks, drawn.support, strict=True):
        rows = np.flatnonzero(codes == task)
        assert real(s).tolist() == rows[: min(5, len(rows) - 1)].tolist()
    own = EpisodeSampler(codes, kind="own", y=y, n_shots=2, support="first")
    drawn = own.sample(20, np.random.default_rng(0))
    for task, s in zip(drawn.tasks, drawn.support, strict=True):
        for label in set(y[codes == task]):
            rows = np.flatnonzero((codes == task) & (y == label))
            chosen = np.sort(real(s)[y[real(s)] == label])
            assert chosen.tolist() == rows[: max(min(2, len(rows) - 1), 1)].tolist()


@pytest.mark.parametrize("kind", KINDS)
def test_splitter_chooses_the_support(kind):
    codes, y = ragged_table()
    splitter = (
        TimeSeriesSplit(2) if kind == "regression" else ShuffleSplit(3, test_size=0.5)
    )
    keep = np.bincount(codes)[codes] >= 12
    codes = np.unique(codes[keep], return_inverse=True)[1]
    y = y[keep]
    sampler = EpisodeSampler(codes, kind=kind, y=y, n_query=50, support=splitter)
    drawn = sampler.sample(10, np.random.default_rng(0))
    for task, s, q in zip(drawn.tasks, drawn.support, drawn.query, strict=True):
        assert not set(real(s)) & set(real(q))
        assert (codes[np.concatenate([real(s), real(q)])] == task).all()
        if kind == "regression":  # the past predicts the future
            assert real(s).max() < real(q).min()


class LeakySplitter:
    def split(self, X, y=None, groups=None):
        yield np.arange(len(X)), np.arange(len(X))


def test_splitter_that_repeats_a_row_is_refused():
    codes, _ = ragged_table()
    with pytest.raises(ValueError, match="put a row in support and query alike"):
        EpisodeSampler(codes, support=LeakySplitter())


@pytest.mark.parametrize("kind", KINDS)
def test_fixed_support_is_used_whole(kind):
    codes, y = ragged_table()
    is_support = np.random.default_rng(0).random(len(codes)) < 0.4
    sampler = EpisodeSampler(codes, kind=kind, y=y, n_query=100, is_support=is_support)
    drawn = sampler.sample(20, np.random.default_rng(0))
    for task, s, q in zip(drawn.tasks, drawn.support, drawn.query, strict=True):
        assert set(real(s)) == set(np.flatnonzero((codes == task) & is_support))
        queries = np.flatnonzero((codes == task) & ~is_support)
        if kind == "own":  # a query row whose class has no support row has no label
            queries = queries[np.isin(y[queries], y[real(s)])]
        assert set(real(q)) == set(queries)


def test_unusable_tasks_are_left_out():
    codes = np.array([0, 1, 1, 2, 2, 2])
    y = np.array([0, 0, 1, 0, 0, 1])
    assert EpisodeSampler(codes).usable.tolist() == [1, 2]
    # task 1 has two classes of one row each: nothing is left for a query
    assert EpisodeSampler(codes, kind="own", y=y).usable.tolist() == [2]


def test_tasks_repeat_only_when_there_are_too_few():
    codes = np.repeat(np.arange(3), 10)
    drawn = EpisodeSampler(codes).sample(7, np.random.default_rng(0))
    assert sorted(np.bincount(drawn.tasks)) == [2, 2, 3]


def test_padding_is_zero_and_masked():
    codes, y = ragged_table()
    sampler = EpisodeSampler(codes, kind="shared", y=y, n_shots=(1, 9), n_query=9)
    X = torch.cat([torch.randn(len(codes), 2), torch.zeros(1, 2)])
    labels = torch.cat([torch.from_numpy(y), torch.zeros(1, dtype=torch.long)])
    drawn = sampler.sample(16, np.random.default_rng(0))
    episodes = gather_episodes(drawn, X, labels, n_classes=4)
    for rows, index in (
        (episodes.support, drawn.support),
        (episodes.query, drawn.query),
    ):
        mask = torch.from_numpy(index >= 0)
        assert torch.equal(rows.mask.bool(), mask)
        assert (rows.X[~mask] == 0).all()
        assert torch.equal(rows.X[mask], X[index[index >= 0]])


@pytest.mark.parametrize("kind", TaskKind)
def test_split_support_query_covers_every_row_once(kind):
    codes, y = ragged_table()
    support, query = split_support_query(y, codes, 5, kind=kind, random_state=0)
    assert not set(support) & set(query)
    sizes = np.bincount(codes)
    used = np.unique(codes[support])
    assert (sizes[used] >= 2).all()
    assert len(support) + len(query) == np.isin(codes, used).sum()
    again = split_support_query(y, codes, 5, kind=kind, random_state=0)
    np.testing.assert_array_equal(support, again[0])
    other = split_support_query(y, codes, 5, kind=kind, random_state=1)
    assert not np.array_equal(support, other[0])


def test_zero_shots_leave_all_rows_to_the_query():
    codes, y = ragged_table()
    support, query = split_support_query(y, codes, 0)
    assert len(support) == 0
    assert len(query) == len(codes)
