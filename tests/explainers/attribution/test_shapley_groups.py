from __future__ import annotations

import importlib.util
import math
from functools import partial
from itertools import combinations, permutations

import numpy as np
import pytest
import torch
from fixtures.outcomes import OUTPUTS, network
from fixtures.small_model import ours, small_model, traces
from torch import nn

from hargcn.explainers import Adapter, make
from hargcn.explainers.scores import class_scores
from hargcn.networks.branches import PositionModel

needs_shapiq = pytest.mark.skipif(
    importlib.util.find_spec("shapiq") is None,
    reason="needs shapiq: pip install 'hargcn[interactions]'",
)

BODY = ("sample", "channel", "time", "joint", "person")


class Mixed(nn.Module):
    """Two logits of the joints' means over time, neither additive nor symmetric in the joints."""

    def forward(self, x):
        m = x.mean((1, 2, 4))
        first = m[:, 0] * m[:, 1] + m.sum(1).sin() + m[:, -2].exp() * m[:, -1]
        return torch.stack([first, m[:, -1] ** 2 - m[:, 0]], 1)


def windows(joints: int = 5, n: int = 2, seed: int = 0, persons: int = 1) -> torch.Tensor:
    shape = (n, 1, 4, joints, persons)
    return 1 + torch.randn(shape, generator=torch.Generator().manual_seed(seed)).double()


def mixed() -> Adapter:
    return Adapter(Mixed(), BODY)


def groups(background=None, **given):
    return make("shapley-groups", {"replace": "zero", **given}, {"background": background})


def worth(model, x, shown, target, utility="logit") -> float:
    """Return the score of one window (1, ...) in which all joints but some are zero."""
    kept = torch.zeros_like(x)
    kept[:, :, :, list(shown)] = x[:, :, :, list(shown)]
    return float(class_scores(model(kept), utility)[0, target])


def by_orders(v, players: int) -> np.ndarray:
    """Average what each player adds over all n! orders, asked one by one."""
    found = np.zeros(players)
    for order in permutations(range(players)):
        for at, player in enumerate(order):
            found[player] += v(order[: at + 1]) - v(order[:at])
    return found / math.factorial(players)


@pytest.mark.parametrize("utility", ["logit", "prob"])
def test_five_joints_are_the_mean_over_all_orders(utility):
    model, x = mixed(), windows()
    found = groups(utility=utility)(model, x, [0, 1]).dataset
    for i, target in enumerate([0, 1]):
        v = partial(worth, model, x[i : i + 1], target=target, utility=utility)
        np.testing.assert_allclose(found["player_value"][i], by_orders(v, 5), atol=1e-12)
        assert float(found["base_value"][i]) == pytest.approx(v(()), abs=1e-12)
    assert found["orders"].values.tolist() == [0, 0]
    assert not found["player_error"].any()


def test_values_and_base_add_up_to_the_score_in_the_file_too():
    model = ours()
    x = torch.randn(2, 4, 4, 9, 19, 1, generator=torch.Generator().manual_seed(0))
    for given in ({"by": "part"}, {"by": "joint", "budget": 200}):
        made = groups(**given)(model, x, [0, 1])
        total = made.values.sum([dim for dim in made.dims if dim != "sample"]) + made.base_value
        np.testing.assert_allclose(total, made.score, atol=1e-5)
        np.testing.assert_allclose(made.additivity_gap, 0, atol=1e-12)
        np.testing.assert_allclose(made.relative_gap, 0, atol=1e-10)
        with torch.no_grad():
            np.testing.assert_allclose(made.score, model(x)[[0, 1], [0, 1]], atol=1e-6)


def test_a_player_nobody_reads_has_none_and_like_players_have_the_same():
    class Two(nn.Module):
        def forward(self, x):
            m = x.mean((1, 2, 4))
            y = torch.tanh(m[:, 0] * m[:, 1] + m[:, 2])
            return torch.stack([y, -y], 1)

    x = windows(4)
    x[:, :, :, 1] = x[:, :, :, 0]
    found = groups()(Adapter(Two(), BODY), x, 0).dataset["player_value"].to_numpy()
    assert not found[:, 3].any()
    np.testing.assert_allclose(found[:, 0], found[:, 1], atol=1e-12)
    assert abs(found[:, 0]).min() > 1e-3


@pytest.mark.parametrize("budget", [32, 31], ids=["exact", "sampled"])
def test_logits_differences_have_the_difference_of_values(budget):
    model, x = mixed(), windows()
    explainer = groups(budget=budget, tolerance=0)
    rather = explainer(model, x, 0, 1).dataset
    one, other = (explainer(model, x, c).dataset for c in (0, 1))
    for name in ("player_value", "base_value", "score"):
        np.testing.assert_allclose(rather[name], one[name] - other[name], atol=1e-12)
    assert rather["versus"].values.tolist() == [1, 1]


