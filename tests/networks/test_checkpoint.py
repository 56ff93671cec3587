from __future__ import annotations

import json
from importlib import metadata

import pytest
import torch
from fixtures.mutants import refusals
from fixtures.small_model import small_model
from safetensors.torch import load_file, save_file

import hargcn
from hargcn.files import digest


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


def rewritten(path, card, weights):
    """Replace both files of a checkpoint as an attacker would, with a digest that agrees."""
    save_file(weights, path)
    text = json.dumps({**card, "weights": digest(path)})
    path.with_suffix(".json").write_text(text, "utf-8")


@pytest.fixture
def parts(tmp_path):
    """A checkpoint with its card and weights."""
    path = hargcn.save_model(small_model(), tmp_path / "m.safetensors")
    return path, json.loads(path.with_suffix(".json").read_text("utf-8")), load_file(path)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused_by_name(parts, value):
    path, card, weights = parts
    weights["head.weight"][0, 0] = value
    rewritten(path, card, weights)
    with pytest.raises(ValueError, match=r"m\.safetensors: .*NaN or infinity in head\.weight\)"):
        hargcn.load_model(path)


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"width": 4096, "max_width": 4096, "last_width": 4096}, "do not fit"),
        ({"width": 10**9}, "less than or equal to 4096"),
        ({"main": {"blocks": 10**9}}, "less than or equal to 16"),
        ({"branch": {"hops": 10**9}}, "less than or equal to 8"),
    ],
)
def test_a_card_cannot_ask_for_more_than_the_weights_hold(parts, config, said):
    path, card, weights = parts
    rewritten(path, {**card, "config": {**card["config"], **config}}, weights)
    line = refusals(lambda: hargcn.load_model(path), 5, 64)
    assert line.startswith(f"{path}: weights and card describe different networks")
    assert said in line


@pytest.mark.parametrize(
    "taken", [3, {"frames": 1e300}, {"frames": True}, {"frames": 0}, {"fps": 1e999}, {"fps": "x"}]
)
def test_a_card_with_impossible_input_is_refused(parts, taken):
    path, card, weights = parts
    rewritten(path, {**card, "input": taken}, weights)
    with pytest.raises(ValueError, match=r"m\.json: expected frames from 1 and finite fps"):
        hargcn.load_model(path)


def test_cards_that_are_bombs_are_refused(parts):
    path, _, _ = parts
    for text in ("[" * 10**5, "9" * 5000):
        path.with_suffix(".json").write_text(text, "utf-8")
        with pytest.raises(ValueError, match=r"m\.json: expected a JSON model card"):
            hargcn.load_model(path)
    with path.with_suffix(".json").open("wb") as stream:
        stream.truncate(2**24 + 1)
    with pytest.raises(ValueError, match=r"m\.json: expected a model card of at most 16777216"):
        hargcn.load_model(path)
