"""Patterns against loops over neurons in numpy, and what they are on paper."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from fixtures.foreign_networks import Expression
from torch import Tensor, nn

from hargcn.explainers import InputXGradient, Saliency
from hargcn.explainers.relevance.pattern_based import PatternAttribution, PatternNet

ESTIMATORS = ("two-component", "positive", "linear")
METHODS = (PatternNet, PatternAttribution)


def draw(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def pattern_of(x: np.ndarray, w: np.ndarray, b: float, estimator: str) -> np.ndarray:
    """Return the pattern (d,) of one neuron from its inputs (rows, d)."""
    y = x @ w
    on = np.ones(len(x), bool) if estimator == "linear" else y + b > 0
    mean = (y * on).sum() / len(y) if estimator == "two-component" else y[on].mean()
    along = (x[on] * y[on, None]).mean(0) - x[on].mean(0) * mean
    return along / (w @ along)


def linear_toy(rows: int = 400) -> tuple[nn.Module, Tensor, Tensor]:
    """Return section 2's example: x = (1, 0) y + (1, 1) noise, which weights (1, -1) undo."""
    y, noise = draw(rows, 1), 2 * draw(rows, 1, seed=2)
    noise = noise - y * (y * noise).sum() / (y * y).sum()  # exactly uncorrelated
    y, noise = y - y.mean(), noise - noise.mean()
    layer = nn.Linear(2, 1, bias=False).double()
    with torch.no_grad():
        layer.weight[:] = torch.tensor([[1.0, -1.0]])
    return layer, torch.cat([y + noise, noise], 1), y


def test_the_signal_of_the_papers_linear_example() -> None:
    layer, x, y = linear_toy()
    given = {"background": x, "estimator": "linear"}
    signal = PatternNet(**given)(layer, x[:5], 0).values.to_numpy()
    expected = np.concatenate([y[:5], np.zeros((5, 1))], 1)
    np.testing.assert_allclose(signal, expected, atol=2e-2)
    np.testing.assert_allclose(signal.sum(1) - 2 * signal[:, 1], y[:5, 0], rtol=1e-9)  # w^T s = y
    attribution = PatternAttribution(**given)(layer, x[:5], 0).values.to_numpy()
    np.testing.assert_allclose(attribution, expected, atol=2e-2)
    # The gradient, and input x gradient, show the distractor as much as the signal.
    np.testing.assert_allclose(Saliency()(layer, x[:5], 0).values, np.ones((5, 2)))
    assert float(abs(InputXGradient()(layer, x[:5], 0).values[:, 1]).mean()) > 1


def test_the_root_point_is_the_input_without_its_signal() -> None:
    """w^T (x - a y) = 0, and what it takes from the root to x is shared by w a y."""
    weight, x = draw(1, 5), draw(60, 5, seed=2) @ draw(5, 5, seed=3)
    layer = Expression(lambda v: F.linear(v, weight))
    signal = PatternNet(background=x)(layer, x[:4], 0).values.to_numpy()
    np.testing.assert_allclose((x[:4].numpy() - signal) @ weight[0].numpy(), 0, atol=1e-9)
    shared = PatternAttribution(background=x)(layer, x[:4], 0)
    np.testing.assert_allclose(shared.values, weight.numpy() * signal, rtol=1e-9)
    np.testing.assert_allclose(shared.relative_gap, 0, atol=1e-9)


def dense(first: nn.Linear, last: nn.Linear, rows, x, target, estimator, attribution):
    """Explain two layers by loops: (n, 5)."""
    w1, b1, w2, b2 = (p.detach().numpy() for p in (*first.parameters(), *last.parameters()))
    below, above = rows.numpy(), np.maximum(rows.numpy() @ w1.T + b1, 0)
    a1 = np.stack([pattern_of(below, w, b, estimator) for w, b in zip(w1, b1, strict=True)])
    a2 = np.stack([pattern_of(above, w, b, "linear") for w, b in zip(w2, b2, strict=True)])
    if attribution:
        a1, a2 = a1 * w1, a2 * w2
    found = []
    for row in x.numpy():
        hidden = row @ w1.T + b1
        score = np.maximum(hidden, 0) @ w2[target] + b2[target]
        found.append(np.where(hidden > 0, score * a2[target], 0) @ a1)
    return np.stack(found)


@pytest.mark.parametrize("cls", METHODS)
@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_a_dense_network(cls, estimator) -> None:
    torch.manual_seed(0)
    first, last = nn.Linear(5, 6).double(), nn.Linear(6, 3).double()
    rows, x = draw(80, 5, seed=2) @ draw(5, 5, seed=3) + 0.3, draw(4, 5, seed=4)
    model = nn.Sequential(first, nn.ReLU(), last)
    found = cls(background=rows, estimator=estimator)(model, x, 1)
    expected = dense(first, last, rows, x, 1, estimator, cls is PatternAttribution)
    np.testing.assert_allclose(found.values, expected, rtol=1e-7, atol=1e-12)


