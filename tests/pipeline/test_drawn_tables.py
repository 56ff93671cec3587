"""Pictures of tables: which rows they show."""

from __future__ import annotations

import pandas as pd
import pytest
from PIL import Image

from hargcn.pipeline import drawn_tables
from hargcn.pipeline.drawn_tables import draw


@pytest.fixture
def table(tmp_path):
    rows = [(case, way, n, n / 10) for case in "ab" for way in ("x", "y", "z") for n in (1, 2)]
    pd.DataFrame(rows, columns=["case", "way", "n", "e"]).to_csv(tmp_path / "t.csv", index=False)
    return tmp_path / "t.csv"


def test_rows_are_chosen_and_ordered(table, tmp_path, monkeypatch):
    seen = []
    original = drawn_tables.plot_table
    monkeypatch.setattr(
        drawn_tables,
        "plot_table",
        lambda rows, *a, **b: seen.append(rows) or original(rows, *a, **b),
    )
    out = draw(
        table, tmp_path / "t.png", x="n", y="e", line="way", where="case == 'a'",
        only={"way": ["z", "x"]}, labels=("n", "error"),
    )  # fmt: skip
    with Image.open(out) as image:
        assert image.size[0] > 100
    assert seen[0]["way"].tolist() == ["z", "z", "x", "x"]
    assert set(seen[0]["case"]) == {"a"}
    assert table.is_file()


def test_no_row_is_refused(table, tmp_path):
    with pytest.raises(ValueError, match="expected rows of case == 'c'"):
        draw(table, tmp_path / "t.png", x="n", y="e", line="way", where="case == 'c'")
