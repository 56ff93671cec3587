"""Anipose: key points in 3D from several cameras, a CSV or an HDF5 file per recording."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import Field

from hargcn import hdf5
from hargcn.data.readers.base import first_line
from hargcn.data.readers.tables import frames_in_order, numbers_of, read_table
from hargcn.data.readers.videos import Sightings, Videos
from hargcn.registry import settings


@settings
class Anipose(Videos):
    """Reads the points of one recording.

    A CSV has `<part>_x`, `_y`, `_z`, `_error`, `_ncams` and `_score` of each part and the column
    `fnum`; parts are found by name in the layout, an empty cell was not seen. `points3d.h5`, as
    sleap-anipose writes it, holds `tracks` (frame, track, node, 3) without names: the layout counts
    its nodes in their order. Notes: `large_error`, `frames_missing`, `people_left_out` (tracks).

    Parameters
    ----------
    error
        Points with a larger reprojection error (pixels) count as not observed; none for all.
    """

    name = "anipose"
    label = "Anipose"
    suffixes = (".csv", ".h5")
    source = (
        "Anipose, anipose/triangulate.py: pose-3d/*.csv; sleap-anipose, docs/FOLDER_STRUCTURE.md: "
        "points3d.h5"
    )
    unknown = (
        "Without a table of outcomes it knows no class and no subject; frames per second must be "
        "given, and lengths are in the unit of the calibration board. A points3d.h5 names no nodes."
    )

    error: Annotated[float | None, Field(gt=0)] = None

    @classmethod
    def recognises(cls, file: Path) -> bool:
        """Go by the columns of a CSV, or by the shape of the tracks."""
        if file.suffix.lower() == ".csv":
            columns = [column.strip() for column in first_line(file).split(",")]
            return "fnum" in columns and bool(_parts(columns))
        try:
            with hdf5.opened(file, "points3d.h5") as content:
                return "node_names" not in content and content["tracks"].shape[3:] == (3,)
        except (ValueError, KeyError, AttributeError):
            return False

    def title(self, item: Path) -> str:
        """Return the recording's name: of a `points3d.h5` its session's."""
        return item.absolute().parent.name if item.name == "points3d.h5" else item.stem

    @classmethod
    def _listed(cls, folder: Path) -> list[Path]:
        return [*super()._listed(folder), *sorted(folder.glob("*/points3d.h5"))]

    def sightings(self, item: Path) -> Sightings:
        """Read the points of a recording."""
        return self._tracks(item) if item.suffix.lower() != ".csv" else self._table(item)

    def _table(self, file: Path) -> Sightings:
        table = read_table(file)
        parts = _parts(list(table.columns))
        if not parts or "fnum" not in table:
            raise ValueError(
                f"{file}: expected columns <part>_x, _y, _z, _error, _score and fnum, as Anipose "
                "writes them"
            )
        at = frames_in_order(file, numbers_of(file, table, ["fnum"])[:, 0])
        cells = np.full((at[-1] + 1, len(parts), 5), np.nan)
        for place, kind in enumerate(("x", "y", "z", "error", "score")):
            columns = [f"{part}_{kind}" for part in parts]
            if set(columns) <= set(table.columns):
                cells[at, :, place] = numbers_of(file, table, columns)
        notes = {"frames_missing": len(cells) - len(at)}
        if self.error is not None:
            large = cells[..., 3] > self.error
            cells[large, :3] = np.nan
            notes["large_error"] = int(large.sum())
        score = cells[:, None, :, 4]
        known = None if np.isnan(score).all() else score
        return Sightings(cells[:, None, :, :3], known, tuple(parts), notes=notes)

    def _tracks(self, file: Path) -> Sightings:
        with hdf5.opened(file, "points3d.h5") as content:
            tracks = np.asarray(hdf5.own(file, content, "tracks")[()], dtype=float)
        if tracks.ndim != 4 or tracks.shape[3] != 3 or not tracks.size:
            raise ValueError(
                f"{file}: expected tracks (frame, track, node, 3) (got {tracks.shape})"
            )
        there = np.isfinite(tracks).any(axis=(2, 3))
        kept = np.argsort(-there.sum(axis=0), kind="stable")[: self.persons]
        left_out = max(0, int(there.any(axis=0).sum()) - len(kept))
        return Sightings(tracks[:, kept], notes={"people_left_out": left_out})


def _parts(columns: Sequence[str]) -> list[str]:
    """Return the parts that have coordinates and an error, in the order of their columns."""
    named, there = [column[:-2] for column in columns if column.endswith("_x")], set(columns)
    return [part for part in named if {f"{part}_y", f"{part}_z", f"{part}_error"} <= there]
