"""Augmentation: random changes of a batch of movements that leave its classes known.

All functions work on whole batches on any device and draw from the generator they are given, on
the CPU, so that one seed gives the same numbers on every device. Rotation, scaling and mirroring
keep the origin where it is: centre the recordings first.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Generator, Tensor

from hargcn.outputs import Outputs
from hargcn.skeleton import Skeleton

VERTICAL = {"y": 1, "-y": 1, "z": 2}


class AugmentConfig(BaseModel):
    """Which changes a training batch meets, how strong and how often.

    Parameters
    ----------
    rotation
        Largest turn in degrees: about the vertical axis in 3D, in the image plane in 2D.
    rotation_p
        Probability that a window is turned, or tilted.
    tilt
        Largest turn in degrees about each of the two horizontal axes; 3D only.
    scaling
        Largest relative change of size.
    scaling_p
        Probability that a window is scaled.
    shift
        Largest displacement of a whole window along each axis, in the unit of the positions.
    shift_p
        Probability that a window is displaced.
    noise
        Standard deviation of the noise on every coordinate, in the unit of the positions.
    noise_p
        Probability that a window gets noise.
    crop
        Smallest share of a recording that a random stretch of it keeps; the stretch is resampled to
        the recording's full length, so that the speed changes too. 1 leaves the time as it is.
    crop_p
        Probability that a window is cropped.
    mirror
        Probability of exchanging left and right. Needs `mirror_labels`.
    mirror_labels
        What mirroring does to the classes: "invariant" (nothing), or the pairs of classes which it
        turns into each other (all the other classes stay). Of a regression and of several labels
        the pairs of outputs which it exchanges; levels have none.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    rotation: float = Field(15.0, ge=0, le=180)
    rotation_p: float = Field(1.0, ge=0, le=1)
    tilt: float = Field(5.0, ge=0, le=180)
    scaling: float = Field(0.1, ge=0, lt=1)
    scaling_p: float = Field(1.0, ge=0, le=1)
    shift: float = Field(0.0, ge=0)
    shift_p: float = Field(1.0, ge=0, le=1)
    noise: float = Field(0.01, ge=0)
    noise_p: float = Field(0.5, ge=0, le=1)
    crop: float = Field(0.8, gt=0, le=1)
    crop_p: float = Field(0.5, ge=0, le=1)
    mirror: float = Field(0.0, ge=0, le=1)
    mirror_labels: Literal["invariant"] | tuple[tuple[str, str], ...] | None = None

    @model_validator(mode="after")
    def _labels_known(self) -> AugmentConfig:
        if self.mirror and self.mirror_labels is None:
            raise ValueError(
                "Expected mirror_labels with mirror > 0: 'invariant', or the pairs of classes that "
                "mirroring swaps (got none)"
            )
        return self


