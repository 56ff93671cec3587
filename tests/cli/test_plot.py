from __future__ import annotations

import sys

import numpy as np
import pytest
from fixtures.command_line import done, refused, run
from fixtures.fake_explanations import FRAMES, shap_like
from matplotlib.figure import Figure
from PIL import Image

from hargcn import Explanation, hdf5
from hargcn.skeleton import skeleton


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


@pytest.mark.slow
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


def test_what_cannot_be_drawn_is_refused_in_one_line(shap, earlier, tmp_path):
    line = refused("show", shap, "--out", tmp_path / "x.png", "--frames", "3,99")
    assert line == "Expected frames of 0..15 (got '3,99')"
    line = refused("show", shap, "--out", earlier)
    assert line.startswith(f"{earlier}: expected a picture .png, .svg or .pdf, or a clip .gif")
    assert "Expected class of class0" in refused("rank", shap, "--class", "x", "--out", earlier)


def drawable(path, layout="kinect20"):
    """Write an explanation of two windows with all that pictures need."""
    made = shap_like(2, skeleton(layout))
    shape = (2, 3, FRAMES, made.values.sizes["joint"], 1)
    places = np.random.default_rng(0).normal(size=shape)
    stored = {"positions": (("sample", "space", "frame", "joint", "person"), places)}
    made.assign(stored, {"sample": ["a@0", "a@8"]}).save(path)
    return path


def truncated(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty(path):
    path.write_bytes(b"")


def with_nan(path):
    dataset = Explanation.open(path).dataset
    dataset["attribution"][1, 0, 0, 0, 0, 0] = np.nan
    dataset.to_netcdf(path, engine="h5netcdf")
    hdf5.seal(path)


def without_windows(path):
    Explanation.open(path).isel(sample=[]).save(path)


@pytest.mark.parametrize("command", ["rank", "show"])
@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (truncated, "found something else or a damaged file"),
        (empty, "found something else or a damaged file"),
        (with_nan, "expected finite attributions (got NaN or infinity in a@8)"),
        (without_windows, "expected explanations of at least one sample (got none)"),
    ],
)
def test_damaged_files_are_refused_by_name(tmp_path, earlier, command, damage, said):
    path = drawable(tmp_path / "x.h5")
    damage(path)
    line = refused(command, path, "--out", earlier.rename(tmp_path / "result.png"))
    assert line.startswith(f"{path}: ")
    assert said in line
    (tmp_path / "result.png").rename(earlier)


def test_files_of_different_skeletons_are_refused_with_and_without_other_data(tmp_path):
    one, two = drawable(tmp_path / "one.h5"), drawable(tmp_path / "two.h5", "ntu25")
    words = ("rank", one, two, "--out", tmp_path / "r.png")
    assert "(one and two differ in their skeletons)" in refused(*words)
    assert "explanation 'two': expected the joints of 'one' too" in refused(*words, "--other-data")
    assert not (tmp_path / "r.png").exists()


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (("rank",), "r.png"),
        (("show",), "s.svg"),
        (("show", "--heatmap"), "m.png"),
        (("show",), "c.gif"),
        (("show",), "c.webp"),
    ],
)
def test_a_picture_that_is_interrupted_half_way_leaves_the_earlier_one(
    tmp_path, monkeypatch, words, name
):
    path, out = drawable(tmp_path / "x.h5"), tmp_path / name
    out.write_bytes(b"an earlier picture")

    def half(_figure, target, *_args, **_kwargs):
        if hasattr(target, "write"):
            target.write(b"half")
        else:
            target.write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(Figure, "savefig", half)
    monkeypatch.setattr(Image.Image, "save", half)
    assert run(*words, path, "--out", out).code == 130
    assert out.read_bytes() == b"an earlier picture"
    assert sorted(each.name for each in tmp_path.iterdir()) == sorted([name, "x.h5"])


@pytest.mark.slow
@pytest.mark.parametrize("suffix", ["webp", "mp4"])
def test_a_clip_is_of_the_kind_that_its_name_says(tmp_path, suffix):
    out = tmp_path / f"clip.{suffix}"
    assert done("show", drawable(tmp_path / "x.h5"), "--out", out) == f"{out}\n"
    start = out.read_bytes()[:12]
    assert (start[8:] == b"WEBP") if suffix == "webp" else (start[4:8] == b"ftyp")


def test_an_mp4_without_pyav_is_refused_in_one_line(tmp_path, monkeypatch):
    path, out = drawable(tmp_path / "x.h5"), tmp_path / "clip.mp4"
    monkeypatch.setitem(sys.modules, "av", None)
    line = refused("show", path, "--out", out)
    assert line.startswith(f"{out}: expected PyAV")
    assert line.endswith("pip install 'hargcn[video]'")


@pytest.mark.slow
def test_the_order_of_the_picture_is_chosen(tmp_path):
    path = drawable(tmp_path / "x.h5")
    other = Explanation(Explanation.open(path).dataset.assign(attribution=lambda d: -d.attribution))
    other.assign(method="other").save(tmp_path / "y.h5")
    said = []
    for words in ((), ("--sort", "mean"), ("--sort", "shap"), ("--sort", "other")):
        out = tmp_path / f"r{len(said)}.svg"
        done("rank", path, tmp_path / "y.h5", *words, "--out", out)
        said.append(out.read_text("utf-8"))
    assert said[0] == said[1]
    assert len({*said}) == 3
    line = refused("rank", path, "--sort", "shapp", "--out", tmp_path / "no.svg")
    assert "Expected --sort of mean, shap (got 'shapp'" in line
    assert not (tmp_path / "no.svg").exists()
