"""From a network and windows to explanations, in shards, so that a killed run goes on."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from hargcn.analysis import ranking
from hargcn.checks import at_least, one_of, writable
from hargcn.data.windows import Batch, Windows
from hargcn.explainers.base import METHODS, NEEDS, Explainer, make
from hargcn.explainers.cam.base import ActivationMap
from hargcn.explainers.contrast import Contrast, expect_classes, expect_two_words
from hargcn.explainers.deepshap.background import by_size
from hargcn.explainers.targets import named_classes
from hargcn.explanation import Explanation
from hargcn.files import locked, track
from hargcn.networks.branches import PositionModel
from hargcn.networks.network import SkeletonNetwork
from hargcn.outputs import outputs_of
from hargcn.pipeline.background import choose_background
from hargcn.pipeline.config import read_content
from hargcn.pipeline.job import code_of, identity
from hargcn.pipeline.opening import (
    check_preparation,
    known_outcomes,
    open_network,
    open_windows,
    own_sets,
    true_classes,
)
from hargcn.pipeline.seen import pieces, warn_unseen
from hargcn.pipeline.shards import Shards, outputs
from hargcn.plots import plot_convergence, save_figure
from hargcn.plots.style import PICTURES
from hargcn.registry import fields_of

Network = SkeletonNetwork | PositionModel

KEPT = ("all", "joint-time")
"""What of the attributions a file may keep."""


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
    background_by: str = "random",
    background_class: Sequence[str] = (),
    background_group: Sequence[str] = (),
    on: str = "branches",
    convergence: str | Path | None = None,
    other_preparation: bool = False,
    keep: str = "all",
    seed: int = 1234,
    device: str = "cpu",
    shard: int = 32,
    progress: bool = False,
    say: Callable[[str], None] | None = None,
) -> list[Path]:
    """Explain what a network decides about windows.

    The same call after a kill goes on where it stopped; where its result is there and whole, it
    says so and computes nothing.

    Parameters
    ----------
    checkpoint, windows
        The network and the windows file.
    out
        The explanation file; with several layers their names are put before its suffix.
    method, settings
        A method's name (see `hargcn.explainers.methods`) and its settings, also as "key=value".
    layer
        Names of layers, or "all", for methods that need one; by default the last.
    target
        "predicted", "second", "least", "label", or the name of a class or output (see
        `explainers.targets`).
    versus
        The same of the class instead of which: explains the difference of the two logits.
    split, of, limit, limit_seed
        Which windows: a set or "all"; of these the ones whose true class is one of `of`; of these
        the first so many, or so many drawn with a seed.
    background, background_by, background_class, background_group
        For methods that need one: how many training windows and how they are chosen (random,
        balanced, medoids) from those of all or some classes and subjects, or a windows file.
    on
        Explain the network's "branches" or raw "positions".
    other_preparation
        Take windows that were prepared otherwise than those the network learned from; the file
        records it.
    keep
        "all" of the attributions, or their sums per "joint-time" over branches and channels, which
        are smaller; the file records it.
    convergence
        For SHAP: a picture to write, of how steady the ranking is against the background's size.
    seed
        Of the choice of the background, and of a method that draws numbers.
    device
        Where to compute.
    shard
        Windows per shard.
    progress
        Whether to show a progress bar.
    say
        Gets the forecast of a method that has one, and what is finished already.

    Returns
    -------
    list of Path
        The files written.

    Raises
    ------
    ValueError
        For a wrong setting, class, layer or set, or windows that do not fit the network.
    """
    one_of("--on", on, ("branches", "positions"))
    one_of("--keep", keep, KEPT)
    if convergence is not None and method != "shap":
        raise ValueError(f"--convergence: expected --method shap (got {method})")
    background = str(background)
    own = dict(settings) if isinstance(settings, Mapping) else read_content(None, settings)
    request = {
        "checkpoint": Path(checkpoint).name, "windows": Path(windows).name, "method": method,
        "settings": own, "layer": list(layer), "target": target, "versus": versus,
        "split": split,
        "of": list(of), "limit": limit, "limit_seed": limit_seed, "background": background,
        "background_by": background_by, "background_class": list(background_class),
        "background_group": list(background_group), "on": on,
        "seed": seed, "device": device, "other_preparation": other_preparation, "keep": keep,
    }  # fmt: skip
    METHODS.find(method)
    at_least("--shard", shard, 1)
    inputs = [checkpoint, windows, *([] if background.isdigit() else [background])]
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
    explainer = build_explainer(network, data, request, layers)
    explainer.expect_outputs(network)
    if say is not None and getattr(explainer, "exact", True):
        first = network.inputs(chosen.read([0]))
        told = explainer.forecast(network, first, len(chosen))
        if told is not None:
            say(str(told))
    written = explain_windows(
        network, chosen, explainer, out, layers=layers, target=target, versus=versus,
        request=request, shard=shard, keep=keep, progress=progress, say=say,
    )  # fmt: skip
    return written if convergence is None else [*written, draw_convergence(written[0], convergence)]


def draw_convergence(explanation: Path, out: str | Path) -> Path:
    """Draw how steady a SHAP ranking is against the size of its background."""
    found = ranking.convergence(by_size(Explanation.open(explanation)))
    save_figure(plot_convergence(found)[0], out)
    return Path(out)


def layers_of(model: SkeletonNetwork, method: str, wanted: Sequence[str]) -> list[str]:
    """Return the layers to explain; none for a method that needs none.

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
    return [one_of("--layer", name, names) for name in dict.fromkeys(wanted)] or [names[-1]]


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
    if "background" in cls.needed(own):
        if "background" not in request:
            raise ValueError(f"{method}: expected a background that explain chose (got one's own)")
        rows, weights = choose_background(
            data, request["background"], request["background_by"], request["seed"],
            request["background_class"], request.get("background_group", ()),
        )  # fmt: skip
        needed["background"] = network.inputs(rows.read())
        if weights is not None:
            own.setdefault("weights", weights)
    return make(method, own, needed)


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


