"""A `skeleton.yaml` to complete: what the names of joints say of bones, sides and parts."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import yaml

from hargcn.checks import OPEN

# What each joint hangs on, nearest first; where it is not there, what that one would hang on.
_HANGS_ON: dict[str, tuple[str, ...]] = {
    "finger": ("hand", "wrist"), "hand": ("wrist",), "wrist": ("elbow",), "elbow": ("shoulder",),
    "toe": ("foot", "ankle"), "heel": ("ankle",), "foot": ("ankle",), "ankle": ("knee",),
    "knee": ("hip",), "paw": ("ankle", "wrist"), "ear": ("eye", "nose", "snout", "head"),
    "eye": ("nose", "snout", "head"), "mouth": ("nose", "head"), "chin": ("nose", "head"),
    "headtop": ("head", "nose"), "nose": ("head", "neck"), "snout": ("head", "neck"),
    "head": ("neck",), "shoulder": ("collar", "neck", "thorax", "nose", "head"),
    "collar": ("neck", "thorax"), "neck": ("thorax", "spine", "pelvis"),
    "thorax": ("spine", "pelvis"), "spine": ("pelvis",), "hip": ("pelvis", "spine", "shoulder"),
    "pelvis": (), "tailtip": ("tail",), "tail": ("tailbase",),
    "tailbase": ("pelvis", "spine", "neck", "snout"),
}  # fmt: skip

# Other names of these, as the start of a name without its side.
_KNOWN_AS = {
    "chest": "thorax", "spineshoulder": "thorax", "shouldercenter": "thorax", "sternum": "thorax",
    "upperneck": "neck", "back": "spine", "torso": "spine", "spinebase": "pelvis", "root": "pelvis",
    "midhip": "pelvis", "hipcenter": "pelvis", "hips": "pelvis", "thumb": "finger",
    "index": "finger", "pinky": "finger", "littlefinger": "finger", "handtip": "finger",
    "bigtoe": "toe", "smalltoe": "toe", "littletoe": "toe", "footindex": "toe",
    "clavicle": "collar", "topofhead": "headtop", "vertex": "headtop", "tailend": "tailtip",
    "midshoulder": "thorax",
}  # fmt: skip
_PARTS = {
    "arm": ("collar", "shoulder", "elbow", "wrist", "hand", "finger"),
    "leg": ("hip", "knee", "ankle", "foot", "heel", "toe", "paw"),
    "head": ("headtop", "head", "nose", "snout", "eye", "ear", "mouth", "chin"),
    "tail": ("tailbase", "tail", "tailtip"),
}
_SIDES = {
    **dict.fromkeys(("l", "left", "lft"), "left"),
    **dict.fromkeys(("r", "right", "rgt"), "right"),
}
_LOWER, _UPPER = ("pelvis", "hip", "tailbase"), ("thorax", "neck", "shoulder", "snout")


@dataclass(frozen=True)
class Named:
    """A joint as its name says: the side ("left", "right" or ""), the rest, and what that is."""

    name: str
    side: str
    stem: str

    @property
    def kind(self) -> str:
        """The joint of `_HANGS_ON` that it is, or nothing."""
        stem = re.sub(r"\d+$", "", self.stem)
        if stem == "hip" and not self.side:
            return "pelvis"
        if stem in _HANGS_ON or stem in _KNOWN_AS:
            return _KNOWN_AS.get(stem, stem)
        starts = [known for known in (*_HANGS_ON, *_KNOWN_AS) if stem.startswith(known)]
        return _KNOWN_AS.get(max(starts, key=len), max(starts, key=len)) if starts else ""


def joint(name: str) -> Named:
    """Return what a name says: `LHip`, `left_hip`, `hip-R` and `leftear` have a side."""
    apart = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()
    words = [word for word in re.split(r"[\W_]+", apart) if word]
    sides = [word for word in words if word in _SIDES]
    stem = "".join(word for word in words if word not in _SIDES)
    if len(sides) == 1 and stem:
        return Named(name, _SIDES[sides[0]], stem)
    whole = "".join(words)
    for side in ("left", "right"):
        for rest in (whole.removeprefix(side), whole.removesuffix(side)):
            if rest and rest != whole:
                return Named(name, side, rest)
    if whole[:1] in ("l", "r") and whole[1:] in (*_HANGS_ON, *_KNOWN_AS):
        return Named(name, _SIDES[whole[0]], whole[1:])
    return Named(name, "", whole)


@dataclass(frozen=True)
class Guess:
    """What the names of joints say of a layout.

    Parameters
    ----------
    names
        As the file has them.
    """

    names: tuple[str, ...]

    @cached_property
    def joints(self) -> list[Named]:
        """What each name says."""
        return [joint(name) for name in self.names]

    @cached_property
    def edges(self) -> dict[str, str]:
        """The joint that each one hangs on, `OPEN` where its name does not say; not of the root."""
        found = {each.name: self._above(each) for each in self.joints}
        loose = [name for name, above in found.items() if above is None]
        root = max(loose or self.names, key=lambda name: self._weight(name, found))
        return {name: above or OPEN for name, above in found.items() if name != root}

    @property
    def root(self) -> str:
        """The joint that hangs on none."""
        return next(name for name in self.names if name not in self.edges)

    @property
    def mirror(self) -> list[list[str]]:
        """Pairs (left, right)."""
        right = {each.stem: each.name for each in self.joints if each.side == "right"}
        return [
            [each.name, right[each.stem]]
            for each in self.joints
            if each.side == "left" and each.stem in right
        ]

    @property
    def parts(self) -> dict[str, list[str]]:
        """Every joint in one part of the body."""
        parts: dict[str, list[str]] = {}
        for each in self.joints:
            limb = next((part for part, kinds in _PARTS.items() if each.kind in kinds), "torso")
            sided = f"{each.side}_{limb}" if each.side and limb in ("arm", "leg") else limb
            parts.setdefault(sided, []).append(each.name)
        return parts

    def ends(self, kinds: Sequence[str]) -> list[str]:
        """Return the joints of the first of these kinds that are there."""
        for kind in kinds:
            if found := [each.name for each in self.joints if each.kind == kind]:
                return found
        return []

    def text(self, name: str, ndim: int) -> str:
        """Return the `skeleton.yaml`, with comments."""
        lower, upper = self.ends(_LOWER), self.ends(_UPPER)
        lines = [
            "# Written by `hargcn init` from the names of joints; look at it with",
            "#   hargcn layouts skeleton.yaml",
            f"name: {_flow(name)}",
            f"ndim: {ndim}",
            f"joints: {_flow(list(self.names))}",
            "edges:  # (child, parent): one tree over all joints",
            *(f"  - {_edge(child, parent)}" for child, parent in self.edges.items()),
            "parts:  # every joint in one",
            *(f"  {part}: {_flow(names)}" for part, names in self.parts.items()),
            f"mirror: {_flow(self.mirror)}  # (left, right)",
            f"root: {_flow(self.root)}  # centre of the graph",
            f"centre: {_flow(lower or [self.root])}  # their mean is the origin",
        ]
        if lower and upper:
            lines.append(f"trunk: {_flow([lower, upper])}  # lower, upper: the unit of length")
        else:
            lines.append("# trunk: [[LOWER], [UPPER]]  # two lists of joints, to scale bodies by")
        lines.append(f"up: {'-y' if ndim == 2 else 'y'}  # -y where y points down, as in pictures")
        return "\n".join(lines) + "\n"

    def _above(self, each: Named) -> str | None:
        """Return the joint that one hangs on, by the names that are there."""
        there = {(other.side, other.kind): other.name for other in reversed(self.joints)}
        series = [
            other for other in self.joints if (other.side, other.kind) == (each.side, each.kind)
        ]
        if each.kind and series[0] != each:  # spine2 hangs on spine1
            return (
                series[series.index(each) - 1].name
                if each.stem[-1:].isdigit()
                else (self._above(series[0]))
            )
        waiting = list(_HANGS_ON.get(each.kind, ()))
        for kind in waiting:
            for side in (each.side, ""):
                if (side, kind) in there:
                    return there[side, kind]
            waiting += [above for above in _HANGS_ON[kind] if above not in waiting]
        return None

    def _weight(self, name: str, above: Mapping[str, str | None]) -> tuple[int, bool]:
        """Return how many joints hang on one, at any distance."""
        count, fresh = 0, [name]
        while fresh:
            fresh = [child for child, parent in above.items() if parent in fresh]
            count += len(fresh)
        return count, bool(joint(name).kind)


def _edge(child: str, parent: str) -> str:
    said = _flow([child, parent])
    return said if parent != OPEN else f"{said}  # <- complete this: what {child} hangs on"


def _flow(value: object) -> str:
    """Return a value as YAML in one line."""
    text = yaml.safe_dump(value, default_flow_style=True, width=10_000, allow_unicode=True)
    return text.removesuffix("...\n").strip()
