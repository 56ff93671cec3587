from __future__ import annotations

from itertools import product

import numpy as np
import pandas as pd
import pytest

from hargcn.plots import plot_axioms
from hargcn.plots.axioms import cell_text

VERDICTS = ("pass", "fail", "figure", "not applicable", "error")


def report(methods: int = 2) -> pd.DataFrame:
    axioms = ("completeness", "implementation-invariance", "continuity", "class-sensitivity")
    rows = [
        {
            "axiom": axiom, "kind": "criterion" if axiom.startswith("c") and "on" in axiom[:3]
            else "theorem", "method": f"method-{i}", "verdict": VERDICTS[(i + j) % 5],
            "figure": 0.12345 if (i + j) % 5 < 3 else np.nan,
        }
        for (i, (j, axiom)) in product(range(methods), enumerate(axioms))
    ]  # fmt: skip
    return pd.DataFrame(rows)


def test_every_cell_says_its_verdict_in_words_and_in_a_colour_of_its_own():
    figure, axis = plot_axioms(report(5))
    figure.draw_without_rendering()
    cells = {
        (round(text.get_position()[1]), round(text.get_position()[0])): text.get_text()
        for text in axis.texts
    }
    assert [cells[i, 0] for i in range(5)] == [
        "pass 0.12",
        "fail 0.12",
        "figure 0.12",
        "-",
        "error",
    ]
    (image,) = axis.get_images()
    colours = {tuple(image.cmap(image.norm(code))) for code in range(5)}
    assert len(colours) == 5
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == [
        "pass", "fail", "figure", "error", "not applicable",
    ]  # fmt: skip


def test_colours_are_told_apart_without_colour_vision():
    _, axis = plot_axioms(report(5))
    (image,) = axis.get_images()
    rgb = np.array([image.cmap(image.norm(code))[:3] for code in range(2)])
    luminance = rgb @ [0.2126, 0.7152, 0.0722]
    assert abs(luminance[0] - luminance[1]) > 0.15  # pass and fail


@pytest.mark.parametrize("methods", [1, 30])
def test_thirty_methods_are_readable(methods):
    figure, axis = plot_axioms(report(methods))
    figure.draw_without_rendering()
    height = axis.get_window_extent().height / methods
    renderer = figure.canvas.get_renderer()
    texts = [text.get_window_extent(renderer) for text in axis.texts[: 4 * methods]]
    assert max(box.height for box in texts) < height
    width = axis.get_window_extent().width / 4
    assert max(box.width for box in texts) < width


def test_theorems_are_parted_from_criteria():
    _, axis = plot_axioms(report())
    said = [text.get_text() for text in axis.texts][-2:]
    assert [each.partition(":")[0] for each in said] == ["theorems", "criteria"]


def test_a_figure_of_nothing_is_not_printed():
    assert cell_text("error", float("nan")) == "error"
    assert cell_text("pass", 0.00021) == "pass 0.00021"
