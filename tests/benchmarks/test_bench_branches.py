"""The branches J, V, B, A against one pass over the numbers that they are, on one thread.

The floor writes the branches' numbers once and takes one arc cosine for each angle among them.
"""

from __future__ import annotations

import sys

import pytest
import torch
from fixtures.cp_network import in_turns

import hargcn
from hargcn.networks.branches import branches

pytestmark = pytest.mark.slow
WINDOWS, REPEATS = 16, 10


@pytest.mark.parametrize(
    ("layout", "persons", "limit"), [("inmotion29", 1, 0.2), ("ntu25", 2, None)]
)
def test_features_cost_a_fraction_of_a_millisecond(layout, persons, limit):
    skeleton = hargcn.skeleton(layout)
    shape = (WINDOWS, skeleton.ndim, 150, skeleton.n_joints, persons)
    positions = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    valid = torch.ones(WINDOWS, 150, persons, dtype=torch.bool)
    angles = positions.clamp(-1, 1)

    def floor() -> None:
        parts = [positions] * 7 + [torch.acos(angles)]
        torch.cat(parts, dim=1)

    def features() -> None:
        branches(positions, skeleton, valid=valid)

    with torch.no_grad():
        found = in_turns(
            9,
            {
                "floor": lambda: [floor() for _ in range(REPEATS)],
                "features": lambda: [features() for _ in range(REPEATS)],
            },
        )
    ms = {name: 1e3 * took / REPEATS / WINDOWS for name, took in found.items()}
    aim = "" if limit is None else f" (aim {limit} ms)"
    sys.stdout.write(
        f"\nbranches of {layout}, {persons} persons, 150 frames: {ms['features']:.3f} ms a window"
        f"{aim}, {ms['features'] / ms['floor']:.1f} x the floor\n"
    )
    assert ms["features"] <= 8 * ms["floor"]
