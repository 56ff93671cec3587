"""pyskl: a pickle of a whole data set, annotations and splits."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from hargcn.checks import shortened
from hargcn.data.readers.base import Part, existing
from hargcn.data.readers.datasets.labelled import Labelled, published, whole_number
from hargcn.data.readers.pickles import unpickled
from hargcn.data.recording import Recording, Recordings
from hargcn.data.splits import SplitConfig
from hargcn.registry import settings

_START = 2**14


@settings
class Pyskl(Labelled):
    """Reads the annotations of a file, a recording each; its arrays stay in it until then.

    Recordings are named as `frame_dir`; where it is a name of NTU RGB+D it says who moved, else
    every recording is a group of its own. Splits are those of the file: `xsub_train` and `xsub_val`
    are `split=xsub`, `train` and `val` are `split=published`.
    """

    name = "pyskl"
    label = "pyskl annotations"
    suffixes = (".pkl", ".pickle")
    source = "pyskl, tools/data/README.md: the format of the pickle files"
    unknown = (
        "The files state neither frames per second (30 are assumed) nor, but for NTU RGB+D, who "
        "moved, nor whether a place among the people is always the same person."
    )
    defaults = {
        "preprocess": {"centre": "median", "scale": "trunk"},
        "windows": {"mode": "whole", "length": 100},
    }

    @classmethod
    def recognises(cls, file: Path) -> bool:
        """Look for the names of its parts; nothing is unpickled."""
        with file.open("rb") as stream:
            start = stream.read(_START)
        return b"frame_dir" in start or any(
            word in start[:256] for word in (b"annotations", b"split")
        )

    def published(self, path: str | Path) -> Mapping[str, SplitConfig]:
        """Return the splits of the files."""
        parts: dict[str, list[str]] = {}
        for file in self.files(Path(path)):
            for name, samples in _content(file)[1].items():
                parts.setdefault(name, []).extend(samples)
        return published(parts)

    def catalogue(self, path: Path) -> Recordings:
        """List the annotations of the files, and refuse two of one name."""
        items, labels, seen = [], [], set()
        for file in self.files(path):
            for number, each in enumerate(_content(file)[0]):
                name, label = each.get("frame_dir"), whole_number(each.get("label"))
                where = f"{file}: annotation {number}"
                if not isinstance(name, str) or not name or name in seen:
                    raise ValueError(
                        f"{where}: expected a frame_dir, another one than any before (got "
                        f"{shortened(repr(name)) if isinstance(name, str) else 'no text'})"
                    )
                if each.get("label") is not None and (label is None or label < 0):
                    raise ValueError(f"{where}: expected a label of one class, from 0, or none")
                seen.add(name)
                items.append(Part(file, number))
                labels += [] if label is None else [label]
        return Recordings(items, self._recording, self.names_of(path, labels))

    def _recording(self, item: Part) -> Recording:
        about = _content(item.file)[0][item.number]
        source = f"{item} ({shortened(about['frame_dir'])})"
        poses, scores = about.get("keypoint"), about.get("keypoint_score")
        if poses is None and "raw_file" in about:
            raise ValueError(
                f"{source}: expected keypoint in the annotation (got the name of a kpfile): write "
                "one pickle with both"
            )
        poses = _numbers(source, "keypoint (person, frame, joint, 2 or 3)", poses, 4)
        frames = about.get("total_frames", poses.shape[1])
        if whole_number(frames) != poses.shape[1]:
            raise ValueError(f"{source}: expected total_frames {poses.shape[1]}, as keypoint has")
        if scores is not None:
            scores = _numbers(source, "keypoint_score (person, frame, joint)", scores, 3)
            if scores.shape != poses.shape[:3]:
                raise ValueError(f"{source}: expected a score for every key point")
            scores = scores.transpose(1, 0, 2)
        return self.recording(
            source,
            poses.transpose(1, 0, 2, 3),
            scores,
            about["frame_dir"],
            whole_number(about.get("label")),
        )


def _content(file: Path) -> tuple[list[dict[str, Any]], dict[str, list[str]]]:
    """Return annotations and splits of a file, as long as it stays as it is."""
    about = existing(file).stat()
    return _loaded(file, about.st_mtime_ns, about.st_size)


@lru_cache(maxsize=1)
def _loaded(file: Path, *_: int) -> tuple[list[dict[str, Any]], dict[str, list[str]]]:
    content: Any = unpickled(file, file)
    splits: Any = {}
    if isinstance(content, dict):
        content, splits = content.get("annotations"), content.get("split", {})
    listed = isinstance(content, list) and all(isinstance(each, dict) for each in content)
    named = isinstance(splits, dict) and all(
        isinstance(name, str)
        and isinstance(samples, list | tuple)
        and all(isinstance(sample, str) for sample in samples)
        for name, samples in splits.items()
    )
    if not content or not (listed and named):
        raise ValueError(
            f"{file}: expected annotations, a list of dicts, and split, lists of their frame_dir"
        )
    return content, splits


def _numbers(source: str, what: str, value: Any, axes: int) -> np.ndarray:
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "fiu" or value.ndim != axes:
        found = value.shape if isinstance(value, np.ndarray) else "no array of numbers"
        raise ValueError(f"{source}: expected {what} (got {found})")
    return value
