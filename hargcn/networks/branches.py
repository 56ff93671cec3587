"""From positions to the branches J, V, B, A. Knows no data-set names; differentiable."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from hargcn.outputs import Outputs, outputs_of
from hargcn.skeleton import Skeleton

if TYPE_CHECKING:
    from hargcn.data.windows import Batch
    from hargcn.networks.network import SkeletonNetwork

BRANCHES = ("J", "V", "B", "A")
_CHANNELS = {
    "J": ("{}", "relative {}"),
    "V": ("velocity {} over 1 frame", "velocity {} over 2 frames"),
    "B": ("bone {}", "bone angle {}"),
    "A": ("acceleration {} over 1 frame", "acceleration {} over 2 frames"),
}
_PADDING = 27  # samples that scipy's sosfiltfilt needs for an order of 8
POSITION_DIMS = ("sample", "channel", "time", "joint", "person")


def branches(
    positions: Tensor,
    skeleton: Skeleton,
    names: Sequence[str] = BRANCHES,
    valid: Tensor | None = None,
    smooth: bool = False,
    rescale: bool = False,
) -> Tensor:
    """Compute the input branches of a network from key points.

    J = [p, p - p(reference)]; V = [p(t+1) - p(t), (p(t+2) - p(t)) / 2];
    B = [p - p(parent), arccos(bone_c / (|bone| + 1e-4))]; A = V's two differences of V's first
    (Song et al. 2022, EfficientGCN, section 3.2; Tempel et al. 2024).

    Parameters
    ----------
    positions
        (N, C, T, V, M) key points in the unit of the preprocessing, C = 2 or 3.
    skeleton
        The layout of the V joints.
    names
        The branches wanted, in their order.
    valid
        (N, T, M) bool, where a person is present; by default wherever any coordinate is not 0.
    smooth
        Low-pass V (Butterworth order 8, Wn 0.5, zero phase) before differentiating it for A.
    rescale
        Stretch each quantity of a window to [-1, 1], all its coordinates by one factor.

    Returns
    -------
    Tensor
        (N, I, 2C, T, V, M); exactly 0 where a person is absent, and differences that would reach
        past a person's last frame are 0.
    """
    if positions.ndim != 5 or positions.shape[1] not in (2, 3):
        raise ValueError(f"Expected positions (N, 2 or 3, T, V, M) (got {tuple(positions.shape)})")
    if positions.shape[3] != skeleton.n_joints:
        raise ValueError(
            f"Expected the {skeleton.n_joints} joints of skeleton {skeleton.name} "
            f"(got {positions.shape[3]})"
        )
    unknown = set(names) - set(BRANCHES)
    if unknown:
        raise ValueError(f"Expected branches of {BRANCHES} (got {sorted(unknown)})")
    if valid is None:
        # Of arithmetic alone, so that presence too can be credited to positions.
        mask = positions.abs().sum(dim=(1, 3), keepdim=True).sign()
    else:
        mask = valid[:, None, :, None, :].to(positions.dtype)
    # Of every joint: a product along whole frames takes a third of one that is spread over joints.
    mask = mask.expand(-1, -1, -1, positions.shape[3], -1).contiguous()
    positions = positions * mask
    made: dict[str, Callable[[], list[Tensor]]] = {
        "J": lambda: _joints(positions, skeleton),
        "V": lambda: _differences(positions, mask, mask),
        "B": lambda: _bones(positions, skeleton, mask),
        "A": lambda: _acceleration(positions, mask, smooth),
    }
    # All quantities are laid down at once: branch by branch, each was written twice.
    parts = [part for name in names for part in made[name]()]
    out = torch.cat(parts, dim=1).unflatten(1, (len(names), -1))
    return _stretched(out, mask[:, None]) * mask[:, None] if rescale else out


def channel_names(names: Sequence[str], ndim: int) -> dict[str, list[str]]:
    """Return what each of a branch's 2 * `ndim` channels is, by branch."""
    return {
        name: [form.format(axis) for form in _CHANNELS[name] for axis in "xyz"[:ndim]]
        for name in names
    }


def shared_channel_names(ndim: int) -> list[str]:
    """Return names of the channels that are true in every branch: each has two quantities."""
    return [f"{which} {axis}" for which in ("first", "second") for axis in "xyz"[:ndim]]


