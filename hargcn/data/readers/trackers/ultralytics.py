"""Ultralytics YOLO pose: a text file, or a JSON file, per frame of a video."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from hargcn.checks import shortened
from hargcn.data.readers.base import existing
from hargcn.data.readers.trackers.frames import FrameByFrame, Frames, by_video
from hargcn.data.readers.trackers.json_files import array, read_json, start_of
from hargcn.data.readers.videos import Sightings, listed_people
from hargcn.registry import settings
from hargcn.skeleton import skeleton

_BOX = 5  # class x y width height
_LOOKED_AT = 8  # frames of a video


@settings
class Ultralytics(FrameByFrame):
    """Reads the people of the videos of a folder, or of `labels/` in it.

    A text file has a line per person, `class x y width height` and `px py visibility` or `px py` of
    each joint, in shares of the picture; behind them the person's confidence and the track where
    they were asked for (`save_txt`, `save_conf`, `track`). A JSON file holds what `to_json` gives
    for a frame. A frame that shows nobody has no text file. Tracks name people; others are followed
    by where they are. Notes: `frames_missing`, `people_left_out`, `frames_without_people`.

    Parameters
    ----------
    size
        Width and height of the video in pixels, for shares of the picture; none for pixels, as
        `to_json` gives them.
    """

    name = "ultralytics"
    label = "Ultralytics YOLO pose"
    suffixes = (".txt", ".json")
    frame = re.compile(r"(.+)_(\d{1,12})\.(txt|json)", re.IGNORECASE)
    places = ("*", "*/*", "*/labels/*")
    source = (
        "Ultralytics, docs/en/modes/predict.md: save_txt, Results.save_txt and Results.to_json of "
        "a pose model, one file per frame: <video>_<frame>"
    )
    unknown = (
        "Without a table of outcomes it knows no class and no subject; frames per second must be "
        "given, and the size of the picture (`size`) where points are its shares; how large bodies "
        "are in it, and how long a video goes on with nobody in it, stands nowhere."
    )
    layouts = {17: "coco17", 21: "hand21"}

    size: tuple[int, int] | None = None

    @classmethod
    def sniff(cls, path: str | Path) -> bool:
        """Go by a frame's name, and by the numbers or words in it."""
        path = Path(path)
        videos = by_video(cls._listed(path), cls.frame)[:_LOOKED_AT] if path.is_dir() else []
        frames = [path] if path.is_file() else [f for video in videos for f in video.files][:32]
        return any(cls.frame.fullmatch(frame.name) and _fits(frame) for frame in frames)

    def sightings(self, item: Frames) -> Sightings:
        """Read the frames of a video."""
        files = item.files
        people = {file: _json(file) for file in files if file.suffix.lower() == ".json"}
        lines = {file: _lines(file) for file in files if file not in people}
        wanted = [skeleton(self.layout).n_joints] if self.layout else list(self.layouts)
        people |= _people(item.video, lines, wanted)
        first = min(files.values())
        frames = {number - first: [pose for pose, _ in people[f]] for f, number in files.items()}
        names = {number - first: [name for _, name in people[f]] for f, number in files.items()}
        found = listed_people(item.video, frames, names, self.persons)
        bodies = found.bodies * (self.size or 1)
        seen = found.confidence is not None and np.isfinite(found.confidence).any()
        return replace(found, bodies=bodies, confidence=found.confidence if seen else None)


Person = tuple[np.ndarray, int | None]
"""(joint, 3), x, y and visibility, and the track."""


def _fits(file: Path) -> bool:
    """Say whether a file holds a person of a pose model."""
    if file.suffix.lower() == ".json":
        start = start_of(file)
        return '"keypoints":{"x":[' in start and '"box":{' in start
    try:
        lines = _lines(file)
    except ValueError:
        return False
    boxes = np.array([line[:_BOX] for line in lines if len(line) > _BOX + 5])
    whole = len(lines) > 0 and len(boxes) == len(lines) and (boxes[:, 0] % 1 == 0).all()
    return bool(whole and (boxes >= 0).all() and (boxes[:, 1:] <= 1).all())


def _lines(file: Path) -> list[list[float]]:
    """Return the numbers of each line."""
    lines: list[list[float]] = []
    text = existing(file).read_text(encoding="utf-8", errors="replace")
    for number, line in enumerate(text.splitlines(), 1):
        try:
            lines.append([float(cell) for cell in line.split()])
        except ValueError as error:
            said = shortened(str(error))
            raise ValueError(f"{file}: line {number}: expected numbers ({said})") from error
    return [line for line in lines if line]


def _people(
    video: Path, lines: dict[Path, list[list[float]]], wanted: Sequence[int]
) -> dict[Path, list[Person]]:
    """Return the people of each frame: the lines of a video have one grammar."""
    lengths = sorted({len(line) for frame in lines.values() for line in frame})
    if not lengths:
        return {file: [] for file in lines}
    kinds = [
        (joints, each)
        for joints in wanted
        for each in (3, 2)
        if lengths[0] >= _BOX + joints * each >= lengths[-1] - 2
    ]
    if len(kinds) != 1:
        listed = " or ".join(map(str, wanted))
        raise ValueError(
            f"{video}: expected lines of 5 numbers, 2 or 3 for each of {listed} joints and up to 2 "
            f"behind (got {lengths[0]} to {lengths[-1]}); name the layout: --set reader.layout=..."
        )
    joints, each = kinds[0]
    end = _BOX + joints * each
    behind = [line[end:] for frame in lines.values() for line in frame]
    # A confidence comes first where both are there; alone it is no whole number throughout.
    tracked = max(map(len, behind)) == 2 or all(
        number % 1 == 0 for numbers in behind for number in numbers
    )
    place = max(map(len, behind)) - 1
    return {
        file: [
            (_pose(line[_BOX:end], each), _track(line[end:], place) if tracked else None)
            for line in frame
        ]
        for file, frame in lines.items()
    }


def _pose(numbers: Sequence[float], each: int) -> np.ndarray:
    pose = np.full((len(numbers) // each, 3), np.nan)
    pose[:, :each] = np.reshape(numbers, (-1, each))
    return pose


def _track(numbers: Sequence[float], place: int) -> int | None:
    number = numbers[place] if 0 <= place < len(numbers) else -1
    return int(number) if 0 <= number < 2**53 else None


def _json(file: Path) -> list[Person]:
    """Return the people of a frame as `Results.to_json` writes them."""
    content = read_json(file)
    if not isinstance(content, list) or not all(isinstance(each, dict) for each in content):
        raise ValueError(f"{file}: expected a list of people, as Ultralytics writes them")
    return [_person(file, f"person {at}", each) for at, each in enumerate(content)]


def _person(file: Path, where: str, person: dict[str, Any]) -> Person:
    points = person.get("keypoints")
    points = points if isinstance(points, dict) else {}
    x, y = (array(file, f"{where}: {axis}", points.get(axis)) for axis in ("x", "y"))
    visible = np.full(x.shape, np.nan)
    if "visible" in points:
        visible = array(file, f"{where}: visible", points["visible"])
    if not (x.ndim == 1 and x.shape == y.shape == visible.shape):
        raise ValueError(f"{file}: {where}: expected as many x as y and visible in its keypoints")
    track = person.get("track_id")
    named = isinstance(track, int) and 0 <= track < 2**53
    return np.column_stack([x, y, visible]), track if named else None
