from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest
import typer
from command_line import TINY, done, refused, run, sets

import hargcn
import hargcn.cli
from hargcn.windows import Windows

pytest_plugins = ("journey",)


def leaves(command: object, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    inner = getattr(command, "commands", None)
    if inner is None:
        return [path]
    return [leaf for name, sub in inner.items() for leaf in leaves(sub, (*path, name))]


COMMANDS = leaves(typer.main.get_command(hargcn.cli.app))


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_shows_an_example_of_itself(command):
    said = " ".join(done(*command, "--help").split())
    assert f"Example: hargcn {' '.join(command)} " in said


def test_the_commands_are_those_that_others_script_against():
    prepare = ("ntu", "keypoints", "utd-mhad", "mini-rgbd", "synthetic", "plant")
    single = ("demo", "train", "test", "layers", "convert", "explain", "rank", "show", "correlate")
    assert {("prepare", name) for name in prepare} | {(name,) for name in single} <= set(COMMANDS)


def test_help_comes_at_once_and_without_torch():
    heavy = "torch", "shap", "xarray", "pandas", "matplotlib", "pydantic", "h5py"
    code = (
        "import sys, hargcn.cli\n"
        "sys.argv = ['hargcn', '--help']\n"
        "try: hargcn.cli.main()\n"
        "except SystemExit as end: assert end.code == 0\n"
        f"print('loaded', [name for name in {heavy} if name in sys.modules])"
    )

    def seconds(command: list[str]) -> tuple[float, str]:
        start = time.perf_counter()
        made = subprocess.run(command, capture_output=True, text=True, check=True)
        return time.perf_counter() - start, made.stdout

    tries = [seconds([sys.executable, "-c", code]) for _ in range(3)]
    assert tries[0][1].splitlines()[-1] == "loaded []"
    # 0.7 s on a machine at rest; a loaded one gets as much more as it takes longer to start Python.
    bare = min(seconds([sys.executable, "-c", "import rich.console"])[0] for _ in range(3))
    assert min(tries)[0] < max(0.7, 5 * bare)


def test_a_process_ends_with_code_2_and_one_line():
    command = [sys.executable, "-c", "import hargcn.cli; hargcn.cli.main()", "explan"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    expected = "hargcn: No such command 'explan'. Did you mean 'explain'?\n"
    assert (ended.returncode, ended.stdout, ended.stderr) == (2, "", expected)


def test_version_and_help_without_arguments():
    assert done("--version") == f"hargcn {hargcn.__version__}\n"
    for arguments in ((), ("prepare",)):
        ended = run(*arguments)
        assert ended.code in (0, 2)
        assert "Usage: hargcn" in ended.out
        assert "Error" not in ended.out + ended.err


def test_usage_errors_are_one_line_too(tmp_path):
    assert "explain" in refused("explan")
    assert re.search("--limit.*integer", refused("explain", "a", "b", "-o", "c", "--limit", "x"))
    assert "--out" in refused("prepare", "synthetic")
    assert re.search(f"--out.*{tmp_path.name}", refused("prepare", "synthetic", "-o", tmp_path))


def test_debug_shows_where_an_error_comes_from(tmp_path, monkeypatch):
    monkeypatch.setenv("HARGCN_DEBUG", "1")
    with pytest.raises(FileNotFoundError, match="no such checkpoint"):
        run("layers", tmp_path / "no.safetensors")


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (OSError(28, "No space left on device", "x.h5"), 2, "No space left on device: 'x.h5'"),
        (ValueError("two\n  lines"), 2, "hargcn: two lines\n"),
        (KeyboardInterrupt(), 130, "interrupted; what was finished is kept"),
    ],
)
def test_what_stops_a_command_is_said_in_one_line(monkeypatch, error, code, said):
    def fail(*_arguments):
        raise error

    monkeypatch.setattr("hargcn.load_model", fail, raising=False)
    ended = run("layers", "x")
    assert (ended.code, ended.out) == (code, "")
    assert said in ended.err
    assert len(ended.err.splitlines()) == 1


# -- whole paths -------------------------------------------------------------------------------


