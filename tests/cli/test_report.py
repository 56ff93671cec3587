"""`hargcn report` on files that the other commands made."""

from __future__ import annotations

import numpy as np
from fixtures.command_line import done, refused
from fixtures.report_pages import embedded, judged, perturbed

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


def test_common_windows_are_shown_and_the_rest_is_said(shap, gradcams, tmp_path):
    """SHAP explains the first four windows, Grad-CAM all."""
    out = tmp_path / "report.html"
    done("report", shap, gradcams[0], "--out", out)
    page = out.read_text(encoding="utf-8")
    assert len(embedded(page)[1]) == 4
    count = len(Explanation.open(gradcams[0]))
    assert f"Grad-CAM main.0.tcn: 4 of its {count} windows are in all files" in page


def test_a_page_takes_the_network_and_what_was_measured(gradcams, checkpoint, waving, tmp_path):
    """Also in pages of three windows."""
    judged().to_csv(tmp_path / "table.csv", index=False)
    perturbed().save(tmp_path / "curves.h5")
    out = tmp_path / "pages" / "report.html"
    done(
        "report", gradcams[0], "--network", checkpoint, "--windows", waving, "--table",
        tmp_path / "table.csv", "--curves", tmp_path / "curves.h5", "--per-page", 3, "--out", out,
    )  # fmt: skip
    texts = [each.read_text(encoding="utf-8") for each in out.parent.glob("report-*.html")]
    counts = [len(embedded(text)[1]) for text in texts]
    assert sum(counts) == len(Explanation.open(gradcams[0]))
    assert max(counts) <= 3
    page = out.read_text(encoding="utf-8")
    assert 'id="measured"' in page
    assert 'id="origin"' in page


def test_bad_input_ends_in_a_line(shap, tmp_path):
    out = tmp_path / "report.html"
    assert "expected a name ending in .html" in refused("report", shap, "--out", tmp_path / "r.png")
    said = refused("report", shap, "--table", shap, "--out", out)
    assert f"{shap}: expected a table of `hargcn evaluate`" in said
    assert not list(tmp_path.iterdir())
