"""What can be explained of a network: everything is run once, and a table says what is missing."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from hargcn.explainers.adapter import Adapter, expect_axes, input_axes
from hargcn.explainers.axes import MAP_DIMS
from hargcn.explainers.base import Explainer, make, methods
from hargcn.explainers.baselines import frames_and_joints
from hargcn.explainers.cam.base import GradientCAM, explain_all
from hargcn.explainers.cam.gradient import GradCAM
from hargcn.explainers.cells import cell_frames, plane_of
from hargcn.explainers.deepshap.explainer import DeepSHAP
from hargcn.explainers.hooks import TWICE, expect_fixed, undisturbed
from hargcn.explainers.outputs import tensors_in

MOST = 64
"""Feature maps, of all persons, up to which methods with a pass for each of them are run."""

_SMALL: dict[str, dict[str, Any]] = {
    "shapcam": {"players": "joints", "permutations": 4},
    "integrated-gradients": {"max_steps": 16, "allow_gap": True},
    "expected-gradients": {"samples": 4},
    "smoothgrad": {"samples": 4},
    "smoothgrad-squared": {"samples": 4},
    "lime": {"masks": 8},
    "rise": {"masks": 8},
    "mask": {"steps": 2},
    "shapley-groups": {"budget": 400},
    "edge-integrated-gradients": {"max_steps": 16, "allow_gap": True},
    "edge-shapley": {"by": "joint", "orders": 4},
}
_NEEDS_LAYER = ("layer", "cam")


@dataclass(frozen=True)
class LayerCheck:
    """One row: a layer, or the input.

    Attributes
    ----------
    layer
        Its name as methods take it; "" is the input.
    shape
        Of the input, or of the layer's activation for one sample.
    understood
        What its axes are taken for; "" where they are not understood.
    methods
        Names of the methods that explained it; with a star those that were only asked, because they
        take a pass for each of more than `MOST` feature maps.
    missing
        Why the others do not, and what helps; "" where nothing is missing.
    """

    layer: str
    shape: tuple[int, ...]
    understood: str
    methods: tuple[str, ...]
    missing: str


@dataclass(frozen=True)
class NetworkCheck:
    """What can be explained of a network; printed, it is a table.

    Attributes
    ----------
    rows
        The input first, then the layers in the order in which they finish.
    """

    rows: tuple[LayerCheck, ...]

    def __str__(self) -> str:
        sets = list(dict.fromkeys(row.methods for row in self.rows if row.methods))
        table = [("layer", "shape", "understood as", "methods", "missing")]
        for row in self.rows:
            able = row.methods
            which = f"{len(able)} ({_letter(sets.index(able))})" if able else ""
            shape = " x ".join(map(str, row.shape))
            table.append((row.layer or "(input)", shape, row.understood, which, row.missing))
        widths = [max(len(row[i]) for row in table) for i in range(4)]
        lines = [
            "  ".join([*(cell.ljust(w) for cell, w in zip(row, widths, strict=False)), row[4]])
            for row in table
        ]
        lines += [f"({_letter(i)}) {', '.join(names)}" for i, names in enumerate(sets)]
        if any(name.endswith("*") for names in sets for name in names):
            lines.append(f"* asked, not run: a pass for each of more than {MOST} feature maps")
        return "\n".join(line.rstrip() for line in lines)


def check_network(at: Adapter, x: Tensor, layers: Sequence[str] | None = None) -> NetworkCheck:
    """Run a network and every method once, on one sample.

    Parameters
    ----------
    at
        The network.
    x
        An input of the network, best of two samples or more.
    layers
        Names of layers; by default every module that runs once and returns tensors.

    Returns
    -------
    NetworkCheck
        A row for the input and for each layer. A network that does not run at all, whose samples
        change each other, or whose input has other axes than were named, has one row that says so.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            problem = _whole(at, x)
        except Exception as error:  # whatever a network raises belongs in the table
            problem = _said(error)
        if problem:
            return NetworkCheck((LayerCheck("", tuple(x.shape), "", (), problem),))
        found = [_input_row(at, x)]
        seen, reasons = _activations(at, x[:1])
        found += [
            _layer_row(at, x, layer, seen.get(layer), reasons.get(layer, ""))
            for layer in layers or [*seen, *reasons]
        ]
    return NetworkCheck(tuple(found))


def _whole(at: Adapter, x: Tensor) -> str:
    """Return what is wrong with the network as a whole."""
    input_axes(at, x)
    expect_fixed(at, x)
    with undisturbed(at), torch.no_grad():
        logits = at(x)
        alone = at(x[:1])
    classes = at.axis_names.get("class", ())
    if logits.ndim != 2:
        return f"expected logits (sample, class) (got {tuple(logits.shape)}); see `output`"
    if classes and len(classes) != logits.shape[1]:
        return f"expected {len(classes)} classes, as axis_names say (got {logits.shape[1]})"
    if float((alone - logits[:1]).abs().max()) > 1e-3 * float(logits.abs().max()):
        return "expected the same logits for a sample beside others and alone (got others)"
    return ""


