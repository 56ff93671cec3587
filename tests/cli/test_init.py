"""`init` and what follows: files that run as they are, or say in one line what is missing."""

from __future__ import annotations

import re

import numpy as np
import pytest
import yaml
from fixtures.command_line import done, refused, run
from fixtures.samples import SAMPLES, all_samples
from fixtures.tracker_files import deeplabcut

from hargcn.data.windows import Windows
from hargcn.pipeline.config import read_config


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "videos").mkdir()
    return tmp_path


def options(arguments):
    """Return the reader's options of a sample's arguments."""
    given = (part.partition("=") for part in arguments if part.startswith("reader."))
    return {key.removeprefix("reader."): value for key, _, value in given}


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(all_samples()))
def test_every_format_begins_with_a_look(here, name):
    more = all_samples()[name](here / "videos")
    known = options(more)
    given = ["--format", more[more.index("--format") + 1]] if "--format" in more else []
    if "table" in known:  # how a text table is laid out is told, not found
        given += ["--set", f"reader.table={known['table']}"]
    said = done("init", "videos", *given)
    layout = ["layout"] if "skeleton.yaml: -" in said else []
    missing = re.findall(r"^experiment.yaml: (\w+): \?{3}  # <- complete this", said, re.M)
    if missing:
        line = refused("prepare", "videos", "--config", "experiment.yaml")
        named = ", ".join(f"prepare.reader.{key}" for key in missing)
        assert line == f"experiment.yaml: complete {named} (now ???)"
        for begun in here.glob("*.yaml"):
            begun.unlink()
        said = done("init", "videos", *given, *(
            part for key in missing + layout for part in ("--set", f"reader.{key}={known[key]}")
        ))  # fmt: skip
    assert "complete this" not in said
    done("prepare", "videos", "--config", "experiment.yaml")
    data = Windows.open(here / "videos.h5")
    assert len(set(data.sample)) >= 8
    assert {"train", "test"} <= set(data.split)
    assert set(data.label[data.split == "train"]) == set(data.label[data.split == "test"])


def test_every_choice_has_its_reason(here):
    SAMPLES["openpose"](here / "videos")
    ended = run("init", "videos", "--set", "reader.fps=25")
    assert ended.err == "next: hargcn prepare videos --config experiment.yaml\n"
    text = (here / "experiment.yaml").read_text("utf-8")
    config = read_config("experiment.yaml")
    assert config.prepare.format == "openpose"
    assert dict(config.prepare.reader) == {
        "layout": "openpose25", "outcomes": "outcomes.csv", "video": "video", "outcome": "outcome",
        "subject": "subject", "fps": 25, "likelihood": 0.0,
    }  # fmt: skip
    assert config.prepare.preprocess.fps == 25  # the videos' own
    assert (config.prepare.windows.mode, config.prepare.windows.length) == ("whole", 60)
    body = text[text.index("prepare:") :]
    reasons = [line for line in body.splitlines() if not line.endswith(":") and "#" not in line]
    assert {line.split(":")[0].strip() for line in reasons} <= {
        "min_width", "max_width", "last_width", "branch", "main",
    }  # fmt: skip
    assert "# classes: still 4, wave 4" in text


def test_nothing_is_written_over_and_nothing_is_guessed_wildly(here):
    SAMPLES["openpose"](here / "videos")
    (here / "experiment.yaml").write_text("mine", encoding="utf-8")
    assert "experiment.yaml: expected a new file (it is there)" in refused("init", "videos")
    assert (here / "experiment.yaml").read_text("utf-8") == "mine"
    (here / "outcomes.csv").unlink()
    said = done("init", "videos", "--out", "own.yaml")
    assert "own.yaml: outcomes: ???  # <- complete this: a CSV with the columns video" in said
    assert "no such file or folder" in refused("init", "none", "--out", "x.yaml")
    assert "expected recordings of one format" in refused("init", "own.yaml", "--out", "x.yaml")
    line = refused("init", "videos", "--out", "x.yaml", "--set", "windows.length=3")
    assert "--set: expected reader.KEY=VALUE" in line
    line = refused("init", "videos", "--out", "x.yaml", "--set", "reader.frate=3")
    assert "unknown key 'frate'" in line
    assert not (here / "x.yaml").exists()


def test_columns_are_offered_where_no_name_tells(here):
    SAMPLES["coco"](here / "videos")
    rows = [f"v{at},{at % 3},{at % 4}" for at in range(8)]
    (here / "outcomes.csv").write_text("\n".join(["clip,left,right", *rows]), encoding="utf-8")
    said = done("init", "videos", "--set", "reader.fps=30")
    assert "outcome: ???  # <- complete this: one of the columns left, right" in said
    text = (here / "experiment.yaml").read_text("utf-8")
    assert "video: clip" in text
    assert "subject: null  # no column names people: every video counts as another" in text


def test_an_unknown_layout_becomes_a_skeleton_to_complete(here):
    rng = np.random.default_rng(3)
    parts = ["snout", "leftear", "rightear", "tailbase", "implant"]
    for at in range(6):
        bodies = rng.normal(100, 5, (400, 1, 5, 3)).cumsum(axis=0) / 100 + np.arange(5)[:, None]
        bodies[..., 2] = 0.9
        deeplabcut(here / "videos" / f"m{at}DLC_resnet50_mouseJan1shuffle1_5.csv", bodies, parts)
    table = "\n".join(["video,group,animal", *(f"m{at},{'ab'[at % 2]},a{at}" for at in range(6))])
    (here / "videos" / "mice.csv").write_text(table, encoding="utf-8")
    said = done("init", "videos", "--set", "reader.fps=20")
    assert "skeleton.yaml: - [implant, '???']  # <- complete this: what implant hangs on" in said
    line = refused("layouts", "skeleton.yaml")
    assert line == "skeleton.yaml: complete edges (implant) (now ???)"
    assert line == refused("prepare", "videos", "--config", "experiment.yaml")
    layout = here / "skeleton.yaml"
    layout.write_text(layout.read_text("utf-8").replace("'???'", "snout"), encoding="utf-8")
    assert "5 joints in 2D" in done("layouts", "skeleton.yaml")
    done("prepare", "videos", "--config", "experiment.yaml")
    data = Windows.open(here / "videos.h5")
    assert (data.frames, data.rate, data.classes) == (100, 20.0, ("a", "b"))
    assert set(data.skeleton.parts) == {"head", "tail", "torso"}
    content = yaml.safe_load((here / "experiment.yaml").read_text("utf-8"))
    assert content["prepare"]["windows"] == {"mode": "slide", "length": 100, "overlap": 50}
