from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from fixtures.fake_explanations import FRAMES, cam_like, explanation, shap_like
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch
from matplotlib.text import Text

from hargcn.analysis.ranking import Ranking
from hargcn.plots import plot_mean_ranks, plot_ranking, plot_rankings
from hargcn.skeleton import skeleton


def labels(axis):
    return [text.get_text() for text in axis.get_yticklabels()]


def boxes(axis):
    return [patch for patch in axis.patches if isinstance(patch, PathPatch)]


def test_a_box_per_joint_and_a_panel_per_method_sorted_by_the_median_of_shap():
    shap, cam = shap_like(9), cam_like(9)
    figure, axes = plot_ranking([cam, shap], sort="shap")
    medians = shap.joint_scores().median("sample").to_numpy()
    expected = [shap.skeleton.joints[j].replace("_", " ") for j in np.argsort(-medians)]
    assert labels(axes[0]) == expected
    assert [len(boxes(axis)) for axis in axes] == [20, 20]
    assert [axis.get_title() for axis in axes] == [
        "Grad-CAM main.1.attention\nfor class 0",
        "SHAP\nfor class 0",
    ]
    assert axes[0].get_xlim() != axes[1].get_xlim()
    assert [axis.get_xlabel() for axis in axes] == [
        "summed attribution (logit),\nn = 9",  # maps add up to nothing
        "share of the score (logit),\nn = 9",
    ]
    assert len(figure.axes) == 2
    # The first joint is drawn on top.
    bottom, top = axes[0].get_ylim()
    assert bottom > top


def test_features_stand_by_their_mean_rank_over_the_panels():
    first = explanation([[4.0, 3.0, 2.0, 1.0]], ("sample", "joint"), joint=list("abcd"))
    second = explanation([[-9.0, 8.0, 7.0, 6.0]], ("sample", "joint"), joint=list("abcd"))
    pair = {"first": first, "second": second}
    axes = plot_ranking(pair)[1]
    assert labels(axes[0]) == list("bacd")  # ranks 1 2 3 4 and 4 1 2 3: means 2.5 1.5 2.5 3.5
    assert axes[0].get_ylabel() == "sorted by the mean rank"
    assert labels(plot_ranking(pair, top=1)[1][0]) == ["b"]
    for name, order in (("first", "abcd"), ("second", "bcda")):
        axes = plot_ranking(pair, sort=name)[1]
        assert labels(axes[0]) == list(order)
        assert axes[0].get_ylabel() == f"sorted by {name}"
    assert not plot_ranking({"first": first})[1].get_ylabel()
    with pytest.raises(ValueError, match=r"Expected sort of mean, first, second \(got 'third'"):
        plot_ranking(pair, sort="third")


def test_every_row_has_its_own_order():
    first, second = shap_like(9), shap_like(9, seed=5)
    figure, axes = plot_rankings([{"SHAP": first}, {"SHAP": second}], top=6)
    assert axes.shape == (2, 1)
    for each, (axis,) in zip((first, second), axes, strict=True):
        medians = each.joint_scores().median("sample").to_numpy()
        best = [first.skeleton.joints[j].replace("_", " ") for j in np.argsort(-medians)[:6]]
        assert labels(axis) == best
    assert labels(axes[0, 0]) != labels(axes[1, 0])
    assert len(figure.legends) == 1


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
    assert [axis.get_title() for axis in axes] == ["one\nfor class 0", "two\nfor class 0"]


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


