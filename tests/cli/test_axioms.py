from __future__ import annotations

import pandas as pd
import pytest
from fixtures.command_line import done, refused

from hargcn.explainers import methods
from hargcn.metrics.axioms import AXIOMS


@pytest.mark.slow
def test_axioms_are_a_table_with_reasons(checkpoint, waving, tmp_path):
    out = tmp_path / "axioms.csv"
    few = ("--method", "shap", "--method", "gradcam", "--limit", 1, "--background", 2)
    said = done("axioms", checkpoint, waving, *few, "--out", out)
    found = pd.read_csv(out, keep_default_na=False)
    assert list(found["axiom"]) == [*AXIOMS] * 2
    verdicts = found.set_index(["method", "axiom"])["verdict"]
    assert verdicts["shap", "completeness"] == verdicts["shap", "null-player"] == "pass"
    assert "gradcam, completeness: figure: Grad-CAM has no promise of a sum" in said
    assert said.endswith(f"{out}\n")


@pytest.mark.slow
def test_every_method_is_judged_and_none_stops_the_others(checkpoint, waving, tmp_path):
    out = tmp_path / "axioms.csv"
    done("axioms", checkpoint, waving, "--limit", 1, "--background", 2, "--out", out)
    found = pd.read_csv(out, keep_default_na=False)
    own = [name for name, cls in methods().items() if not {"mask", "shap", "cam"} & {*cls.needs}]
    assert list(found["method"].unique()) == own
    assert (found.groupby("method").size() == len(AXIOMS)).all()
    told = found[found["verdict"].isin(["fail", "not applicable"])]
    assert told["why"].str.len().min() > 0
    sums = found[found["axiom"] == "completeness"].set_index("method")["verdict"]
    assert sums["shap"] == sums["integrated-gradients"] == "pass"
    assert sums["random"] == "figure"


def test_a_hybrid_has_no_axioms_of_its_own(checkpoint, waving, tmp_path):
    out = tmp_path / "axioms.csv"
    said = refused("axioms", checkpoint, waving, "--method", "hybrid-rank", "--out", out)
    assert "hybrid-rank: expected a method of its own" in said
    assert not out.exists()
