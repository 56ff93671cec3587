from __future__ import annotations

import numpy as np
import pytest
import yaml

import hargcn
from hargcn.skeleton import Skeleton, hop_distance, names, partitions, skeleton


@pytest.mark.parametrize("name", names())
def test_named_layouts_survive_the_round_trip(name):
    layout = skeleton(name)
    assert Skeleton.from_dict(layout.to_dict()) == layout
    assert len(layout.bones) == layout.n_joints - 1


def test_counts_of_joints():
    counts = {name: skeleton(name).n_joints for name in names()}
    assert counts == {
        "ntu25": 25, "ntu25_alt": 25, "ntu19": 19, "kinect20": 20, "inmotion29": 29,
        "inmotion19": 19,
        "minirgbd14": 14, "coco17": 17, "openpose18": 18, "openpose25": 25,
        "mediapipe33": 33, "mediapipe33_3d": 33, "halpe26": 26, "h36m17": 17,
        "smpl24": 24, "kinect32": 32, "hand21": 21, "coco133": 133, "h3wb133": 133,
    }  # fmt: skip


@pytest.mark.parametrize("name", names())
def test_mirror_pairs_are_left_and_right_of_the_same_joint(name):
    layout = skeleton(name)
    sided = sum(joint.startswith(("left_", "right_")) for joint in layout.joints)
    for left, right in layout.mirror:
        if layout.joints[left].startswith("face-"):  # points of a face have numbers
            assert layout.joints[right].startswith("face-")
            sided += 2
            continue
        assert layout.joints[left].startswith("left_")
        assert layout.joints[right] == layout.joints[left].replace("left_", "right_", 1)
    assert sided == 2 * len(layout.mirror)


def test_both_bone_variants_of_ntu_differ_in_the_fingers_only():
    usual, other = skeleton("ntu25"), skeleton("ntu25_alt")
    moved = {usual.joints[a] for a, b in set(usual.edges) ^ set(other.edges)}
    assert moved == {"left_hand_tip", "right_hand_tip"} | {"left_thumb", "right_thumb"} - {
        "left_thumb",
        "right_thumb",
    }


def chain(**changes):
    layout = {
        "name": "chain",
        "joints": ["a", "b", "c", "d"],
        "edges": [["b", "a"], ["c", "b"], ["d", "c"]],
        "parts": {"all": ["a", "b", "c", "d"]},
        "ndim": 2,
    }
    return {**layout, **changes}


def test_distance_partitions_of_a_chain_by_hand():
    parts = partitions(Skeleton.from_dict(chain()), hops=1)
    # Joint b sees a, b, c: a third each; the ends see two joints.
    expected = np.zeros((2, 4, 4))
    expected[0] = np.diag([1 / 2, 1 / 3, 1 / 3, 1 / 2])
    expected[1, 0, 1] = expected[1, 2, 1] = expected[1, 1, 2] = expected[1, 3, 2] = 1 / 3
    expected[1, 1, 0] = expected[1, 2, 3] = 1 / 2
    np.testing.assert_allclose(parts, expected, rtol=1e-6)


def test_symmetric_partitions_of_a_chain_by_hand():
    """Joints have 2, 3, 3 and 2 neighbours, themselves included."""
    parts = partitions(Skeleton.from_dict(chain()), hops=1, normalised="symmetric")
    ends, middle = 1 / np.sqrt(2 * 3), 1 / 3
    np.testing.assert_allclose(parts[0], np.diag([1 / 2, 1 / 3, 1 / 3, 1 / 2]), rtol=1e-6)
    np.testing.assert_allclose(np.diag(parts[1], 1), [ends, middle, ends], rtol=1e-6)
    np.testing.assert_array_equal(parts[1], parts[1].T)
    assert np.count_nonzero(parts[1]) == 6


def test_symmetric_partitions_agree_with_torch_geometric():
    torch = pytest.importorskip("torch")
    from torch_geometric.nn.conv.gcn_conv import gcn_norm
    from torch_geometric.utils import to_dense_adj

    layout = skeleton("coco17")
    seen = partitions(layout, 2).sum(0) > 0
    found = partitions(layout, 2, normalised="symmetric").sum(0)
    edges, weights = gcn_norm(torch.from_numpy(np.stack(np.nonzero(seen))))
    np.testing.assert_allclose(found, to_dense_adj(edges, edge_attr=weights)[0], rtol=1e-6)


def test_spatial_partitions_separate_nearer_from_farther():
    layout = Skeleton.from_dict(chain())
    same, nearer, farther = partitions(layout, hops=1, strategy="spatial")
    np.testing.assert_allclose(same + nearer + farther, partitions(layout, 1).sum(0))
    assert nearer[0, 1] > 0  # a is nearer to the root than b
    assert nearer[2, 1] == 0
    assert farther[2, 1] > 0


@pytest.mark.parametrize("strategy", ["distance", "spatial"])
@pytest.mark.parametrize("name", names())
def test_columns_add_up_to_one(name, strategy):
    total = partitions(skeleton(name), 2, strategy).sum(axis=(0, 1))
    np.testing.assert_allclose(total, 1, rtol=1e-6)


def test_reach_normalises_over_more_than_is_used():
    layout = skeleton("inmotion29")
    np.testing.assert_array_equal(partitions(layout, 1, reach=3), partitions(layout, 3)[:2])


