"""Operations spelled out in simpler ones compute the same, and their attributions add up."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from fixtures.foreign_networks import Expression
from torch import Tensor, nn

from hargcn.explainers.deepshap import decompositions
from hargcn.explainers.deepshap.explainer import DeepSHAP


def draw(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).double()


W, B, MEAN, VAR = draw(4, seed=5), draw(4, seed=6), draw(4, seed=7), draw(4, seed=8).exp()
MASK = draw(6, 6, seed=9)

PAIRS = {
    "layer_norm": (F.layer_norm, decompositions.layer_norm, ((4,), W, B, 1e-3)),
    "layer_norm two axes": (F.layer_norm, decompositions.layer_norm, ((6, 4),)),
    "rms_norm": (F.rms_norm, decompositions.rms_norm, ((4,), W, 1e-3)),
    "rms_norm default": (F.rms_norm, decompositions.rms_norm, ((4,),)),
    "std": (torch.std, decompositions.std, (1,)),
    "glu": (F.glu, decompositions.glu, (2,)),
    "norm": (torch.linalg.vector_norm, decompositions.vector_norm, (2, 1)),
    "norm of all": (torch.linalg.vector_norm, decompositions.vector_norm, ()),
    "norm 1": (torch.linalg.vector_norm, decompositions.vector_norm, (1, (1, 2), True)),
    "norm 3": (torch.linalg.vector_norm, decompositions.vector_norm, (3, -1)),
    "norm inf": (torch.linalg.vector_norm, decompositions.vector_norm, (math.inf, -1)),
    "norm -inf": (torch.linalg.vector_norm, decompositions.vector_norm, (-math.inf, -1)),
}


@pytest.mark.parametrize("name", PAIRS)
def test_computes_what_torch_does(name):
    function, body, arguments = PAIRS[name]
    x = draw(3, 6, 4)
    torch.testing.assert_close(body(x, *arguments), function(x, *arguments))


def test_norms_over_channels_compute_what_torch_does():
    x = draw(3, 4, 5, 2)
    torch.testing.assert_close(decompositions.group_norm(x, 2, W, B), F.group_norm(x, 2, W, B))
    torch.testing.assert_close(
        decompositions.batch_norm(x, MEAN, VAR, W, B), F.batch_norm(x, MEAN, VAR, W, B)
    )
    torch.testing.assert_close(decompositions.batch_norm(x, MEAN, VAR), F.batch_norm(x, MEAN, VAR))
    torch.testing.assert_close(
        decompositions.instance_norm(x, weight=W), F.instance_norm(x, weight=W)
    )
    torch.testing.assert_close(
        decompositions.instance_norm(x, MEAN, VAR, use_input_stats=False),
        F.instance_norm(x, MEAN, VAR, use_input_stats=False),
    )
    for got, expected in zip(
        decompositions.var_mean(x, 1, keepdim=True), torch.var_mean(x, 1, keepdim=True), strict=True
    ):
        torch.testing.assert_close(got, expected)
    torch.testing.assert_close(
        decompositions.cosine_similarity(x, x + 1), F.cosine_similarity(x, x + 1)
    )


@pytest.mark.parametrize(
    "arguments",
    [{}, {"is_causal": True}, {"attn_mask": MASK}, {"attn_mask": MASK > 0.5}, {"scale": 2.0}],
)
def test_attention_computes_what_torch_does(arguments):
    q, k, v = draw(2, 3, 6, 4), draw(2, 3, 6, 4, seed=2), draw(2, 3, 6, 5, seed=3)
    expected = F.scaled_dot_product_attention(q, k, v, **arguments)
    torch.testing.assert_close(
        decompositions.scaled_dot_product_attention(q, k, v, **arguments), expected
    )
    grouped = decompositions.scaled_dot_product_attention(
        q.repeat(1, 2, 1, 1), k, v, enable_gqa=True
    )
    torch.testing.assert_close(
        grouped, F.scaled_dot_product_attention(q.repeat(1, 2, 1, 1), k, v, enable_gqa=True)
    )


def test_batch_statistics_are_refused():
    with pytest.raises(ValueError, match="mixes the samples"):
        decompositions.batch_norm(draw(3, 4), MEAN, VAR, training=True)
    model = nn.BatchNorm1d(4, track_running_stats=False).double()
    with pytest.raises(ValueError, match="mixes the samples"):
        DeepSHAP(draw(3, 4))(model, draw(2, 4), 0)


MODELS = {
    "layer_norm": lambda x: F.layer_norm(x, (4,), W, B),
    "rms_norm": lambda x: F.rms_norm(x, (4,), W),
    "group_norm": lambda x: F.group_norm(x.transpose(1, 2), 2, W, B).exp(),
    "instance_norm": lambda x: F.instance_norm(x).tanh(),
    "attention": lambda x: F.scaled_dot_product_attention(x, x.flip(1), x, is_causal=True),
    "glu": lambda x: F.glu(x),
    "normalize": lambda x: F.normalize(x, dim=1),
    "norm method": lambda x: x.norm(dim=2),
    "frobenius": lambda x: torch.norm(x, dim=(1, 2)),
    "linalg norm": lambda x: torch.linalg.norm(x, dim=-1),
    "cosine": lambda x: F.cosine_similarity(x[:, 1:], x[:, :-1], dim=-1),
    "std": lambda x: x.std((1, 2), unbiased=False),
    "var_mean": lambda x: sum(torch.var_mean(x, 1)),
    "std_mean": lambda x: sum(torch.std_mean(x, 1)),
}


@pytest.mark.parametrize("name", MODELS)
def test_attributions_add_up(name):
    rows, x = draw(4, 6, 4), draw(2, 6, 4, seed=2)
    formula = MODELS[name]
    model = Expression(lambda x: (formula(x).reshape(len(x), -1) ** 2).sum(1, keepdim=True))
    got = DeepSHAP(rows, allow_gap=True)(model, x, 0)
    assert got.relative_gap.max() < 1e-9
    np.testing.assert_allclose(got.score, model(x)[:, 0], rtol=1e-9)
