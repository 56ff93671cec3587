"""Cross-fitting outcomes that are no classes: everybody is judged, once, by who never saw them."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fixtures.command_line import TINY, done
from fixtures.outcomes import OUTPUTS, outcome_windows
from scipy.stats import spearmanr

from hargcn import Explanation
from hargcn.data.windows import Windows
from hargcn.pipeline import crossfit as module
from hargcn.pipeline.config import ExperimentConfig
from hargcn.pipeline.crossfit import CrossFit, crossfit
from hargcn.training.trainer import Trainer

pytestmark = pytest.mark.slow

NAMED = {"regression": "pain", "ordinal": "severe", "multi-label": "ataxia"}
FIGURE = {"regression": "mae", "ordinal": "accuracy", "multi-label": "accuracy"}


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(kind, marks=() if kind == "regression" else pytest.mark.slow)
        for kind in OUTPUTS
    ],
)
def fitted(request: pytest.FixtureRequest, tmp_path_factory) -> tuple[str, Windows, CrossFit]:
    """Four subjects in two folds; the outcomes of two recordings are not known."""
    folder = tmp_path_factory.mktemp("pooled")
    windows = outcome_windows(folder / "w.h5", request.param, unknown=2)
    found = crossfit(
        ExperimentConfig(windows=windows.path), folds=2, val_share=0.3,
        set_=(*TINY, "train.epochs=2", "train.select=best"), out=folder / "x", methods=["gradcam"],
        target=NAMED[request.param], progress=False,
    )  # fmt: skip
    return request.param, windows, found


def rows_of(found: CrossFit) -> list[dict[str, str]]:
    with found.path.with_name("predictions.csv").open(encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def test_everybody_of_known_outcome_is_tested_once_and_all_are_explained(fitted) -> None:
    kind, windows, found = fitted
    rows = rows_of(found)
    known = windows.sample[windows.known].tolist()
    assert [row["recording"] for row in rows] == known
    held = {name: part["number"] for part in found.figures["folds"] for name in part["test"]}
    assert all(int(row["fold"]) == held[row["subject"]] for row in rows)
    explained = Explanation.open(found.explanations[0]).dataset
    assert explained.sizes["sample"] == len(windows)
    assert explained["fold"].to_numpy().tolist() == [held[name] for name in windows.group]
    assert found.figures["pooled"]["outputs"] == OUTPUTS[kind].to_dict()


def test_figures_are_those_of_the_predictions(fitted) -> None:
    """Worked out again from the table that people get."""
    kind, _, found = fitted
    rows, outputs, pooled = rows_of(found), OUTPUTS[kind], found.figures["pooled"]["recordings"]
    assert pooled["n"] == len(rows) == 22
    if kind == "ordinal":
        right = [row["label"] == row["predicted"] for row in rows]
        assert pooled["accuracy"] == pytest.approx(np.mean(right))
        for row in rows:
            reached = [float(row[f"p({column})"]) > 0.5 for column in outputs.columns]
            assert row["predicted"] == outputs.names[sum(reached)]
        return
    said = "said" if kind == "regression" else "p"
    true = "outcome" if kind == "regression" else "label"
    for name in outputs.names:
        own = np.array(
            [[float(row[f"{true}({name})"]), float(row[f"{said}({name})"])] for row in rows]
        )
        part = pooled["per_output"][name]
        if kind == "regression":
            assert part["mae"] == pytest.approx(np.abs(own[:, 0] - own[:, 1]).mean(), abs=1e-4)
            assert part["spearman"] == pytest.approx(spearmanr(*own.T).statistic, abs=1e-3)
        else:
            assert part["accuracy"] == pytest.approx(np.mean((own[:, 1] >= 0.5) == own[:, 0]))


def test_means_over_folds_have_intervals(fitted) -> None:
    kind, _, found = fitted
    name, parts = FIGURE[kind], found.figures["folds"]
    for level in ("windows", "recordings"):
        means = found.figures["mean_over_folds"][level]
        assert means[name] == pytest.approx(np.mean([part[level][name] for part in parts]))
        assert "loss" not in means
        for each in (means, found.figures["pooled"][level]):
            low, high = each["interval"][name]
            assert low <= each[name] <= high


def test_the_command_prints_the_figures_of_the_kind(fitted) -> None:
    kind, windows, found = fitted
    config = windows.path.with_suffix(".yaml")
    config.write_text(f"windows: {windows.path}\n", "utf-8")
    changes = [word for each in (*TINY, "train.epochs=1") for word in ("--set", each)]
    said = done("crossfit", config, "--folds", 2, *changes, "--out", windows.path.with_name("y"))
    assert "mean over folds" in said
    assert FIGURE[kind] in said.split("held out")[1].splitlines()[0] or kind == "multi-label"
    assert found.path.name in said


@pytest.mark.parametrize(
    ("kind", "given", "said"),
    [
        ("regression", {"methods": ["gradcam"]}, "which says nothing of regression outputs"),
        ("regression", {"methods": ["gradcam"], "target": "pian"}, "did you mean 'pain'"),
        (
            "regression",
            {"methods": ["scorecam"], "target": "pain"},
            "expected a network of classes",
        ),
        ("ordinal", {"methods": ["gradcam"], "target": "label"}, "levels of all windows"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_is_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, given: dict[str, Any], said: str
) -> None:
    def never(*_: Any) -> None:
        raise AssertionError("trained")

    monkeypatch.setattr(Trainer, "go_on", never)
    windows = outcome_windows(tmp_path / "w.h5", kind, unknown=2)
    with pytest.raises(ValueError, match=said):
        crossfit(
            ExperimentConfig(windows=windows.path), folds=2, set_=TINY, out=tmp_path / "x",
            progress=False, **given,
        )  # fmt: skip


def test_a_fold_that_knows_nothing_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    windows = outcome_windows(tmp_path / "w.h5", "regression")

    def go(outcome: np.ndarray, *changes: str, val_share: float = 0) -> None:
        monkeypatch.setattr(module.Windows, "open", lambda _: replace(windows, outcome=outcome))
        own = ExperimentConfig(windows=windows.path)
        settled = {"set_": (*TINY, *changes), "val_share": val_share, "progress": False}
        crossfit(own, folds=4, out=tmp_path / "x", **settled)

    lost = np.where((windows.group == "g2")[:, None], np.nan, windows.wanted)
    with pytest.raises(ValueError, match=r"of known outcome to test fold \d with \(got none\)"):
        go(lost)
    alike = windows.wanted.copy()
    alike[:, 1] = 7
    with pytest.raises(ValueError, match=r"in the set train of fold 1 \(all are alike in pain\)"):
        go(alike)
    same = windows.wanted.copy()
    for value, name in enumerate(np.unique(windows.group)):
        same[windows.group == name] = value
    with pytest.raises(ValueError, match=r"fold 1: .*to choose the epoch by r2"):
        go(same, "train.monitor=r2", val_share=0.3)
