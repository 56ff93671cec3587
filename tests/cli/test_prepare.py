from __future__ import annotations

import re

import numpy as np
import pytest
from fixtures.command_line import done, refused
from fixtures.key_points import videos

import hargcn
from hargcn.data.windows import Windows


def test_signs_planted_in_a_folder_of_key_points(tmp_path):
    joints = hargcn.skeleton("inmotion19").joints
    outcomes = videos(tmp_path / "videos", joints, frames=60, count=4)
    windows = tmp_path / "planted.h5"
    said = done(
        "prepare", "plant", "keypoints", tmp_path / "videos", "--skeleton", "inmotion19", "--fps",
        30, "--outcomes", outcomes, "-s", "windows={mode: whole, length: 60}", "--out", windows,
    )  # fmt: skip
    assert "4 windows of 60 frames" in said
    data = Windows.open(windows)
    assert data.classes == ("without", "with")
    assert (data.truth().any(axis=(1, 2)) == data.label).all()
    assert data.distractor().any(axis=(1, 2)).all()
    assert set(data.group) == {"child0", "child1"}
    done(
        "prepare", "plant", "keypoints", tmp_path / "videos", "--skeleton", "inmotion19", "--fps",
        30, "-s", "windows={mode: whole, length: 60}", "--shuffle-labels", "--out", windows,
    )  # fmt: skip
    assert "shuffled" in Windows.open(windows).attrs["source"]


def test_synthetic_bodies_become_windows_with_a_split(tmp_path):
    windows = tmp_path / "synthetic.h5"
    done(
        "prepare", "synthetic", "-s", "synthetic.recordings=8", "-s", "synthetic.subjects=4",
        "-s", "windows.length=45", "--out", windows,
    )  # fmt: skip
    data = Windows.open(windows)
    assert data.frames == 45
    assert set(data.group[data.split == "test"]) == {"subject03"}
    assert data.truth().any()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda text: text[: len(text) // 2], "expected 30 frames"),
        (lambda text: text.replace("\n25\n", "\n24\n"), "expected 25 joints (got 24)"),
        (lambda _: "", "an empty file"),
    ],
)
def test_broken_skeleton_files(skeletons, tmp_path, earlier, change, said):
    folder = tmp_path / "files"
    folder.mkdir()
    whole = next(iter(sorted(skeletons.iterdir())))
    (folder / whole.name).write_text(change(whole.read_text("ascii")), "ascii")
    line = refused("prepare", "ntu", folder, "--out", earlier)
    assert str(folder / whole.name) in line
    assert said in line


def test_a_protocol_other_than_the_configs_is_refused(skeletons, tmp_path, earlier):
    common = ("prepare", "ntu", skeletons, "--set", "split.protocol=xview", "--protocol")
    line = refused(*common, "xsub", "--out", earlier)
    assert line == "--protocol: expected xview, as the config says (got xsub)"
    out = tmp_path / "x.h5"
    done(*common, "xview", "--out", out)
    done(*common[:-1], "--out", tmp_path / "y.h5")
    views = [Windows.open(path).split for path in (out, tmp_path / "y.h5")]
    np.testing.assert_array_equal(*views)


def test_skip_broken_leaves_broken_files_out_and_lists_them(skeletons, tmp_path):
    folder = tmp_path / "files"
    folder.mkdir()
    for file in skeletons.iterdir():
        (folder / file.name).write_text(file.read_text("ascii"), "ascii")
    broken = sorted(folder.iterdir())[0]
    broken.write_text("3\n", "ascii")
    out = tmp_path / "x.h5"
    said = done("prepare", "ntu", folder, "--skip-broken", "--out", out)
    assert "5 windows" in said
    assert broken.name in " ".join(Windows.open(out).attrs["quality"]["skipped"])


def test_broken_key_points(tmp_path, earlier):
    joints = hargcn.skeleton("inmotion19").joints
    outcomes = videos(tmp_path / "videos", joints, frames=8, count=2)
    common = ("prepare", "keypoints", tmp_path / "videos", "--skeleton", "inmotion19")
    common += ("--out", earlier)
    file = tmp_path / "videos" / "v1.csv"
    content = file.read_text("utf-8")
    header, first, *rest = content.splitlines()
    file.write_text("\n".join([header, "x" + first, *rest]), "utf-8")
    line = refused(*common, "--outcomes", outcomes)
    assert "v1.csv: line 2: expected a number" in line
    never = [header, *("," + row.split(",", 1)[1] for row in [first, *rest])]
    file.write_text("\n".join(never), "utf-8")
    line = refused(*common, "--outcomes", outcomes)
    assert re.match(f"{re.escape(str(file))}: v1: joint .* is never observed", line)
    file.write_text(content.replace("nose_x", "nos_x"), "utf-8")
    assert "v1.csv: expected the columns" in refused(*common, "--outcomes", outcomes)
    file.write_text(content, "utf-8")
    assert "frames per second" in refused(*common)
    outcomes.write_text("video,outcome,subject,fps\nv0,low,a,30\n", "utf-8")
    assert "v1" in refused(*common, "--outcomes", outcomes)
    assert "no such file" in refused(*common, "--outcomes", tmp_path / "none.csv")
    assert "no such folder" in refused("prepare", "ntu", tmp_path / "none", "--out", earlier)
    assert "inmotion29" in refused(*common, "--skeleton", "inmotion28")
    assert "reader of ntu" in refused("prepare", "plant", "kinect", tmp_path, "--out", earlier)