class Augment:
    """The changes of an `AugmentConfig`, for one skeleton and one list of classes.

    Parameters
    ----------
    config
        What to do.
    skeleton
        Gives the mirror pairs and the axis that points up.
    classes
        Class names in the order of the labels, or what else the outcomes are.

    Raises
    ------
    ValueError
        Mirroring is asked for a skeleton without mirror pairs, or a mirrored class is unknown or
        stands in two pairs, or is a level.
    """

    def __init__(
        self, config: AugmentConfig, skeleton: Skeleton, classes: Sequence[str] | Outputs
    ) -> None:
        outputs = Outputs.of(classes)
        self.config, self.skeleton, classes = config, skeleton, outputs.names
        self.mirrored_label = torch.arange(len(classes))
        if not config.mirror:
            return
        if not skeleton.mirror:
            raise ValueError(
                f"Expected mirror pairs in skeleton {skeleton.name} to mirror (got none)"
            )
        pairs = () if config.mirror_labels in ("invariant", None) else config.mirror_labels
        if pairs and outputs.kind == "ordinal":
            raise ValueError(
                f"Expected mirror_labels 'invariant' for levels (got {[list(p) for p in pairs]})"
            )
        named = [name for pair in pairs for name in pair]
        unknown = sorted(set(named) - set(classes))
        if unknown or len(set(named)) < len(named):
            raise ValueError(
                f"Expected mirror_labels to name each of the classes {list(classes)} at most once "
                f"(got {[list(pair) for pair in pairs]})"
            )
        for pair in pairs:
            a, b = (list(classes).index(name) for name in pair)
            self.mirrored_label[a], self.mirrored_label[b] = b, a

    def __call__(
        self, positions: Tensor, valid: Tensor, labels: Tensor, generator: Generator
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return a changed copy of a batch.

        Parameters
        ----------
        positions
            (N, C, T, V, M), 0 where a person is absent.
        valid
            (N, T, M) bool: the person is present in the frame.
        labels
            (N,) integers, or (N, output) outcomes.
        generator
            A CPU generator; equal states give equal results.

        Returns
        -------
        tuple of Tensor
            Positions, valid and labels in the same shapes; absent persons and frames are exactly 0.
        """
        c = self.config
        if c.crop < 1:
            positions, valid = crop(positions, valid, generator, c.crop, c.crop_p)
        if c.mirror:
            chosen = _chosen(len(labels), c.mirror, generator).to(labels.device)
            swapped = mirror(positions, self.skeleton)
            positions = torch.where(_over(chosen), swapped, positions)
            other = self.mirrored_label.to(labels.device)
            if labels.ndim == 1:
                labels = torch.where(chosen, other[labels], labels)
            else:
                labels = torch.where(chosen[:, None], labels[:, other], labels)
        if c.rotation or c.tilt:
            up = self.skeleton.up
            positions = rotate(positions, generator, c.rotation, c.tilt, c.rotation_p, up)
        if c.scaling:
            positions = scale(positions, generator, c.scaling, c.scaling_p)
        if c.shift:
            positions = shift(positions, generator, c.shift, c.shift_p)
        if c.noise:
            positions = jitter(positions, generator, c.noise, c.noise_p)
        return torch.where(valid[:, None, :, None, :], positions, 0.0), valid, labels


def rotate(
    positions: Tensor,
    generator: Generator,
    degrees: float,
    tilt: float = 0.0,
    probability: float = 1.0,
    up: str = "y",
) -> Tensor:
    """Turn every sample about the origin by its own angles, drawn uniformly.

    Parameters
    ----------
    positions
        (N, C, T, V, M), C = 2 or 3.
    generator
        Source of the angles.
    degrees
        Largest angle about the vertical axis (3D) or in the plane (2D).
    tilt
        Largest angle about the other two axes (3D).
    probability
        How often a sample is turned at all.
    up
        The vertical axis as a `Skeleton` names it.

    Returns
    -------
    Tensor
        (N, C, T, V, M).
    """
    n, dims = positions.shape[:2]
    axis = VERTICAL[up] if dims == 3 else 2
    largest = torch.full((3,), tilt if dims == 3 else 0.0)
    largest[axis] = degrees
    vectors = (2 * torch.rand(n, 3, generator=generator) - 1) * largest * (math.pi / 180)
    vectors = vectors * _chosen(n, probability, generator)[:, None]
    # The exponential of the cross-product matrix of a vector turns about it by its length.
    cross = torch.linalg.cross(vectors[:, None], torch.eye(3)[None]).mT
    turns = torch.linalg.matrix_exp(cross)[:, :dims, :dims].to(positions)
    return torch.einsum("nij,njtvm->nitvm", turns, positions)


def scale(
    positions: Tensor, generator: Generator, amount: float, probability: float = 1.0
) -> Tensor:
    """Multiply every sample by its own factor, uniform in [1 - amount, 1 + amount]."""
    n = len(positions)
    change = (2 * torch.rand(n, generator=generator) - 1) * amount
    factor = 1 + change * _chosen(n, probability, generator)
    return positions * _over(factor.to(positions))


def shift(
    positions: Tensor, generator: Generator, amount: float, probability: float = 1.0
) -> Tensor:
    """Displace every sample along each axis by its own length, uniform in [-amount, amount]."""
    n, dims = positions.shape[:2]
    by = (2 * torch.rand(n, dims, generator=generator) - 1) * amount
    by = by * _chosen(n, probability, generator)[:, None]
    return positions + _over(by.to(positions), 2)


def jitter(
    positions: Tensor, generator: Generator, sigma: float, probability: float = 1.0
) -> Tensor:
    """Add independent Gaussian noise to every coordinate of the chosen samples."""
    noise = torch.randn(positions.shape, generator=generator) * sigma
    chosen = _chosen(len(positions), probability, generator)
    return positions + (noise * _over(chosen)).to(positions)


def crop(
    positions: Tensor, valid: Tensor, generator: Generator, share: float, probability: float = 1.0
) -> tuple[Tensor, Tensor]:
    """Stretch a random part of every sample over the sample's whole length.

    Frames after the last one with anybody in it are padding and stay so. Positions are interpolated
    linearly where both neighbours are valid, and taken from the nearer frame elsewhere.

    Parameters
    ----------
    positions
        (N, C, T, V, M).
    valid
        (N, T, M) bool.
    generator
        Source of the part's length and place.
    share
        The part's length is uniform in [share, 1] of the sample's.
    probability
        How often a sample is cropped at all.

    Returns
    -------
    tuple of Tensor
        Positions (N, C, T, V, M) and valid (N, T, M).
    """
    n, _, frames = positions.shape[:3]
    draws = torch.rand(2, n, generator=generator)
    kept = 1 - (1 - share) * draws[0] * _chosen(n, probability, generator)
    kept, place = kept.to(positions)[:, None], draws[1].to(positions)[:, None]
    index = torch.arange(frames, device=positions.device)
    last = (valid.any(dim=2) * index).amax(dim=1, keepdim=True)
    source = place * (1 - kept) * last + kept * index
    source = torch.where(index <= last, source.clamp(max=last), index)
    low = source.floor().long()
    high = (low + 1).clamp(max=frames - 1)
    weight = source - low
    sample = torch.arange(n, device=positions.device)[:, None]
    moved = positions.transpose(1, 2)  # frames second, so that one pair of indices picks them
    a, b = moved[sample, low], moved[sample, high]
    near = torch.where(weight < 0.5, low, high)
    both = (valid[sample, low] & valid[sample, high])[:, :, None, None, :]
    mixed = torch.where(both, torch.lerp(a, b, _over(weight, 2)), moved[sample, near])
    return mixed.transpose(1, 2), valid[sample, near]


def mirror(positions: Tensor, skeleton: Skeleton) -> Tensor:
    """Exchange left and right: reflect the first coordinate and swap the mirror pairs of joints.

    Parameters
    ----------
    positions
        (N, C, T, V, M).
    skeleton
        Gives the pairs.

    Returns
    -------
    Tensor
        (N, C, T, V, M).
    """
    order = list(range(skeleton.n_joints))
    for left, right in skeleton.mirror:
        order[left], order[right] = right, left
    sign = positions.new_ones(positions.shape[1])
    sign[0] = -1
    return positions[:, :, :, order] * sign[:, None, None, None]


def _chosen(n: int, probability: float, generator: Generator) -> Tensor:
    return torch.rand(n, generator=generator) < probability


def _over(values: Tensor, leading: int = 1) -> Tensor:
    """Append axes of length 1, so that (N,) or (N, T) values spread over a batch of five axes."""
    return values.reshape(*values.shape, *[1] * (5 - leading))
