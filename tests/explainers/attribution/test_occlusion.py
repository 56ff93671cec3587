from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from fixtures.small_model import small_model
from fixtures.toy_networks import Line
from torch import nn

from hargcn.explainers import Adapter, make
from hargcn.networks.branches import PositionModel

WEIGHTS = [1.0, 2.0, -1.0]
AXES = ("sample", "person", "time", "joint", "channel")


def windows(n: int = 3, joints: int = 3, persons: int = 1) -> torch.Tensor:
    shape = (n, 1, 1, 5, joints, persons)
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


def occlusion(**given):
    return make("occlusion", given, {"background": given.pop("background", None)})


class Product(nn.Module):
    """The product of two joints in a foreign order of axes, summed over persons and frames."""

    def forward(self, x):
        y = (x[:, :, :, 0] * x[:, :, :, 1]).sum((1, 2, 3))
        return torch.stack([y, torch.zeros_like(y)], 1)


def test_of_a_linear_network_it_is_each_joints_share():
    x = windows()
    found = occlusion(replace="zero")(Line(WEIGHTS), x, 0)
    expected = x.sum((1, 2, 5)).mean(1) * torch.tensor(WEIGHTS)
    np.testing.assert_allclose(found.dataset["player_value"], expected, atol=1e-6)
    sums = found.values.sum([d for d in found.dims if d not in ("sample", "joint")])
    np.testing.assert_allclose(sums, expected, atol=1e-6)
    stretches = occlusion(replace="zero", by="joint-time", bins=2)(Line(WEIGHTS), x, 0)
    sums = stretches.values.sum([d for d in found.dims if d not in ("sample", "joint")])
    np.testing.assert_allclose(sums, expected, atol=1e-5)
    assert list(stretches.dataset["player"].values[[0, 3]]) == [
        "frames 0-2 joint 0", "frames 3-4 joint 0",
    ]  # fmt: skip


def test_the_mean_over_time_hides_nothing_of_a_mean_over_time():
    found = occlusion()(Line(WEIGHTS), windows(), 0)
    assert float(abs(found.values).max()) < 1e-6


def test_a_background_is_the_mean_over_its_rows():
    x, rows, weights = windows(), windows(5)[3:], np.array([1.0, 3.0])
    explainer = make("occlusion", {"replace": "background", "weights": weights},
                     {"background": rows})  # fmt: skip
    found = explainer(Line(WEIGHTS), x, 0)
    level = (rows.sum((1, 2, 5)).mean(1) * torch.tensor([0.25, 0.75])[:, None]).sum(0)
    expected = (x.sum((1, 2, 5)).mean(1) - level) * torch.tensor(WEIGHTS)
    np.testing.assert_allclose(found.dataset["player_value"], expected, atol=1e-6)
    with pytest.raises(ValueError, match=r"occlusion: expected a background \(got none\)"):
        make("occlusion", {"replace": "background"})


def test_two_factors_each_lose_the_whole_product_in_any_order_of_axes():
    at = Adapter(Product(), AXES)
    x = torch.randn(2, 2, 4, 3, 1, generator=torch.Generator().manual_seed(1))
    x[1, 1] = 0  # nobody
    found = occlusion(replace="zero")(at, x, 0)
    each = (x[:, :, :, 0] * x[:, :, :, 1]).sum((2, 3))
    expected = torch.stack([each, each, torch.zeros_like(each)], 2)
    values = found.dataset["player_value"].to_numpy().reshape(2, 2, 3)
    np.testing.assert_allclose(values, expected, atol=1e-6)
    assert found.dims == AXES
    assert not found.values[1, 1].any()
    whole = occlusion(replace="zero", by="person")(at, x, 0).dataset["player_value"]
    np.testing.assert_allclose(whole, each, atol=1e-6)


