from __future__ import annotations

import pytest

from hargcn.cli.options import interval, table


def test_a_table_has_its_numbers_to_the_right(capsys):
    table("title", ["name", "value"], [["first", "1.5"], ["second", "22.5"]])
    said = capsys.readouterr().out
    for text in ("title", "name", "value", "first", "second"):
        assert text in said
    rows = [line for line in said.splitlines() if "5 " in line]
    assert rows[0].index("1.5") == rows[1].index("2.5")  # numbers end at the same place


def test_an_interval_follows_its_estimate():
    assert interval(0.5, -0.25, 1) == "0.500 [-0.250, 1.000]"
    assert interval(0.5, -0.25, 1, "+.1f") == "+0.5 [-0.2, +1.0]"


@pytest.mark.parametrize("columns", [9, 30])
@pytest.mark.parametrize("width", [80, 20])
def test_no_figure_is_lost_where_a_terminal_is_narrow(capsys, monkeypatch, columns, width):
    """A table of many measures is turned; one that fits neither way is wider than the terminal."""
    monkeypatch.setenv("COLUMNS", str(width))
    header = ["", *(f"measure {i}" for i in range(columns))]
    rows = [[name, *(f"0.{i:03d} [{k}.100, {k}.900]" for i in range(columns))]
            for k, name in enumerate(("shap", "gradcam main.1.attention", "random"))]  # fmt: skip
    table("mean [95% interval]", header, rows)
    said = capsys.readouterr().out
    assert "…" not in said
    for text in ("measure", "attention", f"0.{columns - 1:03d}", "[1.100,", "2.900]"):
        assert text in said
    if width == 80:
        assert max(map(len, said.splitlines())) <= 80
    lines = [line for line in said.splitlines() if "0.00" in line]
    assert len(lines) == min(columns, 10), "a row for each measure"


def test_texts_are_never_turned(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "30")
    table("formats", ["name", "what it is"], [["a", "many words " * 9]] * 2, text=True)
    said = capsys.readouterr().out
    assert said.count(" a ") == 2
    assert max(map(len, said.splitlines())) <= 30
