"""Tables of outcomes that are no classes: numbers, levels, labels, what is missing or wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from fixtures.stick import STICK, stick
from fixtures.tracker_files import deeplabcut, walking

from hargcn.data.readers.tables import expect_whole
from hargcn.data.readers.trackers.deeplabcut import DeepLabCut
from hargcn.outputs import Outputs
from hargcn.pipeline.prepare import prepare

HEADER = "video,child,fps,gait,pain,severity,tremor,ataxia"
ROWS = ("v1,A,30,12.5,3,mild,1,0", "v2,A,30,,1,severe,0,", "v3,B,30,47,,,,")


@pytest.fixture
def folder(tmp_path) -> Path:
    poses = tmp_path / "poses"
    poses.mkdir()
    for name in ("v1", "v2", "v3"):
        deeplabcut(poses / f"{name}DLC_x.csv", walking(30, 5), STICK)
    return poses


def table(folder: Path, *rows: str) -> Path:
    path = folder.with_name("outcomes.csv")
    path.write_text("\n".join((HEADER, *(rows or ROWS))) + "\n", encoding="utf-8")
    return path


def reader(folder: Path, *rows: str, **options) -> DeepLabCut:
    given = {"subject": "child", "outcomes": table(folder, *rows)}
    return DeepLabCut(stick(folder.parent), **given, **options)


def test_values_and_those_that_are_missing(folder) -> None:
    found = reader(folder, outcome=("gait", "pain"), kind="regression").recordings(folder)
    assert found.outputs == Outputs("regression", ("gait", "pain"))
    nan = np.nan
    expected = [[12.5, 3], [nan, 1], [47, nan]]
    np.testing.assert_array_equal([one.outcome for one in found], expected)
    assert [one.notes["outcomes_unknown"] for one in found] == [0, 1, 1]
    assert {one.label for one in found} == {None}


def test_levels_in_the_order_of_the_classes(folder) -> None:
    options = {"outcome": "severity", "kind": "ordinal", "classes": ("none", "mild", "severe")}
    found = reader(folder, **options).recordings(folder)
    assert found.outputs == Outputs("ordinal", ("none", "mild", "severe"))
    assert [(one.label, one.outcome) for one in found] == [(1, None), (2, None), (None, None)]
    assert [one.notes["outcomes_unknown"] for one in found] == [0, 0, 1]


def test_several_labels(folder) -> None:
    options = {"outcome": ("tremor", "ataxia"), "kind": "multi-label"}
    found = reader(folder, **options).recordings(folder)
    expected = [[1, 0], [0, np.nan], [np.nan, np.nan]]
    np.testing.assert_array_equal([one.outcome for one in found], expected)


@pytest.mark.parametrize(
    ("options", "row", "match"),
    [
        ({"outcome": "gait", "kind": "regression"}, "v2,A,30,good,1,mild,0,0",
         r"line 3: expected a number in gait \(got 'good'\)"),
        ({"outcome": "gait", "kind": "regression"}, "v2,A,30,inf,1,mild,0,0",
         r"line 3: expected a finite number \(or nothing\) in gait \(got 'inf'\)"),
        ({"outcome": ("tremor", "ataxia"), "kind": "multi-label"}, "v2,A,30,1,1,mild,0,0.5",
         r"line 3: expected 0 or 1 \(or nothing\) in ataxia \(got '0.5'\)"),
        ({"outcome": "severity", "kind": "ordinal", "classes": ("none", "mild")},
         "v2,A,30,1,1,severe,0,0", r"line 3: expected of none, mild in severity \(got 'severe'\)"),
        ({"outcome": ("gait", "pian"), "kind": "regression"}, ROWS[1],
         r"expected the columns of the outcome table; missing pian \(nearest: pain\)"),
    ],
)  # fmt: skip
def test_wrong_tables_name_file_line_and_column(folder, options, row, match) -> None:
    with pytest.raises(ValueError, match=rf"outcomes\.csv: {match}"):
        reader(folder, ROWS[0], row, ROWS[2], **options).recordings(folder)


def test_a_video_without_a_row_or_a_subject_is_no_missing_outcome(folder) -> None:
    options = {"outcome": "gait", "kind": "regression"}
    with pytest.raises(ValueError, match=r"expected a row for every video \(none for v3\)"):
        reader(folder, *ROWS[:2], **options).recordings(folder)
    with pytest.raises(ValueError, match=r"expected an? subject for every video \(none for v2\)"):
        reader(folder, ROWS[0], "v2,,30,1,1,mild,0,0", ROWS[2], **options).recordings(folder)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"outcome": ("gait", "pain")}, "one column as reader.outcome for classes"),
        ({"outcome": "gait", "kind": "regression", "classes": ("a",)}, "no reader.classes for reg"),
        ({"outcome": "severity", "kind": "ordinal"}, "the levels, the lowest first, as reader.cl"),
    ],
)
def test_options_that_contradict_each_other_are_refused(folder, options, match) -> None:
    with pytest.raises(ValueError, match=match):
        reader(folder, **options).recordings(folder)


def test_the_report_says_the_range_and_what_is_unknown(folder, tmp_path) -> None:
    made = prepare(
        folder, tmp_path / "w.h5",
        {
            "reader": {
                "layout": str(stick(folder.parent)), "outcomes": str(table(folder)),
                "subject": "child", "outcome": ["gait", "pain"], "kind": "regression",
            },
            "preprocess": "none",
            "windows": {"mode": "whole", "length": 30},
        },
    )  # fmt: skip
    assert made.outputs == Outputs("regression", ("gait", "pain"))
    quality = made.attrs["quality"]["sets"][""]
    assert quality["outcomes"]["gait"] == {"known": 2, "least": 12.5, "mean": 29.75, "most": 47}
    assert quality["notes"]["outcomes_unknown"] == 2
    assert made.known.tolist() == [True] * 3


def test_what_every_video_must_have_is_named_with_its_article() -> None:
    rows = pd.DataFrame({"subject": [None], "outcome": [None]}, index=["v1"])
    for column, said in (("subject", "a subject"), ("outcome", "an outcome")):
        with pytest.raises(ValueError, match=rf"t\.csv: expected {said} for every video"):
            expect_whole(Path("t.csv"), rows, column)
