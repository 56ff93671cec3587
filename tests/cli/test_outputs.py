"""No command writes over what it reads, or over anything that is no file: all are refused first."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from fixtures.command_line import SMALL_DEMO, refused, sets
from fixtures.key_points import videos

import hargcn


@dataclass(frozen=True)
class Command:
    """A command without its output, what it reads, and what it writes for an output `x`."""

    words: tuple[object, ...]
    reads: tuple[Path, ...]
    writes: tuple[str, ...]
    option: str = "--out"
    out: str = ""


@pytest.fixture
def commands(checkpoint, waving, shap, gradcams, tmp_path) -> Callable[[str], Command]:
    """Give a command by its name, on files that the session has made."""
    own = tmp_path / "own"
    own.mkdir()
    config = own / "own.yaml"
    config.write_text(f"windows: {waving}\n", encoding="utf-8")
    joints = hargcn.skeleton("inmotion19").joints
    outcomes = videos(own / "videos", joints, count=2)
    video = sorted((own / "videos").rglob("*.csv"))[0]
    theirs = own / "theirs.pth.tar"
    theirs.write_bytes(b"weights")
    layout = own / "skeleton.yaml"
    layout.write_text(
        "name: mine\njoints: [a, b]\nedges: [[b, a]]\nparts: {all: [a, b]}\nndim: 2\n",
        encoding="utf-8",
    )
    card, cam = checkpoint.with_suffix(".json"), gradcams[0]
    about = (checkpoint, card, waving)
    trained = tuple(f"x/{name}" for name in ("model.safetensors", "model.json", "state.pt"))
    layers = ("--layer", "main.0.tcn", "--layer", "main.0.attention")
    prepare = (
        "prepare", own / "videos", "--config", config, "-s", f"reader.outcomes={outcomes}", "-s",
        "reader.layout=inmotion19", "--force",
    )  # fmt: skip
    experiment = own / "config.yaml"
    experiment.write_text(
        f"question: q\nextends: own.yaml\ncheckpoint: {checkpoint}\nsteps: [synthesise: ]\n"
    )
    known = {
        "prepare": Command(prepare, (config, outcomes, video), ("x.h5",)),
        "synthesise": Command(("synthesise", "-c", config, "--force"), (config,), ("x.h5",)),
        "train": Command(("train", config, *sets()), (config, waving), trained, out="x"),
        "crossfit": Command(
            ("crossfit", config, *sets(), "--folds", 2, "--method", "gradcam"), (config, waving),
            ("x/crossfit.json", "x/predictions.csv", "x/explanations.h5",
             "x/fold-1/explanations.h5", "x/fold-2/model.safetensors"), out="x",
        ),
        "test": Command(("test", checkpoint, waving), about, ("x.json",)),
        "convert": Command(
            ("convert", "shapgcn", theirs, "--skeleton", "ntu25"), (theirs,),
            ("x.safetensors", "x.json"),
        ),
        "explain": Command(("explain", checkpoint, waving), about, ("x.h5",)),
        "explain layers": Command(
            ("explain", checkpoint, waving, *layers), about, ("x.main.0.tcn.h5",), out="x.h5"
        ),
        "convergence": Command(
            ("explain", checkpoint, waving, "-m", "shap", "-o", own / "never.h5"), about,
            ("x.png",), "--convergence",
        ),
        "combine": Command(("combine", shap, cam), (shap, cam), ("x.h5",)),
        "correlate": Command(("correlate", checkpoint, waving), about, ("x.csv", "x.png")),
        "correlate methods": Command(
            ("correlate", shap, cam, "--between", "methods"), (shap, cam), ("x.csv", "x.png")
        ),
        "perturb": Command(
            ("perturb", checkpoint, waving, shap), (*about, shap),
            ("x.h5", "x.csv", "x.gap.png", "x.accuracy.png"),
        ),
        "evaluate": Command(("evaluate", checkpoint, waving, shap), (*about, shap), ("x.csv",)),
        "rank": Command(("rank", shap, cam), (shap, cam), ("x.png",)),
        "show": Command(("show", shap), (shap,), ("x.png",)),
        "show clip": Command(("show", shap), (shap,), ("x.gif",)),
        "report": Command(("report", shap), (shap,), ("x.html",)),
        "layouts": Command(("layouts", layout), (layout,), ("x.png",)),
        "experiment": Command(("experiment", experiment), (config,), ("x/windows.h5",), out="x"),
        "demo": Command(("demo", *sets(SMALL_DEMO)), (), ("x/windows.h5",), out="x"),
    }  # fmt: skip
    return known.__getitem__


NAMES = (
    "prepare", "synthesise", "train", "test", "convert", "explain", "explain layers", "convergence",
    "combine", "correlate", "correlate methods", "perturb", "evaluate", "rank", "show", "show clip",
    "report", "layouts", "experiment", "demo", "crossfit",
)  # fmt: skip


def place(what: str, path: Path, read: Path | None) -> None:
    """Put something in the way of an output."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if what == "link":
        path.symlink_to(read)
    elif what == "hard link":
        os.link(read, path)
    elif what == "pipe":
        os.mkfifo(path)
    else:
        path.mkdir()


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_no_output_destroys_anything(commands, tmp_path, name):
    command = commands(name)
    before = {path: path.read_bytes() for path in command.reads}
    out = tmp_path / "out"
    out.mkdir()
    given = out / (command.out or command.writes[0])
    ways = [("pipe", None), ("folder", None)]
    ways += [(way, read) for read in command.reads for way in ("link", "hard link")]
    for written in command.writes:
        for way, read in ways:
            path = out / written
            place(way, path, read)
            kind = path.lstat()
            line = refused(*command.words, command.option, given)
            assert "expected a" in line or "is a directory" in line, (way, read)
            assert path.lstat().st_ino == kind.st_ino, (way, read)
            assert path.lstat().st_mode == kind.st_mode
            (path.rmdir if way == "folder" else path.unlink)()
    assert {path: path.read_bytes() for path in before} == before
    assert not [path for path in out.rglob("*") if not path.is_dir()]
    for read in command.reads:  # the input itself, by its own name
        refused(*command.words, command.option, read)
    assert {path: path.read_bytes() for path in before} == before


def test_files_of_the_recordings_folder_are_never_replaced(tmp_path):
    outcomes = videos(tmp_path / "videos", hargcn.skeleton("inmotion19").joints, count=2)
    notes = tmp_path / "videos" / "notes.txt"
    notes.write_text("mine", encoding="utf-8")
    line = refused(
        "prepare", tmp_path / "videos", "-s", f"reader.outcomes={outcomes}", "-s",
        "reader.layout=inmotion19", "--force", "--out", notes,
    )  # fmt: skip
    assert "notes.txt: expected another file to write than one of the recordings' folder" in line
    assert notes.read_text(encoding="utf-8") == "mine"


@pytest.mark.parametrize("made", ["x.h5.parts", "x.h5.parts/deep"])
def test_a_users_own_parts_folder_is_never_touched(checkpoint, waving, tmp_path, made):
    (tmp_path / made).mkdir(parents=True)
    mine = tmp_path / "x.h5.parts" / "thesis.txt"
    mine.write_text("mine", encoding="utf-8")
    line = refused("explain", checkpoint, waving, "--out", tmp_path / "x.h5")
    assert "x.h5.parts: expected a job's folder or none (it is somebody's own)" in line
    assert mine.read_text(encoding="utf-8") == "mine"
    assert not (tmp_path / "x.h5").exists()
