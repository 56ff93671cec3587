from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from fixtures.fake_explanations import FRAMES, cam_like, explanation, shap_like
from matplotlib.collections import QuadMesh

from hargcn.analysis.agreement import agreement, correlate
from hargcn.analysis.recordings import of_recording
from hargcn.plots import (
    plot_agreement,
    plot_confusion,
    plot_correlation,
    plot_heatmap,
    plot_means,
)


def mesh(axis):
    return next(each for each in axis.collections if isinstance(each, QuadMesh))


def labels(axis, which="y"):
    ticks = axis.get_yticklabels() if which == "y" else axis.get_xticklabels()
    return [text.get_text() for text in ticks]


def cells(axis):
    """Return the texts of a matrix by (row, column)."""
    return {
        (round(text.get_position()[1]), round(text.get_position()[0])): text.get_text()
        for text in axis.texts
    }


def test_rows_are_joints_by_body_part_and_hold_their_values():
    made = shap_like(2)
    _, axis = plot_heatmap(made, 1)
    table = np.asarray(mesh(axis).get_array()).reshape(20, FRAMES)
    order = [j for members in made.skeleton.parts.values() for j in members]
    np.testing.assert_allclose(table, made.values.to_numpy()[1].sum((0, 1))[:, order, 0].T)
    assert labels(axis) == [made.skeleton.joints[j].replace("_", " ") for j in order]
    assert [text.get_text() for text in axis.texts] == [
        part.replace("_", " ") for part in made.skeleton.parts
    ]
    assert axis.yaxis_inverted()


def test_coarse_cells_cover_the_frames_nearest_to_them_and_the_whole_window():
    _, axis = plot_heatmap(cam_like(1, cells=6), 0)
    edges = mesh(axis).get_coordinates()[0, :, 0]
    np.testing.assert_allclose(edges, np.arange(7) * 4 - 0.5)
    assert axis.get_xlabel() == "frame"


def test_zero_is_neutral_and_seconds_are_frames_by_the_rate():
    figure, axis = plot_heatmap(shap_like(1), 0, fps=12)
    assert mesh(axis).norm(0.0) == 0.5
    (above,) = axis.child_axes
    figure.draw_without_rendering()
    np.testing.assert_allclose(above.get_xlim(), np.array(axis.get_xlim()) / 12)
    assert above.get_xlabel() == "time (s)"
    time = (("sample", "frame"), 2.5 + np.arange(FRAMES)[None] / 12)
    figure, axis = plot_heatmap(shap_like(1).assign({"seconds": time}), 0)
    (above,) = axis.child_axes
    figure.draw_without_rendering()
    np.testing.assert_allclose(above.get_xlim(), 2.5 + np.array(axis.get_xlim()) / 12)
    assert not plot_heatmap(shap_like(1), 0)[1].child_axes


def test_persons_stand_one_below_the_other_or_alone():
    made = shap_like(1, persons=2)
    _, both = plot_heatmap(made, 0)
    _, second = plot_heatmap(made, 0, person=1)
    table = np.asarray(mesh(both).get_array()).reshape(40, FRAMES)
    np.testing.assert_array_equal(table[20:], np.asarray(mesh(second).get_array()).reshape(20, -1))
    with pytest.raises(ValueError, match=r"person from 0 to 1 \(got 2\)"):
        plot_heatmap(made, 0, person=2)


def test_a_heat_map_needs_time_and_joints():
    with pytest.raises(ValueError, match=r"axes 'time' and 'joint' \(got \('sample', 'joint'\)\)"):
        plot_heatmap(explanation(np.zeros((1, 3)), ("sample", "joint")), 0)


def layers(names):
    return {name: cam_like(4, seed=i, layer=name) for i, name in enumerate(names)}


