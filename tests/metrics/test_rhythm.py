"""Shares of bands by hand, and of movements whose rhythm is known."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from fixtures.fake_explanations import explanation

from hargcn.metrics.rhythm import band_shares

RATE, LONG = 20.0, 40
BANDS = {"slow": "0-1", "decoy": "1-3", "tremor": "4-6"}


def trembling(values, hertz):
    """Two windows of two joints, of which joint i trembles at some hertz; the first has a sign."""
    made = explanation(
        values, ("sample", "branch", "joint", "frequency"), frames=LONG, joint=["a", "b"],
        frequency=[*BANDS, "rest"],
    )  # fmt: skip
    t = np.arange(LONG) / RATE
    moves = np.stack([np.sin(2 * np.pi * f * t) for f in hertz], axis=1)
    positions = np.broadcast_to(moves[None, None, ..., None], (2, 2, LONG, 2, 1)).copy()
    truth = np.zeros((2, LONG, 2), bool)
    truth[0, 5:20, 0] = True
    return made.assign(
        {
            "positions": (("sample", "space", "frame", "joint", "person"), positions),
            "state": (("sample", "frame", "joint", "person"), np.ones((2, LONG, 2, 1), np.uint8)),
            "truth": (("sample", "frame", "joint"), truth),
            "fps": np.full(2, RATE),
        },
        settings=json.dumps({"bands": BANDS}),
    )


def test_shares_by_hand():
    values = np.zeros((2, 2, 2, 4))
    values[0, :, 0] = [[1, 0, 4, 0], [0, -1, 2, 0]]  # branches add up to 1, -1, 6, 0
    values[0, 0, 1] = [2, 1, -2, 0]
    found = band_shares(trembling(values, (5.0, 2.0)))
    assert found["frequency"].to_numpy().tolist() == ["slow", "decoy", "tremor", "rest"]
    first = found.isel(sample=0)
    np.testing.assert_allclose(first["positive"].sel(joints="all"), np.array([3, 1, 6, 0]) / 10)
    np.testing.assert_allclose(first["positive"].sel(joints="sign's"), np.array([1, 0, 6, 0]) / 7)
    np.testing.assert_allclose(first["absolute"].sel(joints="all"), np.array([3, 2, 8, 0]) / 13)
    # Every 0.5 Hz up to 10: two below 1, four from 1 to 3, four from 4 to 6, eleven others.
    for chosen in ("all", "sign's"):
        expected = np.array([2, 4, 4, 11]) / 21
        np.testing.assert_allclose(first["bins"].sel(joints=chosen), expected)
    assert found.isel(sample=1).to_dataarray().isnull().all()  # it bears no sign


def test_power_is_of_velocities():
    found = band_shares(trembling(np.ones((2, 1, 2, 4)), (5.0, 2.0))).isel(sample=0)
    own = found["power"].sel(joints="sign's", frequency="tremor")
    assert float(own) > 0.95  # the first frame has no velocity
    # Steps of a wave of f Hz have the amplitude 2 sin(pi f / rate).
    faster = (np.sin(np.pi * 5 / RATE) / np.sin(np.pi * 2 / RATE)) ** 2
    both = found["power"].sel(joints="all")
    assert float(both.sel(frequency="tremor")) == pytest.approx(faster / (1 + faster), abs=0.03)
    assert float(both.sel(frequency="decoy")) == pytest.approx(1 / (1 + faster), abs=0.03)


def test_where_nobody_is_nothing_moves():
    made = trembling(np.ones((2, 1, 2, 4)), (5.0, 2.0))
    gone = made.dataset.copy(deep=True)
    gone["state"][:, 20:] = 0
    gone["positions"][:, :, 20:] = 100.0
    whole, half = band_shares(made), band_shares(type(made)(gone))
    own = {"joints": "sign's", "frequency": "tremor"}
    assert float(half["power"].sel(own)[0]) > 0.8
    assert float(whole["power"].sel(own)[0]) > float(half["power"].sel(own)[0])


def test_what_has_no_bands_or_truth_is_refused():
    made = trembling(np.ones((2, 1, 2, 4)), (5.0, 2.0))
    for lost, why in (("truth", "no truth"), ("state", "no state")):
        bare = type(made)(made.dataset.drop_vars(lost))
        with pytest.raises(ValueError, match=f"expected bands of joints of planted .*{why}"):
            band_shares(bare)
    with pytest.raises(ValueError, match=re.escape("bands None")):
        band_shares(made.assign(settings="{}"))
