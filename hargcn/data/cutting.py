"""Cutting: a recording becomes windows of equal length."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from hargcn.data.filters import resample
from hargcn.data.recording import Recording


class WindowConfig(BaseModel):
    """How windows are cut.

    Parameters
    ----------
    mode
        "slide": windows of `length` frames that overlap; the last one is right-aligned. "whole":
        one window per recording, from the first to the last frame with a person. "first": one
        window per recording, its first `length` frames.
    length
        Frames per window, in all modes.
    overlap
        Frames that neighbouring windows share ("slide"); None for half of them.
    fit
        How a whole recording comes to `length` frames: "resample" stretches it; "pad" adds absent
        frames to a shorter one (a longer one is resampled).
    min_valid
        Windows with a smaller share of frames with a person are left out; empty ones always are.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    mode: Literal["slide", "whole", "first"] = "slide"
    length: int = Field(default=150, ge=1, le=100_000)
    overlap: int | None = Field(default=None, ge=0)
    fit: Literal["resample", "pad"] = "resample"
    min_valid: float = Field(default=0, ge=0, le=1)

    @model_validator(mode="after")
    def _moves(self) -> WindowConfig:
        if self.mode == "slide" and self.shared >= self.length:
            raise ValueError(
                f"Expected an overlap below the length {self.length} (got {self.overlap})"
            )
        return self

    @property
    def shared(self) -> int:
        """Frames that neighbouring windows share, also where nobody set them."""
        return self.length // 2 if self.overlap is None else self.overlap


@dataclass(frozen=True, eq=False)
class Window:
    """One window.

    Parameters
    ----------
    start
        Its first frame in the recording.
    fps
        Its frames per second: a resampled window has a rate of its own.
    arrays
        `positions` (C, T, V, M), `valid` (T, M), `state` (T, V, M), `time` (T,) in seconds of the
        recording, and, where known, `confidence` (T, V, M) and `truth`, `distractor` (T, V).
    """

    start: int
    fps: float
    arrays: dict[str, np.ndarray]


def cut(recording: Recording, config: WindowConfig) -> Iterator[Window]:
    """Cut a recording into windows.

    Parameters
    ----------
    recording
        Preprocessed: without NaN.
    config
        The settings.

    Yields
    ------
    Window
        In the order of time. A recording shorter than the length gives one window whose frames past
        the end are zero and not valid; their time goes on.

    Raises
    ------
    ValueError
        If a joint was not observed somewhere.
    """
    if np.isnan(recording.positions).any():
        raise ValueError(
            f"{recording.sample}: expected positions without gaps (got NaN); preprocess it first"
        )
    windows: Iterator[Window]
    if config.mode != "whole":
        starts = [0] if config.mode == "first" else _starts(recording.frames, config)
        windows = map(partial(_piece, recording, config.length), starts)
    else:
        windows = iter([_whole(recording, config)])
    for window in windows:
        share = window.arrays["valid"].any(axis=1).mean()
        if share > 0 and share >= config.min_valid:
            yield window


def shown_fps(recording: Recording, config: WindowConfig) -> float:
    """Return the frames per second of a recording's windows: what is resampled has its own."""
    if config.mode != "whole":
        return recording.fps
    first, last = _shown(recording)
    if config.fit == "pad" and last - first < config.length:
        return recording.fps
    seconds = recording.time[last] - recording.time[first]
    return float((config.length - 1) / seconds) if seconds > 0 else recording.fps


def _shown(recording: Recording) -> tuple[int, int]:
    """Return the first and the last frame with a person."""
    shown = np.flatnonzero(recording.valid.any(axis=1))
    return int(shown[0]), int(shown[-1])


def _starts(frames: int, config: WindowConfig) -> list[int]:
    last = max(0, frames - config.length)
    starts = list(range(0, last + 1, config.length - config.shared))
    return starts if starts[-1] == last else [*starts, last]


def _whole(recording: Recording, config: WindowConfig) -> Window:
    first, last = _shown(recording)
    if config.fit == "pad" and last - first < config.length:
        return _piece(recording, config.length, first)
    stretched = resample(recording, np.linspace(first, last, config.length))
    return Window(first, shown_fps(recording, config), _arrays(stretched))


def _piece(recording: Recording, length: int, start: int) -> Window:
    """Return `length` frames from `start`, absent past the end of the recording."""
    pieces = {}
    for name, array in _arrays(recording).items():
        axis = 1 if name == "positions" else 0
        piece = array[(slice(None),) * axis + (slice(start, start + length),)]
        pad = [(0, 0)] * piece.ndim
        pad[axis] = (0, length - piece.shape[axis])
        pieces[name] = np.pad(piece, pad, constant_values=np.nan if name == "confidence" else 0)
    short = length - len(recording.time[start:])
    if short > 0:
        pieces["time"][-short:] = recording.time[-1] + np.arange(1, short + 1) / recording.fps
    return Window(start, recording.fps, pieces)


def _arrays(recording: Recording) -> dict[str, np.ndarray]:
    named = {
        "positions": recording.positions,
        "valid": recording.valid,
        "state": recording.state,
        "time": recording.time,
        "confidence": recording.confidence,
        "truth": recording.truth,
        "distractor": recording.distractor,
    }
    return {name: array for name, array in named.items() if array is not None}
