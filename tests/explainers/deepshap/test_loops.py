"""Compiled loops, on numbers worked out by hand; whole tensors are those of test_fused."""

from __future__ import annotations

import math

import numpy as np
import pytest

from hargcn.explainers.deepshap import loops


def test_secants_and_tangents_by_hand():
    x, y = np.array([2.0, 5.0]), np.array([4.0, 25.0])
    x0, y0 = np.array([[1.0, 5.0], [0.0, 3.0]]), np.array([[1.0, 25.0], [0.0, 9.0]])
    grad, out, equal = np.array([[1.0, 1.0], [10.0, 2.0]]), np.zeros((2, 2)), np.zeros((2, 1), int)
    loops.secant_loop(x, y, x0, y0, grad, out, 0.0, equal)
    assert equal.ravel().tolist() == [1, 0]
    assert out[0, 0] == 3  # of x^2: 1 + 2
    assert out[1].tolist() == [20, 16]
    loops.tangent_loop(x, np.array([4.0, 10.0]), x0, grad, out, 0.0, equal)
    assert out.tolist() == [[3, 10], [20, 16]]
    lost, lost0 = np.array([0.5, 0.25]), np.zeros((2, 2))
    loops.mended_loop(x, y, lost, x0, y0, lost0, grad, out, 0.0, equal)
    assert equal.ravel().tolist() == [1, 0]
    assert out[0, 0] == 3.5
    assert out[1].tolist() == [22.5, 16.25]


@pytest.mark.parametrize("ratio", [1e-9, 0.05, 0.4999, 0.5001, 3.0, 40.0])
@pytest.mark.parametrize(("dtype", "error"), [(np.float64, 1e-12), (np.float32, 1e-6)])
def test_the_logarithmic_mean(ratio, dtype, error):
    a, b, ratio = dtype(1), dtype(math.exp(-ratio)), dtype(ratio)
    expected = -math.expm1(-ratio) / ratio
    assert loops.log_mean(a, b, ratio) == pytest.approx(expected, rel=error)
    assert loops.log_mean(b, a, -ratio) == pytest.approx(expected, rel=error)


@pytest.mark.parametrize("ratio", [0.0, math.nan, math.inf])
def test_masked_on_both_sides_has_no_share(ratio):
    assert loops.log_mean(0.0, 0.0, ratio) == 0


def test_a_softmax_of_two_by_hand():
    """Of (p, 1 - p), p = sigmoid(d): a change of one input moves p by the secant of exp and log."""
    x, x0 = np.array([[math.log(3), 0.0]]), np.zeros((1, 1, 2))
    y, y0 = np.array([[0.75, 0.25]]), np.full((1, 1, 2), 0.5)
    out, grad = np.zeros((1, 1, 2)), np.array([[[1.0, 0.0]]])
    # The logsumexp rises from log 2 to log 4; 2 / 4 and 1 over their logarithmic mean, 0.5 / log 2.
    rise, up, down = math.log(2), 2 * math.log(2), math.log(2)
    scalars = [np.array([[each]]) for each in (rise, up, down)]
    loops.softmax_loop(x, y, x0, y0, grad, *scalars, out)
    # m_1 = (3 - 1) / log 3 / ((4 - 2) / log 2), and u from log 1/2 to log 3/4: its secant is
    # (1 / 4) / log 1.5.
    first = math.log(2) / math.log(3)
    assert out[0, 0, 0] == pytest.approx(0.25 / math.log(1.5) * (1 - first))
    assert out[0, 0, 0] * math.log(3) == pytest.approx(0.25)  # all of what p gained


def test_a_norm_by_hand():
    """(0, 2) against (0, 4) without eps: (-1, 1) both times, but half as steep."""
    x, x0 = np.array([[0.0, 2.0]]), np.array([[[0.0, 4.0]]])
    grad, out = np.array([[[0.0, 1.0]]]), np.zeros((1, 1, 2))
    loops.norm_loop(
        x, np.array([1.0]), np.array([1.0]), np.array([3.0, 3.0]),
        x0, np.array([[2.0]]), np.array([[0.5]]), grad, out,
    )  # fmt: skip
    # a = (0, 3), c + c0 = (-3, 3): (a - 1.5) 0.75 - (c + c0) 4.5 (0.25 / 1.5) / 2 = 0
    assert out.ravel() == pytest.approx([0, 0])  # nothing changed, and nobody is credited


def test_exponentials_and_what_results_lost_by_hand():
    for z in (0.0, 1.0, -1.0, 0.3465, 88.7, -700.0, 700.0):
        assert loops.exponential(z) == pytest.approx(math.exp(z), rel=1e-11)
    x = np.array([[0.0, 1.0, -3.0, 40.0]], np.float32)
    rest = np.empty_like(x)
    for weighed in (False, True):
        loops.logistic_rest_loop(x, np.zeros_like(x), rest, weighed)
        known = [(v if weighed else 1) / (1 + math.exp(-v)) for v in x[0].tolist()]
        assert rest[0].tolist() == pytest.approx(known, rel=1e-7)
    loops.gelu_rest_loop(x, np.zeros_like(x), rest)
    known = [v * math.erfc(-v * math.sqrt(0.5)) / 2 for v in x[0].tolist()]
    assert rest[0].tolist() == pytest.approx(known, rel=1e-7, abs=1e-11)
