"""`demo`: the whole path on data that comes with hargcn, and a table that says who found what."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hargcn.cli.options import Seed, table

if TYPE_CHECKING:
    import torch

    from hargcn.data.windows import Windows
    from hargcn.explanation import Explanation
    from hargcn.networks.stgcn import MultiBranchSTGCN

_CLASS = "tremor"
_EXPLAINED = 24


def demo(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of what it makes.")] = Path(
        "demo-out"
    ),
    seed: Seed = 1234,
    set_: Annotated[
        list[str] | None, typer.Option("--set", "-s", hidden=True, help="Change a setting.")
    ] = None,
) -> None:
    """Generate bodies, train a small network on a planted tremor, explain it, and judge that.

    One class trembles with the right wrist; both classes show the same tremor elsewhere, so that
    size of movement alone points nowhere. The table says how much of each explanation's positive
    attribution lies on the evidence.

    Example: hargcn demo --out demo-out
    """
    import torch

    from hargcn.allocator import keep_freed_memory
    from hargcn.pipeline.config import read_config
    from hargcn.training.classification import classification_report
    from hargcn.training.fit import fit

    keep_freed_memory()
    source = resources.files("hargcn.pipeline").joinpath("demo.yaml")
    with resources.as_file(source) as path:
        seeds = [f"train.seed={seed}", f"prepare.synthetic.seed={seed}"]
        config = read_config(path, [*seeds, *(set_ or ())])
    windows = _windows(config, out / "windows.h5")
    result = fit(
        config.model, windows, config.train, out / "run", resume=False, card={"experiment": "demo"}
    )
    test = windows.subset("test")
    accuracy = classification_report(result.model, test).windows["accuracy"]
    typer.echo(f"test accuracy {accuracy:.3f} ({len(test)} windows of unseen subjects)")
    of_class = test.subset(test.label == windows.classes.index(_CLASS))
    explained = of_class.subset(slice(0, _EXPLAINED))
    with torch.random.fork_rng():
        made = _explanations(result.model, windows, explained, out, seed)
    _pictures(made, out)
    _table(made, explained)


def _windows(config: Any, path: Path) -> Windows:
    from hargcn.data.planted.synthetic import synthesise
    from hargcn.data.preprocess import preprocess
    from hargcn.data.windows import write_windows
    from hargcn.files import track

    settings = config.prepare
    bodies = track(synthesise(settings.synthetic), "generating", settings.synthetic.recordings)
    ready = (preprocess(recording, settings.preprocess) for recording in bodies)
    classes = tuple(settings.synthetic.plant.classes)
    return write_windows(
        path, ready, classes, settings.windows, source="demo", split=settings.split
    )


def _explanations(
    model: MultiBranchSTGCN, windows: Windows, chosen: Windows, out: Path, seed: int
) -> list[Explanation]:
    from hargcn import Explanation
    from hargcn.explainers import DeepSHAP, GradCAM
    from hargcn.explainers.deepshap.background import choose
    from hargcn.pipeline.explain import explain_windows

    last = f"main.{model.config.main.blocks - 1}"
    train = windows.subset("train")
    rows = choose(train.positions, train.label, 40, seed=seed)
    shap = DeepSHAP(_inputs(model, train.subset(rows)))
    files = explain_windows(
        model, chosen, GradCAM([f"{last}.tcn", f"{last}.attention"]), out / "gradcam.h5",
        target=_CLASS, description={"method": "gradcam"},
    )  # fmt: skip
    files += explain_windows(
        model, chosen, shap, out / "shap.h5", target=_CLASS, shard=4,
        description={"method": "shap", "background": 40, "seed": seed},
    )  # fmt: skip
    return [Explanation.open(file) for file in files]


def _inputs(model: MultiBranchSTGCN, windows: Windows) -> torch.Tensor:
    return model.inputs(windows.read())


def _pictures(made: list[Explanation], out: Path) -> None:
    from hargcn.plots import plot_ranking, plot_strip, save_figure

    # SHAP leads: the joints are sorted by its medians.
    ordered = sorted(made, key=lambda explanation: explanation.method != "shap")
    figure, _ = plot_ranking({explanation.name: explanation for explanation in ordered})
    save_figure(figure, out / "ranking.png")
    first = ordered[0]
    figure, _ = plot_strip(first, str(first.dataset["sample"][0].item()))
    save_figure(figure, out / "strip.png")
    typer.echo(f"{out / 'ranking.png'}\n{out / 'strip.png'}")


def _table(made: list[Explanation], windows: Windows) -> None:
    """Print where the positive attribution lies, beside what an even spread would give."""
    from hargcn.metrics.localisation import energy, mask_area

    truth, distractor = windows.truth(), windows.distractor()
    if truth is None or distractor is None:
        raise ValueError(f"{windows.path}: expected planted evidence (got none)")
    rows = []
    for explanation in made:
        on, off = (float(energy(explanation, mask).mean()) for mask in (truth, distractor))
        between = float(energy(explanation, truth, among=truth | distractor).mean())
        rows.append([explanation.name, *(f"{v:.2f}" for v in (on, off, 1 - on - off, between))])
    on, off = (float(mask_area(mask).mean()) for mask in (truth, distractor))
    between = float(mask_area(truth, truth | distractor).mean())
    rows.append(["chance (even spread)", *(f"{v:.2f}" for v in (on, off, 1 - on - off, between))])
    header = ["", "evidence", "distractors", "elsewhere", "evidence / (evidence + distractors)"]
    table("where the positive attribution lies", header, rows)


COMMANDS = (demo,)
