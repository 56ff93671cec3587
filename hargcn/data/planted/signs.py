"""Signs: small known changes of movement that a class can be recognised by.

A sign turns the bones behind one joint during an interval and carries along what hangs on them;
every bone keeps the length it has in that frame, in 2D (turning in the image plane) and in 3D.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from hargcn.skeleton import Skeleton

Kind = Literal["tremor", "raise", "bend", "tempo", "amplitude", "still", "asymmetry"]
KINDS: tuple[Kind, ...] = get_args(Kind)


class _Usual(NamedTuple):
    """What a kind is where nothing else is asked for, and the size at which it changes nothing."""

    size: float
    none: float
    joints: tuple[str, ...]  # the first name that the layout knows
    frequency: float = 5.0


_USUAL: dict[Kind, _Usual] = {
    "tremor": _Usual(0.08, 0, ("right_wrist", "right_hand")),
    "raise": _Usual(0.4, 0, ("right_elbow",)),
    "bend": _Usual(0.4, 0, ("right_wrist", "right_hand")),
    "tempo": _Usual(0.3, 1, ("right_elbow",)),
    "amplitude": _Usual(0.2, 1, ("right_elbow",)),
    "still": _Usual(0, 1, ("right_elbow",), 1.0),
    "asymmetry": _Usual(0.25, math.inf, ("right_elbow",)),
}


class Sign(BaseModel):
    """A change of the movement of one joint and of everything that hangs on it.

    Positions carry all branches, so none has a sign to itself. What a linear probe tells apart at
    the sign's own joints (synthetic ntu25, `share` 1, tremor 0.3; 0.5 is chance): tremor by the
    spread of A (0.90) and V (0.74), not by J or B; raise by the level of J (0.88) and B (0.85);
    bend by the level of B (0.96) before J (0.77); tempo and amplitude by the spread of V (0.95 and
    more) and less surely by that of J and B. In a shorter interval raise and bend show in V and A
    as well, where they grow and fade.

    Parameters
    ----------
    kind
        "tremor": the bones swing to and fro. "raise": the limb is turned up and outwards as a
        whole. "bend": so is its first bone only; what hangs on it is carried along unturned.
        "tempo": the limb moves at another pace, `size` times as fast around the middle of the
        interval (it catches up where the interval ends before the recording does); below 1 it is
        slow. "amplitude": its swing about its mean direction, and with it its speed, is `size`
        times as large. "still": so is only what of its movement is faster than `frequency`; the
        large slow movement stays, and at 0 the small fast one is missing. "asymmetry": its swing
        becomes `size` times that of the mirror limb in the same interval, where it was more.
        Unlike a small amplitude it is a relation: little swing is none beside a quiet mirror limb.
    joint
        The joint at the outer end of the first bone that turns; None for the right wrist (tremor,
        bend) or the right elbow, that is the whole arm.
    size
        For tremor (half the swing), raise and bend the arc that the joint travels, in trunk
        lengths, at most a quarter of a circle; for the others a factor. None for a size that a
        small network learns from a few hundred recordings.
    frequency
        Of a tremor, and from which on "still" counts movement as fast (there half of its energy
        is left), in Hz. None for 5 and 1.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Kind = "tremor"
    joint: str | None = None
    size: float | None = Field(default=None, ge=0)
    frequency: float | None = Field(default=None, gt=0)

    @model_validator(mode="after")
    def _fill_in(self) -> Sign:
        for name in ("size", "frequency"):
            if getattr(self, name) is None:
                object.__setattr__(self, name, getattr(_USUAL[self.kind], name))
        return self

    @property
    def hertz(self) -> float:
        """The frequency."""
        return float(self.frequency or 0)

    def times(self, strength: float) -> Sign:
        """Return the sign at a share of its size: 0 is no change, 1 the sign itself."""
        if strength == 1 or self.size is None:
            return self
        none = _USUAL[self.kind].none
        if math.isinf(none):
            weaker = self.size / strength if strength else none
        else:
            weaker = none + (self.size - none) * strength
        return self.model_copy(update={"size": weaker})

    def joint_of(self, skeleton: Skeleton) -> int:
        """Return the index of the joint that moves.

        Raises
        ------
        ValueError
            If the skeleton has no such joint, if it has no bone, if it carries the joints that the
            features or the preprocessing measure the whole body by, or if an asymmetry has no
            mirror limb.
        """
        names = (self.joint,) if self.joint else _USUAL[self.kind].joints
        joint = skeleton.index(next((n for n in names if n in skeleton.joints), names[0]))
        lower, upper = skeleton.ends
        fixed = {skeleton.root, skeleton.reference, *skeleton.centre, *lower, *upper}
        held = [skeleton.joints[j] for j in carried(skeleton, joint) if j in fixed]
        if held or skeleton.parents[joint] == joint:
            raise ValueError(
                f"Expected a joint of a limb of {skeleton.name} for a sign "
                f"(got {skeleton.joints[joint]!r}, with which the whole body would move)"
            )
        if self.kind == "asymmetry":
            for moved in carried(skeleton, joint):
                mirrored(skeleton, moved)
        return joint


