from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from fixtures.command_line import TINY
from fixtures.report_pages import against_truth
from fixtures.screenshots import CHROMIUM, screenshot
from PIL import Image

from hargcn import Explanation, load_model
from hargcn.data.windows import Windows
from hargcn.pipeline.demo import demo

ROOT = Path(__file__).resolve().parents[2]
FILES = (
    "windows.h5", "run/model.safetensors", "run/model.json", "gradcam.main.0.tcn.h5",
    "gradcam.main.0.attention.h5", "shap.h5", "ranking.png", "strip.png", "table.csv",
    "report.html",
)  # fmt: skip
SMALL = (
    *TINY,
    "prepare.synthetic.recordings=40",
    "prepare.synthetic.frames=[32, 32]",
    "prepare.windows.length=32",
)


def check(found):
    names = ["shap", "gradcam main", "gradcam main", "chance"]
    for (name, shares), start in zip(found.shares.items(), names, strict=True):
        assert name.startswith(start)
        on, off, elsewhere, between = shares
        assert on + off + elsewhere == pytest.approx(1)
        assert min(shares) >= 0
        assert between <= 1


@pytest.mark.slow
def test_a_small_demo_leaves_its_files_and_says_what_it_found(tmp_path):
    out = tmp_path / "it's mine"  # a name that YAML would read otherwise
    found = demo(out, set_=SMALL, progress=False)
    for name in FILES:
        assert (out / name).stat().st_size > 0, name
    assert not list(out.glob("*.parts"))
    assert found.pictures == [out / "ranking.png", out / "strip.png"]
    assert found.report == out / "report.html"
    page = found.report.read_text(encoding="utf-8")
    assert 'id="measured"' in page
    assert 'id="origin"' in page
    assert "it&#39;s mine" not in page, "where the demo was run is nobody's business"
    assert found.classified.windows["n"] == 16
    check(found)
    data = Windows.open(out / "windows.h5")
    explained = Explanation.open(out / "shap.h5")
    tested = set(data.subset("test").names)
    assert tested.issuperset(explained.dataset["sample"].to_numpy())
    assert set(explained.target.to_numpy()) == {data.classes.index("tremor")}
    card = load_model(out / "run" / "model.safetensors").card
    assert card["experiment"] == "demo.yaml"
    assert card["training"]["seed"] == 1234
    assert explained.dataset.attrs["model"] == card["weights"]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return demo(tmp_path_factory.mktemp("demo"), progress=False)


@pytest.mark.slow
def test_the_demo_learns_the_evidence_and_every_method_finds_it(made):
    assert made.classified.windows["accuracy"] > 0.9
    check(made)
    chance = made.shares["chance"][0]
    assert all(shares[0] > chance for name, shares in made.shares.items() if name != "chance")


@pytest.mark.slow
def test_the_report_of_the_demo_shows_the_planted_joints_and_times(made):
    planted, told = against_truth(made.report.read_text(encoding="utf-8"))
    assert planted == {"right_wrist", "right_hand", "right_hand_tip", "right_thumb"}
    assert len(told) == 3
    for title, (joints, peaks) in told.items():
        assert planted.issuperset(joints[:3]), (title, joints)
        assert peaks > 0.9, title


@pytest.mark.slow
@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="needs chromium on the PATH")
def test_the_readme_shows_this_report(made, tmp_path):
    """Fonts and edges differ a little; another window is not alike."""
    screenshot(made.report, tmp_path / "now.png")
    assert apart(tmp_path / "now.png") < 3
    page = made.report.read_text(encoding="utf-8")
    first, second = re.findall(r'class="window">.*?<', page)[:2]
    other = tmp_path / "other.html"
    other.write_text(page.replace(first, second, 1), encoding="utf-8")
    screenshot(other, tmp_path / "other.png")
    assert apart(tmp_path / "other.png") > 4


def apart(picture):
    """Return the mean difference of a picture's bodies and maps from those of the README."""
    both = []
    for path in (picture, ROOT / "docs" / "report.png"):
        with Image.open(path) as image:
            shown = image.convert("RGB").crop((0, 305, *image.size))
            both.append(np.asarray(shown.resize((342, 149)), float))
    return np.abs(both[0] - both[1]).mean()
