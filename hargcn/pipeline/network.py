"""What to ask of a trained network: how well it classifies, and which layers it has.

Nothing here explains anything; whether explanations can be trusted asks `pipeline.evaluate`.
"""

from __future__ import annotations

import math
from pathlib import Path

import torch

from hargcn.checks import one_of, writable
from hargcn.data.windows import Windows
from hargcn.explainers.adapter import adapted
from hargcn.explainers.hooks import record
from hargcn.files import replacing
from hargcn.networks import convert as published
from hargcn.networks.checkpoint import save_model
from hargcn.networks.stgcn import MultiBranchSTGCN
from hargcn.pipeline.opening import check_preparation, open_network, open_windows
from hargcn.skeleton import skeleton as layout
from hargcn.training.classification import Aggregate, Evaluation, chosen_threshold
from hargcn.training.outcomes import judge, of_known_outcome


def test(
    checkpoint: str | Path,
    windows: str | Path,
    *,
    split: str = "test",
    device: str = "cpu",
    aggregate: str = "mean",
    threshold: float | str | None = None,
    threshold_from: str = "val",
    out: str | Path | None = None,
    other_preparation: bool = False,
    progress: bool = True,
) -> Evaluation:
    """Measure how well a network classifies windows, and recordings, or says other outcomes.

    Windows whose outcome is not known are left out.

    Parameters
    ----------
    checkpoint, windows
        The network, and a file of labelled windows.
    split
        Which set: "train", "val", "test" or "all".
    device
        "cpu", "cuda" or "cuda:N".
    aggregate
        How a recording's probabilities come from those of its windows: "mean" or "median".
    threshold
        With two classes, the probability from which on the second class is predicted, or "youden":
        the one with the largest sensitivity + specificity of another set's recordings.
    threshold_from
        That set.
    out
        A file to write the figures to (.json).
    other_preparation
        Take windows that were prepared otherwise than those the network learned from.
    progress
        Whether to show a progress bar.

    Raises
    ------
    FileNotFoundError
        Without one of the files.
    ValueError
        For windows of another skeleton, other classes or without labels, a set or device that is
        not there, a threshold with other than two classes, one that is chosen on the set itself.
    """
    one_of("aggregate", aggregate, ("mean", "median"))
    how: Aggregate = "median" if aggregate == "median" else "mean"
    if out is not None:
        out = writable(out, checkpoint, windows, suffix=".json")
    model = open_network(checkpoint, device, open_windows(windows))
    chosen = open_windows(windows, split, network=model)
    check_preparation(model, chosen, other_preparation)
    if threshold == "youden":
        if threshold_from in (split, "all") or split == "all":
            raise ValueError(
                f"{windows}: expected a threshold from other windows than it judges (got "
                f"{threshold_from!r} for {split!r}); --threshold-from takes another set"
            )
        others = of_known_outcome(open_windows(windows, threshold_from, network=model))
        threshold = chosen_threshold(model, others, device, how, progress)
    found = judge(
        model, of_known_outcome(chosen), device=device, aggregate=how, progress=progress,
        threshold=None if threshold is None else _probability(threshold),
    )  # fmt: skip
    if out is not None:
        with replacing(out) as temporary:
            temporary.write_text(found.to_json() + "\n", encoding="utf-8")
    return found


def _probability(given: float | str) -> float:
    try:
        value = float(given)
    except ValueError:
        value = math.nan
    if not 0 <= value <= 1:
        raise ValueError(f"Expected threshold a probability, or youden (got {given})")
    return value


def layers(checkpoint: str | Path) -> dict[str, tuple[int, int, int]]:
    """Return the layers that can be explained with the shapes (feature, time, joint) they give.

    Time is that of the windows the network was trained on (64 frames where nobody tells).
    """
    model = open_network(checkpoint)
    names = model.layer_names()
    positions = torch.zeros(1, *model.shape)
    x = model.features(positions)
    with record(model, adapted(model, x), names, grad=False) as seen:
        model(x)
    shapes = {name: model.unfold(name, seen[name], 1).shape for name in names}
    return {name: (feature, time, joint) for name, (_, _, feature, time, joint) in shapes.items()}


def convert(
    source: str,
    file: str | Path,
    skeleton: str | Path,
    out: str | Path,
    *,
    classes: str | Path | None = None,
    windows: str | Path | None = None,
) -> MultiBranchSTGCN:
    """Convert a trained network of the published code into a checkpoint of hargcn.

    Parameters
    ----------
    source
        Which code wrote it: "shapgcn".
    file
        Its checkpoint (.pth.tar).
    skeleton
        The layout it was trained on, by name or file.
    out
        Checkpoint to write (.safetensors).
    classes
        A text file with one class name per line; without, classes are numbered.
    windows
        A windows file prepared as those it was trained on: its card says how. Without, the card
        says what the published code does (NTU RGB+D: `preprocess=ntu-published`, 150 frames); of
        other layouts nobody can tell, and the commands warn.

    Raises
    ------
    FileNotFoundError
        Without one of the files.
    ValueError
        For another source, a foreign file, or a layout or class names that do not fit it.
    """
    one_of("source", source, ("shapgcn",))
    given = [each for each in (file, classes, windows) if each is not None]
    out = writable(out, *given, suffix=".safetensors")
    writable(out.with_suffix(".json"), *given)
    model = published.convert(file, layout(skeleton))
    if classes is not None:
        lines = Path(classes).read_text(encoding="utf-8").splitlines()
        names = [line.strip() for line in lines if line.strip()]
        if len(names) != len(model.classes):
            raise ValueError(
                f"{classes}: expected {len(model.classes)} class names, one per line "
                f"(got {len(names)})"
            )
        model.classes = tuple(names)
    prepared = published.PREPARED.get(model.skeleton.name)
    if windows is not None:
        prepared = Windows.open(windows).preparation
    known = {} if prepared is None else {"input": dict(prepared)}
    save_model(model, out, {"converted_from": Path(file).name, **known})
    return model
