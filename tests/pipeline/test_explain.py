"""What `explain` says before and after a job is done."""

from __future__ import annotations

from pathlib import Path

import pytest

from hargcn import load_model
from hargcn.explainers import DeepSHAP
from hargcn.networks.stgcn import MultiBranchSTGCN
from hargcn.pipeline.explain import explain, layers_of

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


def test_a_stage_alone_is_the_last_layer_called_so(checkpoint):
    model = load_model(checkpoint)
    names = model.layer_names()
    for stage in ("tcn", "attention"):
        (last,) = layers_of(model, "gradcam", [stage])
        assert last == [name for name in names if name.endswith(f".{stage}")][-1]
    assert layers_of(model, "gradcam", ["tcn", names[-2]]) == [names[-2]]
    with pytest.raises(ValueError, match=r"Expected --layer of .* \(got 'gate'"):
        layers_of(model, "gradcam", ["gate"])
