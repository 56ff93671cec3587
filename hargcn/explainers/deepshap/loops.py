"""Loops over memory, compiled by numba once per machine."""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np

STRETCH = 1 << 12
"""Elements that are looked at again together where some inputs are equal."""

PIECE = 1 << 9
"""Numbers of double precision that stay in the nearest cache."""

# Of single precision, which numba keeps beside single and widens beside double precision.
ZERO, QUARTER, HALF, LIMIT = (np.float32(each) for each in (0, 0.25, 0.5, 0.5))
T0, T1, T2, T3 = (np.float32(each) for each in (945, 105, 420, 15))
LOG2_E, LN_2, LN_2_REST = 1.4426950408889634, 0.6931471803691238, 1.9082149292705877e-10
SERIES = tuple(1 / math.factorial(each) for each in range(11))
ROOT_HALF = math.sqrt(0.5)
ERFC = (
    -0.6717940840638895,
    0.672643223956486,
    0.04734330801950198,
    -0.046895609485535915,
    -0.009872721153664017,
    0.008824933282913665,
    0.0017592649187352107,
    -0.0023458258452107752,
    -0.00014798466173252466,
    0.0006739603677776253,
    -8.858315492388247e-05,
    -0.0001755877823944922,
    6.234280515818584e-05,
    3.469239964566482e-05,
    -2.0765508837996734e-05,
    -3.725154542671883e-06,
    3.16106390420383e-06,
)
"""Of P in powers of 2 t - 1: the Chebyshev fit of log(erfc(z) exp(z^2) / t) at 200 nodes."""

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
def exponential(z: Any) -> Any:
    """Return exp(z) in double precision to 1e-12 of it, for |z| < 708.

    Without a call or a branch, so that a loop over it takes many numbers at a time.
    """
    k = np.floor(z * LOG2_E + 0.5)
    r = z - k * LN_2 - k * LN_2_REST  # |r| <= log(2) / 2, of which a series follows
    found = SERIES[-1]
    for each in SERIES[-2::-1]:
        found = found * r + each
    return found * np.int64((np.int64(k) + 1023) << 52).view(np.float64)


@compiled
def logistic_rest_loop(x: Any, y: Any, rest: Any, weighed: bool) -> None:
    """Write what y lost of the logistic function of x, times x where it is weighed (SiLU).

    A seventh of the time of torch's function in double precision, types and difference.

    Parameters
    ----------
    x, y, rest : (n, size) array of float32
    """
    for row in range(x.shape[0]):
        a, b, found = x[row], y[row], rest[row]
        for place in range(a.size):
            v = np.float64(a[place])
            whole = (v if weighed else 1.0) / (1.0 + exponential(min(max(-v, -700.0), 700.0)))
            found[place] = whole - np.float64(b[place])


@compiled
def gelu_rest_loop(x: Any, y: Any, rest: Any) -> None:
    """Write what y lost of x erfc(-x / sqrt(2)) / 2 (GELU), as `logistic_rest_loop`.

    erfc(z) = t exp(-z^2 + P(t)), t = 1 / (1 + z / 2), z >= 0, to 4e-12.
    """
    shift, power = np.empty(PIECE), np.empty(PIECE)
    for row in range(x.shape[0]):
        for start in range(0, x.shape[1], PIECE):
            part = slice(start, start + PIECE)
            a, b, found = x[row, part], y[row, part], rest[row, part]
            for place in range(a.size):
                z = min(abs(np.float64(a[place])) * ROOT_HALF, 26.0)
                shift[place] = 2.0 / (1.0 + 0.5 * z) - 1.0
                power[place] = ERFC[-1]
            for each in ERFC[-2::-1]:
                for place in range(a.size):
                    power[place] = power[place] * shift[place] + each
            for place in range(a.size):
                v = np.float64(a[place])
                z = min(abs(v) * ROOT_HALF, 26.0)
                tail = 0.25 * (shift[place] + 1.0) * exponential(power[place] - z * z)
                found[place] = v * (tail if v < 0 else 1.0 - tail) - np.float64(b[place])


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
