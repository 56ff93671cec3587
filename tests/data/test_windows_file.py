from __future__ import annotations

import h5py
import numpy as np
import pytest
from fixtures.recordings import drifting

from hargcn.data.cutting import WindowConfig, cut
from hargcn.data.splits import SplitConfig
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
