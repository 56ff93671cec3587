from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from fixtures.small_model import small_model
from fixtures.toy_networks import three_joints

from hargcn.metrics.runner import Runner, blend, probability, substrate
from hargcn.perturbation import EdgeEdit, InputEdit, parse_edit

EDITS = ["edge:self:away:0.35", "edge:all:noise:0.2", "input:freeze", "input:noise:0.1@2-6"]


@pytest.fixture(scope="module")
def network():
    model = small_model("inmotion19", branches=("J", "V"))
    positions = torch.randn(3, 2, 9, 19, 1, generator=torch.Generator().manual_seed(0))
    return model, positions


def sets(samples: int = 3, n: int = 5, joints: int = 19) -> np.ndarray:
    return np.random.default_rng(0).random((samples, n, joints)) < 0.3


@pytest.mark.parametrize("text", EDITS)
def test_batches_equal_one_window_at_a_time(network, text):
    model, positions = network
    edit, joints = parse_edit(text), sets()
    run = Runner(model.features, batch=4, skeleton=model.skeleton, seed=9)
    found = run.edited(model, positions, edit, joints, draws=2)
    assert found.shape == (3, 5, 2 if edit.drawn else 1, 3)
    for n, s, d in np.ndindex(*found.shape[:3]):
        row, chosen = positions[n : n + 1], torch.from_numpy(joints[n, s][None])
        seeds = np.array([[9, n, d]])
        with torch.no_grad():
            if isinstance(edit, EdgeEdit):
                edges = edit.apply(model.edges(), chosen, seeds)
                logits = model(model.features(row), edges=edges)
            else:
                logits = model(model.features(edit.apply(row, chosen, seeds=seeds)))
        np.testing.assert_allclose(found[n, s, d], logits[0], atol=1e-5)


@pytest.mark.parametrize("text", EDITS)
def test_an_empty_set_and_a_zero_edit_score_like_the_window_itself(network, text):
    model, positions = network
    run = Runner(model.features)
    plain = run.logits(model, positions)
    nothing = run.edited(model, positions, parse_edit(text), np.zeros((3, 1, 19), bool))
    np.testing.assert_allclose(nothing[:, 0, 0], plain, atol=1e-6)
    zero = run.edited(model, positions, EdgeEdit("all", "away", 0.0), np.ones((3, 1, 19), bool))
    np.testing.assert_allclose(zero[:, 0, 0], plain, atol=1e-6)


def test_the_batch_size_cannot_change_the_answer(network):
    model, positions = network
    edit, joints = parse_edit("edge:incident:noise:0.5"), sets()
    one, many = (
        Runner(model.features, batch=b).edited(model, positions, edit, joints, draws=3)
        for b in (1, 64)
    )
    np.testing.assert_allclose(one, many, atol=1e-5)


def test_model_and_data_are_bit_identical_afterwards_and_modes_come_back(network):
    model, positions = network
    model = copy.deepcopy(model)
    model.train()
    model.main.eval()
    modes = [m.training for m in model.modules()]
    state = copy.deepcopy(model.state_dict())
    before = positions.clone()
    for text in EDITS:
        Runner(model.features).edited(model, positions, parse_edit(text), sets())
    after = model.state_dict()
    assert state.keys() == after.keys()
    assert all(torch.equal(state[key], after[key]) for key in state)
    assert torch.equal(positions, before)
    assert [m.training for m in model.modules()] == modes


def test_sets_met_twice_are_scored_once():
    model, x = three_joints()
    rows = []
    model.register_forward_hook(lambda _module, given, _out: rows.append(len(given[0])))
    joints = np.array([[[1, 0, 0], [0, 0, 0], [1, 0, 0], [0, 0, 0]]], bool)
    found = Runner().edited(model, x, EdgeEdit("self", "away", 0.5), joints)
    assert sum(rows) == 2
    assert np.array_equal(found[:, 0], found[:, 2])


