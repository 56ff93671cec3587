"""C3D: marker trajectories of motion capture, one file per recording.

The file is taken to pieces here: ezc3d, the usual library, ends the whole process on some damaged
files. The tests compare with it.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hargcn.checks import shortened
from hargcn.data.readers.base import existing
from hargcn.data.readers.videos import Sightings, Videos
from hargcn.registry import settings

_MAGIC, _BLOCK, _DEC, _MIPS = 0x50, 512, 85, 86
_OVERFLOW = 2**16 - 1  # frames that no 16 bits hold: the group TRIAL says how many there are
_UNITS = ("m", "cm", "mm", "dm")


@settings
class C3D(Videos):
    """Reads the markers of one recording, found by name in the layout.

    A marker with residual -1 was not seen. A name behind a colon, as in `Anna:LWRI`, counts where
    it is still the only one. Notes: `recordings_in_mm`, or whichever unit their files name.
    """

    name = "c3d"
    label = "C3D markers"
    suffixes = (".c3d",)
    source = "C3D.org, The C3D File Format User Guide: header, parameters and 3D point data"
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
        content = existing(item).read_bytes()
        try:
            header = _header(content)
            about = dict(_parameters(content, header))
            points = _points(content, header, about)
            labels = _labels(about, header.points)
        except (struct.error, IndexError, OverflowError) as error:
            raise ValueError(f"{item}: expected a whole C3D file ({error})") from error
        except ValueError as error:
            raise ValueError(f"{item}: {error}") from error
        rate, unit = about.get("POINT:RATE"), about.get("POINT:UNITS")
        named = unit.texts()[0].lower() if unit and unit.texts() else ""
        return Sightings(
            points[:, None],
            joints=labels,
            fps=float(rate.numbers(header)[0]) if rate and rate.kind == 4 else header.rate,
            notes={f"recordings_in_{named}": 1} if named in _UNITS else {},
        )


@dataclass(frozen=True)
class _Header:
    """What the first block says; `order` is that of bytes, DEC's floats have their own."""

    parameters: int
    processor: int
    points: int
    analogs: int
    frames: int
    scale: float
    start: int
    rate: float

    @property
    def order(self) -> str:
        return ">" if self.processor == _MIPS else "<"


@dataclass(frozen=True)
class _Parameter:
    """A parameter as it lies in the file: -1 text, 1 bytes, 2 integers, 4 floats."""

    kind: int
    shape: tuple[int, ...]
    data: bytes

    def texts(self) -> list[str]:
        """Return texts: the first axis is that of their letters."""
        width = self.shape[0] if self.shape else 1
        pieces = [self.data[at : at + width] for at in range(0, len(self.data), width or 1)]
        return [piece.decode("latin-1").strip("\0 ") for piece in pieces if self.kind == -1]

    def numbers(self, header: _Header) -> np.ndarray:
        """Return integers, without their sign, or floats."""
        if self.kind == 4:
            return _floats(self.data, header)
        return np.frombuffer(self.data, "u1" if self.kind == 1 else f"{header.order}u2")


def _header(content: bytes) -> _Header:
    if len(content) < _BLOCK or content[1] != _MAGIC:
        raise ValueError("expected a C3D file, which begins with its header")
    at = (content[0] - 1) * _BLOCK if content[0] else _BLOCK
    processor = content[at + 3]
    order = ">" if processor == _MIPS else "<"
    points, analogs, first, last = struct.unpack_from(f"{order}4H", content, 2)
    (start,) = struct.unpack_from(f"{order}H", content, 16)
    header = _Header(at + 4, processor, points, analogs, last - first + 1, 0.0, start, 0.0)
    scale, rate = _floats(content[12:16] + content[20:24], header)
    return _Header(
        at + 4, processor, points, analogs, header.frames, float(scale), start, float(rate)
    )


