from __future__ import annotations

import json
import re
import shutil

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from hargcn import Explanation
from hargcn.pipeline.pictures import maps, rank, show
from hargcn.skeleton import skeleton

RENAMED = json.dumps({**skeleton("inmotion19").to_dict(), "name": "own"})


def first(shap, position=0):
    return str(Explanation.open(shap).dataset["sample"].to_numpy()[position])


@pytest.mark.parametrize(
    ("name", "given", "said"),
    [
        ("x.png", {"sample": "g3_c0_7@0"}, r"shap\.h5: expected a window's name .*mean 'g3_"),
        ("x.png", {"frames": "3,99"}, r"Expected frames of 0\.\.15 \(got '3,99'\)"),
        ("x.png", {"frames": [3, 99]}, r"Expected frames of 0\.\.15 \(got \[3, 99\]\)"),
        ("x.png", {"frames": ","}, r"Expected frames of"),
        ("x.png", {"frames": []}, r"Expected frames of"),
        ("x.png", {"frames": [-1]}, r"Expected frames of"),
        ("x.bmp", {}, r"x\.bmp: expected a picture .*, or a clip \.gif, \.webp or \.mp4 \(got"),
        ("x.bmp", {"heatmap": True}, r"x\.bmp: expected a picture \.png, \.svg or \.pdf \(got"),
        ("x.gif", {"heatmap": True}, r"x\.gif: expected a picture \.png or \.svg of a heatmap"),
    ],
)
def test_pictures_that_cannot_be_are_refused(shap, tmp_path, name, given, said):
    with pytest.raises(ValueError, match=said):
        show(shap, tmp_path / name, **given)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_clip_shows_every_frame_and_a_map_is_a_picture(shap, gradcams, tmp_path):
    with Image.open(show(shap, tmp_path / "clip.gif", progress=False)) as clip:
        assert clip.n_frames == 16
    drawn = show(gradcams[0], tmp_path / "map.svg", heatmap=True)
    assert "right_wrist" in drawn.read_text("utf-8").replace(" ", "_")


@pytest.mark.slow
def test_a_window_is_found_by_its_name_or_its_recording(shap, tmp_path):
    def drawn(**given):
        return show(shap, tmp_path / "x.svg", frames=[0, 8], **given).read_text("utf-8")

    one, two = first(shap), first(shap, 1)
    assert one.rpartition("@")[0] == two.rpartition("@")[0]
    assert drawn() == drawn(sample=one) == drawn(sample=one.rpartition("@")[0])
    assert drawn(sample=two) != drawn(sample=one)


def test_frames_are_a_list_or_text(shap, tmp_path):
    texts = [
        show(shap, tmp_path / "x.svg", frames=frames).read_text("utf-8")
        for frames in ("0, 8", [0, 8], None)
    ]
    assert texts[0] == texts[1] != texts[2]


def test_explanations_without_positions_cannot_be_drawn(shap, tmp_path):
    bare = tmp_path / "bare.h5"
    Explanation(Explanation.open(shap).dataset.drop_vars("positions")).save(bare)
    with pytest.raises(ValueError, match=r"bare\.h5: expected stored positions to draw"):
        show(bare, tmp_path / "x.png")


def test_joints_are_ranked_by_the_medians_of_every_method(shap, gradcams, tmp_path):
    found = rank([shap, *gradcams], tmp_path / "r.png")
    assert list(found) == ["shap", "gradcam main.0.tcn", "gradcam main.0.attention"]
    medians = Explanation.open(shap).joint_scores().median("sample")
    best = str(medians["joint"].to_numpy()[medians.to_numpy().argmax()])
    assert found["shap"].features[0] == best
    with Image.open(tmp_path / "r.png") as picture:
        assert np.array(picture).std() > 0


def test_one_class_is_ranked_by_its_own_windows(shap, tmp_path):
    targets = Explanation.open(shap).target.to_numpy()
    out = tmp_path / "r.png"
    found = rank([shap], out, class_=f"class{targets[0]}")
    assert found["shap"].scores.sizes["sample"] == (targets == targets[0]).sum()
    with pytest.raises(ValueError, match=r"Expected class of class0, class1, class2 \(got 'x'\)"):
        rank([shap], out, class_="x")
    missing = ({0, 1, 2} - set(targets.tolist())).pop()
    with pytest.raises(ValueError, match=rf"explained for 'class{missing}' \(got none in shap\)"):
        rank([shap], out, class_=f"class{missing}")


