"""COCO key points: results (also AlphaPose's) and annotations, one JSON file per video."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from hargcn.checks import shortened
from hargcn.data.readers.trackers.json_files import joints, read_json, start_of
from hargcn.data.readers.videos import Sightings, Videos, listed_people
from hargcn.registry import settings


@settings
class Coco(Videos):
    """Reads the people of one video: a list of results, or annotations with their images.

    A frame is the last number in an image's name, or of `image_id` or `frame_id`. AlphaPose's `idx`
    and `track_id` name people; others are followed by where they are. A joint with visibility or
    score 0 at 0, 0 was not annotated; one that annotations call labelled but not visible (1) counts
    as interpolated: somebody guessed where it is. Notes: `frames_missing`, `people_left_out`,
    `frames_without_people`.
    """

    name = "coco"
    label = "COCO or AlphaPose key points"
    suffixes = (".json",)
    source = "COCO data and results format, key points; AlphaPose, docs/output.md"
    layouts = {17: "coco17", 26: "halpe26", 133: "coco133"}

    @classmethod
    def recognises(cls, file: Path) -> bool:
        """Go by the words in its start."""
        start = start_of(file)
        result = start.startswith("[{") and '"image_id":' in start and '"keypoints":[' in start
        return result or (start.startswith("{") and '"images":[' in start)

    def sightings(self, item: Path) -> Sightings:
        """Read the people of a video."""
        content = read_json(item)
        names: tuple[str, ...] = ()
        annotated = isinstance(content, dict)
        if annotated:
            content, names = _annotations(item, content)
        if not _objects(content):
            raise ValueError(f"{item}: expected a list of people, as COCO results are")
        frames: dict[int, list[Any]] = {}
        identities: dict[int, list[Any]] = {}
        for number, person in enumerate(content):
            frame = _frame(item, number, person)
            points = joints(item, f"person {number}", person.get("keypoints"))
            frames.setdefault(frame, []).append(points)
            identities.setdefault(frame, []).append(_identity(person))
        first = min(frames, default=0)
        frames = {frame - first: people for frame, people in frames.items()}
        identities = {frame - first: people for frame, people in identities.items()}
        found = listed_people(item, frames, identities, self.persons)
        flags = found.confidence
        if annotated and flags is not None and np.isin(flags[np.isfinite(flags)], (0, 1, 2)).all():
            return replace(found, joints=names, confidence=None, guessed=flags == 1)
        return replace(found, joints=names)


def _annotations(
    file: Path, content: dict[str, Any]
) -> tuple[list[dict[str, Any]], tuple[str, ...]]:
    """Return annotations with their image's name, and the names of joints."""
    listed = [content.get(key, []) for key in ("images", "annotations", "categories")]
    if not all(map(_objects, listed)):
        raise ValueError(f"{file}: expected lists of images, annotations and categories")
    images = {str(each.get("id")): each for each in listed[0]}
    stems = {re.sub(r"\d+(?=\D*$)", "", str(each.get("file_name", ""))) for each in images.values()}
    if len(stems) > 1:
        raise ValueError(
            f"{file}: expected the images of one video, named alike but for a number (got "
            f"{len(stems)} kinds, such as {' and '.join(sorted(stems)[:2])}): unrelated images are "
            "no movement"
        )
    people = [each for each in listed[1] if each.get("keypoints")]
    known = [
        {**each, "image_id": images.get(str(each.get("image_id")), {}).get("file_name", "")}
        for each in people
    ]
    kinds = [each.get("keypoints", []) for each in listed[2]]
    return known, tuple(map(str, kinds[0])) if len(kinds) == 1 and isinstance(
        kinds[0], list
    ) else ()


def _objects(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(each, dict) for each in value)


def _frame(file: Path, number: int, person: dict[str, Any]) -> int:
    given = person.get("frame_id", person.get("image_id"))
    found = re.findall(r"\d+", str(given))
    if not found or len(found[-1]) > 15:
        raise ValueError(
            f"{file}: person {number}: expected a frame's number in image_id "
            f"(got {shortened(repr(given))})"
        )
    return int(found[-1])


def _identity(person: dict[str, Any]) -> int | None:
    given = person.get("track_id", person.get("idx"))
    given = given[0] if isinstance(given, list) and given else given
    return int(given) if isinstance(given, int | float) and 0 <= given < 2**53 else None
