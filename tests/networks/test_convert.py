from __future__ import annotations

import json
import pickle
import re

import numpy as np
import pytest
import torch
from fixtures.mutants import refusals
from fixtures.published import CP29, NTU60
from safetensors import safe_open
from safetensors.torch import load_file

import hargcn
from hargcn.networks.convert import convert, from_state, model_config, read_published
from hargcn.networks.stgcn import MultiBranchSTGCN


@pytest.mark.parametrize(
    ("choices", "skeleton", "classes", "values"),
    [(NTU60, "ntu25", 60, 1_236_614), (CP29, "inmotion29", 2, 668_280)],
)
def test_the_published_networks_have_their_published_size(choices, skeleton, classes, values):
    model = MultiBranchSTGCN(model_config(choices), hargcn.skeleton(skeleton), range(classes))
    adjacency = sum(b.numel() for n, b in model.named_buffers() if n.endswith("adjacency"))
    assert sum(p.numel() for p in model.parameters()) + adjacency == values


def golden(root, name):
    path = root / f"{name}.safetensors"
    with safe_open(path, "pt") as file:
        meta = file.metadata()
    tensors = load_file(path)
    state = {k.removeprefix("state."): v for k, v in tensors.items() if k.startswith("state.")}
    return meta, state, tensors


def published_file(path, state, choices):
    parts = {"input_stream": {}, "main_stream": {}, "classifier": {}}
    for key, value in state.items():
        parts[key.split(".")[0]][key] = value
    content = {"model": parts, "actions": choices, "best_state": {"auc": np.float64(0.9)}}
    torch.save(content, path)


@pytest.mark.data
@pytest.mark.parametrize(
    "name",
    ["published_cp29", "variant_bottleneck_stja_relu6", "variant_v3_channel_hardswish"],
)
def test_golden_networks_agree_in_logits_layers_and_gradcam(tmp_path, golden_root, name):
    meta, state, tensors = golden(golden_root, name)
    path = tmp_path / "published.pth.tar"
    published_file(path, state, json.loads(meta["arch"]))
    model = convert(path, hargcn.skeleton(meta["skeleton"]))
    last = f"main.{model.config.main.blocks - 1}"
    layers = {"J.init": "J.init", f"{last}.tcn": "main.last.tcn"}
    layers[f"{last}.attention"] = "main.last.attention"
    seen = {}
    for layer, theirs in layers.items():
        model.get_layer(layer).register_forward_hook(
            lambda _m, _i, out, theirs=theirs: seen.__setitem__(theirs, out)
        )
    logits = model(tensors["input"])
    torch.testing.assert_close(logits, tensors["logits"], rtol=1e-4, atol=1e-4)
    for theirs, activation in seen.items():
        expected = tensors[f"activation.{theirs}"]
        torch.testing.assert_close(activation, expected, rtol=1e-4, atol=1e-4)
    maps = hargcn.explainers.GradCAM(f"{last}.attention")(
        model, tensors["input"], tensors["target"]
    )
    cam = maps.values.transpose("sample", "person", "time", "joint").to_numpy()
    expected = tensors["gradcam_signed.main_last_attention"].numpy()
    np.testing.assert_allclose(cam, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())


@pytest.mark.data
def test_weights_that_do_not_fit_are_named(tmp_path, golden_root):
    meta, state, _ = golden(golden_root, "published_cp29")
    choices = json.loads(meta["arch"])
    path = tmp_path / "x.pth.tar"
    published_file(path, state, choices)
    with pytest.raises(ValueError, match=r"x\.pth\.tar: .*skeleton coco17"):
        convert(path, hargcn.skeleton("coco17"))
    published_file(path, state, {**choices, "init_lay": 32})
    with pytest.raises(ValueError, match="do not fit"):
        convert(path, hargcn.skeleton("inmotion29"))
    del choices["stride_in"]
    published_file(path, state, choices)
    with pytest.raises(ValueError, match="architecture choice 'stride_in'"):
        convert(path, hargcn.skeleton("inmotion29"))


class Evil:
    def __reduce__(self):
        return (print, ("this must never run",))


def test_code_in_a_checkpoint_never_runs(tmp_path, capsys):
    path = tmp_path / "evil.pth.tar"
    with path.open("wb") as file:
        pickle.dump({"model": Evil()}, file, protocol=2)
    with pytest.raises(ValueError, match=r"evil\.pth\.tar: expected a torch checkpoint of plain"):
        read_published(path)
    torch.save({"model": Evil(), "actions": {}}, path)
    with pytest.raises(ValueError, match="expected a torch checkpoint of plain"):
        read_published(path)
    assert capsys.readouterr().out == ""


def test_foreign_files_are_refused(tmp_path):
    path = tmp_path / "x.pth.tar"
    with pytest.raises(FileNotFoundError, match="no such checkpoint"):
        read_published(path)
    torch.save({"weights": torch.zeros(2)}, path)
    with pytest.raises(ValueError, match=r"'model' and 'actions' \(got \['weights'\]\)"):
        read_published(path)
    with pytest.raises(ValueError, match=r"classifier\.fc\.weight"):
        from_state({}, CP29, hargcn.skeleton("inmotion29"))


def test_choices_and_weights_of_another_kind_are_refused_in_a_line(tmp_path):
    path = tmp_path / "x.pth.tar"
    part = {"fc.weight": torch.zeros(2, 3, 1, 1)}
    for content, said in [
        ({"model": {"classifier": 3}, "actions": {}}, "weights by name in 'model'"),
        ({"model": {"classifier": {"a": 3}}, "actions": {}}, "whole tensor as weight 'a'"),
        (
            {"model": {"classifier": {"fc.weight": torch.zeros(2)}}, "actions": CP29},
            "classifier.fc.weight",
        ),
        ({"model": {"main_stream": {3: torch.zeros(2)}}, "actions": CP29}, "tensor as weight 3"),
        ({"model": {"main_stream": {"a": torch.zeros(2)}}, "actions": {}}, "choice 'depth_main'"),
        ({"model": {"classifier": part}, "actions": CP29 | {"depth_main": []}}, "words and numb"),
        ({"model": {"classifier": part}, "actions": CP29 | {"init_lay": 10**9}}, "4096"),
        ({"model": {"classifier": part}, "actions": CP29}, "do not fit"),
    ]:
        torch.save(content, path)
        line = refusals(lambda: convert(path, hargcn.skeleton("inmotion29")), 5, 64)
        assert line.startswith(f"{path}: ")
        assert re.search(said, line), line
        assert "\n" not in line


@pytest.mark.data
def test_weights_that_are_not_finite_are_refused(golden_root):
    meta, state, _ = golden(golden_root, "published_cp29")
    state["classifier.fc.weight"].fill_(float("inf"))
    with pytest.raises(ValueError, match=r"NaN or infinity in head\.weight"):
        from_state(state, json.loads(meta["arch"]), hargcn.skeleton("inmotion29"))
