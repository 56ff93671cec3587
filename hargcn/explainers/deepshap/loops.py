"""Loops over memory, compiled by numba once per machine."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

STRETCH = 1 << 12
"""Elements that are looked at again together where some inputs are equal."""

compiled = numba.njit(cache=True, nogil=True, error_model="numpy")


@compiled
def secant_loop(
    x: Any, y: Any, x0: Any, y0: Any, grad: Any, out: Any, noise: Any, equal: Any
) -> None:
    """Write grad * (y - y0) / (x - x0), and how many inputs of each stretch are equal.

    Parameters
    ----------
    x, y : (size,) array
        Of the sample.
    x0, y0, grad, out : (n, size) array
        Of the background rows.
    noise : float
        Up to this difference inputs are equal.
    equal : (n, stretches) array of int
        Takes their number.
    """
    for row in range(x0.shape[0]):
        for stretch in range(equal.shape[1]):
            part = slice(stretch * STRETCH, (stretch + 1) * STRETCH)
            a, b, a0, b0 = x[part], y[part], x0[row, part], y0[row, part]
            g, result, count = grad[row, part], out[row, part], np.int32(0)
            for place in range(a.size):
                difference = a[place] - a0[place]
                count += np.int32(abs(difference) <= noise)
                result[place] = (b[place] - b0[place]) / difference * g[place]
            equal[row, stretch] = count


@compiled
def tangent_loop(x: Any, slopes: Any, x0: Any, grad: Any, out: Any, noise: Any, equal: Any) -> None:
    """Write slope * grad where inputs are equal; arguments as for `secant_loop`."""
    for row in range(x0.shape[0]):
        for stretch in range(equal.shape[1]):
            if equal[row, stretch]:
                part = slice(stretch * STRETCH, (stretch + 1) * STRETCH)
                a, t, a0 = x[part], slopes[part], x0[row, part]
                g, result = grad[row, part], out[row, part]
                for place in range(a.size):
                    tangent, secant = t[place] * g[place], result[place]
                    result[place] = tangent if abs(a[place] - a0[place]) <= noise else secant


@compiled
def log_mean(a: float, b: float, ratio: float) -> float:
    """Return (a - b) / log(a / b) of numbers from 0 with this logarithm of their ratio."""
    if a == 0 and b == 0:
        return 0.0  # minus infinity on both sides, as of what is masked, has no share
    if abs(ratio) < 0.1:  # tanh(z) / z of half the ratio: the difference would lose digits
        z = ratio * ratio / 4
        return (a + b) / 2 * (1 - z / 3 + z * z * 2 / 15 - z * z * z * 17 / 315)
    return (a - b) / ratio


@compiled
def softmax_loop(x: Any, y: Any, total: Any, x0: Any, y0: Any, grad: Any, out: Any) -> None:
    """Write the multipliers of a softmax.

    Parameters
    ----------
    x, y : (outer, size, inner) array
        Inputs and outputs of the sample; a softmax over the axis in the middle.
    total : (outer, inner) array
        The sample's logsumexp.
    x0, y0, grad, out : (n, outer, size, inner) array
        Of the background rows.
    """
    size = x.shape[1]
    steep, share = np.empty(size), np.empty(size)
    for row in range(x0.shape[0]):
        for a in range(x.shape[0]):
            for b in range(x.shape[2]):
                top, rest = 0, 0.0
                for k in range(1, size):
                    top = k if y0[row, a, k, b] > y0[row, a, top, b] else top
                for k in range(size):
                    rest += 0.0 if k == top else float(y0[row, a, k, b])
                likely = float(y0[row, a, top, b])
                # 1 - p in single precision would be noise where p is nearly 1.
                log = np.log1p(-rest) if likely > 0.5 else np.log(likely)
                rise = total[a, b] - (float(x0[row, a, top, b]) - log)
                up, down = np.exp(min(rise, 0.0)), np.exp(-max(rise, 0.0))
                whole, arrives = 1 / log_mean(up, down, rise), 0.0
                for k in range(size):
                    p, p0 = float(y[a, k, b]), float(y0[row, a, k, b])
                    d = float(x[a, k, b]) - float(x0[row, a, k, b])
                    share[k] = log_mean(p * up, p0 * down, d) * whole
                    steep[k] = log_mean(p, p0, d - rise) * grad[row, a, k, b]
                    arrives += steep[k]
                for k in range(size):
                    out[row, a, k, b] = steep[k] - share[k] * arrives
