from __future__ import annotations

import json

import pandas as pd
import pytest
import torch
from fixtures.command_line import done, refused
from fixtures.moving_windows import moving_windows
from fixtures.small_model import small_model

from hargcn import Explanation
from hargcn.data.folds import Fold
from hargcn.data.preprocess import PRESETS
from hargcn.data.windows import Windows
from hargcn.metrics.gap_curve import GapCurve
from hargcn.pipeline.opening import (
    check_preparation,
    of_classes,
    open_explanations,
    open_network,
    open_windows,
)


@pytest.mark.parametrize("name", ["cuda", "cuda:0", "tpu", "cuda:x", "CPU", ""])
def test_devices_that_are_not_there_are_refused(monkeypatch, checkpoint, name):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    with pytest.raises(ValueError, match=rf"Expected device cpu, cuda.*; 0 CUDA .*got '{name}'"):
        open_network(checkpoint, name)


def test_devices_that_are_there_are_taken(monkeypatch):
    taken = []
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(
        "hargcn.pipeline.opening.load_model", lambda _, device: taken.append(device)
    )
    for device in ("cpu", "cuda", "cuda:0", "cuda:1"):
        open_network("model.safetensors", device)
    assert taken == ["cpu", "cuda", "cuda:0", "cuda:1"]
    with pytest.raises(ValueError, match=r"2 CUDA devices are here \(got 'cuda:2'\)"):
        open_network("model.safetensors", "cuda:2")


def test_windows_are_all_a_set_or_the_first_of_a_set(waving):
    sizes = [len(open_windows(waving, *some)) for some in ((), ("test",), ("test", 5), ("all", 5))]
    assert sizes == [48, 12, 5, 5]
    assert set(open_windows(waving, "test", 5).split) == {"test"}
    with pytest.raises(
        ValueError,
        match=r"expected a set of test, train, val \(got 'tset'; did you mean 'test'\?\)",
    ):
        open_windows(waving, "tset")
    with pytest.raises(ValueError, match="Expected limit of at least 1"):
        open_windows(waving, limit=0)
    few = open_windows(waving, "test", 3, of=["class2", "class0"], limit_seed=0)
    assert len(few) == 3
    assert set(few.label) <= {0, 2}
    assert few.names == sorted(few.names, key=open_windows(waving).names.index)
    nothing = r"expected windows of class class1 \(got none\)"
    with pytest.raises(ValueError, match=nothing):
        of_classes(few, ["class1"])


@pytest.mark.slow
def test_explanations_are_named_by_method_and_layer_else_by_file(shap, gradcams, tmp_path):
    layers = ["main.0.tcn", "main.0.attention"]
    found = open_explanations([shap, *gradcams])
    assert list(found) == ["shap", *(f"gradcam {layer}" for layer in layers)]
    paths = [tmp_path / "first.h5", tmp_path / "second.h5", tmp_path / "deep" / "first.h5"]
    for path in paths:
        path.parent.mkdir(exist_ok=True)
        Explanation.open(shap).save(path)
    assert list(open_explanations(paths[:2])) == ["first", "second"]
    some = [gradcams[0], *paths[:2]]
    assert list(open_explanations(some)) == ["gradcam main.0.tcn", "first", "second"]
    assert list(open_explanations(paths)) == [str(path) for path in paths]


def test_a_list_of_explanations_is_needed(shap):
    with pytest.raises(ValueError, match="at least one explanation file"):
        open_explanations([])
    for one in (shap, str(shap)):
        with pytest.raises(
            TypeError, match=r"Expected a list of explanation files \(got '.*shap.h5"
        ):
            open_explanations(one)


CHAIN = PRESETS["utd-mhad"].model_dump(mode="json")


