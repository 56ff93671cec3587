from __future__ import annotations

import pytest

from hargcn.cli.figures import classes, figure, summary


def level(n: int, **more: object) -> dict[str, object]:
    return {"n": n, "accuracy": 0.75, "interval": {}, "roc_auc": None, **more}


@pytest.mark.parametrize(
    ("figures", "said"),
    [
        ({}, ""),
        ({"accuracy": None}, ""),
        ({"accuracy": 0.5}, "0.5000"),
        ({"accuracy": 8}, "8"),
        ({"accuracy": 0.5, "interval": {"accuracy": (0.4, 0.6)}}, "0.500 [0.400, 0.600]"),
        ({"accuracy": 0.5, "interval": {"roc_auc": (0.4, 0.6)}}, "0.5000"),
    ],
)
def test_a_figure_is_printed_with_its_interval_and_nothing_where_undefined(figures, said):
    assert figure(figures, "accuracy") == said


def test_a_summary_has_a_column_per_level_and_says_of_what_intervals_are(capsys):
    summary("test", {"windows": level(8), "recordings": level(4)})
    said = capsys.readouterr().out
    assert "windows" in said
    assert "recordings" in said
    assert "roc_auc" not in said  # nowhere defined
    assert "intervals" not in said
    summary("test", {"windows": level(8, interval={"accuracy": (0.5, 0.9)})})
    said = capsys.readouterr().out
    assert "0.750 [0.500, 0.900]" in said
    assert said.endswith("[95% intervals, of resampled subjects]\n")


def test_a_summary_says_the_threshold_and_exact_intervals(capsys):
    windows = level(8, per_class={"rest": {}, "cp": {}})
    exact = {"accuracy": [0.35, 0.97], "sensitivity": [0.4, 1.0], "ppv": None}
    summary(
        "t", {"threshold": 0.31, "windows": windows, "recordings": level(4, exact_interval=exact)}
    )
    said = capsys.readouterr().out
    assert "cp is said from 0.31 on\n" in said
    assert said.endswith(
        "exact 95% intervals, of independent recordings: accuracy 0.350 to 0.970, "
        "sensitivity 0.400 to 1.000\n"
    )


def of_classes(n: int, names: list[str], counts: list[list[int]]) -> dict[str, object]:
    each = {name: {"support": sum(row)} for name, row in zip(names, counts, strict=True)}
    return level(n, per_class=each, confusion=counts)


def test_recordings_of_one_window_are_printed_once(capsys):
    one = of_classes(3, ["rest", "wave"], [[2, 0], [1, 0]])
    classes({"windows": one, "recordings": one})
    said = capsys.readouterr().out
    assert said.count("confusion") == 1
    assert "recordings, true" in said
    classes({"windows": {**one, "n": 6}, "recordings": one})
    assert capsys.readouterr().out.count("confusion") == 2


def test_of_many_classes_the_largest_confusions_are_listed(capsys):
    names = [f"c{i}" for i in range(14)]
    counts = [[5 if i == j else 0 for j in range(14)] for i in range(14)]
    counts[3][7], counts[2][1] = 4, 1
    classes({"windows": of_classes(75, names, counts)})
    said = capsys.readouterr().out
    assert "the 2 largest of 2" in said
    assert said.index("4 of 9") < said.index("1 of 6")
