from __future__ import annotations

import json
from importlib import metadata

import pytest
import torch
from fixtures.small_model import small_model
from safetensors.torch import save_file

import hargcn


def test_round_trip_is_bit_identical(tmp_path):
    model = small_model("ntu25", classes=4)
    path = hargcn.save_model(model, tmp_path / "m.safetensors", {"metrics": {"accuracy": 0.5}})
    assert path.stat().st_mode & 0o777 == 0o644
    read = hargcn.load_model(path)
    assert not read.training
    assert model.card == read.card
    assert read.card["metrics"] == {"accuracy": 0.5}
    assert read.card["input"] == {
        "layout": "ntu25",
        "branches": ["J", "V", "B", "A"],
        "frames": None,
        "fps": None,
        "preprocessing": None,
    }
    assert read.card["versions"]["hargcn"] == hargcn.__version__ == metadata.version("hargcn")
    assert (read.config, read.skeleton, read.classes) == (
        model.config,
        model.skeleton,
        model.classes,
    )
    assert all(torch.equal(read.state_dict()[k], v) for k, v in model.state_dict().items())


def test_missing_parts_are_named(tmp_path):
    path = tmp_path / "m.safetensors"
    with pytest.raises(FileNotFoundError, match=r"m\.safetensors: no such checkpoint"):
        hargcn.load_model(path)
    hargcn.save_model(small_model(), path)
    path.with_suffix(".json").unlink()
    with pytest.raises(FileNotFoundError, match=r"m\.json: no such card"):
        hargcn.load_model(path)
    with pytest.raises(ValueError, match=r"ending in \.safetensors"):
        hargcn.save_model(small_model(), tmp_path / "m.pt")


def test_foreign_and_damaged_files_are_refused(tmp_path):
    path = tmp_path / "m.safetensors"
    hargcn.save_model(small_model(), path)
    whole, card = path.read_bytes(), json.loads(path.with_suffix(".json").read_text())

    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match="expected a safetensors checkpoint"):
        hargcn.load_model(path)

    save_file({"x": torch.zeros(2)}, path)
    with pytest.raises(ValueError, match="was one of the two replaced"):
        hargcn.load_model(path)

    path.write_bytes(whole)
    card["config"]["width"] = 16
    path.with_suffix(".json").write_text(json.dumps(card))
    with pytest.raises(ValueError, match="describe different networks"):
        hargcn.load_model(path)

    path.with_suffix(".json").write_text("{}")
    with pytest.raises(ValueError, match=r"model card of format hargcn-model-2 \(got None\)$"):
        hargcn.load_model(path)
    path.with_suffix(".json").write_text(json.dumps({**card, "format": "hargcn-model-1"}))
    with pytest.raises(ValueError, match=r"\(got hargcn-model-1\): make it anew with `hargcn tra"):
        hargcn.load_model(path)
    path.with_suffix(".json").write_text("{")
    with pytest.raises(ValueError, match="expected a JSON model card"):
        hargcn.load_model(path)
