"""Videos that a tracker wrote frame by frame, a file for each: listed once, sorted by video."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from hargcn.data.readers.videos import Videos


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


class FrameByFrame(Videos):
    """Reads the videos of a folder, of which every frame has a file of its own.

    Attributes
    ----------
    frame
        What frames are called: the video's name and the number are the first two groups.
    places
        Where they lie in the folder.
    """

    frame: ClassVar[re.Pattern[str]]
    places: ClassVar[tuple[str, ...]]

    @classmethod
    def _listed(cls, folder: Path) -> list[Path]:
        found = [file for place in cls.places for file in folder.glob(place)]
        return [file for file in found if cls.frame.fullmatch(file.name)]

    def videos(self, path: Path) -> list[Frames]:
        """Return the videos with their frames; of a frame the one that it belongs to.

        Raises
        ------
        FileNotFoundError
            If a file is no frame.
        """
        files = self.files(path)
        if not path.is_file():
            return by_video(files, self.frame)
        frame = self.frame.fullmatch(path.name)
        if frame is None:
            raise FileNotFoundError(f"{path}: no such video")
        beside = by_video(path.parent.iterdir(), self.frame)
        return [each for each in beside if each.video.name == frame[1]]

    def title(self, item: Frames) -> str:
        """Return the name of a video."""
        return item.video.name
