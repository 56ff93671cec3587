"""A window as a page stores it: positions and maps in few bits, within a bound that is stated."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

STEPS = 4095
"""Steps of positions between the smallest and the largest coordinate of a window."""

LEVELS = 127
"""Steps of attributions from zero to the largest magnitude of a window."""


@dataclass(frozen=True)
class Packed:
    """A window in few bits, and what brings its numbers back.

    Parameters
    ----------
    data
        Base64 of raw deflate of, one after another: positions, as differences over time of int16
        in the order (space, joint, person, frame), all low bytes before all high bytes; states
        (frame, joint, person), a byte each; and each map (cell, row, person) as int8.
    origin
        Per space, the coordinate of step 0.
    step
        Size of a step of the positions: these are right to half of it.
    scales
        Per map, the size of its step: attributions are right to half of it.
    """

    data: str
    origin: tuple[float, ...]
    step: float
    scales: tuple[float, ...]


def pack(positions: np.ndarray, state: np.ndarray, maps: Sequence[np.ndarray]) -> Packed:
    """Store a window in few bits.

    Parameters
    ----------
    positions
        (space, frame, joint, person), finite where `state` is not 0.
    state
        (frame, joint, person): 0 is not drawn, see `data.recording` for the others.
    maps
        Attributions (cell, row, person).
    """
    shown = np.broadcast_to(state > 0, positions.shape)
    apart = [each[there] for each, there in zip(positions, shown, strict=True)]
    origin = [float(each.min()) if each.size else 0.0 for each in apart]
    extent = max((float(np.ptp(each)) for each in apart if each.size), default=0.0)
    step = extent / STEPS or 1.0
    known = np.where(shown, positions, np.reshape(origin, (-1, 1, 1, 1)))
    whole = np.rint((known - np.reshape(origin, (-1, 1, 1, 1))) / step).astype("<i2")
    changes = np.diff(whole.transpose(0, 2, 3, 1), axis=-1, prepend=np.int16(0)).astype("<i2")
    planes = np.ascontiguousarray(changes).view(np.uint8).reshape(-1, 2).T
    scales = tuple(float(np.abs(each).max(initial=0)) / LEVELS or 1.0 for each in maps)
    small = [
        np.rint(each / scale).astype(np.int8) for each, scale in zip(maps, scales, strict=True)
    ]
    parts = [planes, state.astype(np.uint8), *small]
    deflate = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    packed = deflate.compress(b"".join(part.tobytes() for part in parts)) + deflate.flush()
    return Packed(base64.b64encode(packed).decode("ascii"), tuple(origin), step, scales)
