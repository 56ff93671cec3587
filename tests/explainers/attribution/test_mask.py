"""The learnt mask: against the formula in plain torch, by hand, and where the answer is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from fixtures.small_model import half_trained, small_model, traces
from fixtures.stick import stick
from fixtures.toy_networks import Planted, planted_windows
from torch import nn

import hargcn
from hargcn.explainers import Adapter, MeaningfulMask, make
from hargcn.explainers.attribution.groups import players_of
from hargcn.explainers.attribution.mask import Price
from hargcn.explainers.passes import Passes
from hargcn.networks.branches import PositionModel

TASKS = ("delete", "keep")
PLANTED = ("sample", "channel", "time", "joint", "person")


def inputs(n: int = 3, frames: int = 9, persons: int = 2) -> torch.Tensor:
    """Return windows in which the second person of the second window is absent half of the time."""
    x = torch.randn(n, 4, 4, frames, 19, persons, generator=torch.Generator().manual_seed(0))
    x[1:2, :, :, frames // 2 :, :, -1] = 0
    return x


def explained(model=None, x=None, target=1, versus=None, **given):
    needed = {"background": given.pop("background", None)}
    explainer = make("mask", {"steps": 6, "bins": 3, **given}, needed)
    return explainer(small_model() if model is None else model, inputs() if x is None else x,
                     target, versus)  # fmt: skip


def formula(model, x, fill, target, task, bins, steps, rate=0.05, price=(1.0, 0.5, 0.5)):
    """Learn the mask (bins, V, M) of one window by torch's Adam on the formula, cell by cell."""
    frames, joints, persons = x.shape[3:]
    bin_of = torch.arange(frames) * bins // frames
    here = (x != 0).any(dim=4).flatten(0, 2).any(dim=0)  # (T, M)
    plays = torch.stack([here[bin_of == b].any(dim=0) for b in range(bins)])
    cells = [(b, v, m) for m in range(persons) for b in range(bins) for v in range(joints)
             if plays[b, m]]  # fmt: skip
    bones = [((b, v, m), (b, w, m)) for b, v, m in cells for u, w in model.skeleton.edges if u == v]
    ticks = [((b, v, m), (b + 1, v, m)) for b, v, m in cells if (b + 1, v, m) in cells]
    a = torch.zeros(bins, joints, persons, dtype=torch.float64)
    for cell in cells:
        a[cell] = 0.5
    a.requires_grad_()

    def score(mask):
        hide = (mask if task == "delete" else 1 - mask)[bin_of] * here[:, None].double()
        rows = x * (1 - hide) + fill * hide
        return model(rows)[:, target].mean()

    ends = (0.0, 1.0) if task == "delete" else (1.0, 0.0)
    whole, nothing = (score(torch.full_like(a, end)).item() for end in ends)
    unit = abs(whole - nothing)
    adam, kept, curve = torch.optim.Adam([a], lr=rate), [], []
    for step in range(steps):
        found = score(a)
        loss = (found - nothing if task == "delete" else whole - found) / unit
        loss = loss + price[0] * sum(a[c] for c in cells) / len(cells)
        for weight, pairs in zip(price[1:], (bones, ticks), strict=True):
            loss = loss + weight * sum(abs(a[i] - a[j]) for i, j in pairs) / len(pairs)
        kept.append(a.detach().clone())
        curve.append(loss.item())
        adam.zero_grad()
        loss.backward()
        adam.param_groups[0]["lr"] = rate * (1 - step / steps)
        adam.step()
        with torch.no_grad():
            a.clamp_(0, 1)
    return kept[int(np.argmin(curve))][bin_of], curve


@pytest.mark.slow
@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("rows", [0, 3])
def test_it_is_what_torchs_adam_finds_on_the_formula(task, rows):
    model, x = small_model().double(), inputs(2).double()
    background = inputs(4)[:rows].double() if rows else None
    given = {"replace": "background"} if rows else {"replace": "zero"}
    found = explained(model, x, [0, 2], task=task, steps=8, background=background, batch=2, **given)
    for i, target in enumerate((0, 2)):
        fill = background if rows else torch.zeros(1, 1)
        values, curve = formula(model, x[i : i + 1], fill, target, task, bins=3, steps=8)
        np.testing.assert_allclose(found.dataset["objective"][i], curve, rtol=1e-6, atol=1e-9)
        np.testing.assert_allclose(found.values[i], values, atol=1e-5)
    assert found.dims == ("sample", "time", "joint", "person")


@pytest.mark.parametrize("task", TASKS)
def test_it_finds_the_one_cell_that_the_score_needs(task):
    at = Adapter(Planted(2, slice(4, 8)), PLANTED)
    x, label, truth = planted_windows(4)
    found = explained(at, x[label == 1], 1, task=task, replace="zero", steps=100)
    expected = truth[label == 1].numpy()
    values = found.values.to_numpy()[..., 0]
    assert values[expected].min() > 0.9
    assert values[~expected].max() < 0.1


