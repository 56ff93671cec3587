from __future__ import annotations

import re

import pytest
from fixtures.command_line import SMALL_DEMO, done, sets

from hargcn import Explanation, load_model
from hargcn.data.windows import Windows

FILES = (
    "windows.h5", "run/model.safetensors", "run/model.json", "gradcam.main.0.tcn.h5",
    "gradcam.main.0.attention.h5", "shap.h5", "ranking.png", "strip.png",
)  # fmt: skip


def shares(said: str) -> dict[str, list[float]]:
    """Return the numbers of the table's rows by their names."""
    rows = {}
    for line in said.splitlines():
        cells = [cell.strip() for cell in re.split("[│┃]", line) if cell.strip()]
        if len(cells) == 5 and re.fullmatch(r"\d\.\d\d", cells[1]):
            rows[cells[0]] = [float(cell) for cell in cells[1:]]
    return rows


def check(said: str) -> None:
    rows = shares(said)
    chance = [name for name in rows if name.startswith("chance")]
    assert len(chance) == 1
    assert len(rows) == 4  # SHAP, Grad-CAM at two layers, chance
    for on, off, elsewhere, between in rows.values():
        assert on + off + elsewhere == pytest.approx(1, abs=0.02)
        assert 0 <= between <= 1


def test_a_small_demo_leaves_its_files_and_prints_its_table(tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")
    said = done("demo", "--out", tmp_path, *sets(SMALL_DEMO))
    for name in FILES:
        assert (tmp_path / name).stat().st_size > 0, name
    assert not list(tmp_path.glob("*.parts"))
    assert re.search(r"test accuracy \d\.\d+ \(16 windows of unseen subjects\)", said)
    for word in ("evidence", "distractors", "elsewhere", "chance"):
        assert word in said
    check(said)
    data = Windows.open(tmp_path / "windows.h5")
    found = Explanation.open(tmp_path / "shap.h5")
    tested = set(data.subset("test").names)
    assert tested.issuperset(found.dataset["sample"].to_numpy())
    assert set(found.target.to_numpy()) == {data.classes.index("tremor")}
    assert load_model(tmp_path / "run" / "model.safetensors").card["experiment"] == "demo"


@pytest.mark.slow
def test_the_demo_learns_the_evidence_and_every_method_finds_it(tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")
    said = done("demo", "--out", tmp_path)
    assert float(re.search(r"test accuracy (\d\.\d+)", said)[1]) > 0.9
    check(said)
    rows = shares(said)
    chance = next(rows.pop(name) for name in list(rows) if name.startswith("chance"))
    for name, found in rows.items():
        assert found[0] > chance[0], name
