"""A training under way: selection, class weights, devices, and what is refused."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from fixtures.moving_windows import moving_windows
from fixtures.outcomes import OUTPUTS, network, outcome_windows
from fixtures.small_model import small_model

from hargcn.data.windows import Windows
from hargcn.training.optimisation import TrainConfig
from hargcn.training.trainer import Trainer


@pytest.fixture(scope="module")
def windows(tmp_path_factory: pytest.TempPathFactory) -> Windows:
    """Three groups: g1 validates."""
    return moving_windows(tmp_path_factory.mktemp("epochs") / "w.h5", groups=3, per_group=1)


@pytest.fixture(scope="module")
def two_classes(tmp_path_factory: pytest.TempPathFactory) -> Windows:
    path = tmp_path_factory.mktemp("epochs") / "two.h5"
    return moving_windows(path, classes=2, groups=3, per_group=1)


def run(windows: Windows, **settings: object) -> Trainer:
    defaults = {"epochs": 2, "batch_size": 8, "device": "cpu"}
    kind = windows.outputs.kind
    return Trainer(
        lambda: small_model(classes=len(windows.classes)) if kind == "classes" else network(kind),
        windows,
        TrainConfig(**{**defaults, **settings}),
    )


def silent(_: str) -> None:
    """Hear of a step and say nothing."""


def test_the_figure_watched_is_auc_for_two_classes_else_accuracy(
    windows: Windows, two_classes: Windows
) -> None:
    assert run(windows).monitor == "accuracy"
    assert run(two_classes).monitor == "roc_auc"
    assert run(two_classes, monitor="f1").monitor == "f1"


def test_the_best_epoch_is_the_highest_figure_then_the_lowest_loss(
    windows: Windows, monkeypatch: pytest.MonkeyPatch
) -> None:
    figures = iter([(0.5, 1.0), (0.8, 0.9), (0.8, 0.7), (0.7, 0.1), (0.8, 0.8)])

    class Figures:
        @property
        def windows(self) -> dict[str, float]:
            accuracy, loss = next(figures)
            return dict.fromkeys(("balanced_accuracy", "roc_auc", "f1"), 0.0) | {
                "accuracy": accuracy,
                "loss": loss,
            }

    monkeypatch.setattr("hargcn.training.trainer.judge", lambda *_, **__: Figures())
    training = run(windows, epochs=9, patience=2)
    while not training.finished:
        training.go_on(silent)
    assert training.epoch == 5
    assert training.best["epoch"] == 3


def test_patience_and_best_need_validation_windows(windows: Windows) -> None:
    train = windows.subset("train")
    with pytest.raises(ValueError, match="windows in the set val for patience"):
        run(train, patience=3)
    with pytest.raises(ValueError, match="windows in the set val for select: best"):
        run(train, select="best")
    assert run(train).select == "last"


def test_a_set_that_does_not_exist_is_refused(windows: Windows) -> None:
    with pytest.raises(ValueError, match=r"expected a set of val \(got 'train'\)"):
        run(windows.subset("val"))


def test_one_training_window_is_refused(windows: Windows) -> None:
    with pytest.raises(ValueError, match=r"at least 2 training windows \(got 1\)"):
        run(windows.subset("train").subset([0]))


def test_auc_of_one_class_is_refused_before_anything_is_trained(two_classes: Windows) -> None:
    keep = (two_classes.split == "train") | (two_classes.label == 0)
    alike = two_classes.subset(keep)
    said = (
        r"of more than one class, to choose the epoch by {} \(got \d+, all of 'class0'\): "
        r"set train\.monitor=accuracy, or put others into the set val"
    )
    for asked in ({}, {"monitor": "f1"}, {"select": "last", "monitor": "roc_auc"}):
        with pytest.raises(ValueError, match=said.format(asked.get("monitor", "roc_auc"))):
            run(alike, **asked)
    run(alike, monitor="accuracy")


def test_a_figure_that_only_the_log_shows_may_be_undefined(two_classes: Windows) -> None:
    keep = (two_classes.split == "train") | (two_classes.label == 0)
    training = run(two_classes.subset(keep), select="last")
    training.go_on(silent)
    assert training.history[0]["val_roc_auc"] is None
    assert training.said().endswith("val roc_auc undefined")


@pytest.mark.parametrize("kind", OUTPUTS)
def test_outcomes_that_are_alike_choose_no_epoch(kind: str, tmp_path: Path) -> None:
    windows = outcome_windows(tmp_path / "w.h5", kind)
    first = windows.subset((windows.split == "train") | (windows.sample == "v01"))
    varied = {"regression": "spearman", "ordinal": "kappa", "multi-label": "roc_auc"}[kind]
    with pytest.raises(ValueError, match=rf"choose the epoch by {varied} .*train\.monitor=loss"):
        run(first, monitor=varied)
    run(first, monitor="loss")


def test_a_match_of_all_labels_needs_a_window_that_knows_them(tmp_path: Path) -> None:
    windows = outcome_windows(tmp_path / "w.h5", "multi-label")
    val = windows.split == "val"
    outcome = np.where(val[:, None] & [[True, False]], np.nan, windows.wanted)
    with pytest.raises(ValueError, match=r"of which every label is known.*\(got 6, none\)"):
        run(replace(windows, outcome=outcome), monitor="exact_match")


def test_an_absent_class_is_said_but_not_refused(
    windows: Windows, caplog: pytest.LogCaptureFixture
) -> None:
    keep = (windows.split == "val") | (windows.label != 2)
    with caplog.at_level(logging.WARNING, logger="hargcn"):
        training = run(windows.subset(keep), class_weights="balanced")
    assert "no training window of class class2" in caplog.text
    assert training.loss.weight is not None
    assert training.loss.weight.tolist() == [1, 1, 0]


def test_balanced_weights_undo_the_frequencies(windows: Windows) -> None:
    train = windows.subset("train")
    few = train.subset((train.label != 1) | (train.start == 0))
    weight = run(few, class_weights="balanced").loss.weight
    assert weight is not None
    counts = torch.bincount(torch.from_numpy(few.label)).float()
    assert (counts * weight).tolist() == pytest.approx([len(few) / 3] * 3)


def test_weights_of_other_classes_are_refused(windows: Windows) -> None:
    with pytest.raises(ValueError, match=r"one class weight for each of 3 classes \(got 2\)"):
        run(windows, class_weights=(1.0, 2.0))


def test_a_loss_that_explodes_is_refused(windows: Windows) -> None:
    training = run(windows, lr=1e30, optimizer="sgd", warmup=0)
    with pytest.raises(ValueError, match="Expected a finite loss in epoch 1"):
        training.go_on(silent)


def test_unknown_devices_are_refused(windows: Windows) -> None:
    with pytest.raises(ValueError, match=r"Expected device auto, cpu or cuda \(got 'gpu'\)"):
        run(windows, device="gpu")


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without CUDA")
def test_cuda_without_a_device_is_refused(windows: Windows) -> None:
    with pytest.raises(ValueError, match="Expected a CUDA device"):
        run(windows, device="cuda")
    assert run(windows, device="auto").device.type == "cpu"


def test_bf16_computes_in_bfloat16_and_keeps_float_weights(windows: Windows) -> None:
    training = run(windows, bf16=True)
    seen = []
    training.model.head.register_forward_hook(lambda *args: seen.append(args[-1].dtype))
    training.go_on(silent)
    assert torch.bfloat16 in seen
    assert all(p.dtype == torch.float32 for p in training.model.parameters())


def test_clipping_bounds_the_step(windows: Windows) -> None:
    still = run(windows, clip=1e-9, optimizer="sgd", weight_decay=0, warmup=0)
    before = still.model.head.weight.detach().clone()
    still.go_on(silent)
    assert (still.model.head.weight - before).abs().max() < 1e-8


@pytest.mark.parametrize("content", [b"", b"not a state"])
def test_a_damaged_state_is_refused(windows: Windows, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "state.pt").write_bytes(content)
    with pytest.raises(ValueError, match=r"state.pt: expected the state of a training"):
        run(windows).restore(tmp_path / "state.pt")
