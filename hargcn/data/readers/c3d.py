"""C3D: marker trajectories of motion capture, one file per recording, read by ezc3d."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np

from hargcn.checks import shortened
from hargcn.data.readers.base import existing
from hargcn.data.readers.videos import MOST_FPS, Sightings, Videos
from hargcn.registry import settings

_MAGIC, _BLOCK = 0x50, 512
_UNITS = {"m": 1.0, "cm": 0.01, "mm": 0.001}  # in metres


@settings
class C3D(Videos):
    """Reads the markers of one recording, found by name in the layout.

    A marker with residual -1 was not seen. A name behind a colon, as in `Anna:LWRI`, counts where
    it is still the only one. Notes: `metres_per_unit` where the file names its unit.
    """

    name = "c3d"
    label = "C3D markers"
    suffixes = (".c3d",)
    source = "C3D.org, The C3D File Format User Guide: header, POINT group and 3D point section"
    unknown = (
        "Without a table of outcomes it knows no class and no subject; which way is up, and how "
        "markers make a body, must be said by a skeleton.yaml."
    )
    states_rate = True

    fps: str | float | None = None

    @classmethod
    def recognises(cls, file: Path) -> bool:
        """Go by the second byte, which marks the format."""
        with file.open("rb") as stream:
            return stream.read(2)[1:] == bytes([_MAGIC])

    def sightings(self, item: Path) -> Sightings:
        """Read the markers of a recording."""
        declared = _check_header(item)
        content = _opened(item)
        try:
            points = np.asarray(content["data"]["points"], dtype=float)[:3]
            residuals = np.asarray(content["data"]["meta_points"]["residuals"], dtype=float)[0]
            about = content["parameters"]["POINT"]
            labels = _labels(about)
            rate, units = float(about["RATE"]["value"][0]), about.get("UNITS", {}).get("value", [])
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise ValueError(f"{item}: expected points with labels and a rate ({error})") from error
        if len(labels) != points.shape[1] or points.shape[2] != declared:
            raise ValueError(
                f"{item}: expected {declared} frames and a label for each of its "
                f"{points.shape[1]} points (got {points.shape[2]} and {len(labels)})"
            )
        points[:, residuals < 0] = np.nan
        unit = _UNITS.get(str(units[0]).strip().lower()) if units else None
        return Sightings(
            points.transpose(2, 1, 0)[:, None],
            joints=labels,
            fps=rate if 0 < rate <= MOST_FPS else None,
            notes={} if unit is None else {"metres_per_unit": unit},
        )


def _labels(about: Any) -> tuple[str, ...]:
    """Return the markers' names, over all lists of them, without the subject's where possible."""
    lists = ["LABELS", *(f"LABELS{at}" for at in range(2, 10))]
    full = [str(name).strip() for key in lists if key in about for name in about[key]["value"]]
    short = [name.rpartition(":")[2] for name in full]
    return tuple(
        own if short.count(own) == 1 else name for own, name in zip(short, full, strict=True)
    )


def _opened(file: Path) -> Any:
    try:
        import ezc3d
    except ImportError as error:
        raise ValueError(
            f"{file}: expected the package ezc3d to read C3D: pip install 'hargcn[formats]'"
        ) from error
    try:
        return ezc3d.c3d(str(file))
    except Exception as error:  # its C++ raises whatever it stumbles over
        said = shortened(str(error).splitlines()[0]) if str(error) else type(error).__name__
        raise ValueError(f"{file}: expected a whole C3D file ({said})") from error


def _check_header(file: Path) -> int:
    """Return the frames a header declares, refused where the file cannot hold them.

    ezc3d fills in what is missing at the end of a file.
    """
    size = existing(file).stat().st_size
    with file.open("rb") as stream:
        header = stream.read(_BLOCK)
        if len(header) < _BLOCK or header[1] != _MAGIC:
            raise ValueError(f"{file}: expected a C3D file, which begins with its header")
        stream.seek((header[0] - 1) * _BLOCK if header[0] else _BLOCK)
        processor = stream.read(4)[3:]
    order = ">" if processor == b"\x56" else "<"
    points, analogs, first, last = struct.unpack_from(f"{order}4H", header, 2)
    (start,) = struct.unpack_from(f"{order}H", header, 16)
    negative = header[{b"\x56": 12, b"\x55": 13}.get(processor, 15)] & 0x80  # the scale's sign
    frames = last - first + 1
    needed = (start - 1) * _BLOCK + frames * (4 * points + analogs) * (4 if negative else 2)
    if not points or frames < 1 or not start:
        raise ValueError(
            f"{file}: expected points and frames (got {points} points, {frames} frames)"
        )
    if needed > size:
        raise ValueError(
            f"{file}: expected {frames} frames of {points} points, {needed} bytes (got {size})"
        )
    return frames
