"""What a page stores of a window: small, and within the bound that it states."""

from __future__ import annotations

import base64
import zlib

import numpy as np
import pytest
from fixtures.report_pages import unpacked

from hargcn.report.payload import LEVELS, STEPS, pack


def moving(space=3, frames=12, joints=5, persons=2, seed=0):
    """Positions that walk, states with absent and interpolated cells, and two maps."""
    rng = np.random.default_rng(seed)
    positions = rng.normal(size=(space, frames, joints, persons)).cumsum(axis=1) - 7
    state = rng.integers(0, 3, (frames, joints, persons))
    maps = [rng.normal(size=(4, joints, 1)), 1e-6 * rng.normal(size=(frames, joints, persons))]
    return positions, state, maps


@pytest.mark.parametrize("space", [2, 3])
def test_what_is_unpacked_is_within_half_a_step(space):
    positions, state, maps = moving(space)
    packed = pack(np.where(state > 0, positions, np.nan), state, maps)
    found, seen, levels = unpacked(packed, positions.shape, [each.shape for each in maps])
    assert (seen == state).all()
    shown = np.broadcast_to(state > 0, positions.shape)
    # Half a step, and what float64 rounds.
    assert np.abs(found - positions)[shown].max() <= packed.step * (0.5 + 1e-9)
    extents = [np.ptp(each[there]) for each, there in zip(positions, shown, strict=True)]
    assert packed.step == pytest.approx(max(extents) / STEPS)
    for each, map_, scale in zip(levels, maps, packed.scales, strict=True):
        assert np.abs(each * scale - map_).max() <= scale * (0.5 + 1e-9)
        assert scale == pytest.approx(np.abs(map_).max() / LEVELS)
        assert np.abs(each).max() == LEVELS, "the largest value uses the whole scale"


def test_zero_stays_zero():
    positions, state, _ = moving()
    map_ = np.array([[-1.0, 0, 0.2, 0, 0]])[..., None]
    packed = pack(positions, state, [map_])
    levels = unpacked(packed, positions.shape, [map_.shape])[2][0]
    assert ((levels == 0) == (map_ == 0)).all()


def test_nobody_and_nothing_are_stored_too():
    positions, state, maps = moving()
    packed = pack(np.full_like(positions, np.nan), np.zeros_like(state), [0 * maps[0]])
    found, seen, levels = unpacked(packed, positions.shape, [maps[0].shape])
    assert not found.any()
    assert not seen.any()
    assert not levels[0].any()


def test_data_is_base64_of_raw_deflate_and_nothing_else():
    packed = pack(*moving())
    raw = zlib.decompress(base64.b64decode(packed.data, validate=True), -zlib.MAX_WBITS)
    assert len(raw) == 2 * 3 * 12 * 5 * 2 + 12 * 5 * 2 + 4 * 5 + 12 * 5 * 2


def test_real_walks_take_few_bytes():
    """Differences of a smooth movement have high bytes of 0, which deflate to nothing."""
    time = np.linspace(0, 4 * np.pi, 150)
    phases = np.random.default_rng(1).uniform(0, 6, (3, 1, 29, 1))
    positions = np.sin(time[:, None, None] + phases)
    packed = pack(positions, np.ones((150, 29, 1), int), [])
    assert len(packed.data) < 0.75 * positions.size * 2
