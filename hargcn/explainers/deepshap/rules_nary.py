"""Rules of operations on several inputs, maxima and softmax; importing this registers all rules.

Each keeps the sum: what the multipliers credit to the inputs of an operation is the change of its
output, exactly, for any distance between sample and background (Lundberg and Lee 2017; Chen et al.
2022).
"""

from __future__ import annotations

import torch
from torch import Tensor

from hargcn.explainers.deepshap.fused import softmax_multipliers
from hargcn.explainers.deepshap.rules import RULES, Operation, register_rule
from hargcn.explainers.deepshap.rules_norm import norm_rule
from hargcn.explainers.deepshap.rules_unary import (
    gradient,
    reciprocal,
    reduce_to,
    rescale,
    rsqrt,
    sqrt,
    square,
)

__all__ = ["RULES", "register_rule"]


def _pow(op: Operation, grad: Tensor) -> list[Tensor | None]:
    if len(op.step.slots) > 1:
        return shapley(op, grad)
    special = {2: square, 0.5: sqrt, -0.5: rsqrt, -1: reciprocal}
    exponent = op.argument("exponent", 1)
    known = isinstance(exponent, int | float) and op.step.slots == (0,)
    return (special.get(exponent, rescale) if known else rescale)(op, grad)


def shapley(op: Operation, grad: Tensor) -> list[Tensor | None]:
    """Rule of any elementwise function of two inputs: their exact Shapley values."""
    if len(op.step.slots) == 1:
        return rescale(op, grad)
    (a, b), (a0, b0) = op.inputs, op.background
    y, y0, ab0, a0b = op.results[0], op.outputs[0], op.call(a, b0), op.call(a0, b)
    at_start, at_end = gradient(op, (a0, b0), grad), gradient(op, (a, b), grad)
    shares = ((ab0 - y0 + y - a0b) / 2, (a0b - y0 + y - ab0) / 2)
    found: list[Tensor | None] = []
    for share, x, x0, g0, g1 in zip(shares, (a, b), (a0, b0), at_start, at_end, strict=True):
        dx = (x - x0).expand_as(share)
        flat = dx.abs() <= 16 * torch.finfo(dx.dtype).eps * torch.maximum(x.abs(), x0.abs())
        if x0.shape == share.shape:
            found.append(torch.where(flat, (g0 + g1) / 2, grad * share / dx))
        else:
            found.append(reduce_to(grad * torch.where(flat, 0.0, share / dx), x0))
    return found


def product_of_two(op: Operation, grad: Tensor) -> list[Tensor | None]:
    """Rule of a * b: exact Shapley values, m_a = (b + b0) / 2 and m_b = (a + a0) / 2."""
    a0, b0 = op.background
    half_a, half_b = (
        layout.spread(x * 0.5, op.n)
        for layout, x in zip(op.step.layouts, op.sample[0], strict=True)
    )
    return [
        reduce_to(_times(torch.add(half_b, b0, alpha=0.5), grad), a0),
        reduce_to(_times(torch.add(half_a, a0, alpha=0.5), grad), b0),
    ]


def _times(a: Tensor, b: Tensor) -> Tensor:
    """Multiply, in place where that fits."""
    return a.mul_(b) if a.shape == b.shape else a * b


def quotient(op: Operation, grad: Tensor) -> list[Tensor | None]:
    """Rule of a / b: the product of a and 1/b, whose secant slope is -1 / (b * b0)."""
    if len(op.step.slots) == 1:
        return [reduce_to(-grad * op.results[0] / op.background[0], op.background[0])]
    (a, b), (a0, b0) = op.inputs, op.background
    m_a = grad * (1 / b + 1 / b0).mul_(0.5)
    m_b = -grad * (a + a0) / (2 * b * b0)
    return [reduce_to(m_a, a0), reduce_to(m_b, b0)]