def test_nested_sets_share_their_random_numbers():
    """Noise on one joint adds the same with and without noise on another: the logit is linear."""
    model, x = three_joints()
    joints = np.array([[[1, 0, 0], [0, 1, 0], [1, 1, 0], [0, 0, 0]]], bool)
    first, second, both, none = Runner().edited(model, x, InputEdit("noise", 0.5), joints, draws=4)[
        0, :, :, 0
    ]
    np.testing.assert_allclose(first + second - none, both, atol=1e-5)


def test_features_get_the_valid_frames_of_their_rows():
    valid = torch.tensor([[[True], [False]], [[True], [True]]])
    seen = []

    def features(positions, mask):
        seen.append(mask)
        return positions

    x = torch.ones(2, 1, 2, 3, 1)
    Runner(features, valid=valid).logits(Pooled(), x)
    assert torch.equal(seen[0], valid)
    frozen = substrate(
        torch.arange(12.0).reshape(2, 1, 2, 3, 1), InputEdit("mean"), Runner(valid=valid)
    )
    assert frozen[0].flatten().tolist() == [0, 1, 2, 3, 4, 5]
    assert frozen[1].flatten().tolist() == [7.5, 8.5, 9.5] * 2


class Pooled(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.mean((2, 3, 4)).expand(-1, 2)


def test_edge_edits_need_edges():
    with pytest.raises(TypeError, match=r"Expected a model with edges\(\) to edit \(got Pooled\)"):
        Runner().edited(Pooled(), torch.ones(1, 1, 2, 3, 1), EdgeEdit(), np.ones((1, 1, 3), bool))


def test_blend_is_exact_at_both_ends():
    x, other = torch.randn(2, 2, 3, 4, 5, 1, generator=torch.Generator().manual_seed(0))
    assert torch.equal(blend(x, other, torch.ones(2, 4, 5)), x)
    assert torch.equal(blend(x, other, torch.zeros(2, 4, 5)), other)
    half = blend(x, other, torch.full((2, 4, 5), 0.5))
    torch.testing.assert_close(half, (x + other) / 2)


def test_probability_takes_each_samples_class():
    logits = np.log([[[1.0, 3.0]], [[1.0, 1.0]]])
    np.testing.assert_allclose(probability(logits, np.array([1, 0])), [[0.75], [0.5]])


def test_batches_shrink_with_the_window():
    small, large = torch.zeros(1, 2, 20, 10, 1), torch.zeros(1, 2, 300, 25, 2)
    assert Runner().rows(small) == 200
    assert Runner().rows(large) == 4
    assert Runner(batch=7).rows(large) == 7


def test_what_is_drawn_for_a_part_is_what_all_windows_draw():
    run = Runner(seed=7)
    every = run.uniform(3, 10, 4)
    np.testing.assert_array_equal(every, np.random.default_rng(7).random((3, 10, 4)))
    for some in (slice(0, 4), slice(4, 9), slice(9, 10)):
        part = run.part(some, 10)
        np.testing.assert_array_equal(part.uniform(3, some.stop - some.start, 4), every[:, some])
    again = run.part(slice(4, 9), 10).part(slice(2, 5), 5)
    np.testing.assert_array_equal(again.uniform(3, 3, 4), every[:, 6:9])
    assert again.seeds(np.arange(3), np.array([5, 6, 7])).tolist() == [
        [7, 6, 5],
        [7, 7, 6],
        [7, 8, 7],
    ]


@pytest.mark.parametrize("text", EDITS)
def test_windows_measured_part_by_part_have_the_same_logits(network, text):
    model, positions = network
    edit, joints = parse_edit(text), sets()
    valid = torch.ones(3, 9, 1, dtype=torch.bool)
    run = Runner(model.features, valid, skeleton=model.skeleton, seed=9)
    whole = run.edited(model, positions, edit, joints, draws=2)
    for some in (slice(0, 1), slice(1, 3)):
        part = run.part(some, 3).edited(model, positions[some], edit, joints[some], draws=2)
        np.testing.assert_allclose(part, whole[some], atol=1e-5)
