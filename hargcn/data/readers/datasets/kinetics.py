"""Kinetics-skeleton: a JSON file per video, people found by OpenPose, with the video's label."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from hargcn.checks import shortened
from hargcn.data.readers.base import existing
from hargcn.data.readers.datasets.labelled import MOST_CLASSES, Labelled, published, whole_number
from hargcn.data.readers.trackers.json_files import array, read_json, start_of
from hargcn.data.readers.videos import listed_people
from hargcn.data.recording import Recording, Recordings
from hargcn.data.splits import SplitConfig
from hargcn.registry import settings

_Side = Annotated[int, Field(ge=1, le=100_000)]


@settings
class Kinetics(Labelled):
    """Reads the videos of a folder, and of the folders in it.

    Coordinates are shares of the picture's width and height. The order of people in a frame is no
    identity: they are followed by where they are. Names of classes come from the list of labels
    beside the folder (`<folder>_label.json`), else from the videos. Folders `kinetics_train` and
    `kinetics_val` in one are `split=kinetics`. Notes besides: `frames_missing`,
    `frames_without_people`.

    Parameters
    ----------
    size
        Width and height of the pictures in pixels.
    """

    name = "kinetics"
    label = "Kinetics-skeleton"
    suffixes = (".json",)
    source = "ST-GCN, OLD_README.md: Kinetics-skeleton, and feeder/feeder_kinetics.py"
    unknown = (
        "The files state neither frames per second (30 are assumed) nor the size of the picture, "
        "nor who moved: every video is a group of its own."
    )
    defaults = {
        "preprocess": {"centre": "median", "scale": "trunk"},
        "windows": {"mode": "whole", "length": 150, "fit": "pad"},
    }

    size: tuple[_Side, _Side] = (340, 256)

    @classmethod
    def recognises(cls, file: Path) -> bool:
        """Go by the words in its start."""
        start = start_of(file)
        return start.startswith("{") and '"data":[' in start and '"frame_index":' in start

    @classmethod
    def _named_so(cls, file: Path) -> bool:
        return file.suffix.lower() == ".json" and not file.stem.endswith("_label")

    @classmethod
    def _listed(cls, folder: Path) -> list[Path]:
        found = super()._listed(folder)
        for below in sorted(folder.iterdir()):
            if below.is_dir() and below.name != "raw":
                found += super()._listed(below)
        return found

    def published(self, path: str | Path) -> Mapping[str, SplitConfig]:
        """Return the parts that the names of folders tell."""
        parts: dict[str, list[str]] = {}
        for file in self.files(Path(path)):
            parts.setdefault(file.parent.name, []).append(file.stem)
        return published(parts)

    def catalogue(self, path: Path) -> Recordings:
        """List the videos and the names of their classes."""
        files = self.files(path)
        stems = [file.stem for file in files]
        if len(set(stems)) < len(stems):
            raise ValueError(f"{path}: expected one file per video (got more of one name)")
        names: dict[int, str] = {}
        for lists in sorted({file.parent for file in files}):
            listed = lists.with_name(f"{lists.name}_label.json")
            those = [file for file in files if file.parent == lists]
            names |= _listed_names(listed) if listed.is_file() else _names(those)
        numbers = self.names_of(path, names)
        own = tuple(names.get(i, number) for i, number in enumerate(numbers))
        return Recordings(files, self._recording, self.classes or own)

    def _recording(self, item: Path) -> Recording:
        frames: dict[int, list[np.ndarray]] = {}
        content = _content(existing(item))
        for place, frame in enumerate(content["data"]):
            where = f"frame {place}"
            at, people = frame.get("frame_index"), frame.get("skeleton")
            if whole_number(at) is None or at < 0 or at in frames or not isinstance(people, list):
                raise ValueError(f"{item}: {where}: expected frame_index and skeleton")
            frames[at] = [_pose(item, where, each, self.size) for each in people]
        first = min(frames, default=0)
        shown = {at - first: people for at, people in frames.items()}
        nameless = {at: [None] * len(people) for at, people in shown.items()}
        found = listed_people(item, shown, nameless, self.persons)
        label = whole_number(content.get("label_index"))
        return self.recording(
            item, found.bodies, found.confidence, item.stem, label, dict(found.notes)
        )


def _pose(file: Path, where: str, person: Any, size: tuple[int, int]) -> np.ndarray:
    """Return (joint, 3): pixels and score."""
    if not isinstance(person, dict):
        raise ValueError(f"{file}: {where}: expected people with pose and score")
    pose = array(file, f"{where}: pose", person.get("pose"))
    score = array(file, f"{where}: score", person.get("score"))
    if pose.ndim != 1 or score.ndim != 1 or pose.size != 2 * score.size:
        raise ValueError(
            f"{file}: {where}: expected two numbers of pose for each score (got {pose.size} and "
            f"{score.size})"
        )
    return np.column_stack([pose.reshape(-1, 2) * size, score])


def _content(file: Path) -> dict[str, Any]:
    given = read_json(file)
    content: dict[str, Any] = given if isinstance(given, dict) else {}
    frames = content.get("data")
    if not isinstance(frames, list) or not all(isinstance(frame, dict) for frame in frames):
        raise ValueError(f"{file}: expected data, a list of frames with their people")
    label = content.get("label_index")
    if label is not None and (whole_number(label) is None or not 0 <= label < MOST_CLASSES):
        raise ValueError(f"{file}: expected a label_index from 0 (got {shortened(repr(label))})")
    return content


def _names(files: list[Path]) -> dict[int, str]:
    """Return the names of labels that the videos tell."""
    found = {}
    for file in files:
        content = _content(file)
        if content.get("label_index") is not None:
            found[int(content["label_index"])] = str(content.get("label"))[:200]
    return found


def _listed_names(path: Path) -> dict[int, str]:
    about = path.stat()
    return _read_names(path, about.st_mtime_ns, about.st_size)


@lru_cache(maxsize=4)
def _read_names(path: Path, *_: int) -> dict[int, str]:
    content = read_json(path)
    videos: list[Any] = list(content.values()) if isinstance(content, dict) else [None]
    found = {}
    for each in videos:
        video = each if isinstance(each, dict) else {}
        number = whole_number(video.get("label_index"))
        if number is None or not 0 <= number < MOST_CLASSES:
            raise ValueError(f"{path}: expected label and label_index of every video")
        found[number] = str(video.get("label"))[:200]
    return found
