from __future__ import annotations

import pytest
import torch
from fixtures.foreign_cnn import adapted_cnn, adapted_stgcn, branches, clips, image
from fixtures.methods import CAMS, HEADLESS, cam
from fixtures.small_model import small_model
from torch import nn

from hargcn.explainers import (
    CAM,
    AblationCAM,
    GradCAM,
    GradCAMElementwise,
    GradCAMPlusPlus,
    HiResCAM,
    LayerCAM,
    LiftCAM,
    NegatedGradCAM,
    RandomCAM,
    ScoreCAM,
    ShapCAM,
    ShapleyCAM,
    ShapleyCAME,
    ShapleyCAMH,
    XGradCAM,
)
from hargcn.explainers.adapter import Adapter
from hargcn.explainers.base import make

NETWORKS = {
    "ours": (small_model, branches, "main.1.attention"),
    "cnn": (adapted_cnn, image, "features"),
    "stgcn": (adapted_stgcn, clips, "blocks.1"),
}
# The network on paper: A = 2 x and -x on two cells x two joints, z = W mean(A) + b.
INPUT = torch.tensor([[1.0, 2.0], [3.0, -2.0]])
A = torch.stack([2 * INPUT, -INPUT])
W = torch.tensor([[3.0, 2.0], [-1.0, 4.0]])
BIAS = torch.tensor([0.5, 0.0])


def paper_net():
    net = nn.Sequential(
        nn.Conv2d(1, 2, 1, bias=False), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2, 2)
    )
    with torch.no_grad():
        net[0].weight.copy_(torch.tensor([2.0, -1.0]).view(2, 1, 1, 1))
        net[3].weight.copy_(W)
        net[3].bias.copy_(BIAS)
    return Adapter(net, linear_head=lambda layer: (W, BIAS) if layer == "0" else None)


def values(explanation):
    """Return (sample, person, time, joint)."""
    return torch.from_numpy(explanation.values.to_numpy()).permute(0, 3, 1, 2)


def explained(explainer, network, target):
    build, inputs, _ = NETWORKS[network]
    return values(explainer(build(), inputs(), target))


def close(a, b, rtol=1e-4, atol=1e-6):
    torch.testing.assert_close(a, b, rtol=rtol, atol=atol)


# Worked out by hand for class 0: G_k = W_0k / 4 = 3/4, 1/2 in every cell; sum A = 8, -4.
ON_PAPER = [
    (CAM("0"), 3 * 2 * INPUT + 2 * -INPUT),
    (GradCAM("0"), 0.75 * 2 * INPUT + 0.5 * -INPUT),
    (NegatedGradCAM("0"), -INPUT),
    (HiResCAM("0"), INPUT),
    (XGradCAM("0"), INPUT),
    (LayerCAM("0"), INPUT),
    # (G A)_1 = 1.5 x, (G A)_2 = -0.5 x: the positive parts.
    (GradCAMElementwise("0"), torch.tensor([[1.5, 3.0], [4.5, 1.0]])),
    # alpha_1 = (9/16) / (9/8 + 8 * 27/64) = 1/8, w_1 = 4 * 1/8 * 3/4; 2 G_2^2 + D_2 = 0,
    # so that alpha_2 = 0.
    (GradCAMPlusPlus("0"), 3 / 8 * 2 * INPUT),
    # The score's Hessian is zero.
    (ShapleyCAM("0", utility="logit"), INPUT),
    (ShapleyCAMH("0", utility="logit"), INPUT),
    (ShapleyCAME("0", utility="logit"), torch.tensor([[1.5, 3.0], [4.5, 1.0]])),
    # s = 4.5; without A_1 it is -1.5, without A_2 6.5: w = 6 / 4.5, -2 / 4.5.
    (AblationCAM("0"), (6 * 2 + 2) / 4.5 * INPUT),
    # The head is linear: w_k = W_0k mean(A_k) = 6, -2.
    (LiftCAM("0"), (6 * 2 + 2) * INPUT),
    # Cell i alone adds W_0 (A_i - mean A) / 4 = 4 (x_i - 1) / 4.
    (ShapCAM("0", utility="logit"), INPUT - 1),
]


@pytest.mark.parametrize(("method", "expected"), ON_PAPER, ids=lambda v: getattr(v, "label", ""))
def test_maps_on_paper(method, expected):
    made = method(paper_net(), INPUT[None, None], 0)
    close(values(made)[0, 0], expected)
    assert made.score.item() == pytest.approx(3 * 2 + 2 * -1 + 0.5)
    assert made.predicted.item() == 0
    assert (made.method, made.title) == (method.name, f"{method.label} 0")


def test_another_class_has_its_own_map_on_paper():
    close(values(GradCAM("0")(paper_net(), INPUT[None, None], 1))[0, 0], -1.5 * INPUT)


