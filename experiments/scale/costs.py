"""Measures what explaining a window of the published NTU network costs, and counts its operations.

`python experiments/scale/costs.py measure` writes results/costs.csv, a row for each size;
`... extrapolate` results/million.csv from it: 10^6 windows x 100 rows x 60 classes, on cores by
what was measured, on GPUs by the operations that were counted, which no GPU does faster than its
maker says. Weights are random, on which time does not depend; CPU time on one thread.
"""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch.utils.flop_counter import FlopCounterMode

import hargcn
from hargcn.explainers import DeepSHAP, GradCAM
from hargcn.networks.stgcn import ModelConfig, MultiBranchSTGCN
from hargcn.pipeline.config import read_config

RESULTS = Path(__file__).parent / "results"
RECIPE = Path(__file__).parents[2] / "configs" / "published_ntu60_xview.yaml"
FRAMES, PERSONS, CLASSES = 300, 2, 60
SIZES = [(4, 1), (8, 1), (4, 3)]  # rows, classes
FEW = 3  # windows of the longer call
JOB = 10**6 * 100 * CLASSES  # windows x rows x classes
UNITS = {"CPU core": (1, 64, 1024), "GPU": (1, 8, 64)}
PEAK = 67e12
"""Operations a second in single precision by the data sheet of an H200 (SXM)."""


def network() -> MultiBranchSTGCN:
    """Build the published network."""
    torch.manual_seed(1234)
    names = [f"A{i:03d}" for i in range(1, CLASSES + 1)]
    config = ModelConfig(**read_config(RECIPE).model.model_dump())
    return MultiBranchSTGCN(config, hargcn.skeleton("ntu25"), names).eval()


def positions(count: int) -> torch.Tensor:
    """Draw bodies (N, 3, T, V, M)."""
    shape = (count, 3, FRAMES, 25, PERSONS)
    return torch.randn(shape, generator=torch.Generator().manual_seed(1))


def timed(call: Callable[[], object]) -> float:
    """Return the CPU seconds of a call."""
    began = time.process_time()
    call()
    return time.process_time() - began


def measure() -> None:
    """Time further windows: the first builds the graph of the background."""
    torch.set_num_threads(1)
    model, most = network(), max(rows for rows, _ in SIZES)
    x = model.features(positions(most + FEW), torch.ones(most + FEW, FRAMES, PERSONS).bool())
    rows, windows = x[:most], x[most:]
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(windows[:1])
    with torch.no_grad():
        forward = min(timed(lambda: model(windows[:1])) for _ in range(5))
    found = [("one forward pass", 0, 1, forward, forward, counter.get_total_flops(), 0)]
    cam = GradCAM(model.layer_names()[-1])
    took = min(timed(lambda: cam(model, windows[:1], 0)) for _ in range(5))
    size = cam(model, windows[:1], 0).values.to_numpy().nbytes
    found.append(("gradcam", 0, 1, took, took, np.nan, size))
    DeepSHAP(rows[:1], allow_gap=True)(model, windows[:1], 0)  # compiles loops, once per machine
    for count, classes in SIZES:
        shap, asked = DeepSHAP(rows[:count], allow_gap=True), range(classes)
        first = timed(lambda: shap.explain_classes(model, windows[:1], asked))  # noqa: B023
        began = time.process_time()
        size = shap.explain_classes(model, windows, asked)[0].values[0].to_numpy().nbytes
        further = (time.process_time() - began - first) / (FEW - 1)
        found.append(("shap", count, classes, first, further, np.nan, size))
    names = ["method", "rows", "classes", "first_s", "further_s", "operations", "bytes"]
    table = pd.DataFrame(found, columns=names)
    table["peak_GiB"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    table.to_csv(RESULTS / "costs.csv", index=False, float_format="%.4g")


def extrapolate() -> None:
    """Say what the whole job takes where every unit works all the time."""
    table = pd.read_csv(RESULTS / "costs.csv")
    shap = table[table.method == "shap"]
    seconds = {
        "CPU core": (shap.further_s / shap.rows / shap.classes).median(),
        "GPU": table.operations.iloc[0] / PEAK,  # of a backward pass to the input: as many again
    }
    basis = {"CPU core": "measured, extrapolated", "GPU": "counted, at its peak: not run"}
    rows = [
        (unit, count, basis[unit], seconds[unit], JOB * seconds[unit] / count / 86400)
        for unit, counts in UNITS.items()
        for count in counts
    ]
    names = ["unit", "units", "basis", "s_a_row_and_class", "days"]
    pd.DataFrame(rows, columns=names).to_csv(
        RESULTS / "million.csv", index=False, float_format="%.3g"
    )


if __name__ == "__main__":
    {"measure": measure, "extrapolate": extrapolate}[sys.argv[1]]()