def _asked(
    explainer: Explainer, layers: Sequence[str], words: tuple[str, str], network: Network
) -> dict[str, Any]:
    own = {key: value for key, value in explainer.settings.items() if key not in NEEDS}
    on = "positions" if isinstance(network, PositionModel) else "branches"
    return {
        "method": explainer.name,
        "settings": own,
        "layer": [*layers],
        "target": words[0],
        "versus": words[1],
        "on": on,
    }


def explain_windows(
    network: Network,
    windows: Windows,
    explainer: Explainer,
    out: str | Path,
    *,
    layers: Sequence[str] = (),
    target: str = "predicted",
    versus: str = "",
    request: dict[str, Any] | None = None,
    shard: int = 32,
    keep: str = "all",
    progress: bool = True,
    say: Callable[[str], None] | None = None,
) -> list[Path]:
    """Explain windows shard by shard and join the shards into one file per layer.

    The same call after a kill goes on where it stopped; where its files are there and whole,
    nothing is computed. A change of hargcn's code, of the method's, of the network or of the
    windows makes it another job.

    Parameters
    ----------
    network
        On branches, or on positions.
    windows
        What to explain.
    explainer
        The method.
    out
        The explanation file; with several layers their names are put before its suffix.
    layers
        Several layers instead of the explainer's own.
    target, versus
        As for `explain`.
    request
        Arguments of `explain`, stored with the explanations so that they can be made again;
        without, those of the explainer, which say nothing of where a background came from.
    shard
        Windows per shard.
    keep
        As for `explain`.
    progress
        Whether to show a progress bar.
    say
        Gets a line for files that are finished already.

    Returns
    -------
    list of Path
        The files written.

    Warns
    -----
    UserWarning
        Where more than a fifth of the positive attribution lies on cells that nobody saw.

    Raises
    ------
    ValueError
        For windows that do not fit the network, another process that makes the same file, or a
        folder of that name and `.parts` which is no job's.
    """
    same_skeleton(network, windows)
    explainer.expect_outputs(network)
    if not len(windows):
        raise ValueError(f"{windows.path}: expected windows to explain (got none)")
    check_target(network, windows, target, versus)
    out = Path(out)
    own = [*layers] or [getattr(explainer, "layer", "")]
    asked = json.dumps(request or _asked(explainer, layers, (target, versus), network))
    job = {
        "code": code_of(explainer), "model": identity(network), "data": windows.digest,
        "windows": windows.names, "shard": shard, "target": target, "versus": versus,
        "keep": keep, "settings": explainer.settings, "layers": own, "request": request,
    }  # fmt: skip
    starts = range(0, len(windows), shard)
    with locked(out):
        shards = Shards(out.with_name(f"{out.name}.parts"), job, len(starts))
        if finished := shards.finished(out, own):
            if say is not None:
                named = ", ".join(map(str, finished))
                say(f"{named}: finished before, nothing to do (remove it to make it anew)")
            return finished
        for number, start in enumerate(track(starts, "explaining", progress=progress)):
            if not shards.done(number):
                some = windows.subset(slice(start, start + shard))
                made = explain_batch(network, some, explainer, target, layers, versus)
                kept = {key: reduced(one, keep) for key, one in made.items()}
                said = {key: e.assign(request=asked, kept=keep) for key, e in kept.items()}
                shards.add(number, said)
        written = list(shards.join(out).values())
    for path in written:
        warn_unseen(str(path), pieces(path, shard))
    return written