def follow(windows: Path, folder: Path, person_dims: int) -> None:
    """Go from windows to pictures, checking at every step what a user would look for."""
    config = folder / "own.yaml"
    config.write_text(f"windows: {windows}\n", encoding="utf-8")
    checkpoint = folder / "run" / "model.safetensors"
    done("train", config, *sets(TINY), "--out", folder / "run")
    data = Windows.open(windows)
    found = json.loads(done("test", checkpoint, windows, "--json"))
    assert found["windows"]["n"] == (data.split == "test").sum()
    assert found["recordings"]["n"] == len(set(data.sample[data.split == "test"]))
    assert "main.0.attention" in done("layers", checkpoint)
    cam, shap = folder / "cam.h5", folder / "shap.h5"
    cams = [folder / f"cam.main.0.{part}.h5" for part in ("attention", "tcn")]
    said = done(
        "explain", checkpoint, windows, "--method", "gradcam", "--layer", "main.0.attention",
        "--layer", "main.0.tcn", "--out", cam,
    )  # fmt: skip
    assert said.split() == [str(path) for path in cams]
    done(
        "explain", checkpoint, windows, "--method", "shap", "--background", 6, "--chunk", 4,
        "--limit", 2, "--out", shap,
    )  # fmt: skip
    made = hargcn.Explanation.open(shap)
    assert len(made) == min(2, found["windows"]["n"])
    assert made.values.sizes["person"] == person_dims
    assert float(made.relative_gap.max()) < 1e-3
    table = done("rank", shap, *cams, "--out", folder / "ranking.png", "--top", 3)
    assert "joints by median score" in table
    done("show", shap, "--sample", data.subset("test").names[0], "--out", folder / "strip.png")
    done("show", cams[0], "--out", folder / "clip.gif")
    done("show", cams[1], "--heatmap", "--out", folder / "map.svg")
    for name in ("ranking.png", "strip.png", "clip.gif", "map.svg"):
        assert (folder / name).stat().st_size > 1000
    assert not list(folder.glob("*.parts"))


def test_from_skeleton_files_to_pictures(skeletons, tmp_path):
    windows = tmp_path / "ntu.h5"
    said = done("prepare", "ntu", skeletons, "-s", "windows.length=16", "--out", windows)
    assert "6 windows of 16 frames" in said
    data = Windows.open(windows)
    assert data.shape == (3, 16, 25, 2)
    assert set(data.group[data.split == "test"]) == {"P003"}
    assert data.attrs["windows"]["fit"] == "pad"  # what --set did not name stays the source's
    follow(windows, tmp_path, person_dims=2)


USERS_SKELETON = """
name: mine
joints: [hip, chest, head, left hand, right hand]
edges: [[chest, hip], [head, chest], [left hand, chest], [right hand, chest]]
parts: {body: [hip, chest, head], left: [left hand], right: [right hand]}
mirror: [[left hand, right hand]]
trunk: [[hip], [chest]]
ndim: 2
"""


