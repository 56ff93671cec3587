"""What DeepSHAP does with each torch operation: nothing, a rule, or a body in simpler ones.

An operation is linear here if, with everything else constant, its result is an affine function of
all arguments that depend on the input together: its gradient is then its multiplier. The list is an
allow list.
"""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F

from hargcn.explainers.deepshap.decompositions import DECOMPOSITIONS, DECOMPOSITIONS_OF
from hargcn.explainers.deepshap.rules import RuleBook, Step
from hargcn.explainers.deepshap.rules_nary import RULES

_LINEAR = """
add sub subtract rsub radd neg negative positive sum nansum mean cumsum diff trapezoid cat
concat concatenate stack hstack vstack dstack column_stack row_stack split split_with_sizes
chunk tensor_split unbind unsafe_split unsafe_chunk hsplit vsplit dsplit view view_as reshape
reshape_as flatten ravel unflatten permute transpose swapaxes swapdims movedim moveaxis t T mT
H adjoint squeeze unsqueeze expand expand_as repeat tile repeat_interleave broadcast_to
broadcast_tensors atleast_1d atleast_2d atleast_3d meshgrid contiguous clone alias to type
type_as float double half bfloat16 cpu cuda real imag pad constant_pad_nd roll flip fliplr
flipud rot90 diag diagonal diag_embed trace tril triu unfold fold as_strided narrow select
index_select gather take take_along_dim masked_select masked_fill where getitem setitem
index_add index_copy index_fill index_put scatter scatter_add select_scatter slice_scatter
copy fill zero masked_scatter avg_pool1d avg_pool2d avg_pool3d adaptive_avg_pool1d
adaptive_avg_pool2d adaptive_avg_pool3d interpolate upsample pixel_shuffle pixel_unshuffle
channel_shuffle native_channel_shuffle dropout dropout1d dropout2d dropout3d alpha_dropout
feature_dropout feature_alpha_dropout
"""
LINEAR = frozenset(_LINEAR.split())

_METADATA = """
shape size dim ndim ndimension numel nelement stride dtype device layout is_contiguous
is_floating_point is_complex is_cuda is_sparse is_nested is_quantized is_leaf is_mps is_meta
is_signed requires_grad requires_grad_ grad grad_fn retain_grad register_hook names data_ptr
element_size itemsize nbytes storage_offset untyped_storage get_device len repr format str
hash is_inference is_pinned is_mkldnn is_neg is_conj output_nr _version dim_order zeros_like
ones_like full_like empty_like rand_like randn_like new_zeros new_ones new_full new_empty
new_tensor result_type can_cast broadcast_shapes
"""
METADATA = frozenset(_METADATA.split())
"""What asks for the shape or kind of a tensor, or makes another one like it."""

WRITING_OPERATORS = ("setitem", "imul", "iadd", "isub", "itruediv", "ipow")

STOPS = frozenset(("detach", "data", "item"))
"""What hands on values of the input without their gradient; everything else must have a rule."""

FIXED_GRAPH = (
    "a graph that depends on the input (nearest neighbours, the largest k) has no rule. Explain "
    "the network with the graph fixed, or use a class activation map"
)
"""The remedy where indices come from the input."""


def name_of(func: Callable[..., Any]) -> str:
    """Name a function or property as rules do: ``Tensor.__rmul__`` is "rmul", ``Tensor.T`` "T"."""
    name = str(getattr(func, "__name__", func))
    if name in ("__get__", "__set__"):
        owner = getattr(getattr(func, "__self__", None), "__name__", "property")
        return owner if name == "__get__" else f"{owner}="
    if name.startswith("__") and name.endswith("__"):
        return name.strip("_")
    return name


@cache
def functional(func: Callable[..., Any], name: str) -> tuple[Callable[..., Any], str, bool]:
    """Give a function out of place, its name, and whether it wrote to its first argument."""
    base = name.rstrip("_")
    if name in WRITING_OPERATORS:
        base = name if name == "setitem" else name[1:]
        return getattr(torch.Tensor, f"__{base}__"), base, True
    if not name.endswith("_") or name.startswith("_") or name == "requires_grad_":
        return func, name, False
    for owner in (torch, F, torch.Tensor):
        if hasattr(owner, base):
            return getattr(owner, base), base, True
    return func, base, True


@cache
def python_body(func: Callable[..., Any]) -> Callable[..., Any] | None:
    """Give the body of a torch function written in Python, which calls other torch functions.

    Such a function hands itself to the interceptor and never reaches its body while one is active;
    the copy skips that check. ``None`` for functions written in C++.
    """
    if not isinstance(func, types.FunctionType) or not func.__module__.startswith("torch"):
        return None
    skip: dict[str, Any] = dict.fromkeys(
        ("has_torch_function", "has_torch_function_unary", "has_torch_function_variadic"),
        lambda *_: False,
    )
    func = inspect.unwrap(func)
    copy = types.FunctionType(
        func.__code__,
        {**func.__globals__, **skip},
        func.__name__,
        func.__defaults__,
        func.__closure__,
    )
    copy.__kwdefaults__ = func.__kwdefaults__
    return copy


def choose_rule(step: Step, func: Callable[..., Any], base: str, kwargs: dict[str, Any]) -> bool:
    """Find the rule or the body of an operation, and set it on its step.

    Returns
    -------
    bool
        Whether the operation is known: linear, or with a rule or a body.

    Raises
    ------
    ValueError
        If more arguments depend on the input than the rule can handle.
    """
    entry = RULES.get(base) or RULES.get(base.removeprefix("special_"))
    if entry is not None and not kwargs.get("rounding_mode"):
        if entry.linear_when is not None and entry.linear_when(step.slots):
            return True
        spelled = step.slots != (0,) and DECOMPOSITIONS.get(base)
        if spelled:  # a rule of its input alone
            step.body = spelled
            return True
        if entry.arity is not None and len(step.slots) > entry.arity:
            raise ValueError(
                f"{step.where}: expected at most {entry.arity} arguments that depend on the input "
                f"(got {len(step.slots)}); register a rule for it"
            )
        step.rule = entry.rule
        return True
    if base in LINEAR:
        return True
    step.body = DECOMPOSITIONS_OF.get(func) or DECOMPOSITIONS.get(base) or python_body(func)
    return step.body is not None


MULTIPLIERS = RuleBook(choose_rule, "add one with explainers.register_rule")
"""DeepSHAP's rules."""


def drops_out(base: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Tell whether an operation is a dropout at work."""
    training = kwargs.get("training", kwargs.get("train", args[2] if len(args) > 2 else False))
    return "dropout" in base and bool(training)