def test_the_layer_table_stands_in_rows_of_branches_and_columns_of_kinds():
    names = ["J.init", "J.0.tcn", "V.init", "V.0.tcn", "main.1.tcn", "main.1.attention"]
    table = correlate([layers(names)], "main.1.attention", n=50)
    _, axis = plot_correlation(table)
    assert labels(axis) == ["branch J", "branch V", "sum of branches", "main stream"]
    assert labels(axis, "x") == ["init", "TCN"]
    found = cells(axis)
    row = table.sel(layer="V.0.tcn")
    assert found[1, 1] == "{:.2f}\n[{:.2f}, {:.2f}]".format(
        *(float(row[name]) for name in ("mean", "low", "high"))
    ).replace("-0.00", "0.00")
    assert found[3, 0] == ""  # the main stream has no init
    assert axis.images[0].norm(0.0) == 0.5
    assert (axis.images[0].norm.vmin, axis.images[0].norm.vmax) == (-1, 1)


def test_several_layers_of_one_kind_get_their_own_columns():
    table = correlate([layers(["J.0.tcn", "J.1.tcn", "main.0.attention"])], "main.0.attention", n=5)
    _, axis = plot_correlation(table)
    assert labels(axis, "x") == ["0.TCN", "1.TCN"]


def test_the_agreement_matrix_shows_the_chosen_measure_and_class():
    made = {"shap": shap_like(4), "gradcam": cam_like(4, layer=""), "random": cam_like(4, seed=9)}
    table = agreement(made, n=20)
    _, axis = plot_agreement(table)
    assert labels(axis) == ["SHAP", "Grad-CAM", "random"]
    expected = float(table["spearman"].sel({"class": "all"})[0, 1])
    assert float(cells(axis)[0, 1]) == pytest.approx(expected, abs=0.006)
    _, axis = plot_agreement(table, "overlap", "class 0")
    assert axis.images[0].norm.vmin == 0
    with pytest.raises(ValueError, match="got 'pearson'"):
        plot_agreement(table, "pearson")
    with pytest.raises(ValueError, match=r"\['all', 'class 0'\] \(got 'wave'\)"):
        plot_agreement(table, "spearman", "wave")


def test_the_confusion_matrix_counts_and_colours_by_share():
    _, axis = plot_confusion([[8, 2], [0, 1]], ["sit_down", "wave"])
    assert cells(axis) == {(0, 0): "8", (0, 1): "2", (1, 0): "", (1, 1): "1"}
    np.testing.assert_allclose(axis.images[0].get_array(), [[0.8, 0.2], [0, 1]])
    assert axis.get_title() == "accuracy 0.818 (n = 11)"
    assert axis.get_ylabel() == "true class"
    assert labels(axis) == ["sit down", "wave"]
    # Writing stays legible: white on dark, black on light.
    colours = [text.get_color() for text in axis.texts]
    assert colours == ["white", "black", "black", "white"]
    with pytest.raises(ValueError, match=r"a matrix \(3, 3\), a row per class \(got \(2, 2\)\)"):
        plot_confusion([[1, 2], [3, 4]], list("abc"))


def test_a_class_that_never_occurred_is_no_division_by_zero():
    _, axis = plot_confusion([[0, 0], [1, 1]], ["a", "b"])
    np.testing.assert_array_equal(axis.images[0].get_array()[0], [0, 0])


def hatched(axis):
    """Return the boxes (x, x, y, y) of each hatch."""
    found = {}
    for each in axis.collections:
        if each.get_hatch():
            corners = [path.get_extents() for path in each.get_paths()]
            found[each.get_hatch()[0]] = [[c.x0, c.x1, c.y0, c.y1] for c in corners]
    return found


