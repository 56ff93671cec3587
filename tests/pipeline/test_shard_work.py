from __future__ import annotations

from contextlib import contextmanager

import numpy as np
import pytest
from torch import nn

from hargcn.explanation import Explanation
from hargcn.pipeline import shard_work
from hargcn.pipeline.shard_work import do_shards
from hargcn.pipeline.shards import Shards


class Work:
    """Seven windows in shards of three; fails at a number, and notes what it does."""

    network = nn.Linear(1, 1)

    def __init__(self, folder, fails=None):
        self.shards, self.fails, self.made = Shards(folder, {}, 3), fails, []

    def size(self, number):
        return min(3, 7 - 3 * number)

    def __call__(self, number):
        if number == self.fails:
            raise ValueError("no power")
        self.made.append(number)
        size = self.size(number)
        made = Explanation.build(
            np.full((size, 2), float(number)), ("sample", "joint"), method="m", target=[0] * size,
            score=[1.0] * size,
        )  # fmt: skip
        self.shards.add(number, {"": made})


@pytest.fixture
def seen(monkeypatch):
    """What the bar was told."""
    told = []

    @contextmanager
    def filling(label, total, progress):
        told.append((label, total, progress))
        yield told.append

    monkeypatch.setattr(shard_work, "filling", filling)
    return told


def test_what_is_done_is_not_done_again_and_the_bar_counts_windows(tmp_path, seen):
    failing = Work(tmp_path / "parts", fails=1)
    with pytest.raises(ValueError, match="no power"):
        do_shards(failing, range(3), "working")
    assert failing.made == [0]
    assert seen == [("working", 7, True), 0, 3]
    seen.clear()
    work = Work(tmp_path / "parts")
    do_shards(work, range(3), "working", progress=False)
    assert work.made == [1, 2]
    assert seen == [("working", 7, False), 3, 6, 7]
    assert list(work.shards.join(tmp_path / "x.h5")) == [""]
    assert len(Explanation.open(tmp_path / "x.h5")) == 7


def test_within_a_shard_the_bar_moves_as_far_as_the_shard_goes(tmp_path, seen):
    @contextmanager
    def telling(told):
        told(1.5)
        yield
        told(99)

    do_shards(Work(tmp_path / "parts"), [0, 2], "working", telling=telling)
    assert seen == [("working", 4, True), 0, 1.5, 3, 3, 4, 4, 4]


def test_on_a_cluster_the_folder_is_there_before_and_has_a_whole_name(tmp_path, seen, monkeypatch):
    def on_cluster(work, numbers, told, *, address, gpu):
        assert work.shards.folder == tmp_path / "parts"
        assert work.shards.folder.is_dir()
        assert (address, gpu) == ("there:1", False)
        for number in reversed(numbers):
            work(number)
            told(number)

    monkeypatch.setattr("hargcn.pipeline.cluster.on_cluster", on_cluster)
    monkeypatch.chdir(tmp_path)
    work = Work(tmp_path / "parts")
    work.shards.folder = work.shards.folder.relative_to(tmp_path)
    do_shards(work, range(3), "working", engine="ray", address="there:1")
    assert work.made == [2, 1, 0]
    assert seen == [("working", 7, True), 0, 1, 4, 7]
