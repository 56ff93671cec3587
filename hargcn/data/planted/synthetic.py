"""Synthetic recordings: articulated bodies that move at random, with planted evidence.

Bodies are chains of rigid bones (forward kinematics). Every angle follows a smooth random curve, so
that nothing but the sign planted by `planting.plant` tells the classes apart.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator
from scipy.spatial.transform import Rotation

from hargcn.data.cutting import WindowConfig
from hargcn.data.planted.planting import PlantConfig, plant
from hargcn.data.planted.signs import carried
from hargcn.data.recording import Recording
from hargcn.skeleton import Skeleton, skeleton

# A standing adult in metres, pelvis at the origin: x to the person's left, y up, z to the back.
_MIDDLE = {
    "pelvis": (0, 0, 0), "spine_base": (0, 0, 0), "hip_center": (0, 0, 0), "mid_hip": (0, 0, 0),
    "spine_mid": (0, 0.25, 0), "spine": (0, 0.25, 0), "spine_shoulder": (0, 0.48, 0),
    "thorax": (0, 0.48, 0), "shoulder_center": (0, 0.48, 0), "neck": (0, 0.54, 0),
    "upper_neck": (0, 0.54, 0), "nose": (0, 0.66, -0.1), "head": (0, 0.68, 0),
    "head_top": (0, 0.78, 0), "hip": (0, 0, 0), "spine1": (0, 0.1, 0), "spine2": (0, 0.22, 0),
    "spine3": (0, 0.32, 0), "spine_navel": (0, 0.15, 0), "spine_chest": (0, 0.35, 0),
}  # fmt: skip
_LEFT = {
    "eye": (0.035, 0.69, -0.09), "eye_inner": (0.025, 0.69, -0.095),
    "eye_outer": (0.05, 0.69, -0.08), "mouth": (0.025, 0.62, -0.09), "ear": (0.075, 0.67, -0.01),
    "collar": (0.06, 0.47, 0), "clavicle": (0.03, 0.5, 0), "shoulder": (0.18, 0.45, 0),
    "elbow": (0.2, 0.17, 0.02),
    "wrist": (0.22, -0.08, -0.04), "hand": (0.225, -0.16, -0.06), "hand_tip": (0.23, -0.23, -0.07),
    "thumb": (0.2, -0.15, -0.1), "little_finger": (0.25, -0.22, -0.05),
    "index_finger": (0.21, -0.23, -0.08), "pinky": (0.25, -0.22, -0.05),
    "index": (0.21, -0.23, -0.08), "hip": (0.09, -0.03, 0), "knee": (0.11, -0.45, -0.02),
    "ankle": (0.11, -0.85, 0.02), "foot": (0.12, -0.9, -0.12), "heel": (0.11, -0.9, 0.07),
    "big_toe": (0.1, -0.9, -0.18), "foot_index": (0.1, -0.9, -0.18),
    "little_toe": (0.15, -0.9, -0.14), "small_toe": (0.15, -0.9, -0.14),
}  # fmt: skip

# How far (radians, standard deviation) the bone that ends in a joint turns; the rest turn little.
_SWING = {
    "elbow": 0.45, "wrist": 0.5, "hand": 0.25, "thumb": 0.2, "little_finger": 0.2,
    "index_finger": 0.2, "knee": 0.3, "ankle": 0.35, "foot": 0.2, "heel": 0.15, "big_toe": 0.15,
    "little_toe": 0.15, "small_toe": 0.15, "head": 0.12, "nose": 0.1,
}  # fmt: skip
_LITTLE = 0.04

# An infant on its back as a camera above sees it: arms and legs spread, knees drawn in (radians
# of the left side's bones, on top of the bone before).
_LYING = {"elbow": 1.1, "wrist": 0.7, "knee": 0.7, "ankle": -0.9}
_TILT = 0.7  # share of depth that such a picture shows as length: toes lie beyond the heels
_IMAGE = 0.4  # image heights per metre of the table: a trunk of 0.19


class SyntheticConfig(BaseModel):
    """What is generated.

    Parameters
    ----------
    skeleton
        A layout's name or file. 3D bodies stand 3 m before the sensor, in metres; 2D ones lie under
        a camera, in image heights. Joints must bear the names of the layouts that come with hargcn,
        and be neither of a face nor fingers: where these are at rest is not known.
    recordings
        Number of recordings.
    subjects
        Number of people, who differ in size, proportions, posture, pace and swing of every joint.
    frames
        Fewest and most frames of a recording.
    fps
        Frames per second.
    persons
        Bodies per recording; the first one bears the evidence.
    movement
        Factor of all random angles; 0 is a statue.
    plant
        The classes, their signs and the decoys; its own seed is not used.
    seed
        Seed of everything.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    skeleton: str = "ntu25"
    recordings: int = Field(default=400, ge=1)
    subjects: int = Field(default=10, ge=1)
    frames: tuple[int, int] = (90, 90)
    fps: float = Field(default=30.0, gt=0)
    persons: int = Field(default=1, ge=1)
    movement: float = Field(default=1.0, ge=0)
    plant: PlantConfig = PlantConfig()
    seed: int = 1234

    @field_validator("frames")
    @classmethod
    def _ordered(cls, frames: tuple[int, int]) -> tuple[int, int]:
        if not 1 <= frames[0] <= frames[1]:
            raise ValueError(f"Expected frames (fewest, most), both at least 1 (got {frames})")
        return frames

    @model_validator(mode="after")
    def _known(self) -> SyntheticConfig:
        rest_pose(skeleton(self.skeleton))
        return self


