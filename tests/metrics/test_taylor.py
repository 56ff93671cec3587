"""Second-order values beside enumerated Shapley values."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from hargcn.explainers import Adapter
from hargcn.metrics.taylor import taylor_errors, taylor_values


class Quadratic(nn.Module):
    """Two classes, the first one's logit quadratic in the activation of `layer`."""

    def __init__(self, cubic: float = 0.0) -> None:
        super().__init__()
        self.layer, self.cubic = nn.Conv2d(2, 4, 1), cubic
        nn.init.normal_(self.layer.weight)
        nn.init.normal_(self.layer.bias)
        self.form = nn.Parameter(torch.randn(4 * 6, 4 * 6) / 5)

    def forward(self, x: Tensor) -> Tensor:
        a = self.layer(x).flatten(1)
        score = a.sum(1) + ((a @ self.form) * a).sum(1) + self.cubic * (a**3).sum(1)
        return torch.stack([score, -score], 1)


def explained(cubic: float = 0.0, players: str = "feature", **more):
    model = Quadratic(cubic).double()
    adapter = Adapter(model, input_dims=("sample", "channel", "time", "joint"))
    x = torch.randn(3, 2, 3, 2, dtype=torch.float64)
    return (
        taylor_values(
            adapter, x, torch.zeros(3, dtype=torch.long), "layer", "logit", players, **more
        ),
        adapter,
        x,
    )


@pytest.mark.parametrize(("players", "count"), [("feature", 4), ("time", 3), ("joint", 2)])
def test_of_a_quadratic_score_second_order_values_are_shapley_values(players, count):
    values, _, _ = explained(players=players)
    assert values.sizes == {"sample": 3, "player": count}
    errors = taylor_errors(values)
    assert errors["second"].max() < 1e-6
    assert errors["theorem"].max() < 1e-6
    assert errors["first"].min() > 0.01


def test_values_add_up_to_what_the_activation_is_worth():
    values, adapter, x = explained(cubic=0.1)
    worth = adapter.model(x)[:, 0]  # the score of an activation of zeros is 0
    torch.testing.assert_close(
        torch.from_numpy(values["shapley"].sum("player").to_numpy()), worth.detach()
    )


def test_of_a_cubic_score_they_differ_but_the_theorem_holds_of_its_polynomial():
    errors = taylor_errors(explained(cubic=0.1)[0])
    assert errors["second"].min() > 1e-3
    assert errors["theorem"].max() < 1e-6


def test_neighbours_play_together():
    assert explained(most=2)[0].sizes["player"] == 2


def test_what_cannot_be_asked_is_refused():
    with pytest.raises(ValueError, match=r"Expected at most 12 players, 2\^12 coalitions .got 13"):
        explained(most=13)
    with pytest.raises(ValueError, match="players.*got 'channel'"):
        explained(players="channel")
