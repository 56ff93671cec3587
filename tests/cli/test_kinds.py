"""Scores, levels and symptoms by the commands alone: from videos and a table to an explanation."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from fixtures.command_line import TINY, done, refused, sets
from fixtures.outcomes import OUTPUTS, outcome_windows

from hargcn.explanation import Explanation
from hargcn.metrics.gap_curve import GapCurve

pytestmark = pytest.mark.slow

CARE = (*TINY, "train.epochs=60", "train.lr=0.02", "train.augment=null", "train.seed=1")
"""Enough to learn a wave's size."""


@pytest.fixture(scope="module", params=OUTPUTS)
def trained(request, tmp_path_factory) -> tuple[str, Path, Path]:
    """Windows of a kind, and a network that was trained on them for two epochs."""
    folder = tmp_path_factory.mktemp("kinds")
    windows = outcome_windows(folder / "w.h5", request.param, unknown=4).path
    config = folder / "c.yaml"
    config.write_text(f"windows: {windows}\n", encoding="utf-8")
    done("train", config, *sets((*TINY, "train.epochs=2")), "--out", folder / "run")
    return request.param, windows, folder / "run" / "model.safetensors"


SHOWN = {
    "regression": ("mae", "rmse", "r2", "pearson", "spearman", "score", "pain"),
    "ordinal": ("accuracy", "mae", "kappa", "spearman"),
    "multi-label": ("roc_auc", "f1", "micro_f1", "exact_match", "tremor", "ataxia"),
}
NAMED = {"regression": "pain", "ordinal": "severe", "multi-label": "ataxia"}


def test_the_figures_of_each_kind_are_printed_and_those_unknown_left_out(trained) -> None:
    kind, windows, checkpoint = trained
    said = done("test", checkpoint, windows)
    assert not [name for name in SHOWN[kind] if name not in said]
    found = json.loads(done("test", checkpoint, windows, "--json"))
    assert found["outputs"] == OUTPUTS[kind].to_dict()
    assert found["windows"]["n"] == 5  # of six one outcome is not known
    log = pd.read_csv(checkpoint.with_name("log.csv"))
    assert {"train_loss", "val_loss", f"val_{SHOWN[kind][0]}"} <= set(log)


@pytest.mark.slow
def test_explained_perturbed_and_evaluated_in_units_of_each_kind(trained, tmp_path) -> None:
    kind, windows, checkpoint = trained
    file = tmp_path / "e.h5"
    asked = ("--class", NAMED[kind])
    done(
        "explain", checkpoint, windows, *asked, "--method", "shap", "--background", 4, "--out", file
    )
    found = Explanation.open(file)
    assert found.utility == ("value" if kind == "regression" else "logit")
    assert json.loads(found.dataset.attrs["outputs"]) == OUTPUTS[kind].to_dict()
    assert set(found.target.to_numpy().tolist()) == {1}
    assert "predicted" not in found.dataset
    known = found.dataset["level" if kind == "ordinal" else "outcome"]
    assert known.sizes["sample"] == 6
    assert float(found.relative_gap.max()) < 1e-3
    done("reproduce", file, "--checkpoint", checkpoint, "--windows", windows)
    picture = tmp_path / "rank.png"
    done("rank", file, "--out", picture)
    assert picture.stat().st_size > 1000
    said = done("perturb", checkpoint, windows, file, "--top", 2, "--random", 2,
                "--out", tmp_path / "p.h5")  # fmt: skip
    measure = "mae" if kind == "regression" else "accuracy"
    assert measure in GapCurve.open(tmp_path / "p.h5").dataset
    assert ("change of the value" in said) == (kind == "regression")
    done("evaluate", checkpoint, windows, file, "--out", tmp_path / "t.csv")
    measured = set(pd.read_csv(tmp_path / "t.csv")["metric"])
    assert {"pgi", "deletion"} <= measured
    assert ("average-drop" in measured) == (kind != "regression")


def test_what_a_kind_does_not_have_is_refused_in_one_line(trained, earlier) -> None:
    kind, windows, checkpoint = trained
    explain = ("explain", checkpoint, windows, "--out", earlier)
    if kind != "regression":
        assert "did you mean" in refused(*explain, "--class", NAMED[kind][:-1])
        return
    assert "says nothing of regression outputs" in refused(*explain)
    explain = (*explain, "--class", "pain")
    assert "scorecam: expected a network of classes" in refused(*explain, "-m", "scorecam")
    assert "shapcam: Expected utility 'logit'" in refused(*explain, "-m", "shapcam")
    assert "no probability (got 'prob')" in refused(*explain, "-s", "utility=prob")
    assert "expected windows with classes (got regression" in refused(*explain, "--of", "score")
    balanced = ("--method", "shap", "--background-by", "balanced")
    assert "for regression outcomes (got 'balanced'" in refused(*explain, *balanced)
    assert "threshold (got regression" in refused("test", checkpoint, windows, "--threshold", 0.5)


def test_a_measure_that_is_not_defined_is_refused_before_anything_runs(trained, tmp_path) -> None:
    kind, windows, checkpoint = trained
    file, table = tmp_path / "e.h5", tmp_path / "t.csv"
    done("explain", checkpoint, windows, "--class", NAMED[kind], "--out", file)
    evaluate = ("evaluate", checkpoint, windows, file, "--out", table, "--metrics")
    if kind == "multi-label":
        done(*evaluate, "add,complexity")
        return
    name = "average-drop" if kind == "regression" else "class-sensitivity"
    assert f"{name}: expected a network of classes" in refused(*evaluate, name)
    assert not table.exists()


def test_methods_say_which_outputs_they_explain() -> None:
    assert "outputs" in done("methods")
    assert "outputs: classes, ordinal, multi-label\n" in done("methods", "scorecam")


@pytest.mark.slow
@pytest.mark.parametrize("kind", OUTPUTS)
def test_a_trained_network_finds_the_joint_that_bears_the_outcome(kind, tmp_path) -> None:
    """Known evidence: the named output is the wave of one joint, which must rank before others."""
    windows = outcome_windows(tmp_path / "w.h5", kind, groups=8, per_group=8)
    config = tmp_path / "c.yaml"
    config.write_text(f"windows: {windows.path}\n", encoding="utf-8")
    done("train", config, *sets(CARE), "--out", tmp_path / "run")
    checkpoint = tmp_path / "run" / "model.safetensors"
    figures = json.loads(done("test", checkpoint, windows.path, "--json"))["windows"]
    figure = {"regression": "pearson", "ordinal": "spearman", "multi-label": "roc_auc"}[kind]
    assert figures[figure] > 0.9
    joint = 7 if kind == "ordinal" else 11  # right wrist; the second output is the left wrist's
    ranks = {}
    for method in ("shap", "gradcam", "random"):
        file = tmp_path / f"{method}.h5"
        done("explain", checkpoint, windows.path, "--class", NAMED[kind], "--method", method,
             "--split", "all", "--limit", 24, "--out", file)  # fmt: skip
        found = Explanation.open(file).values
        size = np.abs(found).mean([dim for dim in found.dims if dim not in ("sample", "joint")])
        ranks[method] = (-size.to_numpy()).argsort(axis=1).argsort(axis=1)[:, joint].mean()
    assert ranks["shap"] < 2
    assert ranks["gradcam"] < 4
    assert ranks["random"] > 6