def places(x: np.ndarray, stride: int) -> dict[tuple[int, int], np.ndarray]:
    """Return what a 3 x 3 filter sees of images (n, c, h, w) padded by 1, by its corner."""
    wide = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    steps = range(0, x.shape[2], stride)
    return {(i, j): wide[:, :, i : i + 3, j : j + 3] for i in steps for j in steps}


def filters(layer: nn.Conv2d, x: np.ndarray, estimator: str) -> np.ndarray:
    """Return the patterns of a layer's filters, shaped like its weights, from its inputs."""
    w, b = layer.weight.detach().numpy(), layer.bias.detach().numpy()
    found, each = np.zeros_like(w), w.shape[1]
    for k in range(len(w)):
        group = k // (len(w) // layer.groups)
        own = x[:, group * each : (group + 1) * each]
        seen = np.concatenate(
            [p.reshape(len(p), -1) for p in places(own, layer.stride[0]).values()]
        )
        found[k] = pattern_of(seen, w[k].ravel(), b[k], estimator).reshape(w[k].shape)
    return found


def back(layer: nn.Conv2d, a: np.ndarray, arriving: np.ndarray, size: int) -> np.ndarray:
    """Hand back what arrives (c, h, w) at a layer of patterns a, to (c, size, size)."""
    channels, stride, each = layer.in_channels, layer.stride[0], a.shape[1]
    wide = np.zeros((channels, size + 2, size + 2))
    for k, i, j in np.ndindex(*arriving.shape):
        start = k // (len(a) // layer.groups) * each
        rows, columns = slice(i * stride, i * stride + 3), slice(j * stride, j * stride + 3)
        wide[start : start + each, rows, columns] += a[k] * arriving[k, i, j]
    return wide[:, 1:-1, 1:-1]


@pytest.mark.parametrize("cls", METHODS)
@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_a_convolution_network(cls, estimator) -> None:
    """Padding, stride and groups: each filter's pattern from all its places, zeros included."""
    torch.manual_seed(1)
    one = nn.Conv2d(2, 4, 3, padding=1).double()
    two = nn.Conv2d(4, 4, 3, padding=1, stride=2, groups=2).double()
    head = nn.Linear(4, 2).double()
    model = nn.Sequential(
        one, nn.ReLU(), two, nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), head
    )
    rows, x = draw(30, 2, 4, 4, seed=2) + 0.2, draw(2, 2, 4, 4, seed=3)
    found = cls(background=rows, estimator=estimator)(model, x, 0)

    with torch.no_grad():
        h1 = [one(v).relu() for v in (rows, x)]
        h2 = [two(v).relu() for v in h1]
        score = model(x)[:, 0].numpy()
    a1, a2 = filters(one, rows.numpy(), estimator), filters(two, h1[0].numpy(), estimator)
    w = head.weight.detach().numpy()[0]
    a3 = pattern_of(h2[0].mean((2, 3)).numpy(), w, 0, "linear")
    if cls is PatternAttribution:
        a1, a2, a3 = a1 * one.weight.detach().numpy(), a2 * two.weight.detach().numpy(), a3 * w / 4
    for n in range(2):
        top = (score[n] * a3)[:, None, None] * (h2[1][n] > 0).numpy()
        middle = back(two, a2, top, 4) * (h1[1][n] > 0).numpy()
        expected = back(one, a1, middle, 4)
        np.testing.assert_allclose(found.values[n], expected, rtol=1e-7, atol=1e-12)


@pytest.mark.parametrize("cls", METHODS)
@pytest.mark.parametrize(
    "form",
    [
        "matmul",
        "from the left",
        "einsum",
        "einsum of two",
        "conv1d",
        "transposed",
        "addmm",
        "scaled",
    ],
)
def test_the_same_matrix_in_other_words(cls, form) -> None:
    """Also the graph product with an adjacency and its edges' importance."""
    weight, edge, x, rows = draw(6, 4), draw(6, 4, seed=2), draw(3, 6, seed=3), draw(50, 6, seed=4)
    scale = torch.tensor([2.0, -1.0, 0.5, -3.0]).double()
    forms = {
        "matmul": lambda x: x @ weight,
        "from the left": lambda x: (weight.T @ x.T).T,
        "einsum": lambda x: torch.einsum("ni,ij->nj", x, weight),
        "einsum of two": lambda x: torch.einsum("ni,ij,ij->nj", x, weight / edge, edge),
        "conv1d": lambda x: F.conv1d(x[..., None], weight.T[..., None])[..., 0],
        "transposed": lambda x: F.conv_transpose1d(x[..., None], weight[..., None])[..., 0],
        "addmm": lambda x: torch.addmm(torch.zeros(4).double(), x, weight),
        "scaled": lambda x: (x @ (weight / scale)) * scale,
    }
    made, plain = (
        cls(background=rows)(Expression(lambda v, f=f: f(v).relu().sum(1, keepdim=True)), x, 0)
        for f in (forms[form], lambda x: F.linear(x, weight.T))
    )
    np.testing.assert_allclose(made.values, plain.values, rtol=1e-8, atol=1e-12)


