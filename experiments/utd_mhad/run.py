"""Explain three actions of UTD-MHAD, rank, draw, perturb and correlate (see README.md).

python experiments/utd_mhad/run.py --windows data/utd_mhad.h5 --out out/utd_mhad
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch

from hargcn import Explanation, Windows, load_model
from hargcn.allocator import keep_freed_memory
from hargcn.analysis.agreement import correlate, correlation_layers
from hargcn.analysis.ranking import write_csv
from hargcn.explainers import DeepSHAP, GradCAM
from hargcn.explainers.deepshap.background import choose
from hargcn.metrics.curves import perturbation_curves
from hargcn.metrics.runner import Runner
from hargcn.perturbation import parse_edit
from hargcn.pipeline.explain import explain_windows, explained
from hargcn.plots import plot_correlation, plot_curves, plot_ranking, plot_strip, save_figure

ACTIONS = ("wave", "squat", "lunge")
LAST = "main.1"


def explanations(model, windows, out, background, seed):
    """SHAP, Grad-CAM at TCN and attention, and negated, of the true class."""
    test = windows.subset("test")
    wanted = [windows.classes.index(action) for action in ACTIONS]
    chosen = test.subset(np.isin(test.label, wanted))
    train = windows.subset("train")
    rows = train.subset(choose(train.positions, train.label, background, seed=seed))
    x = model.features(torch.from_numpy(rows.positions()), torch.from_numpy(rows.valid()))
    methods = {
        "gradcam.h5": GradCAM([f"{LAST}.tcn", f"{LAST}.attention"]),
        "negated.h5": GradCAM(f"{LAST}.attention", negated=True),
        "shap.h5": DeepSHAP(x, chunk=20),
    }
    made = []
    for name, method in methods.items():
        about = {"method": name, "background": background, "seed": seed}
        files = explain_windows(
            model, chosen, method, out / name, target="label", description=about, shard=16
        )
        made += [Explanation.open(file) for file in files]
    return chosen, {explanation.name: explanation for explanation in reversed(made)}


def pictures(made, windows, out):
    """One ranking and one strip per action."""
    shown = {name: e for name, e in made.items() if "negated" not in name}
    for action in ACTIONS:
        rows = np.flatnonzero(
            next(iter(made.values())).label.to_numpy() == windows.classes.index(action)
        )
        figure, _ = plot_ranking({name: e.isel(sample=rows) for name, e in shown.items()})
        save_figure(figure, out / f"ranking_{action}.png", dpi=100)
        first = made["shap"].isel(sample=rows[:1])
        figure, _ = plot_strip(first, 0)
        save_figure(figure, out / f"strip_{action}.png", dpi=110)


def perturbed(model, chosen, made, out, edit):
    """Curves of the paper's figures 4 and 5."""
    run = Runner(
        features=model.features,
        valid=torch.from_numpy(chosen.valid()),
        skeleton=model.skeleton,
        batch=48,
        progress=True,
    )
    curves = perturbation_curves(
        model,
        torch.from_numpy(chosen.positions()),
        made,
        parse_edit(edit),
        labels=chosen.label,
        groups=chosen.group,
        top=10,
        random=20,
        run=run,
    )
    name = edit.replace(":", "_")
    curves.save(out / f"perturb_{name}.h5")
    for measure in ("accuracy", "gap"):
        figure, _ = plot_curves(curves.dataset, measure)
        save_figure(figure, out / f"perturb_{name}.{measure}.png", dpi=110)
    print(edit)
    print(curves.areas().to_string(index=False))


def correlated(model, windows, out, target):
    """The paper's table 1."""
    reference = f"{LAST}.attention"
    method = GradCAM(correlation_layers(model.layer_names(), reference))
    batches = (
        explained(model, windows.subset(slice(start, start + 43)), method, target)
        for start in range(0, len(windows), 43)
    )
    table = correlate(batches, reference)
    write_csv(table, out / "correlation.csv")
    figure, _ = plot_correlation(table)
    save_figure(figure, out / "correlation.png", dpi=110)
    summary = table[["mean", "low", "high", "n"]].to_dataframe()
    print(summary.sort_values("mean").to_string())


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--windows", type=Path, default=Path("data/utd_mhad.h5"))
    parser.add_argument("--checkpoint", type=Path, default=Path("checkpoints/utd_mhad.safetensors"))
    parser.add_argument("--out", type=Path, default=Path("out/utd_mhad"))
    parser.add_argument("--background", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1234)
    arguments = parser.parse_args()
    keep_freed_memory()
    model, windows = load_model(arguments.checkpoint), Windows.open(arguments.windows)
    out = arguments.out
    correlated(model, windows.subset("test"), out, "predicted")
    chosen, made = explanations(model, windows, out, arguments.background, arguments.seed)
    print("largest relative additivity gap", float(made["shap"].relative_gap.max()))
    pictures(made, windows, out)
    for edit in ("edge:self:away:0.35", "edge:incident:zero", "input:freeze"):
        perturbed(model, chosen, made, out, edit)


if __name__ == "__main__":
    main()
