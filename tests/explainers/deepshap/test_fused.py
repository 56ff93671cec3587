"""The hot loops in one pass: the values of torch's passes, and when they step aside."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from hargcn.explainers.deepshap import fused, rules_nary, rules_norm, rules_unary
from hargcn.explainers.deepshap.explainer import DeepSHAP
from hargcn.explainers.deepshap.rules import Call, Operation, Step

CHANNELS_LAST = torch.channels_last


def drawn(n: int, shape: tuple[int, ...], dtype: torch.dtype = torch.float32) -> Tensor:
    generator = torch.Generator().manual_seed(n)
    return torch.randn(n, *shape, generator=generator, dtype=dtype)


@pytest.mark.parametrize("form", [torch.contiguous_format, CHANNELS_LAST])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("equal", [0.0, 0.001, 0.6])
@pytest.mark.parametrize("threads", [1, 3])
def test_secants_are_those_of_torch_bit_by_bit(form, dtype, equal, threads):
    shape = (24, 33, 17)
    x, x0, grad = (drawn(n, shape, dtype).to(memory_format=form) for n in (1, 7, 8))
    grad = grad[:7]
    same = torch.rand(x0.shape, generator=torch.Generator().manual_seed(0)) < equal
    x0 = torch.where(same, x, x0).to(memory_format=form)
    y, y0, slopes = torch.tanh(x), torch.tanh(x0), 1 - torch.tanh(x) ** 2
    out = torch.full_like(x0, torch.nan)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        assert fused.secants(x, y, x0, y0, grad, 1e-7, lambda: slopes, out)
    finally:
        torch.set_num_threads(before)
    expected = torch.where((x - x0).abs() <= 1e-7, slopes * grad, (y - y0) / (x - x0) * grad)
    assert torch.equal(out, expected)


def test_slopes_are_asked_for_only_where_inputs_are_equal():
    x, x0 = drawn(1, (70, 40)), drawn(30, (70, 40))

    out = torch.empty_like(x0)
    assert fused.secants(x, x.sin(), x0, x0.sin(), torch.ones_like(x0), 0.0, nobody, out)


@pytest.mark.parametrize("form", [torch.contiguous_format, CHANNELS_LAST])
def test_digits_that_results_lost_count(form):
    x, x0, grad = (drawn(n, (24, 33, 17)).to(memory_format=form) for n in (1, 7, 8))
    grad, y, y0 = grad[:7], torch.tanh(x), torch.tanh(x0)
    lost = [(a.double().tanh() - b).float() for a, b in ((x, y), (x0, y0))]
    out = torch.empty_like(x0)
    assert fused.secants(x, y, x0, y0, grad, 0.0, nobody, out, lost)
    assert torch.equal(out, ((y - y0) + (lost[0] - lost[1])) / (x - x0) * grad)


@pytest.mark.parametrize("form", [torch.contiguous_format, CHANNELS_LAST])
@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("name", fused.RESTS)
def test_lost_digits_are_those_of_double_precision(name, form, threads):
    function = {**vars(torch.special), **vars(torch.nn.functional)}[name]
    x = (4 * drawn(7, (24, 33, 17))).to(memory_format=form)
    x[0, 0, 0, :4] = torch.tensor([0.0, -90.0, 90.0, 1e-30])
    y = function(x)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        found = fused.lost_digits(name, x, y)
    finally:
        torch.set_num_threads(before)
    lost = function(x.double()) - y
    assert lost.abs().max() > 1e-8
    assert found.stride() == y.stride()
    torch.testing.assert_close(found.double(), lost, rtol=1e-6, atol=5e-12)


def test_digits_of_other_tensors_and_of_another_gelu_are_left_to_torch():
    x, gelu = drawn(4, (80, 1000)), torch.nn.functional.gelu
    for given in (x[:, :10], x.double(), x[:1, :8], x.half(), x[0, 0, 0]):
        assert fused.lost_digits("gelu", given, gelu(given)) is None
    step = Step("gelu", slots=(0,))
    called = {"approximate": "tanh"}
    op = Operation(step, gelu, [None, "tanh"], Call(1, ("approximate",)), (x,))
    found = rules_unary._lost(op, x, y := gelu(x, **called))
    torch.testing.assert_close(found.double(), gelu(x.double(), **called) - y, rtol=1e-6, atol=0)


def nobody(*_: Tensor) -> Tensor:
    raise AssertionError


@pytest.mark.parametrize("why", ["few", "half", "apart", "order", "negative"])
def test_other_tensors_are_left_to_torch(why):
    shape = {"few": (3, 5), "order": (64, 33, 17)}.get(why, (80, 1000))
    x, x0 = drawn(1, shape), drawn(4, shape)
    if why == "half":
        x, x0 = x.half(), x0.half()
    y0 = x0.exp()
    if why == "apart":
        x0 = torch.stack([x0, x0], -1)[..., 0]
    if why == "order":
        y0 = y0.to(memory_format=CHANNELS_LAST)
    if why == "negative":
        x0 = torch.complex(x0, -x0).conj().imag
    out = torch.zeros(x0.shape, dtype=x0.dtype)
    assert not fused.secants(x, x.exp(), x0, y0, torch.ones_like(x0), 0.0, nobody, out)
    assert not out.any()


def test_whole_networks_say_the_same_with_and_without(monkeypatch):
    torch.manual_seed(0)
    net = torch.nn.Sequential(
        torch.nn.Conv2d(3, 16, 3), torch.nn.SiLU(), torch.nn.Conv2d(16, 8, 3), torch.nn.ReLU(),
        torch.nn.Flatten(2), torch.nn.Softmax(2), torch.nn.Flatten(), torch.nn.Linear(8 * 480, 2),
    ).eval()  # fmt: skip
    rows, x = drawn(20, (3, 34, 20)), drawn(2, (3, 34, 20))
    x[:, :, 20:] = rows[0, :, 20:]  # where a row is the sample
    mine = DeepSHAP(rows)(net, x, [0, 1])
    asked: list[str] = []
    for rules, name, step_aside in (
        (rules_unary, "secants", False),
        (rules_nary, "softmax_multipliers", None),
    ):

        def instead(*_, name=name, step_aside=step_aside):
            asked.append(name)
            return step_aside

        monkeypatch.setattr(rules, name, instead)
    other = DeepSHAP(rows)(net, x, [0, 1])
    assert set(asked) == {"secants", "softmax_multipliers"}
    size = float(abs(other.values).max())
    assert float(abs(mine.values - other.values).max()) < 2e-6 * size
    assert float(mine.relative_gap.max()) < 1e-5


@pytest.mark.parametrize("scale", [0.01, 1.0, 30.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_softmax_is_that_in_double_precision(scale, dtype):
    """Though its probabilities are of single precision."""
    x, x0, grad = (scale * drawn(n, (8, 30, 30), dtype) for n in (1, 10, 11))
    grad = grad[:10]
    x[..., 2], x0[..., 2], x0[:, 0, :, 4] = -torch.inf, -torch.inf, -torch.inf  # masked
    total0 = x0.double().logsumexp(-1)
    found = fused.softmax_multipliers(x, x.softmax(-1), x0, x0.softmax(-1), grad, total0)
    expected = by_pairs(x.double(), x0.double(), grad.double(), -1)
    assert found is not None
    rtol, atol = (2e-4, 3e-6) if dtype == torch.float32 else (1e-7, 1e-9)
    size = float(expected.abs().max())
    torch.testing.assert_close(found.double(), expected, rtol=rtol, atol=atol * size)


@pytest.mark.parametrize("shape", [(30, 20, 16), (20, 50, 7)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("threads", [1, 3])
def test_norms_are_those_of_torch(shape, dtype, threads):
    x, x0, grad = (drawn(n, shape, dtype) + 2 for n in (1, 12, 13))
    grad, weight = grad[:12], drawn(1, shape[-1:], dtype)[0]
    given = (
        x, rules_norm._statistics(x, 1e-5), weight,
        x0, rules_norm._statistics(x0, 1e-5), grad,
    )  # fmt: skip
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        found = fused.norm_multipliers(*given)
    finally:
        torch.set_num_threads(before)
    assert found is not None
    expected = rules_norm._passes(*given)
    size = float(expected.abs().max())
    tolerance = 16 * torch.finfo(dtype).eps
    torch.testing.assert_close(found, expected, rtol=0, atol=tolerance * size)


def by_pairs(x: Tensor, x0: Tensor, grad: Tensor, dim: int) -> Tensor:
    """Secants of exp and log by plain quotients."""
    total, total0 = x.logsumexp(dim, keepdim=True), x0.logsumexp(dim, keepdim=True)

    def slope(a: Tensor, b: Tensor) -> Tensor:
        return torch.where((a - b).abs() > 1e-7, (a.exp() - b.exp()) / (a - b), b.exp())

    top = torch.maximum(total, total0)
    share = slope(x - top, x0 - top).nan_to_num(0) / slope(total - top, total0 - top)
    steep = grad * slope(x - total, x0 - total0).nan_to_num(0)
    return steep - share * steep.sum(dim, keepdim=True)
