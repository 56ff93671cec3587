"""Which axioms of attribution methods keep on a network and its windows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import pandas as pd
import torch

from hargcn.checks import at_least, writable
from hargcn.data.windows import Windows
from hargcn.explainers.base import METHODS, methods
from hargcn.files import locked, replacing, track
from hargcn.metrics.axioms import AXIOMS, AxiomResult, Trial, check_axiom
from hargcn.networks.network import SkeletonNetwork
from hargcn.pipeline.explain import build_explainer, layers_of
from hargcn.pipeline.opening import check_preparation, open_network, open_windows, own_sets

_GIVEN = {"mask", "shap", "cam"}  # needs of what is made from other results


def axioms(
    checkpoint: str | Path,
    windows: str | Path,
    out: str | Path,
    *,
    method: Sequence[str] = (),
    layer: str = "",
    split: str = "test",
    limit: int = 4,
    background: int = 10,
    other_preparation: bool = False,
    device: str = "cpu",
    seed: int = 1234,
    progress: bool = False,
) -> pd.DataFrame:
    """Check every axiom of `metrics.axioms.AXIOMS` for methods, on the predicted classes.

    Parameters
    ----------
    checkpoint, windows
        The network and the windows file.
    out
        The table to write (.csv).
    method
        Names of methods; by default all that need nothing but a layer or a background.
    layer
        Layer of class activation maps, by default the last.
    split, limit
        Which set of the windows, and how many of it.
    background
        Training windows that SHAP compares with.
    other_preparation
        Take windows that were prepared otherwise than those the network learned from.
    device
        "cpu", "cuda" or "cuda:N".
    seed
        Seed of everything random.
    progress
        Whether to show a progress bar.

    Returns
    -------
    pandas.DataFrame
        A row per method and axiom: `axiom`, `method`, `verdict`, `figure`, `threshold`, `why`,
        `source`.

    Raises
    ------
    ValueError
        For an unknown method or layer, files that do not fit together, or an output that cannot be
        written.
    """
    at_least("limit", limit, 1)
    at_least("background", background, 1)
    for name in method:
        if given := _GIVEN & {*METHODS.find(name).needs}:
            raise ValueError(f"{name}: expected a method of its own (it needs {', '.join(given)})")
    names = list(dict.fromkeys(method)) or [
        name for name, cls in methods().items() if not _GIVEN & {*cls.needs}
    ]
    out = writable(out, checkpoint, windows, suffix=".csv")
    with locked(out):
        data = open_windows(windows)
        model = open_network(checkpoint, device, data)
        data = own_sets(model, data)
        check_preparation(model, data, other_preparation)
        some = open_windows(windows, split, limit, network=model)
        request = {
            "settings": {}, "seed": seed, "background": str(background),
            "background_by": "random", "background_class": [],
        }  # fmt: skip
        found: list[AxiomResult] = []
        for name in track(names, "axioms", len(names), progress):
            found += _of_method({**request, "method": name}, model, data, some, layer)
    table = pd.DataFrame(map(asdict, found))
    table["source"] = [AXIOMS[name].source for name in table["axiom"]]
    with replacing(out) as temporary:
        table.to_csv(temporary, index=False, float_format="%.6g")
    return table


def _of_method(
    request: dict[str, object], model: SkeletonNetwork, data: Windows, some: Windows, layer: str
) -> list[AxiomResult]:
    """Judge a method; where it refuses the network, every axiom says why."""
    name = str(request["method"])
    wanted = [layer] if layer and "layer" in METHODS.find(name).needs else []
    try:
        explainer = build_explainer(model, data, request, layers_of(model, name, wanted))
    except ValueError as error:
        return [AxiomResult(axiom, name, "not applicable", why=str(error)) for axiom in AXIOMS]
    x = model.inputs(some.read())
    with torch.no_grad():
        target = model(x).argmax(1)
    seed = int(str(request["seed"]))
    return [check_axiom(axiom, Trial(explainer, model, x, target, seed)) for axiom in AXIOMS]
