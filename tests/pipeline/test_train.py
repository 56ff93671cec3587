from __future__ import annotations

import json

import pytest
import torch
from fixtures.command_line import TINY
from fixtures.moving_windows import moving_windows

from hargcn.pipeline.config import ExperimentConfig, read_config
from hargcn.pipeline.train import train


def weights(path):
    return path.read_bytes()


@pytest.fixture
def config(waving, tmp_path):
    path = tmp_path / "own.yaml"
    path.write_text(f"windows: {waving}\ntrain: {{epochs: 1}}\n", "utf-8")
    return path


def test_a_file_with_changes_and_its_content_give_the_same_network(config, tmp_path):
    by_file = train(config, set_=TINY, out=tmp_path / "file", progress=False)
    content = read_config(config, TINY[:-1])
    by_content = train(content, set_=TINY[-1:], out=tmp_path / "content", progress=False)
    assert weights(by_file.path) == weights(by_content.path)
    cards = [
        json.loads(r.path.with_suffix(".json").read_text("utf-8")) for r in (by_file, by_content)
    ]
    assert [card.get("experiment") for card in cards] == ["own.yaml", None]
    assert cards[0]["training"] == cards[1]["training"]


def test_the_content_of_an_experiment_loses_nothing_on_its_way(config):
    content = read_config(
        config, ["prepare.split.test=[a]", "prepare.plant.classes={a: null, b: {size: 1}}"]
    )
    again = read_config(None, [], content.model_dump(mode="json"))
    assert again == content


def test_a_run_is_resumed_unless_it_is_to_be_fresh(config, tmp_path):
    changes, out = (*TINY, "train.epochs=1"), tmp_path / "run"
    first = train(config, set_=changes, out=out, progress=False)
    longer = (*TINY, "train.seed=9")
    with pytest.raises(ValueError, match=r"state\.pt"):
        train(config, set_=longer, out=out, progress=False)
    before = weights(first.path)
    assert weights(train(config, set_=changes, out=out, progress=False).path) == before
    fresh = train(config, set_=longer, out=out, fresh=True, progress=False)
    assert weights(fresh.path) != before
    assert not fresh.model.training
    assert all(torch.isfinite(p).all() for p in fresh.model.parameters())


def test_a_run_of_a_file_goes_to_runs_by_its_name(config, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert str(train(config, set_=TINY, progress=False).path) == "runs/own/model.safetensors"
    with pytest.raises(ValueError, match="Expected a folder `out` for an experiment"):
        train(ExperimentConfig(), progress=False)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("train.epoch=3", r"unknown key 'train\.epoch'; did you mean 'epochs'\?"),
        ("modle.width=3", r"unknown key 'modle'; did you mean 'model'\?"),
        ("train.epochs", r"--set: expected key\.sub=value \(got 'train\.epochs'\)"),
        ("=3", r"--set: expected key\.sub=value"),
        ("train.epochs=many", "train.epochs: Input should be a valid integer"),
        ("train.lr=[1", r"--set train\.lr=\[1: expected YAML"),
        ("train.epochs.last=3", "epochs holds a value"),
        ("train.device=cudaa", "cudaa"),
        ("model.attention=xa", "model.attention: Input should be 'ja'"),
    ],
)
def test_broken_settings_are_refused(config, tmp_path, change, said):
    with pytest.raises(ValueError, match=said):
        train(config, set_=[change], out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_windows_that_are_not_there_or_have_no_labels_are_refused(config, tmp_path):
    out = tmp_path / "run"
    with pytest.raises(FileNotFoundError, match=r"none\.h5: no such windows file"):
        train(config, set_=["windows=none.h5"], out=out)
    with pytest.raises(ValueError, match=r"own\.yaml: expected the key 'windows'"):
        train(config, set_=["windows=null"], out=out)
    with pytest.raises(ValueError, match="experiment: expected the key 'windows'"):
        train(ExperimentConfig(), out=out)
    bare = moving_windows(tmp_path / "bare.h5", labels=False, test=("g3",))
    with pytest.raises(ValueError, match=r"bare\.h5: .*label"):
        train(config, set_=[f"windows={bare.path}", *TINY], out=out)
    assert not out.exists()


def test_a_file_in_the_place_of_the_folder_is_refused(config, tmp_path):
    block = tmp_path / "block"
    block.write_text("in the way", "utf-8")
    with pytest.raises(ValueError, match=r"expected a file in a folder \(.*block is a file\)"):
        train(config, out=block)
