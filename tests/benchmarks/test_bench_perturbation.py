"""Edge perturbations in batches, against a plain forward and against the way it used to be done.

All three are measured in the same run, in turns, by CPU time on one thread, on the network of the
published CP experiments (four branches, 29 points, 150 frames, 64 channels); only ratios count.
"""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from fixtures.cp_network import cp_network, in_turns, windows

from hargcn.metrics.runner import Runner
from hargcn.networks.stgcn import MultiBranchSTGCN
from hargcn.perturbation import EdgeEdit

AWAY = EdgeEdit("self", "away", 0.9)
WINDOWS, TOP, ROUNDS = 4, 8, 5


@pytest.fixture(scope="module")
def network() -> tuple[MultiBranchSTGCN, torch.Tensor]:
    return cp_network(), windows(WINDOWS)


def joint_sets() -> np.ndarray:
    """Return the k most important joints of random rankings, k = 1..TOP: (WINDOWS, TOP, 29)."""
    ranks = np.random.default_rng(0).random((WINDOWS, 1, 29)).argsort(-1).argsort(-1)
    return ranks < np.arange(1, TOP + 1)[:, None]


def one_by_one(model: MultiBranchSTGCN, x: torch.Tensor, joints: np.ndarray) -> np.ndarray:
    """Copy the state, edit the copy, load it, run one window, load the original back."""
    found = np.empty((*joints.shape[:2], 2))
    original = copy.deepcopy(model.state_dict())
    for n, k in np.ndindex(*joints.shape[:2]):
        edited = copy.deepcopy(model.state_dict())
        for name in model.edges():
            edge = edited[f"{name}.edge"]
            step = AWAY.amount * (edge[0].max() - edge[0].min())
            for joint in np.flatnonzero(joints[n, k]):
                edge[0, joint, joint] += torch.sign(edge[0, joint, joint]) * step
        model.load_state_dict(edited)
        with torch.inference_mode():
            found[n, k] = model(x[n : n + 1])[0]
        model.load_state_dict(original)
    return found


@pytest.mark.slow
def test_edge_perturbation_costs_what_a_batched_forward_costs(network, judge):
    model, x = network
    joints = joint_sets()
    run = Runner()
    repeated = x.repeat_interleave(TOP, dim=0)
    plain, edited, single = in_turns(
        ROUNDS,
        {
            "plain": lambda: run.logits(model, repeated),
            "edited": lambda: run.edited(model, x, AWAY, joints),
            "single": lambda: one_by_one(model, x, joints),
        },
    ).values()
    passes = f"{WINDOWS * TOP} forward passes in a batch"
    judge("perturb, edges of joint sets", edited / plain, passes, most=1.05, limit=1.1)
    judge("as published: state copied and edited", single / edited, "perturb", least=1.8)
    np.testing.assert_allclose(
        run.edited(model, x, AWAY, joints)[:, :, 0], one_by_one(model, x, joints), atol=1e-4
    )