def videos(folder: Path, joints: tuple[str, ...], frames: int = 40, count: int = 6) -> Path:
    """Write CSVs of key points and, beside the folder, a table of outcomes; return the table."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(5)
    rows = ["video,outcome,subject,fps"]
    for number in range(count):
        place = rng.uniform(100, 300, (1, len(joints), 2))
        moved = place + rng.normal(0, 5, (frames, len(joints), 2)).cumsum(axis=0)
        header = ",".join(f"{joint}_{axis}" for joint in joints for axis in "xy")
        np.savetxt(
            folder / f"v{number}.csv", moved.reshape(frames, -1), "%.3f", ",",
            header=header, comments="",
        )  # fmt: skip
        rows.append(f"v{number},{('low', 'high')[number % 2]},child{number // 2},30")
    table = folder.with_name(f"{folder.name}.csv")
    table.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return table


def test_from_key_points_of_ones_own_skeleton_to_pictures(tmp_path):
    layout = tmp_path / "skeleton.yaml"
    layout.write_text(USERS_SKELETON, encoding="utf-8")
    joints = hargcn.skeleton(layout).joints
    outcomes = videos(tmp_path / "videos", joints)
    windows = tmp_path / "own.h5"
    done(
        "prepare", "keypoints", tmp_path / "videos", "--outcomes", outcomes, "--skeleton", layout,
        "-s", "windows.length=16", "-s", "windows.overlap=8", "-s", "split.test=[child0]",
        "--out", windows,
    )  # fmt: skip
    data = Windows.open(windows)
    assert data.classes == ("high", "low")
    assert data.skeleton.joints == joints
    assert len(data) == 6 * 4  # starts 0, 8, 16, 24 of 40 frames
    follow(windows, tmp_path, person_dims=1)


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


# -- bad input ---------------------------------------------------------------------------------


@pytest.fixture
def earlier(tmp_path):
    """A result that a refused command must leave as it is."""
    path = tmp_path / "result.h5"
    path.write_bytes(b"an earlier result")
    yield path
    assert path.read_bytes() == b"an earlier result"
    assert not list(tmp_path.glob("*.parts"))
    assert not list(tmp_path.glob(".*tmp*"))


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
    assert str(file) in line
    assert "never observed" in line
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


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("train.epoch=3", "unknown key 'train.epoch'; did you mean 'epochs'?"),
        ("modle.width=3", "unknown key 'modle'; did you mean 'model'?"),
        ("train.epochs", "--set: expected key.sub=value (got 'train.epochs')"),
        ("=3", "--set: expected key.sub=value"),
        ("train.epochs=many", "train.epochs: Input should be a valid integer"),
        ("train.lr=[1", "--set: expected a YAML value behind '=' (got 'train.lr=[1')"),
        ("train.epochs.last=3", "epochs holds a value"),
        ("train.device=cudaa", "cudaa"),
        ("model.attention=xa", "model.attention: Input should be 'ja'"),
        ("windows=none.h5", "none.h5: no such windows file"),
    ],
)
def test_broken_settings(tmp_path, waving, change, said):
    config = tmp_path / "own.yaml"
    config.write_text(f"windows: {waving}\ntrain: {{epochs: 1}}\n", "utf-8")
    arguments = ("train", config, "--set", change, "--out", tmp_path / "run")
    assert said in refused(*arguments)
    assert not (tmp_path / "run").exists()


def test_broken_experiment_files(tmp_path):
    config = tmp_path / "own.yaml"
    assert f"{config}: no such experiment file" in refused("train", config)
    assert "no such experiment file" in refused("train", tmp_path)
    for content, said in (
        ("windows: [", "expected a YAML file"),
        ("- 1", "expected keys and values (got a list)"),
        ("train: {epochs: 1}", "expected the key 'windows'"),
        ("train: {epohcs: 1}", "unknown key 'train.epohcs'"),
    ):
        config.write_text(content, "utf-8")
        line = refused("train", config)
        assert line.startswith(f"{config}: ")
        assert said in line


def test_training_and_testing_need_labels(tmp_path, checkpoint):
    from moving_windows import moving_windows

    windows = moving_windows(tmp_path / "bare.h5", labels=False, test=("g3",))
    config = tmp_path / "own.yaml"
    config.write_text(f"windows: {windows.path}\n", "utf-8")
    assert "label" in refused("train", config, *sets(), "--out", tmp_path / "run")
    assert "bare.h5" in refused("test", checkpoint, windows.path)
    assert "bare.h5: expected labels" in refused(
        "explain", checkpoint, windows.path, "--class", "label", "--out", tmp_path / "x.h5"
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bare.h5", "own.yaml"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--class", "clas1"], "got 'clas1'; did you mean 'class1'?"),
        (["--layer", "main.0.tcm"], "--layer: expected J.init"),
        (["--method", "gradcan"], "--method: expected shap, cam, gradcam"),
        (["--split", "tset"], "expected a set of test, train, val (got 'tset')"),
        (["--utility", "odds"], "odds"),
        (["--device", "cuda:99"], "--device: expected cpu, cuda or cuda:N"),
        (["--device", "tpu"], "--device: expected cpu"),
        (["--limit", "0"], "--limit"),
        (["--shard", "0"], "--shard"),
        (["--convergence", "c.png"], "--convergence: expected --method shap"),
        (["--method", "shap", "--background", "0"], "background sample"),
        (["--method", "shap", "--background", "no.h5"], "no.h5: no such windows file"),
        (["--method", "shap", "--background-by", "age"], "--background-by: expected random"),
        (["--method", "shap", "--engine", "own"], "--engine: expected hargcn"),
        (["--method", "shap", "--on", "joints"], "--on: expected branches"),
        (["--method", "shap", "--chunk", "0"], "chunk"),
    ],
)
def test_broken_options_of_explain(checkpoint, waving, earlier, options, said):
    line = refused("explain", checkpoint, waving, *options, "--out", earlier)
    assert said in line


def test_windows_that_do_not_fit_the_network(checkpoint, skeletons, tmp_path, earlier):
    other = tmp_path / "ntu.h5"
    done("prepare", "ntu", skeletons, "-s", "windows.length=16", "--out", other)
    for method in ("gradcam", "shap"):
        line = refused("explain", checkpoint, other, "--method", method, "--out", earlier)
        assert line.startswith(f"{other}: expected windows of the network's skeleton inmotion19")
    assert str(other) in refused("test", checkpoint, other)


def test_a_background_of_other_windows_is_refused(checkpoint, waving, tmp_path, earlier):
    from moving_windows import moving_windows

    longer = moving_windows(tmp_path / "longer.h5", frames=18).path
    common = ("explain", checkpoint, waving, "--method", "shap", "--out", earlier)
    assert "--background: expected windows like" in refused(*common, "--background", longer)


def test_foreign_and_truncated_files(checkpoint, waving, tmp_path, earlier):
    truncated = tmp_path / "half.h5"
    truncated.write_bytes(waving.read_bytes()[: waving.stat().st_size // 2])
    foreign = tmp_path / "foreign.h5"
    with h5py.File(foreign, "w") as file:
        file["positions"] = np.zeros(3)
    text = tmp_path / "text.h5"
    text.write_text("not HDF5", "utf-8")
    for path in (truncated, foreign, text, tmp_path):
        assert str(path) in refused("test", checkpoint, path)
        assert str(path) in refused("explain", checkpoint, path, "--out", earlier)
        assert str(path) in refused("show", path, "--out", earlier)
        assert str(path) in refused("rank", path, "--out", earlier)
    assert "explanation file" in refused("rank", waving, "--out", earlier)


def test_foreign_checkpoints(checkpoint, waving, tmp_path, earlier):
    def explain(path: Path) -> str:
        return refused("explain", path, waving, "--out", earlier)

    lonely = tmp_path / "lonely.safetensors"
    lonely.write_bytes(checkpoint.read_bytes())
    assert f"{lonely.with_suffix('.json')}: no such card" in explain(lonely)
    card = checkpoint.with_suffix(".json").read_text("utf-8")
    lonely.with_suffix(".json").write_text(card, "utf-8")
    lonely.write_bytes(b"something else")
    assert f"{lonely}: expected a safetensors checkpoint" in explain(lonely)
    lonely.write_bytes(checkpoint.read_bytes()[:-4])
    assert str(lonely) in explain(lonely)
    lonely.with_suffix(".json").write_text("[]", "utf-8")
    assert "expected a model card" in explain(lonely)
    assert "no such checkpoint" in explain(tmp_path)
    assert "shapgcn" in refused(
        "convert", "agcn", lonely, "--skeleton", "ntu25", "--out", tmp_path / "x.safetensors"
    )
    assert str(lonely) in refused(
        "convert", "shapgcn", lonely, "--skeleton", "ntu25", "--out", tmp_path / "x.safetensors"
    )
    assert not (tmp_path / "x.safetensors").exists()


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


def test_an_output_below_a_file_is_refused(shap, checkpoint, waving, tmp_path):
    block = tmp_path / "file"
    block.write_text("in the way", "utf-8")
    assert str(block) in refused("show", shap, "--out", block / "x.png")
    assert str(block) in refused("explain", checkpoint, waving, "--out", block / "x.h5")
    assert str(block) in refused("prepare", "synthetic", "--out", block / "x.h5")
