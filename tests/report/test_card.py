"""A network and windows in words: what is known is said, nobody is named."""

from __future__ import annotations

import json

import numpy as np
from fixtures.recordings import drifting

from hargcn.data.cutting import WindowConfig
from hargcn.data.preprocess import PreprocessConfig
from hargcn.data.recording import Recordings
from hargcn.data.splits import SplitConfig
from hargcn.data.windows import write_windows
from hargcn.report.card import data_words, network_words

CARD = {
    "parameters": 376751,
    "input": {"layout": "kinect20", "branches": ["J", "V"], "frames": 64, "fps": None},
    "classes": ["wave", "clap"],
    "data": {"source": "UTD-MHAD", "file": "anna.h5", "train": 431, "val": 0},
    "training": {"optimizer": "adamw", "lr": 0.003, "seed": 1234},
    "epoch": 50,
    "seconds": 494.8,
    "validation": {"accuracy": 0.91234, "auc": None},
    "weights": "7bdabbaadb8c798f",
    "versions": {"hargcn": "0.1.0", "torch": "2.13.0"},
}


def test_a_card_is_said_in_words():
    assert network_words(CARD) == {
        "Size": "376,751 parameters",
        "Takes": "windows of 64 frames; layout kinect20; branches J (positions), V (velocities)",
        "Answers": "2 classes: wave, clap",
        "Trained on": "UTD-MHAD; anna.h5; 431 windows for train",
        "Training": "50 epochs; adamw, learning rate 0.003; seed 1234; 495 s; hargcn 0.1.0",
        "Validation": "accuracy 0.912",
        "Weights": "7bdabbaadb8c798f",
    }


def test_files_are_named_only_where_asked_and_nothing_is_made_up():
    assert "anna" not in str(network_words(CARD, named=False))
    assert network_words(CARD, named=False)["Trained on"] == "431 windows for train"
    assert network_words({}) == {}
    assert network_words({"validation": None, "data": None, "input": None}) == {}


def test_windows_are_counted_by_set_and_nobody_is_named(tmp_path):
    """Four recordings of 80 frames, each two windows, of anna (test) and bert (train)."""

    def load(at: int):
        who = ("anna", "bert")[at // 2]
        return drifting(sample=f"{who}{at}", group=who, label=at % 2, frames=80)

    windows = write_windows(
        tmp_path / "w.h5", Recordings(range(4), load, ("calm", "wild")), ("calm", "wild"),
        WindowConfig(length=40, overlap=0), split=SplitConfig(test=("anna",)),
        preprocessing=PreprocessConfig().model_dump(mode="json"),
    )  # fmt: skip
    said = data_words(windows)
    assert said["sets"] == ["train", "test"]
    assert dict(said["rows"]) == {
        "Windows": [4, 4], "Recordings": [2, 2], "Subjects": [1, 1],
        "Windows of calm": [2, 2], "Windows of wild": [2, 2],
    }  # fmt: skip
    assert dict(said["steps"])["windows"].startswith("40 frames")
    assert "anna" not in json.dumps(said, default=np.ndarray.tolist)
