"""How long explanations take: measured in turns, told in seconds and in passes of the network."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from hargcn.checks import at_least, writable
from hargcn.data.windows import Windows
from hargcn.explainers.base import METHODS, Explainer
from hargcn.files import locked, replacing, track
from hargcn.networks.network import SkeletonNetwork
from hargcn.pipeline.explain import build_explainer, layers_of
from hargcn.pipeline.explain_windows import check_target, question
from hargcn.pipeline.opening import check_preparation, open_network, open_windows, own_sets

_FORWARD = "one forward pass"
_ASKED = {"background": 10, "background_by": "random", "background_class": (), "settings": {}}


def runtimes(
    checkpoint: str | Path,
    windows: str | Path,
    out: str | Path,
    *,
    methods: Sequence[Mapping[str, Any]],
    limit: int = 3,
    limit_seed: int = 0,
    rounds: int = 3,
    of_windows: int = 316,
    of_rows: int = 100,
    target: str = "predicted",
    split: str = "test",
    device: str = "cpu",
    seed: int = 1234,
    progress: bool = False,
) -> pd.DataFrame:
    """Measure what an explanation takes (Tempel et al. 2024, table 2).

    Each method explains one window, and several in one call, in turns with all others. What is
    beyond the first window is what a further one takes: SHAP's graph over the background is built
    once. On a CPU seconds are processor time, which with one thread is the time on a machine that
    does nothing else; on a GPU they are time by the clock.

    Parameters
    ----------
    checkpoint, windows
        The network and the windows file.
    out
        The table to write (.csv).
    methods
        What is timed: arguments of `explain`, of which `method` has to be there, and `layer`,
        `settings`, `background` (rows; default 10) may. The first is the one that others are
        compared with.
    limit, limit_seed
        Windows of the longer call, at least 2, drawn with this seed.
    rounds
        Times that all is measured, behind one that warms up; medians count.
    of_windows, of_rows
        The job that hours are told of: its windows, and rows of a background. Of methods with one
        they are linear in its rows, of which fewer were measured.
    target, split
        Which class of windows of which set.
    device
        "cpu", "cuda" or "cuda:N".
    seed
        Of backgrounds and methods.
    progress
        Whether to show a bar.

    Returns
    -------
    pandas.DataFrame
        A row for one forward pass of a window, and for each method and layer: `rows` of its
        background; `first` and `further`, seconds of the first and of a further window; `fastest`
        and `slowest` further one of the rounds; `forwards`, `further` in forward passes of one
        window; `ratio` to the first method; `hours` that the named job takes by these figures;
        `machine`. Where several windows in one call took no longer than one, `further` is 0, and
        what is divided by it is missing.

    Raises
    ------
    ValueError
        For unknown methods, layers or settings, numbers that are too small, and files that do not
        fit together.
    """
    at_least("limit", limit, 2)
    for name, number in (("rounds", rounds), ("of_windows", of_windows), ("of_rows", of_rows)):
        at_least(name, number, 1)
    at_least("methods", len(methods), 1)
    out = writable(out, checkpoint, windows, suffix=".csv")
    data = Windows.open(windows)
    model = open_network(checkpoint, device, data)
    data = own_sets(model, data)
    chosen = open_windows(windows, split, limit, limit_seed=limit_seed, network=model)
    check_preparation(model, chosen)
    check_target(model, chosen, target)
    x = model.inputs(chosen.read())
    asked, wanted, _ = question(model, chosen, x, target)
    timed = _named(model, data, methods, seed)

    def forward(few: int) -> None:
        with torch.inference_mode():
            for row in x[:few].split(1):
                model(row)

    calls: dict[tuple[str, str, int], Callable[[int], Any]] = {(_FORWARD, "", 0): forward}
    for key, explainer in timed.items():
        calls[key] = _explaining(explainer, asked, x, wanted)
    with locked(out):
        took = _in_turns(calls, len(x), rounds, device, progress)
        table = _table(took, len(x), of_windows, of_rows).assign(machine=machine(device))
        with replacing(out) as temporary:
            table.to_csv(temporary, index=False, float_format="%.4g")
    return table


def named_methods(
    methods: Sequence[str], layers: Sequence[str], background: int
) -> list[dict[str, Any]]:
    """Return what `runtimes` times of methods by name.

    Parameters
    ----------
    methods
        Their names.
    layers
        Of those that need one; by default the network's last.
    background
        Rows of those that need one.
    """
    found = []
    for name in methods:
        own = {"layer": list(layers)} if layers and "layer" in METHODS.find(name).needs else {}
        found.append({"method": name, "background": background, **own})
    return found


def machine(device: str = "cpu") -> str:
    """Return the name of what computes: a GPU, or a processor and how many threads of it."""
    if device.startswith("cuda"):
        return torch.cuda.get_device_name(device)
    threads = torch.get_num_threads()
    return f"{_processor()}, {threads} thread{'s' if threads > 1 else ''}"


def _processor() -> str:
    listed = Path("/proc/cpuinfo")
    if listed.is_file():
        for line in listed.read_text(encoding="utf-8").splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()


def _named(
    model: SkeletonNetwork, data: Windows, methods: Sequence[Mapping[str, Any]], seed: int
) -> dict[tuple[str, str, int], Explainer]:
    """Build what is timed, by method, layer and rows of its background."""
    made = {}
    for each in methods:
        if "method" not in each or {*each} - {*_ASKED, "method", "layer"}:
            raise ValueError(f"Expected method, layer, settings and background (got {dict(each)})")
        request = {**_ASKED, "seed": seed, **each}
        method, rows = request["method"], int(request["background"])
        request["background"] = str(rows)
        needed = METHODS.find(method).needed(request["settings"])
        for layer in layers_of(model, method, each.get("layer", [])) or [""]:
            explainer = build_explainer(model, data, request, [layer] if layer else [])
            made[method, layer, rows if "background" in needed else 0] = explainer
    return made


def _explaining(
    explainer: Explainer, model: nn.Module, x: Tensor, target: Tensor
) -> Callable[[int], Any]:
    return lambda few: explainer(model, x[:few], target[:few])


def _in_turns(
    calls: Mapping[Any, Callable[[int], Any]], most: int, rounds: int, device: str, bar: bool
) -> dict[Any, dict[int, list[float]]]:
    """Return seconds of every round, by number of windows; the first round warms up."""
    clock = time.perf_counter if device.startswith("cuda") else time.process_time
    found: dict[Any, dict[int, list[float]]] = {key: {1: [], most: []} for key in calls}
    jobs = [(turn, key, few) for turn in range(rounds + 1) for key in calls for few in (1, most)]
    for turn, key, few in track(jobs, "measuring", len(jobs), bar):
        _finished(device)
        began = clock()
        calls[key](few)
        _finished(device)
        if turn:
            found[key][few].append(clock() - began)
    return found


def _finished(device: str) -> None:
    """Wait until a GPU is idle: it computes beside the clock."""
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)


def _table(
    took: Mapping[Any, Mapping[int, Sequence[float]]], most: int, of_windows: int, of_rows: int
) -> pd.DataFrame:
    """Return medians, and what follows from them."""
    rows = []
    for (name, layer, background), found in took.items():
        first = float(np.median(found[1]))
        each = np.maximum(0, np.subtract(found[most], found[1])) / (most - 1)
        further = float(np.median(each))
        share = of_rows / background if background else 1
        rows.append({
            "method": name, "layer": layer, "rows": background, "first": first,
            "further": further, "fastest": each.min(), "slowest": each.max(),
            "hours": share * (first + (of_windows - 1) * further) / 3600,
        })  # fmt: skip
    table = pd.DataFrame(rows)
    at, further = table.columns.get_loc("hours"), table["further"]
    known = further.where(further > 0)
    table.insert(at, "forwards", further / known[0])
    table.insert(at + 1, "ratio", (further / known[1]).where(table.index > 0))
    return table
