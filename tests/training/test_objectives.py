"""Losses of every kind against numbers worked out by hand or by torch; what is refused."""

from __future__ import annotations

import logging

import pytest
import torch
from fixtures.outcomes import OUTPUTS, network, outcome_windows
from torch.nn import functional

from hargcn.outputs import Outputs
from hargcn.training.objectives import LabelLoss, LevelLoss, ValueLoss, monitored, objective
from hargcn.training.optimisation import TrainConfig
from hargcn.training.trainer import Trainer

NAN = float("nan")


def test_errors_count_in_standard_deviations_and_unknown_ones_not_at_all() -> None:
    loss = ValueLoss(torch.tensor([10.0, 1.0]))
    out = torch.tensor([[25.0, 1.0], [60.0, 2.0]], requires_grad=True)
    wanted = torch.tensor([[20.0, 1.0], [30.0, NAN]])
    value = loss(out, wanted)
    assert value.item() == pytest.approx((0.5**2 / 2 + 0 + (3 - 0.5)) / 3)
    value.backward()
    torch.testing.assert_close(out.grad, torch.tensor([[0.5 / 10, 0], [1 / 10, 0]]) / 3)


def test_labels_have_a_cross_entropy_each() -> None:
    out = torch.tensor([[1.0, -2.0], [0.5, 3.0]])
    wanted = torch.tensor([[1.0, 0.0], [0.0, NAN]])
    known = ([1.0, -2.0, 0.5], [1.0, 0.0, 0.0])
    expected = functional.binary_cross_entropy_with_logits(*map(torch.tensor, known))
    torch.testing.assert_close(LabelLoss(None, 0)(out, wanted), expected)
    rare = LabelLoss(torch.tensor([3.0, 1.0]), 0)(out, wanted)
    first = functional.softplus(torch.tensor(-1.0))
    torch.testing.assert_close(rare, expected + 2 * first / 3)


def test_levels_are_reached_one_after_the_other() -> None:
    out, wanted = torch.tensor([[1.0, -1.0], [2.0, 0.0]]), torch.tensor([1, 0])
    softplus = functional.softplus
    first = softplus(torch.tensor(-1.0)) + softplus(torch.tensor(-1.0))
    second = softplus(torch.tensor(2.0)) + softplus(torch.tensor(0.0))
    torch.testing.assert_close(LevelLoss(None, 0)(out, wanted), (first + second) / 2)
    weighed = LevelLoss(torch.tensor([3.0, 1.0, 1.0]), 0)(out, wanted)
    torch.testing.assert_close(weighed, (first + 3 * second) / 4)


@pytest.mark.parametrize("kind", ["multi-label", "ordinal"])
def test_smoothing_spreads_the_aim_over_both_answers(kind) -> None:
    sure = torch.full((1, 2), 50.0)
    wanted = torch.ones(1, 2) if kind == "multi-label" else torch.tensor([2])
    loss = LabelLoss(None, 0.1) if kind == "multi-label" else LevelLoss(None, 0.1)
    share = 1 if kind == "multi-label" else 2
    assert loss(sure, wanted).item() == pytest.approx(share * 0.05 * 50)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("outcomes")
    return {kind: outcome_windows(folder / f"{kind}.h5", kind, unknown=3) for kind in OUTPUTS}


@pytest.mark.parametrize(
    ("kind", "monitor", "figure"),
    [("regression", "loss", "mae"), ("ordinal", "mae", "accuracy"),
     ("multi-label", "roc_auc", "accuracy")],
)  # fmt: skip
def test_each_kind_is_trained_and_chosen_by_its_own_figures(files, kind, monitor, figure) -> None:
    outputs = OUTPUTS[kind]
    run = Trainer(lambda: network(kind), files[kind], TrainConfig(epochs=1, device="cpu"))
    assert run.monitor == monitor
    assert len(run.train) == 10  # of 12 two have no known outcome
    run.go_on(lambda _: None)
    row = run.history[0]
    assert set(row) >= {"train_loss", f"train_{figure}", "val_loss", f"val_{monitor}"}
    assert run.best["epoch"] == 1
    assert outputs == run.model.outputs
    with pytest.raises(ValueError, match=f"train.monitor for {kind} of .*got 'balanced_accuracy'"):
        monitored(TrainConfig(monitor="balanced_accuracy"), outputs)


