"""Videos that a tracker wrote frame by frame, a file for each: listed once, sorted by video."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, eq=False)
class Frames:
    """A video: where it would be as one file, and its frames' files with their numbers in order."""

    video: Path
    files: dict[Path, int]

    def __fspath__(self) -> str:
        return str(self.video)

    def __str__(self) -> str:
        return str(self.video)


def by_video(files: Iterable[Path], named: re.Pattern[str]) -> list[Frames]:
    """Return the videos of frames, sorted; what is not named as a frame is left out.

    Parameters
    ----------
    files
        All of them, listed once.
    named
        What frames are called: the video's name and the number are the first two groups.
    """
    videos: dict[Path, dict[Path, int]] = {}
    for file in files:
        match = named.fullmatch(file.name)
        if match and file.is_file():
            videos.setdefault(file.with_name(match[1]), {})[file] = int(match[2])
    return [
        Frames(video, dict(sorted(frames.items(), key=lambda each: each[1])))
        for video, frames in sorted(videos.items())
    ]


def videos_of(path: Path, files: Iterable[Path], named: re.Pattern[str]) -> list[Frames]:
    """Return the videos among the files of a folder; of a frame the one that it belongs to.

    Raises
    ------
    FileNotFoundError
        If a file is no frame.
    """
    if not path.is_file():
        return by_video(files, named)
    frame = named.fullmatch(path.name)
    if frame is None:
        raise FileNotFoundError(f"{path}: no such video")
    beside = by_video(path.parent.iterdir(), named)
    return [each for each in beside if each.video.name == frame[1]]
