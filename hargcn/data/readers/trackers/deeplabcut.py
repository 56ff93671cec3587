"""DeepLabCut: the predictions for one video, a CSV with three or four rows of header."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd

from hargcn.checks import shortened
from hargcn.data.readers.base import existing, first_line
from hargcn.data.readers.tables import frames_in_order
from hargcn.data.readers.videos import Sightings, Videos
from hargcn.registry import settings

_HEADER = ("scorer", "individuals", "bodyparts", "coords")


@settings
class DeepLabCut(Videos):
    """Reads the body parts of one animal or several, found by name in the layout.

    Recordings are named as the video, without DeepLabCut's own ending. Body parts that the layout
    does not have are ignored; individuals beyond `persons` are left out, those seen in the fewest
    frames first. Notes: `people_left_out` (individuals), `frames_missing`.
    """

    name = "deeplabcut"
    label = "DeepLabCut predictions"
    suffixes = (".csv",)
    source = "DeepLabCut, docs/standardDeepLabCut_UserGuide.md: analyze_videos(save_as_csv=True)"

    @classmethod
    def recognises(cls, file: Path) -> bool:
        """Go by the first row: the scorer, which is none of Lightning Pose's."""
        cells = first_line(file).split(",")
        return cells[0] == "scorer" and not cells[-1].endswith("_tracker")

    def title(self, item: Path) -> str:
        """Return the name of the video."""
        return re.sub(r"(?<=.)DLC(_|[A-Za-z]*_).*", "", item.stem)

    def sightings(self, item: Path) -> Sightings:
        """Read the predictions for a video."""
        try:
            table = pd.read_csv(existing(item), header=None, dtype=str, keep_default_na=False)
        except (ValueError, UnicodeDecodeError) as error:
            raise ValueError(f"{item}: expected a CSV table ({str(error).strip()})") from error
        rows = 0
        while rows < min(len(table), 4) and table.iloc[rows, 0] in _HEADER:
            rows += 1
        named = dict(zip(table.iloc[:rows, 0], table.iloc[:rows].to_numpy(), strict=True))
        if not {"bodyparts", "coords"} <= named.keys():
            raise ValueError(
                f"{item}: expected rows scorer, individuals (of several animals), bodyparts and "
                f"coords above the frames (got {shortened(', '.join(map(str, table.iloc[:4, 0])))})"
            )
        if len(table) == rows:
            raise ValueError(f"{item}: expected frames below the header (got none)")
        if not str(table.iloc[rows, 0]).strip().isdigit():
            raise ValueError(
                f"{item}: expected frames by number (got {shortened(repr(table.iloc[rows, 0]))}): "
                "labelled images are no video"
            )
        return _sightings(item, table.iloc[rows:], named, self.persons)


def _sightings(
    file: Path, table: pd.DataFrame, named: dict[str, np.ndarray], persons: int
) -> Sightings:
    animals = named.get("individuals", np.full(len(named["coords"]), "animal"))
    keys = list(zip(animals, named["bodyparts"], named["coords"], strict=True))
    if twice := [key for key, count in Counter(keys[1:]).items() if count > 1]:
        said = shortened(" ".join(map(str, twice[0])))
        raise ValueError(f"{file}: expected each column once (got {said} more than once)")
    numbers = table.apply(pd.to_numeric, errors="coerce").to_numpy(dtype=float)
    wrong = np.argwhere(np.isnan(numbers) & ~np.isin(table.to_numpy(), ["", "nan", "NaN"]))
    if len(wrong):
        row, column = wrong[0]
        raise ValueError(
            f"{file}: line {table.index[row] + 1}: expected a number in column {column + 1} (got "
            f"{shortened(repr(table.iloc[row, column]))})"
        )
    at = frames_in_order(file, numbers[:, 0])
    parts = list(dict.fromkeys(named["bodyparts"][1:]))
    who = [each for each in dict.fromkeys(animals[1:]) if each != "single"] or ["single"]
    cells = np.full((at[-1] + 1, len(who), len(parts), 3), np.nan)
    for column, (animal, part, coordinate) in enumerate(keys):
        if column and animal in who and coordinate in _COORDINATES:
            place = who.index(animal), parts.index(part), _COORDINATES.index(coordinate)
            cells[(at, *place)] = numbers[:, column]
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
