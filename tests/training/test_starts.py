"""Windows cut anew: frames as in the recording, round its end, spread, and as many as asked for."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from fixtures.recordings import drifting
from fixtures.small_model import small_model

from hargcn.data.cutting import WindowConfig
from hargcn.data.splits import SplitConfig
from hargcn.data.windows import Windows, write_windows
from hargcn.training import batches
from hargcn.training.optimisation import TrainConfig
from hargcn.training.starts import Starts
from hargcn.training.trainer import Trainer

LENGTH = 20
FRAMES = {"a": 47, "b": 20, "c": 12, "d": 60}  # b is one window, c is shorter than one
CLASSES = ("rest", "wave")


@pytest.fixture(scope="module")
def windows(tmp_path_factory) -> Windows:
    return written(tmp_path_factory.mktemp("starts") / "w.h5")


def written(path, **settings) -> Windows:
    """Write recordings whose x says which frame it is; a and c rest."""
    recordings = [
        drifting(frames, speed=30.0, sample=name, group=name, label=i % 2)
        for i, (name, frames) in enumerate(FRAMES.items())
    ]
    config = WindowConfig(length=LENGTH, **{"overlap": 12, **settings})
    return write_windows(
        path, recordings, CLASSES, config, split=SplitConfig(train=("a", "b", "c", "d"))
    )


def frames_of(starts: Starts, index: list[int]) -> np.ndarray:
    """Return the frame of the recording that each frame of some windows shows, (n, T)."""
    positions, valid, _ = starts.__getitems__(index)
    assert valid.all()
    origin = drifting(1).positions[0, 0, 0, 0]
    return np.rint(positions[:, 0, :, 0, 0].numpy() - origin).astype(int)


def test_windows_are_the_recordings_frames_and_go_round_at_its_end(windows):
    starts = Starts(windows, 30)
    assert len(starts) == 4 * 30
    names = list(FRAMES)
    found = frames_of(starts, range(len(starts)))
    for row, which, start in zip(found, starts.which, starts.start, strict=True):
        expected = (start + np.arange(LENGTH)) % FRAMES[names[which]]
        np.testing.assert_array_equal(row, expected)
    assert {names[i] for i in starts.which[(found[:, -1] < found[:, 0])]} == set(FRAMES)


def test_starts_are_spread_one_in_each_equal_part(windows):
    starts = Starts(windows, 5)
    starts.draw(torch.Generator().manual_seed(1))
    first = starts.start.copy()
    for name, own in zip(FRAMES, first.reshape(4, 5), strict=True):
        edges = np.arange(6) * FRAMES[name] / 5
        assert (own > edges[:-1] - 1).all()  # a start is a whole frame, rounded down
        assert (own < edges[1:]).all()
    starts.draw(torch.Generator().manual_seed(2))
    assert (starts.start != first).mean() > 0.6
    starts.draw(torch.Generator().manual_seed(1))
    np.testing.assert_array_equal(starts.start, first)


def test_classes_have_windows_of_their_own_number(windows):
    starts = Starts(windows, {"rest": 3, "wave": 7})
    *_, labels = starts.__getitems__(range(len(starts)))
    assert np.bincount(labels).tolist() == [6, 14]
    assert np.bincount(starts.which).tolist() == [3, 7, 3, 7]


def test_the_file_and_memory_give_the_same_windows(windows, monkeypatch):
    kept = Starts(windows, 4)
    monkeypatch.setattr(batches, "IN_MEMORY", 0)
    lazy = Starts(windows, 4)
    assert lazy.kept is None
    for one, other in zip(kept.in_order([3, 0, 9], 2), lazy.in_order([3, 0, 9], 2), strict=True):
        assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize(
    ("counts", "said"),
    [
        ({"rest": 3}, r"w\.h5: expected starts for each class of rest, wave \(got rest\)"),
        ({"rest": 3, "wave": 3, "jump": 1}, "got rest, wave, jump"),
    ],
)
def test_counts_name_all_classes_and_no_other(windows, counts, said):
    with pytest.raises(ValueError, match=said):
        Starts(windows, counts)


def test_windows_that_leave_frames_out_cannot_be_put_together(windows):
    fewer = windows.subset(
        np.array(
            [
                name != "a" or start != 8
                for name, start in zip(windows.sample, windows.start, strict=True)
            ]
        )
    )
    assert len(fewer) == len(windows) - 1
    Starts(fewer, 2)  # its neighbours overlap enough
    gone = windows.subset(~((windows.sample == "a") & np.isin(windows.start, [8, 16])))
    with pytest.raises(ValueError, match=r"windows of a without gaps .* none with its frame 20"):
        Starts(gone, 2)


def test_resampled_recordings_have_no_frames_to_put_together(tmp_path):
    whole = written(tmp_path / "whole.h5", mode="whole", overlap=None)
    with pytest.raises(ValueError, match=r"whole\.h5: expected windows of one frame rate"):
        Starts(whole, 2)


def test_an_epoch_sees_what_was_asked_for_and_another_one_other_places(windows, monkeypatch):
    seen = []
    read = Starts.__getitems__
    monkeypatch.setattr(
        Starts,
        "__getitems__",
        lambda self, index: (seen.append(self.start.copy()), read(self, index))[1],
    )
    settings = TrainConfig(
        epochs=2, batch_size=8, device="cpu", starts={"rest": 2, "wave": 6}, recalibrate=True
    )
    run = Trainer(small_model().config, windows, settings)
    assert run.steps == 2  # 16 windows, of 12 that the file has
    for _ in range(2):
        run.go_on(lambda _: None)
    run.finish()
    first, second, last = seen[0], seen[2], seen[4]
    assert len(seen) == 6
    assert (first != second).any()
    assert (second != last).any()
    assert run.history[0]["train_loss"] > 0