def explain_batch(
    network: Network,
    windows: Windows,
    explainer: Explainer,
    target: str,
    layers: Sequence[str] = (),
    versus: str = "",
) -> dict[str, Explanation]:
    """Explain windows at once; return explanations, described, by layer ("" for the input)."""
    check_target(network, windows, target, versus)
    batch = windows.read()
    x = network.inputs(batch)
    with torch.inference_mode():
        logits = network(x)
    labels, known = true_classes(network, windows), outputs_of(network)
    wanted = named_classes(target, logits, labels, known)
    asked: torch.nn.Module = network
    if versus:
        asked = Contrast(network, x, wanted, named_classes(versus, logits, labels, known))
        wanted = asked.asked
    if isinstance(explainer, ActivationMap):
        made = explainer.at_layers(asked, x, wanted, layers or [explainer.layer])
    else:
        made = {"": explainer(asked, x, wanted)}
    if isinstance(asked, Contrast):
        made = {name: asked.named(one) for name, one in made.items()}
    return {name: described(one, network, windows, batch) for name, one in made.items()}


def reduced(explanation: Explanation, keep: str) -> Explanation:
    """Return an explanation, or its sums over branches and channels ("joint-time").

    Raises
    ------
    ValueError
        For one without an axis of time and one of joints.
    """
    if one_of("keep", keep, KEPT) == "all":
        return explanation
    if not {"time", "joint"} <= set(explanation.dims):
        raise ValueError(
            f"Expected an explanation over time and joints to keep its sums (got axes "
            f"{', '.join(explanation.dims)})"
        )
    return explanation.sum(*(dim for dim in ("branch", "channel") if dim in explanation.dims))


def described(
    explanation: Explanation, network: Network, windows: Windows, batch: Batch
) -> Explanation:
    """Add what the pictures and measures need: names, labels, groups, movement, planted truth."""
    outputs = outputs_of(network)
    variables: dict[str, Any] = {
        **known_outcomes(network, windows),
        "group": batch.group.astype(str),
        "recording": batch.sample.astype(str),
        "fps": batch.fps,
        "seconds": (("sample", "frame"), batch.time),
        "present": (("sample", "person"), batch.valid.any(axis=1)),
        "positions": (("sample", "space", "frame", "joint", "person"), batch.positions),
        "state": (("sample", "frame", "joint", "person"), batch.state),
    }
    if batch.confidence is not None:
        variables["confidence"] = (("sample", "frame", "joint", "person"), batch.confidence)
    for name in ("truth", "distractor"):
        mask = getattr(batch, name)
        if mask is not None:
            variables[name] = (("sample", "frame", "joint"), mask)
    said = {}
    if outputs.kind != "classes":
        explanation = Explanation(explanation.dataset.drop_vars("predicted", errors="ignore"))
        said = {"outputs": json.dumps(outputs.to_dict())}
        said |= {} if outputs.probable else {"utility": "value"}
    return explanation.assign(
        variables,
        {"sample": batch.names},
        **said,
        skeleton=json.dumps(network.skeleton.to_dict()),
        classes=json.dumps(_classes(network)),
        model=_weights(network),
        data=windows.digest,
        frames=windows.frames,
    )


def same_skeleton(network: Network, windows: Windows) -> None:
    """Refuse windows of another skeleton than the network's."""
    if windows.skeleton != network.skeleton:
        raise ValueError(
            f"{windows.path}: expected windows of the network's skeleton {network.skeleton.name} "
            f"(got {windows.skeleton.name})"
        )


def check_target(network: Network, windows: Windows, target: str, versus: str = "") -> None:
    """Refuse a class to explain that the network does not have, before anything is computed.

    Raises
    ------
    ValueError
        For an unknown name (offers the nearest), "label" where one is missing, a class rather than
        itself, and one rather than another where outputs are no classes.
    """
    known = outputs_of(network)
    blank = torch.zeros(len(windows), len(known.columns))
    labels = true_classes(network, windows)
    try:
        named_classes(target, blank, labels, known)
        if versus:
            expect_classes(known)
            named_classes(versus, blank, labels, known)
            expect_two_words(target, versus)
    except ValueError as error:
        raise ValueError(f"{windows.path}: {error}") from error


def _model(network: Network) -> SkeletonNetwork:
    """Return the network on branches, also behind one on positions."""
    model: Any = network.model if isinstance(network, PositionModel) else network
    return model


def _classes(network: Network) -> list[str]:
    return list(_model(network).classes)


def _weights(network: Network) -> str:
    return str(_model(network).card.get("weights", ""))
