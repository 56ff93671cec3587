"""What all methods that hide parts of the input share."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from fixtures.elsewhere import THERE, elsewhere, moved
from fixtures.methods import HIDING
from fixtures.outcomes import OUTPUTS, network
from fixtures.small_model import half_trained, small_model, traces
from fixtures.toy_networks import Planted, planted_windows
from torch import nn

import hargcn.explainers
from hargcn.explainers import Adapter, make, methods
from hargcn.explainers.attribution.groups import Game, Hiding
from hargcn.explainers.scores import class_scores

PLANTED = ("sample", "channel", "time", "joint", "person")
LEARNT = {"lime": {"masks": 60}, "rise": {"masks": 300}, "mask": {"steps": 60}}


def hiding(name, background, **given):
    """Build a method whose hidden cells are those of a background, or the mean over time."""
    replaced = {} if background is None else {"replace": "background"}
    return make(name, {**HIDING[name], **replaced, **given}, {"background": background})


def inputs(n: int = 3, seed: int = 0, persons: int = 1) -> torch.Tensor:
    shape = (n, 4, 4, 9, 19, persons)
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def test_the_list_is_complete_and_all_are_exported():
    own = {n: c for n, c in methods().items() if issubclass(c, Hiding) and "hargcn" in c.__module__}
    assert {*own} == {*HIDING}
    assert {cls.__name__ for cls in own.values()} <= {*hargcn.explainers.__all__}


@pytest.mark.parametrize("name", HIDING)
def test_a_planted_joint_beats_the_others(name):
    """In every window with the sign it has more than any joint, and more than at random."""
    at = Adapter(Planted(2, slice(4, 8)), PLANTED)
    x, label, truth = planted_windows(12)
    rows = x[label == 0]
    found = hiding(name, rows[:3], **LEARNT.get(name, {}))(at, x[label == 1], 1)
    axes = [d for d in found.dims if d not in ("sample", "joint")]
    joints = abs(found.values).sum(axes).to_numpy()
    assert (joints.argmax(axis=1) == 2).all()
    inside = joints[:, 2] / joints.sum(axis=1)
    assert inside.min() > 3 / 6  # a random map has a sixth
    assert truth[label == 1].any(dim=1).float().argmax(dim=1).eq(2).all()


@pytest.mark.slow
@pytest.mark.parametrize("kind", OUTPUTS)
@pytest.mark.parametrize("name", HIDING)
def test_every_kind_of_output_or_a_line(name, kind):
    model, x, rows = network(kind), inputs(2), inputs(2, 1)
    explainer = hiding(name, rows)
    if kind not in type(explainer).kinds:
        with pytest.raises(ValueError, match=rf"^{name}: expected a network of classes, ordinal"):
            explainer(model, x, 0)
        return
    found = explainer(model, x, 1)
    with torch.no_grad():
        expected = class_scores(model(x), explainer.explained, model.outputs)[:, 1]
    np.testing.assert_allclose(found.score, expected, rtol=1e-5)
    assert np.isfinite(found.values).all()
    assert found.values.to_numpy().any()


def test_values_of_a_regression_are_in_its_units_and_masks_in_none():
    before, after = network("regression"), network("regression")
    after.head.scale *= 2
    after.head.mean += 100
    for name in ("occlusion", "lime", "rise"):
        one, two = (hiding(name, None)(model, inputs(1), 1).values for model in (before, after))
        np.testing.assert_allclose(two, 2 * one, rtol=1e-3, atol=1e-4)
    one, two = (hiding("mask", None)(model, inputs(1), 1).values for model in (before, after))
    np.testing.assert_allclose(two, one, atol=1e-2)


@pytest.mark.parametrize("name", HIDING)
@pytest.mark.parametrize("odd", [float("nan"), float("inf")])
def test_what_is_not_finite_is_refused_by_name(name, odd):
    model, x, rows = small_model(), inputs(2), inputs(2, 1)
    x[1, 0, 0, 0, 0, 0] = odd
    with pytest.raises(ValueError, match=rf"^sample 1: expected finite input \(got {odd}\)$"):
        hiding(name, rows)(model, x, 0)
    with pytest.raises(ValueError, match="background sample 1: expected finite input"):
        hiding(name, x)
    with torch.no_grad():
        model.head.bias[0] = odd
    with pytest.raises(ValueError, match="every weight of the network finite"):
        hiding(name, rows)(model, inputs(2), 0)


@pytest.mark.parametrize("name", HIDING)
def test_the_network_is_left_as_it_was_in_any_mode(name):
    model, x = half_trained(small_model()), inputs(2)
    before, state = traces(model), {k: v.clone() for k, v in model.state_dict().items()}
    random = torch.get_rng_state()
    expected = hiding(name, inputs(2, 1))(model, x, 1).values
    with torch.inference_mode():
        found = hiding(name, inputs(2, 1))(model, inputs(2), 1).values
    np.testing.assert_array_equal(found, expected)
    with pytest.raises(ValueError, match="Expected targets 0 to 2"):
        hiding(name, inputs(2, 1))(model, x, 3)
    assert traces(model) == before
    assert all(value.equal(state[key]) for key, value in model.state_dict().items())
    assert random.equal(torch.get_rng_state())


@pytest.mark.parametrize(
    ("name", "given"),
    [(name, {}) for name in HIDING]
    + [("occlusion", {"replace": how}) for how in ("mean", "freeze", "chain")]
    + [("shapley-groups", {"budget": 40})],  # too few to be exact
)
def test_all_of_it_is_where_the_network_is(name, given):
    """What two devices would refuse to do together breaks it; the answer is that of the CPU."""
    skeleton = small_model().skeleton
    at, moved_at = (Adapter(m, PLANTED, skeleton=skeleton) for m in (Body(), moved(Body())))
    x, rows = (inputs(2, seed)[:, 0, :2] for seed in (0, 1))
    by = {} if name in ("rise", "mask") else {"by": "part"}
    explainer = hiding(name, rows, **by, **given)
    expected = explainer(at, x, 1)
    with elsewhere():
        found = explainer(moved_at, x.to(THERE), 1)
    for variable in expected.dataset:
        np.testing.assert_array_equal(found.dataset[variable], expected.dataset[variable])


class Body(nn.Module):
    """How far either coordinate spreads over time, times the mean of the other."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.tensor([2.0, 3.0]))

    def forward(self, x):
        mean, spread = x.mean((2, 3, 4)), x.std(2).mean((2, 3))
        return self.scale * mean.flip(1) * spread


