"""Gradients of the score: by hand, as captum's, and what all attributions to the input share."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from fixtures.foreign_cnn import adapted_cnn, adapted_stgcn, branches, clips, image
from fixtures.methods import GRADIENTS, gradient_method
from fixtures.outcomes import OUTPUTS, network
from fixtures.small_model import half_trained, ours, small_model, traces
from torch import nn

from hargcn.explainers import InputXGradient, Saliency, methods
from hargcn.explainers.attribution.gradients import somebody
from hargcn.explainers.scores import class_scores
from hargcn.explanation import DIMS

PARTS = ("hargcn.explainers.attribution.gradients", "hargcn.explainers.attribution.noise",
         "hargcn.explainers.attribution.integrated_gradients",
         "hargcn.explainers.attribution.guided")  # fmt: skip
LAYERS = {"ours": "main.1.tcn", "stgcn": "blocks.1", "cnn": "features.4"}
NETWORKS = {
    "ours": (ours, lambda n=3: branches(n), lambda: branches(4, seed=3)),
    "stgcn": (adapted_stgcn, lambda n=3: clips(n), lambda: clips(4, seed=3)),
    "cnn": (adapted_cnn, lambda n=3: image(n), lambda: image(4, seed=3)),
}


def made(name, which):
    build, inputs, rows = NETWORKS[which]
    settings = {"allow_gap": True, "max_steps": 32} if name == "integrated-gradients" else {}
    explainer = gradient_method(name, rows(), LAYERS[which])
    return build(), inputs(), type(explainer)(**{**vars(explainer), **settings})


class Quadratic(nn.Module):
    """Logits (sum a x^2 + b x, 0) of (N, 3)."""

    def __init__(self):
        super().__init__()
        self.a = nn.Parameter(torch.tensor([1.0, -2.0, 0.5]))
        self.b = nn.Parameter(torch.tensor([3.0, 0.0, -1.0]))

    def forward(self, x):
        score = (self.a * x**2 + self.b * x).sum(1)
        return torch.stack([score, torch.zeros_like(score)], 1)


def test_by_hand():
    """At x = (1, 2, -2): 2 a x + b = (5, -8, -3)."""
    x = torch.tensor([[1.0, 2.0, -2.0]])
    found = Saliency(signed=True)(Quadratic(), x, 0)
    np.testing.assert_allclose(found.values, [[5, -8, -3]])
    np.testing.assert_allclose(Saliency()(Quadratic(), x, 0).values, [[5, 8, 3]])
    np.testing.assert_allclose(InputXGradient()(Quadratic(), x, 0).values, [[5, -16, 6]])
    assert float(found.score[0]) == 1 - 8 + 2 + 3 + 2
    # What does not depend on the input has no gradient.
    assert float(abs(Saliency()(Quadratic(), x, 1).values).max()) == 0


def test_the_list_of_gradient_methods_is_complete():
    assert {name for name, cls in methods().items() if cls.__module__ in PARTS} == {*GRADIENTS}


@pytest.mark.parametrize("which", NETWORKS)
@pytest.mark.parametrize("mine", [Saliency, InputXGradient])
def test_captum_says_the_same(which, mine):
    attr = pytest.importorskip("captum.attr", reason="needs captum")
    model, x = NETWORKS[which][0](), NETWORKS[which][1]()
    target = torch.tensor([1, 0, 2])
    expected = getattr(attr, mine.__name__)(model).attribute(x.requires_grad_(), target=target)
    found = mine()(model, x.detach(), target)
    np.testing.assert_allclose(found.values, expected.detach(), rtol=1e-4, atol=1e-8)


@pytest.mark.parametrize("which", NETWORKS)
@pytest.mark.parametrize("name", GRADIENTS)
def test_a_sample_beside_others_and_alone_with_its_own_class(name, which):
    model, x, explainer = made(name, which)
    together = explainer(model, x, [2, 0, 1])
    alone = explainer(model, x[1:2], 0)
    size = float(abs(alone.values).max())
    assert together.dims == alone.dims
    assert together.values.shape == x.shape
    np.testing.assert_allclose(together.values[1:2], alone.values, atol=2e-4 * size + 1e-12)
    other = explainer(model, x[1:2], 1)
    assert name == "guided-gradcam" or float(abs(other.values - alone.values).max()) > 0.01 * size
    with torch.no_grad():
        scores = class_scores(model(x), "logit")
    np.testing.assert_allclose(together.score, scores[range(3), [2, 0, 1]], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", GRADIENTS)
def test_the_network_is_left_as_it_was(name):
    _, x, explainer = made(name, "ours")
    model, kept = half_trained(small_model()), x.clone()
    before, state = traces(model), {k: v.clone() for k, v in model.state_dict().items()}
    randomness = torch.get_rng_state()
    with torch.inference_mode():
        explainer(model, x, 1)
    with pytest.raises(ValueError, match="Expected targets 0 to 2"):
        explainer(model, x, 3)
    assert traces(model) == before
    assert all(value.equal(state[key]) for key, value in model.state_dict().items())
    assert x.equal(kept)
    assert torch.get_rng_state().equal(randomness)


@pytest.mark.slow
@pytest.mark.parametrize("kind", OUTPUTS)
@pytest.mark.parametrize("name", GRADIENTS)
def test_every_kind_of_outputs(name, kind):
    model, x = network(kind), branches(2, persons=1)
    explainer = gradient_method(name, branches(3, persons=1, seed=4), "main.1.attention")
    found = explainer(model, x, 1)
    with torch.no_grad():
        np.testing.assert_allclose(found.score, model(x)[:, 1], rtol=1e-4)
    assert np.isfinite(found.values).all()


@pytest.mark.parametrize("utility", ["prob", "logprob", "rest"])
@pytest.mark.parametrize("name", GRADIENTS)
def test_every_score(name, utility):
    model, x, explainer = made(name, "cnn")
    explainer = type(explainer)(**{**vars(explainer), "utility": utility})
    found = explainer(model, x, 1)
    with torch.no_grad():
        expected = class_scores(model(x), utility)[:, 1]
    np.testing.assert_allclose(found.score, expected, rtol=1e-4)
    assert found.utility == utility


@pytest.mark.parametrize("name", GRADIENTS)
def test_what_is_no_number_is_refused(name):
    model, x, explainer = made(name, "stgcn")
    x[1, 0, 2, 3, 0] = float("nan")
    with pytest.raises(ValueError, match=r"^sample 1: expected finite input \(got nan\)$"):
        explainer(model, x, 0)


def test_somebody():
    x = torch.ones(1, 2, 3, 4, 5, 2)
    x[0, :, :, 1, :, 1] = 0
    x[0, :, 0, 2] = 0  # one coordinate that is 0 hides nobody
    here = somebody(x, DIMS)
    assert here.shape == (1, 1, 1, 4, 1, 2)
    assert here[0, 0, 0, :, 0, 1].tolist() == [True, False, True, True]
    assert here[0, 0, 0, :, 0, 0].all()
    assert somebody(x[0], ("sample", "axis1", "axis2", "axis3", "axis4")) is None


def test_an_input_of_other_axes_is_refused():
    with pytest.raises(ValueError, match=r"saliency: Expected an input \(sample, channel, time"):
        Saliency()(adapted_stgcn(), clips()[0], 0)
    with pytest.raises(ValueError, match="saliency: expected samples of real numbers"):
        Saliency()(Quadratic(), torch.ones(2, 3, dtype=torch.long), 0)