@pytest.mark.parametrize("replace", ["zero", "background"])
def test_sampled_values_are_within_their_errors_of_the_exact_ones(replace):
    model, x, rows = mixed(), windows(10), windows(10, 3, 9)
    given = {"replace": replace, "background": rows if replace == "background" else None}
    exact = groups(**given)(model, x, 0).dataset
    drawn = groups(**given, budget=1000, tolerance=0)(model, x, 0).dataset
    assert (exact["orders"].max(), drawn["orders"].min() > 8) == (0, True)
    error = drawn["player_error"].to_numpy()
    apart = abs(drawn["player_value"] - exact["player_value"]).to_numpy()
    assert (apart <= 4 * error + 1e-12).all()
    assert error.max() > 1e-4
    assert float(abs(drawn["additivity_gap"]).max()) < 1e-12
    np.testing.assert_allclose(drawn["base_value"], exact["base_value"], atol=1e-12)


def test_the_standard_error_covers_as_often_as_it_says():
    model, x = mixed(), windows(6, 1)
    exact = groups()(model, x, 0).dataset["player_value"].to_numpy()[0]
    inside = []
    for seed in range(40):
        found = groups(budget=63, tolerance=0, seed=seed)(model, x, 0).dataset
        apart = abs(found["player_value"].to_numpy()[0] - exact)
        inside.append(apart <= 2 * found["player_error"].to_numpy()[0] + 1e-12)
    assert 0.8 < np.mean(inside) <= 1


def test_it_stops_where_the_error_is_small_enough():
    model, x = mixed(), windows(10, 1)
    few, many = (groups(budget=1000, tolerance=t)(model, x, 0).dataset for t in (0.1, 0))
    assert few["orders"] < many["orders"]
    size = float(abs(few["score"] - few["base_value"])[0])
    assert float(few["player_error"].max()) <= 0.1 * size


@pytest.mark.parametrize(
    ("joints", "given"),
    [(4, {}), (4, {"rows": 3}), (10, {"budget": 300}), (10, {"budget": 300, "rows": 3})],
)
def test_passes_are_those_that_were_foretold_and_run(joints, given):
    model, x, ran = mixed(), windows(joints, 1), []
    rows = given.pop("rows", None)
    if rows:
        given = {**given, "replace": "background", "background": windows(joints, rows, 5)}
    explainer = groups(tolerance=0, **given)
    told = explainer.forecast(model, x)
    model.register_forward_pre_hook(lambda _m, given: ran.append(len(given[0])))
    found = explainer(model, x, 0).dataset
    assert int(found["passes"][0]) == sum(ran) == (told.each.most or told.passes)
    assert told.passes <= int(found["passes"][0]) <= explainer.budget


def test_background_rows_are_averaged_by_their_weights():
    model, x, rows = mixed(), windows(3, 1), windows(3, 2, 7)
    explainer = make("shapley-groups", {"replace": "background", "weights": np.array([1.0, 3.0])},
                     {"background": rows})  # fmt: skip

    def v(shown):
        mixed_rows = rows.clone()
        mixed_rows[:, :, :, list(shown)] = x[:, :, :, list(shown)]
        return float(model(mixed_rows)[:, 0].double() @ torch.tensor([0.25, 0.75]).double())

    found = explainer(model, x, 0).dataset
    np.testing.assert_allclose(found["player_value"][0], by_orders(v, 3), atol=1e-12)
    assert float(found["base_value"][0]) == pytest.approx(v(()))


@needs_shapiq
def test_a_person_who_is_away_is_no_player():
    model, x = mixed(), windows(2, 2, persons=2)
    x[1, ..., 1] = 0
    found = groups(interactions="k-SII")(model, x, 0).dataset
    assert found["passes"].values.tolist() == [1 + 15, 1 + 3]
    assert not found["player_value"][1, 2:].any()
    assert not found["interaction"][1, 2:].any()
    x[1] = 0
    found = groups(interactions="k-SII")(model, x, 0).dataset
    assert (int(found["passes"][1]), float(found["additivity_gap"][1])) == (1, 0)
    assert float(found["base_value"][1]) == float(found["score"][1])


PLAYERS = {
    "joint": 19, "part": 5, "side": 3, "branch": 4, "person": 1, "branch-joint": 76,
    "joint-time": 38, "part-time": 10,
}  # fmt: skip


