from __future__ import annotations

import pytest

from hargcn.pipeline.outcome_tables import outcome_table

TITLES = [f"v{at}" for at in range(6)]


def written(path, header: str, *cells: str):
    rows = [f"v{at}.mp4,{cells[at % len(cells)]}" for at in range(6)]
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("header", "cells", "outcome", "subject", "fps"),
    [
        ("video,outcome,subject,fps", ("a,s1,25", "b,s2,25"), "outcome", "subject", "fps"),
        (
            "File,Diagnosis,Patient ID,Frame Rate",
            ("a,s1,25", "b,s2,25"),
            "Diagnosis",
            "Patient ID",
            "Frame Rate",
        ),
        ("clip,kind,child_id,FPS", ("a,s1,25", "b,s2,30"), "kind", "child_id", "FPS"),
        ("clip,age,height", ("1,5", "2,6"), None, None, None),  # either could be meant
        ("clip,label", ("a",), None, None, None),  # one class is none
    ],
)
def test_columns_are_known_by_name_or_by_their_values(
    tmp_path, header, cells, outcome, subject, fps
) -> None:
    table = outcome_table([written(tmp_path / "t.csv", header, *cells)], TITLES)
    assert table is not None
    assert (table.video, table.outcome, table.subject, table.fps) == (
        header.split(",")[0], outcome, subject, fps,
    )  # fmt: skip
    assert table.others == header.split(",")[1:]
    assert table.values(None, TITLES) == []


def test_the_table_that_names_most_videos_counts(tmp_path) -> None:
    good = written(tmp_path / "good.csv", "video,label", "a", "b")
    (tmp_path / "few.csv").write_text("video,label\nv0,a\nv1,b\n", encoding="utf-8")
    (tmp_path / "no.csv").write_text("a,a\n", encoding="utf-8")
    (tmp_path / "none.csv").write_text("", encoding="utf-8")
    twice = written(tmp_path / "twice.csv", "video,label", "a", "b")
    twice.write_text(twice.read_text("utf-8") + "v0,a\n", encoding="utf-8")
    tables = sorted(tmp_path.glob("*.csv"))
    assert outcome_table(tables, TITLES).path == good
    assert outcome_table([path for path in tables if path != good], TITLES) is None
    assert outcome_table(tables, ["w1"]) is None
