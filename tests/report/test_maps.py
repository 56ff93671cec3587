"""The maps of a page: sums over the axes that a map does not show."""

from __future__ import annotations

import numpy as np
from fixtures.report_pages import edges_explained, explained

from hargcn.report.maps import maps_of, planted


def test_joints_and_branches_are_sums_of_the_same_values():
    shap = explained(persons=2)["shap"]
    joints, branches = maps_of(shap)
    values = shap.values.to_numpy()  # sample, branch, channel, time, joint, person
    assert (joints.kind, branches.kind) == ("joint", "branch")
    assert np.allclose(joints.values, values.sum(axis=(1, 2)))
    assert np.allclose(branches.values[..., 0], values.sum(axis=(2, 4, 5)).transpose(0, 2, 1))
    assert branches.names == ("J positions", "V velocities")
    assert np.allclose(joints.values.sum(axis=(1, 2, 3)), branches.values.sum(axis=(1, 2, 3)))
    about = branches.about()
    assert (about["cells"], about["rows"], about["persons"]) == (24, 2, 1)


def test_a_map_without_branches_has_one_map_and_its_own_time():
    (cam,) = maps_of(explained()["gradcam main.1.attention"])
    assert cam.times.tolist() == [1.5, 5.5, 9.5, 13.5, 17.5, 21.5]
    (sums,) = maps_of(explained()["gradcam main.1.attention"].sum("time", "person"))
    assert sums.values.shape == (6, 1, 20, 1)


def test_edges_are_those_with_any_attribution():
    edges = edges_explained()
    (found,) = maps_of(edges)
    a, b = edges.skeleton.edges[0]
    names = edges.skeleton.joints
    assert dict(zip(found.names, found.edges, strict=True)) == {
        f"{names[a]} → {names[b]}": (a, b), f"{names[5]} → {names[5]}": (5, 5),
    }  # fmt: skip
    by_edge = dict(zip(found.edges, found.values[0, 0, :, 0], strict=True))
    assert by_edge == {(a, b): 2, (5, 5): -1}
    assert found.times.tolist() == [11.5], "the middle of 24 frames"


def test_planted_evidence_is_kept_frame_by_frame():
    shap = explained()["shap"]
    assert planted(shap) is None
    truth = np.zeros((6, 24, 20), bool)
    truth[0, 3:5, 7] = True
    found = planted(shap.assign({"truth": (("sample", "frame", "joint"), truth)}))
    assert found.values.sum() == 2
    assert (found.values[0, 3:5, 7] == 1).all()
