from __future__ import annotations

import pandas as pd
from fixtures.command_line import done, refused


def test_methods_are_timed_in_turns(checkpoint, waving, tmp_path):
    out = tmp_path / "bench.csv"
    few = ("-m", "gradcam", "-m", "shap", "--background", 2, "--limit", 2, "--rounds", 1)
    said = done("bench", checkpoint, waving, *few, "--out", out)
    found = pd.read_csv(out, keep_default_na=False)
    assert found["method"].tolist() == ["one forward pass", "gradcam", "shap"]
    assert found["rows"].tolist() == [0, 0, 2]
    assert (found["first"] > 0).all()
    assert "one window, on" in said
    assert said.endswith(f"{out}\n")


def test_what_cannot_be_timed_is_said(checkpoint, waving, tmp_path):
    out = tmp_path / "bench.csv"
    assert "did you mean 'gradcam'" in refused(
        "bench", checkpoint, waving, "-m", "gradcan", "--out", out
    )
    assert not out.exists()
