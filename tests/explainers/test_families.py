"""Published families: every method on a small network of each structure, against plain autograd."""

from __future__ import annotations

import inspect
import re
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from fixtures.by_hand import (
    CENTRES,
    FORMULAS,
    TARGET,
    as_maps,
    from_maps,
    gradients,
    map_by_hand,
    scores,
    watched,
)
from fixtures.families import FAMILIES, JOINTS
from fixtures.families_page import BOUND, page
from fixtures.methods import CAMS, cam
from fixtures.small_model import traces

from hargcn.explainers import CAM, DeepSHAP, GradCAM, HybridRank, methods
from hargcn.explainers.adapter import Adapter
from hargcn.explainers.cam.base import explain_all

PAGE = Path(__file__).resolve().parents[2] / "docs" / "networks.md"
WHERE = [(key, each) for key in FAMILIES for each in ("layer", "early")]
LINEAR = [key for key in FAMILIES if key != "infogcn"]


@cache
def family(key: str) -> tuple[Adapter, torch.Tensor]:
    """Every test leaves it as it was."""
    return FAMILIES[key].adapted(), FAMILIES[key].inputs()


def flat(made) -> np.ndarray:
    """Return a map (sample, time, cell, person), a plane's axes as one."""
    values = made.values.to_numpy()
    return values if values.ndim == 4 else values.reshape(*values.shape[:2], -1, values.shape[-1])


def close(found, expected, rtol=1e-3):
    scale = float(abs(expected).max())
    assert scale > 0
    np.testing.assert_allclose(found, expected, rtol=rtol, atol=1e-4 * scale)


def test_every_gradient_method_is_worked_out_by_hand():
    gradient = {n for n in CAMS if "B" in methods()[n].cost and "tail" not in methods()[n].cost}
    assert gradient == {*FORMULAS, "cam"}


@pytest.mark.parametrize(("key", "which"), WHERE)
def test_maps_are_those_of_autograd(key, which):
    at, x = family(key)
    layer = getattr(FAMILIES[key], which)
    parts = gradients(key, at, layer, x)
    for made in explain_all([cam(name, layer) for name in FORMULAS], at, x, TARGET):
        close(flat(made), map_by_hand(made.method, parts))
    assert float(parts["g"].abs().max()) > 0


@pytest.mark.parametrize("key", LINEAR)
def test_at_a_linear_head_maps_add_up_to_the_logit(key):
    """CAM is HiResCAM times the cells; HiResCAM's sum and the bias are the logit."""
    at, x = family(key)
    layer = FAMILIES[key].layer
    exact, plain = explain_all([cam("hirescam", layer), CAM(layer)], at, x, TARGET)
    bias = float(at.linear_head(layer)[1][TARGET])
    logits = at(x)[:, TARGET].detach()
    np.testing.assert_allclose(flat(exact).sum((1, 2, 3)) + bias, logits, rtol=1e-4, atol=1e-5)
    close(flat(plain), flat(exact) * flat(exact)[0].size)


def test_without_one_cam_says_so():
    at, x = family("infogcn")
    with pytest.raises(ValueError, match="a global average and a linear head only .got 'l2'"):
        CAM("l2")(at, x, TARGET)


