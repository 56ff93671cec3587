"""Why A and not B: a property of the score, for every method."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from fixtures.methods import CAMS, cam
from fixtures.outcomes import OUTPUTS, network
from fixtures.small_model import ours, small_model, traces
from torch import nn

from hargcn.explainers import Adapter, DeepSHAP, GradCAM, Random, methods
from hargcn.explainers.base import make
from hargcn.explainers.contrast import Contrast

LAYER = "main.1.attention"
PAIRS = ([2, 0, 1], [0, 1, 0])


def inputs(n: int = 3, seed: int = 0) -> torch.Tensor:
    return torch.randn(n, 4, 4, 12, 19, 1, generator=torch.Generator().manual_seed(seed))


def logits(model: nn.Module, x: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return model(x)


def test_shap_of_a_versus_b_is_shap_of_a_minus_shap_of_b() -> None:
    model, x = ours(), inputs()
    shap = DeepSHAP(inputs(5, 1), dtype=torch.float64)
    before = traces(model)
    found = shap(model, x, *PAIRS)
    one, other = (shap(model, x, each) for each in PAIRS)
    np.testing.assert_allclose(found.values, one.values - other.values, atol=1e-9)
    np.testing.assert_allclose(found.base_value, one.base_value - other.base_value, atol=1e-9)
    total = found.values.sum([dim for dim in found.dims if dim != "sample"])
    np.testing.assert_allclose(total + found.base_value, found.score, rtol=1e-9)
    assert found.values.dims == one.values.dims
    assert found.values["joint"].equals(one.values["joint"])
    assert (found.target.values.tolist(), found.versus.values.tolist()) == PAIRS
    assert found.predicted.values.tolist() == one.predicted.values.tolist()
    assert found.skeleton == one.skeleton
    assert traces(model) == before


@pytest.mark.parametrize("name", CAMS)
def test_every_map_is_that_of_the_difference(name) -> None:
    model, x = ours(), inputs(3)
    layer = "main.1.attention"
    method = cam(name, layer)
    found = method(model, x, *PAIRS)
    z = logits(model, x)
    apart = z.gather(1, torch.tensor(PAIRS).T)
    odds = apart[:, 0] - apart[:, 1]
    log_p = nn.functional.logsigmoid(odds)
    said = {"logit": odds, "prob": odds.sigmoid(), "rest": odds + log_p}
    np.testing.assert_allclose(found.score, said[found.utility], atol=1e-5)
    assert found.versus.values.tolist() == PAIRS[1]
    if name in ("gradcam", "gradcam-negated", "hirescam", "cam"):  # linear in the score
        one, other = (method(model, x, each).values for each in PAIRS)
        np.testing.assert_allclose(found.values, one - other, atol=1e-5)


def test_the_probability_of_a_contrast_is_that_of_one_of_the_two() -> None:
    model, x = ours(), inputs()
    found = GradCAM(LAYER, utility="prob")(model, x, 2, 0)
    p = logits(model, x).softmax(dim=1)
    np.testing.assert_allclose(found.score, p[:, 2] / (p[:, 2] + p[:, 0]), rtol=1e-5)


def test_networks_of_others_and_linear_heads() -> None:
    torch.manual_seed(0)
    bare = nn.Sequential(
        nn.Conv2d(2, 3, (3, 1), padding=(1, 0)), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Linear(3, 4),
    ).eval()  # fmt: skip
    dims = ("sample", "channel", "time", "joint")
    model = Adapter(bare, dims, linear_head={"1": bare[4]})
    x = torch.randn(2, 2, 6, 5)
    for name in ("cam", "scorecam", "ablationcam", "liftcam", "shapcam"):
        found = cam(name, "1")(model, x, [1, 3], [0, 2])
        assert found.versus.values.tolist() == [0, 2], name
    maps = cam("cam", "1")
    one, other = (maps(model, x, each).values for each in ([1, 3], [0, 2]))
    np.testing.assert_allclose(maps(model, x, [1, 3], [0, 2]).values, one - other, atol=1e-6)
    assert GradCAM("1")(bare, x, 1, 0).versus.values.tolist() == [0, 0]


def test_random_numbers_do_not_depend_on_the_batch() -> None:
    model, x = small_model(classes=3), inputs(3)
    whole = Random()(model, x, *PAIRS).values
    alone = [Random()(model, x[[i]], PAIRS[0][i], PAIRS[1][i]).values[0] for i in range(3)]
    np.testing.assert_array_equal(whole, np.stack(alone))
    assert not np.array_equal(whole, Random()(model, x, PAIRS[0], [1, 2, 2]).values)


@pytest.mark.parametrize("kind", OUTPUTS)
def test_outputs_that_do_not_exclude_each_other_are_refused(kind) -> None:
    with pytest.raises(ValueError, match=f"one rather than another .got {kind} outputs"):
        GradCAM(LAYER)(network(kind), inputs(), 1, 0)


def test_a_class_and_itself_are_refused() -> None:
    with pytest.raises(ValueError, match="the same for 1 of 3 samples, first number 1"):
        Contrast(ours(), inputs(), [0, 1, 2], [1, 1, 1])
    with pytest.raises(ValueError, match="targets 0 to 2"):
        Contrast(ours(), inputs(), 0, 7)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", [n for n, c in methods().items() if not c.needs and c.__module__[:7] == "hargcn."]
)
def test_methods_that_need_nothing_take_a_contrast(name) -> None:
    found = make(name, {})(ours(), inputs(2), 1, 0)
    assert found.versus.values.tolist() == [0, 0]
