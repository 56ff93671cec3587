"""Preprocessing: one chain of optional steps; published chains are presets of its settings.

The steps, in order: jitter, joints never seen, gaps, resampling, median filter, low-pass filter,
repetition, centring, rotation, scaling, fewer joints. Persons that are absent stay exactly zero
throughout.
"""

from __future__ import annotations

import zlib
from dataclasses import replace
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, field_validator

from hargcn.checks import nearest
from hargcn.data.filters import (
    Unseen,
    fill_gaps,
    lowpass_filter,
    median_filter,
    repeat,
    resample,
    stand_ins,
)
from hargcn.data.recording import Recording
from hargcn.skeleton import Skeleton, skeleton

_MOST_FRAMES = 10**6  # nine hours of video

When = Literal["none", "first", "median", "frame"]


class PreprocessConfig(BaseModel):
    """Settings of `preprocess`; the defaults change nothing but short gaps.

    Parameters
    ----------
    fps
        Resample to this many frames per second; None keeps the recording's own.
    unseen
        What to do with a recording that never shows some joint, such as feet below the picture:
        "refuse" it, or let the "parent" stand in, the nearest joint towards the root that was seen
        (where none was, the nearest along the bones). Such a joint counts as not seen throughout.
    max_gap
        Longest gap that is interpolated, in seconds. Frames in longer gaps, and before the first or
        after the last sight of a joint, are dropped: the person counts as absent there.
    median
        Width of the running median in frames (odd); 0 for none.
    lowpass
        Cut-off of a zero-phase Butterworth filter as a share of the Nyquist frequency; None for
        none.
    lowpass_order
        Its order; going forth and back applies it twice.
    repeat
        Begin every person's movement anew until there are so many frames; 0 for no repetition. A
        person who is not in the first frame begins with their first one and has no gaps then. What
        was repeated counts as interpolated: nobody saw it at that time.
    centre
        What becomes the origin. "first": the skeleton's reference joint in the first frame of the
        first person. "median": the middle of the first person's pelvis, median over the recording.
        "frame": the middle of the trunk, in every frame and for every person.
    rotate
        Turn the trunk upright, in 3D the line of the hips (left to right) along x as well.
        "first" and "median": one rotation for all, from the first person's first frame or median
        directions. "frame": one in every frame for every person. "shoulders": two for all from
        the first person's first frame, each by the shortest way: the line of the shoulders (left to
        right) to x, then the trunk upright; the second may turn the shoulders out of x again.
    scale
        "trunk" divides by twice the first person's trunk length (median over the recording).
    layout
        Keep the joints of this layout alone, by name: "ntu19" of NTU RGB+D's 25. A layout's name or
        file; None keeps all.
    jitter
        Half-width of uniform noise for quantised coordinates, in their unit (0.5 for whole pixels).
    seed
        Seed of the jitter; the recording's name enters as well.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    fps: float | None = Field(default=None, gt=0, le=10_000)
    unseen: Unseen = "refuse"
    max_gap: float = Field(default=0.5, ge=0)
    median: int = Field(default=0, ge=0, le=9999)
    lowpass: float | None = Field(default=None, gt=0, lt=1)
    lowpass_order: int = Field(default=8, ge=1, le=64)
    repeat: int = Field(default=0, ge=0, le=_MOST_FRAMES)
    centre: When = "none"
    rotate: When | Literal["shoulders"] = "none"
    scale: Literal["none", "trunk"] = "none"
    layout: str | None = None
    jitter: float = Field(default=0, ge=0)
    seed: int = 1234

    @field_validator("median")
    @classmethod
    def _odd(cls, width: int) -> int:
        if width and width % 2 == 0:
            raise ValueError(f"Expected an odd width or 0 (got {width})")
        return width


PRESETS: dict[str, PreprocessConfig] = {
    "none": PreprocessConfig(),
    # The usual NTU preparation: SpineMid of the first person's first frame is the origin.
    "ntu": PreprocessConfig(centre="first"),
    # That of the published code (AutoGCN); the reader and the windows belong to it: `NTU.recipes`.
    "ntu-published": PreprocessConfig(max_gap=0, repeat=300, centre="first", rotate="shoulders"),
    "utd-mhad": PreprocessConfig(centre="median", scale="trunk"),
    # The two published chains for infants filmed at home or in hospital.
    "cp": PreprocessConfig(fps=30, median=5, centre="median", scale="trunk"),
    "cp-butterworth": PreprocessConfig(
        fps=30, lowpass=0.5, centre="frame", rotate="frame", scale="trunk"
    ),
    # Pixels are whole numbers there, and bodies lie any way round.
    "mini-rgbd": PreprocessConfig(
        fps=30, jitter=0.5, median=5, centre="median", rotate="median", scale="trunk"
    ),
}


def named_chain(value: Any) -> Any:
    """Return the preset of a name; settings as they are.

    Raises
    ------
    ValueError
        For an unknown name; offers the nearest.
    """
    if not isinstance(value, str):
        return value
    if value not in PRESETS:
        near = nearest(value, PRESETS)
        raise ValueError(f"Expected a chain of {', '.join(PRESETS)}, or settings{near}")
    return PRESETS[value]


def preprocess(recording: Recording, config: PreprocessConfig) -> Recording:
    """Run a recording through the chain.

    Parameters
    ----------
    recording
        (C, T, V, M) positions, NaN where a joint was not observed.
    config
        The settings.

    Returns
    -------
    Recording
        Free of NaN. Its notes count `interpolated` (joint positions filled in), `dropped` (frames
        of a person given up), `without_<joint>` (1 if never seen), `resampled` (1 if the rate
        changed) and `repeated` (frames that only repeat others). Masks follow the resampling, and
        the first person's repetition.

    Raises
    ------
    ValueError
        If no frame is left, a joint is never seen and none may stand in, or the skeleton lacks
        what a step needs.
    """
    out = _jitter(recording, config.jitter, config.seed)
    out = fill_gaps(stand_ins(out, config.unseen), config.max_gap)
    if config.fps is not None and config.fps != out.fps:
        last = (out.frames - 1) * config.fps / out.fps
        if last > _MOST_FRAMES:
            raise ValueError(
                f"{out.sample}: expected at most {_MOST_FRAMES} frames at {config.fps:g} per "
                f"second (got {last:g} from {out.frames} at {out.fps:g})"
            )
        grid = np.arange(int(last + 1e-6) + 1) * out.fps / config.fps
        out = replace(resample(out, grid), fps=config.fps).noting(resampled=1)
    if config.median > 1:
        out = median_filter(out, config.median)
    if config.lowpass is not None:
        out = lowpass_filter(out, config.lowpass, config.lowpass_order)
    if config.repeat:
        out = repeat(out, config.repeat)
    out = _centre(out, config.centre)
    out = _by_shoulders(out) if config.rotate == "shoulders" else _rotate(out, config.rotate)
    out = _scale(out) if config.scale == "trunk" else out
    return out if config.layout is None else keep_joints(out, skeleton(config.layout))


def keep_joints(recording: Recording, layout: Skeleton) -> Recording:
    """Return a recording with the joints of another layout, found by name.

    Raises
    ------
    ValueError
        For a layout with a joint that the recording lacks, or another number of coordinates.
    """
    known = recording.skeleton
    missing = [joint for joint in layout.joints if joint not in known.joints]
    if missing or layout.ndim != known.ndim:
        found = f"no {missing[0]}" if missing else f"{known.ndim} coordinates, not {layout.ndim}"
        raise ValueError(
            f"{recording.sample}: expected a recording ({known.name}) with the joints of layout "
            f"{layout.name} (got {found})"
        )
    order = [known.joints.index(joint) for joint in layout.joints]
    of_joints = {
        name: given[:, order]
        for name in ("state", "confidence", "truth", "distractor")
        if (given := getattr(recording, name)) is not None
    }
    return replace(
        recording, skeleton=layout, positions=recording.positions[:, :, order], **of_joints
    )


def _jitter(recording: Recording, half_width: float, seed: int) -> Recording:
    if not half_width:
        return recording
    rng = np.random.default_rng([seed, zlib.crc32(recording.sample.encode())])
    noise = rng.uniform(-half_width, half_width, recording.positions.shape)
    return replace(recording, positions=recording.positions + noise)


def _ends(recording: Recording) -> tuple[np.ndarray, np.ndarray]:
    """Return the lower and the upper end of every trunk, (C, T, M) each."""
    lower, upper = recording.skeleton.ends
    positions = recording.positions.astype(np.float64)
    return positions[:, :, list(lower)].mean(axis=2), positions[:, :, list(upper)].mean(axis=2)


def _first_person(recording: Recording) -> tuple[int, np.ndarray]:
    """Return the first person who is ever there and the frames that show them."""
    person = int(np.flatnonzero(recording.valid.any(axis=0))[0])
    return person, np.flatnonzero(recording.valid[:, person])


def _centre(recording: Recording, when: When) -> Recording:
    if when == "none":
        return recording
    positions = recording.positions.astype(np.float64)
    person, frames = _first_person(recording)
    if when == "first":
        origin = positions[:, frames[0], recording.skeleton.reference, person][:, None, None, None]
    elif when == "median":
        pelvis = positions[:, :, list(recording.skeleton.centre), person].mean(axis=2)
        origin = np.median(pelvis[:, frames], axis=1)[:, None, None, None]
    else:
        lower, upper = _ends(recording)
        origin = ((lower + upper) / 2)[:, :, None]
    return replace(recording, positions=positions - origin)


def _scale(recording: Recording) -> Recording:
    person, frames = _first_person(recording)
    lower, upper = _ends(recording)
    length = np.median(np.linalg.norm(upper - lower, axis=0)[frames, person])
    if not length > 0:
        raise ValueError(f"{recording.sample}: expected a trunk longer than 0 (got {length:g})")
    return replace(recording, positions=recording.positions / (2 * length))


def _rotate(recording: Recording, when: When) -> Recording:
    """Turn each body about the origin; see `PreprocessConfig.rotate`."""
    if when == "none":
        return recording
    skeleton = recording.skeleton
    lower, upper = _ends(recording)
    spine = np.moveaxis(upper - lower, 0, -1)  # (T, M, C)
    left, right = _pair(skeleton, "hip") if skeleton.ndim == 3 else (0, 0)
    across = np.moveaxis(recording.positions[:, :, right] - recording.positions[:, :, left], 0, -1)
    if when != "frame":
        person, frames = _first_person(recording)
        chosen = frames[:1] if when == "first" else frames
        spine = np.median(spine[chosen, person], axis=0)[None, None]
        across = np.median(across[chosen, person], axis=0)[None, None]
    turn = _upright(spine, across, skeleton)
    turn = np.broadcast_to(turn, (*recording.valid.shape, *turn.shape[2:]))
    if not np.isfinite(turn[recording.valid]).all():
        raise ValueError(
            f"{recording.sample}: expected a trunk with a direction (got one of length 0)"
        )
    turned = np.einsum("tmij,jtvm->itvm", np.nan_to_num(turn), recording.positions)
    return replace(recording, positions=turned)


def _upright(spine: np.ndarray, across: np.ndarray, skeleton: Skeleton) -> np.ndarray:
    """Return rotations (..., C, C) that bring `spine` to the skeleton's up, `across` near x."""
    with np.errstate(invalid="ignore", divide="ignore"):
        up = spine / np.linalg.norm(spine, axis=-1, keepdims=True)
        sign = -1.0 if skeleton.up == "-y" else 1.0
        if skeleton.ndim == 2:
            y = sign * up
            x = np.stack([y[..., 1], -y[..., 0]], axis=-1)
            return np.stack([x, y], axis=-2)
        x = across - (across * up).sum(axis=-1, keepdims=True) * up
        x = x / np.linalg.norm(x, axis=-1, keepdims=True)
    if skeleton.up == "z":
        return np.stack([x, np.cross(up, x), up], axis=-2)
    y = sign * up
    return np.stack([x, y, np.cross(x, y)], axis=-2)


