"""Movement that stands for an absent player's: held, on a straight path, or along the chain.

They are edits of positions, from which a body's branches follow. All are interventions: the network
is asked what it says of a body that moves otherwise, whatever is likely given the rest of it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from hargcn.perturbation.bones import carry_along, held_bones
from hargcn.perturbation.inputs import InputEdit

Movement = Literal["freeze", "interpolate", "chain"]
Carry = Callable[[Tensor], Tensor]

_BODY = ("sample", "channel", "time", "joint", "person")


def moved(
    model: nn.Module, x: Tensor, dims: Sequence[str], how: Movement
) -> tuple[Tensor, Carry | None]:
    """Return what stands for every cell of an input, and what a change of cells does to others.

    Parameters
    ----------
    model
        The network; along the chain its skeleton is asked for.
    x, dims
        Positions (N, ...), and the names of their axes.
    how
        "freeze": each joint stays where it was first; "interpolate": it goes straight from its
        first to its last place; "chain": it moves rigidly with its parent, its bone as long as
        before and in its first direction, and carries what hangs on it along; the root stays.

    Raises
    ------
    ValueError
        For an input that is no movement of a body, and a chain without a skeleton that fits.
    """
    if not {"time", "joint"} <= {*dims} <= {*_BODY}:
        raise ValueError(
            f"expected positions over time and joints for replace {how!r} (got {', '.join(dims)}); "
            "branches follow from positions: --on positions"
        )
    body = _as_body(x, dims)
    if how != "chain":
        joints = torch.ones(len(body), body.shape[3], dtype=torch.bool)
        return _back(InputEdit(how).apply(body, joints), dims), None
    skeleton = getattr(model, "skeleton", None)
    channels, joints_here = body.shape[1], body.shape[3]
    if skeleton is None or (skeleton.ndim, skeleton.n_joints) != (channels, joints_here):
        raise ValueError(
            f"expected a skeleton of {joints_here} joints in {channels} dimensions for replace "
            f"'chain' (got {None if skeleton is None else skeleton.name})"
        )
    frames = (body != 0).any(1).any(2)
    held = body + held_bones(body, skeleton, frames)
    return _back(held, dims), lambda change: _back(
        carry_along(_as_body(change, dims), skeleton), dims
    )


def _as_body(x: Tensor, dims: Sequence[str]) -> Tensor:
    """View an input as (N, C, T, V, M)."""
    body = x.permute([dims.index(name) for name in _BODY if name in dims])
    for place, name in enumerate(_BODY):
        if name not in dims:
            body = body.unsqueeze(place)
    return body


def _back(body: Tensor, dims: Sequence[str]) -> Tensor:
    """Undo `_as_body`."""
    kept = [name for name in _BODY if name in dims]
    own = body.squeeze([place for place, name in enumerate(_BODY) if name not in dims])
    return own.permute([kept.index(name) for name in dims])
