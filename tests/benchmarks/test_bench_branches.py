"""The branches J, V, B, A against one pass over the numbers that they are, on one thread.

The floor writes the branches' numbers once and takes one arc cosine for each angle among them.
"""

from __future__ import annotations

import pytest
import torch
from fixtures.cp_network import in_turns

import hargcn
from hargcn.networks.branches import branches

pytestmark = pytest.mark.slow
WINDOWS, REPEATS = 16, 10


@pytest.mark.parametrize(("layout", "persons"), [("inmotion29", 1), ("ntu25", 2)])
def test_features_cost_a_fraction_of_a_millisecond(layout, persons, judge):
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
    whose = f"branches of {layout}, persons: {persons}"
    # Milliseconds follow the machine and its other work; what may not get worse is the ratio.
    judge(whose, ms["features"], "150 frames", most=0.2, limit=2, unit="ms a window")
    ratio, passes = ms["features"] / ms["floor"], "one pass over their numbers"
    # Pages of new memory, of which features take more, cost several times as much on some machines.
    judge(f"{whose}, passes", ratio, passes, most=8, limit=10)
