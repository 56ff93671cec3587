"""Learning rates, averages, batch statistics and seeds."""

from __future__ import annotations

import copy

import pytest
import torch
from fixtures.small_model import small_model
from pydantic import ValidationError
from torch import nn

from hargcn.training.optimisation import (
    TrainConfig,
    move_average,
    optimiser,
    recalibrate,
    reproducibly,
    schedule,
)


def rates(steps: int, **settings: object) -> list[float]:
    config = TrainConfig(lr=1.0, **settings)
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], 1.0, momentum=0.9)
    course, out = schedule(optimizer, config, steps), []
    for _ in range(steps):
        out.append(course.get_last_lr()[0])
        optimizer.step()
        course.step()
    return out


@pytest.mark.parametrize("kind", ["cosine", "onecycle"])
def test_rates_warm_up_then_fall_to_nothing(kind: str) -> None:
    lr = rates(100, schedule=kind, warmup=0.2)
    top = lr.index(max(lr))
    assert 18 <= top <= 21
    assert max(lr) == pytest.approx(1, abs=0.01)
    assert lr[: top + 1] == sorted(lr[: top + 1])
    assert lr[top:] == sorted(lr[top:], reverse=True)
    assert lr[-1] < 0.001


def test_half_of_a_cosine_is_half_the_rate() -> None:
    assert rates(100, warmup=0)[50] == pytest.approx(0.5)


def test_constant_rates_stay_after_the_warm_up() -> None:
    assert rates(10, schedule="constant", warmup=0.2) == pytest.approx([1 / 3, 2 / 3] + [1] * 8)


def test_published_steps_warm_up_from_a_quarter_and_halve_the_rate_behind_milestones() -> None:
    """Ten steps an epoch: 2 epochs of warm-up, halved behind the third and the fourth."""
    course = {"schedule": "steps", "milestones": [3, 4], "warmup": 2, "warmup_from": 0.25}
    lr = rates(50, epochs=5, **course)
    assert lr[:20] == pytest.approx([0.25 + 0.75 * step / 20 for step in range(20)])
    assert lr[20:] == [1.0] * 10 + [0.5] * 10 + [0.25] * 10


def test_a_warm_up_of_epochs_is_its_share_of_all_steps() -> None:
    assert rates(100, epochs=50, warmup=10) == rates(100, epochs=50, warmup=0.2)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"epochs": 10, "warmup": 10}, r"warmup that ends .* after 10 epochs \(got 10\)"),
        ({"schedule": "steps"}, r"milestones with schedule 'steps', .* milestones \[\]"),
        ({"milestones": [3]}, r"with no other \(got schedule 'cosine' and milestones \[3\]"),
        ({"schedule": "steps", "milestones": [0]}, "greater than 0"),
    ],
)
def test_rates_that_contradict_themselves_are_refused(settings, said) -> None:
    with pytest.raises(ValueError, match=said):
        TrainConfig(**settings)


@pytest.mark.parametrize("kind", ["adamw", "sgd"])
def test_edges_norms_and_biases_do_not_decay(kind: str) -> None:
    model = small_model()
    groups = optimiser(model, TrainConfig(optimizer=kind, weight_decay=0.3)).param_groups
    decays = {id(p): group["weight_decay"] for group in groups for p in group["params"]}
    assert len(decays) == len(list(model.parameters()))
    assert decays[id(model.head.weight)] == 0.3
    assert decays[id(model.head.bias)] == 0
    assert decays[id(model.get_submodule("main.0.gcn").edge)] == 0
    assert decays[id(model.get_submodule("main.0.gcn").bn.weight)] == 0


def test_an_average_follows_weights_and_statistics() -> None:
    model = nn.Sequential(nn.Linear(1, 1), nn.BatchNorm1d(1))
    average = copy.deepcopy(model)
    with torch.no_grad():
        average[0].weight.fill_(0)
        model[0].weight.fill_(1)
        model[1].running_mean.fill_(1)
        model[1].num_batches_tracked.fill_(7)
    move_average(average, model, 0.9, step=10**6)
    assert average[0].weight.item() == pytest.approx(0.1)
    assert average[1].running_mean.item() == pytest.approx(0.1)
    assert average[1].num_batches_tracked == 7
    # Early on it follows fast: (1 + 1) / (10 + 1) is kept.
    move_average(average, model, 0.9, step=1)
    assert average[0].weight.item() == pytest.approx(1 - 0.9 * 2 / 11)
    assert model[0].weight.item() == 1


def test_recalibrated_statistics_are_those_of_the_inputs() -> None:
    norm = nn.BatchNorm1d(3)
    with torch.no_grad():
        norm.running_mean.fill_(50)
    x = torch.randn(40, 3, generator=torch.Generator().manual_seed(0)) * 2 + 5
    recalibrate(nn.Sequential(norm, nn.Dropout(0.9)), [x[:20], x[20:]])
    torch.testing.assert_close(norm.running_mean, x.mean(dim=0))
    torch.testing.assert_close(norm.running_var, (x[:20].var(dim=0) + x[20:].var(dim=0)) / 2)
    assert norm.momentum == 0.1
    assert not norm.training


def test_seeds_hold_inside_and_nothing_leaks() -> None:
    state, threads = torch.random.get_rng_state(), torch.get_num_threads()
    drawn = []
    for seed in (1, 1, 2):
        with reproducibly(seed, torch.device("cpu"), threads=threads + 1):
            assert torch.get_num_threads() == threads + 1
            drawn.append(torch.rand(3))
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])
    assert torch.equal(torch.random.get_rng_state(), state)
    assert torch.get_num_threads() == threads


def test_unknown_settings_are_refused() -> None:
    with pytest.raises(ValidationError, match="epoch\n"):
        TrainConfig(epoch=3)