def _by_shoulders(recording: Recording) -> Recording:
    """Turn all bodies by the first one's shoulders and trunk; see `PreprocessConfig.rotate`."""
    skeleton, positions = recording.skeleton, recording.positions.astype(np.float64)
    if skeleton.ndim == 2:
        raise ValueError(
            f"{skeleton.name}: expected 3 coordinates to turn by the shoulders (got 2)"
        )
    person, frames = _first_person(recording)
    left, right = _pair(skeleton, "shoulder")
    lower, upper = skeleton.ends
    up = {"y": (0, 1, 0), "-y": (0, -1, 0), "z": (0, 0, 1)}[skeleton.up]
    for start, end, goal in (((left,), (right,), (1, 0, 0)), (lower, upper, up)):
        pose = positions[:, frames[0], :, person]
        line = pose[:, list(end)].mean(axis=1) - pose[:, list(start)].mean(axis=1)
        if not np.linalg.norm(line) > 0:
            raise ValueError(
                f"{recording.sample}: expected shoulders and a trunk with a direction in the first "
                "frame (got one of length 0)"
            )
        positions = np.einsum("ij,jtvm->itvm", _shortest(line, np.array(goal)), positions)
    return replace(recording, positions=positions)


def _shortest(line: np.ndarray, goal: np.ndarray) -> np.ndarray:
    """Return the (3, 3) rotation of least angle that turns a line to a unit vector (Rodrigues).

    Opposite to it there are many: it stays where it is, as in the published code.
    """
    unit = line / np.linalg.norm(line)
    x, y, z = np.cross(unit, goal)
    cosine = unit @ goal
    if 1 + cosine < 1e-12:
        return np.eye(3)
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + cross + cross @ cross / (1 + cosine)


def _pair(skeleton: Skeleton, name: str) -> tuple[int, int]:
    for left, right in skeleton.mirror:
        if name in skeleton.joints[left].lower():
            return left, right
    raise ValueError(f"{skeleton.name}: expected a mirror pair of joints named {name}, to turn by")
