"""What `explain` says before and after a job is done."""

from __future__ import annotations

from pathlib import Path

import pytest

from hargcn.explainers import DeepSHAP
from hargcn.networks.stgcn import MultiBranchSTGCN
from hargcn.pipeline.explain import explain

GIVEN = {"method": "shap", "background": 3, "limit": 2}


def told(checkpoint: Path, waving: Path, out: Path) -> list[str]:
    said: list[str] = []
    explain(checkpoint, waving, out, say=said.append, **GIVEN)
    return said


def test_a_finished_job_says_so_at_once_and_computes_nothing(
    checkpoint, waving, tmp_path, monkeypatch
):
    out = tmp_path / "x.h5"
    (forecast,) = told(checkpoint, waving, out)
    assert forecast.startswith("2 samples x 3 background rows")
    monkeypatch.setattr(DeepSHAP, "forecast", lambda *_: pytest.fail("a forecast of nothing"))
    monkeypatch.setattr(MultiBranchSTGCN, "forward", lambda *_: pytest.fail("computed"))
    (said,) = told(checkpoint, waving, out)
    assert said == f"{out}: finished before, nothing to do (remove it to make it anew)"
