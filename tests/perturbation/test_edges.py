from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hargcn.perturbation import EdgeEdit

# Partition 0 spans 1 - (-1) = 2, partition 1 spans 0.5.
E = torch.tensor(
    [
        [[1.0, 0.0, 0.2], [0.0, -1.0, 0.0], [0.0, 0.0, 0.5]],
        [[0.0, 0.5, 0.5], [0.5, 0, 0], [0.5, 0, 0]],
    ]
)
ONE = torch.tensor([[False, True, False]])
OPS = ["away", "towards", "noise"]


def test_self_away_moves_the_diagonal_from_zero_by_a_share_of_the_original_range():
    joints = torch.tensor([[True, True, False], [False, False, False]])
    edited = EdgeEdit("self", "away", 0.35).apply({"g": E}, joints)["g"]
    expected = E.clone()
    expected[0, 0, 0], expected[0, 1, 1] = 1 + 0.7, -1 - 0.7
    torch.testing.assert_close(edited[0], expected)
    assert torch.equal(edited[1], E)


@pytest.mark.parametrize(
    ("turns", "expected"),
    [
        # 1 + 0.35 x 2 = 1.7 spans 2.7 with -1, which becomes -1 - 0.35 x 2.7; then 3.645.
        ([1, 2, 3], (1.7, -1.945, 0.5 + 0.35 * 3.645)),
        ([2, 1, 0], (1.945, -1.7, 0.5)),
        ([0, 0, 1], (1.0, -1.0, 1.2)),
        ([0, 0, 0], (1.0, -1.0, 0.5)),
    ],
)
def test_a_recomputed_range_depends_on_the_order_by_hand(turns, expected):
    edit = EdgeEdit("self", "away", 0.35, range="recomputed")
    edited = edit.apply({"g": E}, torch.tensor([turns, [3, 2, 1]]))["g"]
    torch.testing.assert_close(edited[0, 0].diagonal(), torch.tensor(expected))
    assert torch.equal(edited[0, 1], E[1])
    original = EdgeEdit("self", "away", 0.35).apply({"g": E}, torch.tensor([turns]) > 0)["g"]
    assert torch.equal(original[0], edited[0]) == (max(turns) < 2)


def test_a_recomputed_range_needs_an_order_and_a_range():
    with pytest.raises(ValueError, match=r"the order of the joints .*recomputed \(got a mask\)"):
        EdgeEdit(range="recomputed").apply({"g": E}, ONE)
    for which, op in (("incident", "away"), ("self", "zero"), ("single", "away")):
        with pytest.raises(ValueError, match=f"edge:self and an op .*got edge:{which}:{op}"):
            EdgeEdit(which, op, range="recomputed")
    with pytest.raises(ValueError, match="Expected range of original, recomputed"):
        EdgeEdit(range="anew")


def test_towards_stops_at_zero_unless_it_may_cross():
    joints = torch.ones(1, 3, dtype=torch.bool)
    diagonal = EdgeEdit("self", "towards", 0.35).apply({"g": E}, joints)["g"][0, 0].diagonal()
    torch.testing.assert_close(diagonal, torch.tensor([0.3, -0.3, 0.0]))
    crossed = EdgeEdit("self", "towards", 0.35, cross=True).apply({"g": E}, joints)["g"]
    torch.testing.assert_close(crossed[0, 0].diagonal(), torch.tensor([0.3, -0.3, -0.2]))


def test_incident_zero_clears_row_and_column_in_every_partition():
    edited = EdgeEdit("incident", "zero").apply({"g": E}, ONE)["g"][0]
    expected = E.clone()
    expected[:, 1], expected[:, :, 1] = 0, 0
    assert torch.equal(edited, expected)


def test_chosen_partitions_only():
    edited = EdgeEdit("incident", "zero", partitions=(1,)).apply({"g": E}, ONE)["g"][0]
    assert torch.equal(edited[0], E[0])
    assert not edited[1, 1].any()


