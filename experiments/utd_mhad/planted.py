"""Does an explanation find a tremor planted in UTD-MHAD? (see README.md).

python experiments/utd_mhad/planted.py --windows data/utd_planted.h5 --checkpoint RUN.safetensors
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from hargcn import Windows, load_model
from hargcn.allocator import keep_freed_memory
from hargcn.explainers import DeepSHAP, GradCAM, HiResCAM
from hargcn.explainers.deepshap.background import choose
from hargcn.explainers.hybrid import product, rank_average
from hargcn.metrics.registry import Case
from hargcn.metrics.runner import Runner
from hargcn.metrics.table import metric_table
from hargcn.perturbation import parse_edit
from hargcn.pipeline.explain import explained
from hargcn.training.classification import classification_report

SIGN = "tremor"
METRICS = ("pgi", "pgu", "deletion", "localisation")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--windows", type=Path, required=True)
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("out/utd_planted.csv"))
    parser.add_argument("--limit", type=int, default=48)
    parser.add_argument("--background", type=int, default=40)
    parser.add_argument("--seed", type=int, default=1234)
    arguments = parser.parse_args()
    keep_freed_memory()
    model, windows = load_model(arguments.checkpoint), Windows.open(arguments.windows)
    test, train = windows.subset("test"), windows.subset("train")
    print("test accuracy", classification_report(model, test).windows["accuracy"])
    signed = test.subset(test.label == windows.classes.index(SIGN))
    chosen = signed.subset(choose(signed.positions, signed.label, arguments.limit, seed=0))
    plain = train.subset(train.label != windows.classes.index(SIGN))
    made = {}
    for name, source in (("shap", train), ("shap, background without the sign", plain)):
        rows = source.subset(
            choose(source.positions, source.label, arguments.background, seed=arguments.seed)
        )
        valid = torch.from_numpy(rows.valid())
        x = model.features(torch.from_numpy(rows.positions()), valid)
        made[name] = explained(model, chosen, DeepSHAP(x), SIGN)[""]
    cams = {
        "gradcam main.1.attention": GradCAM("main.1.attention"),
        "hirescam main.0.attention": HiResCAM("main.0.attention"),
    }
    for name, method in cams.items():
        made[name] = next(iter(explained(model, chosen, method, SIGN).values()))
    parts = made["shap, background without the sign"], made["gradcam main.1.attention"]
    made["hybrid, ranks averaged"] = rank_average(*parts)
    made["hybrid, product"] = product(*parts)
    case = Case(
        model,
        torch.from_numpy(chosen.positions()),
        next(iter(made.values())),
        edit=parse_edit("input:freeze"),
        truth=chosen.truth(),
        distractor=chosen.distractor(),
        run=Runner(
            features=model.features,
            valid=torch.from_numpy(chosen.valid()),
            skeleton=model.skeleton,
        ),
    )
    table = metric_table(case, made, METRICS, groups=chosen.group)
    table.save(arguments.out)
    print(table.rows.round(3).to_string(columns=["metric", "method", "estimate", "low", "high"]))


if __name__ == "__main__":
    main()
