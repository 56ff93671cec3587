"""SLEAP: the project file `.slp`, predictions and labels of one video or several."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from hargcn import hdf5
from hargcn.checks import shortened
from hargcn.data.readers.base import Part
from hargcn.data.readers.videos import Sightings, Videos, listed_people
from hargcn.registry import settings

_SETS = ("frames", "instances", "points", "pred_points", "tracks_json", "videos_json")


@dataclass(frozen=True)
class _Video(Part):
    """A video of a project."""

    title: str


@settings
class SleapProject(Videos):
    """Reads the instances of every video of a project through the package sleap-io.

    Every video becomes a recording: named as the file where it has one video, else as the file and
    the video. Nodes, in the order of the first skeleton, are found by name in the layout. What
    people corrected takes the place of the prediction. Tracks name animals; instances without one
    are followed by where they are. Points that people set have no confidence. Notes:
    `frames_missing`, `people_left_out`, `frames_without_people`.
    """

    name = "slp"
    label = "SLEAP project"
    suffixes = (".slp",)
    source = "SLEAP, sleap.io.format.hdf5; sleap-io, sleap_io/io/slp.py"

    @classmethod
    def recognises(cls, file: Path) -> bool:
        """Look for frames and instances."""
        try:
            with hdf5.opened(file, "SLEAP project") as content:
                return {"frames", "instances", "metadata"} <= set(content)
        except ValueError:
            return False

    def videos(self, path: Path) -> Sequence[_Video]:
        """Return the videos of every file."""
        return [
            _Video(file, number, title)
            for file in self.files(path)
            for number, title in enumerate(_titles(file))
        ]

    def title(self, item: _Video) -> str:
        """Return the name of a video."""
        return item.title

    def sightings(self, item: _Video) -> Sightings:
        """Read the instances of a video."""
        labels = _whole(item.file)
        nodes = tuple(node.name for node in labels.skeletons[0].nodes)
        shown = [frame for frame in labels if frame.video is labels.videos[item.number]]
        people = {int(frame.frame_idx): _valid(frame) for frame in shown}
        if not any(people.values()):
            raise ValueError(f"{item}: expected instances in its frames (got none)")
        others = {len(each.skeleton.nodes) for found in people.values() for each in found}
        if others != {len(nodes)}:
            raise ValueError(f"{item}: expected instances of one skeleton (got several)")
        first = min(people)
        track = {id(each): number for number, each in enumerate(labels.tracks)}
        found = listed_people(
            str(item),
            {at - first: [_pose(each) for each in found] for at, found in people.items()},
            {at - first: [track.get(id(i.track)) for i in found] for at, found in people.items()},
            self.persons,
        )
        scored = found.confidence is not None and np.isfinite(found.confidence).any()
        return replace(found, joints=nodes, confidence=found.confidence if scored else None)


def _titles(file: Path) -> list[str]:
    """Return the names of a file's videos; those of one name lie in different folders."""
    videos = _read(file, "read_videos", open_backend=False)
    if not videos:
        raise ValueError(f"{file}: expected videos in the SLEAP project (got none)")
    names = [_name(video) for video in videos]
    own = [
        name if names.count(name) == 1 else f"{name}-{number}" for number, name in enumerate(names)
    ]
    return [file.stem] if len(own) == 1 else [f"{file.stem}-{name}" for name in own]


def _whole(file: Path) -> Any:
    """Return what a file holds, as long as it stays as it is."""
    about = file.stat()
    return _loaded(file, about.st_mtime_ns, about.st_size)


@lru_cache(maxsize=1)
def _loaded(file: Path, *_: int) -> Any:
    labels = _read(file, "read_labels", open_videos=False)
    if not labels.skeletons:
        raise ValueError(f"{file}: expected a skeleton in the SLEAP project (got none)")
    return labels


def _read(file: Path, what: str, **options: bool) -> Any:
    """Return what a function of sleap-io says of a file that was looked at first."""
    try:
        from sleap_io.io import slp
    except ImportError as error:
        raise ValueError(
            f"{file}: expected the package sleap-io to read it: pip install 'hargcn[formats]'"
        ) from error
    with hdf5.opened(file, "SLEAP project") as content:
        for name in _SETS:
            hdf5.own(file, content, name)  # no links, and no sizes beyond the file
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return getattr(slp, what)(str(file), **options)
    except Exception as error:  # sleap-io raises whatever h5py, JSON and its classes do
        said = shortened(str(error).splitlines()[0]) if str(error) else type(error).__name__
        raise ValueError(f"{file}: expected a whole SLEAP project ({said})") from error


def _name(video: Any) -> str:
    """Return the name of a video's file, or of the folder of its images."""
    first = video.filename[0] if isinstance(video.filename, list) else video.filename
    place = Path(str(first).replace("\\", "/"))
    return place.parent.name if isinstance(video.filename, list) else place.stem


def _valid(frame: Any) -> list[Any]:
    """Return what people set, and the predictions that they did not correct."""
    user, predicted = list(frame.user_instances), list(frame.predicted_instances)
    replaced = {id(each.from_predicted) for each in user}
    tracks = {id(each.track) for each in user if each.track is not None}
    return user + [
        each for each in predicted if id(each) not in replaced and id(each.track) not in tracks
    ]


def _pose(instance: Any) -> np.ndarray:
    """Return (node, 3): place and score, NaN where a point is hidden or has no score."""
    place = np.asarray(instance.numpy(), dtype=float)
    points = instance.points
    scored = "score" in (points.dtype.names or ())
    return np.column_stack([place, points["score"] if scored else np.full(len(place), np.nan)])
