"""Gradients where nothing may count: their cost, its own gradient, and what a network learns."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from fixtures.moving_windows import moving_windows
from fixtures.outcomes import network, outcome_windows
from fixtures.small_model import small_model
from torch import nn

from hargcn.data.windows import Windows
from hargcn.pipeline.prepare import synthesise
from hargcn.training.optimisation import TrainConfig
from hargcn.training.penalty import Penalty, PenaltyConfig
from hargcn.training.trainer import Trainer

TIED = '{"kind": "tremor", "joint": "left_ankle", "classes": ["with"], "size": 0.5}'


@pytest.fixture(scope="module")
def windows(tmp_path_factory: pytest.TempPathFactory) -> Windows:
    """Generated bodies, of which those of one class tremble at the left ankle."""
    content = {"windows": {"mode": "whole", "length": 24},
               "synthetic": {"recordings": 40, "frames": [30, 30],
                             "plant": {"distractors": 0}}}  # fmt: skip
    path = tmp_path_factory.mktemp("tied") / "w.h5"
    return synthesise(path, content, [f"synthetic.plant.decoys=[{TIED}]"])


def model_of(windows: Windows, **more: object) -> nn.Module:
    model = small_model("ntu25", classes=2, **more)
    model.classes = windows.classes
    return model


@pytest.mark.parametrize("on", ["positions", "branches"])
@pytest.mark.parametrize("branches", [("V",), ("J", "V", "B", "A")])
def test_it_is_the_squared_gradient_inside_the_mask(
    windows: Windows, on: str, branches: tuple[str, ...]
) -> None:
    model = model_of(windows, branches=branches, dropout=0.0).double().train()
    train = windows.subset("train")
    rows = np.array([3, 0, 7, 1])
    batch = train.subset(rows).read()
    positions, valid = (torch.from_numpy(a) for a in (batch.positions, batch.valid))
    positions = positions.double()
    config = PenaltyConfig(gradient=on, cells="distractor", joints=("right_wrist",))
    found = Penalty(config, model, train)(model, positions, valid, rows)

    mask = torch.from_numpy(train.distractor(rows))
    mask[:, :, train.skeleton.index("right_wrist")] = True
    at = positions.clone().requires_grad_()
    x = model.features(at, valid)
    logp = model(x).log_softmax(1).sum()
    gradient = torch.autograd.grad(logp, at if on == "positions" else x)[0]
    total = 0.0
    for n in range(4):
        for t, v in mask[n].nonzero():
            total += float((gradient[n][..., t, v, :] ** 2).sum())
    assert float(found.detach()) == pytest.approx(total / 4, rel=1e-9)
    assert total > 0


@pytest.mark.parametrize("on", ["positions", "branches"])
def test_its_gradient_is_that_of_finite_differences(windows: Windows, on: str) -> None:
    model = model_of(windows, dropout=0.0).double().train()
    with torch.no_grad():
        model.head.weight *= 100  # at p = 0.5 the sum of two log-probabilities has no gradient
    train = windows.subset("train")
    rows = np.arange(4)
    batch = train.subset(rows).read()
    positions = torch.from_numpy(batch.positions).double()
    valid = torch.from_numpy(batch.valid)
    penalty = Penalty(PenaltyConfig(gradient=on, cells="distractor"), model, train)
    value = penalty(model, positions, valid, rows)
    value.backward()
    for name in ("V.stem.gcn.conv.weight", "J.0.gcn.edge", "head.weight", "head.bias"):
        parameter = dict(model.named_parameters())[name]
        at = int(parameter.grad.abs().argmax())
        sides = []
        for step in (1e-5, -1e-5):
            with torch.no_grad():
                parameter.view(-1)[at] += step
            sides.append(float(penalty(model, positions, valid, rows).detach()))
            with torch.no_grad():
                parameter.view(-1)[at] -= step
        expected = (sides[0] - sides[1]) / 2e-5
        assert float(parameter.grad.view(-1)[at]) == pytest.approx(expected, rel=1e-4)
        assert abs(expected) > 1e-5


def test_some_windows_of_a_batch_stand_for_all(windows: Windows) -> None:
    model = model_of(windows)  # in evaluation mode windows know nothing of each other
    train = windows.subset("train")
    batch = train.read()
    given = torch.from_numpy(batch.positions), torch.from_numpy(batch.valid)
    rows = np.array([5, 2, 9, 4, 0, 7])
    asked = {"joints": ["left_ankle"], "cells": "distractor"}
    some = Penalty(PenaltyConfig(windows=2, **asked), model, train)
    whole = Penalty(PenaltyConfig(**asked), model, train)
    found, expected = (
        float(each(model, *(a[r] for a in given), r).detach())
        for each, r in ((some, rows), (whole, rows[:2]))
    )
    assert found == pytest.approx(expected, rel=1e-5)


@pytest.mark.slow
def test_a_punished_network_heeds_a_joint_less(windows: Windows) -> None:
    shares = {}
    for weight in (None, 1.0):
        how = None if weight is None else {"weight": weight, "joints": ["left_ankle"]}
        config = TrainConfig(epochs=6, batch_size=8, device="cpu", lr=0.03, label_smoothing=0.0,
                             augment=None, penalty=how)  # fmt: skip
        run = Trainer(lambda: model_of(windows, branches=("V",), dropout=0.0), windows, config)
        while not run.finished:
            run.go_on(lambda _: None)
        train = windows.subset("train")
        batch = train.read()
        given = torch.from_numpy(batch.positions), torch.from_numpy(batch.valid)
        here, whole = (
            float(Penalty(each, run.model, train)(run.model, *given, np.arange(24)).detach())
            for each in (
                PenaltyConfig(joints=("left_ankle",)),
                PenaltyConfig(joints=train.skeleton.joints),
            )
        )
        shares[weight] = here / whole
        assert ("train_penalty" in run.history[0]) == (weight is not None)
    assert shares[1.0] < 0.5 * shares[None]


def test_what_cannot_be_punished_is_refused(windows: Windows, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"Expected cells or joints that a penalty is for"):
        PenaltyConfig()
    bare = moving_windows(tmp_path / "w.h5", groups=2, per_group=1)
    model = small_model()
    with pytest.raises(ValueError, match="whose distractors are known, for train.penalty.cells"):
        Penalty(PenaltyConfig(cells="distractor"), model, bare)
    with pytest.raises(ValueError, match="tail"):
        Penalty(PenaltyConfig(joints=("tail",)), model, bare)
    calm = windows.subset(~windows.distractor().any(axis=(1, 2)))
    with pytest.raises(ValueError, match=r"with cells that train.penalty is for \(got none\)"):
        Penalty(PenaltyConfig(cells="distractor"), model_of(windows), calm)
    values = outcome_windows(tmp_path / "r.h5", "regression")
    with pytest.raises(ValueError, match="Expected classes for train.penalty.*got regression"):
        Penalty(PenaltyConfig(joints=("head",)), network("regression"), values)
    with pytest.raises(ValueError, match="Expected no starts with a penalty"):
        TrainConfig(starts=2, penalty={"joints": ["head"]})


def test_a_penalty_that_is_not_finite_ends_the_training(
    windows: Windows, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = TrainConfig(epochs=1, batch_size=8, device="cpu", penalty={"joints": ["head"]})
    run = Trainer(lambda: model_of(windows, branches=("V",)), windows, config)
    monkeypatch.setattr(Penalty, "__call__", lambda *_: torch.tensor(torch.inf))  # no graph
    with pytest.raises(ValueError, match=r"a finite penalty in epoch 1 \(got inf\)"):
        run.go_on(lambda _: None)
