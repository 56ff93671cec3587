"""A network of the user's own, by a factory, in every command that takes a network."""

from __future__ import annotations

import importlib.util
import json

import numpy as np
import pandas as pd
import pytest
import torch
from fixtures.command_line import done, refused, run
from fixtures.moving_windows import moving_windows
from fixtures.own_networks import module_of, own_network
from safetensors.torch import load_file, save_file

from hargcn import Explanation, Windows
from hargcn.explainers import Adapter, DeepSHAP, GradCAM
from hargcn.networks.branches import POSITION_DIMS


def stream(config, **choices):
    """Make the network as a Python user does."""
    spec = importlib.util.spec_from_file_location("theirs", module_of(config))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.build(**choices).eval()


@pytest.fixture(scope="module")
def config(tmp_path_factory, waving):
    """An experiment file, its module, and weights of another seed than the factory's."""
    path = own_network(
        tmp_path_factory.mktemp("own"), waving, weights="own.safetensors", arguments={"width": 5}
    )
    with torch.random.fork_rng():
        torch.manual_seed(99)
        save_file(stream(path, width=5).state_dict(), path.with_name("own.safetensors"))
    return path


@pytest.fixture(scope="module")
def theirs(config):
    """The same network in Python, adapted."""
    network = stream(config, width=5)
    network.load_state_dict(load_file(config.with_name("own.safetensors")))
    return Adapter(network, input_dims=POSITION_DIMS)


@pytest.fixture(scope="module")
def cam(config, waving):
    out = config.with_name("cam.h5")
    done("explain", config, waving, "--class", "label", "--limit", 6, "--out", out)
    return out


@pytest.fixture(scope="module")
def six(waving):
    return Windows.open(waving).subset("test").subset(slice(0, 6))


def test_its_accuracy_is_that_of_the_module(config, waving, theirs):
    found = json.loads(done("test", config, waving, "--json"))["windows"]
    windows = Windows.open(waving).subset("test")
    with torch.no_grad():
        logits = theirs(torch.from_numpy(windows.positions()))
    assert found["n"] == len(windows)
    assert found["accuracy"] == pytest.approx((logits.argmax(1).numpy() == windows.label).mean())


def test_its_layers_are_those_with_maps(config):
    found = json.loads(done("layers", config, "--json"))
    assert found == {"spatial": [5, 16, 19], "temporal": [5, 8, 19]}
    assert "temporal" in done("layers", config)


def test_a_map_by_command_is_the_map_in_python(cam, six, theirs):
    made = Explanation.open(cam)
    x = torch.from_numpy(six.positions())
    expected = GradCAM("temporal")(theirs, x, torch.from_numpy(six.label))
    assert made.layer == "temporal"
    np.testing.assert_allclose(made.values, expected.values, rtol=1e-6, atol=1e-9)
    np.testing.assert_array_equal(made.values["time"], expected.values["time"])
    assert list(made.values["joint"].to_numpy()) == list(six.skeleton.joints)


def test_attributions_by_command_are_those_in_python(config, waving, six, theirs, tmp_path):
    out = tmp_path / "x.h5"
    done(
        "explain", config, waving, "--method", "shap", "--background", waving, "--limit", 6,
        "--out", out,
    )  # fmt: skip
    made = Explanation.open(out)
    x = torch.from_numpy(six.positions())
    background = torch.from_numpy(Windows.open(waving).positions())
    expected = DeepSHAP(background)(theirs, x, torch.from_numpy(made.target.to_numpy()))
    np.testing.assert_allclose(made.values, expected.values, rtol=1e-4, atol=1e-6)
    assert made.dims == POSITION_DIMS
    assert list(made.values["channel"].to_numpy()) == ["x", "y"]


def test_correlation_is_over_all_its_layers(config, waving, tmp_path):
    out = tmp_path / "c.csv"
    said = done("correlate", config, waving, "--out", out)
    assert "Spearman rho of Grad-CAM with temporal" in said
    assert list(pd.read_csv(out)["layer"].unique()) == ["spatial"]
    assert "did you mean 'spatial'" in refused(
        "correlate", config, waving, "--reference", "spatail", "--out", out
    )


