"""Key points in CSV files, one per video.

Any layout: a skeleton's joint names are the names of the columns `<joint>_x`, `<joint>_y` (and
`<joint>_z`), with an optional `<joint>_likelihood` and an optional column `frame`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from hargcn.data.readers.base import first_line
from hargcn.data.readers.tables import check_columns, frames_in_order, numbers_of, read_table
from hargcn.data.readers.videos import Sightings, Videos
from hargcn.registry import settings
from hargcn.skeleton import skeleton


@settings
class KeyPoints(Videos):
    """Reads a CSV of key points per video.

    Empty cells mean "not observed"; so do frames that a column `frame` leaves out. Columns that
    belong to no joint are ignored. Note of its own: `frames_missing`.

    Parameters
    ----------
    layout
        A layout's name or a skeleton.yaml.
    """

    name = "keypoints"
    label = "key points"
    suffixes = (".csv",)
    source = "hargcn's own: columns <joint>_x, <joint>_y (and _z), one row per frame"

    layout: str | Path = "inmotion29"

    @classmethod
    def recognises(cls, file: Path) -> bool:
        """Go by the header: some joint has columns _x and _y, and Anipose did not write it."""
        columns = {column.strip() for column in first_line(file).split(",")}
        if "fnum" in columns and any(column.endswith("_error") for column in columns):
            return False
        return any(c.endswith("_x") and f"{c[:-1]}y" in columns for c in columns)

    def sightings(self, item: Path) -> Sightings:
        """Read the columns of the layout."""
        layout, table = skeleton(self.layout), read_table(item)
        axes = "xyz"[: layout.ndim]
        wanted = [f"{joint}_{axis}" for joint in layout.joints for axis in axes]
        check_columns(item, wanted, table.columns, f"skeleton {layout.name}")
        return _sightings(item, table, layout.joints, axes)

    def look(self, item: Path) -> Sightings:
        """Read the columns of every joint that has some."""
        table = read_table(item)
        joints = [name[:-2] for name in table if name.endswith("_x") and f"{name[:-2]}_y" in table]
        axes = "xyz" if all(f"{joint}_z" in table for joint in joints) else "xy"
        return _sightings(item, table, joints, axes)


def _sightings(item: Path, table: pd.DataFrame, joints: Sequence[str], axes: str) -> Sightings:
    order = np.arange(len(table))
    if "frame" in table:
        order = frames_in_order(item, numbers_of(item, table, ["frame"])[:, 0])
    frames = int(order[-1]) + 1
    bodies = np.full((frames, 1, len(joints), len(axes)), np.nan)
    wanted = [f"{joint}_{axis}" for joint in joints for axis in axes]
    bodies[order, 0] = numbers_of(item, table, wanted).reshape(-1, len(joints), len(axes))
    confidence = np.full(bodies.shape[:3], np.nan)
    for joint, name in enumerate(joints):
        if f"{name}_likelihood" in table:
            likelihood = numbers_of(item, table, [f"{name}_likelihood"])[:, 0]
            confidence[order, 0, joint] = np.where(np.isnan(likelihood), -np.inf, likelihood)
    # An empty cell beside others that hold a likelihood is the least of them.
    known = None if np.isnan(confidence).all() else confidence
    notes = {"frames_missing": frames - len(table)}
    return Sightings(bodies, known, tuple(joints), notes=notes)
