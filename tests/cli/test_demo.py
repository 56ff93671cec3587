from __future__ import annotations

import re
from types import SimpleNamespace

from fixtures.command_line import done


def test_the_demo_prints_its_accuracy_pictures_table_and_how_to_open_the_report(
    tmp_path, monkeypatch
):
    asked = {}

    def demo(out, **options):
        asked.update(out=out, **options)
        return SimpleNamespace(
            classified=SimpleNamespace(windows={"accuracy": 0.98765, "n": 240}),
            shares={"shap": (0.5, 0.2, 0.3, 0.714), "chance": (0.01, 0.02, 0.97, 1 / 3)},
            pictures=[out / "ranking.png", out / "strip.png"],
            report=out / "report.html",
        )

    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.setattr("hargcn.pipeline.demo.demo", demo)
    said = done("demo", "--out", tmp_path, "--seed", 7, "--set", "train.epochs=1")
    assert asked == {"out": tmp_path, "seed": 7, "set_": ["train.epochs=1"]}
    assert "test accuracy 0.988 (240 windows of unseen subjects)\n" in said
    assert f"{tmp_path / 'ranking.png'}\n{tmp_path / 'strip.png'}\n" in said
    rows = [re.findall(r"[^│┃\s][^│┃]*[^│┃\s]", line) for line in said.splitlines()]
    assert ["shap", "0.50", "0.20", "0.30", "0.71"] in rows
    assert ["chance (even spread)", "0.01", "0.02", "0.97", "0.33"] in rows
    last = said.splitlines()[-1]
    assert (
        last
        == f"all of it in motion: open {tmp_path / 'report.html'} in a browser, by double click"
    )
