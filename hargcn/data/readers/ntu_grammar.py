"""The grammar of NTU RGB+D's `.skeleton` files.

A number of frames; for each a number of bodies; for each of these a line of 10 fields, the first
its identity, a number of joints, and a line of 12 numbers per joint: x, y, z, eight others, and the
tracking state.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hargcn.checks import shortened

JOINTS = 25
_FIELDS, _NUMBERS = 10, 12  # of a body's line and of a joint's


@dataclass(frozen=True, eq=False)
class BodiesInFrames:
    """What a file shows: one body in one frame each, in the order of the file.

    Parameters
    ----------
    frames
        The number of frames, with a body or without.
    frame
        (n,) the frame of each.
    slot
        (n,) its place among the bodies of that frame.
    identity
        (n,) the body's identity as text: its 64 bits do not fit a float.
    joints
        (n, 25, 12) the numbers.
    """

    frames: int
    frame: list[int]
    slot: list[int]
    identity: list[str]
    joints: np.ndarray


def read_bodies(path: Path) -> BodiesInFrames:
    """Read a file: by its lines, where these are as they should be, else word by word.

    Both give the same; only the second says what is wrong.

    Raises
    ------
    ValueError
        For a file that is not in the grammar; names the file, and the frame or what was found.
    """
    text = path.read_bytes().decode("ascii", errors="replace")
    return _by_lines(text) or _by_words(path, text)


def _by_lines(text: str) -> BodiesInFrames | None:
    """Return what a file shows; None where a line is not what it should be, if only by spaces."""
    lines = text.split("\n")
    frame, slot, identity, rows, at = [], [], [], [], 1
    try:
        frames = int(lines[0])
        for time in range(frames):
            bodies, at = int(lines[at]), at + 1
            for place in range(bodies):
                name, *others = lines[at].split()
                if len(others) != _FIELDS - 1 or int(lines[at + 1]) != JOINTS:
                    return None
                rows += lines[at + 2 : at + 2 + JOINTS]
                at += 2 + JOINTS
                frame.append(time)
                slot.append(place)
                identity.append(name)
        if not rows or any(line.strip() for line in lines[at:]):
            return None
        numbers = np.loadtxt(rows, comments=None, ndmin=2)
    except (ValueError, IndexError):
        return None
    if numbers.shape != (JOINTS * len(frame), _NUMBERS):
        return None
    return BodiesInFrames(frames, frame, slot, identity, _shaped(numbers))


def _by_words(path: Path, text: str) -> BodiesInFrames:
    """Return what a file shows, or raise its first defect."""
    words = _Words(text.split())
    frame, slot, identity, poses = [], [], [], []
    frames, time = None, 0
    try:
        frames = int(words.take(1)[0])
        for time in range(frames):
            for place, (name, joints) in enumerate(_bodies(words)):
                frame.append(time)
                slot.append(place)
                identity.append(name)
                poses.append(joints)
    except _EarlyEnd:
        said = "an empty file" if frames is None else f"{time} whole ones before the end"
        expected = "a number of frames" if frames is None else f"{frames} frames"
        raise ValueError(f"{path}: expected {expected} (got {said})") from None
    except ValueError as error:
        what = shortened(str(error))
        raise ValueError(f"{path}: frame {time} is not in the grammar: {what}") from None
    if words.left:
        raise ValueError(f"{path}: expected the end after {frames} frames (got more numbers)")
    return BodiesInFrames(frames, frame, slot, identity, _shaped(np.array(poses)))


def _shaped(numbers: np.ndarray) -> np.ndarray:
    return numbers.reshape(-1, JOINTS, _NUMBERS)


class _EarlyEnd(Exception):
    """The words ran out."""


class _Words:
    """The words of a file, taken in turn."""

    def __init__(self, words: list[str]) -> None:
        self.words, self.at = words, 0

    @property
    def left(self) -> int:
        return len(self.words) - self.at

    def take(self, count: int) -> list[str]:
        if count > self.left:
            raise _EarlyEnd
        self.at += count
        return self.words[self.at - count : self.at]


def _bodies(words: _Words) -> Iterator[tuple[str, list[float]]]:
    """Yield the bodies of one frame: identity and numbers."""
    for _ in range(int(words.take(1)[0])):
        identity = words.take(_FIELDS)[0]
        joints = int(words.take(1)[0])
        if joints != JOINTS:
            raise ValueError(f"expected {JOINTS} joints (got {joints})")
        yield identity, [float(word) for word in words.take(JOINTS * _NUMBERS)]