@pytest.mark.parametrize("by", PLAYERS)
def test_every_kind_of_player(by):
    model, x = ours(), torch.randn(1, 4, 4, 9, 19, 1, generator=torch.Generator().manual_seed(0))
    found = groups(by=by, bins=2, budget=max(32, 4 * PLAYERS[by]))(model, x, 0).dataset
    names = found["player"].values.tolist()
    assert len(names) == len(set(names)) == PLAYERS[by]
    expected = {
        "side": ["left", "right", "middle"],
        "part-time": [
            f"frames {f} {p}" for f in ("0-4", "5-8") for p in model.skeleton.parts
        ],
        "branch-joint": [f"{b} {j}" for b in "JVBA" for j in model.skeleton.joints],
    }  # fmt: skip
    assert names == expected.get(by, names)
    assert abs(found["player_value"]).max() > 0


def test_sides_are_the_mirror_pairs():
    model, x = ours(), torch.randn(1, 4, 4, 9, 19, 1, generator=torch.Generator().manual_seed(0))
    explainer = groups(by="side")
    players = explainer.divided(model, x)
    numbers = players.labels.flatten().tolist()
    for left, right in model.skeleton.mirror:
        assert (numbers[left], numbers[right]) == (0, 1)
    with pytest.raises(ValueError, match="a skeleton of 5 joints for the players 'side'"):
        explainer(mixed(), windows(), 0)


def test_values_depend_on_the_seed_and_on_nothing_beside():
    model = ours()
    x = torch.randn(3, 4, 4, 9, 19, 1, generator=torch.Generator().manual_seed(0))

    def values(x=x, **given):
        return groups(budget=120, **given)(model, x, 1).values.to_numpy()

    before = traces(model)
    whole = values()
    assert np.array_equal(whole, values())
    assert np.array_equal(whole[1:2], values(x[1:2]))
    np.testing.assert_allclose(whole, values(batch=7), atol=1e-6)
    assert not np.allclose(whole, values(seed=2))
    assert traces(model) == before


@pytest.mark.parametrize("kind", OUTPUTS)
def test_outputs_of_every_kind_add_up_in_their_units(kind):
    model = network(kind)
    x = torch.randn(2, 4, 4, 12, 19, 1, generator=torch.Generator().manual_seed(0))
    found = groups(by="part")(model, x, 1)
    total = found.dataset["player_value"].sum("player") + found.base_value
    with torch.no_grad():
        np.testing.assert_allclose(total, model(x)[:, 1], rtol=1e-5, atol=1e-5)
    if kind == "regression":
        with pytest.raises(ValueError, match="shapley-groups: Expected utility 'logit'"):
            groups(by="part", utility="prob")(model, x, 1)
    else:
        found = groups(by="part", utility="prob")(model, x, 1)
        assert float(found.score.max()) <= 1


def test_a_budget_too_small_to_sample_is_refused():
    message = "a budget of at least 38 passes for 10 players and 1 rows .got 37"
    with pytest.raises(ValueError, match=f"shapley-groups: expected {message}"):
        groups(budget=37)(mixed(), windows(10), 0)
    assert int(groups(budget=38)(mixed(), windows(10), 0).dataset["orders"][0]) == 4


# -- interactions --------------------------------------------------------------------------------


def derivative(v, i, j, rest) -> float:
    return v((*rest, i, j)) - v((*rest, i)) - v((*rest, j)) + v(rest)


def pairs_by_hand(v, index, n: int) -> np.ndarray:
    """Return single values on the diagonal and pairs beside it, of their definitions.

    Pairs of k-SII are Grabisch and Roubens' index, single values phi_i - 1/2 sum_j I_ij. STII:
    2/n sum_S delta_ij v(S) / C(n - 1, |S|), single values v(i) - v().
    """
    found = np.zeros((n, n))
    for i, j in combinations(range(n), 2):
        others = [k for k in range(n) if k not in (i, j)]
        for size in range(n - 1):
            for rest in combinations(others, size):
                if index == "k-SII":
                    share = math.factorial(n - size - 2) * math.factorial(size)
                    share /= math.factorial(n - 1)
                else:
                    share = 2 / (n * math.comb(n - 1, size))
                found[i, j] += share * derivative(v, i, j, rest)
        found[j, i] = found[i, j]
    if index == "k-SII":
        np.fill_diagonal(found, by_orders(v, n) - found.sum(1) / 2)
    else:
        np.fill_diagonal(found, [v((i,)) - v(()) for i in range(n)])
    return found