@pytest.mark.slow
@pytest.mark.parametrize("name", HIDING)
def test_a_contrast_is_a_score_like_another(name):
    model, x = small_model(), inputs(3)
    explainer = hiding(name, inputs(2, 1))
    found = explainer(model, x, [2, 0, 1], [0, 1, 0])
    assert found.versus.values.tolist() == [0, 1, 0]
    if name in ("occlusion", "lime", "rise"):  # linear in the score
        one, other = (explainer(model, x, each).values for each in ([2, 0, 1], [0, 1, 0]))
        np.testing.assert_allclose(found.values, one - other, atol=1e-4)
    alone = explainer(model, x[1:2], 0, 1)
    np.testing.assert_allclose(found.values[1:2], alone.values, atol=1e-6)


@pytest.mark.parametrize("replace", ["mean", "zero", "background"])
def test_what_is_shown_is_exact_at_both_ends_and_has_a_gradient_there(replace):
    model, x = small_model(), inputs(1, persons=2)
    x[..., 5:, :, 1] = 0  # the second person leaves
    rows = inputs(2, 1, persons=2)
    seen: list[Game] = []

    class Looks(type(hiding("occlusion", None))):
        def played(self, game, players, target, outputs):
            seen.append(game)
            return super().played(game, players, target, outputs)

    Looks(replace=replace, background=rows)(model, x, 0)
    (game,) = seen
    everything, nothing = torch.ones(1, *x.shape[1:]), torch.zeros(1, *x.shape[1:])
    assert game.shown(everything).equal(x)
    hidden = game.shown(nothing, game.fill)
    assert hidden[..., :5, :, 1].equal(game.fill.expand_as(hidden)[..., :5, :, 1])
    assert not hidden[..., 5:, :, 1].any()
    for end in (everything, nothing):
        keep = end.clone().requires_grad_()
        (slope,) = torch.autograd.grad(game.shown(keep).sum(), keep)
        expected = torch.where(game.here, x - game.fill[:1], 0)
        np.testing.assert_allclose(slope, expected.expand_as(slope), atol=1e-6)


