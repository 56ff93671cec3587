"""The cascade of a network that forgets, as a table."""

from __future__ import annotations

import pandas as pd
import pytest

from hargcn import Windows, load_model
from hargcn.explainers import GradCAM
from hargcn.metrics.sanity import randomisation
from hargcn.pipeline.cascades import cascades
from hargcn.pipeline.case import ExplainedWindows
from hargcn.pipeline.combine import combine
from hargcn.pipeline.explain import explain


@pytest.mark.slow
def test_every_method_fades_from_what_it_said(checkpoint, waving, tmp_path):
    for method, file in (("saliency", "a.h5"), ("gradcam", "b.h5")):
        explain(checkpoint, waving, tmp_path / file, method=method, limit=4)
    combine(tmp_path / "a.h5", tmp_path / "b.h5", tmp_path / "c.h5")
    files = [tmp_path / name for name in ("a.h5", "b.h5", "c.h5")]
    cascades(checkpoint, waving, files, tmp_path / "o.csv", stages=3, progress=False)
    read = pd.read_csv(tmp_path / "o.csv")
    methods = [*read["method"].unique()]
    assert methods == [
        "saliency",
        f"gradcam {[*load_model(checkpoint).layer_names()][-1]}",
        "random",
    ]
    assert (read.groupby("method").size() == 4).all()
    assert (read[read["stage"] == 0]["mean"] == 1).all()
    assert (read[read["stage"] == 1]["mean"] < 0.99).all()
    assert abs(read[(read["method"] == "random") & (read["stage"] == 1)]["mean"].item()) < 0.5
    opened = ExplainedWindows.open(checkpoint, waving, files[1:2], progress=False)
    (made,) = opened.explanations.values()
    own = randomisation(
        opened.model, opened.positions, made, GradCAM(made.layer), stages=3, run=opened.run
    )
    told = read[(read["method"] == methods[1]) & (read["stage"] > 0)]["mean"]
    assert told.tolist() == pytest.approx(own.mean("sample").to_numpy().tolist(), abs=1e-3)
    assert read["n"].max() == len(Windows.open(waving).subset("test").names[:4])


def test_what_cannot_be_made_again_is_refused(checkpoint, waving, tmp_path):
    for method, file in (("saliency", "a.h5"), ("gradcam", "b.h5")):
        explain(checkpoint, waving, tmp_path / file, method=method, limit=2)
    combine(tmp_path / "a.h5", tmp_path / "b.h5", tmp_path / "c.h5")
    with pytest.raises(ValueError, match="Expected an explanation to remake"):
        cascades(checkpoint, waving, [tmp_path / "c.h5"], tmp_path / "o.csv", progress=False)