def test_cells_that_nobody_saw_are_hatched_and_the_legend_says_so():
    """Cells of four frames: what most of them are."""
    states = np.ones((FRAMES, 20, 1), dtype=np.uint8)
    first = cam_like(1).skeleton.parts  # the first joint of the first part is the first row
    joint = next(iter(first.values()))[0]
    states[4:11, joint] = 2  # cell 1, and three of four frames of cell 2
    states[12:14, joint] = 2  # half of cell 3: still observed
    states[16:] = 0
    made = cam_like(1, cells=6)
    stored = (("sample", "frame", "joint", "person"), states[None])
    _, axis = plot_heatmap(made.assign({"state": stored}), 0)
    found = hatched(axis)
    assert found["/"] == [[3.5, 11.5, 0, 1]]
    assert found["x"] == [[15.5, 23.5, row, row + 1] for row in range(20)]
    said = [text.get_text() for text in axis.get_legend().get_texts()]
    assert said == ["interpolated: nobody saw the joint", "absent: nobody saw the joint"]
    _, axis = plot_heatmap(made, 0)
    assert axis.get_legend() is None
    assert not hatched(axis)


def test_cells_of_the_networks_step_lie_where_their_frames_do():
    """Of 24 frames in steps of 5 the last cell has four; rows sum what their frames had."""
    made = shap_like(1).assign(time_step=5)
    _, axis = plot_heatmap(made, 0)
    mesh = axis.collections[0]
    edges = mesh.get_coordinates()[0, :, 0]
    np.testing.assert_allclose(edges, [-0.5, 4.5, 9.5, 14.5, 19.5, 23.5])
    raw = plot_heatmap(made, 0, time_step=1)[1].collections[0].get_array()
    binned = np.stack([raw[:, a : a + 5].sum(axis=1) for a in range(0, 24, 5)], axis=1)
    np.testing.assert_allclose(mesh.get_array(), binned)


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["a@0"], "frame"),
        (["a@0", "a@9"], "frame, seen by 1 to 2 of 2 windows"),
    ],
)
def test_frames_of_a_recording_say_how_many_of_its_windows_saw_them(names, said):
    made = shap_like(len(names)).assign(coords={"sample": names})
    _, axis = plot_heatmap(of_recording(made, "a"), 0)
    assert axis.get_xlabel() == said


def test_means_over_networks_stand_beside_their_spread():
    rows = [("a", "x", 0.5), ("a", "x", 0.7), ("a", "y", -0.004), ("b", "x", -1.0)]
    table = pd.DataFrame(rows, columns=["layer", "case", "rho"])
    _, axis = plot_means(table, "layer", "case", "rho", label="rho")
    said = {text.get_position(): text.get_text() for text in axis.texts}
    assert said == {(0, 0): "0.60\n± 0.14", (1, 0): "0.00", (0, 1): "-1.00", (1, 1): ""}
    assert axis.get_title() == "mean ± standard deviation over 1 to 2 networks"
    with pytest.raises(ValueError, match="Expected the columns layer, case, other .no 'other'"):
        plot_means(table, "layer", "case", "other")


@pytest.mark.parametrize(("sign", "ends"), [(1, (0, 1)), (-1, (-1, 1))])
def test_colours_of_means_go_below_zero_where_they_do(sign, ends):
    table = pd.DataFrame({"layer": ["a", "b"], "case": ["x", "x"], "rho": [0.9, 0.2 * sign]})
    _, axis = plot_means(table, "layer", "case", "rho")
    (image,) = axis.images
    assert (image.norm.vmin, image.norm.vmax) == ends


def test_long_classes_leave_the_matrix_room():
    classes = [f"sitting_down_and_then_standing_up_again_without_any_help_{i}" for i in range(3)]
    figure, axis = plot_confusion(np.eye(3), classes)
    figure.draw_without_rendering()  # a warning, where cells collapse
    page = figure.bbox.padded(1)
    for text in (axis.title, *axis.get_xticklabels(), *axis.get_yticklabels()):
        box = text.get_window_extent()
        assert page.x0 <= box.x0 <= box.x1 <= page.x1
        assert page.y0 <= box.y0 <= box.y1 <= page.y1
    assert min(axis.get_window_extent().size) > 0.5 * figure.dpi