def test_lime_is_captums_on_the_same_groups():
    """Captum draws for itself; given our groups, distances and ridge, its surrogate is ours."""
    attr = pytest.importorskip("captum.attr", reason="needs captum")
    linear = pytest.importorskip("captum._utils.models.linear_model.model", reason="needs captum")
    del linear
    from captum._utils.models.linear_model import SkLearnRidge

    model, x = small_model(), inputs(1)
    ours = make("lime", {"masks": 40, "by": "part", "replace": "zero", "ridge": 0.5, "seed": 3})
    found = ours(model, x, 2).dataset["player_value"].to_numpy()[0]
    players = len(found)
    drawn = torch.rand(39, players, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    groups = iter([torch.ones(1, players), *(drawn < 0.5).float().split(1)])
    parts = torch.zeros(19, dtype=torch.long)
    for number, members in enumerate(model.skeleton.parts.values()):
        parts[list(members)] = number

    def weight(_original, _perturbed, mask, **_given):
        distance = 1 - mask.double().mean().sqrt()
        return torch.exp(-((distance / 0.25) ** 2))

    theirs = attr.LimeBase(
        model,
        SkLearnRidge(alpha=0.5),
        weight,
        perturb_func=lambda *_call, **_given: next(groups),
        perturb_interpretable_space=True,
        from_interp_rep_transform=lambda mask, sample, **_given: (
            sample * mask[0, parts].view(-1, 1)
        ),
        to_interp_rep_transform=None,
    )
    expected = theirs.attribute(x, target=2, n_samples=40)[0]
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-5)


def test_occlusion_is_captums_ablation_of_the_same_parts():
    attr = pytest.importorskip("captum.attr", reason="needs captum")
    model, x = small_model(), inputs(2)
    parts = torch.zeros(19, dtype=torch.long)
    for number, members in enumerate(model.skeleton.parts.values()):
        parts[list(members)] = number
    mask = parts.view(1, 1, 1, 1, 19, 1).expand(1, *x.shape[1:])
    expected = attr.FeatureAblation(model).attribute(x, target=1, feature_mask=mask)
    found = make("occlusion", {"by": "part", "replace": "zero"})(model, x, 1).dataset
    by_part = torch.stack(
        [expected[:, 0, 0, 0, parts == p, 0][:, 0] for p in range(int(parts.max()) + 1)], 1
    )
    np.testing.assert_allclose(found["player_value"], by_part, atol=1e-5)


def test_a_network_of_its_own_axes():
    class Sum(nn.Module):
        def forward(self, x):
            return torch.stack([x[:, :, 1].sum((1, 2)), x.sum((1, 2, 3))], 1)

    at = Adapter(Sum(), ("sample", "time", "joint", "channel"))
    x = torch.rand(2, 6, 4, 2, generator=torch.Generator().manual_seed(0)) + 1
    for name in HIDING:
        found = hiding(name, 0.1 * x, **LEARNT.get(name, {}))(at, x, 0)
        axes = [d for d in found.dims if d not in ("sample", "joint")]
        assert (found.values.sum(axes).argmax("joint") == 1).all()