def generate(
    config: SyntheticConfig, windows: WindowConfig | None = None, fps: float | None = None
) -> Iterator[Recording]:
    """Generate recordings with planted evidence.

    Parameters
    ----------
    config
        What to generate.
    windows, fps
        How they will be cut, and resampled before (see `plant`).

    Yields
    ------
    Recording
        Groups "subject00"..., labels as `config.plant.classes`, truth and distractor masks. The
        bones of a person are equally long in all frames (float32 rounding apart).
    """
    own = config.plant.model_copy(update={"seed": config.seed})
    return plant(moving_bodies(config), own, windows, fps)


def moving_bodies(config: SyntheticConfig) -> Iterator[Recording]:
    """Generate the same recordings before anything is planted; they have no labels."""
    layout = skeleton(config.skeleton)
    people = [
        _draw_person(np.random.default_rng([config.seed, 0, at]), layout)
        for at in range(config.subjects)
    ]
    for at in range(config.recordings):
        rng = np.random.default_rng([config.seed, 1, at])
        frames = int(rng.integers(config.frames[0], config.frames[1] + 1))
        subject = at % config.subjects
        others = rng.integers(0, config.subjects, config.persons - 1)
        positions = np.stack(
            [
                _move(rng, people[who], layout, config, frames, place)
                for place, who in enumerate([subject, *others])
            ],
            axis=-1,
        )
        yield Recording(
            positions=positions.astype(np.float32),
            valid=np.ones((frames, config.persons), dtype=bool),
            fps=config.fps,
            skeleton=layout,
            sample=f"synthetic{at:05d}",
            group=f"subject{subject:02d}",
        )


def rest_pose(layout: Skeleton) -> np.ndarray:
    """Return where the joints of a body at rest are.

    Parameters
    ----------
    layout
        A skeleton whose joints bear the names of the layouts that come with hargcn.

    Returns
    -------
    numpy.ndarray
        (V, 3) in metres: x to the person's left, y up, z to the back. For a 2D layout z is 0.

    Raises
    ------
    ValueError
        Names joints whose place in a body is not known.
    """
    known: dict[str, tuple[float, float, float]] = dict(_MIDDLE)
    for name, (x, y, z) in _LEFT.items():
        known[f"left_{name}"], known[f"right_{name}"] = (x, y, z), (-x, y, z)
    unknown = [joint for joint in layout.joints if joint not in known]
    if unknown:
        more = f" and {len(unknown) - 3} more" if len(unknown) > 3 else ""
        raise ValueError(
            f"Expected a layout of a body without face and fingers, its joints named as in ntu25 "
            f"or inmotion29 (got {layout.name} with {', '.join(unknown[:3])}{more})"
        )
    pose = np.array([known[joint] for joint in layout.joints])
    if layout.ndim == 2:
        pose[:, 1] += _TILT * pose[:, 2]
        pose[:, 2] = 0
    return pose


