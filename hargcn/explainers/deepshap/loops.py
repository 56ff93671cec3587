"""Loops over memory, compiled by numba once per machine."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

STRETCH = 1 << 12
"""Elements that are looked at again together where some inputs are equal."""

# Of single precision, which numba keeps beside single and widens beside double precision.
ZERO, QUARTER, HALF, LIMIT = (np.float32(each) for each in (0, 0.25, 0.5, 0.5))
T0, T1, T2, T3 = (np.float32(each) for each in (945, 105, 420, 15))

compiled = numba.njit(cache=True, nogil=True, error_model="numpy")
summing = numba.njit(
    cache=True, nogil=True, error_model="numpy", fastmath={"reassoc", "contract", "nsz"}
)
"""The order of sums is the compiler's, the same on one machine."""


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
        Takes their numbers.
    """
    for row in range(x0.shape[0]):
        for stretch in range(equal.shape[1]):
            part = slice(stretch * STRETCH, (stretch + 1) * STRETCH)
            a, b, a0, b0 = x[part], y[part], x0[row, part], y0[row, part]
            g, result, found = grad[row, part], out[row, part], np.int32(0)
            for place in range(a.size):
                difference = a[place] - a0[place]
                found += np.int32(abs(difference) <= noise)
                result[place] = (b[place] - b0[place]) / difference * g[place]
            equal[row, stretch] = found


@compiled
def mended_loop(
    x: Any, y: Any, lost: Any, x0: Any, y0: Any, lost0: Any, grad: Any, out: Any, noise: Any,
    equal: Any,
) -> None:  # fmt: skip
    """`secant_loop` of numbers each in two parts: y + lost, y0 + lost0."""
    for row in range(x0.shape[0]):
        for stretch in range(equal.shape[1]):
            part = slice(stretch * STRETCH, (stretch + 1) * STRETCH)
            a, b, c, a0, b0 = x[part], y[part], lost[part], x0[row, part], y0[row, part]
            c0, g, result, found = lost0[row, part], grad[row, part], out[row, part], np.int32(0)
            for place in range(a.size):
                difference = a[place] - a0[place]
                found += np.int32(abs(difference) <= noise)
                rise = (b[place] - b0[place]) + (c[place] - c0[place])
                result[place] = rise / difference * g[place]
            equal[row, stretch] = found


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
def log_mean(a: Any, b: Any, ratio: Any) -> Any:
    """Return (a - b) / log(a / b) of numbers from 0 with this logarithm of their ratio.

    Near 1 by the continued fraction of tanh(z) / z, z half the logarithm, since the difference
    would lose digits. Without branches, so that a loop over it takes many numbers at a time. What
    is masked on both sides (0 and 0, whatever the ratio) has no share.
    """
    near, z = abs(ratio) < LIMIT, ratio * ratio * QUARTER
    above = (a + b) * HALF * (T0 + z * (T1 + z)) if near else a - b
    below = T0 + z * (T2 + z * T3) if near else ratio
    return ZERO if a + b == ZERO else above / below


@summing
def softmax_loop(
    x: Any, y: Any, x0: Any, y0: Any, grad: Any, rise: Any, up: Any, down: Any, out: Any
) -> None:
    """Write the multipliers of a softmax along the last axis.

    Parameters
    ----------
    x, y : (outer, size) array
        Inputs and outputs of the sample.
    x0, y0, grad, out : (n, outer, size) array
        Of the background rows.
    rise, up, down : (n, outer) array
        How far the logsumexp rose, and exponentials relative to its slope (`fused`).
    """
    size = x.shape[1]
    share, steep = np.empty_like(x[0]), np.empty_like(x[0])
    for row in range(x0.shape[0]):
        for a in range(x.shape[0]):
            v, v0, p, p0 = x[a], x0[row, a], y[a], y0[row, a]
            g, found, arrives = grad[row, a], out[row, a], ZERO
            r, u, w = rise[row, a], up[row, a], down[row, a]
            for k in range(size):
                d = v[k] - v0[k]
                share[k] = log_mean(p[k] * u, p0[k] * w, d)
                steep[k] = log_mean(p[k], p0[k], d - r) * g[k]
            for k in range(size):
                arrives += steep[k]
            for k in range(size):
                found[k] = steep[k] - share[k] * arrives


@summing
def norm_loop(
    x: Any, mean: Any, scale: Any, weight: Any, x0: Any, mean0: Any, scale0: Any, grad: Any,
    out: Any,
) -> None:  # fmt: skip
    """Write the multipliers of (x - mean) * scale * weight, scale = (variance + eps)^(-1/2).

    Parameters
    ----------
    x : (outer, size) array
        Of the sample; a norm over the last axis.
    mean, scale : (outer,) array
        Its statistics.
    weight : (size,) array
        What follows.
    x0, grad, out : (n, outer, size) array
        Of the background rows.
    mean0, scale0 : (n, outer) array
        Their statistics.
    """
    size = x.shape[1]
    sums = np.empty_like(x[0])
    for row in range(x0.shape[0]):
        for a in range(x.shape[0]):
            v, v0, g, found = x[a], x0[row, a], grad[row, a], out[row, a]
            r, r0, middle = scale[a], scale0[row, a], mean[a] + mean0[row, a]
            arrives, moment = ZERO, ZERO
            for k in range(size):
                sums[k] = v[k] + v0[k] - middle
                found[k] = g[k] * weight[k]
                arrives += found[k]
                moment += found[k] * sums[k]
            slope = (r + r0) * HALF
            arrives *= slope / np.float32(size)
            moment *= (r * r0) * (r * r0) / ((r + r0) * np.float32(2 * size))
            for k in range(size):
                found[k] = found[k] * slope - arrives - moment * sums[k]
