from __future__ import annotations

import numpy as np
import pytest
from fixtures.interactions import together
from matplotlib.collections import PatchCollection

from hargcn.analysis.interactions import Together
from hargcn.plots import plot_interactions
from hargcn.plots.skeletons import layout_points
from hargcn.skeleton import skeleton

LAYOUT = skeleton("kinect20")


def of_joints(*pairs) -> Together:
    matrix = np.diag(np.full(20, 50.0))
    for i, j, value in pairs:
        matrix[i, j] = matrix[j, i] = value
    return Together.of(together([matrix], layout=LAYOUT))


def arcs(axis):
    return next(each for each in axis.collections if isinstance(each, PatchCollection))


def test_zero_is_white_and_the_diagonal_does_not_count():
    _, (matrix, _) = plot_interactions(of_joints((0, 1, 2.0), (3, 4, -1.0)), LAYOUT)
    (image,) = matrix.images
    assert (image.norm.vmin, image.norm(0.0), image.norm.vmax) == (-2, 0.5, 2)
    values = np.ma.filled(image.get_array(), np.nan)
    assert np.isnan(values.diagonal()).all()
    assert (values[1, 0], values[0, 1], values[4, 3]) == (2, 2, -1)
    assert [t.get_text() for t in matrix.get_yticklabels()][:2] == ["p0", "p1"]


def test_arcs_join_the_joints_that_interact_and_are_as_wide_as_strong():
    _, (_, body) = plot_interactions(of_joints((0, 9, 2.0), (3, 4, -1.0), (5, 6, 0.1)), LAYOUT)
    drawn = arcs(body)
    points = layout_points(LAYOUT)
    ends = [path.vertices[[0, -1]] for path in drawn.get_paths()]  # the weakest is no line
    np.testing.assert_allclose(ends, [points[[3, 4]], points[[0, 9]]])
    widths = drawn.get_linewidths()
    assert widths[1] == pytest.approx(2 * widths[0])
    (blue, red) = drawn.get_edgecolors()
    assert blue[2] > blue[0]
    assert red[0] > red[2]
    said = {text.get_text() for text in body.texts}
    assert said == {LAYOUT.joints[j].replace("_", " ") for j in (0, 9, 3, 4)}


def test_parts_are_where_their_joints_are_and_branches_on_no_body():
    rows = np.zeros((5, 20))
    for number, members in enumerate(LAYOUT.parts.values()):
        rows[number, list(members)] = 1
    found = Together.of(together([np.ones((5, 5))], joints=rows))
    figure, (matrix, body) = plot_interactions(found, LAYOUT, title="all parts")
    assert {text.get_text() for text in body.texts} == {
        part.replace("_", " ") for part in LAYOUT.parts
    }
    assert len(matrix.texts) == 20  # a number in every cell beside the diagonal
    assert figure.get_suptitle() == "all parts (1 window)"
    branches = Together.of(together(np.ones((3, 4, 4)), joints=np.ones((4, 20))))
    figure, axes = plot_interactions(branches, LAYOUT)
    assert len(axes) == 1
    assert figure.get_suptitle() == "(mean of 3 windows)"
    assert len(plot_interactions(found)[1]) == 1


def test_left_and_right_are_marked():
    _, (_, body) = plot_interactions(of_joints((0, 9, 2.0)), LAYOUT)
    places = {each.get_label(): each.get_offsets()[0][0] for each in body.collections}
    assert places["L"] > places["R"]
    (said,) = body.get_legend().get_texts()
    assert said.get_text() == "L, R: the person's own left and right"


def test_nothing_that_interacts_is_no_line():
    _, (_, body) = plot_interactions(of_joints(), LAYOUT)
    assert not arcs(body).get_paths()
