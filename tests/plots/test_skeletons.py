"""A layout on paper: every joint is named once, beside its place, on its own side."""

from __future__ import annotations

import numpy as np
import pytest
from fixtures.fake_explanations import shap_like
from matplotlib.figure import Figure
from matplotlib.text import Text

from hargcn.analysis.recordings import of_recording
from hargcn.plots import plot_layout
from hargcn.plots.masked import MaskedPanel, plot_masked
from hargcn.plots.skeletons import facing, scene, title
from hargcn.skeleton import Skeleton, names, skeleton


def labels(axes) -> dict[str, tuple[float, float]]:
    """Names of joints and where they stand."""
    return {text.get_text(): text.xyann for text in axes.texts}


@pytest.mark.slow
@pytest.mark.parametrize("name", names())
def test_every_joint_is_named_and_no_two_names_overlap(name):
    layout = skeleton(name)
    figure, axes = plot_layout(layout)
    figure.draw_without_rendering()
    found = labels(axes)
    assert set(found) == {f"{i} {joint}" for i, joint in enumerate(layout.joints)}
    boxes = [Text.get_window_extent(text) for text in axes.texts]  # without the lines
    for i, box in enumerate(boxes):
        assert not box.count_overlaps(boxes[:i]), axes.texts[i].get_text()
    assert [text.get_text() for text in axes.get_legend().get_texts()] == list(layout.parts)


def test_the_persons_left_is_on_the_right():
    _, axes = plot_layout(skeleton("ntu25"))
    found = {text.split()[1]: x for text, (x, _) in labels(axes).items()}
    assert found["left_wrist"] > found["right_wrist"]


def test_names_of_ones_own_make_a_tree_on_given_axes():
    layout = Skeleton.from_dict(
        {
            "name": "mine",
            "joints": ["a", "b", "c", "d"],
            "edges": [["b", "a"], ["c", "a"], ["d", "b"]],
            "parts": {"all": ["a", "b", "c", "d"]},
            "ndim": 2,
        }
    )
    own = Figure().subplots()
    figure, axes = plot_layout(layout, own)
    assert axes is own
    assert figure is own.figure
    points = axes.collections[1].get_offsets()
    steps = np.linalg.norm(points[[1, 2, 3]] - points[0], axis=1)
    assert steps[0] == pytest.approx(steps[1])
    assert steps[2] == pytest.approx(2 * steps[0])  # two edges away


def test_each_part_of_many_has_a_look_of_its_own():
    layout = skeleton("coco133")
    _, axes = plot_layout(layout)
    dots = [each for each in axes.collections if each.get_label() in layout.parts]
    seen = {(*each.get_facecolor()[0], each.get_paths()[0].vertices.tobytes()) for each in dots}
    assert len(seen) == len(dots) == len(layout.parts) == 8


def standing(left: float) -> np.ndarray:
    """(C, T, V, M) of kinect20, a body's left at one side of its right."""
    layout = skeleton("kinect20")
    positions = np.random.default_rng(3).normal(0, 0.05, (3, 24, layout.n_joints, 1))
    for pair in layout.mirror:
        positions[0, :, list(pair)] += np.array([left, -left])[:, None, None]
    return positions


def test_bodies_are_seen_from_their_front():
    """As the page's body.mjs has it: an absent joint says nothing, a camera's picture stays."""
    layout = skeleton("kinect20")
    assert facing(standing(1), layout) == 0
    assert facing(standing(-1), layout) == 180
    assert facing(standing(-1)[:2], layout) == 0
    one = standing(1)
    one[0, :, layout.mirror[0][0]] = -1e3
    assert facing(one, layout) == 180
    one[:, :, layout.mirror[0][0]] = np.nan
    assert facing(one, layout) == 0


@pytest.mark.parametrize("view", ["front", "side", "top", (30.0, 20.0)])
def test_the_picture_does_not_depend_on_where_the_sensor_stood(view):
    """A body turned by half a circle, x and z negative, is the same body."""
    body, made = standing(1), shap_like(1)
    assert (layout := made.skeleton) is not None
    turned = body * np.array([-1, 1, -1])[:, None, None, None]
    one, other = (scene(made, 0, each, view).points for each in (body, turned))
    np.testing.assert_allclose(one, other, atol=1e-12)
    masked = [
        plot_masked([MaskedPanel("", each)], each, layout, 1, view=view)[1]
        for each in (body, turned)
    ]
    drawn = [np.array([c.get_segments() for c in axes.collections]) for axes in masked]
    np.testing.assert_allclose(*drawn, atol=1e-12)
    if view == "front":
        left, right = layout.mirror[0]
        assert (one[0, :, left] > one[0, :, right]).all(), "the person's left is on the right"


@pytest.mark.parametrize(
    ("names", "said"), [(["a@0"], "logit 1.50"), (["a@0", "a@9"], "mean of 2")]
)
def test_the_title_of_a_recording_says_mean_of_several_windows_only(names, said):
    made = shap_like(len(names)).assign(coords={"sample": names})
    shown = title(of_recording(made, "a"))
    assert said in shown
    assert ("mean" in shown) == (len(names) > 1)


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({}, ""),
        (
            {"label": [1], "predicted": [0], "probability": [0.734]},
            "; true sit, predicted wave (73%)",
        ),
        (
            {"label": [0], "predicted": [0], "probability": [0.9951]},
            "; true wave, predicted wave (>99%)",
        ),
        ({"label": [-1], "predicted": [1]}, "; predicted sit"),
        ({"label": [1]}, "; true sit"),
    ],
)
def test_the_title_says_true_and_predicted_class_and_its_probability(variables, said):
    made = shap_like(1).assign({k: np.array(v) for k, v in variables.items()})
    shown = title(made.assign(classes='["wave", "sit"]'))
    assert shown == f"0: SHAP for wave (logit 1.50){said}"


def test_the_title_of_a_recording_says_no_class_of_one_of_its_windows():
    both = {
        "label": np.array([0, 0]),
        "predicted": np.array([0, 0]),
        "probability": np.full(2, 0.8),
    }
    made = shap_like(2).assign(both, {"sample": ["a@0", "a@9"]})
    assert "predicted" not in title(of_recording(made, "a"))