def test_single_edits_the_chosen_entries_from_source_to_target_in_every_partition():
    chosen = torch.zeros(2, 3, 3, dtype=torch.bool)
    chosen[0, 0, 2] = chosen[0, 1, 1] = True
    edited = EdgeEdit("single", "towards", 0.05).apply({"g": E, "h": 2 * E}, chosen)
    expected = E.clone()
    expected[0, 0, 2], expected[0, 1, 1] = 0.2 - 0.1, -1 + 0.1  # of a range of 2
    expected[1, 0, 2] = 0.5 - 0.025  # of 0.5; its own edge is 0, and stays
    torch.testing.assert_close(edited["g"], torch.stack([expected, E]))
    torch.testing.assert_close(edited["h"], 2 * edited["g"])
    cut = EdgeEdit("single", "zero", partitions=(0,)).apply({"g": E}, chosen)["g"][0]
    assert cut[0].tolist() == (E[0] * ~chosen[0]).tolist()
    assert torch.equal(cut[1], E[1])


def test_all_edits_every_entry_of_samples_with_a_chosen_joint():
    joints = torch.tensor([[False, True, False], [False, False, False]])
    edited = EdgeEdit("all", "away", 0.5).apply({"g": E}, joints)["g"]
    assert (edited[0] != E).all()
    assert torch.equal(edited[1], E)


@settings(max_examples=20, deadline=None)
@given(st.sampled_from(OPS), st.sampled_from(["self", "incident", "all"]), st.integers(0, 7))
def test_a_zero_edit_is_exactly_the_identity(op, which, bits):
    joints = torch.tensor([[bool(bits >> j & 1) for j in range(3)]])
    assert torch.equal(EdgeEdit(which, op, 0.0).apply({"g": E}, joints)["g"][0], E)


@pytest.mark.parametrize("op", [*OPS, "zero"])
def test_joints_edited_one_after_another_with_the_original_range_give_the_same(op):
    """The range is that of the original E: order of the joints, and batch, do not matter."""
    edit = EdgeEdit("self", op, 0.3)
    both = edit.apply({"g": E}, torch.tensor([[True, True, False]]), seeds=[4])["g"][0]
    single = [
        edit.apply({"g": E}, torch.eye(3, dtype=torch.bool)[j : j + 1], seeds=[4])["g"][0]
        for j in (1, 0)
    ]
    torch.testing.assert_close(both - E, sum(each - E for each in single))


def test_noise_depends_on_the_seed_of_the_row_alone():
    edit = EdgeEdit("all", "noise", 1.0)
    joints = torch.ones(3, 3, dtype=torch.bool)
    edges = {"g": E, "h": E}
    together = edit.apply(edges, joints, seeds=[7, 8, 7])
    alone = edit.apply(edges, joints[:1], seeds=[8])
    assert torch.equal(together["g"][1], alone["g"][0])
    assert torch.equal(together["g"][0], together["g"][2])
    assert not torch.equal(together["g"][0], together["g"][1])
    assert not torch.equal(together["g"][0], together["h"][0])


def test_noise_has_the_range_as_its_unit():
    big = torch.rand(1, 40, 40, generator=torch.Generator().manual_seed(0))
    noise = EdgeEdit("all", "noise", 0.5).apply({"g": big}, torch.ones(20, 40, dtype=torch.bool))
    spread = (noise["g"] - big).std()
    assert float(spread) == pytest.approx(0.5 * float(big.max() - big.min()), rel=0.02)


def test_nothing_given_is_changed():
    original, joints = E.clone(), ONE.clone()
    for op in [*OPS, "zero"]:
        EdgeEdit("all", op, 0.4).apply({"g": original}, joints)
    assert torch.equal(original, E)
    assert torch.equal(joints, ONE)


def test_wrong_sizes_are_refused():
    with pytest.raises(ValueError, match=r"Expected joint sets of shape \(rows, 3\) for layer g"):
        EdgeEdit().apply({"g": E}, torch.ones(1, 4, dtype=torch.bool))
    with pytest.raises(ValueError, match=r"Expected edge sets of shape \(rows, 3, 3\) for layer g"):
        EdgeEdit("single").apply({"g": E}, ONE)
    with pytest.raises(ValueError, match="Expected partitions below 2 for layer g"):
        EdgeEdit(partitions=(2,)).apply({"g": E}, ONE)
    with pytest.raises(ValueError, match="one seed for each of 1 rows"):
        EdgeEdit(op="noise").apply({"g": E}, ONE, seeds=np.arange(2))


def test_no_partition_at_all_is_refused():
    with pytest.raises(ValueError, match=r"Expected partitions from 0 on \(got \(\)\)"):
        EdgeEdit(partitions=())
