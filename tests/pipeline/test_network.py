from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from fixtures import ntu_files
from fixtures.moving_windows import moving_windows
from fixtures.small_model import small_model

import hargcn
from hargcn import load_model
from hargcn.data.windows import Windows
from hargcn.pipeline import network
from hargcn.pipeline.opening import check_preparation
from hargcn.pipeline.prepare import prepare
from hargcn.training.classification import by_recording, classification_report, youden


def test_a_network_is_tested_on_a_set_as_its_parts_would(checkpoint, waving):
    found = network.test(checkpoint, waving, split="all", aggregate="median", progress=False)
    expected = classification_report(
        load_model(checkpoint), hargcn.Windows.open(waving), aggregate="median"
    )
    np.testing.assert_array_equal(found.probabilities, expected.probabilities)
    assert found.to_dict() == expected.to_dict()
    assert network.test(checkpoint, waving, progress=False).windows["n"] == 12


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            {"split": "tset"},
            r"expected a set of test, train, val \(got 'tset'; did you mean 'test'\?\)",
        ),
        ({"aggregate": "max"}, r"Expected aggregate of mean, median \(got 'max'\)"),
        ({"threshold": 0.5}, "two classes"),
        ({"threshold": "0.5"}, "two classes"),
        ({"threshold": "youdn"}, r"threshold a probability, or youden \(got youdn\)"),
        ({"threshold": 1.5}, r"threshold a probability, or youden \(got 1.5\)"),
        ({"threshold": "youden", "threshold_from": "test"}, r"h5: .* \(got 'test' for 'test'\)"),
        ({"threshold": "youden", "threshold_from": "all"}, r"h5: .* \(got 'all' for 'test'\)"),
        ({"threshold": "youden"}, "two classes"),
        ({"device": "cuda:99"}, "Expected device cpu, cuda or cuda:N"),
    ],
)
def test_what_makes_no_sense_is_refused(checkpoint, waving, given, said):
    with pytest.raises(ValueError, match=said):
        network.test(checkpoint, waving, progress=False, **given)


def test_youdens_threshold_is_that_of_another_sets_recordings(tmp_path):
    made = moving_windows(tmp_path / "w.h5", classes=2, groups=6, val=("g1", "g2"), test=("g3",))
    card = {"input": dict(made.preparation)}
    path = hargcn.save_model(small_model(classes=2), tmp_path / "m.safetensors", card)
    found = network.test(path, made.path, threshold="youden", progress=False)
    others = network.test(path, made.path, split="val", progress=False)
    _, labels, p = by_recording(others.samples, others.labels, others.probabilities)
    expected = youden(labels, p)
    assert found.settings["threshold"] == expected
    assert expected != youden(others.labels, others.probabilities)
    assert (
        found.to_dict()
        == network.test(path, made.path, threshold=expected, progress=False).to_dict()
    )
    loose = network.test(path, made.path, threshold=0, progress=False)
    assert loose.recordings["sensitivity"] == 1


def test_windows_without_labels_cannot_test(checkpoint, tmp_path):
    bare = moving_windows(tmp_path / "bare.h5", labels=False, test=("g3",)).path
    with pytest.raises(ValueError, match=r"bare\.h5"):
        network.test(checkpoint, bare, progress=False)


def test_layers_come_in_the_order_they_run_with_the_shapes_they_give(checkpoint):
    shapes = network.layers(checkpoint)
    model = load_model(checkpoint)
    assert list(shapes) == list(model.layer_names())
    assert shapes["J.init"] == (4, 16, 19)  # channels, frames, joints
    assert shapes["main.0.tcn"] == (8, 8, 19)  # a stride of 2


def test_layers_of_a_network_that_does_not_say_how_long_its_windows_are(tmp_path):
    path = hargcn.save_model(small_model(), tmp_path / "m.safetensors")
    assert network.layers(path)["J.stem.tcn"][1] == 64


