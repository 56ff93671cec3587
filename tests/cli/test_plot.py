from __future__ import annotations

import numpy as np
from fixtures.command_line import done, refused
from PIL import Image

from hargcn import Explanation


def test_the_table_holds_the_medians_of_every_method(shap, gradcams, tmp_path):
    said = done("rank", shap, *gradcams, "--top", 2, "--out", tmp_path / "r.png")
    sums = Explanation.open(shap).values.sum(["branch", "channel", "time", "person"])
    medians = sums.median("sample").to_series()
    for joint, median in medians.sort_values(ascending=False)[:2].items():
        assert str(joint) in said
        assert f"{median:+.3g}" in said
    assert str(medians.sort_values().index[0]) not in said
    assert (tmp_path / "r.png").stat().st_size > 1000


def test_branches_and_their_channels_are_ranked_and_maps_have_none(shap, gradcams, tmp_path):
    said = done("rank", shap, "--by", "branch,channel", "--top", 30, "-o", tmp_path / "r.svg")
    assert "channels of branches by median sum" in said
    drawn = (tmp_path / "r.svg").read_text("utf-8")
    assert "V: velocity x over 1 frame" in said
    assert "V: velocity x over 1 frame" in drawn
    parts = done("rank", *gradcams, "--by", "part", "--picture", "bar", "-o", tmp_path / "p.svg")
    assert "left_arm" in parts
    said = refused("rank", shap, *gradcams, "--by", "branch", "-o", tmp_path / "no.svg")
    assert "explanation 'gradcam main.0.tcn': expected an axis 'branch' to rank by branch" in said
    assert "(got sample, time, joint, person; class activation maps" in said
    assert "did you mean 'branch'" in refused(
        "rank", shap, "--by", "brunch", "-o", tmp_path / "x.svg"
    )
    said = refused("rank", shap, "--picture", "pie", "-o", tmp_path / "x.svg")
    assert "Expected --picture of boxes, beeswarm, bar" in said
    assert not list(tmp_path.glob("[nx]*"))


def test_files_of_the_same_method_keep_apart(shap, tmp_path):
    for name in ("first", "second"):
        Explanation.open(shap).save(tmp_path / f"{name}.h5")
    said = done("rank", tmp_path / "first.h5", tmp_path / "second.h5", "-o", tmp_path / "r.png")
    assert "first" in said
    assert "second" in said


def test_options_reach_the_picture(shap, tmp_path):
    name = str(Explanation.open(shap).dataset["sample"].to_numpy()[1])
    out = tmp_path / "strip.svg"
    said = done("show", shap, "--sample", name, "--frames", "0,8", "--out", out)
    assert said == f"{out}\n"
    assert name in out.read_text("utf-8")
    sizes = []
    for dpi in (50, 100):
        done("show", shap, "--heatmap", "--dpi", dpi, "--out", tmp_path / "map.png")
        with Image.open(tmp_path / "map.png") as picture:
            sizes.append(np.array(picture.size))
    np.testing.assert_allclose(sizes[1], 2 * sizes[0], atol=1)


def test_a_strip_beside_the_ranking(shap, tmp_path):
    ranking, strip = tmp_path / "r.png", tmp_path / "strip.svg"
    said = done("rank", shap, "--out", ranking, "--strip", strip)
    assert said.endswith(f"{ranking}\n{strip}\n")
    assert str(Explanation.open(shap).dataset["sample"].to_numpy()[0]) in strip.read_text("utf-8")
    line = refused("rank", shap, "--out", tmp_path / "a.png", "--strip", tmp_path / "a.png")
    assert "a.png: expected another file for the strip" in line
    assert not (tmp_path / "a.png").exists()


def test_what_cannot_be_drawn_is_refused_in_one_line(shap, earlier):
    line = refused("show", shap, "--out", earlier, "--frames", "3,99")
    assert line == "Expected frames of 0..15 (got '3,99')"
    assert "Expected class of class0" in refused("rank", shap, "--class", "x", "--out", earlier)
