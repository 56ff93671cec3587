"""Operations that are linear in what depends on the input, taken apart by signs.

y = sum_i z_i + b with contributions z_i = x_i w_i. Rules of relevance ask for the sums of the
positive and of the negative contributions, and hand relevance back in proportion to either.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from itertools import product

import torch
from torch import Tensor

from hargcn.explainers.deepshap.operations import WRITING_OPERATORS
from hargcn.explainers.deepshap.rules import Operation

Operands = Sequence[Tensor]
Linear = Callable[[Operands], Tensor]
Change = Callable[[Tensor], Tensor]

BIASED = frozenset(
    ("linear", "conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d",
     "conv_transpose3d")
)  # fmt: skip
"""Operations whose third argument is a bias."""

WEIGHTED = BIASED | frozenset(
    ("matmul", "rmatmul", "mm", "bmm", "mv", "dot", "inner", "outer", "ger", "vdot", "vecdot",
     "linalg_vecdot", "tensordot", "einsum", "kron")
)  # fmt: skip
"""Products with weights; others, such as sums and means, have weights that are fixed."""

LESS = {"sub": 1, "subtract": 1, "rsub": 0}
"""Differences, and which of the two arguments is taken away."""


def base_name(op: Operation) -> str:
    """Name an operation out of place."""
    name = op.step.name
    return name[1:] if name in WRITING_OPERATORS else name.rstrip("_")


def alone(op: Operation, which: int) -> Operation:
    """Return an operation of one of its arguments, the others being constants."""
    leaves = list(op.leaves)
    for slot, value in zip(op.step.slots, op.background, strict=True):
        leaves[slot] = None if slot == op.step.slots[which] else value
    layouts = op.step.layouts[which : which + 1]
    step = replace(op.step, slots=(op.step.slots[which],), layouts=layouts)
    return replace(op, step=step, leaves=leaves, background=(op.background[which],))


def weights_of(op: Operation) -> list[int]:
    """Return which arguments (flattened) are the weights of a product."""
    if base_name(op) not in WEIGHTED:
        return []
    bias = _bias_place(op)
    return [
        i for i, leaf in enumerate(op.leaves)
        if isinstance(leaf, Tensor) and leaf.is_floating_point() and i != bias
    ]  # fmt: skip


def bias_of(op: Operation) -> Tensor:
    """Return what an operation adds whatever its arguments are; it broadcasts against the result.

    Raises
    ------
    ValueError
        If the bias depends on the input.
    """
    place = _bias_place(op)
    if place is None:
        zeros = [torch.zeros_like(x) for x in op.background]
        constant = base_name(op) not in WEIGHTED and _constants(op)
        return op.call(*zeros) if constant else op.outputs[0].new_zeros(())
    bias = op.leaves[place]
    if place in op.step.slots:
        raise ValueError(f"{op.step.where}: expected a bias that is the same for every input")
    if bias is None:
        return op.outputs[0].new_zeros(())
    behind = 0 if base_name(op) == "linear" else int(base_name(op)[-2])
    return bias.view(-1, *(1,) * behind)


def changed(op: Operation, change: Change) -> Linear:
    """Return a product as a map of its argument, its weights changed and without its bias."""
    weights = weights_of(op)
    return _with(op, weights, [change(op.leaves[i]) for i in weights])


def merged(op: Operation) -> tuple[Tensor, Callable[[Tensor], Linear]]:
    """Return the weights of a product as one tensor, and the map that others in its place make.

    Raises
    ------
    ValueError
        For several weights that are not multiplied with each other entry by entry.
    """
    places = weights_of(op)
    first, *rest = (op.leaves[i] for i in places)
    alike = all(other.shape == first.shape for other in rest)
    whole = math.prod(rest, start=first) if alike else first

    def of(weights: Tensor) -> Linear:
        return _with(op, places, [weights, *(torch.ones_like(w).to(weights) for w in rest)])

    if rest and not (alike and torch.allclose(of(whole)(op.background), op.outputs[0])):
        raise ValueError(
            f"{op.step.where}: expected one tensor of weights, or several that are multiplied "
            f"entry by entry (got {len(places)})"
        )
    return whole, of


def signed(op: Operation) -> list[tuple[int, Linear]]:
    """Return the maps of an operation's positive and of its negative weights, without its bias.

    Of several weights that are multiplied (an adjacency and its edges' importance) the sign is that
    of their product. Parts without weights are left out.
    """
    weights = weights_of(op)
    if not weights:
        return [(1, partial(_without_bias, op, bias_of(op)))]
    parts = []
    for signs in product((1, -1), repeat=len(weights)):
        values = [of_sign(op.leaves[i], s) for i, s in zip(weights, signs, strict=True)]
        if all(bool(value.any()) for value in values):
            parts.append((math.prod(signs), _with(op, weights, values)))
    return parts


def turned(op: Operation) -> list[int]:
    """Return the sign with which each argument of a sum enters it."""
    signs = [1] * len(op.step.slots)
    less = LESS.get(base_name(op))
    alpha = op.argument("alpha", 2, 1) if base_name(op) in ("add", "radd", *LESS) else 1
    factor = -1 if isinstance(alpha, int | float) and alpha < 0 else 1
    for k, slot in enumerate(op.step.slots):
        if less is not None and slot == less:
            signs[k] = -1
        if slot == (0 if base_name(op) == "rsub" else 1):
            signs[k] *= factor
    return signs


def of_sign(value: Tensor, sign: int) -> Tensor:
    """Return the positive or the negative part."""
    return value.clamp(min=0) if sign > 0 else value.clamp(max=0)


def _with(op: Operation, places: Sequence[int], values: Sequence[Tensor]) -> Linear:
    """Return an operation with other weights, as a map of its arguments."""
    leaves = list(op.leaves)
    for i, value in zip(places, values, strict=True):
        leaves[i] = value
    bias = _bias_place(op)
    if bias is not None:
        leaves[bias] = None

    def run(operands: Operands) -> Tensor:
        given = list(leaves)
        for slot, operand in zip(op.step.slots, operands, strict=True):
            given[slot] = operand
        args, kwargs = op.unflatten(given)
        return op.func(*args, **kwargs)

    return run


def _without_bias(op: Operation, bias: Tensor, operands: Operands) -> Tensor:
    return op.call(*operands) - bias if bias.ndim else op.call(*operands)


def _bias_place(op: Operation) -> int | None:
    """Return which argument (flattened) is the bias; None where there is none."""
    if base_name(op) not in BIASED:
        return None
    args, kwargs = op.unflatten(list(range(len(op.leaves))))
    place = kwargs.get("bias", args[2] if len(args) > 2 else None)
    return place if isinstance(place, int) else None


def _constants(op: Operation) -> bool:
    """Tell whether a sum has other arguments: numbers or tensors that are added."""
    if base_name(op) not in ("add", "radd", *LESS):
        return any(isinstance(leaf, Tensor) for leaf in op.leaves)
    return len(op.step.slots) == 1
