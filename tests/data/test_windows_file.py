from __future__ import annotations

import json

import h5py
import numpy as np
import pytest
from fixtures.outcomes import OUTPUTS, outcome_windows
from fixtures.recordings import drifting

from hargcn import hdf5
from hargcn.data.cutting import WindowConfig, cut
from hargcn.data.splits import SplitConfig
from hargcn.data.windows import Windows
from hargcn.data.windows_file import WindowWriter, parsed

CONFIG = WindowConfig(length=20, overlap=10)


@pytest.fixture
def writer(tmp_path):
    with h5py.File(tmp_path / "w.h5", "w") as file:
        yield WindowWriter(file, ["calm", "wild"])


def add(writer: WindowWriter, **fields) -> None:
    recording = drifting(**fields)
    writer.add(recording, list(cut(recording, CONFIG)))


def test_layout_and_columns(writer) -> None:
    """Names, axes and types as documented, for programs that read the file without hargcn."""
    add(writer, frames=30, sample="a", label=1, camera=3)
    add(writer, frames=20, sample="b", group="bert", label=None)
    quality = writer.finish(SplitConfig(train=["anna"]))
    file = writer.file
    assert file["positions"].shape == (3, 2, 20, 19, 1)
    assert file["positions"].dtype == np.float32
    assert file["valid"].shape == (3, 20, 1)
    assert file["valid"].dtype == bool
    assert file["label"][()].tolist() == [1, 1, -1]
    assert file["start"][()].tolist() == [0, 10, 0]
    assert file["sample"].asstr()[()].tolist() == ["a", "a", "b"]
    assert file["group"].asstr()[()].tolist() == ["anna", "anna", "bert"]
    assert file["split"].asstr()[()].tolist() == ["train", "train", "test"]
    assert file["camera"][()].tolist() == [3, 3, -1]
    assert "setup" not in file
    assert "truth" not in file
    assert quality.sets["train"].windows == 2


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"sample": "a"}, "a: expected one recording of this name"),
        ({"label": 2}, r"expected a label below 2 \(got 2\)"),
        ({"layout": "coco17"}, "expected the same skeleton as a$"),
        ({"fps": 25}, r"expected the same fps as a: 30.0 \(got 25\)"),
        ({"persons": 2}, r"expected the same persons as a: 1 \(got 2\)"),
        ({"truth": np.zeros((60, 19))}, r"expected the same truth as a: False \(got True\)"),
    ],
)
def test_recordings_that_do_not_fit(writer, fields, message) -> None:
    add(writer, sample="a")
    with pytest.raises(ValueError, match=message):
        add(writer, **{"sample": "b", **fields})


def test_nothing_to_write(writer) -> None:
    writer.add(drifting(), [])
    with pytest.raises(ValueError, match=r"at least one window \(got 1 recordings\)"):
        writer.finish(None)


def test_a_split_that_does_not_fit(writer) -> None:
    add(writer)
    with pytest.raises(ValueError, match="ids of group for train among anna"):
        writer.finish(SplitConfig(train=["zoe"]))


def test_attributes_are_plain_python() -> None:
    assert parsed('{"a": [1]}') == {"a": [1]}
    assert parsed("words") == "words"
    assert type(parsed(np.float64(3))) is float


def test_outcomes_stand_beside_the_windows_and_say_what_they_are(tmp_path) -> None:
    path = tmp_path / "w.h5"
    made = outcome_windows(path, "regression", unknown=1)
    with h5py.File(path) as file:
        assert file["outcome"].shape == (24, 2)
        assert file["outcome"].dtype == np.float32
        assert file["output"].asstr()[()].tolist() == ["score", "pain"]
        assert json.loads(file.attrs["outputs"]) == {
            "kind": "regression", "names": ["score", "pain"],
        }  # fmt: skip
        assert json.loads(file.attrs["classes"]) == []
    assert np.isnan(made.outcome[0]).all()
    assert made.known.tolist() == [False] + [True] * 23
    some = made.subset([3, 1])
    np.testing.assert_array_equal(some.outcome, made.outcome[[3, 1]])
    assert made.subset(2).outcome.shape == (1, 2)


def test_levels_are_labels_and_several_labels_are_not(tmp_path) -> None:
    levels = outcome_windows(tmp_path / "levels.h5", "ordinal", unknown=1)
    assert levels.classes == levels.outputs.names == ("none", "mild", "severe")
    assert levels.outcome is None
    assert levels.wanted[:4].tolist() == [-1, 1, 2, 0]
    several = outcome_windows(tmp_path / "several.h5", "multi-label")
    assert several.classes == ()
    assert set(np.unique(several.outcome)) == {0, 1}


def test_a_file_of_classes_says_nothing_of_other_outputs(writer) -> None:
    add(writer, frames=30, sample="a", label=1)
    writer.finish(None)
    assert "outcome" not in writer.file
    assert "output" not in writer.file


@pytest.mark.parametrize(
    ("fields", "match"),
    [
        ({"outcome": [1.0]}, "a: expected regression outcomes of score, pain .got 1 values"),
        ({"label": 0}, "a: expected a label below 0 .got 0"),
        ({"label": None, "outcome": [[1.0, 2.0]]}, r"a: expected outcome .output,. .got .1, 2"),
        ({"label": None, "outcome": [np.inf, 1]}, "a: expected outcomes that are finite, or NaN"),
    ],
)
def test_outcomes_that_do_not_fit_are_refused(tmp_path, fields, match) -> None:
    with h5py.File(tmp_path / "w.h5", "w") as file:
        writer = WindowWriter(file, OUTPUTS["regression"])
        with pytest.raises(ValueError, match=match):
            add(writer, **{"frames": 30, "sample": "a", "label": None, **fields})


@pytest.mark.parametrize(
    ("said", "match"),
    [
        ('{"kind": "sums", "names": ["a"]}', "kind of outputs of classes, regression"),
        ('{"kind": "regression", "names": ["a"]}', r"expected outcome \(24, 1\)"),
        ('{"kind": "ordinal", "names": ["a", "b"]}', "expected classes of these names for ordinal"),
        ("{}", "expected kind and names of the outputs"),
    ],
)
def test_a_damaged_description_is_refused(tmp_path, said, match) -> None:
    path = tmp_path / "w.h5"
    outcome_windows(path, "regression")
    with h5py.File(path, "r+") as file:
        file.attrs["outputs"] = said
    hdf5.seal(path)
    with pytest.raises(ValueError, match=match):
        Windows.open(path)
