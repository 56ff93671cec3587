"""Batches: the same from memory, from the file and from workers; defects are named."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from fixtures.moving_windows import moving_windows
from fixtures.small_model import small_model

from hargcn import hdf5
from hargcn.data.windows import Windows
from hargcn.training import batches
from hargcn.training.batches import Batches, check


@pytest.mark.parametrize("workers", [0, 2])
def test_the_file_and_memory_give_the_same_batches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    windows = moving_windows(tmp_path / "w.h5").subset("train")
    order = np.random.default_rng(0).permutation(len(windows))
    kept = Batches(windows)
    monkeypatch.setattr(batches, "IN_MEMORY", 0)
    lazy = Batches(windows, workers)
    assert kept.kept is not None
    assert lazy.kept is None
    pairs = list(zip(kept.in_order(order, 8), lazy.in_order(order, 8), strict=True))
    assert all(torch.equal(a, b) for one, other in pairs for a, b in zip(one, other, strict=True))
    together = torch.cat([batch[0] for batch, _ in pairs])
    np.testing.assert_array_equal(together.numpy(), windows.positions(order))
    labels = torch.cat([batch[2] for batch, _ in pairs])
    np.testing.assert_array_equal(labels.numpy(), windows.label[order])


def test_no_batch_is_left_with_one_window(tmp_path: Path) -> None:
    stored = Batches(moving_windows(tmp_path / "w.h5", groups=1, val=()).subset(slice(0, 9)))
    sizes = [len(label) for *_, label in stored.in_order(range(9), 4)]
    assert sizes == [3, 3, 3]


def test_reading_leaves_the_global_generator_alone(tmp_path: Path) -> None:
    stored = Batches(moving_windows(tmp_path / "w.h5", groups=1, val=()))
    state = torch.random.get_rng_state()
    list(stored.in_order(range(6), 4))
    assert torch.equal(state, torch.random.get_rng_state())


def test_unlabelled_windows_are_refused(tmp_path: Path) -> None:
    windows = moving_windows(tmp_path / "w.h5", groups=2, labels=False)
    with pytest.raises(ValueError, match=r"a label 0..2 for every window \(got 24 without, first"):
        check(small_model(), windows)


def test_no_windows_are_refused(tmp_path: Path) -> None:
    windows = moving_windows(tmp_path / "w.h5", groups=2).subset(slice(0, 0))
    with pytest.raises(ValueError, match=r"w.h5: expected at least one window"):
        check(small_model(), windows)


def test_positions_that_are_not_numbers_are_refused(tmp_path: Path) -> None:
    moving_windows(tmp_path / "w.h5", groups=2)
    with h5py.File(tmp_path / "w.h5", "r+") as file:
        file["positions"][3, 0, 0, 0, 0] = np.nan
    hdf5.seal(tmp_path / "w.h5")
    with pytest.raises(ValueError, match=r"w.h5: expected finite positions"):
        Batches(Windows.open(tmp_path / "w.h5"))
