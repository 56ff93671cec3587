"""From what somebody asks of a network and windows to explanations."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hargcn.analysis import ranking
from hargcn.checks import at_least, one_of, writable
from hargcn.data.windows import Windows
from hargcn.explainers.base import METHODS, Explainer, make
from hargcn.explainers.deepshap.background import by_size
from hargcn.explanation import Explanation
from hargcn.networks.branches import PositionModel
from hargcn.networks.network import SkeletonNetwork
from hargcn.pipeline.auto_background import AUTO, TOLERANCE, check_auto, find_rows
from hargcn.pipeline.background import choose_background
from hargcn.pipeline.cluster import check_engine
from hargcn.pipeline.config import read_content
from hargcn.pipeline.explain_windows import (
    KEPT,
    Network,
    check_target,
    explain_windows,
    same_skeleton,
)
from hargcn.pipeline.opening import check_preparation, open_network, open_windows, own_sets
from hargcn.pipeline.shards import outputs
from hargcn.plots import plot_convergence, save_figure
from hargcn.plots.style import PICTURES
from hargcn.registry import fields_of


def explain(
    checkpoint: str | Path,
    windows: str | Path,
    out: str | Path,
    *,
    method: str = "gradcam",
    settings: Mapping[str, Any] | Sequence[str] = (),
    layer: Sequence[str] = (),
    target: str = "predicted",
    versus: str = "",
    split: str = "test",
    of: Sequence[str] = (),
    limit: int | None = None,
    limit_seed: int | None = None,
    background: int | str = 100,
    background_by: str = "",
    background_class: Sequence[str] = (),
    background_group: Sequence[str] = (),
    tolerance: float | None = None,
    on: str = "branches",
    convergence: str | Path | None = None,
    other_preparation: bool = False,
    keep: str = "full",
    seed: int = 1234,
    device: str = "cpu",
    shard: int | None = None,
    part: str = "",
    engine: str = "local",
    address: str | None = None,
    progress: bool = False,
    say: Callable[[str], None] | None = None,
) -> list[Path]:
    """Explain what a network decides about windows.

    The same call after a kill goes on where it stopped; where its result is there and whole, it
    says so and explains nothing. Only a background by herding or medoids is chosen again: what it
    consists of is part of what makes a job the same.

    Parameters
    ----------
    checkpoint, windows
        The network and the windows file.
    out
        The explanation file; with several layers their names are put before its suffix.
    method, settings
        A method's name (see `hargcn.explainers.methods`) and its settings, also as "key=value".
    layer
        Names of layers, or "all", for methods that need one; "tcn" or "attention" is the last of
        its kind; by default the last of all.
    target
        "predicted", "second", "least", "label", or the name of a class or output (see
        `explainers.targets`).
    versus
        The same of the class instead of which: explains the difference of the two logits.
    split, of, limit, limit_seed
        Which windows: a set, "all" or a file of names (.txt); of these those whose true class is
        one of `of`; of these the first so many, or so many drawn with a seed.
    background, background_by, background_class, background_group
        For methods that need one: how many training windows and how they are chosen (random,
        balanced, herding, medoids) from those of all or some classes and subjects, or a windows
        file; "auto" finds how many SHAP needs (see `pipeline.auto_background`), herding by default.
    tolerance
        For "auto": the largest relative error of joint x time attributions, by default 0.1.
    on
        Explain the network's "branches" or raw "positions".
    other_preparation
        Take windows that were prepared otherwise than those the network learned from; the file
        records it.
    keep
        "full" attributions, or their sums per "joint-time" (over branches and channels) or
        "joint" (over time too), which are smaller; the file records it.
    convergence
        For SHAP: a picture to write, of how steady the ranking is against the background's size.
    seed
        Of the choice of the background, and of a method that draws numbers.
    device
        Where to compute.
    shard
        Windows per shard; by default about 256 for methods that take a few passes, else 32.
    part
        "K/N": only every N-th shard from the K-th on, counted from 0, on storage that all parts
        share; nothing is joined before the same call without it, which makes what is left.
    engine
        "local", or "ray": shards are tasks of a Ray cluster whose nodes share the storage and have
        this hargcn; they have as many threads as torch has here.
    address
        Of the cluster; None starts one on this machine for as long as it takes.
    progress
        Whether to show a progress bar.
    say
        Gets the forecast of a method that has one, and what is finished already.

    Returns
    -------
    list of Path
        The files written; none for a part.

    Raises
    ------
    ValueError
        For a wrong setting, class, layer or set, or windows that do not fit the network.
    """
    one_of("--on", on, ("branches", "positions"))
    one_of("--keep", keep, KEPT)
    check_engine(engine, address)
    if part and (convergence is not None or engine != "local"):
        raise ValueError(f"--part {part}: expected neither --convergence nor --engine with it")
    if convergence is not None and method != "shap":
        raise ValueError(f"--convergence: expected --method shap (got {method})")
    background = str(background)
    check_auto(method, background, tolerance)
    by = background_by or ("herding" if background == AUTO else "random")
    own = dict(settings) if isinstance(settings, Mapping) else read_content(None, settings)
    request = {
        "checkpoint": Path(checkpoint).name, "windows": Path(windows).name, "method": method,
        "settings": own, "layer": list(layer), "target": target, "versus": versus,
        "split": split,
        "of": list(of), "limit": limit, "limit_seed": limit_seed, "background": background,
        "background_by": by, "background_class": list(background_class),
        "background_group": list(background_group), "on": on,
        "seed": seed, "device": device, "other_preparation": other_preparation, "keep": keep,
    }  # fmt: skip
    METHODS.find(method)
    if shard is not None:
        at_least("--shard", shard, 1)
    inputs = [
        checkpoint,
        windows,
        *([] if background.isdigit() or background == AUTO else [background]),
    ]
    out = writable(out, *inputs)
    if convergence is not None:
        writable(convergence, *inputs, out, suffix=PICTURES)
    data = Windows.open(windows)
    model = open_network(checkpoint, device, data)
    data = own_sets(model, data)
    same_skeleton(model, data)
    check_preparation(model, data, other_preparation)
    chosen = open_windows(windows, split, limit, of=of, limit_seed=limit_seed, network=model)
    check_target(model, chosen, target, versus)
    layers = layers_of(model, method, layer)
    for path in outputs(out, layers).values():
        writable(path, *inputs)
    network = PositionModel(model) if on == "positions" else model
    if background == AUTO:
        found = find_rows(network, data, chosen, request, tolerance or TOLERANCE, out, progress)
        request |= found.as_request()
        if say is not None:
            say(str(found))
    explainer = build_explainer(network, data, request, layers)
    written = explain_windows(
        network, chosen, explainer, out, layers=layers, target=target, versus=versus,
        request=request, shard=shard, keep=keep, part=part, engine=engine, address=address,
        progress=progress, say=say,
    )  # fmt: skip
    return written if convergence is None else [*written, draw_convergence(written[0], convergence)]


def draw_convergence(explanation: Path, out: str | Path) -> Path:
    """Draw how steady a SHAP ranking is against the size of its background."""
    found = ranking.convergence(by_size(Explanation.open(explanation)))
    save_figure(plot_convergence(found)[0], out)
    return Path(out)


def layers_of(model: SkeletonNetwork, method: str, wanted: Sequence[str]) -> list[str]:
    """Return the layers to explain; none for a method that needs none.

    A stage alone, such as "tcn", is the last layer that is called so.

    Raises
    ------
    ValueError
        For an unknown layer (offers the nearest), or layers for a method of the input.
    """
    if "layer" not in METHODS.find(method).needs:
        if wanted:
            raise ValueError(f"--layer: expected a method of layers (got {method})")
        return []
    names = model.layer_names()
    if not names:
        raise ValueError(
            f"{method}: expected a network with layers whose activations have its joints (got "
            "none; an Adapter's `unfold` says which axes activations have)"
        )
    if list(wanted) == ["all"]:
        return list(names)
    last = {name.rpartition(".")[2]: name for name in names}
    named = dict.fromkeys(last.get(each, each) for each in wanted)
    return [one_of("--layer", name, names) for name in named] or [names[-1]]


def build_explainer(
    network: Network,
    data: Windows,
    request: Mapping[str, Any],
    layers: Sequence[str] = (),
) -> Explainer:
    """Build what a request asks for, at the first of several layers.

    Parameters
    ----------
    network, data
        The network, and the windows whose training set gives the background.
    request
        Arguments of `explain`, as its files store them.
    layers
        Names of layers.
    """
    method, own = request["method"], dict(request["settings"])
    cls = METHODS.find(method)
    if "seed" in fields_of(cls) and "seed" in request:
        own.setdefault("seed", request["seed"])
    needed: dict[str, Any] = {"layer": layers[0] if layers else None}
    if "rate" in cls.needed(own):
        needed["rate"] = _rates(data, own)
    if "background" in cls.needed(own):
        if "background" not in request:
            raise ValueError(f"{method}: expected a background that explain chose (got one's own)")
        rows, weights = choose_background(
            network, data, request["background"], request["background_by"], request["seed"],
            request["background_class"], request.get("background_group", ()),
        )  # fmt: skip
        needed["background"] = network.inputs(rows.read())
        if weights is not None:
            own.setdefault("weights", weights)
    return make(method, own, needed)


def _rates(data: Windows, own: Mapping[str, Any]) -> np.ndarray:
    """Return the frames per second of windows (N,); refuse several where no bands are named."""
    if not own.get("bands") and data.rate is None:
        raise ValueError(
            f"{data.path}: expected windows of one frame rate to tell frequencies apart (got "
            f"{data.fps.min():.4g} to {data.fps.max():.4g} frames per second): name bands, such as "
            "--set bands=0-2,2-4,4-, or prepare windows of one rate, such as windows.mode=slide"
        )
    return data.fps


def rebuilt(explanation: Explanation, network: Network, data: Windows) -> Explainer:
    """Build again what made an explanation, from the request that it stores.

    Raises
    ------
    ValueError
        For an explanation that `explain` did not make, or against a background of one's own.
    """
    request = json.loads(explanation.dataset.attrs.get("request") or "{}")
    if request.get("method") != explanation.method:
        raise ValueError(f"Expected an explanation made by explain (got {explanation.name!r})")
    return build_explainer(network, data, request, [explanation.layer] if explanation.layer else [])
