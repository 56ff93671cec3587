"""Explain a network trained on real infants' movements with a planted tremor (see README.md).

python experiments/mini_rgbd_planted/run.py --windows data/mini_rgbd_planted.h5 \
    --checkpoint runs/mini_rgbd_planted/model.safetensors --out out/mini_rgbd_planted
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from hargcn import Explanation, Windows, load_model
from hargcn.allocator import keep_freed_memory
from hargcn.explainers import DeepSHAP, GradCAM, HiResCAM
from hargcn.explainers.deepshap.background import choose
from hargcn.metrics.curves import perturbation_curves
from hargcn.metrics.registry import Case
from hargcn.metrics.runner import Runner
from hargcn.metrics.table import metric_table
from hargcn.perturbation import parse_edit
from hargcn.pipeline.explain import explain_windows
from hargcn.plots import plot_curves, plot_ranking, plot_strip, save_figure
from hargcn.training.classification import classification_report

LAST = "main.1"
SIGN = "tremor"
METRICS = ("pgi", "pgu", "deletion", "insertion", "localisation")


def inputs(model, windows):
    valid = torch.from_numpy(windows.valid())
    return model.features(torch.from_numpy(windows.positions()), valid)


def explanations(model, windows, chosen, out, background, seed):
    """SHAP against a mixed background and against windows without the sign, and CAMs."""
    train = windows.subset("train")
    plain = train.subset(train.label != windows.classes.index(SIGN))
    mixed = train.subset(choose(train.positions, train.label, background, seed=seed))
    without = plain.subset(choose(plain.positions, plain.label, background, seed=seed))
    methods = {
        "gradcam.h5": GradCAM([f"{LAST}.tcn", f"{LAST}.attention"]),
        "negated.h5": GradCAM(f"{LAST}.attention", negated=True),
        "hirescam.h5": HiResCAM("main.0.attention"),
        "shap.h5": DeepSHAP(inputs(model, mixed)),
        "shap_without.h5": DeepSHAP(inputs(model, without)),
    }
    made = {}
    for name, method in methods.items():
        about = {"method": name, "background": background, "seed": seed}
        files = explain_windows(model, chosen, method, out / name, target=SIGN, description=about)
        for file in files:
            found = Explanation.open(file)
            plain_background = " (background without the sign)" if "without" in name else ""
            made[found.name + plain_background] = found
    return made


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--windows", type=Path, default=Path("data/mini_rgbd_planted.h5"))
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("out/mini_rgbd_planted"))
    parser.add_argument("--background", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1234)
    arguments = parser.parse_args()
    keep_freed_memory()
    model, windows = load_model(arguments.checkpoint), Windows.open(arguments.windows)
    test, out = windows.subset("test"), arguments.out
    figures = classification_report(model, test).windows
    print({name: figures[name] for name in ("n", "accuracy", "roc_auc")})
    chosen = test.subset(test.label == windows.classes.index(SIGN))
    made = explanations(model, windows, chosen, out, arguments.background, arguments.seed)
    shown = {
        name: e for name, e in reversed(made.items()) if name.startswith(("shap", "gradcam m"))
    }
    figure, _ = plot_ranking(shown)
    save_figure(figure, out / "ranking.png", dpi=100)
    figure, _ = plot_strip(made["shap"], 0)
    save_figure(figure, out / "strip.png", dpi=110)
    run = Runner(
        features=model.features,
        valid=torch.from_numpy(chosen.valid()),
        skeleton=model.skeleton,
        progress=True,
    )
    case = Case(
        model,
        torch.from_numpy(chosen.positions()),
        next(iter(made.values())),
        edit=parse_edit("input:freeze"),
        truth=chosen.truth(),
        distractor=chosen.distractor(),
        run=run,
    )
    table = metric_table(case, made, METRICS, groups=chosen.group)
    table.save(out / "evaluate.csv")
    print(table.rows.round(3).to_string(columns=["metric", "method", "estimate", "low", "high"]))
    curves = perturbation_curves(
        model,
        torch.from_numpy(test.positions()),
        _of_all(model, windows, test, out, arguments),
        parse_edit("edge:self:away:0.9"),
        labels=test.label,
        groups=test.group,
        run=Runner(
            features=model.features,
            valid=torch.from_numpy(test.valid()),
            skeleton=model.skeleton,
            progress=True,
        ),
    )
    curves.save(out / "perturb.h5")
    for measure in ("auc", "gap"):
        figure, _ = plot_curves(curves.dataset, measure)
        save_figure(figure, out / f"perturb.{measure}.png", dpi=110)
    print(curves.areas().to_string(index=False))


def _of_all(model, windows, test, out, arguments):
    """Explanations of the sign for windows of both classes, for the ROC-AUC curves."""
    made = explanations(model, windows, test, out / "both", arguments.background, arguments.seed)
    return {name: e for name, e in made.items() if name.startswith(("shap", "gradcam"))}


if __name__ == "__main__":
    main()