def test_a_conversion_takes_class_names_and_says_where_it_comes_from(tmp_path, monkeypatch):
    monkeypatch.setattr(
        "hargcn.networks.convert.convert", lambda _, layout: small_model(layout.name, classes=2)
    )
    theirs, out, names = (tmp_path / name for name in ("cp.pth.tar", "x.safetensors", "names.txt"))
    names.write_text("absent\n\n  present \n", "utf-8")
    network.convert("shapgcn", theirs, "inmotion19", out, classes=names)
    found = load_model(out)
    assert found.classes == ("absent", "present")
    assert found.card["converted_from"] == "cp.pth.tar"
    assert network.convert("shapgcn", theirs, "inmotion19", out).classes == ("class0", "class1")
    assert network.layers(out)["J.init"][1:] == (64, 19)  # windows of unknown length
    names.write_text("only one\n", "utf-8")
    with pytest.raises(ValueError, match=r"names\.txt: expected 2 class names.*\(got 1\)"):
        network.convert("shapgcn", theirs, "inmotion19", out, classes=names)


@pytest.mark.slow
def test_a_converted_network_declares_its_preparation_or_the_commands_warn(
    tmp_path, monkeypatch, waving
):
    monkeypatch.setattr(
        "hargcn.networks.convert.convert", lambda _, layout: small_model(layout.name)
    )
    theirs, out = tmp_path / "cp.pth.tar", tmp_path / "x.safetensors"
    network.convert("shapgcn", theirs, "inmotion19", out)
    with pytest.warns(UserWarning, match=r"waving\.h5: nobody can say whether its windows"):
        network.test(out, waving, progress=False)
    # Outside the tests warnings are no errors, and the command says it in one line.
    said = subprocess.run(
        [sys.executable, "-m", "hargcn", "test", out, waving],
        capture_output=True, text=True, check=True,
    ).stderr  # fmt: skip
    assert "\nhargcn: warning: " in f"\n{said}"
    assert "UserWarning" not in said
    network.convert("shapgcn", theirs, "inmotion19", out, windows=waving)
    assert load_model(out).card["input"]["frames"] == 16
    assert network.test(out, waving, progress=False).windows["n"] == 12
    longer = moving_windows(tmp_path / "longer.h5", frames=18, test=("g3",)).path
    with pytest.raises(ValueError, match=r"longer\.h5: expected windows prepared like those"):
        network.test(out, longer, progress=False)


def test_a_converted_ntu_network_asks_for_the_published_preparation(tmp_path, monkeypatch):
    monkeypatch.setattr(
        "hargcn.networks.convert.convert", lambda _, layout: small_model(layout.name)
    )
    theirs, out = tmp_path / "ntu.pth.tar", tmp_path / "x.safetensors"
    network.convert("shapgcn", theirs, "ntu25", out)
    asked = load_model(out).card["input"]
    assert (asked["frames"], asked["fps"]) == (150, 30)
    files = tmp_path / "ntu"
    files.mkdir()
    people = [[(ntu_files.ANNA, ntu_files.standing())]] * 12
    for action in (1, 2, 3):
        ntu_files.write(files, people, f"S001C001P001R001A{action:03d}")
    wanted = ["split=null", "reader.actions=3"]
    ours = prepare(files, tmp_path / "ours.h5", changes=wanted).path
    said = r"ours\.h5: .*preprocess\.repeat 300 .got 0.*`hargcn prepare --set preprocess=ntu-publ"
    with pytest.raises(ValueError, match=said):
        network.test(out, ours, split="all", progress=False)
    changes = [*wanted, "preprocess=ntu-published"]
    theirs_too = prepare(files, tmp_path / "theirs.h5", changes=changes).path
    check_preparation(load_model(out), Windows.open(theirs_too))
    network.convert("shapgcn", theirs, "ntu25", out, windows=ours)
    assert load_model(out).card["input"]["preprocessing"]["repeat"] == 0
    check_preparation(load_model(out), Windows.open(ours))


def test_conversions_that_cannot_be_are_refused(checkpoint, tmp_path):
    out = tmp_path / "x.safetensors"
    with pytest.raises(ValueError, match=r"Expected source of shapgcn .got 'agcn'"):
        network.convert("agcn", checkpoint, "ntu25", out)
    with pytest.raises(ValueError, match=r"model\.safetensors: expected"):
        network.convert("shapgcn", checkpoint, "ntu25", out)
    with pytest.raises(ValueError, match="expected another file to write than an input"):
        network.convert("shapgcn", checkpoint, "ntu25", checkpoint)
    with pytest.raises(ValueError, match=r"x\.pt: expected a name ending in \.safetensors"):
        network.convert("shapgcn", checkpoint, "ntu25", tmp_path / "x.pt")
    with pytest.raises(ValueError, match="did you mean 'ntu25'"):
        network.convert("shapgcn", checkpoint, "ntu2", out)
    assert not list(tmp_path.iterdir())