@dataclass(frozen=True)
class Change:
    """One sign at a place and time of one recording.

    Parameters
    ----------
    sign
        What happens.
    joint
        The index of the joint where it happens: the sign's own, or another one for a decoy.
    start, stop
        The first frame and the one behind the last.
    fade_in, fade_out
        Whether the sign grows and fades; not so where the recording itself starts or ends there.
    phase
        Of a tremor, in radians.
    axis
        (3,) a random direction; a tremor in 3D swings about its part across the bone.
    """

    sign: Sign
    joint: int
    start: int
    stop: int
    fade_in: bool = True
    fade_out: bool = True
    phase: float = 0.0
    axis: tuple[float, float, float] = (0.0, 0.0, 1.0)

    def mask(self, skeleton: Skeleton, frames: int) -> np.ndarray:
        """Return (T, V) bool: the interval, for the joint and everything that hangs on it."""
        mask = np.zeros((frames, skeleton.n_joints), dtype=bool)
        mask[self.start : self.stop, carried(skeleton, self.joint)] = True
        return mask

    def weight(self) -> np.ndarray:
        """Return (stop - start,) how strong the sign is: above 0 throughout, 1 in the middle."""
        length = self.stop - self.start
        ramp = (np.arange(length) + 1) / (length // 4 + 1)
        rise = 0.5 - 0.5 * np.cos(np.pi * np.minimum(ramp, 1))
        ones = np.ones(length)
        return (rise if self.fade_in else ones) * (rise[::-1] if self.fade_out else ones)


def carried(skeleton: Skeleton, joint: int) -> list[int]:
    """Return a joint and all that hang on it by the skeleton's bones, parents first."""
    found, bones = [joint], skeleton.bones
    for at in found:
        found += [j for j, parent in bones if parent == at]
    return found


def mirrored(skeleton: Skeleton, joint: int) -> int:
    """Return the joint on the other side of the body.

    Raises
    ------
    ValueError
        For a joint in the middle.
    """
    pairs = _pairs(skeleton)
    if joint not in pairs:
        raise ValueError(
            f"Expected a joint of {skeleton.name} with a mirror image "
            f"(got {skeleton.joints[joint]!r})"
        )
    return pairs[joint]


def apply_change(
    positions: np.ndarray, change: Change, skeleton: Skeleton, fps: float
) -> np.ndarray:
    """Return the positions of one person with a sign in them.

    Parameters
    ----------
    positions
        (C, T, V) in any unit, the person present throughout; NaN where a joint was not observed,
        which stays so.
    change
        Where and when; the interval reads frames outside it for "tempo" and "still" only.
    skeleton
        Its bones say what turns.
    fps
        Frames per second.

    Returns
    -------
    numpy.ndarray
        (C, T, V) float64; differs from `positions` in `change.mask` only. A bone of which an end
        was not observed does not turn.
    """
    moved = carried(skeleton, change.joint)
    parents = [skeleton.parents[joint] for joint in moved]
    space, now = positions.shape[0], slice(change.start, change.stop)
    spatial = np.zeros((3, *positions.shape[1:]))
    spatial[:space] = positions
    bones = spatial[:, :, moved] - spatial[:, :, parents]
    move = _MOVES[change.sign.kind]
    turned = move(_Scene(spatial, bones, change, skeleton, fps))
    shift = np.zeros_like(spatial)
    for at, joint in enumerate(moved):
        delta = np.nan_to_num(turned[:, :, at] - bones[:, now, at])
        shift[:, now, joint] = shift[:, now, parents[at]] + delta
    return (spatial + shift)[:space]


@dataclass(frozen=True)
class _Scene:
    """What a movement may look at: (3, T, V) positions and the (3, T, n) bones behind a joint."""

    positions: np.ndarray
    bones: np.ndarray
    change: Change
    skeleton: Skeleton
    fps: float

    @property
    def size(self) -> float:
        return float(self.change.sign.size or 0)

    @property
    def now(self) -> np.ndarray:
        """The bones (3, t, n) during the interval."""
        return self.bones[:, self.change.start : self.change.stop]

    @property
    def direction(self) -> np.ndarray:
        """The first bone's mean direction during the interval, (3,)."""
        return _unit(_mean(self.now[:, :, 0]))

    @property
    def opposite(self) -> np.ndarray:
        """The mirror limb's bones (3, t, n) during the interval."""
        change = self.change
        joints = [mirrored(self.skeleton, j) for j in carried(self.skeleton, change.joint)]
        parents = [self.skeleton.parents[j] for j in joints]
        now = self.positions[:, change.start : change.stop]
        return now[:, :, joints] - now[:, :, parents]

    @property
    def angle(self) -> float:
        """The angle in which the joint travels an arc of `size` trunk lengths."""
        lower, upper = (self.positions[:, :, list(ends)].mean(2) for ends in self.skeleton.trunk)
        trunk = np.nanmedian(np.linalg.norm(upper - lower, axis=0))
        bone = np.nanmedian(np.linalg.norm(self.bones[:, :, 0], axis=0))
        return float(min(self.size * trunk / max(bone, 1e-9), np.pi / 2))

    def across(self, direction: np.ndarray) -> np.ndarray:
        """Return an axis (3,) across the first bone, near the given direction."""
        if self.skeleton.ndim == 2:
            return np.array([0, 0, 1.0])
        axis = direction - (direction @ self.direction) * self.direction
        return _unit(axis)


def _tremor(scene: _Scene) -> np.ndarray:
    change = scene.change
    time = np.arange(change.stop - change.start) / scene.fps
    swing = np.sin(2 * np.pi * change.sign.hertz * time + change.phase)
    axis = scene.across(np.array(change.axis))
    return _rotated(scene.now, axis, scene.angle * swing * change.weight())


def _raise(scene: _Scene) -> np.ndarray:
    skeleton, joint = scene.skeleton, scene.change.joint
    pairs = _pairs(skeleton)
    outward = np.zeros(3)
    if joint in pairs:
        # Where the two sides' limbs begin, not where they are: crossed arms stay left and right.
        first, second = (_limb_start(skeleton, j) for j in (joint, pairs[joint]))
        now = slice(scene.change.start, scene.change.stop)
        outward = _mean(scene.positions[:, now, first] - scene.positions[:, now, second])
        outward = _unit(outward)
    up = np.zeros(3)
    up["xyz".index(skeleton.up[-1])] = -1 if skeleton.up.startswith("-") else 1
    axis = np.cross(scene.direction, up + outward)
    if skeleton.ndim == 2:
        axis = np.array([0, 0, np.copysign(1.0, axis[2])])
    elif np.linalg.norm(axis) < 1e-6:
        axis = scene.across(np.array(scene.change.axis))
    return _rotated(scene.now, _unit(axis), scene.angle * scene.change.weight())


def _bend(scene: _Scene) -> np.ndarray:
    turned = scene.now.copy()
    turned[:, :, :1] = _raise(scene)[:, :, :1]
    return turned


def _tempo(scene: _Scene) -> np.ndarray:
    change = scene.change
    time = np.arange(change.start, change.stop, dtype=float)
    middle = (change.start + change.stop - 1) / 2
    wanted = time + change.weight() * (scene.size - 1) * (time - middle)
    last = scene.bones.shape[1] - 1
    wanted = (last - np.abs(last - np.abs(wanted))).clip(0, last)  # back and forth at the ends
    low = np.floor(wanted).astype(int)
    high, share = np.minimum(low + 1, last), wanted - low
    directions = _unit(scene.bones)
    there = _unit(directions[:, low] * (1 - share[:, None]) + directions[:, high] * share[:, None])
    return there * np.linalg.norm(scene.now, axis=0)


def _amplitude(scene: _Scene) -> np.ndarray:
    return _swung(scene, scene.size)


def _asymmetry(scene: _Scene) -> np.ndarray:
    (_, _, own), (_, _, other) = (_polar(bones) for bones in (scene.now, scene.opposite))
    own, other = (np.sqrt(_mean(np.square(angle).ravel())) for angle in (own, other))
    return _swung(scene, min(1.0, scene.size * float(other) / max(float(own), 1e-9)))


def _still(scene: _Scene) -> np.ndarray:
    change, directions = scene.change, _unit(scene.bones)
    # A Gaussian whose Fourier transform is 1 / sqrt(2) at the cut-off.
    width = np.sqrt(np.log(2)) / (2 * np.pi * change.sign.hertz) * scene.fps
    frames = np.arange(directions.shape[1])
    lag = frames - frames[change.start : change.stop, None]
    kernel = np.exp(-0.5 * (lag / width) ** 2)
    seen = np.isfinite(directions)
    slow = kernel @ np.where(seen, directions, 0) / np.maximum(kernel @ seen, 1e-12)
    fast = directions[:, change.start : change.stop] - slow
    kept = 1 + (scene.size - 1) * change.weight()[:, None]
    return _unit(slow + kept * fast) * np.linalg.norm(scene.now, axis=0)


_MOVES: dict[Kind, Callable[[_Scene], np.ndarray]] = {
    "tremor": _tremor,
    "raise": _raise,
    "bend": _bend,
    "tempo": _tempo,
    "amplitude": _amplitude,
    "still": _still,
    "asymmetry": _asymmetry,
}


def _swung(scene: _Scene, factor: float) -> np.ndarray:
    """Multiply the bones' angles to their mean directions."""
    mean, across, angle = _polar(scene.now)
    angle = angle * (1 + (factor - 1) * scene.change.weight()[:, None])
    length = np.linalg.norm(scene.now, axis=0)
    return (np.cos(angle) * mean + np.sin(angle) * across) * length


def _polar(bones: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return bones' mean directions (3, 1, n), where they leave them to, and angles (t, n)."""
    direction = _unit(bones)
    mean = _unit(_mean(direction.transpose(0, 2, 1)))[:, None]
    cosine = (direction * mean).sum(axis=0).clip(-1, 1)
    return mean, _unit(direction - cosine * mean), np.arccos(cosine)


def _pairs(skeleton: Skeleton) -> dict[int, int]:
    """Return the joint on the other side, by joint."""
    return dict(skeleton.mirror) | {right: left for left, right in skeleton.mirror}


def _rotated(bones: np.ndarray, axis: np.ndarray, angle: np.ndarray) -> np.ndarray:
    """Turn bones (3, t, n) about one axis (3,) by an angle per frame (t,) (Rodrigues)."""
    along = np.tensordot(axis, bones, axes=1) * axis[:, None, None]
    sideways = np.cross(axis, bones, axisb=0, axisc=0)
    angle = angle[:, None]
    return along + (bones - along) * np.cos(angle) + sideways * np.sin(angle)


def _limb_start(skeleton: Skeleton, joint: int) -> int:
    """Return the joint of the same part from which a limb hangs."""
    part = next(joints for joints in skeleton.parts.values() if joint in joints)
    while skeleton.parents[joint] in part and skeleton.parents[joint] != joint:
        joint = skeleton.parents[joint]
    return joint


def _unit(vectors: np.ndarray) -> np.ndarray:
    """Scale (3, ...) to length 1; zero stays zero."""
    return vectors / np.maximum(np.linalg.norm(vectors, axis=0), 1e-12)


def _mean(vectors: np.ndarray) -> np.ndarray:
    """Return the mean over the last axis without NaN; 0 where nothing was observed."""
    seen = np.isfinite(vectors)
    return np.where(seen, vectors, 0).sum(axis=-1) / np.maximum(seen.sum(axis=-1), 1)
