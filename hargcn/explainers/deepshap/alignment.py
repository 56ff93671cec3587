"""Where a tensor inside a network keeps its samples, so that one sample is compared with many.

A network run on ``n`` samples holds tensors whose sample axis may be folded with others (persons or
attention heads folded into the batch) or moved. `Layout` says where the samples are, found by
comparing a run on two samples with the runs on each of them alone: an empirical answer that needs
no convention of the network, and notices a network that mixes its samples. Where these differ, the
same sample beside others, in batches of one size, tells mixing from rounding.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

# One sample and a batch may take different code paths in the linear algebra library: equal values
# differ by float noise, the values of two samples by far more than the tolerance.
NOISE = 2e-6
TOLERANCE = 1e-3


@dataclass(frozen=True)
class Layout:
    """Place of the samples: for ``n`` of them, one axis has ``outer * n * inner`` entries.

    Attributes
    ----------
    axis : int or None
        Axis counted from the end (negative); ``None`` where every sample has the same tensor.
    outer, inner : int
        Entries of that axis in front of and behind the sample index. Persons folded sample-major
        into the batch have ``outer = 1, inner = persons``.
    """

    axis: int | None
    outer: int = 1
    inner: int = 1

    @property
    def folded(self) -> bool:
        """Whether the sample axis holds something besides the samples."""
        return self.outer * self.inner > 1

    def split(self, tensor: Tensor, n: int) -> Tensor:
        """View a tensor of ``n`` samples with its sample axis as three: (outer, n, inner)."""
        assert self.axis is not None
        return tensor.unflatten(self.axis, (self.outer, n, self.inner))

    def rows(self, tensor: Tensor, n: int) -> Tensor:
        """View a tensor of ``n`` samples as (n, ...)."""
        if self.axis is None:
            return tensor.unsqueeze(0).expand(n, *tensor.shape)
        return self.split(tensor, n).movedim(tensor.ndim + self.axis + 1, 0)

    def spread(self, tensor: Tensor, n: int) -> Tensor:
        """Repeat one sample's tensor for ``n`` samples: a view unless the axis is folded."""
        if self.axis is None or n == 1:
            return tensor
        if not self.folded:
            shape = list(tensor.shape)
            shape[self.axis] = n
            return tensor.expand(shape)
        apart = self.split(tensor, 1)
        shape = list(apart.shape)
        first = tensor.ndim + self.axis
        shape[first + 1] = n
        return apart.expand(shape).flatten(first, first + 2)


def layouts_of(both: Tensor, one: Tensor) -> list[Layout]:
    """Return where the shapes of a tensor for two samples and for one allow the samples to be."""
    if both.shape == one.shape:
        return [Layout(None)]
    changed = [i for i, (a, b) in enumerate(zip(both.shape, one.shape, strict=False)) if a != b]
    if both.ndim != one.ndim or len(changed) != 1:
        return []
    (axis,) = changed
    size = one.shape[axis]
    if both.shape[axis] != 2 * size:
        return []
    outers = [k for k in range(1, size + 1) if size % k == 0] or [1]
    return [Layout(axis - both.ndim, k, size // k) for k in outers]


def find_layout(both: Tensor, first: Tensor, second: Tensor) -> Layout | None:
    """Find the layout of a tensor from its values for two samples together and for each alone.

    Where several layouts explain the values equally well, the one with the smallest ``outer``
    (sample-major) is taken. None where none does: then the network mixes the samples of a batch,
    or magnifies the rounding by which a batch differs from its samples (see `exact_layout`).
    """
    candidates = layouts_of(both, first)
    errors = [_misfit(layout, both, first, second, 1) for layout in candidates]
    if not errors or not min(errors) <= TOLERANCE:
        return None
    # Several folds may fit where values hardly differ: take the first that is about the best.
    bound = max(2 * min(errors), NOISE)
    return next(k for k, error in zip(candidates, errors, strict=True) if error <= bound)


def exact_layout(both: Tensor, firsts: Tensor, seconds: Tensor, one: Tensor) -> Layout | None:
    """Find the layout by which a sample has the very same values beside any other.

    Batches of one size take one path through the linear algebra library: rounding is equal, and
    what differs at all is owed to the other sample.

    Parameters
    ----------
    both, firsts, seconds
        Values for two samples, for the first one twice, and for the second one twice.
    one
        Values for one of them alone, for their shape.
    """
    for layout in layouts_of(both, one):
        if _misfit(layout, both, firsts, seconds, 2) == 0:
            return layout
    return None


def _misfit(layout: Layout, both: Tensor, first: Tensor, second: Tensor, n: int) -> float:
    """Largest difference between the two rows and those of each sample, alone or ``n`` times."""
    rows = layout.rows(both, 2)
    own = (layout.rows(first, n)[0], layout.rows(second, n)[-1])
    return max(difference(row, one) for row, one in zip(rows, own, strict=True))


def difference(a: Tensor, b: Tensor) -> float:
    """Largest difference of two tensors of one shape, in units of the second one's largest value.

    Infinite where whole numbers, truth values or the places of infinities differ at all.
    """
    if not (a.is_floating_point() or a.is_complex()):
        return 0.0 if torch.equal(a, b) else math.inf
    if not b.numel():
        return 0.0
    largest, scale = float((a - b).abs().max()), float(b.abs().max())
    if not math.isfinite(largest):
        finite = torch.isfinite(b)
        odd = (t[~finite].nan_to_num(0.0, 1.0, -1.0) for t in (a, b))
        if not (torch.equal(finite, torch.isfinite(a)) and torch.equal(*odd)):
            return math.inf
        return difference(a[finite], b[finite])
    return largest / max(scale, torch.finfo(b.dtype).tiny)
