"""Tables and curves of other commands, laid out: numbers as they were measured."""

from __future__ import annotations

import numpy as np
import pytest
from fixtures.report_pages import judged, perturbed

from hargcn.report.results import curve_charts, expect_columns, measured


def test_a_table_has_a_row_per_measure_and_a_column_per_method():
    found = measured(judged())
    assert found["methods"] == ["shap"], "chance and ceiling say the rest"
    energy, rrs = found["rows"]
    assert (energy["metric"], energy["better"], energy["ceiling"]) == (
        "localisation:energy", "higher", "1",
    )  # fmt: skip
    (dot,) = energy["dots"]
    assert (dot.text, dot.n) == ("0.8 [0.7, 0.9]", 8)
    # Chance 0.5 and the end 0.9 of the interval span the scale from 5 to 95.
    assert (dot.chance, dot.low, dot.at, dot.high) == (5, 50, 72.5, 95)
    assert rrs["dots"][0].text == "not measured"
    assert rrs["dots"][0].at is None
    assert rrs["ceiling"] == ""


def test_a_table_of_another_command_is_refused():
    with pytest.raises(ValueError, match=r"x\.csv: expected a table of `hargcn evaluate` \(got no"):
        expect_columns(judged().drop(columns=["chance", "n"]), "x.csv")


def test_curves_have_a_chart_per_measure_with_bands():
    gap, score = curve_charts("perturb.h5", perturbed().dataset)
    assert (gap["title"], gap["y"], gap["x"]) == (
        "perturb.h5", "prediction gap", "number of parts perturbed",
    )  # fmt: skip
    assert gap["k"] == [0, 1, 2]
    (panel,) = gap["panels"]
    assert panel["title"] == "most important parts perturbed"
    assert panel["band"] == [[0, 0.05, 0.1]] * 2
    own, random = panel["lines"]
    assert (own["name"], own["mean"]) == ("SHAP", [0, 0.1, 0.2])
    assert (random["name"], random["mean"]) == ("random", [0, 0.05, 0.1])
    assert own["low"] == own["high"] == own["mean"], "all windows are alike"
    assert score["panels"][0]["lines"][0]["mean"] == [1, 0.9, 0.8]


def test_several_parts_of_time_are_charts_of_their_own():
    charts = curve_charts("a", perturbed(segments=2).dataset)
    assert [each["title"] for each in charts] == ["a, segment part0"] * 2 + ["a, segment part1"] * 2
    lost = perturbed().dataset
    lost["gap_high"] = lost["gap_high"] * np.nan
    assert curve_charts("a", lost)[0]["panels"][0]["lines"][0]["high"] == [None] * 3
