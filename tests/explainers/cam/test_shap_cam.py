from __future__ import annotations

import time

import numpy as np
import pytest
import torch
from fixtures.foreign_cnn import adapted_cnn, adapted_stgcn, branches, clips, image
from fixtures.small_model import ours, small_model
from torch import nn

from hargcn.explainers import ShapCAM
from hargcn.explainers.adapter import Adapter


def total(model, layer, x, target, made):
    """Return Y(all) - Y(none) by running the network with each map replaced by its mean."""
    handle = model.get_layer(layer).register_forward_hook(
        lambda _m, _i, out: out.mean(dim=(2, 3), keepdim=True).expand_as(out).clone()
    )
    with torch.no_grad():
        none = model(x).softmax(1)[:, target]
    handle.remove()
    return made.score.to_numpy() - none.numpy()


class Two(nn.Module):
    """Two cells a, b in one feature; the logit is their product."""

    def __init__(self) -> None:
        super().__init__()
        self.cells = nn.Identity()

    def forward(self, x):
        a = self.cells(x)
        return torch.stack([a[:, 0, 0, 0] * a[:, 0, 1, 0], a[:, 0, 0, 0] * 0], dim=1)


def test_two_players_on_paper():
    # a = 3, b = 1, mean 2: Y() = 4, Y(a) = 3 * 2, Y(b) = 2 * 1, Y(ab) = 3. phi_a = (2 + 1) / 2.
    made = ShapCAM("cells", utility="logit")(Two(), torch.tensor([3.0, 1.0]).view(1, 1, 2, 1), 0)
    np.testing.assert_allclose(made.values.to_numpy().ravel(), [1.5, -2.5])
    assert float(abs(made.standard_error).max()) == 0


@pytest.mark.parametrize("players", ["cells", "joints", "joints-time", "parts"])
@pytest.mark.parametrize("antithetic", [True, False])
def test_values_add_up_at_the_pooled_layer(players, antithetic):
    model, x = small_model(), branches()
    explainer = ShapCAM("main.1.attention", players=players, permutations=40, antithetic=antithetic)
    made = explainer(model, x, 1)
    expected = total(model, "main.1.attention", x, 1, made)
    np.testing.assert_allclose(made.values.sum(["time", "joint", "person"]), expected, atol=1e-5)
    assert made.standard_error.dims == made.values.dims


@pytest.mark.parametrize(
    ("build", "inputs", "layer", "players"),
    [
        (ours, branches, "main.1.tcn", "parts"),
        (adapted_cnn, image, "features.3", "cells"),
        (adapted_stgcn, clips, "blocks.0", "joints"),
    ],
)
def test_values_add_up_through_the_tail(build, inputs, layer, players):
    model, x = build(), inputs()
    made = ShapCAM(layer, players=players, permutations=6)(model, x, 1)
    expected = total(model, layer, x, 1, made)
    assert abs(expected).max() > 1e-4
    np.testing.assert_allclose(made.values.sum(["time", "joint", "person"]), expected, atol=1e-5)


@pytest.mark.parametrize("layer", ["features", "features.3"])
@pytest.mark.parametrize("antithetic", [True, False])
def test_sampling_agrees_with_enumeration_within_its_own_errors(monkeypatch, layer, antithetic):
    model, x = adapted_cnn(), image(n=2, size=(6, 6))  # 3 x 3 cells
    exact = ShapCAM(layer)(model, x, 1)
    assert exact.dataset["permutations"].values.tolist() == [0, 0]
    monkeypatch.setattr("hargcn.explainers.cam.shap_cam.EXACT", 0)
    made = ShapCAM(layer, permutations=2000, antithetic=antithetic)(model, x, 1)
    assert made.dataset["permutations"].values.tolist() == [2000, 2000]
    z = (made.values - exact.values) / (made.standard_error + 1e-9)
    assert 0.4 < float((z**2).mean() ** 0.5) < 1.7  # 18 values: chi-square, far beyond 0.1%
    assert float(abs(z).max()) < 4.5


def test_the_linear_shortcut_is_the_tails_game():
    with_head, x = adapted_cnn(), image(n=2, size=(6, 6))
    without = Adapter(with_head.model)
    first, second = (ShapCAM("features")(model, x, 1) for model in (with_head, without))
    np.testing.assert_allclose(first.values, second.values, rtol=1e-4, atol=1e-7)


def test_pairs_lower_the_error():
    model, x = small_model(), branches()
    by_pairs, single = (
        ShapCAM("main.1.attention", permutations=400, antithetic=a)(model, x, 1).standard_error
        for a in (True, False)
    )
    assert float(by_pairs.mean()) < 0.5 * float(single.mean())


def test_sampling_stops_at_the_tolerance():
    model, x = small_model(), branches()
    loose = ShapCAM("main.1.attention", permutations=20_000, tolerance=1e-3)(model, x, 1)
    assert float(loose.standard_error.max()) <= 1e-3
    assert (loose.dataset["permutations"] < 20_000).all()


def test_grouped_players_share_their_value_and_persons_keep_their_own():
    model, x = ours(), branches()
    made = ShapCAM("main.1.tcn", players="parts")(model, x, 1).values
    assert float(abs(made - made.isel(time=0)).max()) == 0
    for members in model.skeleton.parts.values():
        part = made.isel(joint=list(members))
        assert float(abs(part - part.isel(joint=0)).max()) == 0
    swapped = ShapCAM("main.1.tcn", players="parts")(model, x.flip(-1), 1).values
    np.testing.assert_allclose(swapped.to_numpy()[..., ::-1], made, rtol=1e-4, atol=1e-7)
    assert float(abs(made[..., 0] - made[..., 1]).max()) > 1e-6


def test_joints_and_bins_are_players():
    model, x = small_model(), branches()
    made = ShapCAM("main.1.attention", players="joints-time", permutations=20, bins=2)(model, x, 1)
    blocks = made.values.to_numpy()
    assert blocks.shape[1] == 6
    np.testing.assert_array_equal(blocks[:, 0], blocks[:, 2])
    assert (blocks[:, 2] != blocks[:, 3]).any()


def test_what_cannot_be_played_is_refused():
    with pytest.raises(ValueError, match=r"ShapCAM: players: .*'cells', .* \(got 'bones'\)"):
        ShapCAM("features", players="bones")
    with pytest.raises(ValueError, match=r"permutations: .*greater than or equal to 4 \(got 1\)"):
        ShapCAM("features", permutations=1)
    with pytest.raises(
        ValueError, match="shapcam: expected a model with a skeleton for the players 'parts'"
    ):
        ShapCAM("features", players="parts")(adapted_cnn(), image(), 0)


@pytest.mark.slow
def test_ten_thousand_permutations_take_seconds():
    model = small_model()
    x = branches(n=1, persons=1, frames=60)
    explainer = ShapCAM("main.1.attention")
    start = time.process_time()
    made = explainer(model, x, 1)
    assert made.dataset["permutations"].item() == 10_000
    assert made.values.size == 30 * 19
    assert time.process_time() - start < 10