def test_several_classes_are_rows_and_all_stand_in_the_table(shap, tmp_path):
    explanation = Explanation.open(shap)
    targets = np.arange(len(explanation.values)) % 2
    explanation.assign({"target": ("sample", targets)}).save(tmp_path / "shap.h5")
    shap, classes = tmp_path / "shap.h5", ["class0", "class1"]
    out = tmp_path / "r.png"
    found = rank([shap], out, class_=classes)
    names = ["shap"]
    assert list(found) == [f"{name}: {each}" for each in classes for name in names]
    table = pd.read_csv(out.with_suffix(".csv"))
    assert table.groupby(["class", "method"], sort=False).size().index.tolist() == [
        (each, name) for each in classes for name in names
    ]
    of = table[(table["class"] == classes[1]) & (table["method"] == "shap")]
    own = Explanation.open(shap).isel(sample=np.flatnonzero(targets == 1))
    scores = own.values.sum([dim for dim in own.values.dims if dim not in ("sample", "joint")])
    assert (of["n"] == len(scores)).all()
    expected = scores.mean("sample").sel(joint=of["joint"].tolist())
    np.testing.assert_allclose(of["mean"], expected, rtol=1e-4)
    assert (of["median"].to_numpy()[:-1] >= of["median"].to_numpy()[1:]).all()


def test_one_person_is_ranked_by_their_own_windows(shap, tmp_path):
    explanation = Explanation.open(shap)
    people = ["a", "b"] + ["a"] * (len(explanation.values) - 2)
    explanation.assign({"group": ("sample", people)}).save(tmp_path / "two.h5")
    found = rank([tmp_path / "two.h5"], tmp_path / "r.png", subject="b")
    assert next(iter(found.values())).scores.sizes["sample"] == 1
    shap = tmp_path / "two.h5"
    with pytest.raises(ValueError, match=r"Expected --subject, a person of .*\(got 'nobody'\)"):
        rank([shap], tmp_path / "r.png", subject="nobody")


def test_no_input_is_written_over(shap):
    before = shap.read_bytes()
    for draw in (lambda: show(shap, shap), lambda: rank([shap], shap)):
        with pytest.raises(ValueError, match="expected another file to write than an input"):
            draw()
    assert shap.read_bytes() == before


@pytest.mark.slow
@pytest.mark.parametrize(
    ("attrs", "said"),
    [
        ({"data": "0" * 16}, "the windows file"),
        ({"classes": '["x", "y"]', "skeleton": ""}, "their classes"),
        ({"skeleton": RENAMED}, "their skeletons"),
    ],
)
def test_explanations_of_different_data_are_not_ranked_side_by_side(shap, tmp_path, attrs, said):
    other = tmp_path / "other.h5"
    Explanation.open(shap).assign(method="other", **attrs).save(other)
    with pytest.raises(ValueError, match=rf"the same data .*\(shap and other differ in .*{said}"):
        rank([shap, other], tmp_path / "r.png")
    assert len(rank([shap, other], tmp_path / "r.png", other_data=True)) == 2


@pytest.mark.slow
def test_a_recording_is_drawn_and_ranked_as_the_mean_of_its_windows(shap, tmp_path):
    made = Explanation.open(shap)
    name = first(shap).rpartition("@")[0]
    rows = [str(n).startswith(f"{name}@") for n in made.dataset["sample"].to_numpy()]
    said = []
    found = rank(
        [shap], tmp_path / "r.svg", recording=name, strip=tmp_path / "s.svg", say=said.append
    )
    sums = made.values.sum(["branch", "channel", "time", "person"])[rows].mean("sample")
    np.testing.assert_allclose(found["shap"].scores.sel(joint=sums["joint"])[0], sums, atol=1e-9)
    total = float(found["shap"].scores.sum()) + float(made.base_value[rows].mean())
    assert total == pytest.approx(float(made.score[rows].mean()), abs=1e-4)
    assert f"mean logit of its {sum(rows)} windows" in said[0]
    assert f"mean of {sum(rows)} windows" in (tmp_path / "r.svg").read_text("utf-8")
    assert f"{name}: SHAP" in (tmp_path / "s.svg").read_text("utf-8")
    drawn = show(shap, tmp_path / "m.svg", recording=name, heatmap=True).read_text("utf-8")
    assert f"seen by 1 to 2 of {sum(rows)} windows" in drawn
    with pytest.raises(ValueError, match=r"such as .*mean '" + name):
        show(shap, tmp_path / "x.png", recording=f"{name}x")
    with pytest.raises(ValueError, match="Expected a window or a recording"):
        show(shap, tmp_path / "x.png", recording=name, sample=first(shap))