def test_partitions_follow_a_relabelling_of_joints():
    layout = skeleton("kinect20")
    order = np.random.default_rng(0).permutation(layout.n_joints)
    back = np.argsort(order)
    shuffled = layout.to_dict()
    shuffled["joints"] = [layout.joints[i] for i in order]
    shuffled["parents"] = [layout.joints[layout.parents[i]] for i in order]
    moved = partitions(Skeleton.from_dict(shuffled), 2)
    np.testing.assert_allclose(moved[:, back][:, :, back], partitions(layout, 2))


def test_partitions_agree_with_torch_geometric():
    torch = pytest.importorskip("torch")
    from torch_geometric.utils import k_hop_subgraph

    layout = skeleton("coco17")
    edges = torch.tensor([*layout.edges, *(e[::-1] for e in layout.edges)]).T
    reach = partitions(layout, 2).sum(0) > 0
    for joint in range(layout.n_joints):
        seen, *_ = k_hop_subgraph(joint, 2, edges, num_nodes=layout.n_joints)
        assert set(seen.tolist()) == set(np.flatnonzero(reach[:, joint]))


def test_hop_distance_of_hand_to_foot():
    layout = skeleton("kinect20")
    distance = hop_distance(layout)
    assert distance[layout.index("left_hand"), layout.index("left_foot")] == 10
    assert (np.diag(distance) == 0).all()


def test_a_users_own_layout(tmp_path):
    path = tmp_path / "skeleton.yaml"
    path.write_text(yaml.safe_dump(chain()))
    layout = hargcn.skeleton(path)
    assert layout.parents == (0, 0, 1, 2)
    assert layout.index("c") == 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"edges": [["b", "a"], ["c", "b"]]}, "tree over 4 joints: 3 edges"),
        ({"edges": [["b", "a"], ["c", "b"], ["a", "c"]]}, "tree over 4 joints"),
        ({"parts": {"all": ["a", "b", "c"]}}, r"cover every joint exactly once \(not so: \['d'\]"),
        ({"joints": ["a", "b", "c", "a"], "edges": []}, "names must differ"),
        ({"mirror": [["a", "b"], ["b", "c"]]}, "one mirror pair only"),
        ({"parents": ["b", "a", "b", "c"]}, "without a cycle"),
        ({"ndim": 4}, "ndim must be 2 or 3"),
        ({"edges": [["bb", "a"]]}, "'bb' is no joint; did you mean 'b'"),
        ({"bones": []}, r"unknown \['bones'\]"),
    ],
)
def test_defects_of_a_users_layout_are_named(tmp_path, changes, message):
    path = tmp_path / "mine.yaml"
    layout = chain(**changes)
    if "joints" in changes:
        layout["parts"] = {"all": [0, 1, 2, 3]}
    path.write_text(yaml.safe_dump(layout))
    with pytest.raises(ValueError, match=message):
        skeleton(path)


def test_unknown_names_and_missing_files():
    with pytest.raises(ValueError, match="did you mean 'ntu25'"):
        skeleton("ntu52")
    with pytest.raises(FileNotFoundError, match="no such skeleton file"):
        skeleton("nowhere.yaml")
    with pytest.raises(ValueError, match="did you mean 'left_wrist'"):
        skeleton("kinect20").index("left_wris")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"joints": True}, "expected a list of up to 500 joints as joints .got True"),
        ({"joints": "abcd"}, "expected a list of up to 500 joints as joints .got 'abcd'"),
        ({"joints": ["a"] * 501}, "expected a list of up to 500 joints as joints"),
        ({"edges": 3}, "expected a list of up to 500 pairs of joints as edges .got 3"),
        ({"edges": [["b", "a"], ["c"]]}, "pairs of joints as edges"),
        ({"mirror": [None]}, "pairs of joints as mirror"),
        ({"parts": ["a"]}, r"expected lists of joints by name as parts \(got \['a'\]"),
        ({"parts": {"all": 1}}, "expected lists of joints by name as parts"),
        ({"trunk": ["a"]}, "expected two lists of joints as trunk"),
        ({"trunk": [["a"], []]}, "a trunk has two ends"),
        ({"centre": "a"}, "as centre .got 'a'"),
        ({"parents": 0}, "as parents .got 0"),
        ({"ndim": [2]}, r"expected a whole number as ndim \(got \[2\]"),
        ({"root": {"a": 1}}, r"\{'a': 1\} is no joint"),
        ({"root": True}, "True is no joint"),
        ({None: 1, 3: 2}, r"unknown \['3', 'None'\]"),
        ({"x" * 9000: 1}, r"unknown \['xxx.*\.\.\."),
    ],
)
def test_layouts_of_another_form_are_refused(changes, message):
    with pytest.raises(ValueError, match=message) as no:
        Skeleton.from_dict({**chain(), **changes}, "own.yaml")
    assert len(str(no.value)) < 400


def test_a_layout_without_a_trunk_says_so():
    plain = Skeleton.from_dict(chain())
    assert plain.trunk == ((), ())
    assert Skeleton.from_dict(plain.to_dict()) == plain
    with pytest.raises(
        ValueError, match=r"layout with a trunk.*skeleton 'chain' has none\): add `t"
    ):
        _ = plain.ends
    assert Skeleton.from_dict(chain(trunk=[["a"], ["b", "c"]])).ends == ((0,), (1, 2))
