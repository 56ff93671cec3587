"""Edges on the body: arrows for pairs, rings for a joint's own, colour and width by the value."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.collections import PathCollection
from matplotlib.colors import to_rgba
from matplotlib.patches import FancyArrowPatch

from hargcn.explanation import EDGE_DIMS, Explanation
from hargcn.plots import plot_edges
from hargcn.plots.skeletons import layout_points
from hargcn.plots.style import SIGNED
from hargcn.skeleton import skeleton

NTU = skeleton("ntu25")
WRIST, ELBOW, HEAD = (NTU.index(each) for each in ("left_wrist", "left_elbow", "head"))


def edges(n: int = 4, classes: int = 2) -> Explanation:
    """Elbow -> wrist 2, wrist -> elbow -1, head -> head 1 in two layers: in all twice as much."""
    values = np.zeros((n, 2, 1, 25, 25))
    values[..., ELBOW, WRIST], values[..., WRIST, ELBOW], values[..., HEAD, HEAD] = 2, -1, 1
    values[1::classes] /= 2
    return Explanation.build(
        values, ("sample", *EDGE_DIMS), method="edge-gradient", label="gradient x edge",
        target=[i % classes for i in range(n)], score=np.ones(n), skeleton=NTU,
        coords={"source_joint": NTU.joints, "target_joint": NTU.joints},
    )  # fmt: skip


def arrows(axis) -> list[FancyArrowPatch]:
    return [each for each in axis.patches if isinstance(each, FancyArrowPatch)]


def rings(axis) -> list[PathCollection]:
    circles = [each for each in axis.collections if isinstance(each, PathCollection)]
    return [each for each in circles if len(each.get_offsets()) == 1 and not letter(each)]


def letter(drawn) -> str:
    """Return L or R, where it is one of these."""
    return drawn.get_label() if drawn.get_label() in ("L", "R") else ""


def test_an_arrow_leads_from_source_to_target_and_a_ring_is_a_joint_itself():
    figure, (axis,) = plot_edges(edges(), 0)
    figure.draw_without_rendering()
    points = layout_points(NTU)
    against, towards = arrows(axis)  # the larger on top
    np.testing.assert_allclose(towards._posA_posB, [points[ELBOW], points[WRIST]])
    np.testing.assert_allclose(against._posA_posB, [points[WRIST], points[ELBOW]])
    assert towards.get_linewidth() > against.get_linewidth()
    np.testing.assert_allclose(rings(axis)[0].get_offsets(), points[[HEAD]])
    colours = mpl.colormaps[SIGNED]
    assert to_rgba(towards.get_edgecolor()) == pytest.approx(colours(1.0))
    assert to_rgba(against.get_edgecolor()) == pytest.approx(colours(0.25), abs=0.01)
    assert np.min(colours(0.5)[:3]) > 0.95  # nothing is white
    assert axis.get_title().startswith("0: gradient x edge for class 0")


def test_a_body_per_class_is_the_mean_over_its_windows_on_one_scale():
    _, axes = plot_edges(edges(4, 2))
    assert [axis.get_title() for axis in axes] == ["class 0 (n = 2)", "class 1 (n = 2)"]
    whole, half = (arrows(axis)[-1] for axis in axes)
    assert whole.get_linewidth() - 0.4 == pytest.approx(2 * (half.get_linewidth() - 0.4))


def test_a_body_of_a_class_rather_than_another_says_so():
    _, (axis,) = plot_edges(edges(2, 1).assign({"versus": [1, 1]}))
    assert axis.get_title().replace("\n", " ") == "class 0 rather than class 1 (n = 2)"


def test_left_and_right_are_marked_on_every_body():
    """The layout faces us: the person's left is on our right."""
    _, axes = plot_edges(edges(4, 2))
    for axis in axes:
        drawn = [each for each in axis.collections if letter(each)]
        places = {letter(each): each.get_offsets()[0].tolist() for each in drawn}
        assert places["L"][0] > places["R"][0]
        assert places["L"] in layout_points(NTU).tolist()
    said = [text.get_text() for text in axes[0].get_legend().get_texts()]
    assert said == ["L, R: the person's own left and right"]


def test_many_classes_make_rows():
    figure, axes = plot_edges(edges(8, 8))
    assert len(axes) == 8
    assert len({round(axis.get_subplotspec().get_position(figure).y0, 3) for axis in axes}) == 2


def test_more_than_can_be_seen_are_not_drawn():
    values = np.random.default_rng(0).normal(size=(1, 25, 25))
    many = Explanation.build(
        values, ("sample", *EDGE_DIMS[2:]), method="m", target=[0], score=[0.0], skeleton=NTU
    )
    _, (axis,) = plot_edges(many)
    assert len(arrows(axis)) + len(rings(axis)) == 60


def test_other_explanations_are_refused():
    other = Explanation.build(
        np.ones((1, 25)), ("sample", "joint"), method="m", target=[0], score=[0.0], skeleton=NTU
    )
    with pytest.raises(ValueError, match=r"'m': expected attributions to edges, .*\(got sample, j"):
        plot_edges(other)
    bare = Explanation(edges().dataset.assign_attrs(skeleton=""))
    with pytest.raises(ValueError, match=r"expected a skeleton \(got none\)"):
        plot_edges(bare)