def placed(batch: Batch, model: nn.Module) -> tuple[Tensor, Tensor]:
    """Return a batch's positions and valid on a network's device, positions in its type."""
    weights = next(model.parameters(), torch.empty(0))  # a network may have none
    positions = torch.from_numpy(batch.positions).to(weights.device, weights.dtype)
    return positions, torch.from_numpy(batch.valid).to(weights.device)


class PositionModel(nn.Module):
    """A network together with its features, so that raw coordinates can be explained.

    J, V, B and A are functions of the same positions: attributions carried back to positions by
    the chain rule count every movement once.

    Parameters
    ----------
    model
        A network with a method `features(positions, valid)`.
    """

    input_dims = POSITION_DIMS

    def __init__(self, model: SkeletonNetwork) -> None:
        super().__init__()
        self.model = model
        self.skeleton = model.skeleton
        self.axis_names = {**model.axis_names, "channel": list("xyz"[: self.skeleton.ndim])}

    @property
    def outputs(self) -> Outputs:
        """What the network's outputs are."""
        return outputs_of(self.model)

    def inputs(self, batch: Batch) -> Tensor:
        """Return what the network takes for windows: positions (N, C, T, V, M)."""
        return placed(batch, self)[0]

    def forward(self, positions: Tensor) -> Tensor:
        """Return the logits (N, classes) of positions (N, C, T, V, M)."""
        return self.model(self.model.features(positions))


def _stretched(values: Tensor, mask: Tensor) -> Tensor:
    """Map the least and the largest value of each window and quantity to -1 and 1."""
    halves = values.unflatten(2, (2, -1))
    absent = ~mask[:, :, None].bool()
    over = (3, 4, 5, 6)
    low = halves.masked_fill(absent, torch.inf).amin(over, keepdim=True)
    high = halves.masked_fill(absent, -torch.inf).amax(over, keepdim=True)
    # What never changes has no range: it becomes -1.
    span = torch.where(high > low, high - low, 1)
    low = torch.where(low.isfinite(), low, 0)  # a window without anybody
    return (2 * (halves - low) / span - 1).flatten(2, 3)


def _joints(positions: Tensor, skeleton: Skeleton) -> list[Tensor]:
    at = skeleton.reference
    return [positions, positions - positions[:, :, :, at : at + 1]]


def _differences(values: Tensor, here: Tensor, there: Tensor) -> list[Tensor]:
    """Forward differences over one frame and half of those over two."""
    return [_difference(values, here, there, step) for step in (1, 2)]


def _difference(values: Tensor, here: Tensor, there: Tensor, step: int) -> Tensor:
    """Mean forward difference over some frames, 0 where either end is missing."""
    missing = (0, 0, 0, 0, 0, min(step, values.shape[2]))
    ahead = nn.functional.pad(values[:, :, step:], missing)
    both = here * nn.functional.pad(there[:, :, step:], missing)
    # Padded before, not after: relevance that lands on the last frames then stays on positions.
    return (ahead - values) * (both / step)


def _bones(positions: Tensor, skeleton: Skeleton, mask: Tensor) -> list[Tensor]:
    parents = torch.tensor(skeleton.parents, device=positions.device)
    bone = positions - positions.index_select(3, parents)
    # The root has no bone; a plain norm has no gradient at 0.
    length = (bone * bone).sum(dim=1, keepdim=True).clamp(min=1e-12).sqrt()
    return [bone, torch.acos(bone / (length + 1e-4)) * mask]


def _acceleration(positions: Tensor, mask: Tensor, smooth: bool) -> list[Tensor]:
    velocity = _difference(positions, mask, mask, 1)
    if smooth:
        matrix = torch.as_tensor(_lowpass(velocity.shape[2]), dtype=velocity.dtype)
        velocity = torch.einsum("nctvm,ts->ncsvm", velocity, matrix.to(velocity.device))
    # Velocity is known up to the last frame but one only: no jump to 0 there.
    known = mask * nn.functional.pad(mask[:, :, 1:], (0, 0, 0, 0, 0, 1))
    return _differences(velocity, mask, known)


@lru_cache(maxsize=4)
def _lowpass(frames: int) -> np.ndarray:
    """Return the zero-phase Butterworth filter as a (T, T) matrix: it is linear in the signal."""
    from scipy.signal import butter, sosfiltfilt

    sections = butter(8, 0.5, output="sos")
    # scipy's own padding, cut where the window is shorter than it.
    pad = {} if frames > _PADDING else {"padlen": frames - 1}
    return np.array(sosfiltfilt(sections, np.eye(frames), axis=0, **pad).T)
