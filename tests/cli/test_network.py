from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from fixtures.command_line import TINY, done, refused, sets
from fixtures.moving_windows import moving_windows

from hargcn import load_model
from hargcn.cli import figures


def test_broken_settings_are_refused_in_one_line(tmp_path, waving):
    config = tmp_path / "own.yaml"
    config.write_text(f"windows: {waving}\ntrain: {{epochs: 1}}\n", "utf-8")
    line = refused("train", config, "--set", "train.epoch=3", "--out", tmp_path / "run")
    assert line.endswith("unknown key 'train.epoch'; did you mean 'epochs'?")
    assert not (tmp_path / "run").exists()


def test_broken_experiment_files(tmp_path):
    config = tmp_path / "own.yaml"
    assert f"{config}: no such experiment file" in refused("train", config)
    assert "no such experiment file" in refused("train", tmp_path)
    for content, said in (
        ("windows: [", "expected YAML"),
        ("- 1", "expected keys and values (got a list)"),
        ("train: {epochs: 1}", "expected the key 'windows'"),
        ("train: {epohcs: 1}", "unknown key 'train.epohcs'"),
    ):
        config.write_text(content, "utf-8")
        line = refused("train", config)
        assert line.startswith(f"{config}: ")
        assert said in line


def test_training_and_testing_need_labels(tmp_path, checkpoint):
    windows = moving_windows(tmp_path / "bare.h5", labels=False, test=("g3",))
    config = tmp_path / "own.yaml"
    config.write_text(f"windows: {windows.path}\n", "utf-8")
    assert "label" in refused("train", config, *sets(), "--out", tmp_path / "run")
    assert "bare.h5" in refused("test", checkpoint, windows.path)
    assert "bare.h5: expected labels" in refused(
        "explain", checkpoint, windows.path, "--class", "label", "--out", tmp_path / "x.h5"
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bare.h5", "own.yaml"]


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
    assert str(checkpoint) in refused(
        "convert", "shapgcn", checkpoint, "--skeleton", "ntu25", "--out", tmp_path / "x.safetensors"
    )
    assert not (tmp_path / "x.safetensors").exists()


def test_a_run_folder_holds_the_log_the_network_and_its_card(checkpoint, waving):
    assert checkpoint.with_name("log.csv").read_text("utf-8").count("\n") == 2
    card = json.loads(checkpoint.with_suffix(".json").read_text("utf-8"))
    assert card["experiment"] == "waving.yaml"
    assert card["data"]["file"] == waving.name
    assert load_model(checkpoint).classes == ("class0", "class1", "class2")


def test_the_same_command_finds_nothing_left_to_do(checkpoint, waving):
    common = ("train", waving.with_name("waving.yaml"), "--out", checkpoint.parent)
    before = checkpoint.read_bytes()
    assert "balanced_accuracy" in done(*common, *sets(TINY))
    assert checkpoint.read_bytes() == before


def test_layers_come_with_the_shapes_of_their_activations(checkpoint):
    shapes = json.loads(done("layers", checkpoint, "--json"))
    assert shapes["J.init"] == [4, 16, 19]  # channels, frames, joints
    assert "main.0.attention" in done("layers", checkpoint)


@pytest.mark.parametrize("options", [["--split", "all"], ["--aggregate", "median"]])
def test_figures_are_json_for_scripts_and_a_table_for_people(checkpoint, waving, options):
    found = json.loads(done("test", checkpoint, waving, *options, "--json"))
    assert found["windows"]["n"] == (48 if "all" in options else 12)
    assert 0 <= found["recordings"]["accuracy"] <= 1
    assert "balanced_accuracy" in done("test", checkpoint, waving, *options)


def test_figures_go_into_a_file(checkpoint, waving, tmp_path):
    out = tmp_path / "test.json"
    said = done("test", checkpoint, waving, "--out", out, "--json")
    assert json.loads(out.read_text("utf-8")) == json.loads(said)
    line = refused("test", checkpoint, waving, "--out", tmp_path / "test.csv")
    assert line.endswith("expected a name ending in .json to write")


def test_broken_options_of_test_are_refused_in_one_line(checkpoint, waving):
    line = refused("test", checkpoint, waving, "--aggregate", "max")
    assert line == "Expected aggregate of mean, median (got 'max')"


def test_people_see_intervals_a_table_of_classes_and_the_confusion(checkpoint, waving):
    found = json.loads(done("test", checkpoint, waving, "--split", "all", "--json"))
    said = done("test", checkpoint, waving, "--split", "all")
    for level in ("windows", "recordings"):
        figures = found[level]
        low, high = figures["interval"]["accuracy"]
        assert figures["subjects"] == 4
        assert f"{figures['accuracy']:.3f} [{low:.3f}, {high:.3f}]" in said
        assert f"classes ({level})" in said
        assert f"{level}, true" in said
    line = next(line for line in said.splitlines() if "1 class0" in line)
    assert [int(n) for n in re.findall(r"(?<=\s)\d+(?=\s)", line)[1:]] == (
        found["windows"]["confusion"][0]
    )
    sensitivity = found["recordings"]["per_class"]["class1"]["sensitivity"]
    assert f"{sensitivity:.4f}" in said


def test_of_one_subject_no_interval_is_printed(checkpoint, waving):
    found = json.loads(done("test", checkpoint, waving, "--json"))  # only g3 tests
    assert found["windows"]["interval"]["accuracy"] is None
    assert "[" not in done("test", checkpoint, waving)


def test_of_many_classes_the_largest_confusions_are_printed(capsys):
    counts = np.zeros((13, 13), int) + np.eye(13, dtype=int) * 9
    counts[3, 4], counts[12, 0] = 5, 7
    names = [f"class{i}" for i in range(13)]
    level = {
        "n": int(counts.sum()),
        "confusion": counts.tolist(),
        "per_class": {name: {"support": 9, "ppv": None} for name in names},
    }
    figures.classes({"windows": level, "recordings": level})
    said = capsys.readouterr().out
    assert "the 2 largest of 2" in said
    assert "recordings" in said
    assert "windows" not in said  # every recording is one window
    first, second = (line for line in said.splitlines() if " of " in line and "class" in line)
    assert "class12" in first
    assert "7 of 16" in first
    assert "class3" in second
    assert "5 of 14" in second
