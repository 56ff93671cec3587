"""Windows that are cut anew in every epoch, from random places of recordings that go round."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Generator

from hargcn.data.windows import Windows
from hargcn.training.batches import Batches, Tensors


@dataclass(frozen=True, eq=False)
class _Recording:
    """Where the frames of a recording lie.

    Parameters
    ----------
    window, frame
        (T,) int, for each frame of the recording a window that holds it, and its place there.
    draws
        How many windows an epoch cuts from it.
    """

    window: np.ndarray
    frame: np.ndarray
    draws: int


class Starts(Batches):
    """As many windows of each recording as asked for, from places that `draw` chooses.

    A recording is put together from its windows, which overlap or follow one another; behind its
    last frame with a person it begins anew. Its starts are spread: one, at random, in each of as
    many equal parts as it has windows (the published code of Tempel et al. 2024, for infants).

    Parameters
    ----------
    windows
        What to read.
    counts
        Windows per recording and epoch, of all or by class.
    workers
        As of `Batches`.

    Raises
    ------
    ValueError
        For counts that do not name all classes or name others, windows of unequal rates, and
        recordings whose windows leave frames out.
    """

    def __init__(self, windows: Windows, counts: int | Mapping[str, int], workers: int = 0) -> None:
        super().__init__(windows, workers)
        if windows.rate is None:
            raise ValueError(
                f"{windows.path}: expected windows of one frame rate to cut them anew (got whole "
                "recordings, each at a rate of its own)"
            )
        each = _counts(windows, counts)
        of = np.unique(windows.sample, return_inverse=True)[1]
        members = np.split(np.argsort(of, kind="stable"), np.cumsum(np.bincount(of))[:-1])
        self.recordings = [self._recording(own, int(each[own[0]])) for own in members]
        self.draw(torch.Generator().manual_seed(0))

    def draw(self, generator: Generator) -> None:
        """Choose where the windows of an epoch begin."""
        drawn = [torch.rand(each.draws, generator=generator).numpy() for each in self.recordings]
        self.which = np.repeat(np.arange(len(drawn)), [len(u) for u in drawn])
        self.start = np.concatenate(
            [
                ((np.arange(len(u)) + u) * len(each.frame) / len(u)).astype(int)
                for u, each in zip(drawn, self.recordings, strict=True)
            ]
        )

    def __len__(self) -> int:
        return len(self.start)

    def __getitems__(self, index: Sequence[int]) -> Tensors:
        """Return the windows of these draws."""
        length = np.arange(self.windows.frames)
        at = [
            (each.window[frames], each.frame[frames])
            for each, start in zip(
                [self.recordings[i] for i in self.which[index]], self.start[index], strict=True
            )
            for frames in [(start + length) % len(each.frame)]
        ]
        window, frame = (np.stack(part) for part in zip(*at, strict=True))
        read, back = np.unique(window, return_inverse=True)
        positions, valid, wanted = super().__getitems__(read.tolist())
        place = torch.from_numpy(back.reshape(window.shape)), torch.from_numpy(frame)
        cut = positions.transpose(1, 2)[place].transpose(1, 2)
        return cut, valid[place], wanted[place[0][:, 0]]

    def _recording(self, members: np.ndarray, draws: int) -> _Recording:
        """Put the windows of a recording together."""
        starts = self.windows.start[members]
        order = np.argsort(starts, kind="stable")
        members, starts = members[order], starts[order]
        *_, valid, _ = super().__getitems__([int(members[-1])])
        last = starts[-1] + int(np.flatnonzero(valid[0].any(1))[-1])
        frames = np.arange(starts[0], last + 1)
        window = np.searchsorted(starts, frames, "right") - 1
        frame = frames - starts[window]
        if (frame >= self.windows.frames).any():
            gap, name = (
                frames[np.argmax(frame >= self.windows.frames)],
                self.windows.sample[members[0]],
            )
            raise ValueError(
                f"{self.windows.path}: expected windows of {name} without gaps to cut them anew "
                f"(got none with its frame {gap})"
            )
        return _Recording(members[window], frame, draws)


def _counts(windows: Windows, counts: int | Mapping[str, int]) -> np.ndarray:
    """Return how many windows are cut from the recording of each window."""
    if not isinstance(counts, Mapping):
        return np.full(len(windows), counts)
    if windows.outcome is not None or set(counts) != set(windows.classes):
        raise ValueError(
            f"{windows.path}: expected starts for each class of {', '.join(windows.outputs.names)} "
            f"(got {', '.join(counts)})"
        )
    return np.array([counts[name] for name in windows.classes])[windows.label]
