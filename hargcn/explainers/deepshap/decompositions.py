"""Torch operations spelled out in simpler ones, each of which has a rule or is linear."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


def _scale(y: Tensor, weight: Tensor | None, bias: Tensor | None, shape: tuple[int, ...]) -> Tensor:
    """Scale and shift of a normalisation."""
    if weight is not None:
        y = y * weight.view(shape)
    return y if bias is None else y + bias.view(shape)


def _standardise(x: Tensor, dims: tuple[int, ...], eps: float) -> Tensor:
    """(x - mean) / sqrt(variance + eps)."""
    x = x - x.mean(dims, keepdim=True)
    return x * ((x * x).mean(dims, keepdim=True) + eps).rsqrt()


def _channels(x: Tensor) -> tuple[int, ...]:
    return (1, -1) + (1,) * (x.ndim - 2)


def batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Batch normalisation with stored statistics: a scale and a shift per channel."""
    if training or running_mean is None or running_var is None:
        raise ValueError("batch norm mixes the samples of a batch: expected stored statistics")
    scale, shift = scale_and_shift(running_mean, running_var, weight, bias, eps)
    shape = _channels(input)
    return input * scale.view(shape) + shift.view(shape)


def scale_and_shift(
    running_mean: Tensor,
    running_var: Tensor,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> tuple[Tensor, Tensor]:
    """Give what a batch norm with stored statistics does to each channel."""
    scale = (running_var + eps).rsqrt()
    scale = scale if weight is None else scale * weight
    shift = -running_mean * scale
    return scale, shift if bias is None else shift + bias


def layer_norm(
    input: Tensor,
    normalized_shape: tuple[int, ...],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
    *_: object,
) -> Tensor:
    """Layer normalisation."""
    shape = tuple(normalized_shape)
    y = _standardise(input, tuple(range(-len(shape), 0)), eps)
    return _scale(y, weight, bias, shape)


def rms_norm(
    input: Tensor,
    normalized_shape: tuple[int, ...],
    weight: Tensor | None = None,
    eps: float | None = None,
) -> Tensor:
    """Root-mean-square normalisation."""
    dims = tuple(range(-len(tuple(normalized_shape)), 0))
    eps = torch.finfo(input.dtype).eps if eps is None else eps
    y = input * ((input * input).mean(dims, keepdim=True) + eps).rsqrt()
    return y if weight is None else y * weight


def group_norm(
    input: Tensor,
    num_groups: int,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
    *_: object,
) -> Tensor:
    """Group normalisation."""
    x = input.unflatten(1, (num_groups, -1))
    y = _standardise(x, tuple(range(2, x.ndim)), eps).flatten(1, 2)
    return _scale(y, weight, bias, _channels(input))


def instance_norm(
    input: Tensor,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Instance normalisation, with the instance's own or with stored statistics."""
    if not use_input_stats:
        return batch_norm(input, running_mean, running_var, weight, bias, eps=eps)
    y = _standardise(input, tuple(range(2, input.ndim)), eps)
    return _scale(y, weight, bias, _channels(input))


def scaled_dot_product_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """Scaled dot-product attention without the fused kernels."""
    scale = 1 / math.sqrt(query.shape[-1]) if scale is None else scale
    if enable_gqa:
        groups = query.shape[-3] // key.shape[-3]
        key, value = key.repeat_interleave(groups, -3), value.repeat_interleave(groups, -3)
    scores = (query * scale) @ key.transpose(-2, -1)
    if is_causal:
        attn_mask = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).tril()
    if attn_mask is not None and attn_mask.dtype == torch.bool:
        scores = scores.masked_fill(attn_mask.logical_not(), -math.inf)
    elif attn_mask is not None:
        scores = scores + attn_mask
    return scores.softmax(-1) @ value


def glu(input: Tensor, dim: int = -1) -> Tensor:
    """Gated linear unit."""
    a, b = input.chunk(2, dim)
    return a * b.sigmoid()


def vector_norm(
    x: Tensor,
    ord: float | None = 2,
    dim: int | tuple[int, ...] | None = None,
    keepdim: bool = False,
    **_: object,
) -> Tensor:
    """Vector norm of any order."""
    if dim is None:
        x, dim = x.flatten(), 0
    if ord is None or ord == 2:
        return (x * x).sum(dim, keepdim).sqrt()
    size = x.abs()
    if math.isinf(ord):
        return size.amax(dim, keepdim) if ord > 0 else size.amin(dim, keepdim)
    return size.sum(dim, keepdim) if ord == 1 else size.pow(ord).sum(dim, keepdim).pow(1 / ord)


def std(x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    """Take the standard deviation as the root of the variance."""
    return torch.var(x, *args, **kwargs).sqrt()


def var_mean(x: Tensor, dim: Any = None, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
    """Variance and mean."""
    keepdim = bool(kwargs.get("keepdim", args[1] if len(args) > 1 else False))
    return torch.var(x, dim, *args, **kwargs), x.mean(dim, keepdim)


def std_mean(x: Tensor, dim: Any = None, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
    """Take standard deviation and mean."""
    variance, mean = var_mean(x, dim, *args, **kwargs)
    return variance.sqrt(), mean


def linalg_norm(
    x: Tensor, ord: float | str | None = None, dim: Any = None, keepdim: bool = False
) -> Tensor:
    """Norm of vectors, and the Frobenius norm of matrices."""
    if ord is not None and not (isinstance(dim, int) and not isinstance(ord, str)):
        raise ValueError(f"Expected vector norms along one axis (got order {ord!r} along {dim})")
    return vector_norm(x, 2 if ord is None else float(ord), dim, keepdim)


def cosine_similarity(x1: Tensor, x2: Tensor, dim: int = 1, eps: float = 1e-8) -> Tensor:
    """Cosine of the angle between two vectors."""
    lengths = vector_norm(x1, 2, dim).clamp_min(eps) * vector_norm(x2, 2, dim).clamp_min(eps)
    return (x1 * x2).sum(dim) / lengths


DECOMPOSITIONS: dict[str, Callable[..., Any]] = {
    "layer_norm": layer_norm,
    "rms_norm": rms_norm,
    "group_norm": group_norm,
    "scaled_dot_product_attention": scaled_dot_product_attention,
    "glu": glu,
    "linalg_vector_norm": vector_norm,
    "linalg_norm": linalg_norm,
    "std": std,
    "std_mean": std_mean,
    "var_mean": var_mean,
    "cosine_similarity": cosine_similarity,
}
DECOMPOSITIONS_OF: dict[Callable[..., Any], Callable[..., Any]] = {
    F.batch_norm: batch_norm,
    F.instance_norm: instance_norm,
}
