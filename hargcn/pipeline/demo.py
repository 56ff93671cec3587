"""The whole path on generated data whose evidence is known, and who found how much of it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import torch

from hargcn.data.windows import Windows
from hargcn.explainers import DeepSHAP, GradCAM
from hargcn.explainers.deepshap.background import choose
from hargcn.explanation import Explanation
from hargcn.metrics.localisation import energy, mask_area
from hargcn.networks.stgcn import MultiBranchSTGCN
from hargcn.pipeline import network
from hargcn.pipeline.evaluate import evaluate
from hargcn.pipeline.explain_windows import explain_windows
from hargcn.pipeline.opening import open_explanations
from hargcn.pipeline.pictures import rank, show
from hargcn.pipeline.prepare import synthesise
from hargcn.pipeline.report import write_report
from hargcn.pipeline.train import train
from hargcn.training.classification import Evaluation

_CLASS = "tremor"
_EXPLAINED = 24
_BACKGROUND = 40
_MEASURES = (
    "pgi,localisation"  # whether the network heeds the joints, and whether they are the sign
)


@dataclass(frozen=True, eq=False)
class DemoResult:
    """What the demo found.

    Parameters
    ----------
    classified
        The network on windows of subjects that it did not learn from.
    shares
        By explanation, and for an even spread ("chance"): the shares of the positive attribution on
        the evidence, on the distractors and elsewhere, and evidence / (evidence + distractors).
    pictures
        The pictures drawn.
    report
        The page of all of it.
    """

    classified: Evaluation
    shares: dict[str, tuple[float, float, float, float]]
    pictures: list[Path]
    report: Path


def demo(
    out: str | Path, *, seed: int = 1234, set_: Sequence[str] = (), progress: bool = True
) -> DemoResult:
    """Generate bodies, train a small network on a planted tremor, explain it, and evaluate that.

    Parameters
    ----------
    out
        Folder of everything that is made, `report.html` last.
    seed
        Seed of everything random.
    set_
        Changes `key.sub=value` of `demo.yaml`.
    progress
        Whether to show progress bars.
    """
    out = Path(out)
    windows = out / "windows.h5"
    seeds = [f"train.seed={seed}", f"prepare.synthetic.seed={seed}"]
    with resources.as_file(resources.files("hargcn.pipeline").joinpath("demo.yaml")) as config:
        changes = [each for each in (*seeds, *set_) if each.startswith("prepare.")]
        own = [each.removeprefix("prepare.") for each in changes]
        data = synthesise(windows, config, own, force=True, progress=progress)
        trained = train(
            config,
            set_=[*seeds, *set_, f"windows={json.dumps(str(windows))}"],
            out=out / "run",
            fresh=True,
            progress=progress,
        )
    classified = network.test(trained.path, windows, progress=progress)
    test = data.subset("test")
    of_class = test.subset(test.label == data.classes.index(_CLASS))
    explained = of_class.subset(slice(0, _EXPLAINED))
    with torch.random.fork_rng():
        files = _explain(trained.model, data, explained, out, seed, progress)
    pictures = [out / "ranking.png", out / "strip.png"]
    rank(files, pictures[0])
    show(files[0], pictures[1], progress=progress)
    table = out / "table.csv"
    evaluate(trained.path, windows, files, table, metrics=_MEASURES, seed=seed, progress=progress)
    report, *_ = write_report(
        files, out / "report.html", network=trained.path, windows=windows, tables=[table]
    )
    shares = _shares(open_explanations(files), explained)
    return DemoResult(classified, shares, pictures, report)


def _explain(
    model: MultiBranchSTGCN, data: Windows, chosen: Windows, out: Path, seed: int, progress: bool
) -> list[Path]:
    """Explain windows by SHAP and by Grad-CAM at two layers; the file of SHAP comes first."""
    last = f"main.{model.config.main.blocks - 1}"
    train = data.subset("train")
    rows = choose(train.positions, train.label, _BACKGROUND, seed=seed)
    gradcam = GradCAM(f"{last}.tcn")
    shap = DeepSHAP(model.inputs(train.read(rows)))
    maps = explain_windows(
        model,
        chosen,
        gradcam,
        out / "gradcam.h5",
        layers=[f"{last}.tcn", f"{last}.attention"],
        target=_CLASS,
        progress=progress,
    )
    attributions = explain_windows(
        model,
        chosen,
        shap,
        out / "shap.h5",
        target=_CLASS,
        shard=4,
        progress=progress,
    )
    return attributions + maps


def _shares(
    named: dict[str, Explanation], windows: Windows
) -> dict[str, tuple[float, float, float, float]]:
    """Return where the positive attribution lies, and where it would if spread evenly."""
    truth, distractor = windows.truth(), windows.distractor()
    if truth is None or distractor is None:
        raise ValueError(f"{windows.path}: expected planted evidence (got none)")
    either = truth | distractor
    shares = {}
    for name, each in named.items():
        on, off = (float(energy(each, mask).mean()) for mask in (truth, distractor))
        between = float(energy(each, truth, among=either).mean())
        shares[name] = (on, off, 1 - on - off, between)
    on, off = (float(mask_area(mask).mean()) for mask in (truth, distractor))
    between = float(mask_area(truth, either).mean())
    return shares | {"chance": (on, off, 1 - on - off, between)}