def written(path):
    """Return what a picture says, of titles of several lines all of them."""
    return " ".join(re.findall("<!-- (.*?) -->", path.read_text("utf-8")))


@pytest.mark.slow
def test_pictures_use_the_networks_own_step_and_frames_when_asked(shap, tmp_path):
    said = []
    own = show(shap, tmp_path / "own.svg", heatmap=True, say=said.append)
    raw = show(shap, tmp_path / "raw.svg", heatmap=True, time_step=1)
    other = show(shap, tmp_path / "4.svg", frames=[0, 8], time_step=4)
    own, raw, other = map(written, (own, raw, other))
    assert "sums over" in own
    assert "time step" in own
    assert "logit per 2 frames" in own
    assert "sums over" not in raw
    assert "logit per 4 frames" in other
    assert "time step" not in other
    assert "at the network's step of 2 frames (of noise 25%)" in said[0]
    rank([shap], tmp_path / "r.svg", say=said.append)
    assert said[1].startswith("shap: ")
    assert "of the energy over time is at the network's step" in said[1]
    with pytest.raises(ValueError, match="Expected --time-step of at least 1"):
        show(shap, tmp_path / "x.svg", time_step=0)


def test_maps_of_coarse_cells_keep_them(gradcams, tmp_path):
    drawn = show(gradcams[0], tmp_path / "map.svg", heatmap=True).read_text("utf-8")
    assert "sums over" not in drawn
    with pytest.raises(ValueError, match="attributions of frames to add up over 3"):
        show(gradcams[0], tmp_path / "x.svg", heatmap=True, time_step=3)


def parted(shap, folder, *rows):
    """Write the windows in these rows of a file as a file of their own."""
    made = Explanation.open(shap)
    path = folder / f"rows{'_'.join(map(str, rows))}.h5"
    made.isel(sample=list(rows)).assign(method=path.stem).save(path)
    return path


@pytest.mark.slow
def test_different_windows_of_a_recording_are_not_ranked_side_by_side(shap, tmp_path):
    name = first(shap).rpartition("@")[0]
    assert first(shap, 1).rpartition("@")[0] == name
    early, late, both = (parted(shap, tmp_path, *rows) for rows in ((0,), (1,), (1, 0)))
    out = tmp_path / "r.png"
    said = (
        rf"same windows of {name} in every file \(got 1 in rows0 and 1 in rows1, 0 of them in both"
    )
    with pytest.raises(ValueError, match=said):
        rank([early, late], out, recording=name)
    with pytest.raises(ValueError, match="got 2 in rows1_0 and 1 in rows1, 1 of them in both"):
        rank([both, late], out, recording=name)
    assert not out.exists()
    assert len(rank([early, late], out, recording=name, other_data=True)) == 2
    assert len(rank([both, parted(shap, tmp_path, 0, 1)], out, recording=name)) == 2
    assert len(rank([early, late], out)) == 2  # windows, no recording


def test_one_window_of_a_recording_is_called_no_mean(shap, tmp_path):
    said = []
    name = first(shap).rpartition("@")[0]
    rank([parted(shap, tmp_path, 1)], tmp_path / "r.svg", recording=name, say=said.append)
    assert said[0] == "rows1: the file has one window of the recording, whose attribution this is"
    assert "mean of" not in (tmp_path / "r.svg").read_text("utf-8")


@pytest.mark.slow
def test_several_explanations_are_strips_below_each_other(shap, gradcams, tmp_path):
    files = [shap, *gradcams]
    drawn = show(files, tmp_path / "s.svg", frames=[0, 8]).read_text("utf-8")
    assert drawn.count("frame 8") == 1  # numbers stand once, below the last row
    for file in files:
        assert Explanation.open(file).title in drawn
    with pytest.raises(ValueError, match="expected one explanation of a map or clip .got"):
        show(files, tmp_path / "m.png", heatmap=True)
    with pytest.raises(ValueError, match="expected a window's name"):
        show(files, tmp_path / "m.png", sample="nobody")
    assert [path.name for path in tmp_path.iterdir()] == ["s.svg"]


@pytest.mark.slow
def test_maps_of_all_parts_are_one_picture(shap, gradcams, tmp_path):
    folders = {}
    for case in ("one", "two"):
        folders[case, ""] = tmp_path / case
        (tmp_path / case).mkdir()
        shutil.copy(shap, tmp_path / case / "shap.h5")
        shutil.copy(gradcams[0], tmp_path / case / "cam.h5")
    drawn = maps(folders, ["shap.h5", "cam.h5"], tmp_path / "maps.svg").read_text("utf-8")
    assert drawn.count(Explanation.open(shap).title) == 2
