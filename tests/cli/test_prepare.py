from __future__ import annotations

import re

import pytest
from fixtures import toy_format
from fixtures.command_line import done, refused
from fixtures.key_points import videos
from fixtures.samples import SAMPLES

import hargcn
from hargcn.data.windows import Windows


def test_signs_planted_in_a_folder_of_key_points(tmp_path):
    joints = hargcn.skeleton("inmotion19").joints
    outcomes = videos(tmp_path / "videos", joints, frames=60, count=4)
    windows = tmp_path / "planted.h5"
    common = (
        "prepare", tmp_path / "videos", "--plant", "-s", "reader.layout=inmotion19", "-s",
        "reader.fps=30", "-s", "windows={mode: whole, length: 60}", "--out", windows,
    )  # fmt: skip
    said = done(*common, "-s", f"reader.outcomes={outcomes}")
    assert "4 windows of 60 frames" in said
    data = Windows.open(windows)
    assert data.classes == ("without", "with")
    assert (data.truth().any(axis=(1, 2)) == data.label).all()
    assert data.distractor().any(axis=(1, 2)).all()
    assert set(data.group) == {"child0", "child1"}
    assert data.attrs["source"] == "key points, planted"
    done(*common, "--shuffle-labels", "--force")
    assert "shuffled" in Windows.open(windows).attrs["source"]


def test_synthetic_bodies_become_windows_with_a_split(tmp_path):
    windows = tmp_path / "synthetic.h5"
    common = (
        "synthesise", "-s", "synthetic.recordings=8", "-s", "synthetic.subjects=4",
        "-s", "windows.length=45", "--out", windows,
    )  # fmt: skip
    done(*common)
    data = Windows.open(windows)
    assert data.frames == 45
    assert set(data.group[data.split == "test"]) == {"subject03"}
    assert data.truth().any()
    assert f"{windows}: expected a new file" in refused(*common)
    done(*common, "--force", "-s", "split=null")
    assert set(Windows.open(windows).split) == {""}


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
    line = refused("prepare", folder, "--force", "--out", earlier)
    assert str(folder / whole.name) in line
    assert said in line


def test_published_splits_by_name(skeletons, tmp_path, earlier):
    for split, tested in (("xsub", {"P003"}), ("xview", {"P001", "P002", "P003"})):
        out = tmp_path / f"{split}.h5"
        done("prepare", skeletons, "--set", f"split={split}", "--out", out)
        data = Windows.open(out)
        assert set(data.group[data.split == "test"]) == tested
        assert data.attrs["source"] == f"NTU RGB+D, {split}"
        assert len(data.classes) == 60
    common = ("prepare", skeletons, "--force", "--out", earlier, "--set")
    assert "did you mean 'xview'?" in refused(*common, "split=xviews")
    assert "ids of group for test among" in refused(*common, "split.test=[P003, P099]")
    assert "one of a published split" in refused(*common, "split={published: xsub, test: [P003]}")


def test_skip_broken_leaves_broken_files_out_and_lists_them(skeletons, tmp_path):
    folder = tmp_path / "files"
    folder.mkdir()
    for file in skeletons.iterdir():
        (folder / file.name).write_text(file.read_text("ascii"), "ascii")
    broken = sorted(folder.iterdir())[0]
    broken.write_text("3\n", "ascii")
    common = ("prepare", folder, "--skip-broken", "-s", "windows.length=30", "--out")
    for more in ((), ("--plant",)):
        out = tmp_path / f"x{len(more)}.h5"
        said = done(*common, out, *more)
        assert "5 windows" in said
        assert broken.name in " ".join(Windows.open(out).attrs["quality"]["skipped"])
    for file in folder.iterdir():
        file.write_text("3\n", "ascii")
    assert "got none of 6" in refused(*common, tmp_path / "y.h5")


def test_broken_key_points(tmp_path, earlier):
    joints = hargcn.skeleton("inmotion19").joints
    outcomes = videos(tmp_path / "videos", joints, frames=8, count=2)
    common = ("prepare", tmp_path / "videos", "-s", "reader.layout=inmotion19", "--force")
    common += ("--out", earlier)
    named = ("-s", f"reader.outcomes={outcomes}")
    file = tmp_path / "videos" / "v1.csv"
    content = file.read_text("utf-8")
    header, first, *rest = content.splitlines()
    file.write_text("\n".join([header, "x" + first, *rest]), "utf-8")
    line = refused(*common, *named)
    assert "v1.csv: line 2: expected a number" in line
    never = [header, *("," + row.split(",", 1)[1] for row in [first, *rest])]
    file.write_text("\n".join(never), "utf-8")
    line = refused(*common, *named)
    assert re.match(
        f"{re.escape(str(file))}: v1: never observed: .* of person 0\\. --set pre", line
    )
    remedied = (*common[:-1], tmp_path / "r.h5", *named, "-s", "preprocess.unseen=parent")
    said = done(*remedied, "-s", "windows.length=8", "-s", "windows.overlap=4")
    assert f"never seen: their parents stand in, marked as not seen ({joints[0]} in 1 rec" in said
    file.write_text(content.replace("nose_x", "nos_x"), "utf-8")
    assert "v1.csv: expected the columns" in refused(*common, *named)
    file.write_text(content, "utf-8")
    assert "frames per second" in refused(*common)
    outcomes.write_text("video,outcome,subject,fps\nv0,low,a,30\n", "utf-8")
    assert "v1" in refused(*common, *named)
    assert "no such file" in refused(*common, "-s", f"reader.outcomes={tmp_path / 'none.csv'}")
    assert "no such file or folder" in refused("prepare", tmp_path / "none", "--out", earlier)
    assert "inmotion29" in refused(*common, "-s", "reader.layout=inmotion28")
    assert "Expected format of anipose, " in refused(*common, "--format", "kinect")
    line = refused(*common, "-s", "reader.outcome_s=x")
    assert line == "reader keypoints: unknown key 'outcome_s'; did you mean 'outcomes'?"


