"""Relative attributing propagation: relevance of a layer as a whole, sample by sample."""

from __future__ import annotations

import torch
from torch import Tensor

from hargcn.explainers.deepshap.alignment import Layout
from hargcn.explainers.deepshap.rules import Operation


def sample_sums(value: Tensor, layout: Layout, n: int) -> Tensor:
    """Sum over everything but the samples, (n,); in double precision."""
    if layout.axis is None:  # the same for every sample: each has its share
        return (value.double().sum() / n).expand(n)
    return layout.rows(value.double(), n).reshape(n, -1).sum(1)


def shared_by_size(op: Operation, relevance: Tensor, contributions: Tensor) -> Tensor:
    """Share what a layer received by the size of its contributions, of either sign.

    Parameters
    ----------
    op
        The layer.
    relevance
        What it received.
    contributions
        To the score, shaped like its argument.
    """
    sizes, (layout,), n = contributions.abs(), op.step.layouts, op.n
    received = sample_sums(relevance, op.step.output_layouts[0], n)
    total = sample_sums(sizes, layout, n)
    share = torch.where(total > 0, received / total, 0).to(sizes)
    return _scaled(sizes, layout, share)


def shifted(op: Operation, relevance: Tensor, found: Tensor) -> Tensor:
    """Take the same from everything that has relevance, so that the sum is what was received.

    Parameters
    ----------
    op
        The layer.
    relevance
        What it received.
    found
        Relevance of its argument, before.
    """
    (layout,), n = op.step.layouts, op.n
    some = (found != 0).to(found.dtype)
    more = sample_sums(found, layout, n) - sample_sums(relevance, op.step.output_layouts[0], n)
    each = more / sample_sums(some, layout, n).clamp(min=1)
    return found - _scaled(some, layout, each.to(found))


def _scaled(value: Tensor, layout: Layout, factors: Tensor) -> Tensor:
    """Multiply each sample's part by its own factor (n,)."""
    if layout.axis is None:
        return value * factors.mean()
    n = len(factors)
    made = value.contiguous().clone()
    rows = layout.rows(made, n)
    rows *= factors.view(n, *[1] * (rows.ndim - 1))
    return made
