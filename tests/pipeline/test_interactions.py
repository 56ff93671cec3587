from __future__ import annotations

import json

import numpy as np
import pytest
from fixtures.interactions import together

from hargcn.pipeline.interactions import interactions


@pytest.fixture
def file(tmp_path):
    matrices = [np.full((3, 3), value) for value in (1.0, 2.0, 6.0)]
    made = together(matrices).assign({"target": np.array([0, 1, 1])},
                                     {"sample": ["a@0", "b@0", "c@0"]},
                                     classes=json.dumps(["walk", "wave"]))  # fmt: skip
    made.save(tmp_path / "e.h5")
    return tmp_path / "e.h5"


def test_all_windows_those_of_a_class_or_one(file, tmp_path):
    out = tmp_path / "p.svg"
    for given, mean, title in (
        ({}, 3, "SHAP for 2 classes (mean of 3 windows)"),
        ({"class_": "wave"}, 4, "SHAP for wave (mean of 2 windows)"),
        ({"sample": "b@0"}, 2, "b@0: SHAP for wave (1 window)"),
    ):
        found = interactions(file, out, **given)
        assert found.matrix[0, 1] == mean
        assert title in out.read_text("utf-8")


def test_what_cannot_be_drawn_is_refused(file, tmp_path):
    out = tmp_path / "p.png"
    for given, match in (
        ({"class_": "wav"}, "expected a class that was explained .got 'wav'; did you mean 'wave'"),
        ({"sample": "a@1"}, "expected a window that was explained .got 'a@1'; did you mean 'a@0'"),
        ({"sample": "a@0", "class_": "wave"}, "expected 'a@0' explained for 'wave'"),
    ):
        with pytest.raises(ValueError, match=match):
            interactions(file, out, **given)
    with pytest.raises(ValueError, match=r"e\.h5"):
        interactions(file, file)
    with pytest.raises(ValueError, match="expected a picture"):
        interactions(file, tmp_path / "p.txt")
    assert not out.exists()