def test_a_reader_in_a_file_of_its_own_is_known_everywhere(toy, tmp_path):
    assert re.search("toy.*Toy sequences.*[.]toy.*They know nothing", done("formats"))
    said = " ".join(done("formats", "toy").split())
    for part in ("source: nobody", "split: halves", "reader.height", "1.0", "How tall the body is"):
        assert part in said
    folder, out = toy_format.files(tmp_path, 4), tmp_path / "toy.h5"
    said = done("prepare", folder, "-s", "reader.height=3", "--out", out)
    assert "12 windows of 4 frames" in said  # the toy's own defaults: starts 0, 2, 4
    data = Windows.open(out)
    assert set(data.sample[data.split == "train"]) == {"v1", "v3"}
    assert data.attrs["source"] == "Toy sequences, halves"
    assert toy.name == "toy"
    line = refused("prepare", folder, "-s", "reader.hight=3", "--out", tmp_path / "x.h5")
    assert "unknown key 'hight'; did you mean 'height'?" in line


def test_layouts_are_listed_shown_and_drawn(tmp_path):
    assert re.search("ntu25_alt.* 25 .*3D", done("layouts"))
    said = done("layouts", "minirgbd14")
    assert re.search("7 .*left_hand .*left_arm", said)
    assert "edges: head - neck, " in said
    picture = tmp_path / "ntu25.png"
    assert done("layouts", "ntu25", "--out", picture) == f"{picture}\n"
    assert picture.stat().st_size > 10_000
    assert "name of a layout" in refused("layouts", "--out", picture)
    assert "did you mean 'ntu25'" in refused("layouts", "ntu2")


def test_a_format_says_what_a_chain_brings_along():
    said = done("formats", "ntu")
    assert "with preprocess=ntu-published: {reader: {bodies: slots}, windows: {length: 150" in said


@pytest.fixture
def waving(tmp_path):
    """Videos of OpenPose, and what `prepare` is told to read them."""
    folder = tmp_path / "videos"
    folder.mkdir()
    more = SAMPLES["openpose"](folder)
    return folder, more[: more.index("--train")]


def test_sets_by_subject(waving, tmp_path):
    folder, more = waving
    out = tmp_path / "x.h5"
    said = done("prepare", folder, *more, "--train", "s1, s3", "--test", "s2", "--out", out)
    assert "sets: by subject, as listed: train s1, s3; test s2" in said
    assert "sets: by" in said
    data = Windows.open(out)
    assert {name: set(data.group[data.split == name]) for name in ("train", "test", "")} == {
        "train": {"s1", "s3"}, "test": {"s2"}, "": {"s4"},
    }  # fmt: skip
    line = refused("prepare", folder, *more, "--test", "s2,S3", "--out", tmp_path / "y.h5")
    assert "expected ids of group for test among s1, s2, s3, s4 (got S3; did you mean 's3'" in line
    line = refused("prepare", folder, *more, "--test", "s1", "--val", "s1", "--out", tmp_path / "y")
    assert "expected group s1 in one set (got val and test)" in line.replace("Exp", "exp")


def test_sets_by_hand_win_over_those_of_the_experiment(skeletons, tmp_path):
    config, out = tmp_path / "own.yaml", tmp_path / "x.h5"
    config.write_text(f"windows: {out}\nprepare: {{split: xview}}\n", encoding="utf-8")
    done("prepare", skeletons, "--config", config, "--test", "P002")  # the file says where to
    data = Windows.open(out)
    assert set(data.group[data.split == "test"]) == {"P002"}
    config.write_text("prepare: {split: {by: camera, test: [3]}}\n", encoding="utf-8")
    done("prepare", skeletons, "--config", config, "--test", "1", "--force", "--out", out)
    assert set(Windows.open(out).split) == {"test"}
    assert "neither --out nor `windows`" in refused("prepare", skeletons, "--config", config)


def test_rows_without_a_video_are_named(waving, tmp_path):
    folder, more = waving
    table = tmp_path / "outcomes.csv"
    rows = [f"lost{i},still,s1" for i in range(10)]
    table.write_text(table.read_text("utf-8") + "\n".join(rows) + "\n", encoding="utf-8")
    said = done("prepare", folder, *more, "--out", tmp_path / "x.h5")
    assert f"{table}: no file for the rows of lost0, lost1, " in said
    assert "lost7 and 2 more" in said
    few = table.read_text("utf-8").splitlines()[:2]
    table.write_text("\n".join(few) + "\n", encoding="utf-8")
    line = refused("prepare", folder, *more, "--out", tmp_path / "y.h5")
    assert "expected an outcome for every video (none for v1, v2, v3, v4, v5, v6, v7)" in line


def test_what_nobody_can_know_is_said(waving, tmp_path):
    folder, _ = waving
    common = ("prepare", folder, "-s", "reader.fps=25", "-s", "windows.length=30")
    said = done(*common, "--out", tmp_path / "x.h5")
    assert "rate: 25 fps in 8 recordings; resampled to 30 fps" in said
    assert "cannot be known from such files: Without a table of outcomes" in said
    assert "no class is known of" in said
    assert "every recording counts as a subject of its own" in said
    assert "no window is in the set train nor test" in said