def test_second_order_weights_on_paper():
    # s = z_0 + log p_0, z = W mean(A) + b: with q = p_1 and d = W_0 - W_1,
    # ds/dA_k = (W_0k + q d_k) / 4, H A = -p_0 q d (d . mean(A)) / 4.
    z = W @ torch.tensor([2.0, -1.0]) + BIAS
    p = z.softmax(0)
    d = W[0] - W[1]
    g = (W[0] + p[1] * d) / 4
    hvp = -p[0] * p[1] * d * (d @ torch.tensor([2.0, -1.0])) / 4
    expected = torch.einsum("k,ktv->tv", g - hvp / 2, A)
    close(values(ShapleyCAM("0")(paper_net(), INPUT[None, None], 0))[0, 0], expected)


def test_random_weights_lie_between_minus_one_and_one_and_follow_the_seed():
    net, x = paper_net(), INPUT[None, None]
    first, again, other = (values(RandomCAM("0", seed=s)(net, x, 0)) for s in (1, 1, 2))
    assert first.equal(again)
    assert not first.equal(other)
    assert (first[0, 0] / INPUT).unique().numel() == 1
    assert (first.abs()[0, 0] <= 3 * INPUT.abs()).all()


@pytest.mark.parametrize("network", NETWORKS)
def test_before_the_pool_the_first_order_maps_are_one(network):
    layer = NETWORKS[network][2]
    gradcam = explained(GradCAM(layer), network, 1)
    cells = gradcam[0].numel()  # persons are pooled too
    close(explained(CAM(layer), network, 1), gradcam * cells, atol=1e-4)
    close(explained(HiResCAM(layer), network, 1), gradcam)
    close(explained(XGradCAM(layer), network, 1), gradcam, rtol=1e-3, atol=1e-5)
    close(explained(ShapleyCAM(layer, utility="logit"), network, 1), gradcam)


