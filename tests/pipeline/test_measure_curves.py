"""Measures as curves: what stands in their table is what the measures say."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from hargcn import Explanation, load_model
from hargcn.explainers import GradCAM
from hargcn.metrics.faithfulness import sensitivity_n
from hargcn.metrics.masking import deletion, masked
from hargcn.perturbation import InputEdit
from hargcn.pipeline.case import ExplainedWindows
from hargcn.pipeline.explain_windows import explain_windows
from hargcn.pipeline.measure_curves import FIGURES, curves
from hargcn.pipeline.opening import open_windows

ASKED = {
    "sensitivity-n": [1, 4, 99],
    "deletion": [0, 0.5, 1],
    "insertion": [0, 0.5, 1],
    "negative-cells": [0.1],
    "negative-joints": [1, 2],
    "kept": [0.2, 1],
}


@pytest.fixture(scope="module")
def files(checkpoint, waving, tmp_path_factory):
    """A network, windows and Grad-CAM of four of them."""
    (path,) = explain_windows(
        load_model(checkpoint), open_windows(waving, "test", 4), GradCAM("main.0.attention"),
        tmp_path_factory.mktemp("cam") / "cam.h5", progress=False,
    )  # fmt: skip
    return checkpoint, waving, [path]


def test_every_figure_has_its_places_and_is_the_measure(files, tmp_path):
    out = tmp_path / "c.csv"
    found = curves(*files, out, figures=ASKED, subsets=20, random=2)
    pd.testing.assert_frame_equal(pd.read_csv(out), found, check_dtype=False, rtol=1e-3)
    assert {name.split(":")[0] for name in found["figure"]} == {*FIGURES}
    assert found["method"].unique().tolist() == [
        "gradcam main.0.attention",
        "acceleration",
        "random",
    ]
    at = found.set_index(["figure", "method", "x"])["estimate"].sort_index()
    assert at["sensitivity-n", "random"].index.tolist() == [1, 4]  # nobody has 99 joints
    opened = ExplainedWindows.open(*files, progress=False)
    explanation = Explanation.open(files[2][0])
    base, edit = (opened.model, opened.positions, explanation), InputEdit("freeze")
    own = sensitivity_n(*base, edit, size=4, subsets=20, run=opened.run).mean().item()
    assert at["sensitivity-n", "gradcam main.0.attention", 4] == pytest.approx(own, rel=1e-3)
    curve = at["deletion", "gradcam main.0.attention"]
    own = deletion(*base, edit, steps=2, run=opened.run).mean().item()
    assert (curve[0] + 2 * curve[0.5] + curve[1]) / 4 == pytest.approx(own, rel=1e-3)
    for method in ("gradcam main.0.attention", "random"):
        assert at["deletion", method, 1] == pytest.approx(at["insertion", method, 0])
        assert at["deletion", method, 0] == pytest.approx(at["insertion", method, 1])


def test_a_share_of_the_positive_cells_begins_with_none_and_ends_with_all(files, tmp_path):
    found = curves(*files, tmp_path / "c.csv", figures={"kept": [0, 1]}, random=1)
    at = found.set_index(["figure", "method", "x"])["estimate"].sort_index()["kept:average-drop"]
    assert np.ptp(at.xs(0, level="x")) < 1e-9  # nothing is kept, whatever the map
    opened = ExplainedWindows.open(*files, progress=False)
    every = Explanation.open(files[2][0]).upsample()
    shown = Explanation(every.dataset.assign(attribution=every.values.clip(min=0)))
    base = (opened.model, opened.positions, shown, InputEdit("freeze"))
    own = masked(*base, run=opened.run)["average-drop"].mean().item()
    assert at["gradcam main.0.attention", 1] == pytest.approx(own, rel=1e-3)


def test_what_cannot_be_asked_is_refused(files, tmp_path):
    for given, match in (
        ({"figures": {"pgi": [1]}}, "figures.*got 'pgi'"),
        ({"figures": ASKED, "random": 0}, "Expected random of at least 1"),
        ({"figures": ASKED, "edit": "edge:self:zero"}, "Expected an edit of the input .got 'edge"),
    ):
        with pytest.raises(ValueError, match=match):
            curves(*files, tmp_path / "c.csv", **given)
    assert list(tmp_path.iterdir()) == []
