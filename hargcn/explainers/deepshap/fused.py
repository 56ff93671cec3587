"""The hot loops of DeepSHAP in one pass over memory, where torch needs six or thirty.

Compiled by numba. Secants are the same operations in the same order, so that the bits are torch's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor

LEAST = 1 << 16
"""Elements from which on it is worth loading the compiler."""


def secants(
    x: Tensor,
    y: Tensor,
    x0: Tensor,
    y0: Tensor,
    grad: Tensor,
    noise: float,
    tangent: Callable[[], Tensor],
    out: Tensor,
    lost: Sequence[Tensor] = (),
) -> bool:
    """Write grad * (y - y0) / (x - x0) to ``out``, grad * tangent where the inputs are equal.

    Parameters
    ----------
    x, y : Tensor of shape (1, ...)
        Inputs and outputs of the sample.
    x0, y0, grad, out : Tensor of shape (n, ...)
        Those of the background rows, multipliers of the outputs, and where the result goes.
    noise : float
        Up to this difference inputs are equal.
    tangent : callable
        Gives the slopes (1, ...) at the sample; asked where inputs are equal only.
    lost : sequence of Tensor, optional
        What y (1, ...) and y0 (n, ...) lost of their digits.

    Returns
    -------
    bool
        False, and nothing is done, where this pass does not pay or does not fit what is asked:
        small tensors, other devices, half precision, rows that do not lie whole and alike in
        memory.
    """
    order = sorted(range(1, x0.ndim), key=x0.stride, reverse=True)
    rows = [t.permute(0, *order) for t in (x0, y0, *lost[1:], grad, out)]
    if not _fit(rows):
        return False
    loops = _loops()
    one = [t.permute(0, *order).reshape(-1).numpy() for t in (x, y, *lost[:1])]
    many = [t.view(len(t), -1).numpy() for t in rows]
    bound = many[0].dtype.type(noise)
    equal = np.zeros((len(x0), -(-x.numel() // loops.STRETCH)), np.int32)
    _in_parts(loops.mended_loop if lost else loops.secant_loop, one, many, [equal], bound)
    if equal.any():
        slopes = tangent().permute(0, *order).reshape(-1).numpy()
        inputs, multipliers, result = many[0], *many[-2:]
        _in_parts(
            loops.tangent_loop, [one[0], slopes], [inputs, multipliers, result], [equal], bound
        )
    return True


RESTS: dict[str, tuple[str, tuple[Any, ...]]] = {
    "silu": ("logistic_rest_loop", (True,)),
    "sigmoid": ("logistic_rest_loop", (False,)),
    "expit": ("logistic_rest_loop", (False,)),
    "gelu": ("gelu_rest_loop", ()),
}
"""Loops, and what they are told, that find the digits which a function's results lost."""


def lost_digits(name: str, x: Tensor, y: Tensor) -> Tensor | None:
    """Give what results lost in single precision.

    Parameters
    ----------
    name : str
        The function, a key of `RESTS`; GELU is that of the error function.
    x, y : Tensor
        Inputs and results.

    Returns
    -------
    Tensor or None
        The double precision result less y, in memory as y is; nothing where it does not fit, as for
        `secants`.
    """
    if x.shape != y.shape or y.dtype != torch.float32 or y.numel() < LEAST:
        return None
    rest = torch.empty_like(y)
    order = sorted(range(1, y.ndim), key=y.stride, reverse=True)
    rows = [t.permute(0, *order) for t in (x, y, rest)]
    if not _fit(rows):
        return None
    loop, told = RESTS[name]
    _in_parts(getattr(_loops(), loop), [], [t.view(len(t), -1).numpy() for t in rows], [], *told)
    return rest


