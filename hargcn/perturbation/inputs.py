"""Changes of the movement itself."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor

from hargcn.checks import one_of
from hargcn.perturbation.bones import first_and_last, move_bones
from hargcn.perturbation.drawing import as_keys, normal
from hargcn.skeleton import Skeleton

InputOp = Literal[
    "noise", "shift", "freeze", "mean", "interpolate", "origin", "parent", "speed", "angle"
]
SIZED = ("noise", "shift", "speed", "angle")
"""The operations that have an amount."""
_DIFFERENCES = 3  # over time, in which smooth movement nearly vanishes
_JOINTED = ("parent", "speed", "angle")


@dataclass(frozen=True)
class InputEdit:
    """A change of the movement of chosen joints, in a whole window or inside an interval.

    Works on positions (N, C, T, V, M), so that every branch computed from them sees the same body;
    all but "speed" and "angle" take any (N, ..., T, V, M). Absent frames stay as they are.

    Parameters
    ----------
    op
        "noise": Gaussian, standard deviation `amount` in the unit of the positions; "shift": one
        vector of length `amount` per joint, in a drawn direction; "freeze": the first frame;
        "mean": the mean over time; "interpolate": a straight line from the first to the last frame;
        "origin": every coordinate 0, as where an input is multiplied by a map;
        "parent": onto the parent joint; "speed", "angle": bones play 1 + amount times as fast or
        swing 1 + amount times as wide, all bone lengths kept (see `bones.move_bones`).
    amount
        The edit's size; 0 changes nothing. Only for noise, shift, speed and angle.
    frames
        Half-open interval (start, stop) in frames; default the whole window.
    tracker
        Whether "noise" counts `amount` in the tracker's own noise, estimated per joint.
    """

    op: InputOp
    amount: float = 0.0
    frames: tuple[int, int] | None = None
    tracker: bool = False

    def __post_init__(self) -> None:
        one_of("op", self.op, get_args(InputOp))
        if not math.isfinite(self.amount) or (self.drawn and self.amount < 0):
            raise ValueError(f"Expected a finite amount, >= 0 if drawn (got {self.amount})")
        if self.tracker and self.op != "noise":
            raise ValueError(
                f"Expected a multiple of the tracker's noise for noise only (got {self})"
            )
        if self.frames is not None and not 0 <= self.frames[0] < self.frames[1]:
            raise ValueError(f"Expected frames 0 <= start < stop (got {self.frames})")

    def __str__(self) -> str:
        amount = f":{self.amount!r}{'x' if self.tracker else ''}" if self.op in SIZED else ""
        where = "" if self.frames is None else f"@{self.frames[0]}-{self.frames[1]}"
        return f"input:{self.op}{amount}{where}"

    @property
    def drawn(self) -> bool:
        """Whether the edit draws random numbers."""
        return self.op in ("noise", "shift")

    def apply(
        self,
        positions: Tensor,
        joints: Tensor,
        *,
        skeleton: Skeleton | None = None,
        valid: Tensor | None = None,
        seeds: Sequence[int] | np.ndarray | None = None,
    ) -> Tensor:
        """Return the edited movement.

        Parameters
        ----------
        positions
            (N, ..., T, V, M).
        joints
            (N, V) bool: the joints to edit in each row.
        skeleton
            Needed by "parent", "speed" and "angle".
        valid
            (N, T, M) bool; default: the frames in which a person is not exactly zero.
        seeds
            (N,) or (N, n) integers; rows of equal seeds draw equal numbers. Default: 0..N-1.

        Returns
        -------
        Tensor
            (N, ..., T, V, M), a new tensor.
        """
        if positions.ndim < 5 or joints.shape != (len(positions), positions.shape[-2]):
            raise ValueError(
                f"Expected movements (N, ..., T, V, M) and joint sets (N, V) "
                f"(got {tuple(positions.shape)} and {tuple(joints.shape)})"
            )
        if self.op in SIZED and self.amount == 0:
            return positions.clone()
        joints = joints.to(positions.device)
        moved = positions.flatten(1, -4)
        frames = self._frames(moved, valid)
        if self.op in _JOINTED:
            changed = self._jointed(positions, joints, skeleton, frames).reshape(moved.shape)
        elif self.drawn:
            changed = moved + self._draw(moved, seeds)
        else:
            changed = self._still(moved, frames)
        if self.op not in ("speed", "angle"):
            chosen = frames[:, None, :, None] & joints[:, None, None, :, None]
            changed = torch.where(chosen, changed, moved)
        return changed.reshape(positions.shape)

    def _frames(self, moved: Tensor, valid: Tensor | None) -> Tensor:
        """Return the frames that may change, (N, T, M) bool."""
        present = (moved != 0).any(1).any(2) if valid is None else valid.to(moved.device)
        start, stop = self.frames or (0, moved.shape[2])
        if stop > moved.shape[2]:
            raise ValueError(f"Expected frames within 0-{moved.shape[2]} (got {start}-{stop})")
        time = torch.arange(moved.shape[2], device=moved.device)
        return present & ((time >= start) & (time < stop))[:, None]

    def _jointed(
        self, positions: Tensor, joints: Tensor, skeleton: Skeleton | None, frames: Tensor
    ) -> Tensor:
        if skeleton is None:
            raise ValueError(f"Expected a skeleton for the edit {self} (got none)")
        if self.op == "parent":
            return positions[..., list(skeleton.parents), :]
        speed, angle = (1 + self.amount, 1.0) if self.op == "speed" else (1.0, 1 + self.amount)
        return move_bones(positions, joints, skeleton, frames, speed=speed, angle=angle)

    def _still(self, moved: Tensor, frames: Tensor) -> Tensor:
        """Return each joint's first or mean pose, origin or straight path, over all frames."""
        if self.op == "mean":
            weight = frames[:, None, :, None].to(moved.dtype)
            return (moved * weight).sum(2, keepdim=True) / weight.sum(2, keepdim=True).clamp_min(1)
        if self.op == "origin":
            return torch.zeros_like(moved)
        first, last = (index[:, None, None, None] for index in first_and_last(frames))
        shape = (*moved.shape[:2], 1, *moved.shape[3:])
        start, end = (moved.gather(2, index.expand(shape)) for index in (first, last))
        if self.op == "freeze":
            return start
        time = torch.arange(moved.shape[2], device=moved.device)[:, None, None]
        share = ((time - first) / (last - first).clamp_min(1)).clamp(0, 1)
        return torch.lerp(start, end, share.to(moved.dtype))

    def _draw(self, moved: Tensor, seeds: Sequence[int] | np.ndarray | None) -> Tensor:
        rows, *shape = moved.shape
        if self.op == "noise":
            unit = tracker_noise(moved) if self.tracker else 1.0
            return self.amount * unit * normal(shape, as_keys(seeds, rows), moved)
        shape[1] = 1
        vector = normal(shape, as_keys(seeds, rows), moved)
        return self.amount * vector / vector.norm(dim=1, keepdim=True).clamp_min(1e-12)


def tracker_noise(positions: Tensor) -> Tensor:
    """Estimate the standard deviation of a tracker's noise per joint and person.

    From third differences over time, in which smooth movement nearly vanishes and white noise of
    variance s^2 has variance 20 s^2; the median makes it robust.

    Parameters
    ----------
    positions
        (N, C, T, V, M).

    Returns
    -------
    Tensor
        (N, 1, 1, V, M), in the unit of the positions.

    Raises
    ------
    ValueError
        For windows of fewer than four frames.
    """
    if positions.shape[2] <= _DIFFERENCES:
        raise ValueError(
            f"Expected windows of at least {_DIFFERENCES + 1} frames to tell a tracker's noise "
            f"from movement (got {positions.shape[2]})"
        )
    rough = positions.diff(n=_DIFFERENCES, dim=2).abs().flatten(1, 2)
    return 1.4826 / 20**0.5 * rough.median(dim=1).values[:, None, None]
