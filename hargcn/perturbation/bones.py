"""Movements of single bones that keep every bone's length: slower, faster, wider, narrower.

A bone is the vector from a joint's parent to the joint. Changing its direction over time carries
everything behind the joint along, so a body stays a body whatever is asked of it.
"""

from __future__ import annotations

import torch
from torch import Tensor

from hargcn.skeleton import Skeleton

_TINY = 1e-6


def move_bones(
    positions: Tensor,
    joints: Tensor,
    skeleton: Skeleton,
    frames: Tensor,
    *,
    speed: float = 1.0,
    angle: float = 1.0,
) -> Tensor:
    """Play chosen bones at another speed or with another swing.

    Parameters
    ----------
    positions
        (N, C, T, V, M), C = 2 or 3 coordinates.
    joints
        (N, V) bool: the joints at the outer ends of the bones to move.
    skeleton
        Its parents say which joint hangs on which.
    frames
        (N, T, M) bool: the frames that may change, and from which pace and mean are taken.
    speed
        At frame t a bone points where it pointed at first + speed (t - first), running back and
        forth between the first and the last of `frames`; 0 stands still.
    angle
        The angle between a bone and its mean direction is multiplied by this; 0 stands still.

    Returns
    -------
    Tensor
        (N, C, T, V, M); every bone is as long as before, joints behind a moved one travel along.
    """
    change = _turned(positions, skeleton, frames, speed, angle)
    chosen = joints.to(positions)[:, None, None, :, None]
    return positions + carry_along(change * chosen, skeleton)


def held_bones(positions: Tensor, skeleton: Skeleton, frames: Tensor) -> Tensor:
    """Return what must be added to each joint for its bone to keep its first direction.

    The root, which has no bone, is put where it was first. `carry_along` gives what that does to
    the joints behind: those whose change is not taken move relative to their parent as before.

    Parameters
    ----------
    positions, skeleton, frames
        As for `move_bones`.

    Returns
    -------
    Tensor
        (N, C, T, V, M) of each joint alone, its parent where it is.
    """
    change = _turned(positions, skeleton, frames, 0.0, 1.0)
    first = first_and_last(frames)[0][:, None, None, None]
    start = positions.gather(2, first.expand(*positions.shape[:2], 1, *positions.shape[3:]))
    still = (start - positions) * frames[:, None, :, None]
    own = torch.tensor([j == parent for j, parent in enumerate(skeleton.parents)])
    return torch.where(own.to(positions.device)[:, None], still, change)


def carry_along(changes: Tensor, skeleton: Skeleton) -> Tensor:
    """Return how far joints move where each one's change carries all joints behind it.

    Parameters
    ----------
    changes
        (..., V, M) of each joint alone.
    skeleton
        Its parents say which joint hangs on which.
    """
    return torch.einsum("...um,vu->...vm", changes, _behind(skeleton).to(changes))


def _turned(
    positions: Tensor, skeleton: Skeleton, frames: Tensor, speed: float, angle: float
) -> Tensor:
    """Return how far each joint moves where its bone alone is played otherwise."""
    if positions.ndim != 5 or positions.shape[1] not in (2, 3):
        raise ValueError(
            f"Expected positions (N, C, T, V, M) with C = 2 or 3 to move bones "
            f"(got shape {tuple(positions.shape)})"
        )
    offsets = positions - positions[:, :, :, list(skeleton.parents)]
    length = offsets.norm(dim=1, keepdim=True)
    direction = offsets / length.clamp_min(_TINY)
    weight = frames[:, None, :, None].to(positions.dtype)
    turned = direction if speed == 1 else _warp(direction, frames, speed)
    turned = turned if angle == 1 else _swing(turned, weight, angle)
    return (turned - direction) * length * weight


def first_and_last(frames: Tensor) -> tuple[Tensor, Tensor]:
    """Return the index of the first and the last true frame of (N, T, M), each (N, M)."""
    marked = frames.to(torch.uint8)
    last = frames.shape[1] - 1 - marked.flip(1).argmax(1)
    return marked.argmax(1), last


def _swing(direction: Tensor, weight: Tensor, factor: float) -> Tensor:
    """Scale the angle between (N, C, T, V, M) unit vectors and their mean over time."""
    mean = (direction * weight).sum(2, keepdim=True)
    mean = mean / mean.norm(dim=1, keepdim=True).clamp_min(_TINY)
    cosine = (direction * mean).sum(1, keepdim=True).clamp(-1, 1)
    across = direction - cosine * mean
    sine = across.norm(dim=1, keepdim=True)
    angle = factor * torch.atan2(sine, cosine)
    turned = torch.cos(angle) * mean + torch.sin(angle) * across / sine.clamp_min(_TINY)
    return torch.where(sine > _TINY, turned, direction)


def _warp(direction: Tensor, frames: Tensor, factor: float) -> Tensor:
    """Read (N, C, T, V, M) unit vectors at another pace, there and back again at the ends."""
    first, last = first_and_last(frames)
    time = torch.arange(direction.shape[2], device=direction.device)[None, :, None]
    span = (last - first).clamp_min(1)[:, None]
    phase = ((time - first[:, None]) * factor).remainder(2 * span)
    at = first[:, None] + torch.where(phase > span, 2 * span - phase, phase)
    low = at.floor().long().clamp(0, direction.shape[2] - 1)
    high = (low + 1).clamp_max(direction.shape[2] - 1)
    share = (at - low)[:, None, :, None]

    def read(index: Tensor) -> Tensor:
        return direction.gather(2, index[:, None, :, None].expand_as(direction))

    between = torch.lerp(read(low), read(high), share.to(direction.dtype))
    norm = between.norm(dim=1, keepdim=True)
    return torch.where(norm > _TINY, between / norm.clamp_min(_TINY), direction)


def _behind(skeleton: Skeleton) -> Tensor:
    """Return (V, V) with 1 where moving the bone of joint u (column) carries joint v (row)."""
    carries = torch.zeros(skeleton.n_joints, skeleton.n_joints)
    for joint in range(skeleton.n_joints):
        at = joint
        while not carries[joint, at]:  # up to the root, its own parent
            carries[joint, at] = 1
            at = skeleton.parents[at]
    return carries
