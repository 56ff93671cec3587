"""What panels of a ranking show: their words, their places and their colours, by hand."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from fixtures.fake_explanations import FRAMES, cam_like, explanation, shap_like
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure

from hargcn.analysis.ranking import Ranking
from hargcn.plots.panels import PANELS
from hargcn.plots.style import GREY, Look

PLAIN = Look("#0072B2", "", "o")


def drawn(kind, made, names, by="joint"):
    """Draw a panel on axes of its own."""
    axis = Figure().subplots()
    PANELS[kind].draw(axis, made, Ranking.of(made, feature=by), names, [PLAIN] * len(names))
    return axis


def three(**variables):
    """Three windows of two joints, whose sums are (3, -1), (5, -1) and (4, nothing)."""
    made = explanation([[3.0, -1], [5, -1], [4, 0]], ("sample", "joint"), joint=["a", "b"])
    return made.assign(variables)


def label(kind, made, cells="all"):
    return PANELS[kind].label(made, Ranking.of(made), cells)


@pytest.mark.parametrize("known", ["base_value", "additivity_gap"])
def test_values_that_add_up_are_shares_of_the_score_and_others_are_not(known):
    assert label("boxes", three()) == "summed attribution (logit),\nn = 3"
    made = three(**{known: np.zeros(3)})
    assert label("boxes", made) == label("beeswarm", made) == "share of the score (logit),\nn = 3"
    assert label("boxes", made, "observed").startswith(
        "mean share of the score per observed cell ("
    )
    assert label("boxes", three(), "observed").startswith("mean attribution per observed cell (")
    assert label("boxes", made.assign(utility="prob")).startswith("share of the score (prob)")


def test_bars_say_over_whom_their_interval_is():
    made = three(base_value=np.zeros(3))
    said = "mean |share of the score| (logit),\nn = 3, "
    assert label("bar", made) == f"{said}95% interval over 3 windows"
    two = made.assign({"group": np.array(["s", "s", "t"])})
    assert label("bar", two) == f"{said}95% interval over 2 subjects"
    one = made.assign({"group": np.array(["s", "s", "s"])})
    assert label("bar", one) == f"{said}no interval: 1 subject"
    assert label("bar", made.isel(sample=[0])) == "|share of the score| (logit),\nn = 1"


def test_a_recording_says_of_how_many_windows_it_is_the_mean():
    assert label("boxes", cam_like(1).assign(averaged=4)).endswith("mean of 4 windows")
    assert label("boxes", cam_like(1).assign(averaged=1)).endswith("n = 1")


def test_a_bar_is_the_mean_size_whatever_its_sign_and_begins_at_0():
    axis = drawn("bar", three(), ["b", "a"])
    assert [bar.get_width() for bar in axis.patches] == [pytest.approx(2 / 3), 4]
    assert axis.get_xlim()[0] == 0


def test_a_box_leaves_out_windows_in_which_the_feature_was_never_seen():
    made = shap_like(5, seed=2)
    joints = made.values.sizes["joint"]
    states = np.ones((5, FRAMES, joints, 1), np.uint8)
    states[:2, :, 3] = 2
    seen = made.assign({"state": (("sample", "frame", "joint", "person"), states)})
    ranking = Ranking.of(seen, cells="observed")
    name = made.skeleton.joints[3]
    axis = Figure().subplots()
    PANELS["boxes"].draw(axis, seen, ranking, [name], [PLAIN])
    x = axis.patches[0].get_path().vertices[:, 0]
    left = ranking.scores.sel(joint=name).to_numpy()[2:]
    quartiles = np.quantile(left, [0.25, 0.75])
    np.testing.assert_allclose((x[x != 0].min(), x[x != 0].max()), quartiles)


def test_dots_of_one_value_stand_beside_each_other_inside_their_row():
    made = explanation(np.full((30, 1), 2.0), ("sample", "joint"), joint=["a"])
    (dots,) = drawn("beeswarm", made, ["a"]).collections
    x, y = dots.get_offsets().T
    assert set(x) == {2.0}
    assert len(set(y.round(9))) == 30
    assert abs(y).max() <= 0.42
    assert (y > 0).sum() - (y < 0).sum() in (0, 1)
    assert to_rgba(GREY) == pytest.approx(tuple(dots.get_facecolors()[0]))


def test_dots_far_apart_lie_on_the_line():
    made = explanation([[0.0], [1], [2]], ("sample", "joint"), joint=["a"])
    (dots,) = drawn("beeswarm", made, ["a"]).collections
    assert dots.get_offsets()[:, 1].tolist() == [0, 0, 0]


def test_zero_is_marked_where_values_have_signs():
    for kind, marked in (("boxes", True), ("beeswarm", True), ("bar", False)):
        lines = drawn(kind, three(), ["a", "b"]).lines
        dashed = [
            each for each in lines if each.get_linestyle() == "--" and set(each.get_xdata()) == {0}
        ]
        assert bool(dashed) == marked, kind


def test_orders_are_by_what_a_panel_shows():
    ranking = SimpleNamespace(features=("b", "a"), largest=("a", "b"))
    orders = {kind: panel.order(ranking) for kind, panel in PANELS.items()}
    assert orders == {"boxes": ("b", "a"), "beeswarm": ("b", "a"), "bar": ("a", "b")}
