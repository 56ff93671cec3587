from __future__ import annotations

import subprocess
import sys

import matplotlib as mpl
import numpy as np
import pytest
from fixtures.fake_explanations import explanation, shap_like
from matplotlib.figure import Figure

from hargcn.plots import plot_heatmap, plot_history, plot_ranking, save_figure
from hargcn.plots.style import SIGNED, canvas, signed_bar, signed_norm, wrapped


@pytest.mark.parametrize("values", [[-1.0, 0.5], [0.1, 7.0], [-3.0, -2.0], [0.0, 0.0], [np.nan, 2]])
def test_zero_is_the_neutral_colour_whatever_the_values(values):
    norm = signed_norm(values)
    assert norm(0.0) == 0.5
    red, green, blue, _ = mpl.colormaps[SIGNED](norm(0.0))
    assert max(red, green, blue) - min(red, green, blue) < 0.01
    assert min(red, green, blue) > 0.95


def test_opposite_values_get_opposite_colours_of_equal_strength():
    norm = signed_norm([-2.0, 1.0])
    assert norm(-1.0) == pytest.approx(1 - norm(1.0))
    assert (norm.vmin, norm.vmax) == (-2, 2)
    assert signed_norm([5.0], limit=3.0).vmax == 3


def test_a_bar_without_negative_values_shows_its_upper_half():
    for low, bottom in ((0.0, 0.0), (-0.1, -2.0)):
        figure, (axis,) = canvas(None, (3, 3))
        bar = signed_bar(figure, axis, signed_norm([2.0]), "attribution", low)
        assert bar.ax.get_ylim() == (bottom, 2.0)


def test_axes_of_the_caller_are_used_and_counted():
    figure = Figure()
    given = figure.subplots(1, 2)
    assert canvas(given, (3, 3), 2) == (figure, list(given))
    assert canvas(given[0], (3, 3))[1] == [given[0]]
    with pytest.raises(ValueError, match=r"Expected 3 axes.*\(got 2\)"):
        canvas(given, (3, 3), 3)


def test_pictures_are_saved_whole_by_suffix_and_reproducibly(tmp_path):
    for suffix, magic in (("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")):
        contents = []
        for run in ("a", "b"):
            figure, _ = plot_history([{"epoch": 1, "val_loss": 2.0}])
            path = tmp_path / run / f"picture.{suffix}"
            save_figure(figure, path)
            contents.append(path.read_bytes())
        assert contents[0].startswith(magic)
        assert contents[0] == contents[1]
    assert sorted(p.name for p in (tmp_path / "a").iterdir()) == [
        "picture.pdf",
        "picture.png",
        "picture.svg",
    ]
    with pytest.raises(ValueError, match=r"expected a picture .png, .svg or .pdf \(got '.txt'\)"):
        save_figure(Figure(), tmp_path / "picture.txt")


def test_a_dollar_in_a_name_is_no_formula(tmp_path):
    made = shap_like(2).assign(coords={"sample": ["a$x_{$b@0", "$c$@0"]})
    for row, name in enumerate(made.values["sample"].to_numpy()):
        figure, axis = plot_heatmap(made, row)
        save_figure(figure, tmp_path / "map.svg")
        assert axis.get_title().startswith(f"{name}: SHAP")
        assert f"<!-- {name}: SHAP for class 0" in (tmp_path / "map.svg").read_text("utf-8")


def test_a_power_of_ten_is_written_out():
    made = explanation(np.linspace(-3e-7, 5e-7, 8).reshape(4, 2), ("sample", "joint"))
    figure, axis = plot_ranking(made)
    figure.draw_without_rendering()
    assert axis.xaxis.get_offset_text().get_text() == "×10⁻⁷"
    assert not any("$" in tick.get_text() for tick in axis.get_xticklabels())


def test_drawing_leaves_no_settings_and_loads_neither_pyplot_nor_torch():
    code = (
        # Asking for the back end would itself load pyplot.
        "import sys, hargcn.plots as p, matplotlib as m;"
        "now = lambda: {k: m.rcParams[k] for k in m.rcParams if k != 'backend'};"
        "before = now(); p.plot_history([{'epoch': 1, 'val_loss': 2.0}]);"
        "assert now() == before;"
        "loaded = {'torch', 'matplotlib.pyplot'} & set(sys.modules);"
        "assert not loaded, loaded"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("text", ["aa bb " * 20, "WWW MMM " * 20, "iii lll " * 20, "W" * 90])
@pytest.mark.parametrize(("width", "size"), [(1, 10), (2.6, 10), (4, 8)])
def test_titles_are_broken_where_their_font_says(text, width, size):
    figure = Figure(figsize=(1, 1))  # what is measured may be wider; larger ones take their time
    lines = wrapped(text, width, size).split("\n")
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")
    for line, after in zip(lines, [*lines[1:], ""], strict=True):
        shown = [figure.text(0, 0, each, size=size) for each in (line, f"{line} {after[:3]}")]
        this, longer = (each.get_window_extent().width / figure.dpi for each in shown)
        assert this <= 1.03 * width  # pixels are whole
        assert not after or longer > 0.97 * width


def test_short_titles_and_a_width_below_a_letter():
    assert wrapped("a title", 3) == "a title"
    assert wrapped("ab c", 0.01) == "a\nb\nc"
    assert not wrapped("", 3)
