"""Running again what an explanation file says it was made by, and comparing."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from hargcn.explanation import Explanation
from hargcn.networks.branches import PositionModel
from hargcn.pipeline.explain import build_explainer
from hargcn.pipeline.explain_windows import explain_windows
from hargcn.pipeline.opening import of_one_network, open_network, open_windows, own_sets

TOLERANCES = {"float32": 1e-3, "float64": 1e-8}
"""Largest difference, relative to a file's largest value, that rounding explains.

Batches, threads and memory decide how sums are rounded, and DeepSHAP's secants magnify it where a
window and the background nearly agree.
"""


@dataclass(frozen=True)
class Reproduction:
    """How an explanation that was made again differs from the one in a file.

    Parameters
    ----------
    samples
        How many windows.
    difference
        The largest difference of two attributions, relative to the largest attribution.
    score_difference
        The same of the scores.
    """

    samples: int
    difference: float
    score_difference: float


def reproduce(
    explanation: str | Path,
    checkpoint: str | Path,
    windows: str | Path,
    *,
    device: str = "cpu",
    progress: bool = False,
) -> Reproduction:
    """Explain again as a file says, and compare with it.

    Parameters
    ----------
    explanation
        A file that `explain` made; it holds the request, and digests of network and windows.
    checkpoint, windows
        That network, and the windows file it explained.
    device
        Where to compute.
    progress
        Whether to show a progress bar.

    Raises
    ------
    ValueError
        For a file without a request, another network or other windows, or values that differ by
        more than 1e-3 of the largest (1e-8 in double precision).
    """
    made = Explanation.open(explanation)
    of_one_network(explanation, made)
    attrs = made.dataset.attrs
    if not attrs.get("request"):
        raise ValueError(
            f"{explanation}: expected an explanation made by hargcn explain, which notes what was "
            "asked (it holds no request)"
        )
    request = json.loads(attrs["request"])
    data = open_windows(windows)
    model = open_network(checkpoint, device, data)
    data = own_sets(model, data)
    for path, mine, theirs in (
        (checkpoint, model.card.get("weights", ""), attrs["model"]),
        (windows, data.digest, attrs["data"]),
    ):
        if mine != theirs:
            raise ValueError(f"{path}: expected the file {explanation} was made with (its digest "
                             f"is {theirs}, this one's {mine})")  # fmt: skip
    rows = {name: number for number, name in enumerate(data.names)}
    chosen = data.subset([rows[str(name)] for name in made.dataset["sample"].to_numpy()])
    network = PositionModel(model) if request["on"] == "positions" else model
    layers = [made.layer] if made.layer else []
    explainer = build_explainer(network, data, request, layers)
    kept = attrs.get("kept", "full")  # which earlier files call "all"
    with TemporaryDirectory() as folder:
        (path,) = explain_windows(
            network, chosen, explainer, Path(folder) / "again.h5", layers=layers,
            target=request["target"], versus=request.get("versus", ""), request=request,
            keep="full" if kept == "all" else kept,
            progress=progress,
        )  # fmt: skip
        again = Explanation.open(path)
    if not np.array_equal(made.asked, again.asked):
        raise ValueError(f"{explanation}: expected the same classes to be explained again")
    found = Reproduction(
        len(made),
        _difference(made.values.to_numpy(), again.values.to_numpy()),
        _difference(made.score.to_numpy(), again.score.to_numpy()),
    )
    limit = TOLERANCES[attrs["dtype"]]
    if not max(found.difference, found.score_difference) <= limit:
        raise ValueError(
            f"{explanation}: expected the same values within {limit:.0e} of the largest (got "
            f"{found.difference:.1e} for attributions, {found.score_difference:.1e} for scores)"
        )
    return found


def _difference(mine: np.ndarray, theirs: np.ndarray) -> float:
    largest = float(np.abs(mine).max()) or 1.0
    return float(np.abs(mine - theirs).max()) / largest
