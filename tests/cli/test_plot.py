from __future__ import annotations

import numpy as np
import pytest
from fixtures.command_line import done, refused, run
from PIL import Image

from hargcn import Explanation


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--sample", "g3_c0_7@0"], "expected a window's name (got 'g3_c0_7@0'; did you mean 'g3_"),
        (["--frames", "3,99"], "--frames: expected numbers 0..15 (got '3,99')"),
        (["--frames", ","], "--frames: expected numbers"),
        (["--out", "x.bmp"], "x.bmp: expected a picture"),
        (["--out", "x.gif", "--heatmap"], "x.gif: expected a picture .png or .svg"),
    ],
)
def test_broken_options_of_show(shap, earlier, options, said, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert said in refused("show", shap, "--out", earlier, *options)
    assert [path.name for path in tmp_path.iterdir()] == ["result.h5"]


def test_a_clip_shows_every_frame_and_a_map_is_a_picture(shap, gradcams, tmp_path):
    done("show", shap, "--out", tmp_path / "clip.gif")
    with Image.open(tmp_path / "clip.gif") as clip:
        assert clip.n_frames == 16
    done("show", gradcams[0], "--heatmap", "--out", tmp_path / "map.svg")
    assert "right_wrist" in (tmp_path / "map.svg").read_text("utf-8").replace(" ", "_")


def test_a_window_is_found_by_its_recording(shap, tmp_path):
    name = str(Explanation.open(shap).dataset["sample"].to_numpy()[1])
    for wanted, file in ((name, "a.svg"), (name.partition("@")[0], "b.svg")):
        done("show", shap, "--sample", wanted, "--frames", "0,8", "--out", tmp_path / file)
    assert name.endswith("@8")
    assert (tmp_path / "a.svg").stat().st_size > 1000


def test_explanations_without_positions_cannot_be_drawn(shap, tmp_path):
    bare = tmp_path / "bare.h5"
    found = Explanation.open(shap)
    Explanation(found.dataset.drop_vars("positions")).save(bare)
    line = refused("show", bare, "--out", tmp_path / "x.png")
    assert line == f"{bare}: expected stored positions to draw (got none)"


def test_the_table_holds_the_medians_of_every_method(shap, gradcams, tmp_path):
    said = done("rank", shap, *gradcams, "--top", 2, "--out", tmp_path / "r.png")
    found = Explanation.open(shap).joint_scores().median("sample")
    best = str(found["joint"].to_numpy()[found.to_numpy().argmax()])
    assert best in said
    assert (tmp_path / "r.png").stat().st_size > 1000


def test_files_of_the_same_method_keep_apart(shap, tmp_path):
    found = Explanation.open(shap)
    for name in ("first", "second"):
        found.save(tmp_path / f"{name}.h5")
    said = done("rank", tmp_path / "first.h5", tmp_path / "second.h5", "-o", tmp_path / "r.png")
    assert "first" in said
    assert "second" in said


def test_ranking_one_class(shap, tmp_path):
    out = tmp_path / "r.png"
    target = int(Explanation.open(shap).target[0])
    assert run("rank", shap, "--class", f"class{target}", "--out", out).code == 0
    assert "--class: expected a class of class0" in refused("rank", shap, "--class", "x", "-o", out)
    missing = {0, 1, 2} - set(Explanation.open(shap).target.to_numpy().tolist())
    line = refused("rank", shap, "--class", f"class{missing.pop()}", "-o", out)
    assert "no window of shap was explained for" in line
    assert np.array(Image.open(out)).std() > 0
