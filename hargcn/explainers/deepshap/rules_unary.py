"""Rules of functions of one input: the slope of the secant from background to sample.

Sources: Shrikumar et al. 2017, DeepLIFT, section 3.5.1 (rescale rule); Lundberg and Lee 2017.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor

from hargcn.explainers.deepshap.fused import RESTS, lost_digits, secants
from hargcn.explainers.deepshap.rules import Operation, register_rule

# Elements per step of the hot loop: its passes then meet their data in the cache.
BLOCK = 1 << 18

NOISE = 8
"""By how many roundings equal inputs may differ: one sample takes other kernels than a batch."""

EXACT = ("relu", "relu6", "hardtanh", "abs", "absolute")
"""Functions whose differences are those of their inputs, and lose no digit."""


def reduce_to(grad: Tensor, like: Tensor) -> Tensor:
    """Sum a tensor over the axes along which ``like`` was broadcast."""
    return grad if grad.shape == like.shape else grad.sum_to_size(like.shape)


def gradient(op: Operation, operands: Sequence[Tensor], grad: Tensor) -> list[Tensor]:
    """Vector-Jacobian product of the operation at ``operands``."""
    with torch.enable_grad():
        points = [x.detach().requires_grad_() for x in operands]
        y = op.call(*points)
        y = y if isinstance(y, Tensor) else y[0]
        if not y.requires_grad:
            return [torch.zeros_like(x) for x in operands]
        found = torch.autograd.grad(y, points, grad, allow_unused=True)
    return [torch.zeros_like(x) if g is None else g for x, g in zip(operands, found, strict=True)]


def slope(op: Operation, x: Tensor, x0: Tensor, y: Tensor, y0: Tensor) -> Tensor:
    """Give (y - y0) / (x - x0), and the gradient at x0 where the difference is float noise."""
    dx = x - x0
    noise = 16 * torch.finfo(dx.dtype).eps * torch.maximum(x.abs(), x0.abs())
    flat = dx.abs() <= noise
    secant = (y - y0) / dx
    if not bool(flat.any()):
        return secant
    (tangent,) = gradient(op, [x0], torch.ones_like(y0))
    # An infinite tangent (sqrt at 0) is no answer: the secant, or 0 where nothing changes.
    tangent = torch.where(tangent.isfinite(), tangent, torch.where(dx == 0, 0.0, secant))
    return torch.where(flat, tangent, secant)


def rescale(op: Operation, grad: Tensor) -> list[Tensor | None]:
    """Rule of any function of one input, element by element (DeepLIFT's rescale rule)."""
    y, y0 = op.results[0], op.outputs[0]
    x, x0 = op.inputs[0].expand_as(y0), op.background[0].expand_as(y0)
    return [reduce_to(grad * slope(op, x, x0, y, y0), op.background[0])]


def rescale_smooth(op: Operation, grad: Tensor) -> list[Tensor | None]:
    """`rescale` for activations, of bounded slope and curvature: the hot loop of DeepSHAP.

    Float noise is here that of the whole map (its root mean square), not of each element; up to it
    the slope is that at the sample. The digits that the results lost in single precision are kept
    beside them: a quotient of small differences would have none.
    """
    x0, y0, layout = op.background[0], op.outputs[0], op.step.layouts[0]
    noise = NOISE * torch.finfo(x0.dtype).eps * _size(op.sample[0][0])
    lost: tuple[Tensor, ...] = ()
    if loses(op.step.name, y0) and x0.shape == y0.shape:
        if op.kept is None:
            op.kept = _lost(op, x0, y0)
        lost = (_lost(op, op.sample[0][0], op.sample[1][0]), op.kept)

    def tangent() -> Tensor:
        (x,), (y,) = op.sample
        return gradient(op, [x], torch.ones_like(y))[0]

    if layout.axis is None or layout.outer > 1 or x0.shape != y0.shape or x0.is_cuda:
        spread = partial(layout.spread, n=op.n)
        (x,), (y,), out = op.inputs, op.results, torch.empty_like(x0)
        lost = (spread(lost[0]), lost[1]) if lost else ()
        _secant(x, x0, y, y0, grad, noise, lambda: spread(tangent()), out, lost)
        return [out]
    result = torch.empty_like(x0)  # in memory as x0 is, be it channels last
    grad = grad if grad.stride() == x0.stride() else torch.empty_like(x0).copy_(grad)
    x, y, *lost1 = (layout.rows(t, 1) for t in (*op.sample[0], *op.sample[1], *lost[:1]))
    x0, y0, grad, out, *lost0 = (layout.rows(t, op.n) for t in (x0, y0, grad, result, *lost[1:]))

    def slopes() -> Tensor:
        return layout.rows(tangent(), 1)

    if secants(x, y, x0, y0, grad, noise, slopes, out, (*lost1, *lost0)):
        return [result]
    step = max(1, BLOCK // x.numel())
    for start in range(0, op.n, step):
        some = slice(start, start + step)
        both = (*lost1, *(t[some] for t in lost0))
        _secant(x, x0[some], y, y0[some], grad[some], noise, slopes, out[some], both)
    return [result]


def loses(name: str, y: Tensor) -> bool:
    """Whether `rescale_smooth` keeps the digits that such results lost."""
    return (
        y.dtype == torch.float32 and y.device.type != "mps" and name.removesuffix("_") not in EXACT
    )


def _lost(op: Operation, x: Tensor, y: Tensor) -> Tensor:
    """Return what results lost in single precision, in memory as they are."""
    name = op.step.name.removesuffix("_")
    plain = op.argument("approximate", 1, "none") == "none"
    if name in RESTS and plain and (rest := lost_digits(name, x, y)) is not None:
        return rest
    if y.numel() <= BLOCK:
        return (op.call(x.double()) - y).to(y.dtype)
    out, rows = torch.empty_like(y), max(1, BLOCK // y[0].numel())
    for some, found, lost in zip(x.split(rows), y.split(rows), out.split(rows), strict=True):
        lost.copy_(op.call(some.double()) - found)
    return out


def _size(x: Tensor) -> float:
    """Root mean square."""
    return float(torch.linalg.vector_norm(x)) / math.sqrt(x.numel())


def _secant(
    x: Tensor,
    x0: Tensor,
    y: Tensor,
    y0: Tensor,
    grad: Tensor,
    noise: float,
    tangent: Callable[[], Tensor],
    out: Tensor,
    lost: Sequence[Tensor] = (),
) -> None:
    """Write grad * (y - y0) / (x - x0) to ``out`` in as few passes as possible.

    Differences below the noise become 0, whose quotient is not finite: one sum tells if there are
    any, and only then is the gradient computed.
    """
    dx = x - x0
    torch.ops.aten.hardshrink(dx, noise, out=dx)
    torch.sub(y, y0, out=out)
    if lost:
        out.add_(lost[0] - lost[1])
    out.div_(dx).mul_(grad)
    if not math.isfinite(float(out.sum())):
        out.copy_(torch.where(dx == 0, tangent() * grad, out))


def square(op: Operation, grad: Tensor) -> list[Tensor | None]:
    """Secant slope x + x0."""
    return [grad * (op.inputs[0] + op.background[0])]


def reciprocal(op: Operation, grad: Tensor) -> list[Tensor | None]:
    """Secant slope -1 / (x * x0)."""
    return [-grad * op.results[0] * op.outputs[0]]


def sqrt(op: Operation, grad: Tensor) -> list[Tensor | None]:
    """Secant slope 1 / (y + y0); no slope where both are 0."""
    total = op.results[0] + op.outputs[0]
    return [grad * torch.where(total == 0, 0.0, 1 / total)]


def rsqrt(op: Operation, grad: Tensor) -> list[Tensor | None]:
    """Secant slope -(y * y0)^2 / (y + y0)."""
    y, y0 = op.results[0], op.outputs[0]
    return [-grad * (y * y0) ** 2 / (y + y0)]


_SMOOTH = """
relu relu6 leaky_relu elu selu celu gelu silu mish hardswish hardsigmoid hardtanh sigmoid tanh
softplus logsigmoid log_sigmoid softsign softshrink hardshrink tanhshrink threshold rrelu expit
sin cos abs absolute atan arctan erf
"""
_OTHERS = """
exp exp2 expm1 log log2 log10 log1p tan sinh cosh asin acos arcsin arccos asinh acosh atanh arcsinh
arccosh arctanh erfc erfinv lgamma digamma sign floor ceil round trunc frac rpow prelu
clamp clip clamp_min clamp_max nan_to_num sinc logit
"""
register_rule(*_SMOOTH.split(), arity=1)(rescale_smooth)
register_rule(*_OTHERS.split(), arity=1)(rescale)
register_rule("square", arity=1)(square)
register_rule("sqrt", arity=1)(sqrt)
register_rule("rsqrt", arity=1)(rsqrt)
register_rule("reciprocal", arity=1)(reciprocal)
