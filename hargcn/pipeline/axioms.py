"""Which axioms of attribution methods keep on a network and its windows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from itertools import product
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from hargcn.checks import at_least, one_of, writable
from hargcn.data.windows import Windows
from hargcn.explainers.base import METHODS, methods
from hargcn.explainers.deepshap.resources import duration
from hargcn.files import locked, replacing, track
from hargcn.metrics.axioms import AXIOMS, AxiomResult, check_axiom, refused
from hargcn.metrics.trial import Trial
from hargcn.networks.network import SkeletonNetwork
from hargcn.pipeline.explain import build_explainer, layers_of
from hargcn.pipeline.opening import check_preparation, open_network, open_windows, own_sets
from hargcn.plots import plot_axioms, save_figure
from hargcn.plots.style import PICTURES

_GIVEN = {"mask", "shap", "cam", "rate"}  # of what is made from other results, or is no map


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
    picture: str | Path | None = None,
    progress: bool = False,
    say: Callable[[str], None] | None = None,
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
    picture
        The table as a matrix, to write (.png, .svg, .pdf).
    progress
        Whether to show progress bars.
    say
        Gets the forecast, once every method has explained the windows for the first time.

    Returns
    -------
    pandas.DataFrame
        A row per method and axiom: `axiom`, `kind` (theorem, criterion), `method`, `verdict` (pass,
        fail, figure, not applicable, error), `figure`, `threshold`, `why`, `curve` (similarity per
        step of a cascade, with spaces), `seconds`, `source`. A method's own explanation counts to
        its first axiom.

    Raises
    ------
    ValueError
        For an unknown method or layer, files that do not fit together, or an output that cannot be
        written.
    """
    at_least("limit", limit, 1)
    at_least("background", background, 1)
    names = _names(method)
    out = writable(out, checkpoint, windows, suffix=".csv")
    if picture is not None:
        picture = writable(picture, checkpoint, windows, out, suffix=PICTURES)
    with locked(out):
        data = open_windows(windows)
        model = open_network(checkpoint, device, data)
        data = own_sets(model, data)
        check_preparation(model, data, other_preparation)
        if layer:
            one_of("--layer", layer, model.layer_names())
        x = model.inputs(open_windows(windows, split, limit, network=model).read())
        request = {
            "settings": {}, "seed": seed, "background": str(background),
            "background_by": "random", "background_class": [],
        }  # fmt: skip
        trials = {
            name: _trial({**request, "method": name}, model, data, x, layer)
            for name in track(names, "explaining once", len(names), progress)
        }
        if say is not None:
            say(_forecast(trials))
        pairs = list(product(names, AXIOMS))
        found = [
            _result(axiom, name, trials[name])
            for name, axiom in track(pairs, "axioms", len(pairs), progress)
        ]
        table = _table(found)
        with replacing(out) as temporary:
            table.to_csv(temporary, index=False, float_format="%.6g")
        if picture is not None:
            save_figure(plot_axioms(table)[0], picture)
    return table


def _names(wanted: Sequence[str]) -> list[str]:
    """Return the methods to judge: those wanted, or all that are not made from other results."""
    for name in wanted:
        if given := _GIVEN & {*METHODS.find(name).needs}:
            raise ValueError(f"{name}: expected a method of its own (it needs {', '.join(given)})")
    own = [name for name, cls in methods().items() if not _GIVEN & {*cls.needs}]
    return list(dict.fromkeys(wanted)) or own


def _trial(
    request: Mapping[str, Any], model: SkeletonNetwork, data: Windows, x: Tensor, layer: str
) -> Trial | Exception:
    """Let a method explain once, or return why it cannot be made for this network."""
    name = request["method"]
    wanted = [layer] if layer and "layer" in METHODS.find(name).needs else []
    try:
        explainer = build_explainer(model, data, request, layers_of(model, name, wanted))
    except Exception as error:  # the others go on
        return error
    with torch.no_grad():
        target = model(x).argmax(1)
    trial = Trial(explainer, model, x, target, request["seed"])
    trial.ask()
    return trial


def _forecast(trials: Mapping[str, Trial | Exception]) -> str:
    """Say how long the axioms take, from the time of every method's first explanation."""
    more = sum(axiom.maps for axiom in AXIOMS.values())
    times = {name: more * trial.ask() for name, trial in trials.items() if isinstance(trial, Trial)}
    total, longest = sum(times.values()), max(times, key=lambda name: times[name], default="")
    said = f"{len(times)} methods x {len(AXIOMS)} axioms, {more} explanations each"
    return f"{said}: about {duration(total)}" + (
        f", {duration(times[longest])} of them {longest}" if longest else ""
    )


def _result(axiom: str, name: str, trial: Trial | Exception) -> AxiomResult:
    if isinstance(trial, Exception):
        return refused(axiom, name, trial)
    result = check_axiom(axiom, trial)
    first = trial.ask() if axiom == next(iter(AXIOMS)) else 0.0
    return replace(result, seconds=result.seconds + first)


def _table(found: Sequence[AxiomResult]) -> pd.DataFrame:
    table = pd.DataFrame(map(asdict, found))
    table["curve"] = [" ".join(f"{each:.3f}" for each in curve) for curve in table["curve"]]
    table["source"] = [AXIOMS[name].source for name in table["axiom"]]
    return table
