"""BVH: a hierarchy of joints and their rotations, frame by frame; positions are worked out."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from hargcn.checks import shortened
from hargcn.data.readers.base import MOST_FPS, Zeros, existing, first_line
from hargcn.data.readers.videos import Sightings, Videos
from hargcn.registry import settings
from hargcn.skeleton import Skeleton

_MOST_JOINTS = 500
_SIDES = (
    ("Left", "Right"), ("left", "right"), ("L_", "R_"), ("l_", "r_"), ("_L", "_R"), ("_l", "_r"),
    (".L", ".R"), (".l", ".r"),
)  # fmt: skip


@dataclass
class Joint:
    """A joint of the hierarchy: its parent's place, its offset there, its channels."""

    name: str
    parent: int
    offset: np.ndarray = field(default_factory=lambda: np.zeros(3))
    channels: tuple[str, ...] = ()


@settings
class BVH(Videos):
    """Reads one recording of one body, by forward kinematics.

    Rotations follow each other in the order of a joint's channels. The root's position adds to its
    offset; another joint's replaces it. Without a layout the file's own hierarchy is it: the root
    and the way to the first joint with three children are the torso, what hangs there are parts.

    Parameters
    ----------
    zeros
        What a joint at 0 in all coordinates is: nothing is lost in such a file, so that it is
        "seen" unless "unseen" is asked for.
    ends
        Whether End Sites are joints, named `<joint>_end`.
    """

    name = "bvh"
    label = "BVH motion capture"
    suffixes = (".bvh",)
    source = (
        "Biovision BVH, research.cs.wisc.edu/graphics/Courses/cs-838-1999/Jeff/BVH.html: HIERARCHY "
        "and MOTION"
    )
    unknown = (
        "Without a table of outcomes it knows no class and no subject, nor does it know the unit; "
        "y is taken to point up."
    )
    states_rate = True

    fps: str | float | None = None
    zeros: Zeros = "seen"
    ends: bool = True

    @classmethod
    def recognises(cls, file: Path) -> bool:
        """Go by the first word."""
        return first_line(file).upper().startswith("HIERARCHY")

    def sightings(self, item: Path) -> Sightings:
        """Read the motion of a recording, and work out where its joints are."""
        words = _Words(existing(item))
        joints = _hierarchy(words)
        frames, seconds = _motion_header(words)
        motion = _motion(words, frames, sum(len(joint.channels) for joint in joints))
        places = positions(joints, motion)
        kept = [at for at, j in enumerate(joints) if self.ends or not j.name.endswith("_end")]
        own = own_layout([joints[at] for at in kept], kept)
        names = tuple(joints[at].name for at in kept)
        return Sightings(places[:, None, kept], joints=names, fps=_rate(seconds), layout=own)


class _Words:
    """The words of a file, with the line of the last one for messages."""

    def __init__(self, file: Path) -> None:
        self.file, self.line = file, 1
        text = file.read_text(encoding="utf-8-sig", errors="replace")
        self.lines = text.splitlines()
        self._words = self._all()

    def _all(self) -> Iterator[str]:
        for number, line in enumerate(self.lines, 1):
            self.line = number
            yield from line.split()

    def next(self, expected: str) -> str:
        """Return the next word."""
        word = next(self._words, None)
        if word is None:
            raise self.wrong(expected, "the end of the file")
        return word

    def word(self, expected: str) -> None:
        """Go on behind a word that must come."""
        found = self.next(expected)
        if found.upper() != expected.upper():
            raise self.wrong(expected, found)

    def number(self, expected: str) -> float:
        """Return the next word as a number."""
        found = self.next(expected)
        try:
            number = float(found)
        except ValueError:
            raise self.wrong(expected, found) from None
        if not np.isfinite(number):
            raise self.wrong(expected, found)
        return number

    def wrong(self, expected: str, found: str) -> ValueError:
        """Return the error that names file, line, what was expected and what was found."""
        return ValueError(
            f"{self.file}: line {self.line}: expected {expected} (got {shortened(found)!r})"
        )


def _hierarchy(words: _Words) -> list[Joint]:
    """Return the joints, parents before children."""
    words.word("HIERARCHY")
    words.word("ROOT")
    joints = [Joint(words.next("a name"), 0)]
    words.word("{")
    open_ones = [0]
    while open_ones:
        here = joints[open_ones[-1]]
        kind = words.next("OFFSET, CHANNELS, JOINT, End Site or }").upper()
        if kind == "OFFSET":
            here.offset = np.array([words.number("a number as offset") for _ in range(3)])
        elif kind == "CHANNELS":
            here.channels = _channels(words)
        elif kind in ("JOINT", "END"):
            name = words.next("a name") if kind == "JOINT" else f"{here.name}_end"
            if kind == "END":
                words.word("Site")
            if name in {joint.name for joint in joints} or len(joints) >= _MOST_JOINTS:
                raise words.wrong(f"up to {_MOST_JOINTS} joints, each name once", name)
            joints.append(Joint(name, open_ones[-1]))
            open_ones.append(len(joints) - 1)
            words.word("{")
        elif kind == "}":
            open_ones.pop()
        else:
            raise words.wrong("OFFSET, CHANNELS, JOINT, End Site or }", kind)
    return joints


def _channels(words: _Words) -> tuple[str, ...]:
    count = words.number("a number of channels")
    if count not in range(7):
        raise words.wrong("up to 6 channels", f"{count:g}")
    named = [words.next("a channel") for _ in range(int(count))]
    for name in named:
        if not re.fullmatch(r"[XYZ](position|rotation)", name, re.IGNORECASE):
            raise words.wrong("a channel such as Xrotation", name)
    return tuple(name[0].upper() + name[1:].lower() for name in named)