@pytest.mark.parametrize(
    ("known", "attrs", "said"),
    [
        ({"frames": 48}, {}, r"frames 48 \(got 16\)"),
        ({"fps": 25.0}, {}, r"fps 25.0 \(got 30.0\)"),
        ({"preprocessing": CHAIN}, {**CHAIN, "centre": "none"}, r"centre median \(got none\)\. "),
    ],
)
def test_windows_prepared_otherwise_are_refused_unless_asked_for(waving, known, attrs, said):
    model, windows = small_model(), open_windows(waving)
    windows.attrs["preprocessing"] = attrs
    model.card = {"input": known}
    with pytest.raises(ValueError, match=rf"waving\.h5: expected windows prepared .*{said}"):
        check_preparation(model, windows)
    check_preparation(model, windows, other=True)


def test_what_a_card_does_not_say_is_not_compared(waving):
    windows, model = open_windows(waving), small_model()
    model.card = {"input": {"frames": 16, "fps": 30.0, "preprocessing": {**CHAIN, "seed": 9}}}
    windows.attrs["preprocessing"] = CHAIN
    check_preparation(model, windows)


def test_a_step_that_an_older_card_does_not_know_was_none(waving):
    windows, model = open_windows(waving), small_model()
    older = {step: value for step, value in CHAIN.items() if step != "repeat"}
    model.card = {"input": {"preprocessing": older}}
    windows.attrs["preprocessing"] = CHAIN
    check_preparation(model, windows)
    windows.attrs["preprocessing"] = {**CHAIN, "repeat": 300}
    with pytest.raises(ValueError, match=r"preprocess.repeat 0 .got 300.*preprocess=utd-mhad` mak"):
        check_preparation(model, windows)


@pytest.mark.slow
def test_commands_refuse_them_and_record_what_was_allowed(checkpoint, tmp_path):
    longer = moving_windows(tmp_path / "longer.h5", frames=18, test=("g3",)).path
    out = tmp_path / "x.h5"
    for command in (
        ("test",),
        ("explain", "--out", out),
        ("correlate", "--out", tmp_path / "c.csv"),
    ):
        name, *rest = command
        line = refused(name, checkpoint, longer, *rest)
        assert "expected windows prepared like those" in line
        assert "frames 16 (got 18)" in line
    done("explain", checkpoint, longer, "--limit", 1, "--other-preparation", "--out", out)
    assert json.loads(Explanation.open(out).dataset.attrs["request"])["other_preparation"] is True
    curves, table = tmp_path / "p.h5", tmp_path / "e.csv"
    for name, *rest in (
        ("perturb", "--top", 1, "--random", 2, "--out", curves),
        ("evaluate", "--metrics", "complexity", "--out", table),
    ):
        assert "frames 16 (got 18)" in refused(name, checkpoint, longer, out, *rest)
        done(name, checkpoint, longer, out, *rest, "--other-preparation")
    assert GapCurve.open(curves).dataset.attrs["other_preparation"] == 1
    assert list(pd.read_csv(table)["other_preparation"].unique()) == [True]


def test_an_unknown_preparation_is_warned_of_and_a_declared_one_is_compared(waving):
    windows, model = open_windows(waving), small_model()
    for card in ({}, {"input": {"frames": None, "fps": None, "preprocessing": None}}):
        model.card = card
        with pytest.warns(UserWarning, match=r"waving\.h5: nobody can say .* see `input`"):
            check_preparation(model, windows)
    model.card = {"input": windows.preparation}
    check_preparation(model, windows)


def test_a_network_of_a_cross_fitting_brings_its_sets_to_its_own_windows_only(waving, tmp_path):
    windows, other = Windows.open(waving), moving_windows(tmp_path / "other.h5", groups=5)
    model = small_model()
    fold = Fold(number=1, of=2, by="group", test=("g0", "g2"), val=("g1",))
    model.card = {"crossfit": fold.model_dump(), "data": {"digest": windows.digest}}
    sets = {
        name: {*open_windows(waving, name, network=model).group.tolist()}
        for name in ("train", "val", "test")
    }
    assert sets == {"train": {"g3"}, "val": {"g1"}, "test": {"g0", "g2"}}
    assert {*open_windows(waving, "test").group.tolist()} == {"g3"}
    assert open_windows(other.path, network=model).split.tolist() == other.split.tolist()
    del model.card["crossfit"]
    assert {*open_windows(waving, "test", network=model).group.tolist()} == {"g3"}
