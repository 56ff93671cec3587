"""Expected errors of a background against all rows."""

from __future__ import annotations

import numpy as np
import pytest

from hargcn.explainers.deepshap.background import herding
from hargcn.explainers.deepshap.row_error import relative_error, standard_errors


def test_random_rows_by_hand():
    """Rows 1, 3 of 8: variance 2, so that the error's square is 2 (1/2 - 1/8)."""
    values = np.array([[[1.0, 5], [3, 5]]])
    np.testing.assert_allclose(standard_errors(values, 8), [[np.sqrt(0.75), 0]])
    np.testing.assert_array_equal(standard_errors(values, 2), [[0, 0]])
    assert relative_error(values, standard_errors(values, 8)) == pytest.approx(np.sqrt(0.75 / 29))


def test_herded_rows_by_hand():
    """Outputs 0, 1, 10, 12: differences from the nearest are 4, 4, 1, 1, half their square 4.25."""
    values, outputs = np.array([[[0.0], [4], [20], [21]]]), np.array([[0.0], [1], [10], [12]])
    error = standard_errors(values, 8, outputs)
    np.testing.assert_allclose(error, [[np.sqrt(4.25 * (1 / 4 - 1 / 8))]])
    plain = values.var(ddof=1)
    error = standard_errors(values, 16, outputs, pool=8)
    wanted = np.sqrt(4.25 * (1 / 4 - 1 / 8) + plain * (1 / 8 - 1 / 16))
    np.testing.assert_allclose(error, [[wanted]])


def test_a_relative_error_is_over_samples_of_different_size():
    values = np.array([[[3.0, 4]], [[30, 40]]])
    errors = np.array([[0.3, 0.4], [3, 4]])
    assert relative_error(values, errors) == pytest.approx(0.1)
    assert relative_error(np.zeros((1, 2, 3)), np.zeros((1, 3))) == 0
    assert relative_error(np.zeros((1, 2, 3)), np.ones((1, 3))) == np.inf


@pytest.fixture(scope="module")
def population() -> tuple[np.ndarray, np.ndarray]:
    """Attributions (cell, row) that bend with the row's outputs, and noise; skewed outputs."""
    rng = np.random.default_rng(0)
    outputs = rng.normal(size=(200, 2)) * [1, 2] + rng.gamma(0.5, 2, size=(200, 1))
    bent = np.tanh(outputs @ rng.normal(size=(2, 30))) + 0.3 * rng.normal(size=(200, 30))
    return bent.T, outputs


@pytest.mark.parametrize("n", [40, 80])
@pytest.mark.parametrize("how", ["random", "herding"])
def test_errors_are_as_large_as_expected(population, n, how):
    """Of nominal 95% intervals 90 to 99% hold the mean over all; without 1 - n/N more would."""
    cells, outputs = population
    inside, expected, real = [], [], []
    for seed in range(60):
        order = herding(outputs, seed) if how == "herding" else None
        rows = (np.random.default_rng(seed).permutation(200) if order is None else order)[:n]
        own = cells[:, rows]
        spread = None if order is None else outputs[rows]
        error = standard_errors(own.T[None], 200, spread)[0]
        miss = own.mean(axis=1) - cells.mean(axis=1)
        inside.append(np.abs(miss) <= 1.96 * error)
        expected.append((error**2).mean())
        real.append((miss**2).mean())
    assert 0.9 <= np.mean(inside) <= 0.99
    assert 0.85 <= np.sqrt(np.mean(expected) / np.mean(real)) <= 1.3


def test_herded_rows_need_a_third_of_the_random_ones(population):
    cells, outputs = population
    wanted = cells.mean(axis=1)
    herded = [cells[:, herding(outputs, seed)[:25]].mean(axis=1) - wanted for seed in range(30)]
    drawn = [np.random.default_rng(seed).permutation(200)[:75] for seed in range(30)]
    random = [cells[:, rows].mean(axis=1) - wanted for rows in drawn]
    assert np.mean(np.square(herded)) < np.mean(np.square(random))
