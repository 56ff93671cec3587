from __future__ import annotations

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