def along_path(op: Operation, grad: Tensor) -> list[Tensor | None]:
    """Rule of products of several inputs: matmul, einsum, computed kernels, and of the variance.

    The mean gradient on the straight line from background to sample (Aumann-Shapley), by
    Gauss-Legendre quadrature: exact for polynomials. For two inputs it is the gradient half way,
    which is their Shapley values.
    """
    inputs = op.inputs
    points = {1: ((0.5, 1.0),), 2: ((0.21132486540518713, 0.5), (0.7886751345948129, 0.5))}
    total: list[Tensor | None] = [None] * len(inputs)
    for t, weight in points[(len(inputs) + 1) // 2]:
        at = [
            torch.lerp(x0, x.to(x0.dtype), t) for x, x0 in zip(inputs, op.background, strict=True)
        ]
        for i, g in enumerate(gradient(op, at, grad * weight)):
            before = total[i]
            total[i] = g if before is None else before + g
    return total


def cross_maximum(
    x: Tensor, x0: Tensor, index: Tensor, index0: Tensor, grad: Tensor, largest: bool = True
) -> Tensor:
    """Rule of a maximum (or minimum) along the last axis: the change goes to what made it.

    ``index`` and ``index0`` (..., k) say which entries win for sample and background. A rise is
    credited to the sample's winner, a fall to the background's: it changed by as much, so every
    multiplier lies in [0, 1] (DeepSHAP's split through max(y, y0)).
    """
    y, y0 = x.gather(-1, index), x0.gather(-1, index0)
    winner = torch.where((y >= y0) == largest, index, index0)
    dx = x.gather(-1, winner) - x0.gather(-1, winner)
    share = torch.where(dx == 0, 1.0, (y - y0) / dx)
    return torch.zeros_like(x0).scatter_add_(-1, winner, grad * share)


def _matrices(op: Operation, grad: Tensor) -> list[Tensor | None]:
    """Product of two matrices: `along_path` without computing the product half way."""
    if len(op.step.slots) != 2 or min(x.ndim for x in op.background) < 2:
        return along_path(op, grad)
    # Once as the product wants them, instead of for every sample.
    op.background = tuple(map(_matrix_form, op.background))
    own = zip(op.step.layouts, map(_matrix_form, op.sample[0]), strict=True)
    inputs = (layout.spread(x, op.n) for layout, x in own)
    a, b = (torch.lerp(x0, x, 0.5) for x, x0 in zip(inputs, op.background, strict=True))
    (a0, b0), grad = op.background, grad.contiguous()
    return [reduce_to(grad @ b.mT, a0), reduce_to(a.mT @ grad, b0)]


def _matrix_form(x: Tensor) -> Tensor:
    """Matrices one behind the other in memory, each by rows, or by columns if it was."""
    return x.contiguous() if x.stride(-2) != 1 else x.mT.contiguous().mT


def _extreme(op: Operation, grad: Tensor) -> list[Tensor | None]:
    """Max, min, amax, amin over some or all axes."""
    background, layout = op.background[0], op.step.layouts[0]
    dim = op.argument("dim", 1)
    ndim = background.ndim
    dims = [d % ndim for d in ([dim] if isinstance(dim, int) else list(dim or range(ndim)))]
    # In the order of memory, so that flattening copies nothing.
    dims.sort(key=background.stride().__getitem__, reverse=True)
    kept = [d for d in range(ndim) if d not in dims]
    order = kept + dims
    x0 = background.permute(order).flatten(len(kept))
    # The sample's maximum is looked for once, not for every background row.
    x = (op.inputs[0] if layout.folded else op.sample[0][0]).permute(order).flatten(len(kept))
    largest = "max" in op.step.name
    find = torch.argmax if largest else torch.argmin
    index0 = find(x0, -1, keepdim=True)
    index = find(x, -1, keepdim=True).expand_as(index0)
    m = cross_maximum(x.expand_as(x0), x0, index, index0, grad.reshape(index0.shape), largest)
    back = sorted(range(ndim), key=order.__getitem__)
    return [m.unflatten(-1, [background.shape[d] for d in dims]).permute(back)]


def _max(op: Operation, grad: Tensor) -> list[Tensor | None]:
    """torch.max in its three meanings."""
    return (
        shapley
        if isinstance(op.argument("other", 1), Tensor) or len(op.step.slots) > 1
        else _extreme
    )(op, grad)


def _pool(op: Operation, grad: Tensor) -> list[Tensor | None]:
    """Max pooling and adaptive max pooling in one to three dimensions."""
    base = op.step.name.removesuffix("_with_indices")
    where = getattr(torch.nn.functional, base + "_with_indices")
    args, kwargs = op.arguments
    kwargs = {k: v for k, v in kwargs.items() if k not in ("return_indices", "input")}
    axes = int(base[-2])
    x, x0, index, index0 = (
        t.flatten(-axes)
        for t in (
            op.inputs[0],
            op.background[0],
            op.step.output_layouts[0].spread(where(op.sample[0][0], *args[1:6], **kwargs)[1], op.n),
            where(op.background[0], *args[1:6], **kwargs)[1],
        )
    )
    m = cross_maximum(x, x0, index, index0, grad.flatten(-axes))
    return [m.view_as(op.background[0])]


def _log_mean(a: Tensor, b: Tensor) -> Tensor:
    """Logarithm of the slope (exp(a) - exp(b)) / (a - b)."""
    d = (a - b).abs()
    flat = d < torch.finfo(d.dtype).eps
    return torch.maximum(a, b) + torch.where(flat, 0.0, (-torch.expm1(-d) / d).log())


def _share(op: Operation, dim: int) -> tuple[Tensor, Tensor, Tensor]:
    """Log-softmax of sample and background, and the multipliers of their logsumexp.

    Secants of exp, sum, log: m_j = slope of exp at x_j / slope of exp at the logsumexp. In double
    precision, since a saturated softmax lives from differences far below those of its inputs.
    """
    x, x0 = op.inputs[0].double(), op.background[0].double()
    total, total0 = x.logsumexp(dim, keepdim=True), x0.logsumexp(dim, keepdim=True)
    # Masked entries (minus infinity on both sides) have no share.
    m = (_log_mean(x, x0) - _log_mean(total, total0)).exp().nan_to_num(0.0)
    return x - total, x0 - total0, m


def _softmax(op: Operation, grad: Tensor) -> list[Tensor | None]:
    """Softmax as exp(log_softmax), each by its secant: keeps the sum at any distance."""
    dim, layout = int(op.argument("dim", 1)), op.step.layouts[0]
    from_end = dim % grad.ndim - grad.ndim
    if layout.axis is not None and layout.outer == 1 and from_end > layout.axis:
        x, y, x0, y0, m = (
            layout.rows(t, n).movedim(from_end, -1).contiguous()
            for t, n in (
                (op.sample[0][0], 1), (op.sample[1][0], 1),
                (op.background[0], op.n), (op.outputs[0], op.n), (grad, op.n),
            )
        )  # fmt: skip
        if op.kept is None:
            op.kept = x0.double().logsumexp(-1)
        found = softmax_multipliers(x, y, x0, y0, m, op.kept)
        if found is not None:
            return [found.movedim(-1, from_end).reshape(grad.shape)]
    u, u0, m = _share(op, dim)
    steep = grad * _log_mean(u, u0).exp().nan_to_num(0.0)
    return [(steep - m * steep.sum(dim, keepdim=True)).to(grad.dtype)]


def _log_softmax(op: Operation, grad: Tensor) -> list[Tensor | None]:
    dim = int(op.argument("dim", 1))
    m = _share(op, dim)[2]
    return [(grad - m * grad.sum(dim, keepdim=True)).to(grad.dtype)]


def _logsumexp(op: Operation, grad: Tensor) -> list[Tensor | None]:
    dim = op.argument("dim", 1)
    kept = op.background[0].sum(dim, keepdim=True).shape
    return [(_share(op, dim)[2] * grad.reshape(kept)).to(grad.dtype)]


def _single(slots: tuple[int, ...]) -> bool:
    return len(slots) == 1


_PRODUCTS = """
rmatmul mv dot inner outer ger vdot vecdot linalg_vecdot tensordot einsum bilinear
kron cross linalg_cross linear conv1d conv2d conv3d conv_transpose1d conv_transpose2d
conv_transpose3d
"""
register_rule("pow", "float_power", arity=2)(_pow)
register_rule(
    "atan2", "arctan2", "hypot", "maximum", "minimum", "fmax", "fmin", "logaddexp", arity=2
)(shapley)
register_rule("mul", "multiply", "rmul", arity=2, linear_when=_single)(product_of_two)
register_rule(
    "div", "divide", "true_divide", "truediv", arity=2, linear_when=lambda slots: slots == (0,)
)(quotient)
register_rule("rdiv", "rtruediv", arity=1)(quotient)
register_rule(*_PRODUCTS.split(), arity=4, linear_when=_single)(along_path)
register_rule("matmul", "mm", "bmm", arity=2, linear_when=_single)(_matrices)
register_rule(
    "addmm", "baddbmm", "addbmm", "addmv", "addr", "addcmul", "lerp", "var", "mse_loss", arity=3
)(along_path)
register_rule("max", "min", arity=2)(_max)
register_rule("amax", "amin", arity=1)(_extreme)
register_rule(
    *[
        f"{kind}max_pool{k}d{end}"
        for kind in ("", "adaptive_")
        for k in (1, 2, 3)
        for end in ("", "_with_indices")
    ],
    arity=1,
)(_pool)
register_rule("layer_norm", arity=1)(norm_rule)
register_rule("softmax", arity=1)(_softmax)
register_rule("log_softmax", arity=1)(_log_softmax)
register_rule("logsumexp", arity=1)(_logsumexp)
