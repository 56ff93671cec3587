from __future__ import annotations

import inspect
import json
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
import typer
from fixtures.command_line import TINY, done, refused, run, sets
from fixtures.key_points import videos

import hargcn
import hargcn.cli
from hargcn.data.windows import Windows


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


def functions(command: object) -> list[object]:
    inner = getattr(command, "commands", None)
    if inner is None:
        return [command.callback]
    return [function for sub in inner.values() for function in functions(sub)]


@pytest.mark.parametrize(
    "function",
    [
        pytest.param(function, id=function.__name__)
        for function in functions(typer.main.get_command(hargcn.cli.app))
    ],
)
def test_a_command_parses_calls_and_prints(function):
    own = inspect.unwrap(function)
    options = len(inspect.signature(own).parameters)  # a line each
    assert len(inspect.getsource(own).splitlines()) - options <= 35


def test_the_commands_are_those_that_others_script_against():
    names = (
        "demo", "prepare", "synthesise", "formats", "layouts", "train", "test", "layers", "convert",
        "explain", "combine", "methods", "rank", "show", "correlate", "perturb", "evaluate",
        "experiment",
        "settings",
    )  # fmt: skip
    assert {(name,) for name in names} <= set(COMMANDS)


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


@pytest.mark.parametrize(
    "start", [("-c", "import hargcn.cli; hargcn.cli.main()"), ("-m", "hargcn")]
)
def test_a_process_ends_with_code_2_and_one_line(start):
    command = [sys.executable, *start, "explan"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    expected = "hargcn: No such command 'explan'. Did you mean 'explain'?\n"
    assert (ended.returncode, ended.stdout, ended.stderr) == (2, "", expected)


def test_version_and_help_without_arguments():
    assert done("--version") == f"hargcn {hargcn.__version__}\n"
    ended = run()
    assert ended.code in (0, 2)
    assert "Usage: hargcn" in ended.out
    assert "Error" not in ended.out + ended.err


def test_usage_errors_are_one_line_too(tmp_path):
    assert "explain" in refused("explan")
    assert re.search("--limit.*integer", refused("explain", "a", "b", "-o", "c", "--limit", "x"))
    assert "--out" in refused("synthesise")
    assert re.search(f"--out.*{tmp_path.name}", refused("synthesise", "-o", tmp_path))


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

    monkeypatch.setattr("hargcn.pipeline.network.open_network", fail)
    ended = run("layers", "x")
    assert (ended.code, ended.out) == (code, "")
    assert said in ended.err
    assert len(ended.err.splitlines()) == 1


def test_an_output_below_a_file_is_refused(shap, checkpoint, waving, tmp_path):
    block = tmp_path / "file"
    block.write_text("in the way", "utf-8")
    assert str(block) in refused("show", shap, "--out", block / "x.png")
    assert str(block) in refused("explain", checkpoint, waving, "--out", block / "x.h5")
    assert str(block) in refused("synthesise", "--out", block / "x.h5")


def follow(windows: Path, folder: Path, persons: int, *options: str) -> None:
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
        "explain", checkpoint, windows, "--method", "shap", "--background", 6, "--set", "chunk=4",
        *options, "--limit", 2, "--out", shap,
    )  # fmt: skip
    made = hargcn.Explanation.open(shap)
    assert len(made) == min(2, found["windows"]["n"])
    assert made.values.sizes["person"] == persons
    assert float(made.relative_gap.max()) < 1e-3
    table = done("rank", shap, *cams, "--out", folder / "ranking.png", "--top", 3)
    assert "joints by median sum" in table
    done("show", shap, "--sample", data.subset("test").names[0], "--out", folder / "strip.png")
    done("show", cams[0], "--out", folder / "clip.gif")
    done("show", cams[1], "--heatmap", "--out", folder / "map.svg")
    for name in ("ranking.png", "strip.png", "clip.gif", "map.svg"):
        assert (folder / name).stat().st_size > 1000
    assert not list(folder.glob("*.parts"))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.* of the positive attribution lies on cells")  # padded frames
def test_from_skeleton_files_to_pictures(skeletons, tmp_path):
    windows = tmp_path / "ntu.h5"
    said = done("prepare", skeletons, "-s", "windows.length=16", "--out", windows)
    assert "6 windows of 16 frames" in said
    data = Windows.open(windows)
    assert data.shape == (3, 16, 25, 2)
    assert set(data.group[data.split == "test"]) == {"P003"}
    assert data.attrs["windows"]["fit"] == "pad"  # what --set did not name stays the source's
    # Windows this much alike differ by little more than float32 can say.
    follow(windows, tmp_path, 2, "--set", "dtype=float64")


USERS_SKELETON = """
name: mine
joints: [hip, chest, head, left hand, right hand]
edges: [[chest, hip], [head, chest], [left hand, chest], [right hand, chest]]
parts: {body: [hip, chest, head], left: [left hand], right: [right hand]}
mirror: [[left hand, right hand]]
trunk: [[hip], [chest]]
ndim: 2
"""


@pytest.mark.slow
def test_from_key_points_of_ones_own_skeleton_to_pictures(tmp_path):
    layout = tmp_path / "skeleton.yaml"
    layout.write_text(USERS_SKELETON, encoding="utf-8")
    joints = hargcn.skeleton(layout).joints
    outcomes = videos(tmp_path / "videos", joints)
    windows = tmp_path / "own.h5"
    done(
        "prepare", tmp_path / "videos", "-s", f"reader.outcomes={outcomes}",
        "-s", f"reader.layout={layout}", "-s", "windows.length=16",
        "-s", "windows.overlap=8", "-s", "split.test=[child0]",
        "--out", windows,
    )  # fmt: skip
    data = Windows.open(windows)
    assert data.classes == ("high", "low")
    assert data.skeleton.joints == joints
    assert len(data) == 6 * 4  # starts 0, 8, 16, 24 of 40 frames
    follow(windows, tmp_path, persons=1)