def softmax_multipliers(
    x: Tensor, y: Tensor, x0: Tensor, y0: Tensor, grad: Tensor, total0: Tensor
) -> Tensor | None:
    """Multipliers of a softmax: of exp(x - logsumexp(x)) by secants, the sum kept at any distance.

    Every secant of exp between a and b is the logarithmic mean of their exponentials, which is
    formed from the probabilities: no exponential is computed again.

    Parameters
    ----------
    x, y : Tensor of shape (1, ..., size)
        Inputs and outputs of the sample; the last axis adds up to 1.
    x0, y0, grad : Tensor of shape (n, ..., size)
        Those of the background rows, and multipliers of the outputs.
    total0 : Tensor of shape (n, ...)
        Logsumexp of the background rows, in double precision.

    Returns
    -------
    Tensor of shape (n, ..., size) or None
        Nothing where it does not fit, as for `secants`.
    """
    if not _fit((x0, y0, grad)):
        return None
    loops, size = _loops(), x0.shape[-1]
    rise = (x.double().logsumexp(-1) - total0).to(x0)
    # Exponentials of both logsumexps, relative to the larger one and over their slope.
    change = rise.abs()
    less = torch.expm1(-change)
    slope = torch.where(change == 0, 1.0, -less / change)
    whole, rest = 1 / slope, (1 + less) / slope
    up, down = torch.where(rise > 0, whole, rest), torch.where(rise > 0, rest, whole)
    out = torch.empty_like(x0)
    one = [t.reshape(-1, size).numpy() for t in (x, y)]
    many = [t.view(len(t), -1, size).numpy() for t in (x0, y0, grad)]
    scales = [t.reshape(len(t), -1).numpy() for t in (rise, up, down)]
    _in_parts(loops.softmax_loop, one, [*many, *scales, out.view(len(out), -1, size).numpy()])
    return out


def norm_multipliers(
    x: Tensor,
    statistics: Sequence[Tensor],
    weight: Tensor,
    x0: Tensor,
    statistics0: Sequence[Tensor],
    grad: Tensor,
) -> Tensor | None:
    """Multipliers of a normalisation over the last axis (`rules_norm`).

    Parameters
    ----------
    x : Tensor of shape (1, ..., size)
        The sample's inputs.
    statistics : pair of Tensor of shape (1, ...)
        Their mean and 1 / sqrt(variance + eps).
    weight : Tensor of shape (size,)
        What the result is multiplied by.
    x0, grad : Tensor of shape (n, ..., size)
        Inputs of the background rows, and multipliers of the outputs.
    statistics0 : pair of Tensor of shape (n, ...)
        Of those inputs.

    Returns
    -------
    Tensor of shape (n, ..., size) or None
        Nothing where it does not fit, as for `secants`.
    """
    if not _fit((x0, grad)):
        return None
    size, out = x0.shape[-1], torch.empty_like(x0)
    one = [x.reshape(-1, size), *(t.reshape(-1) for t in statistics), weight.contiguous()]
    scales = [t.reshape(len(t), -1) for t in statistics0]
    inputs, multipliers, result = (t.view(len(t), -1, size) for t in (x0, grad, out))
    many = [inputs, *scales, multipliers, result]
    _in_parts(_loops().norm_loop, [t.numpy() for t in one], [t.numpy() for t in many])
    return out


def _fit(rows: Sequence[Tensor]) -> bool:
    """Tell whether the loops take these tensors, and are worth it."""
    first = rows[0]
    return (
        first.numel() >= LEAST
        and first.device.type == "cpu"
        and first.dtype in (torch.float32, torch.float64)
        and all(t.is_contiguous() and not t.is_neg() for t in rows)
    )


def _in_parts(
    loop: Callable[..., None],
    one: Sequence[np.ndarray],
    many: Sequence[np.ndarray],
    noted: Sequence[np.ndarray] = (),
    *rest: Any,
) -> None:
    """Share the background rows, those of ``many`` and ``noted``, among torch's threads."""

    def part(rows: slice) -> None:
        loop(*one, *(t[rows] for t in many), *rest, *(t[rows] for t in noted))

    n = len(many[0])
    threads = min(torch.get_num_threads(), n)
    if threads == 1:
        part(slice(n))
        return
    cuts = np.linspace(0, n, threads + 1).astype(int)
    list(_pool(threads).map(part, map(slice, cuts[:-1], cuts[1:])))


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="loops")


def _loops() -> ModuleType:
    """Load the loops: importing the compiler takes half a second, which small networks spare."""
    from hargcn.explainers.deepshap import loops

    return loops