def _activations(at: Adapter, x: Tensor) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Return the activations of modules that run once, and why others are no layers."""
    seen: dict[str, dict[str, Tensor]] = {}
    calls: Counter[str] = Counter()

    def keep(name: str) -> Callable[..., None]:
        def hook(_module: nn.Module, _inputs: Any, output: Any) -> None:
            calls[name] += 1
            seen[name] = {name + place: t.clone() for place, t in tensors_in(output).items()}

        return hook

    with undisturbed(at), torch.no_grad(), ExitStack() as hooks:
        for name, module in at.model.named_modules():
            if name:
                hooks.callback(module.register_forward_hook(keep(name)).remove)
        at(x)
    once = {k: v for name, found in seen.items() if calls[name] == 1 for k, v in found.items()}
    return once, {name: TWICE.format(layer=name) for name in seen if calls[name] > 1}


def _input_row(at: Adapter, x: Tensor) -> LayerCheck:
    """Try the methods that need no layer."""
    wanted = [cls for cls in methods().values() if not {*_NEEDS_LAYER} & {*cls.needs}]
    tried = {cls.name: _tried(cls, at, x, "") for cls in wanted}
    understood = ", ".join(f"{d} {n}" for d, n in zip(input_axes(at, x), x.shape, strict=True))
    return LayerCheck("", tuple(x.shape), understood, *_sorted(tried))


def _layer_row(
    at: Adapter, x: Tensor, layer: str, activation: Tensor | None, reason: str
) -> LayerCheck:
    """Try the methods that need a layer."""
    if activation is None:
        reason = reason or "expected a layer that runs and returns a tensor, by its name here"
        return LayerCheck(layer, (), "", (), reason)
    shape = tuple(activation.shape)
    try:
        maps = at.unfold(layer, activation, 1)
        understood = _understood(at, layer, maps, x[:1])
    except Exception as error:  # whatever an `unfold` raises belongs in the table
        return LayerCheck(layer, shape, "", (), _said(error))
    wanted = [cls for cls in methods().values() if {*_NEEDS_LAYER} & {*cls.needs}]
    features = maps.shape[1] * maps.shape[2]
    tried = _gradients(wanted, at, x[:1], layer)
    for cls in wanted:
        if cls.name in tried:
            continue
        if features > MOST and "per feature map" in cls.cost:
            reason = make(cls.name, {}, {"layer": layer}).supports(at, x[:1])
            tried[cls.name if reason else f"{cls.name}*"] = reason
        else:
            tried[cls.name] = _tried(cls, at, x, layer)
    return LayerCheck(layer, shape, understood, *_sorted(tried))


def _understood(at: Adapter, layer: str, maps: Tensor, x: Tensor) -> str:
    """Say what a layer's axes are taken for; refuse those that the input does not have."""
    sizes = dict(zip(MAP_DIMS, maps.shape, strict=True))
    plane = plane_of(at, layer, x)
    expect_axes(at, layer, {d: sizes[d] for d in ("joint", "person")}, x)
    if plane:
        sizes = {d: n for d, n in sizes.items() if d != "joint"} | plane
    frames = cell_frames(at, layer, sizes["time"], x)
    said = ", ".join(f"{d} {n}" for d, n in sizes.items() if d != "sample")
    if len(frames) < 2 or "time" not in at.input_dims:
        return said
    step = frames[1] - frames[0]
    return f"{said}, {'a cell per frame' if step == 1 else f'every {step:g} frames'}"


def _gradients(
    wanted: Sequence[type[Explainer]], at: Adapter, x: Tensor, layer: str
) -> dict[str, str]:
    """Try all gradient methods in one pass; where that fails, nothing is said of them."""
    each = [make(cls.name, {}, {"layer": layer}) for cls in wanted if issubclass(cls, GradientCAM)]
    able = [one for one in each if isinstance(one, GradientCAM) and not one.supports(at, x)]
    try:
        explain_all(able, at, x, 0)
    except Exception:  # one by one they tell whose it is
        return {}
    return {one.name: "" for one in able}


def _tried(cls: type[Explainer], at: Adapter, x: Tensor, layer: str) -> str:
    """Explain one sample, small where the method has a size; return why not."""
    one = x[:1]
    try:
        rows = x[1:3] if len(x) > 2 else torch.cat([0.5 * one, 0.8 * one])
        needed: dict[str, Any] = {
            "layer": layer or None,
            "background": rows,
            "rate": 1.0,
            "mask": np.ones((1, *frames_and_joints(at, one))) if "mask" in cls.needs else None,
            "shap": DeepSHAP(rows) if "shap" in cls.needs else None,
            "cam": GradCAM(layer) if "cam" in cls.needs else None,
        }
        make(cls.name, _SMALL.get(cls.name, {}), needed)(at, one, 0)
    except Exception as error:  # whatever a network or another package raises belongs in the table
        return _said(error).removeprefix(f"{cls.name}: ")
    return ""


def _sorted(tried: Mapping[str, str]) -> tuple[tuple[str, ...], str]:
    """Return the methods that work, and in one line why the others do not."""
    able = tuple(sorted(name for name, reason in tried.items() if not reason))
    reasons: dict[str, list[str]] = {}
    for name, reason in tried.items():
        if reason:
            reasons.setdefault(reason, []).append(name)
    return able, "; ".join(f"{', '.join(names)}: {reason}" for reason, names in reasons.items())


def _said(error: Exception) -> str:
    """Return an error in one line."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0] if len(lines[0]) <= 240 else f"{lines[0][:237]}..."


def _letter(number: int) -> str:
    return chr(ord("a") + number) if number < 26 else str(number)
