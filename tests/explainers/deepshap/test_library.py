"""The shap library's engine."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from fixtures.foreign_cnn import adapted_cnn, image
from fixtures.foreign_networks import Expression, foreign
from fixtures.small_model import traces
from torch import Tensor, nn

from hargcn.explainers.deepshap.explainer import DeepSHAP
from hargcn.explainers.deepshap.library import LibrarySHAP


def draw(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("activation", [nn.ReLU, nn.SiLU, nn.Hardswish, nn.ReLU6, nn.GELU])
def test_agrees_where_it_has_or_gets_rules(activation):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = nn.Sequential(
            nn.Conv1d(3, 5, 3), nn.BatchNorm1d(5), activation(), nn.AdaptiveAvgPool1d(2),
            nn.Flatten(), nn.Linear(10, 8), activation(), nn.Linear(8, 3),
        )  # fmt: skip
    rows, x = draw(7, 3, 9), draw(2, 3, 9, seed=2)
    target = torch.tensor([2, 0])
    own = DeepSHAP(rows)(model, x, target)
    library = LibrarySHAP(rows, chunk=3)(model, x, target)
    np.testing.assert_allclose(library.values, own.values, rtol=1e-3, atol=1e-6)
    np.testing.assert_allclose(library.base_value, own.base_value, rtol=1e-5)
    assert library.method == "shap-library"
    assert "standard_error" not in library.dataset
    assert model.training


def test_its_gap_is_measured_not_hidden():
    model = nn.Sequential(nn.Linear(4, 4), Expression(lambda x: x * torch.sigmoid(x[:, :1])))
    rows, x = draw(5, 4), 2 * draw(2, 4, seed=2)
    assert float(DeepSHAP(rows)(model, x, 0).relative_gap.max()) < 1e-4
    assert float(LibrarySHAP(rows)(model, x, 0).relative_gap.max()) > 1e-2


def test_weights_are_not_the_librarys():
    with pytest.raises(ValueError, match="Expected equal weights with shap-library"):
        LibrarySHAP(draw(3, 4), weights=[1, 2, 3])


def test_leaves_no_trace():
    from shap.explainers._deep import deep_pytorch

    known = dict(deep_pytorch.op_handler)
    model, shape = foreign("folded")
    state = {k: v.clone() for k, v in model.state_dict().items()}
    LibrarySHAP(draw(3, *shape))(model, draw(1, *shape), 0)
    assert deep_pytorch.op_handler == known
    assert all(torch.equal(v, state[k]) for k, v in model.state_dict().items())
    assert not any(m._forward_hooks or m._backward_hooks for m in model.modules())
    assert not any(hasattr(m, "x") or hasattr(m, "y") for m in model.modules())


def test_what_the_library_cannot_run_is_left_as_it_was():
    """A ReLU in place fails behind the library's hooks, which would fail everything after."""
    model, x = adapted_cnn(), image()
    before, seen = traces(model), []
    handle = model.model.fc.register_forward_hook(lambda *call: seen.append(call[2]))
    with pytest.raises(RuntimeError, match="modified inplace"):
        LibrarySHAP(image(3, seed=2))(model, x, 1)
    assert model(x).equal(seen[-1])
    handle.remove()
    assert traces(model) == before
    assert not [m for m in model.modules() if {"x", "y"} & {*vars(m)}]
