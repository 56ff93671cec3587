from __future__ import annotations

import json

import numpy as np
import pytest
import xarray as xr
from fixtures.fake_explanations import shap_like

from hargcn.analysis.ranking import convergence
from hargcn.plots import plot_convergence, plot_curves, plot_history, plot_sweep

METHODS, SETS = ["shap", "gradcam main.1.tcn", "random"], ["important", "complement"]


def curves():
    values = np.random.default_rng(0).uniform(0.3, 0.7, size=(3, 2, 6))
    dims = ("explanation", "set", "k")
    data = {
        f"accuracy{end}": (dims, values + d) for end, d in (("", 0), ("_low", -0.1), ("_high", 0.1))
    }
    band = {
        f"accuracy_band_{end}": (dims[1:], values[2] + d)
        for end, d in (("low", -0.2), ("high", 0.2))
    }
    area = {f"area{end}": (dims[:2], values[..., 0]) for end in ("", "_low", "_high")}
    coords = {"explanation": METHODS, "set": SETS, "k": np.arange(6)}
    titles = {"shap": "SHAP", "gradcam main.1.tcn": "Grad-CAM main.1.tcn"}
    return xr.Dataset({**data, **band, **area}, coords, {"titles": json.dumps(titles)})


def line(axis, label):
    return next(each for each in axis.lines if each.get_label() == label)


def edges(patch, k):
    """Return the lower and upper edge of a filled band at k."""
    x, y = patch.get_paths()[0].vertices.T
    return y[x == k].min(), y[x == k].max()


def test_a_panel_per_set_and_a_line_per_method_with_its_interval():
    made = curves()
    figure, axes = plot_curves(made)
    assert len(axes) == 2
    for axis, name in zip(axes, SETS, strict=True):
        shap = made["accuracy"].sel(explanation="shap", set=name)
        np.testing.assert_array_equal(line(axis, "SHAP").get_ydata(), shap)
        assert line(axis, "Grad-CAM main.1.tcn").get_color() != line(axis, "SHAP").get_color()
        assert line(axis, "random").get_linestyle() == "--"
        band, first, second = axis.collections  # random orders, then a bar at every point
        center = float(made["accuracy"].sel(explanation="random", set=name, k=3))
        assert edges(band, 3) == pytest.approx((center - 0.2, center + 0.2))
        for bars, label, method in (
            (first, "SHAP", METHODS[0]),
            (second, "Grad-CAM main.1.tcn", METHODS[1]),
        ):
            drawn, y = line(axis, label), made["accuracy"].sel(explanation=method, set=name)
            ends = np.array(bars.get_segments())
            np.testing.assert_allclose(ends[:, :, 1], np.stack([y - 0.1, y + 0.1], 1))
            np.testing.assert_allclose(ends[:, 0, 0], drawn.get_xdata())
            assert abs(drawn.get_xdata() - np.arange(6)).max() < 0.3
        assert not set(first.get_segments()[0][:, 0]) & set(second.get_segments()[0][:, 0])
    assert axes[0].get_ylabel() == "accuracy"
    assert axes[0].get_xlabel() == "number k of joints"
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [
        "95% of random orders", "random", "SHAP", "Grad-CAM main.1.tcn", "95% interval of a method",
    ]  # fmt: skip
    _, axes = plot_curves(made.assign_attrs(units="edges"))
    assert axes[0].get_xlabel() == "number k of edges"
    assert axes[0].get_title() == "most important edges perturbed"


@pytest.mark.parametrize("measure", ["accuracy", "score", "gap", "auc", "mae"])
def test_the_axis_names_the_measure_and_its_unit_inside_the_figure(measure):
    made = curves()
    made = made.rename({name: name.replace("accuracy", measure) for name in made})
    figure, axes = plot_curves(made, measure)
    figure.draw_without_rendering()
    box = axes[0].yaxis.label.get_window_extent()
    assert 0 <= box.y0 < box.y1 <= figure.bbox.y1
    assert axes[0].get_ylabel() != measure or measure == "accuracy"


def test_one_subject_has_no_interval_and_the_legend_says_none():
    made = curves().map(
        lambda each: each * np.nan if each.name.endswith(("y_low", "y_high")) else each
    )
    figure, _ = plot_curves(made)
    assert "95% interval of a method" not in [t.get_text() for t in figure.legends[0].get_texts()]


@pytest.mark.parametrize("sets", [SETS, SETS[:1]])
def test_the_legend_holds_long_names(sets):
    long = "gradcam-elementwise main.1.tcn of the second network"
    made = curves().assign_coords(explanation=["shap", long, "random"])
    figure, _ = plot_curves(made, sets=sets)
    figure.canvas.draw()
    legend, page = figure.legends[0].get_window_extent(), figure.bbox
    assert page.x0 <= legend.x0
    assert legend.x1 <= page.x1
    assert page.y0 <= legend.y0


