"""MINI-RGBD: 12 sequences of moving infants as 2D key points in whole pixels.

The 14 key points are those of the annotation files `result_pz1NN.csv`. Nothing clinical can be
concluded from them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import Field

from hargcn.data.readers.base import MOST_FPS, Reader, existing, first_line
from hargcn.data.recording import Recording, Recordings
from hargcn.registry import settings
from hargcn.skeleton import skeleton

_LAYOUT = skeleton("minirgbd14")
_HEADER = ("image", *_LAYOUT.joints)


@settings
class MiniRGBD(Reader):
    """Reads `result_pz1NN.csv`: `;` between cells, `x,y` in whole pixels in each.

    Recordings are (2, T, 14, 1) in pixels (y down), sample and group "pz1NN". Without labels they
    usually get a planted sign.

    Parameters
    ----------
    fps
        Frames per second of the sensor (some papers say 25).
    frames
        Expected number of frames; null for any.
    labels
        A CSV `sequence,label` with a row per sequence 1..12, 0 normal and 1 abnormal. The labels
        that accompany the data are in an unverified order: they serve for plumbing only.
    """

    name = "mini-rgbd"
    label = "MINI-RGBD"
    suffixes = (".csv",)
    pattern = "result_pz*.csv"
    source = (
        'Hesse et al., "Computer Vision for Medical Infant Motion Analysis: State of the Art and '
        'RGB-D Data Set", ECCV Workshops 2018'
    )
    unknown = (
        "The files state neither frames per second (the sensor's 30 are assumed) nor labels, nor "
        "how large an infant is in their pixels."
    )
    defaults = {"preprocess": "mini-rgbd"}

    fps: Annotated[float, Field(gt=0, le=MOST_FPS)] = 30.0
    frames: Annotated[int | None, Field(ge=1)] = 1000
    labels: Path | None = None

    @classmethod
    def recognises(cls, file: Path) -> bool:
        """Go by the header."""
        return first_line(file).startswith(_HEADER[0] + ";")

    def catalogue(self, path: Path) -> Recordings:
        """Refuse a table that lacks a label."""
        found = super().catalogue(path)
        if self.labels is None:
            return found
        known = _labels(self.labels)
        unknown = [file.name for file in found.items if _sequence(file) not in known]
        if unknown:
            raise ValueError(f"{self.labels}: expected a label for every file (none for {unknown})")
        return Recordings(found.items, self.read, ("normal", "abnormal"))

    def read(self, path: str | Path) -> Recording:
        """Read one file."""
        path = existing(path)
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
        if not lines or tuple(lines[0].split(";")) != _HEADER:
            found = lines[0][:60] if lines else ""
            raise ValueError(f"{path}: expected the header {';'.join(_HEADER)} (got {found!r})")
        rows = [_row(path, number, line) for number, line in enumerate(lines[1:])]
        if not rows or self.frames not in (None, len(rows)):
            raise ValueError(f"{path}: expected {self.frames or 'some'} frames (got {len(rows)})")
        name = path.stem.removeprefix("result_")
        positions = np.array(rows, dtype=np.float32).transpose(2, 0, 1)[..., None]
        return Recording(
            positions=positions,
            valid=np.ones((len(rows), 1)),
            fps=self.fps,
            skeleton=_LAYOUT,
            sample=name,
            group=name,
            label=None if self.labels is None else _labels(self.labels).get(_sequence(path)),
        )


def _row(path: Path, number: int, line: str) -> list[list[int]]:
    """Return the (14, 2) pixels of a line; images count from 0."""
    image, *cells = line.split(";")
    try:
        pixels = [[int(part) for part in cell.split(",")] for cell in cells]
        right = int(image.split("_")[0]) == number
    except ValueError:
        pixels, right = [], False
    joints = len(_HEADER) - 1
    if not right or len(pixels) != joints or any(len(pixel) != 2 for pixel in pixels):
        raise ValueError(
            f"{path}: line {number + 2}: expected image {number:05d} and {joints} pairs x,y of "
            f"whole pixels (got {line[:60]!r})"
        )
    return pixels


def _sequence(path: Path) -> int:
    digits = path.stem.removeprefix("result_pz1")
    return int(digits) if digits.isdigit() else -1


def _labels(path: Path) -> dict[int, int]:
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such table of labels")
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()[1:]
    try:
        rows = [(int(sequence), int(label)) for sequence, label in _cells(lines)]
    except ValueError:
        rows = []
    labels = dict(rows)
    if not labels or len(labels) < len(rows) or not set(labels.values()) <= {0, 1}:
        raise ValueError(
            f"{path}: expected rows sequence,label with labels 0 and 1, one for each sequence"
        )
    return labels


def _cells(lines: list[str]) -> list[list[str]]:
    return [line.split(",") for line in lines if line]
