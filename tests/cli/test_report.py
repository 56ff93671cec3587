"""`hargcn report` on files that the other commands made."""

from __future__ import annotations

import numpy as np
from fixtures.command_line import done, refused
from fixtures.report_pages import embedded

from hargcn import Explanation


def test_maps_of_two_layers_become_a_page(gradcams, tmp_path):
    out = tmp_path / "report.html"
    assert done("report", *gradcams, "--out", out).strip().endswith(str(out))
    data, windows = embedded(out.read_text(encoding="utf-8"))
    first = Explanation.open(gradcams[0])
    assert [each["name"] for each in data["windows"]] == first.dataset["sample"].values.tolist()
    assert len(windows) == len(first)
    assert [each["title"] for each in data["methods"]] == [
        "Grad-CAM main.0.tcn", "Grad-CAM main.0.attention",
    ]  # fmt: skip


def test_names_can_be_hashed(shap, tmp_path):
    out = tmp_path / "report.html"
    done("report", shap, "--anonymise", "--out", out)
    names = Explanation.open(shap).dataset["recording"].to_numpy()
    assert not [name for name in np.unique(names) if name in out.read_text(encoding="utf-8")]


def test_other_windows_and_other_endings_are_refused(shap, gradcams, tmp_path):
    out = tmp_path / "report.html"
    assert "expected the same samples in the same order" in refused(
        "report", shap, gradcams[0], "--out", out
    )
    assert "expected a name ending in .html" in refused("report", shap, "--out", tmp_path / "r.png")
    assert not list(tmp_path.iterdir())