@pytest.mark.slow
def test_perturbing_and_evaluating(config, waving, cam, tmp_path):
    out = tmp_path / "p.h5"
    few = ("--edit", "input:freeze", "--top", 2, "--random", 2)
    assert "mean |change of p|" in done("perturb", config, waving, cam, *few, "--out", out)
    table = tmp_path / "t.csv"
    some = ("--metrics", "pgi,deletion,rrs,randomisation", "--edit", "input:freeze", "--remake")
    done("evaluate", config, waving, cam, *some, "--out", table)
    found = pd.read_csv(table).set_index(["metric", "method"])["estimate"]
    assert np.isfinite(found.loc[:, "gradcam temporal"]).all()
    assert len(found) == 4 * 2
    for command, file in (("perturb", tmp_path / "q.h5"), ("evaluate", tmp_path / "u.csv")):
        said = refused(command, config, waving, cam, "--out", file)
        assert "Expected an edit of the input, such as --edit input:freeze" in said
        assert not file.exists()


def test_an_explanation_of_it_can_be_made_again(config, waving, cam):
    said = done("reproduce", cam, "--checkpoint", config, "--windows", waving)
    assert "the same for 6 windows" in said
    again = run("explain", config, waving, "--class", "label", "--limit", 6, "--out", cam)
    assert "finished before, nothing to do" in again.err


def test_another_network_is_noticed(config, waving, cam, tmp_path):
    """Other arguments of the factory, other code, other weights."""
    text = config.read_text("utf-8")
    other = config.with_name("other.yaml")
    other.write_text(text.replace("weights: own.safetensors", "prefix: ''"), encoding="utf-8")
    common = ("--windows", waving)
    assert "expected the file" in refused("reproduce", cam, "--checkpoint", other, *common)
    assert "an explanation of this network (it is of another)" in refused(
        "perturb", other, waving, cam, "--edit", "input:freeze", "--out", tmp_path / "p.h5"
    )
    code = module_of(config).read_text("utf-8")
    module_of(config).write_text(code.replace("torch.relu(self.temp", "torch.tanh(self.temp"))
    try:
        assert "expected the file" in refused("reproduce", cam, "--checkpoint", config, *common)
        # The job is another one too: the finished file is made anew.
        out = tmp_path / "again.h5"
        out.write_bytes(cam.read_bytes())
        ended = run("explain", config, waving, "--class", "label", "--limit", 6, "--out", out)
        assert ended.code == 0
        assert "finished before" not in ended.err
        assert not np.allclose(Explanation.open(out).values, Explanation.open(cam).values)
    finally:
        module_of(config).write_text(code)
    assert "the same for" in done("reproduce", cam, "--checkpoint", config, *common)


def test_training_says_what_it_trains(config):
    said = refused("train", config, "--out", config.with_name("run"))
    assert "expected no section 'network': hargcn trains the networks of its section" in said
    assert not config.with_name("run").exists()


def test_an_experiment_file_without_a_network_is_no_network(tmp_path, waving):
    path = tmp_path / "plain.yaml"
    path.write_text("train: {epochs: 3}\n", encoding="utf-8")
    said = refused("test", path, waving)
    assert said.startswith(f"{path}: expected the section 'network', which names a factory")
    path.write_text("network: {factory: 'a:b', weight: x.pt}\n", encoding="utf-8")
    assert "did you mean 'weights'" in refused("test", path, waving)
    path.write_text("network: {factory: build}\n", encoding="utf-8")
    assert "network.factory: " in refused("test", path, waving)
    assert "no such experiment file" in refused("test", tmp_path / "none.yaml", waving)


def test_other_windows_are_refused_as_for_a_checkpoint(config, tmp_path):
    longer = moving_windows(tmp_path / "longer.h5", frames=18, test=("g3",)).path
    said = refused("test", config, longer)
    assert "expected windows prepared like those the network learned from: frames 16" in said