def _motion_header(words: _Words) -> tuple[int, float]:
    words.word("MOTION")
    words.word("Frames:")
    frames = words.number("a number of frames")
    if frames % 1 or frames < 1:
        raise words.wrong("a number of frames from 1", f"{frames:g}")
    words.word("Frame")
    words.word("Time:")
    seconds = words.number("seconds of a frame")
    if seconds < 1 / MOST_FPS:
        raise words.wrong(f"seconds of a frame from {1 / MOST_FPS:g}", f"{seconds:g}")
    return int(frames), seconds


def _motion(words: _Words, frames: int, channels: int) -> np.ndarray:
    """Return (frames, channels); a frame stands in a line."""
    rows = [(at, line.split()) for at, line in enumerate(words.lines[words.line :], words.line + 1)]
    rows = [(at, row) for at, row in rows if row]
    if len(rows) != frames:
        raise ValueError(f"{words.file}: expected {frames} lines of frames (got {len(rows)})")
    motion = np.empty((frames, channels))
    for frame, (at, row) in enumerate(rows):
        words.line = at
        if len(row) != channels:
            raise words.wrong(f"{channels} numbers, one per channel", f"{len(row)} of them")
        try:
            motion[frame] = row
        except ValueError:
            raise words.wrong("numbers", " ".join(row)) from None
    return motion


def _rate(seconds: float) -> float:
    """Return frames per second; a frame time such as 0.033333 means 30."""
    whole = round(1 / seconds)
    return float(whole) if whole and abs(1 / whole - seconds) < 1e-6 else 1 / seconds


def positions(joints: list[Joint], motion: np.ndarray) -> np.ndarray:
    """Return where the joints are, (T, V, 3): forward kinematics.

    Parameters
    ----------
    joints
        Parents before children.
    motion
        (T, channels) in the order of the joints: degrees, and places.
    """
    frames = len(motion)
    places, turns = np.empty((frames, len(joints), 3)), np.empty((frames, len(joints), 3, 3))
    start = 0
    for at, joint in enumerate(joints):
        local = np.broadcast_to(joint.offset, (frames, 3)).copy()
        turn = np.broadcast_to(np.eye(3), (frames, 3, 3))
        for place, channel in enumerate(joint.channels):
            axis, values = "XYZ".index(channel[0]), motion[:, start + place]
            if channel.endswith("rotation"):
                turn = turn @ _about(axis, np.deg2rad(values))
            else:
                local[:, axis] = values + (joint.offset[axis] if at == 0 else 0)
        start += len(joint.channels)
        above = turns[:, joint.parent] if at else np.eye(3)
        places[:, at] = (above @ local[..., None])[..., 0] + (places[:, joint.parent] if at else 0)
        turns[:, at] = above @ turn
    return places


def _about(axis: int, angle: np.ndarray) -> np.ndarray:
    """Return (T, 3, 3) rotations about an axis, counter-clockwise as seen from its tip."""
    turn = np.zeros((len(angle), 3, 3))
    one, other = (axis + 1) % 3, (axis + 2) % 3
    turn[:, axis, axis] = 1
    turn[:, one, one] = turn[:, other, other] = np.cos(angle)
    turn[:, other, one] = np.sin(angle)
    turn[:, one, other] = -np.sin(angle)
    return turn


def own_layout(joints: list[Joint], places: list[int]) -> Skeleton:
    """Return the layout that a hierarchy is.

    Parameters
    ----------
    joints
        Some joints of it, parents before children, with all parents.
    places
        Where they stood in the whole hierarchy.
    """
    parents = [places.index(joint.parent) for joint in joints]
    children: list[list[int]] = [[] for _ in joints]
    for at, parent in enumerate(parents[1:], 1):
        children[parent].append(at)
    torso, girdle = [0], 0
    limbs = []
    for first in children[0]:
        way = _way(first, children)
        if len(children[way[-1]]) >= 3 and girdle == 0:
            torso, girdle = [*torso, *way], way[-1]
            limbs += children[girdle]
        else:
            limbs.append(first)
    names = [joint.name for joint in joints]
    pairs = [
        (at, names.index(twin)) for at, name in enumerate(names) if (twin := _twin(name, names))
    ]
    return Skeleton(
        name="bvh",
        joints=tuple(names),
        parents=tuple(parents),
        edges=tuple((at, parent) for at, parent in enumerate(parents) if at),
        parts={"torso": tuple(torso), **{names[at]: tuple(_below(at, children)) for at in limbs}},
        mirror=tuple(pairs),
        root=0,
        reference=0,
        centre=(0,),
        trunk=((0,), (girdle,)) if girdle else ((), ()),
        ndim=3,
    )


def _way(first: int, children: list[list[int]]) -> list[int]:
    """Return a chain of only children, down to the first joint with more or none."""
    way = [first]
    while len(children[way[-1]]) == 1:
        way += children[way[-1]]
    return way


def _below(at: int, children: list[list[int]]) -> list[int]:
    found = [at]
    for joint in found:
        found += children[joint]
    return sorted(found)


def _twin(name: str, names: list[str]) -> str | None:
    """Return the right joint of a left one."""
    twins = [name.replace(left, right, 1) for left, right in _SIDES if left in name]
    if re.match(r"l[A-Z]", name):
        twins.append(f"r{name[1:]}")
    return next((twin for twin in twins if twin in names), None)
