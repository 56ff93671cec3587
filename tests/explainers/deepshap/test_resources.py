"""Forecasts and memory."""

from __future__ import annotations

import pytest

from hargcn.explainers.deepshap.resources import Forecast, available_memory


@pytest.mark.parametrize(
    ("seconds", "text"), [(7.4, "0 min 07 s"), (125, "2 min 05 s"), (16 * 3600 + 61, "16 h 01 min")]
)
def test_forecast_reads_well(seconds, text):
    forecast = Forecast(seconds, 3 * 2**30, 10, 316, 100)
    assert (
        str(forecast) == f"316 samples x 100 background rows in chunks of 10: about {text}, 3.0 GiB"
    )


def test_available_memory_is_that_of_a_computer():
    assert 2**26 < available_memory() < 2**50