def test_sets_and_segments_are_chosen():
    _, axis = plot_curves(curves(), sets=["complement"])
    assert axis.get_title() == "all but the most important perturbed"
    cut = xr.concat([curves(), curves() + 0.2], "segment").assign_coords(segment=["0-12", "12-24"])
    _, axis = plot_curves(cut, segment="12-24", sets=["important"])
    np.testing.assert_allclose(line(axis, "SHAP").get_ydata(), curves()["accuracy"][0, 0] + 0.2)
    with pytest.raises(ValueError, match=r"segment of \['0-12', '12-24'\] \(got None\)"):
        plot_curves(cut)


def test_unknown_measures_and_sets_are_named():
    with pytest.raises(ValueError, match=r"measure of \['accuracy'\] \(got 'auc'\)"):
        plot_curves(curves(), "auc")
    with pytest.raises(ValueError, match=r"sets of .* \(got \['top'\]\)"):
        plot_curves(curves(), sets=["top"])


def test_convergence_rises_over_the_background_sizes_to_one():
    table = convergence({n: shap_like(4, seed=n) for n in (5, 50, 500)}, n=50)
    _, axis = plot_convergence(table)
    (drawn,) = axis.lines
    np.testing.assert_array_equal(drawn.get_xdata(), [5, 50, 500])
    np.testing.assert_array_equal(drawn.get_ydata(), table["mean"])
    assert axis.get_xscale() == "log"
    assert [text.get_text() for text in axis.get_xticklabels()] == ["5", "50", "500"]
    assert axis.get_ylabel() == "Spearman ρ with 500 windows"


def test_a_log_as_csv_readers_give_it_becomes_losses_and_shares():
    rows = [
        {"epoch": "1", "lr": "0.1", "train_loss": "2.5", "val_loss": "", "val_accuracy": "0.2"},
        {"epoch": "2", "lr": "0.1", "train_loss": "1.5", "val_loss": "1.75", "val_accuracy": "0.6"},
    ]
    _, (losses, shares) = plot_history(rows)
    np.testing.assert_array_equal(line(losses, "training loss").get_ydata(), [2.5, 1.5])
    np.testing.assert_array_equal(line(losses, "validation loss").get_ydata(), [np.nan, 1.75])
    np.testing.assert_array_equal(line(shares, "validation accuracy").get_ydata(), [0.2, 0.6])
    assert len(losses.lines) + len(shares.lines) == 3
    assert line(losses, "training loss").get_linestyle() == ":"
    with pytest.raises(ValueError, match="at least one row with a column 'epoch'"):
        plot_history([])


def test_measures_are_rows_and_those_of_several_classes_say_what_they_are():
    made = curves().assign_attrs(classes=27)
    more = {f"f1{end}": made[f"accuracy{end}"] for end in ("", "_low", "_high", "_band_low")}
    made = made.assign(**more, f1_band_high=made["accuracy_band_high"])
    figure, axes = plot_curves(made, ["accuracy", "f1"])
    assert axes.shape == (4,)
    labels = [axis.get_ylabel() for axis in axes]
    assert labels == ["accuracy", "", "F1\n(mean over classes)", ""]
    assert [bool(axis.get_xlabel()) for axis in axes] == [False, False, True, True]
    assert [bool(axis.get_title()) for axis in axes] == [True, True, False, False]
    assert len(figure.legends) == 1
    _, one = plot_curves(made.assign_attrs(classes=2), "f1", sets=["important"])
    assert one.get_ylabel() == "F1"


def sweep():
    made = curves()
    areas = xr.concat([made * factor for factor in (1, 2, 3)], "amount")
    return areas.assign_coords(amount=[0.1, 0.5, 1.0]).assign_attrs(made.attrs)


def test_the_area_against_the_amount():
    made = sweep()
    _, axes = plot_sweep(made)
    for axis, name in zip(axes, SETS, strict=True):
        shap = made["area"].sel(explanation="shap", set=name)
        drawn = line(axis, "SHAP")
        np.testing.assert_allclose(drawn.get_ydata(), shap)
        assert abs(drawn.get_xdata() - [0.1, 0.5, 1.0]).max() < 0.05
        assert axis.get_xlabel() == "amount of the edit"
    assert axes[0].get_ylabel() == "mean gap over k = 0 to 5"
    _, own = plot_curves(made, amount=0.5, sets=["important"])
    expected = made["accuracy"].sel(explanation="shap", set="important", amount=0.5)
    np.testing.assert_allclose(line(own, "SHAP").get_ydata(), expected)


def test_an_amount_is_chosen_and_a_sweep_has_several():
    with pytest.raises(ValueError, match=r"Expected an amount of \[0\.1, 0\.5, 1\.0\] \(got None"):
        plot_curves(sweep())
    with pytest.raises(ValueError, match="Expected curves of several amounts"):
        plot_sweep(curves())