def test_less_error_is_better(files, monkeypatch) -> None:
    errors = iter([3.0, 1.0, 2.0])

    class Figures:
        @property
        def windows(self):
            names = ("loss", "mae", "rmse", "r2", "spearman")
            return dict.fromkeys(names, next(errors))

    monkeypatch.setattr("hargcn.training.trainer.judge", lambda *_, **__: Figures())
    config = TrainConfig(epochs=3, device="cpu", monitor="mae")
    run = Trainer(lambda: network("regression"), files["regression"], config)
    while not run.finished:
        run.go_on(lambda _: None)
    assert run.best["epoch"] == 2


def test_a_new_regression_takes_its_units_from_the_training_windows(files) -> None:
    windows, model = files["regression"], network("regression")
    train = windows.subset("train")
    kept = model.head.mean.clone()
    objective(TrainConfig(), model, train, new=False)
    assert torch.equal(model.head.mean, kept)
    objective(TrainConfig(), model, train)
    known = torch.from_numpy(train.outcome[train.known])
    torch.testing.assert_close(model.head.mean, known.mean(dim=0))
    torch.testing.assert_close(model.head.scale, known.std(dim=0, correction=0))


def test_rare_labels_and_levels_count_more(files) -> None:
    balanced = TrainConfig(class_weights="balanced")
    train = files["multi-label"].subset("train")
    train = train.subset(train.known)
    there = (train.outcome == 1).sum(axis=0)
    weight = objective(balanced, network("multi-label"), train).loss.weight
    assert weight.tolist() == pytest.approx(((len(train) - there) / there).tolist())
    levels = files["ordinal"].subset("train")
    levels = levels.subset(levels.label >= 0)
    weight = objective(balanced, network("ordinal"), levels).loss.weight
    counts = [(levels.label == level).sum() for level in range(3)]
    assert weight.tolist() == pytest.approx([len(levels) / 3 / count for count in counts])


def test_a_regression_has_no_class_weights_and_needs_different_outcomes(files) -> None:
    train, model = files["regression"].subset("train"), network("regression")
    with pytest.raises(ValueError, match="no class_weights for a regression"):
        objective(TrainConfig(class_weights="balanced"), model, train)
    equal = train.subset([2, 2, 2])
    with pytest.raises(ValueError, match=r"different 'score' \(got [0-9.]+ only\)"):
        objective(TrainConfig(), model, equal)


def test_labels_that_never_differ_are_said_or_refused(files, caplog) -> None:
    train = files["multi-label"].subset("train")
    there = train.outcome[:, 0] == 1
    with caplog.at_level(logging.WARNING):
        objective(TrainConfig(), network("multi-label"), train.subset(there))
    assert "all training windows are alike in tremor" in caplog.text
    one = train.subset([int(there.argmax())] * 2)
    with pytest.raises(ValueError, match="with and without a label"):
        objective(TrainConfig(), network("multi-label"), one)


def test_other_outcomes_than_the_network_s_are_refused(files) -> None:
    config = TrainConfig(epochs=1, device="cpu")
    with pytest.raises(ValueError, match="the model's ordinal none, .*got regression score, pain"):
        Trainer(lambda: network("ordinal"), files["regression"], config)
    other = Outputs("regression", ("a", "b"))
    with pytest.raises(ValueError, match=r"the model's regression a, b \(got score, pain\)"):
        Trainer(lambda: network("regression", other), files["regression"], config)
