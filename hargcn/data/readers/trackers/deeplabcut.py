"""DeepLabCut: the predictions for one video, a CSV or an HDF5 file of the same table."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd

from hargcn.checks import shortened
from hargcn.data.readers.base import existing, first_line
from hargcn.data.readers.hdf_tables import is_table, read_hdf_table
from hargcn.data.readers.tables import frames_in_order
from hargcn.data.readers.videos import Sightings, Videos
from hargcn.registry import settings

_HEADER = ("scorer", "individuals", "bodyparts", "coords")
_ANIMAL = "animal"  # where there is one, without a name


@settings
class DeepLabCut(Videos):
    """Reads the body parts of one animal or several, found by name in the layout.

    Recordings are named as the video, without DeepLabCut's own ending. Body parts that the layout
    does not have are ignored; individuals beyond `persons` are left out, those seen in the fewest
    frames first. Of a CSV and an HDF5 file of one name the latter is read. Notes:
    `people_left_out` (individuals), `frames_missing`.
    """

    name = "deeplabcut"
    label = "DeepLabCut predictions"
    suffixes: ClassVar[tuple[str, ...]] = (".csv", ".h5", ".hdf5")
    source = (
        "DeepLabCut, docs/standardDeepLabCut_UserGuide.md: analyze_videos(save_as_csv=True); "
        "pandas, io.pytables: fixed and table"
    )

    @classmethod
    def recognises(cls, file: Path) -> bool:
        """Go by the scorer, which is none of Lightning Pose's, or by a table that pandas wrote."""
        if file.suffix.lower() != ".csv":
            return is_table(file)
        cells = first_line(file).split(",")
        return cells[0] == "scorer" and not cells[-1].endswith("_tracker")

    @classmethod
    def files(cls, path: Path) -> list[Path]:
        """Return one file per video: DeepLabCut writes the CSV beside the HDF5 file."""
        found = super().files(path)
        tables = {file.stem for file in found if file.suffix.lower() != ".csv"}
        return [file for file in found if file.suffix.lower() != ".csv" or file.stem not in tables]

    def title(self, item: Path) -> str:
        """Return the name of the video."""
        return re.sub(r"(?<=.)DLC(_|[A-Za-z]*_).*", "", item.stem)

    def sightings(self, item: Path) -> Sightings:
        """Read the predictions for a video."""
        if item.suffix.lower() == ".csv":
            keys, rows, values = _from_csv(existing(item))
        else:
            keys, rows, values = _from_hdf(item)
        if twice := [key for key, count in Counter(keys).items() if count > 1]:
            said = shortened(" ".join(map(str, twice[0])))
            raise ValueError(f"{item}: expected each column once (got {said} more than once)")
        return _sightings(keys, frames_in_order(item, rows), values, self.persons)


Keys = list[tuple[str, str, str]]
"""Individual, body part and coordinate of each column."""


def _from_csv(file: Path) -> tuple[Keys, np.ndarray, np.ndarray]:
    """Return the keys of columns, the frames of rows, and the numbers (row, column)."""
    try:
        table = pd.read_csv(file, header=None, dtype=str, keep_default_na=False)
    except (ValueError, UnicodeDecodeError) as error:
        raise ValueError(f"{file}: expected a CSV table ({str(error).strip()})") from error
    rows = 0
    while rows < min(len(table), 4) and table.iloc[rows, 0] in _HEADER:
        rows += 1
    named = dict(zip(table.iloc[:rows, 0], table.iloc[:rows].to_numpy(), strict=True))
    if not {"bodyparts", "coords"} <= named.keys():
        raise ValueError(
            f"{file}: expected rows scorer, individuals (of several animals), bodyparts and "
            f"coords above the frames (got {shortened(', '.join(map(str, table.iloc[:4, 0])))})"
        )
    if len(table) == rows:
        raise ValueError(f"{file}: expected frames below the header (got none)")
    if not str(table.iloc[rows, 0]).strip().isdigit():
        raise _labelled(file, shortened(repr(table.iloc[rows, 0])))
    cells = table.iloc[rows:]
    numbers = cells.apply(pd.to_numeric, errors="coerce").to_numpy(dtype=float)
    wrong = np.argwhere(np.isnan(numbers) & ~np.isin(cells.to_numpy(), ["", "nan", "NaN"]))
    if len(wrong):
        row, column = wrong[0]
        raise ValueError(
            f"{file}: line {cells.index[row] + 1}: expected a number in column {column + 1} (got "
            f"{shortened(repr(cells.iloc[row, column]))})"
        )
    animals = named.get("individuals", np.full(len(named["coords"]), _ANIMAL))
    keys = list(zip(animals, named["bodyparts"], named["coords"], strict=True))
    return keys[1:], numbers[:, 0], numbers[:, 1:]


def _from_hdf(file: Path) -> tuple[Keys, np.ndarray, np.ndarray]:
    """Return the same of a table that pandas wrote."""
    table = read_hdf_table(file)
    levels = len(table.columns[0])
    if levels not in (3, 4):
        raise ValueError(
            f"{file}: expected columns named by scorer, individuals (of several animals), "
            f"bodyparts and coords (got {levels} levels)"
        )
    if table.rows is None:
        raise _labelled(file, "names of images")
    if not len(table.values):
        raise ValueError(f"{file}: expected frames (got none)")
    keys = [(name[1] if levels == 4 else _ANIMAL, name[-2], name[-1]) for name in table.columns]
    return keys, table.rows.astype(float), table.values


def _labelled(file: Path, found: str) -> ValueError:
    return ValueError(
        f"{file}: expected frames by number (got {found}): labelled images are no video"
    )


def _sightings(keys: Keys, at: np.ndarray, values: np.ndarray, persons: int) -> Sightings:
    parts = list(dict.fromkeys(part for _, part, _ in keys))
    animals = dict.fromkeys(animal for animal, _, _ in keys)
    who = [each for each in animals if each != "single"] or ["single"]
    cells = np.full((at[-1] + 1, len(who), len(parts), 3), np.nan)
    for numbers, (animal, part, coordinate) in zip(values.T, keys, strict=True):
        if animal in who and coordinate in _COORDINATES:
            place = who.index(animal), parts.index(part), _COORDINATES.index(coordinate)
            cells[(at, *place)] = numbers
    seen = np.isfinite(cells[..., :2]).any(axis=(2, 3)).sum(axis=0)
    kept = np.argsort(-seen, kind="stable")[:persons]
    own = [part for part in parts if np.isfinite(cells[:, kept, parts.index(part)]).any()]
    cells = cells[:, kept][:, :, [parts.index(part) for part in own]]
    return Sightings(
        cells[..., :2],
        cells[..., 2],
        tuple(own),
        notes={
            "people_left_out": max(0, int((seen > 0).sum()) - len(kept)),
            "frames_missing": len(cells) - len(at),
        },
    )


_COORDINATES = ("x", "y", "likelihood")