@pytest.mark.parametrize("network", NETWORKS)
def test_softmax_and_rest_maps_mix_the_classes_cams(network):
    build, inputs, layer = NETWORKS[network]
    model, x = build(), inputs()
    with torch.no_grad():
        p = model(x).softmax(1)
    maps = torch.stack([explained(CAM(layer), network, k) for k in range(p.shape[1])], dim=1)
    cells = maps[0, 0].numel()
    own = maps[:, 1]
    mixed = torch.einsum("nk,nk...->n...", p, own[:, None] - maps)
    prob = explained(GradCAM(layer, utility="prob"), network, 1) * cells
    close(prob, p[:, 1, None, None, None] * mixed, rtol=1e-3, atol=1e-4)  # [C] 15
    rest = explained(GradCAM(layer, utility="rest"), network, 1) * cells
    close(rest, own + mixed, rtol=1e-3, atol=1e-4)  # [C] 17
    logprob = explained(GradCAM(layer, utility="logprob"), network, 1) * cells
    close(logprob, mixed, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("network", NETWORKS)
def test_two_classes_have_different_maps_and_the_negated_map_is_the_other_sign(network):
    layer = NETWORKS[network][2]
    first, second = (explained(GradCAM(layer), network, k) for k in (0, 1))
    assert (first - second).abs().max() > 0.1 * first.abs().max()
    assert explained(NegatedGradCAM(layer), network, 0).equal(-first)


def test_negated_is_the_gradcam_of_the_negated_score():
    model, x = adapted_cnn(), image()
    upside_down = adapted_cnn()
    with torch.no_grad():
        upside_down.model.fc.weight.neg_()
        upside_down.model.fc.bias.neg_()
    expected = values(GradCAM("features.3")(upside_down, x, 2))
    close(values(NegatedGradCAM("features.3")(model, x, 2)), expected)


def test_xgradcam_falls_back_where_a_map_cancels():
    x = torch.tensor([[1.0, -1.0], [2.0, -2.0]])
    made = values(XGradCAM("0")(paper_net(), x[None, None], 0))[0, 0]
    assert made.isfinite().all()
    close(made, x)


def test_the_two_readings_of_gradcam_plus_plus_differ():
    model, x = adapted_cnn(), image()
    paper = values(GradCAMPlusPlus("features.3")(model, x, 0))
    other = values(GradCAMPlusPlus("features.3", denominator="library")(model, x, 0))
    assert (paper - other).abs().max() > 1e-3 * paper.abs().max()


def test_cam_refuses_a_layer_without_a_linear_head():
    with pytest.raises(ValueError, match="cam: expected a layer followed by a global average"):
        CAM("features.3")(adapted_cnn(), image(), 0)


def test_relu_keeps_the_positive_part_only():
    made = GradCAM("0", relu=True)(paper_net(), INPUT[None, None], 0)
    close(values(made)[0, 0], INPUT.clamp(min=0))


def test_scorecam_on_paper():
    # Both maps are x or -x, so the masks are m = (x + 2) / 5 and 1 - m. Nothing shown scores b.
    m = (INPUT + 2) / 5
    gain = torch.stack([(INPUT * mask).mean() * (3 * 2 - 2) for mask in (m, 1 - m)])
    weight = gain.softmax(0)
    made = ScoreCAM("0")(paper_net(), INPUT[None, None], 0)
    close(values(made)[0, 0], torch.einsum("k,ktv->tv", weight, A))
    close(torch.from_numpy(made.dataset["weight"].to_numpy())[0, 0], weight)


@pytest.mark.parametrize("name", CAMS)
def test_every_map_has_the_same_axes(name):
    found = cam(name, "0")(paper_net(), INPUT[None, None], 0)
    assert (found.method, found.dims) == (name, ("sample", "time", "joint", "person"))
    assert found.values.shape == (1, 2, 2, 1)


class Persons(nn.Module):
    """Each person's features, averaged and weighed by a head of their own: z = sum over persons."""

    def __init__(self, heads: torch.Tensor) -> None:
        super().__init__()
        self.features = nn.Conv2d(3, 4, 1, bias=False)
        nn.init.normal_(self.features.weight, generator=torch.Generator().manual_seed(0))
        self.register_buffer("heads", heads)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (n, 3, T, V, 2) to (n, 2)."""
        rows = self.features(x.permute(0, 4, 1, 2, 3).flatten(0, 1))
        return torch.einsum("nmk,mck->nc", rows.mean((2, 3)).view(len(x), 2, 4).sin(), self.heads)


HEADS = torch.randn(2, 2, 4, generator=torch.Generator().manual_seed(1))
PERSONAL = ("sample", "channel", "time", "joint", "person")


def by_person(method, heads, x):
    """Return the logit's map (sample, person, time, joint)."""
    own = make(method, {"utility": "logit"}, {"layer": "features"})
    return values(own(Adapter(Persons(heads), PERSONAL), x, 1))


# Score-CAM's masks and Shap-CAM's players are chosen for the persons together.
@pytest.mark.parametrize("name", sorted(set(HEADLESS) - {"ablationcam", "scorecam", "shapcam"}))
def test_each_person_has_weights_of_their_own(name):
    """One person's map is the same whoever else is there, with whatever head."""
    x = torch.randn(2, 3, 4, 5, 2, generator=torch.Generator().manual_seed(2))
    both = by_person(name, HEADS, x)
    for person in (0, 1):
        alone = torch.zeros_like(HEADS)
        alone[person] = HEADS[person]
        close(by_person(name, alone, x)[:, person], both[:, person])
    assert float((both[:, 0] - both[:, 1]).abs().max()) > 1e-3


def test_grad_cam_of_two_persons_on_paper():
    """z_c = sum_m a_mc sin(mean A_m): G_m = a_mc cos(mean A_m) / 20."""
    x = torch.randn(2, 3, 4, 5, 2, generator=torch.Generator().manual_seed(2))
    a = torch.einsum("kc,nctvm->nmktv", Persons(HEADS).features.weight[:, :, 0, 0].detach(), x)
    weights = HEADS[:, 1] * a.mean((3, 4)).cos() / 20
    close(by_person("gradcam", HEADS, x), torch.einsum("nmk,nmktv->nmtv", weights, a))


@pytest.mark.parametrize("name", HEADLESS)
def test_who_is_absent_has_no_map(name):
    """Without a bias nobody's zeros give zeros, at the place of who is not there."""
    x = torch.randn(2, 3, 4, 5, 2, generator=torch.Generator().manual_seed(2))
    x[0, ..., 1] = x[1, ..., 0] = 0
    found = values(cam(name, "features")(Adapter(Persons(HEADS), PERSONAL), x, 1))
    assert found[0, 1].abs().max() == found[1, 0].abs().max() == 0
    assert max(found[0, 0].abs().max(), found[1, 1].abs().max()) > 0


def test_grad_cam_plus_plus_of_gradients_of_exactly_one():
    """G = 1 everywhere, sum(A) = 10: alpha = 1 / 12, w = 4 / 12."""
    scale, head = nn.Conv2d(1, 1, 1, bias=False), nn.Linear(4, 1, bias=False)
    nn.init.ones_(scale.weight), nn.init.ones_(head.weight)
    x = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])
    found = GradCAMPlusPlus("0")(nn.Sequential(scale, nn.Flatten(), head), x, 0)
    torch.testing.assert_close(torch.tensor(found.values.to_numpy()[0, :, :, 0]), x[0, 0] / 3)


def test_a_sum_cancels_by_the_size_of_its_parts():
    """Half a unit left of four millions means nothing: the mean gradient, 2.5, takes its place."""
    scale, head = nn.Conv2d(1, 1, 1, bias=False), nn.Linear(4, 1, bias=False)
    nn.init.ones_(scale.weight), head.weight.data.copy_(torch.tensor([[1.0, 2.0, 3.0, 4.0]]))
    x = torch.tensor([[[[1e6, -1e6], [1e6, 0.5 - 1e6]]]])
    found = XGradCAM("0")(nn.Sequential(scale, nn.Flatten(), head), x, 0)
    torch.testing.assert_close(torch.tensor(found.values.to_numpy()[0, :, :, 0]), 2.5 * x[0, 0])
