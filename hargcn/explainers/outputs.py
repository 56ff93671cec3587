"""What goes into a network beside its input, and which tensor of what comes out is meant.

A module may return tuples, lists and dicts. "block" means the tensor of a module that returns one;
of several one is named by where it stands: "block[0]", "block[features]", "block[1][0]".
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor
from torch.utils._pytree import tree_flatten, tree_flatten_with_path, tree_map, tree_unflatten

Output = int | str | Callable[[Any], Tensor]


def for_batch(arguments: Any, x: Tensor) -> Any:
    """Return fixed arguments as a batch needs them.

    Tensors go to the batch's device, and real ones to its precision; a function is called with the
    batch, for what needs a row per sample.
    """

    def ready(value: Any) -> Any:
        value = value(x) if callable(value) else value
        if not isinstance(value, Tensor):
            return value
        return value.to(x.device, x.dtype if value.is_floating_point() else value.dtype)

    return tree_map(ready, arguments)


def rows_in(arguments: Any, samples: int) -> list[str]:
    """Name the fixed arguments that may hold a row for each of several samples."""
    leaves, _ = tree_flatten_with_path(arguments)
    return [
        repr(_key(path[0]))
        for path, value in leaves
        if isinstance(value, Tensor) and value.ndim and len(value) == samples > 1
    ]


def logits_of(output: Any, which: Output | None = None) -> Tensor:
    """Return the logits of what a network returned.

    Parameters
    ----------
    output
        What it returned.
    which
        A number or a key of it, or a function of it; by default it is the logits.

    Raises
    ------
    ValueError
        If there is no such entry, or it is no tensor; names the tensors there are.
    """
    if callable(which):
        found = which(output)
    elif which is None:
        found = output
    else:
        try:
            found = output[which]
        except (LookupError, TypeError) as error:
            raise ValueError(
                f"Expected an output of the network at {which!r} (got {listed_tensors(output)})"
            ) from error
    if isinstance(found, Tensor):
        return found
    raise ValueError(
        f"Expected logits, one tensor (got {listed_tensors(found)}); an Adapter's `output` says "
        "which they are: a number, a key or a function"
    )


def module_of(layer: str) -> str:
    """Return the module's name of a layer: "block" of "block[0]"."""
    return layer.partition("[")[0]


def activation_of(layer: str, output: Any) -> Tensor:
    """Return the tensor that a layer's name means of what its module returned.

    Raises
    ------
    TypeError
        If there is none or there are several; names them.
    """
    return tree_flatten(output)[0][_position(layer, output)]


def exchanged(layer: str, output: Any, value: Tensor) -> Any:
    """Return what a module returned with another tensor in the place that a layer's name means."""
    leaves, spec = tree_flatten(output)
    leaves[_position(layer, output)] = value
    return tree_unflatten(leaves, spec)


def tensors_in(output: Any) -> dict[str, Tensor]:
    """Return the tensors of real numbers in an output by place; "" is that of one alone."""
    found = _tensors(output)
    return {place if len(found) > 1 else "": leaf for place, (_, leaf) in found.items()}


def listed_tensors(output: Any) -> str:
    """Return the tensors in an output by place and shape, else its type."""
    found = [
        f"{place} {tuple(leaf.shape)}".strip() for place, (_, leaf) in _tensors(output).items()
    ]
    return ", ".join(found) or type(output).__name__


def _position(layer: str, output: Any) -> int:
    found, module = _tensors(output), module_of(layer)
    place = layer.removeprefix(module)
    if not place and len(found) == 1:
        return next(iter(found.values()))[0]
    if place in found:
        return found[place][0]
    name = next((f"; name one, as {module + other!r}" for other in found if other), "")
    raise TypeError(f"layer {layer!r}: expected one tensor (got {listed_tensors(output)}{name})")


def _tensors(output: Any) -> dict[str, tuple[int, Tensor]]:
    """Map the place of each tensor of real numbers to its number among all leaves, and itself."""
    leaves, _ = tree_flatten_with_path(output)
    return {
        _place(path): (number, leaf)
        for number, (path, leaf) in enumerate(leaves)
        if isinstance(leaf, Tensor) and leaf.is_floating_point()
    }


def _place(path: tuple[Any, ...]) -> str:
    """Write a path as "[0][key]"."""
    return "".join(f"[{_key(step)}]" for step in path)


def _key(step: Any) -> Any:
    """Return the number, the key or the field of a step on a path."""
    return next(getattr(step, kind) for kind in ("idx", "key", "name") if hasattr(step, kind))