def _floats(data: bytes, header: _Header) -> np.ndarray:
    """Return floats of the processor; DEC's have their halves changed over, and four times more."""
    data = data[: len(data) // 4 * 4]
    if header.processor != _DEC:
        return np.frombuffer(data, f"{header.order}f4").astype(float)
    swapped = np.frombuffer(data, "<u2").reshape(-1, 2)[:, ::-1].tobytes()
    return np.frombuffer(swapped, "<f4").astype(float) / 4


def _parameters(content: bytes, header: _Header) -> Iterator[tuple[str, _Parameter]]:
    """Yield parameters by GROUP:NAME."""
    groups: dict[int, str] = {}
    held: list[tuple[int, str, _Parameter]] = []
    at, end = header.parameters, (header.start - 1) * _BLOCK
    while at < min(end, len(content)):
        letters, group = struct.unpack_from("<2b", content, at)
        if letters == 0:
            break
        name_end = at + 2 + abs(letters)
        name = content[at + 2 : name_end].decode("latin-1").upper()
        (onwards,) = struct.unpack_from(f"{header.order}h", content, name_end)
        if group < 0:
            groups[-group] = name
        else:
            held.append((group, name, _parameter(content, name_end + 2)))
        if onwards <= 0:
            break
        at = name_end + onwards
    for group, name, parameter in held:
        yield f"{groups.get(group, '')}:{name}", parameter


def _parameter(content: bytes, at: int) -> _Parameter:
    kind, axes = struct.unpack_from("<bB", content, at)
    shape = tuple(content[at + 2 : at + 2 + axes])
    size = abs(kind) * math.prod(shape)
    data = content[at + 2 + axes : at + 2 + axes + size]
    if kind not in (-1, 1, 2, 4) or len(shape) != axes or len(data) != size:
        raise ValueError(f"expected parameters of whole numbers, floats or text (got kind {kind})")
    return _Parameter(kind, shape, data)


def _labels(about: dict[str, _Parameter], points: int) -> tuple[str, ...]:
    """Return the markers' names, over all lists of them, without the subject's where possible."""
    lists = ["POINT:LABELS", *(f"POINT:LABELS{at}" for at in range(2, 258))]
    full = [name for key in lists if key in about for name in about[key].texts()][:points]
    if len(full) < points:
        raise ValueError(f"expected a label for each of {points} points (got {len(full)})")
    short = [name.rpartition(":")[2] for name in full]
    names = [own if short.count(own) == 1 else all_ for own, all_ in zip(short, full, strict=True)]
    if twice := [name for name in names if names.count(name) > 1]:
        raise ValueError(f"expected each label once (got {shortened(twice[0])!r} more than once)")
    return tuple(names)


def _points(content: bytes, header: _Header, about: dict[str, _Parameter]) -> np.ndarray:
    """Return (frame, point, 3), NaN where a point was not seen; counts are held against bytes."""
    frames, per_frame = header.frames, 4 * header.points + header.analogs
    if frames >= _OVERFLOW:
        frames = _frames_of_trial(about, header)
    if not header.points or frames < 1 or not header.start:
        raise ValueError(
            f"expected points and frames (got {header.points} points, {frames} frames)"
        )
    whole = header.scale > 0
    begin, size = (header.start - 1) * _BLOCK, frames * per_frame * (2 if whole else 4)
    if begin + size > len(content):
        raise ValueError(
            f"expected {frames} frames of {header.points} points, {begin + size} bytes (got "
            f"{len(content)})"
        )
    data = content[begin : begin + size]
    numbers = np.frombuffer(data, f"{header.order}i2").astype(float) if whole else None
    cells = _floats(data, header) if numbers is None else numbers
    cells = cells.reshape(frames, per_frame)[:, : 4 * header.points].reshape(frames, -1, 4)
    places = cells[..., :3] * (header.scale if whole else 1)
    return np.where(cells[..., 3:] < 0, np.nan, places)


def _frames_of_trial(about: dict[str, _Parameter], header: _Header) -> int:
    """Return the frames that the group TRIAL counts, in two halves of a number each."""
    fields = [about.get(f"TRIAL:ACTUAL_{name}_FIELD") for name in ("START", "END")]
    if not all(field and field.kind == 2 and len(field.data) == 4 for field in fields):
        return header.frames
    first, last = (
        int(low) + 2**16 * int(high)
        for low, high in (field.numbers(header) for field in fields if field)
    )
    return last - first + 1