@needs_shapiq
@pytest.mark.parametrize("index", ["k-SII", "STII"])
def test_interactions_of_four_are_their_definitions(index):
    model, x = mixed(), windows(4, 1)
    found = groups(interactions=index)(model, x, 0).dataset
    expected = pairs_by_hand(lambda s: worth(model, x, s, 0), index, 4)
    matrix = found["interaction"].to_numpy()[0]
    assert found["interaction"].dims == ("sample", "player", "player_b")
    np.testing.assert_allclose(matrix, expected, atol=1e-10)
    total = matrix[np.triu_indices(4)].sum() + float(found["base_value"][0])
    assert total == pytest.approx(float(found["score"][0]), abs=1e-10)
    if index == "k-SII":
        rows = matrix.diagonal() + (matrix - np.diag(matrix.diagonal())).sum(1) / 2
        np.testing.assert_allclose(rows, found["player_value"][0], atol=1e-10)
    assert not found["interaction_error"].any()


@needs_shapiq
@pytest.mark.parametrize("index", ["k-SII", "STII"])
def test_a_product_acts_together_and_a_sum_apart(index):
    class Product(nn.Module):
        def forward(self, x):
            m = x.mean((1, 2, 4))
            y = 2 * m[:, 0] * m[:, 1] + 3 * m[:, 2]
            return torch.stack([y, -y], 1)

    x = torch.ones(1, 1, 4, 3, 1)
    found = groups(interactions=index)(Adapter(Product(), BODY), x, 0).dataset["interaction"][0]
    np.testing.assert_allclose(found, [[0, 2, 0], [2, 0, 0], [0, 0, 3]], atol=1e-6)


@needs_shapiq
@pytest.mark.parametrize("index", ["k-SII", "STII"])
def test_sampled_interactions_are_within_their_errors(index):
    model, x = mixed(), windows(9, 1)
    exact = groups(interactions=index)(model, x, 0).dataset["interaction"].to_numpy()[0]
    drawn = groups(interactions=index, budget=400)(model, x, 0).dataset
    again = groups(interactions=index, budget=400)(model, x, 0).dataset
    matrix, error = (drawn[n].to_numpy()[0] for n in ("interaction", "interaction_error"))
    assert np.array_equal(matrix, again["interaction"].to_numpy()[0])
    assert np.array_equal(matrix, matrix.T)
    assert int(drawn["passes"][0]) <= 2 * 400
    # Four runs: an error has three degrees of freedom, 9.2 of them leave out 0.3%.
    assert (abs(matrix - exact) <= 9.2 * error + 0.02 * abs(exact).max()).mean() > 0.97
    assert error.max() > 0
    total = matrix[np.triu_indices(9)].sum() + float(drawn["base_value"][0])
    assert total == pytest.approx(float(drawn["score"][0]), abs=1e-5)


@needs_shapiq
def test_it_says_where_on_whose_body_players_are():
    model, x = ours(), torch.randn(1, 4, 4, 9, 19, 1, generator=torch.Generator().manual_seed(0))
    parts = groups(by="part", interactions="STII")(model, x, 0).dataset
    members = [tuple(np.flatnonzero(row)) for row in parts["player_joint"].to_numpy()]
    assert members == list(model.skeleton.parts.values())
    branches = groups(by="branch", interactions="STII")(model, x, 0).dataset
    assert branches["player_joint"].shape == (4, 19)
    assert branches["player_joint"].all()
    both = groups(interactions="STII")(mixed(), windows(2, persons=2), 0).dataset
    assert both["player_joint"].values.tolist() == 2 * [[True, False], [False, True]]
    assert both["player_person"].values.tolist() == 2 * [[True, False]] + 2 * [[False, True]]


@needs_shapiq
def test_interactions_need_more_to_be_sampled():
    with pytest.raises(ValueError, match="a budget of at least 456 passes for 10 players"):
        groups(budget=455, interactions="STII")(mixed(), windows(10), 0)


def test_without_shapiq_it_says_how_to_get_it(monkeypatch):
    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *a: None if name == "shapiq" else real(name, *a)
    )
    with pytest.raises(ValueError, match=r"not installed\): pip install 'hargcn\[interactions\]'"):
        groups(interactions="k-SII")
    assert groups().interactions == "none"


# -- absent by a movement ------------------------------------------------------------------------


@pytest.mark.parametrize("replace", ["freeze", "interpolate", "chain"])
def test_movement_is_of_positions(replace):
    x = torch.randn(1, 4, 4, 9, 19, 1, generator=torch.Generator().manual_seed(0))
    with pytest.raises(ValueError, match=f"replace '{replace}' .*branches follow from positions"):
        groups(by="part", replace=replace)(small_model(), x, 0)
    positions = PositionModel(ours())
    moving = torch.randn(1, 2, 9, 19, 1, generator=torch.Generator().manual_seed(1))
    found = groups(by="part", replace=replace)(positions, moving, 0)
    assert abs(found.dataset["player_value"]).min() > 0
    assert found.settings["replace"] == replace