def moving(count=12, layout=None):
    """SHAP-like windows with positions, times, states, subjects and input sizes."""
    made = shap_like(count, layout)
    rng = np.random.default_rng(3)
    joints = made.values.sizes["joint"]
    fast = np.linspace(1, 4, count)[:, None, None, None, None]
    positions = np.cumsum(rng.normal(size=(count, 3, FRAMES, joints, 1)) * fast, axis=2)
    channels = made.values.sizes["channel"]
    return made.assign(
        {
            "positions": (("sample", "space", "frame", "joint", "person"), positions),
            "state": (
                ("sample", "frame", "joint", "person"),
                np.ones((count, FRAMES, joints, 1), np.uint8),
            ),
            "seconds": (("sample", "frame"), np.tile(np.arange(FRAMES) / 30, (count, 1))),
            "group": np.repeat(["a", "b", "c"], count // 3),
            "input_size": (("sample", "branch", "channel"), rng.random((count, 2, channels))),
        },
        {"channel": [f"c{i}" for i in range(channels)]},
    )


def test_a_swarm_has_a_dot_a_window_whose_colour_is_the_speed():
    made = moving()
    figure, axis = plot_ranking(made, picture="beeswarm")
    dots = [each for each in axis.collections if len(each.get_offsets()) == 12]
    assert len(dots) == 20
    first = labels(axis)[0].replace(" ", "_")
    sums = made.values.sel(joint=first).sum(["branch", "channel", "time", "person"])
    np.testing.assert_allclose(dots[0].get_offsets()[:, 0], sums)
    assert abs(dots[0].get_offsets()[:, 1]).max() <= 0.42
    shades = dots[0].get_array()
    assert shades.argmin() < 3  # windows move ever faster
    assert shades.argmax() > 8
    (bar,) = (each for each in figure.axes if each is not axis)
    assert "mean speed" in bar.get_xlabel()
    assert "position units per second" in bar.get_xlabel()
    again = plot_ranking(made, picture="beeswarm")[1].collections[0].get_offsets()
    np.testing.assert_array_equal(axis.collections[0].get_offsets(), again)


def test_a_swarm_of_channels_has_the_colours_of_the_input():
    made = moving()
    _, axis = plot_ranking(made, picture="beeswarm", feature="branch,channel")
    assert len(labels(axis)) == 12
    row = labels(axis).index("V: c2")
    stored = made.dataset["input_size"].sel(branch="V", channel="c2").to_numpy()
    assert np.array_equal(
        np.argsort(stored)[1:-1], np.argsort(axis.collections[row].get_array())[1:-1]
    )
    bare = shap_like(6)
    figure, axis = plot_ranking(bare, picture="beeswarm", feature="branch")
    assert len(figure.axes) == 1  # nothing is known: no colours
    assert {each.get_array() is None for each in axis.collections} == {True}


def test_bars_are_mean_sizes_with_intervals_by_subject():
    made = moving()
    _, axis = plot_ranking(made, picture="bar", feature="part")
    widths = [bar.get_width() for bar in axis.patches]
    table = Ranking.of(made, feature="part").sizes(made.dataset["group"].to_numpy())
    np.testing.assert_allclose(widths, np.sort(table["mean"])[::-1])
    ends = np.array([seg[:, 0] for seg in axis.collections[0].get_segments()])
    ordered = table.sel(part=[name.replace(" ", "_") for name in labels(axis)])
    np.testing.assert_allclose(ends, np.stack([ordered["low"], ordered["high"]], 1))
    assert "95% interval over 3 subjects" in axis.get_xlabel()
    one = made.assign({"group": ["a"] * 12})
    _, axis = plot_ranking(one, picture="bar")
    assert "no interval: 1 subject" in axis.get_xlabel()
    assert not axis.collections


def test_one_window_is_bars_of_its_signed_values():
    made = shap_like(1)
    _, axis = plot_ranking(made)
    widths = [bar.get_width() for bar in axis.patches]
    np.testing.assert_allclose(widths, np.sort(Ranking.of(made).scores[0])[::-1])


@pytest.mark.slow
@pytest.mark.parametrize("picture", ["boxes", "beeswarm", "bar"])
@pytest.mark.parametrize("feature", ["joint", "branch,channel"])
def test_no_text_lies_over_another(picture, feature):
    made = moving(12, skeleton("ntu25")).assign(
        classes='["sitting_down_slowly_and_then_standing_up"]'
    )
    other = made.assign(method="gradient", method_label="Input x gradient")
    figure, axes = plot_ranking([made, other], feature=feature, picture=picture)
    figure.draw_without_rendering()
    ticks = {t for axis in figure.axes for t in axis.get_xticklabels() + axis.get_xticklabels(True)}
    found = [t for t in figure.findobj(Text) if t.get_text().strip() and t.get_visible()]
    texts = [t for t in found if t not in ticks]
    extents = [(t.get_text(), Text.get_window_extent(t)) for t in texts]
    for i, (name, box) in enumerate(extents):
        for other_name, other_box in extents[:i]:
            near = box.padded(-1).overlaps(other_box.padded(-1))
            assert not near, (name, other_name)
    whole = figure.bbox.padded(1)
    assert all(whole.x0 <= b.x0 and b.x1 <= whole.x1 for _, b in extents)
    assert all("sitting" in axis.get_title() for axis in axes)


def test_the_title_says_which_class_rather_than_which():
    made = shap_like(4).assign({"versus": np.ones(4, int)}).assign(classes='["wave", "clap"]')
    assert plot_ranking(made)[1].get_title() == "SHAP\nfor wave rather than clap"


def test_an_unknown_picture_is_refused():
    with pytest.raises(ValueError, match="Expected picture of boxes, beeswarm, bar"):
        plot_ranking(shap_like(2), picture="violin")


@pytest.mark.parametrize("shift", np.linspace(-1, 1, 9))
def test_every_axis_has_three_ticks_at_least(shift):
    """Fewer say neither which way values grow nor how far apart they are."""
    values = np.linspace(shift, shift + 1, 9)[:, None]
    _, axis = plot_ranking(explanation(values, ("sample", "joint"), joint=["a"]))
    low, high = axis.get_xlim()
    assert sum(low <= tick <= high for tick in axis.get_xticks()) >= 3


def test_mean_ranks_stand_in_the_order_of_the_first_method():
    rows = [
        {"case": "body", "class": said, "method": method, "joint": joint, "rank": rank,
         "low": rank - 0.5, "high": rank + 0.5, "networks": 4}
        for said in ("walk", "run")
        for method, ranks in (("shap", (3, 1, 2)), ("gradcam", (1, 2, 3)))
        for joint, rank in zip(("head", "left_hand", "foot"), ranks, strict=True)
    ]  # fmt: skip
    _, axes = plot_mean_ranks(pd.DataFrame(rows))
    assert axes.shape == (2, 2)
    assert labels(axes[1, 0]) == ["left hand", "foot", "head"]
    line, spans = axes[0, 1].lines[0], axes[0, 1].collections[0].get_segments()
    assert line.get_xdata().tolist() == [2, 3, 1]  # Grad-CAM's, in SHAP's order
    np.testing.assert_allclose(spans[0], [[1.5, 0], [2.5, 0]])
    assert axes[0, 0].get_xlim() == (3.5, 0.5)
    assert axes[0, 1].get_title() == "walk: gradcam, n = 4"