def test_differences_are_counted_over_bones_and_from_stretch_to_stretch(tmp_path):
    """Two stretches of time, the last joint of the second of which does not play."""
    layout = hargcn.skeleton(stick(tmp_path))
    joints = layout.n_joints
    at = Adapter(nn.Identity(), ("sample", "time", "joint"), skeleton=layout)
    players = players_of(at, torch.ones(1, 4, joints), "joint-time", 2)
    mask = torch.rand(2, joints, generator=torch.Generator().manual_seed(0)).double()
    playing = torch.ones(2, joints, dtype=torch.bool)
    playing[1, -1] = False
    bones = [(t, a, b) for t in range(2) for a, b in layout.edges if playing[t, [a, b]].all()]
    over_bones = np.mean([abs(mask[t, a] - mask[t, b]).item() for t, a, b in bones])
    over_time = (mask[0] - mask[1])[:-1].abs().mean().item()
    area = mask[playing].mean().item()
    for prices in ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0), (2.0, 3.0, 5.0)):
        wanted = MeaningfulMask(sparse=prices[0], smooth=prices[1], smooth_time=prices[2])
        price = Price(players, playing.flatten(), wanted)(mask.flatten())
        expected = np.dot(prices, (area, over_bones, over_time))
        np.testing.assert_allclose(price, expected, rtol=1e-12)


@pytest.mark.slow
def test_smoother_masks_have_smaller_differences():
    def roughness(**given):
        return float(abs(explained(x=inputs(1), steps=40, **given).values.diff("time")).sum())

    rough = roughness(smooth=0.0, smooth_time=0.0)
    assert roughness(smooth=0.0, smooth_time=20.0) < 0.2 * rough


@pytest.mark.slow
@pytest.mark.parametrize("task", TASKS)
def test_the_curve_falls_and_the_score_is_that_under_the_mask(task):
    model, x = small_model(), inputs()
    found = explained(model, x, task=task, replace="zero", steps=30)
    curve = found.dataset["objective"]
    assert curve.dims == found.dataset["step_score"].dims == ("sample", "step")
    assert curve.shape == (3, 30)
    assert (curve[:, -1] < curve[:, 0] - 0.2).all()
    assert (curve.diff("step") < 0).mean() > 0.7  # of steps of one size around the least
    mask = torch.from_numpy(found.values.to_numpy())[:, None, None]
    with torch.no_grad():
        scores = model(x * (1 - mask if task == "delete" else mask))[:, 1]
    np.testing.assert_allclose(found.dataset["masked_score"], scores, atol=1e-5)
    assert 0 <= float(found.values.min()) < float(found.values.max()) <= 1


@pytest.mark.slow
@pytest.mark.parametrize("task", TASKS)
def test_no_other_mask_of_the_same_area_does_as_well(task):
    model, x = small_model(), inputs(1)
    found = explained(model, x, task=task, replace="zero", steps=60, bins=9)
    flat = torch.from_numpy(found.values.to_numpy()).flatten()
    generator, scores = torch.Generator().manual_seed(1), []
    for _ in range(30):
        mask = flat[torch.randperm(len(flat), generator=generator)].view(1, 1, 1, 9, 19, 2)
        with torch.no_grad():
            scores.append(model(x * (1 - mask if task == "delete" else mask))[0, 1].item())
    own = float(found.dataset["masked_score"][0])
    assert own < min(scores) if task == "delete" else own > max(scores)


def test_nobody_is_not_masked_and_samples_do_not_meet():
    x = inputs()
    whole = explained(x=x).values
    assert np.array_equal(whole[1:2], explained(x=x[1:2]).values)
    assert np.array_equal(whole, explained(x=x).values)  # nothing is drawn
    assert not whole[1, 6:, :, 1].any()  # the second stretch holds the last frame of the person
    assert whole[1, :6, :, 1].any()
    x[0] = 0
    assert not explained(x=x).values[0].any()


def test_why_one_class_and_not_another_and_on_positions():
    model = small_model()
    rather = explained(model, inputs(), 2, versus=0, replace="zero")
    with torch.no_grad():
        logits = model(inputs())
    np.testing.assert_allclose(rather.score, logits[:, 2] - logits[:, 0], atol=1e-5)
    assert not np.allclose(rather.values, explained(model, inputs(), 2, replace="zero").values)
    x = torch.randn(2, 2, 9, 19, 2, generator=torch.Generator().manual_seed(3))
    found = explained(PositionModel(model), x)
    assert found.dims == ("sample", "time", "joint", "person")
    assert found.values.to_numpy().any()


def test_a_network_that_does_not_look_has_no_mask():
    class Blind(nn.Module):
        def forward(self, x):
            return torch.ones(len(x), 2)

    x = planted_windows(2)[0]
    found = explained(Adapter(Blind(), PLANTED), x, steps=60)
    assert float(found.values.max()) < 0.01


def test_the_network_is_left_as_it_was():
    model, x = half_trained(small_model()), inputs()
    before, state = traces(model), {k: v.clone() for k, v in model.state_dict().items()}
    with torch.inference_mode():
        found = explained(model, inputs(), background=inputs(2), replace="background")
    assert traces(model) == before
    assert all(value.equal(state[key]) for key, value in model.state_dict().items())
    again = explained(model, x, background=inputs(2), replace="background")
    assert np.array_equal(found.values, again.values)


def test_passes_are_counted_and_other_axes_refused():
    model, ran = small_model(), []
    explainer = make("mask", {"replace": "background", "steps": 5}, {"background": inputs(2)})
    assert explainer.passes(model, inputs(1)) == Passes(13, 10)
    model.register_forward_pre_hook(lambda _m, given: ran.append(len(given[0])))
    explainer(model, inputs(1), 0)
    assert sum(ran) == 13
    flat = Adapter(nn.Linear(6, 2), ("sample", "feature"))
    with pytest.raises(ValueError, match="^mask: expected an input with an axis 'time' for its"):
        make("mask", {})(flat, torch.ones(2, 6), 0)
    with pytest.raises(ValueError, match="mask: task: Input should be 'delete' or 'keep'"):
        make("mask", {"task": "both"})
