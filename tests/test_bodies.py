from __future__ import annotations

import numpy as np
import pytest
from fake_explanations import FRAMES, cam_like, explanation, shap_like
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.collections import LineCollection, PathCollection

from hargcn.plots.bodies import LARGE, SMALL, draw_body, joint_map, project, scene, title
from hargcn.plots.style import canvas, signed_norm
from hargcn.skeleton import skeleton


def walk(persons=1, seed=0):
    return np.random.default_rng(seed).normal(size=(3, FRAMES, 20, persons))


def drawn(axis, kind):
    return next(each for each in axis.collections if isinstance(each, kind))


def test_up_points_up_and_views_turn_the_body():
    right, up, back = np.eye(3)
    points = np.stack([right, up, back], axis=1)
    np.testing.assert_array_equal(project(points, "y"), [[1, 0, 0], [0, 1, 0]])
    np.testing.assert_allclose(project(points, "y", "side"), [[0, 0, 1], [0, 1, 0]], atol=1e-12)
    np.testing.assert_allclose(project(points, "y", "top"), [[1, 0, 0], [0, 0, 1]], atol=1e-12)
    np.testing.assert_array_equal(project(points, "z"), [[1, 0, 0], [0, 0, 1]])
    np.testing.assert_array_equal(project(points[:2], "-y"), [[1, 0, 0], [0, -1, 0]])
    with pytest.raises(ValueError, match=r"view of front, side, top.*'below'"):
        project(points, "y", "below")


@given(st.floats(-180, 180), st.floats(-90, 90))
@settings(max_examples=20, deadline=None)
def test_no_view_makes_a_body_larger(azimuth, elevation):
    points = walk()[:, 0, :, 0]
    flat = project(points, "y", (azimuth, elevation))
    assert (np.linalg.norm(flat, axis=0) <= np.linalg.norm(points, axis=0) + 1e-9).all()


def test_markers_grow_with_magnitude_and_take_the_sign_s_colour():
    layout = skeleton("kinect20")
    values = np.linspace(-1, 1, 20)
    _, (axis,) = canvas(None, (3, 3))
    draw_body(axis, walk()[:2, 0, :, 0], values, layout, signed_norm(values))
    dots = drawn(axis, PathCollection)
    order = np.argsort(np.abs(values))
    sizes = dots.get_sizes()
    assert (np.diff(sizes) >= -1e-9).all()
    assert sizes[-1] == LARGE
    assert sizes[0] == pytest.approx(SMALL + (LARGE - SMALL) * np.abs(values).min())
    red, blue = dots.get_facecolors()[:, 0], dots.get_facecolors()[:, 2]
    clear = np.abs(values[order]) > 0.1
    np.testing.assert_array_equal((red > blue)[clear], (values[order] > 0)[clear])
    assert len(drawn(axis, LineCollection).get_segments()) == len(layout.edges)


def test_unseen_joints_and_their_bones_are_left_out():
    layout = skeleton("kinect20")
    points = walk()[:2, 0, :, 0]
    hand = layout.index("left_hand")
    points[:, hand] = np.nan
    _, (axis,) = canvas(None, (3, 3))
    draw_body(axis, points, np.ones(20), layout, signed_norm([1.0]))
    assert len(drawn(axis, PathCollection).get_offsets()) == 19
    touching = sum(hand in edge for edge in layout.edges)
    assert len(drawn(axis, LineCollection).get_segments()) == len(layout.edges) - touching


def test_a_coarse_map_colours_each_frame_by_its_nearest_cell():
    cam = cam_like(2, cells=6)
    shown = scene(cam, 1, walk())
    for frame in range(FRAMES):
        np.testing.assert_array_equal(shown.at(frame), cam.values.to_numpy()[1, frame // 4])


def test_features_add_up_and_the_peak_is_where_the_largest_value_is():
    made = shap_like(2)
    made.values.to_numpy()[1, :, :, 17, 3] = 9.0
    shown = scene(made, "1", walk())
    np.testing.assert_allclose(shown.values, made.values.to_numpy()[1].sum((0, 1)))
    assert shown.peak == 17
    assert shown.norm.vmax == pytest.approx(9.0 * 12)


def test_a_map_without_time_or_person_holds_for_all():
    made = explanation(np.arange(20.0)[None], ("sample", "joint"), skeleton=skeleton("kinect20"))
    values, times = joint_map(made)
    assert values.shape == (1, 20, 1)
    shown = scene(made, 0, walk(persons=2))
    np.testing.assert_array_equal(shown.at(20)[:, 1], np.arange(20))
    assert times == [0]


def test_absent_persons_are_not_drawn():
    positions = walk(persons=2)
    positions[:, 5:, :, 1] = 0
    points = scene(shap_like(1, persons=2), 0, positions).points
    assert np.isnan(points[:, 5:, :, 1]).all()
    assert np.isfinite(points[:, :5]).all()
    assert np.isfinite(points[..., 0]).all()


def test_the_title_names_sample_method_class_and_score():
    made = cam_like(2, sample=["a7_s1", "a7_s2"]).assign(classes='["wave", "clap"]')
    assert title(made) == "a7_s1: Grad-CAM main.1.attention for wave (logit 1.50)"


@pytest.mark.parametrize(
    ("sample", "positions", "message"),
    [
        ("nobody", walk(), "one of its 2 samples, such as '0' .got 'nobody'"),
        (7, walk(), "sample from 0 to 1 .got 7"),
        (0, walk()[:2], r"positions \(3, T, 20, M\) of kinect20 \(got \(2, 24, 20, 1\)\)"),
        (0, walk(persons=3), "positions of 2 persons .got 3"),
    ],
)
def test_what_does_not_fit_is_named(sample, positions, message):
    with pytest.raises(ValueError, match=message):
        scene(shap_like(2, persons=2), sample, positions)


def test_a_body_needs_a_skeleton():
    with pytest.raises(ValueError, match="expected a skeleton and an axis 'joint'"):
        scene(explanation(np.zeros((1, 20)), ("sample", "joint")), 0, walk())
