"""OpenPose: one JSON file per frame, `<video>_<frame>_keypoints.json`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from hargcn.data.readers.trackers.frames import FrameByFrame, Frames, by_video
from hargcn.data.readers.trackers.json_files import joints, read_json, start_of
from hargcn.data.readers.videos import Sightings, listed_people
from hargcn.registry import settings


@settings
class OpenPose(FrameByFrame):
    """Reads the frames of the videos of a folder, and of the folders in it.

    Points are pixels; a joint that was not found is 0, 0, 0. A frame without a file counts as one
    that shows nobody. The order of people in a frame is no identity: they are followed by where
    they are, unless `person_id` names them. Notes: `frames_missing`, `people_left_out`,
    `frames_without_people`.
    """

    name = "openpose"
    label = "OpenPose"
    suffixes = (".json",)
    pattern = "*_keypoints.json"
    frame = re.compile(r"(.+)_(\d+)_keypoints\.json")
    places = (pattern, f"*/{pattern}")
    source = "OpenPose, doc/02_output.md: --write_json with BODY_25 or COCO"
    layouts = {18: "openpose18", 25: "openpose25"}

    @classmethod
    def sniff(cls, path: str | Path) -> bool:
        """Go by a frame's name, and by the people in it."""
        path = Path(path)
        frames = [path] if path.is_file() else _first(by_video(cls._listed(path), cls.frame))
        return any(cls.frame.fullmatch(f.name) and '"people"' in start_of(f) for f in frames[:1])

    def sightings(self, item: Frames) -> Sightings:
        """Read the frames of a video."""
        files = item.files
        first, frames, names = min(files.values()), {}, {}
        for file, number in files.items():
            people = _people(file)
            frames[number - first] = [
                joints(file, "pose_keypoints_2d", each.get("pose_keypoints_2d")) for each in people
            ]
            names[number - first] = [_identity(each) for each in people]
        return listed_people(item.video, frames, names, self.persons)


def _first(videos: list[Frames]) -> list[Path]:
    return [file for video in videos[:1] for file in video.files]


def _people(file: Path) -> list[dict[str, Any]]:
    content = read_json(file)
    people = content.get("people") if isinstance(content, dict) else None
    if not isinstance(people, list) or not all(isinstance(each, dict) for each in people):
        raise ValueError(f"{file}: expected the people of a frame, as OpenPose writes them")
    return [each for each in people if each.get("pose_keypoints_2d")]


def _identity(person: dict[str, Any]) -> int | None:
    given = person.get("person_id")
    number = given[0] if isinstance(given, list) and given else -1
    return number if isinstance(number, int) and number >= 0 else None
