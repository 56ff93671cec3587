from __future__ import annotations

import pytest
from fixtures.command_line import TINY
from fixtures.report_pages import against_truth

from hargcn import Explanation, load_model
from hargcn.data.windows import Windows
from hargcn.pipeline.demo import demo

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


@pytest.mark.slow
def test_the_demo_learns_the_evidence_and_every_method_finds_it(tmp_path):
    found = demo(tmp_path, progress=False)
    assert found.classified.windows["accuracy"] > 0.9
    check(found)
    chance = found.shares["chance"][0]
    assert all(shares[0] > chance for name, shares in found.shares.items() if name != "chance")
    planted, told = against_truth(found.report.read_text(encoding="utf-8"))
    assert len(planted) == 4, "the right hand"
    assert len(told) == 3
    for title, (joints, peaks) in told.items():
        assert planted.issuperset(joints[:3]), (title, joints)
        assert peaks > 0.9, title