def test_groups_of_a_transposed_convolution() -> None:
    """Of one place: the same as a convolution whose weights are turned around in each group."""
    weight, x, rows = draw(6, 2, 1), draw(3, 6, 2, seed=3), draw(50, 6, 2, seed=4)  # 3 groups
    turned = torch.cat([part.transpose(0, 1) for part in weight.split(2)])

    def explained(f):
        model = Expression(lambda v: f(v).relu().flatten(1).sum(1, keepdim=True))
        return PatternNet(background=rows)(model, x, 0).values

    found = explained(lambda v: F.conv_transpose1d(v, weight, groups=3))
    expected = explained(lambda v: F.conv1d(v, turned, groups=3))
    np.testing.assert_allclose(found, expected, rtol=1e-8, atol=1e-12)


def test_an_edge_that_is_not_there_has_no_pattern() -> None:
    """Joint 0 moves with joint 1 but is no neighbour of it: of a graph 0 is no weight."""
    graph = torch.tensor([[0.0, 0.0], [0.0, 1.0]]).double()
    moving = draw(40, 1)
    rows = torch.cat([moving, moving], 1)
    model = Expression(lambda v: (v @ graph)[:, 1:])
    found = PatternNet(background=rows)(model, torch.tensor([[3.0, 5.0]]).double(), 0)
    np.testing.assert_allclose(found.values, [[0, 5]], rtol=1e-9)


def test_a_difference_of_two_tensors() -> None:
    """y = u - 2 v: their patterns at all places together, and w^T a = 1."""
    u, v = draw(30, 4), draw(30, 4, seed=2) + draw(30, 4)
    rows = torch.cat([u, v], 1)
    model = Expression(lambda x: torch.sub(x[:, :4], x[:, 4:], alpha=2).sum(1, keepdim=True))
    seen = np.stack([u.numpy().ravel(), v.numpy().ravel()], 1)
    a = pattern_of(seen, np.array([1.0, -2.0]), 0, "linear")
    x = draw(2, 8, seed=3)
    score = (x[:, :4] - 2 * x[:, 4:]).sum(1).numpy()
    expected = np.repeat(score[:, None] / 4 * a, 4, axis=1)  # a sum of four gives each a fourth
    np.testing.assert_allclose(PatternNet(background=rows)(model, x, 0).values, expected)
    shared = PatternAttribution(background=rows)(model, x, 0)
    np.testing.assert_allclose(shared.values, expected * np.repeat([1, -2], 4))
    np.testing.assert_allclose(shared.relative_gap, 0, atol=1e-9)


def test_what_never_varies_has_none_and_is_named() -> None:
    weight, x = draw(2, 3), draw(20, 3, seed=2)
    weight[1] = torch.tensor([1e-3, 0, 0])  # never positive beside the bias -1
    shift = torch.tensor([0.0, -1.0]).double()
    model = Expression(lambda v: F.linear(v, weight, shift).relu().sum(1, keepdim=True))
    found = PatternNet(background=x)(model, x[:2], 0)
    share = found.dataset["without_pattern"].sel(weighted="the model itself: linear")
    np.testing.assert_allclose(share, 1 / 4)  # one of the four weights that are not 0


def test_a_background_that_does_not_vary_is_refused_where_it_matters() -> None:
    weight, x = draw(2, 3), draw(4, 3, seed=2)
    same, first = x[:1].expand(5, -1), torch.tensor([[1.0, 0, 0, 0, 0]]).double().T
    layer = Expression(lambda v: F.linear(v, weight))
    with pytest.raises(ValueError, match="'linear' in module .* background for which its results"):
        PatternNet(background=same)(layer, x, 0)
    blind = weight * torch.tensor([0, 1, 1])
    gated = Expression(lambda v: v[:, :1] * F.linear(v, blind).sigmoid()[:, :1])
    found = PatternNet(background=same + first * torch.tensor([1, 0, 0]))(gated, x, 0)
    np.testing.assert_allclose(found.values[:, 0], found.score)  # a gate takes nothing


def test_several_tensors_of_weights_are_one_or_refused() -> None:
    one, two, x = draw(3, 3), draw(3, 3, seed=2), draw(10, 3, seed=3)
    model = Expression(lambda v: torch.einsum("ni,ij,jk->nk", v, one, two))
    with pytest.raises(ValueError, match="'einsum' in module .* expected one tensor of weights"):
        PatternNet(background=x)(model, x[:2], 0)
