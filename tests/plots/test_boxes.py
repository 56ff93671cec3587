from __future__ import annotations

import numpy as np
import pytest
from fixtures.fake_explanations import cam_like, explanation, shap_like
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch

from hargcn.plots import plot_ranking
from hargcn.skeleton import skeleton


def labels(axis):
    return [text.get_text() for text in axis.get_yticklabels()]


def boxes(axis):
    return [patch for patch in axis.patches if isinstance(patch, PathPatch)]


def test_a_box_per_joint_and_a_panel_per_method_sorted_by_the_median_of_shap():
    shap, cam = shap_like(9), cam_like(9)
    figure, axes = plot_ranking([cam, shap])
    medians = shap.joint_scores().median("sample").to_numpy()
    expected = [shap.skeleton.joints[j].replace("_", " ") for j in np.argsort(-medians)]
    assert labels(axes[0]) == expected
    assert [len(boxes(axis)) for axis in axes] == [20, 20]
    assert [axis.get_title() for axis in axes] == ["Grad-CAM main.1.attention", "SHAP"]
    assert axes[0].get_xlim() != axes[1].get_xlim()
    assert axes[1].get_xlabel() == "mean attribution (logit), n = 9"
    assert len(figure.axes) == 2
    # The first joint is drawn on top.
    bottom, top = axes[0].get_ylim()
    assert bottom > top


def test_boxes_span_the_quartiles_and_outliers_are_drawn():
    scores = np.r_[np.arange(1.0, 9.0), 100.0]
    made = explanation(np.stack([scores, -scores], 1), ("sample", "joint"), joint=["a", "b"])
    _, axis = plot_ranking(made)
    assert labels(axis) == ["a", "b"]
    x = boxes(axis)[0].get_path().vertices[:, 0]
    assert (x[x != 0].min(), x.max()) == tuple(np.quantile(scores, [0.25, 0.75]))
    fliers = [line.get_xdata() for line in axis.lines if line.get_marker() == "o"]
    assert [list(f) for f in fliers] == [[100.0], [-100.0]]


def test_body_parts_have_their_own_colours_and_a_legend():
    figure, axis = plot_ranking(shap_like(5))
    layout = skeleton("kinect20")
    of = {j: p for p, members in layout.parts.items() for j in members}
    parts = [of[layout.index(name.replace(" ", "_"))] for name in labels(axis)]
    pairs = {(part, box.get_facecolor()) for part, box in zip(parts, boxes(axis), strict=True)}
    assert len(pairs) == len(layout.parts)
    assert len({colour for _, colour in pairs}) == len(layout.parts)
    named = {text.get_text() for text in figure.legends[0].get_texts()}
    assert named == {part.replace("_", " ") for part in layout.parts}


def test_top_shows_the_best_joints_only_and_magnitude_sorts_by_size():
    made = explanation([[1.0, -9.0, 3.0]] * 3, ("sample", "joint"), joint=list("abc"))
    assert labels(plot_ranking(made, top=2)[1]) == ["c", "a"]
    assert labels(plot_ranking(made, top=2, by="magnitude")[1]) == ["b", "c"]


def test_names_of_a_mapping_become_titles_and_the_callers_axes_are_used():
    figure = Figure()
    given = figure.subplots(1, 2)
    made, axes = plot_ranking({"one": shap_like(4), "two": cam_like(4)}, ax=given)
    assert made is figure
    assert list(axes) == list(given)
    assert [axis.get_title() for axis in axes] == ["one", "two"]


@pytest.mark.parametrize("layout", ["ntu25", "inmotion29"])
def test_joint_names_are_drawn_apart(layout):
    figure, axis = plot_ranking(shap_like(4, skeleton(layout)))
    figure.draw_without_rendering()
    heights = [text.get_window_extent() for text in axis.get_yticklabels()]
    assert len(heights) == skeleton(layout).n_joints
    assert not any(a.overlaps(b) for a, b in zip(heights, heights[1:], strict=False))
    assert min(text.get_fontsize() for text in axis.get_yticklabels()) >= 8


def test_what_cannot_be_drawn_side_by_side_is_refused():
    with pytest.raises(ValueError, match="at least one explanation"):
        plot_ranking([])
    with pytest.raises(ValueError, match="different methods or layers"):
        plot_ranking([shap_like(2), shap_like(2)])
    with pytest.raises(ValueError, match="'gradcam main.*': expected the joints of 'shap'"):
        plot_ranking([shap_like(2), cam_like(2, skeleton("ntu25"))])
