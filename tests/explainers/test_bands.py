"""Bands of frequencies, by hand and by Parseval's theorem."""

from __future__ import annotations

import re

import numpy as np
import pytest

from hargcn.explainers.bands import Band, bands_of, bins, folded, shared_out, time_windows


def test_bands_are_read_by_range_and_by_name():
    assert bands_of("4-6, 0-4,6-") == (
        Band("0-4 Hz", 0, 4), Band("4-6 Hz", 4, 6), Band("from 6 Hz", 6, np.inf),
    )  # fmt: skip
    assert bands_of("-.5")[0] == Band("to .5 Hz", 0, 0.5)
    low, tremor, rest = bands_of({"tremor": "4.5-6", "slow": "-0.5"})
    assert (low, tremor, rest.name) == (Band("slow", 0, 0.5), Band("tremor", 4.5, 6), "rest")


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ("fast", "expected a band low-high in Hz, such as 4-6 or 6- (got 'fast')"),
        ("-", "expected a band low-high in Hz, such as 4-6 or 6- (got '-')"),
        ("6-4", "expected a band low-high in Hz, such as 4-6 or 6- (got '6-4')"),
        ("4-4", "expected a band low-high in Hz, such as 4-6 or 6- (got '4-4')"),
        ("0-3,2-4", "expected bands that do not overlap (got '0-3 Hz' and '2-4 Hz')"),
        ({"rest": "2-4"}, "expected another name than 'rest', which is what is in no band"),
        ({}, "expected bands, such as 0-2,2-4,4-6,6- (got none)"),
    ],
)
def test_other_bands_are_refused(given, why):
    with pytest.raises(ValueError, match=f"^{re.escape(why)}$"):
        bands_of(given)


def test_a_frequency_belongs_to_the_band_that_holds_it():
    found = bins(8, 16.0)
    np.testing.assert_array_equal(found, [0, 2, 4, 6, 8])
    table = shared_out(bands_of("2-4,4-8"), found)
    np.testing.assert_array_equal(table, [[0, 1, 0, 0, 0], [0, 0, 1, 1, 0], [1, 0, 0, 0, 1]])
    np.testing.assert_array_equal(table.sum(axis=0), np.ones(5))


def test_a_band_between_frequencies_is_refused():
    why = (
        "expected a band with a frequency of the window, which has one every 2 Hz up to 8 "
        "(got '4.5-5.5 Hz')"
    )
    with pytest.raises(ValueError, match=re.escape(why)):
        shared_out(bands_of("4.5-5.5"), bins(8, 16.0))


@pytest.mark.parametrize("frames", [1, 2, 7, 8])
def test_folded_bins_sum_to_the_sum_over_frames(frames):
    a, b = np.random.default_rng(3).normal(size=(2, frames))
    products = (np.fft.rfft(a).conj() * np.fft.rfft(b)).real
    np.testing.assert_allclose(folded(frames) @ products, a @ b, rtol=1e-12)


@pytest.mark.parametrize(("frames", "count"), [(9, 1), (12, 4), (10, 3), (5, 5)])
def test_stretches_sum_to_one_and_lie_evenly(frames, count):
    windows, centres = time_windows(frames, count)
    np.testing.assert_allclose(windows.sum(axis=0), 1, atol=1e-15)
    assert windows.min() >= 0
    np.testing.assert_allclose(np.diff(centres), frames / count)
    np.testing.assert_allclose(centres.mean(), (frames - 1) / 2)


def test_a_stretch_is_a_raised_cosine():
    windows, _ = time_windows(8, 2)  # centres at 1.5 and 5.5
    np.testing.assert_allclose(windows[0, :2], 1)
    np.testing.assert_allclose(windows[0, 3], np.cos(np.pi / 2 * 1.5 / 4) ** 2)
    np.testing.assert_allclose(windows[0, 6:], 0, atol=1e-15)
