"""SLEAP: the analysis file of one video (HDF5)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from hargcn import hdf5
from hargcn.data.readers.videos import Sightings, Videos
from hargcn.registry import settings


@settings
class Sleap(Videos):
    """Reads the tracks of one video; nodes are found by name in the layout.

    Tracks beyond `persons` are left out, those seen in the fewest frames first. Notes:
    `people_left_out` (tracks), `frames_without_people`.
    """

    name = "sleap"
    label = "SLEAP analysis"
    suffixes = (".h5", ".hdf5")
    source = "SLEAP, notebooks/Analysis_examples: File > Export Analysis HDF5"

    @classmethod
    def recognises(cls, file: Path) -> bool:
        """Look for tracks and nodes."""
        try:
            with hdf5.opened(file, "analysis file of SLEAP") as content:
                return {"tracks", "node_names"} <= set(content)
        except ValueError:
            return False

    def title(self, item: Path) -> str:
        """Return the name of the video."""
        return item.stem.removesuffix(".analysis")

    def sightings(self, item: Path) -> Sightings:
        """Read the tracks of a video: (track, space, node, frame) in the file."""
        with hdf5.opened(item, "analysis file of SLEAP") as file:
            held = {name: hdf5.own(item, file, name) for name in ("tracks", "node_names")}
            nodes = tuple(_text(each) for each in held["node_names"][()])
            tracks = np.asarray(held["tracks"][()], dtype=float)
            if tracks.ndim != 4 or tracks.shape[1:3] != (2, len(nodes)):
                raise ValueError(
                    f"{item}: expected tracks (track, 2, {len(nodes)} nodes, frame) (got "
                    f"{tracks.shape})"
                )
            scores = None
            if "point_scores" in file:
                scores = np.asarray(hdf5.own(item, file, "point_scores")[()], dtype=float)
                if scores.shape != (tracks.shape[0], *tracks.shape[2:]):
                    raise ValueError(f"{item}: expected a score for every point of the tracks")
        bodies = tracks.transpose(3, 0, 2, 1)
        there = np.isfinite(bodies).any(axis=(2, 3))
        kept = np.argsort(-there.sum(axis=0), kind="stable")[: self.persons]
        return Sightings(
            bodies[:, kept],
            None if scores is None else scores.transpose(2, 0, 1)[:, kept],
            nodes,
            notes={
                "people_left_out": max(0, int(there.any(axis=0).sum()) - len(kept)),
                "frames_without_people": int((~there.any(axis=1)).sum()),
            },
        )


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
