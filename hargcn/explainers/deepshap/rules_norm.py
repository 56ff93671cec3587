"""Rule of a layer norm as one operation, whose statistics for the background are taken once.

With c = x - mean(x) and r = (mean(c^2) + eps)^(-1/2), y = c r w. By the Shapley values of the
product and the secants of square and root, as if the operations were spelled out (Lundberg and Lee
2017)::

    a = grad w,  s = c + c0,  m = (a - mean(a)) (r + r0) / 2 - s mean(a s) (r r0)^2 / (r + r0) / 2
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from hargcn.explainers.deepshap.fused import norm_multipliers
from hargcn.explainers.deepshap.rules import Operation


def norm_rule(op: Operation, grad: Tensor) -> list[Tensor | None]:
    """Rule of a layer norm of constant weights over its last axes."""
    layout, axes = op.step.layouts[0], len(op.argument("normalized_shape", 1))
    eps, weight = float(op.argument("eps", 4, 1e-5)), op.argument("weight", 2)
    if op.kept is None:
        op.background = (op.background[0].contiguous(),)
        op.kept = _statistics(op.background[0].flatten(-axes), eps)
    x0, x, multipliers = op.background[0], op.sample[0][0], grad.contiguous()
    if layout.axis is None or layout.outer > 1:  # samples lie apart: compare whole tensors
        x = layout.spread(x, op.n)
        parts = [t[None].flatten(-axes) for t in (x, x0, multipliers)]
        statistics0 = [t[None] for t in op.kept]
    else:
        pairs = ((x, 1), (x0, op.n), (multipliers, op.n))
        parts = [layout.rows(t, n).flatten(-axes) for t, n in pairs]
        statistics0 = [t.reshape(parts[1].shape[:-1]) for t in op.kept]
    x, x0, multipliers = parts
    ones = torch.ones(x0.shape[-1], dtype=x0.dtype, device=x0.device)
    weight = ones if weight is None else weight.flatten()
    given = (x, _statistics(x, eps), weight, x0, statistics0, multipliers)
    found = norm_multipliers(*given)
    return [(_passes(*given) if found is None else found).view_as(grad)]


def _statistics(x: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    """Mean over the last axis and 1 / sqrt(variance + eps)."""
    mean = x.mean(-1, keepdim=True)
    return mean[..., 0], ((x - mean).square().mean(-1) + eps).rsqrt()


def _passes(
    x: Tensor,
    statistics: Sequence[Tensor],
    weight: Tensor,
    x0: Tensor,
    statistics0: Sequence[Tensor],
    grad: Tensor,
) -> Tensor:
    """`norm_multipliers` in torch's own passes, for any device and size."""
    (mean, r), (mean0, r0) = ([t[..., None] for t in pair] for pair in (statistics, statistics0))
    both, arriving = (x - mean) + (x0 - mean0), grad * weight
    moment = (arriving * both).mean(-1, keepdim=True) * (r * r0) ** 2 / (r + r0)
    level = arriving.mean(-1, keepdim=True)
    return (arriving - level) * (r + r0) / 2 - both * moment / 2