@pytest.mark.parametrize("key", FAMILIES)
def test_cells_lie_where_their_strides_put_them(key):
    at, x = family(key)
    made = GradCAM(FAMILIES[key].layer)(at, x, TARGET)
    cells = made.values.sizes["time"]
    np.testing.assert_array_equal(
        made.values["time"], CENTRES.get(key, 0) + np.arange(cells) * (12 // cells)
    )


@pytest.mark.parametrize(("key", "which"), WHERE)
def test_ablation_is_the_network_without_a_map(key, which):
    at, x = family(key)
    layer = getattr(FAMILIES[key], which)
    with watched(at.model, layer) as seen:
        full = at(x)[:, TARGET].detach()
    found = cam("ablationcam", layer)(at, x, TARGET).dataset["weight"]
    for person, feature in [(0, 0), (found.sizes["person"] - 1, found.sizes["feature"] - 1)]:

        def without(a, person=person, feature=feature):
            maps = as_maps(key, a, len(x)).clone()
            maps[:, person, feature] = 0
            return from_maps(key, maps, a)

        drop = (full - scores(at, layer, x, without)[:, TARGET]) / full
        np.testing.assert_allclose(
            found.isel(person=person, feature=feature), drop, rtol=1e-2, atol=1e-4
        )
    assert len(seen) == 1


@pytest.mark.parametrize(("key", "which"), WHERE)
def test_lift_and_shap_cam_add_up_to_what_they_promise(key, which):
    """From zero maps, and from maps at their means, to the score of the whole."""
    at, x = family(key)
    layer = getattr(FAMILIES[key], which)
    full = at(x).detach()
    weights = cam("liftcam", layer)(at, x, TARGET).dataset["weight"].sum(("person", "feature"))
    nothing = scores(at, layer, x, torch.zeros_like)
    np.testing.assert_allclose(weights, (full - nothing)[:, TARGET], rtol=1e-3, atol=1e-4)

    def averaged(a):
        maps = as_maps(key, a, len(x))
        return from_maps(key, maps.mean((3, 4), keepdim=True).expand_as(maps), a)

    means = scores(at, layer, x, averaged).softmax(1)
    found = flat(cam("shapcam", layer)(at, x, TARGET)).sum((1, 2, 3))
    np.testing.assert_allclose(found, (full.softmax(1) - means)[:, TARGET], rtol=1e-2, atol=1e-4)


@pytest.mark.parametrize("key", FAMILIES)
def test_score_cam_weighs_by_the_masked_input(key):
    """Masks by hand: a feature map over (time, cell), interpolated in time, on one person."""
    at, x = family(key)
    layer, one, dims = FAMILIES[key].early, x[:1], at.input_dims
    with watched(at.model, layer) as seen:
        at(one)
    maps = as_maps(key, seen[0].detach(), 1)[0]
    cells, first = maps.shape[2], CENTRES.get(key, 0)
    centres = first + np.arange(cells) * (12 // cells)
    over_time = np.stack([np.interp(np.arange(12), centres, row) for row in np.eye(cells)], axis=1)
    axes = ("time", "y", "x") if key == "heatmaps" else ("time", "joint", "person")
    order = sorted(axes, key=dims.index)
    shape = [n if d in axes else 1 for d, n in zip(dims, x.shape, strict=True)]
    shown = torch.zeros(maps.shape[:2])
    for person, feature in np.ndindex(*maps.shape[:2]):
        own = maps[person, feature]
        own = (own - own.min()) / (own.max() - own.min())
        mask = torch.ones([x.shape[dims.index(d)] for d in axes])
        fine = torch.from_numpy(over_time).float() @ own
        if key == "heatmaps":
            mask = fine.view(mask.shape)
        else:
            mask[:, :, person] = fine
        mask = mask.permute([axes.index(d) for d in order]).reshape(shape)
        shown[person, feature] = at(one * mask)[0, TARGET].detach()
    found = cam("scorecam", layer)(at, one, TARGET).dataset["weight"][0]
    np.testing.assert_allclose(found, shown.softmax(1), rtol=1e-3)


@pytest.mark.parametrize("key", FAMILIES)
def test_shap_adds_up_in_both_precisions(key):
    """In single precision as it comes, nothing repeated in double."""
    at, x = family(key)
    rows = FAMILIES[key].inputs(5, seed=2)
    single = DeepSHAP(rows, allow_gap=True)(at, x, TARGET)
    assert float(single.relative_gap.max()) < BOUND
    assert single.dims == at.input_dims
    np.testing.assert_allclose(single.score, at(x)[:, TARGET].detach(), rtol=1e-5)
    double = DeepSHAP(rows, dtype="float64")(at, x, TARGET)
    assert float(double.relative_gap.max()) < 1e-9
    assert float(abs(double.values).max()) > 0
    close(single.values.to_numpy(), double.values.to_numpy(), rtol=1e-2)


@pytest.mark.parametrize("key", FAMILIES)
def test_two_classes_have_different_explanations(key):
    at, x = family(key)
    first, second = (GradCAM(FAMILIES[key].layer)(at, x, c).values for c in (0, 1))
    assert float(abs(first - second).max()) > 1e-3 * float(abs(first).max())


@pytest.mark.parametrize("key", FAMILIES)
def test_controls_and_hybrids_take_the_family(key):
    at, x = family(key)
    before = traces(at)
    for name in ("random", "constant", "fakecam"):
        made = methods()[name]()(at, x, TARGET)
        assert made.values.shape == (2, 12, JOINTS)
    both = HybridRank(DeepSHAP(x), GradCAM(FAMILIES[key].layer))
    if key == "heatmaps":
        with pytest.raises(ValueError, match="hybrid: expected axes .*got 'y'"):
            both(at, x, TARGET)
    else:
        assert {"time", "joint"} <= {*both(at, x, TARGET).dims}
    assert traces(at) == before


NUMBER = re.compile(r"\d\.\de[-+]\d\d")


@pytest.mark.slow
def test_the_page_is_what_the_networks_say():
    """The same words, and figures within their bounds: their digits are the machine's."""
    again = "run: PYTHONPATH=tests python -m fixtures.families_page > docs/networks.md"
    committed, made = PAGE.read_text(encoding="utf-8"), page()
    assert NUMBER.sub("#", committed) == NUMBER.sub("#", made), again
    found = [float(each) for text in (committed, made) for each in NUMBER.findall(text)]
    assert len(found) > 2 * 2 * len(FAMILIES)
    assert max(found) <= BOUND


@pytest.mark.parametrize("key", FAMILIES)
def test_the_page_shows_the_adapters_that_are_tested(key):
    assert inspect.getsource(FAMILIES[key].adapt) in PAGE.read_text(encoding="utf-8")