def test_parts_are_sums_of_joints_of_a_linear_network():
    class Linear(nn.Module):
        def forward(self, x):
            y = (x * torch.arange(19.0)[:, None]).sum((1, 2, 3, 4))
            return torch.stack([y, -y], 1)

    model = Adapter(
        Linear(), ("sample", "channel", "time", "joint", "person"),
        skeleton=small_model().skeleton,
    )  # fmt: skip
    x = torch.randn(2, 2, 6, 19, 1, generator=torch.Generator().manual_seed(1))
    joints, parts = (
        occlusion(replace="zero", by=by)(model, x, [0, 1]).dataset["player_value"]
        for by in ("joint", "part")
    )
    for name, members in model.skeleton.parts.items():
        expected = joints.isel(player=list(members)).sum("player")
        np.testing.assert_allclose(parts.sel(player=name), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("by", ["joint", "part", "joint-time", "branch", "person"])
def test_on_our_network_it_is_the_score_without_the_player(by):
    model = small_model("inmotion19")
    x = torch.randn(3, 4, 4, 9, 19, 1, generator=torch.Generator().manual_seed(0))
    found = occlusion(by=by, replace="zero", utility="prob")(model, x, [0, 1, 2])
    if by == "branch":
        without = x.clone()
        without[:, 1] = 0
        with torch.no_grad():
            lost = (model(x).softmax(1) - model(without).softmax(1)).diagonal()
        np.testing.assert_allclose(found.dataset["player_value"].sel(player="V"), lost, atol=1e-6)
    assert found.joint_scores().shape == (3, 19)
    whole, few = found.values, occlusion(by=by, replace="zero", utility="prob", batch=2)
    np.testing.assert_allclose(few(model, x, [0, 1, 2]).values, whole, atol=1e-6)
    alone = occlusion(by=by, replace="zero", utility="prob")(model, x[1:2], 1).values
    assert np.array_equal(alone[0], whole[1])


def test_what_cannot_be_played_is_said():
    model = PositionModel(small_model("inmotion19"))
    x = torch.randn(1, 2, 9, 19, 1)
    with pytest.raises(ValueError, match="occlusion: .*axes 'branch' for the players 'branch'"):
        occlusion(by="branch")(model, x, 0)
    with pytest.raises(ValueError, match="a skeleton of 3 joints for the players 'part'"):
        occlusion(by="part")(Line(WEIGHTS), windows(), 0)


@pytest.mark.parametrize(("scale", "laplace"), [
    ("log-odds", 0), ("log-odds", 50), ("information", 0), ("difference", 0), ("difference", 9),
])  # fmt: skip
def test_prediction_difference_by_hand(scale, laplace):
    x, rows = windows(1), windows(3)[1:]
    explainer = make("prediction-difference", {"scale": scale, "laplace": laplace},
                     {"background": rows})  # fmt: skip
    found = explainer(Line(WEIGHTS), x, 0).dataset["player_value"].to_numpy()[0]

    def p(window):
        return 1 / (1 + math.exp(-sum(w * v for w, v in zip(WEIGHTS, window, strict=True))))

    def scaled(q):
        q = (q * laplace + 1) / (laplace + 2) if laplace else q
        return {"log-odds": math.log2(q / (1 - q)), "information": math.log2(q),
                "difference": q}[scale]  # fmt: skip

    means, others = x.sum((1, 2, 5)).mean(1)[0].tolist(), rows.sum((1, 2, 5)).mean(1).tolist()
    for joint in range(3):
        changed = [[r[v] if v == joint else means[v] for v in range(3)] for r in others]
        guess = sum(map(p, changed)) / 2
        assert found[joint] == pytest.approx(scaled(p(means)) - scaled(guess), abs=1e-5)


def test_a_forecast_counts_what_is_run():
    model, x, ran = Line(WEIGHTS), windows(1), []
    explainer = occlusion()
    told = explainer.forecast(model, x, 7)
    model.register_forward_pre_hook(lambda _m, given: ran.append(len(given[0])))
    explainer(model, x, 0)
    assert told.passes == sum(ran) == 4
    assert str(told).startswith("7 samples x 4 passes: about 0 s")
