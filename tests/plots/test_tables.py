"""Tables as lines: what stands where."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from hargcn.plots import plot_table

ROWS = pd.DataFrame(
    [
        {"case": case, "seed": seed, "way": way, "size": size, "error": size + seed * 2 + shift}
        for case, shift in (("one", 0.0), ("two", 100.0))
        for seed in (0, 1)
        for way in ("random", "herding")
        for size in (5, 10)
    ]
)


def test_seeds_are_averaged_and_every_case_has_its_panel():
    figure, axes = plot_table(ROWS, "size", "error", line="way", panel="case", level=1)
    assert [each.get_title() for each in axes] == ["one", "two"]
    lines = axes[1].get_lines()
    assert [line.get_label() for line in lines[:2]] == ["random", "herding"]
    np.testing.assert_allclose(lines[0].get_xydata(), [[5, 106], [10, 111]])
    assert list(lines[2].get_ydata()) == [1, 1]
    spans = axes[1].collections[0].get_segments()
    np.testing.assert_allclose(spans[0], [[5, 105], [5, 107]])
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["random", "herding"]


def test_what_is_not_known_leaves_no_point():
    some = ROWS.assign(error=ROWS["error"].where(ROWS["size"] != 5))
    _, axes = plot_table(
        some, "size", "error", line="way", panel="case", logarithmic="x", labels=("rows", "far")
    )
    np.testing.assert_allclose(axes[0].get_lines()[0].get_xydata(), [[10, 11]])
    assert (axes[0].get_xlabel(), axes[0].get_ylabel()) == ("rows", "far")
    assert axes[0].get_xscale() == "log"


def test_an_unknown_column_is_refused():
    with pytest.raises(ValueError, match="Expected columns of case, seed, .* \\(got 'rho'\\)"):
        plot_table(ROWS, "size", "rho", line="way", panel="case")


def test_a_logarithmic_axis_says_numbers():
    """Powers of ten are set as formulas, which pictures do not parse."""
    _, axes = plot_table(ROWS, "size", "error", line="way", panel="case", logarithmic="xy")
    axes[0].figure.canvas.draw()
    told = [text.get_text() for text in axes[0].get_yticklabels()]
    assert "100" in told
    assert not any("$" in each for each in told)
    assert [text.get_text() for text in axes[0].get_xticklabels()] == ["5", "10"]
