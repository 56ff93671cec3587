"""MMPose: the predictions of its inferencer, one JSON file per video."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from hargcn.data.readers.trackers.json_files import array, read_json, start_of
from hargcn.data.readers.videos import Sightings, Videos, listed_people
from hargcn.registry import settings


@settings
class MMPose(Videos):
    """Reads the people of one video, frame by frame.

    People are followed by where they are, unless `track_id` names them. Notes: `frames_missing`,
    `people_left_out`, `frames_without_people`.
    """

    name = "mmpose"
    label = "MMPose predictions"
    suffixes = (".json",)
    source = "MMPose, user_guides/inference.html: pred_out_dir, and the demos' --save-predictions"
    layouts = {17: "coco17", 26: "halpe26", 133: "coco133"}

    @classmethod
    def recognises(cls, file: Path) -> bool:
        """Go by the words in its start."""
        start = start_of(file)
        return '"instance_info":' in start or '"instances":[' in start or '"meta_info":' in start

    def sightings(self, item: Path) -> Sightings:
        """Read the people of a video."""
        content = read_json(item)
        about: Any = {}
        if isinstance(content, dict):
            about, content = content.get("meta_info") or {}, content.get("instance_info")
        if not isinstance(content, list) or not all(isinstance(each, dict) for each in content):
            raise ValueError(f"{item}: expected a list of frames with their instances")
        frames: dict[int, list[np.ndarray]] = {}
        names: dict[int, list[int | None]] = {}
        for place, frame in enumerate(content):
            at = frame.get("frame_id", place)
            people = frame.get("instances")
            if not isinstance(at, int) or at < 0 or at in frames or not isinstance(people, list):
                raise ValueError(f"{item}: frame {place}: expected frame_id and instances")
            frames[at] = [_pose(item, f"frame {place}", each) for each in people]
            names[at] = [each.get("track_id") for each in people]
        first = min(frames, default=0)
        found = listed_people(
            item,
            {at - first: people for at, people in frames.items()},
            {at - first: people for at, people in names.items()},
            self.persons,
        )
        return replace(found, joints=_joints(about))


def _pose(file: Path, where: str, person: Any) -> np.ndarray:
    """Return (joint, C + 1): coordinates and score."""
    if not isinstance(person, dict) or "keypoints" not in person:
        raise ValueError(f"{file}: {where}: expected instances with keypoints")
    points = array(file, f"{where}: keypoints", person["keypoints"])
    scores = person.get("keypoint_scores")
    scores = (
        np.full(len(points), np.nan) if scores is None else array(file, f"{where}: scores", scores)
    )
    if points.ndim != 2 or scores.shape != points.shape[:1]:
        raise ValueError(
            f"{file}: {where}: expected keypoints (joint, 2) and a score for each (got "
            f"{points.shape} and {scores.shape})"
        )
    return np.column_stack([points, scores])


def _joints(about: Any) -> tuple[str, ...]:
    """Return the names of joints where the file tells them."""
    named = about.get("keypoint_id2name") if isinstance(about, dict) else None
    if not isinstance(named, dict) or not all(key.isdecimal() and len(key) < 6 for key in named):
        return ()
    return tuple(str(named[key]) for key in sorted(named, key=int))