def forward_kinematics(
    layout: Skeleton, offsets: np.ndarray, turns: np.ndarray, origin: np.ndarray
) -> np.ndarray:
    """Return where the joints of a body are when its bones turn.

    Parameters
    ----------
    layout
        Its bones form the chains.
    offsets
        (V, 3) each joint's place as seen from its parent, unturned.
    turns
        (T, V, 3) rotation vectors (axis times radians) of the bone that ends in each joint,
        relative to the bone before; for the root that of the whole body.
    origin
        (T, 3) the root's place.

    Returns
    -------
    numpy.ndarray
        (T, V, 3); every bone as long as its offset in all frames.
    """
    local = Rotation.from_rotvec(turns.reshape(-1, 3)).as_matrix().reshape(*turns.shape, 3)
    whole, places = local.copy(), np.empty(turns.shape)
    root, *rest = _chain(layout)
    places[:, root] = origin
    for joint in rest:
        parent = layout.parents[joint]
        whole[:, joint] = whole[:, parent] @ local[:, joint]
        places[:, joint] = places[:, parent] + whole[:, joint] @ offsets[joint]
    return places


@dataclass(frozen=True)
class _Person:
    """A subject: (V, 3) offsets, (V, 3) posture, (V,) swing in radians, and pace (1 = average)."""

    offsets: np.ndarray
    posture: np.ndarray
    swing: np.ndarray
    pace: float


def _draw_person(rng: np.random.Generator, layout: Skeleton) -> _Person:
    pose = rest_pose(layout)
    size = rng.lognormal(0, 0.1) * (_IMAGE if layout.ndim == 2 else 1)
    longer = rng.lognormal(0, 0.04, layout.n_joints)
    for left, right in layout.mirror:
        longer[right] = longer[left]
    offsets = (pose - pose[list(layout.parents)]) * (size * longer)[:, None]
    swing = _by_joint(layout, _SWING, _LITTLE)
    posture = 0.3 * swing[:, None] * rng.standard_normal((layout.n_joints, 3))
    if layout.ndim == 2:
        side = [1 if joint.startswith("left_") else -1 for joint in layout.joints]
        posture[:, 2] += _by_joint(layout, _LYING, 0) * side
    return _Person(
        offsets=offsets,
        posture=posture,
        swing=swing * rng.lognormal(0, 0.2, layout.n_joints),
        pace=rng.lognormal(0, 0.15),
    )


def _move(
    rng: np.random.Generator,
    person: _Person,
    layout: Skeleton,
    config: SyntheticConfig,
    frames: int,
    place: int,
) -> np.ndarray:
    """Return (C, T, V) positions of one person."""
    seconds = np.arange(frames) / config.fps
    curves = _smooth(rng, seconds, (layout.n_joints, 3), person.pace)
    turns = person.posture + config.movement * person.swing[:, None] * curves
    root = _chain(layout)[0]
    facing = rng.normal(0, 0.3, 3) * ([0.2, 1, 0.2] if layout.ndim == 3 else [0, 0, 0.3])
    turns[:, root] = facing + config.movement * 0.1 * curves[:, root]
    sway = config.movement * _smooth(rng, seconds, (3,), person.pace)
    if layout.ndim == 3:
        where = np.array([1.0 * place, 0, 3]) + rng.normal(0, 0.2, 3) * [1, 0, 1]
        positions = forward_kinematics(layout, person.offsets, turns, where + 0.03 * sway)
        return positions.transpose(2, 0, 1)
    turns[..., :2] = 0
    where = np.array([0.5 + 0.6 * place, -0.35, 0]) + rng.normal(0, 0.03, 3)
    positions = forward_kinematics(layout, person.offsets, turns, where + 0.008 * sway)
    if layout.up == "-y":
        positions[..., 1] *= -1
    return positions[..., :2].transpose(2, 0, 1)


def _smooth(
    rng: np.random.Generator, seconds: np.ndarray, shape: tuple[int, ...], pace: float
) -> np.ndarray:
    """Return random curves (T, *shape) of variance 1 on average: five waves of 0.1 to 0.9 Hz."""
    waves = (5, *shape)
    frequency = pace * rng.uniform(0.1, 0.9, waves)
    phase = rng.uniform(0, 2 * np.pi, waves)
    height = rng.standard_normal(waves) * np.sqrt(2 / 5)
    time = seconds.reshape(-1, *[1] * len(waves))
    return (height * np.sin(2 * np.pi * frequency * time + phase)).sum(axis=1)


def _by_joint(layout: Skeleton, values: Mapping[str, float], default: float) -> np.ndarray:
    stems = [joint.removeprefix("left_").removeprefix("right_") for joint in layout.joints]
    return np.array([values.get(stem, default) for stem in stems])


def _chain(layout: Skeleton) -> list[int]:
    """Return all joints, the root of the bones first, parents before children."""
    root = next(joint for joint, parent in enumerate(layout.parents) if joint == parent)
    return carried(layout, root)
