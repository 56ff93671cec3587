"""The family of class activation maps, at several layers and of several scores, judged at once.

As Cai 2025, CAMs as Shapley Value-based Explainers, does it with pictures.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from hargcn.analysis.statistics import cluster_bootstrap
from hargcn.checks import at_least, one_of, writable
from hargcn.data.windows import Windows
from hargcn.explainers.base import METHODS, Explainer, make
from hargcn.explainers.scores import UTILITIES
from hargcn.explanation import Explanation
from hargcn.files import locked, replacing, track
from hargcn.metrics.maps import cells, unit
from hargcn.metrics.registry import METRICS, Case, expect_defined
from hargcn.metrics.runner import Runner, blend, probability
from hargcn.metrics.runner import substrate as replacement
from hargcn.metrics.table import metric_table
from hargcn.metrics.taylor import taylor_errors, taylor_values
from hargcn.networks.network import SkeletonNetwork
from hargcn.perturbation import InputEdit, parse_edit
from hargcn.pipeline.explain import layers_of
from hargcn.pipeline.explain_windows import check_target, question
from hargcn.pipeline.opening import check_preparation, open_network, open_windows
from hargcn.plots import plot_masked, save_figure
from hargcn.plots.masked import MaskedPanel
from hargcn.plots.style import PICTURES
from hargcn.registry import fields_of

_MEASURES = ("average-drop", "coherency", "complexity", "adcc", "adcc-of-means", "increase", "add")
_KEPT = ("metric", "method", "estimate", "low", "high", "n")


def compare_maps(
    checkpoint: str | Path,
    windows: str | Path,
    out: str | Path,
    *,
    method: Sequence[str],
    layer: Sequence[str] = ("attention", "tcn"),
    utility: Sequence[str] = ("logit", "prob", "rest"),
    metrics: Sequence[str] = _MEASURES,
    substrate: Sequence[str] = ("input:freeze", "input:origin"),
    class_: str = "predicted",
    split: str = "test",
    limit: int = 24,
    limit_seed: int = 0,
    device: str = "cpu",
    seed: int = 1234,
    progress: bool = False,
) -> pd.DataFrame:
    """Judge methods x layers x scores by measures (Cai 2025, tables 1 to 5).

    Parameters
    ----------
    checkpoint, windows
        The network and the windows file.
    out
        The table to write (.csv).
    method
        Names of class activation maps, or of methods that need no layer.
    layer
        Layers; a stage alone, such as "tcn", is the last layer that is called so.
    utility
        Scores whose maps are formed: "logit", "prob", "logprob", "rest".
    metrics
        Names of measures that need no planted evidence.
    substrate
        Input edits that take the place of what a map leaves out; "input:origin" is the product x H
        of the papers.
    class_
        Class to explain: "predicted", "label", "second", "least" or a name.
    split, limit, limit_seed
        Which set of the windows, and how many of it are drawn with this seed.
    device
        "cpu", "cuda" or "cuda:N".
    seed
        Seed of everything random.
    progress
        Whether to show a progress bar.

    Returns
    -------
    pandas.DataFrame
        A row per layer, utility, substrate, measure and method, with intervals over subjects:
        `estimate`, `low`, `high`, `n` windows. The measure `size`, a map's largest absolute value,
        has the substrate "".

    Raises
    ------
    ValueError
        For unknown methods, layers, scores, measures or classes, and files that do not fit.
    """
    for name in metrics:
        one_of("metrics", name, METRICS)
    for name in utility:
        one_of("utility", name, UTILITIES)
    edits = {text: _input_edit(text) for text in substrate}
    out = writable(out, checkpoint, windows, suffix=".csv")
    with locked(out):
        asked = AskedWindows.open(
            checkpoint, windows, class_, split, limit, limit_seed, device, seed
        )
        expect_defined(metrics, asked.model)
        places = layers_of(asked.model, "gradcam", layer)
        blocks = [(place, score) for place in places for score in utility]
        tables = []
        for place, score in track(blocks, "layers and scores", len(blocks), progress):
            explainers = {name: _made(name, place, score) for name in method}
            made = {name: asked.explain(each) for name, each in explainers.items()}
            found = [asked.sizes(made)]
            for text, edit in edits.items():
                case = Case(
                    asked.model, asked.positions, next(iter(made.values())),
                    substrate=edit, run=asked.run,
                )  # fmt: skip
                table = metric_table(
                    case, made, metrics, explainers=explainers, groups=asked.windows.group, random=1
                )
                found.append(table.rows[[*_KEPT]].assign(substrate=text))
            tables.append(pd.concat(found).assign(layer=place, utility=score))
        table = pd.concat(tables)[["layer", "utility", "substrate", *_KEPT]]
        with replacing(out) as temporary:
            table.to_csv(temporary, index=False, float_format="%.4g")
    return table


def second_order(
    checkpoint: str | Path,
    windows: str | Path,
    out: str | Path,
    *,
    layer: Sequence[str] = ("attention", "tcn"),
    utility: Sequence[str] = ("logit", "prob", "rest"),
    players: Sequence[str] = ("feature", "time"),
    most: int = 10,
    class_: str = "predicted",
    split: str = "test",
    limit: int = 8,
    limit_seed: int = 0,
    device: str = "cpu",
    seed: int = 1234,
    progress: bool = False,
) -> pd.DataFrame:
    """Compare ShapleyCAM's second-order values with enumerated Shapley values.

    Parameters
    ----------
    checkpoint, windows, out, layer, utility, class_, split, limit, limit_seed, device, seed
        As for `compare_maps`.
    players
        Who plays: "feature", "time", "joint".
    most
        Players at most; neighbours play together (see `metrics.taylor.taylor_values`).
    progress
        Whether to show a progress bar.

    Returns
    -------
    pandas.DataFrame
        A row per layer, utility, players and figure of `metrics.taylor.taylor_errors`: `estimate`,
        `low`, `high` over subjects, `n` windows.

    Raises
    ------
    ValueError
        For unknown layers, scores or players, and files that do not fit.
    """
    out = writable(out, checkpoint, windows, suffix=".csv")
    with locked(out):
        asked = AskedWindows.open(
            checkpoint, windows, class_, split, limit, limit_seed, device, seed
        )
        places = layers_of(asked.model, "gradcam", layer)
        blocks = [(p, u, who) for p in places for u in utility for who in players]
        rows: list[dict[str, Any]] = []
        for place, score, who in track(blocks, "coalitions", len(blocks), progress):
            values = taylor_values(asked.model, asked.x, asked.target, place, score, who, most)
            for name, figure in taylor_errors(values).items():
                named = {"layer": place, "utility": score, "players": who, "figure": name}
                rows.append(named | _interval(figure.to_numpy(), asked.windows.group, seed))
        table = pd.DataFrame(rows)
        with replacing(out) as temporary:
            table.to_csv(temporary, index=False, float_format="%.4g")
    return table


def show_masked(
    checkpoint: str | Path,
    windows: str | Path,
    out: str | Path,
    *,
    method: Sequence[str] = ("gradcam", "gradcam", "shapleycam", "fakecam"),
    utility: Sequence[str] = ("logit", "prob", "rest", "logit"),
    layer: str = "attention",
    substrate: Sequence[str] = ("input:freeze", "input:origin"),
    class_: str = "predicted",
    split: str = "test",
    of: Sequence[str] = (),
    limit_seed: int = 0,
    dpi: int = 200,
    device: str = "cpu",
    seed: int = 1234,
) -> None:
    """Draw what maps keep of a window, and what they leave (Cai 2025, figure 4).

    Parameters
    ----------
    checkpoint, windows, class_, split, limit_seed, device, seed
        As for `compare_maps`, of one window.
    out
        Picture to write (.png, .svg, .pdf).
    method, utility
        A column for each pair of them.
    layer
        Where maps are formed.
    substrate
        Two rows for each: kept, left.
    of
        The window is one of these classes.
    dpi
        Dots per inch of a PNG.

    Raises
    ------
    ValueError
        As `compare_maps`, and for methods and utilities of other numbers.
    """
    if len(method) != len(utility):
        raise ValueError(f"Expected a utility for each method (got {len(utility)}, {len(method)})")
    out = writable(out, checkpoint, windows, suffix=PICTURES)
    asked = AskedWindows.open(checkpoint, windows, class_, split, 1, limit_seed, device, seed, of)
    (place,) = layers_of(asked.model, "gradcam", [layer])
    x, panels = asked.positions, []
    for text in substrate:
        edit = _input_edit(text)
        still = replacement(x, edit, asked.run)
        for left in (False, True):
            for name, score in zip(method, utility, strict=True):
                maps = unit(cells(asked.explain(_made(name, place, score)), x.shape[-3]))
                shares = torch.from_numpy(1 - maps if left else maps)
                shown = blend(x, still, shares)
                p = probability(asked.run.logits(asked.model, shown), asked.target.numpy())[0]
                said = f"{name}, {score}" if "utility" in fields_of(METHODS.find(name)) else name
                panels.append(
                    MaskedPanel(
                        f"{said}: {'left' if left else 'kept'}\n{edit.op}, p {p:.2f}",
                        shown[0].cpu().numpy(),
                    )
                )
    figure, _ = plot_masked(panels, x[0].cpu().numpy(), asked.model.skeleton, len(method))
    save_figure(figure, out, dpi)


@dataclass(frozen=True)
class AskedWindows:
    """A network, and the windows and classes that it is asked about.

    Parameters
    ----------
    model, windows
        The network and the windows.
    x, positions, target
        Its input, the positions that this comes from, and the class of each.
    run
        How measures run the network on positions.
    """

    model: SkeletonNetwork
    windows: Windows
    x: torch.Tensor
    positions: torch.Tensor
    target: torch.Tensor
    run: Runner

    @classmethod
    def open(
        cls,
        checkpoint: str | Path,
        windows: str | Path,
        class_: str,
        split: str,
        limit: int,
        limit_seed: int,
        device: str,
        seed: int,
        of: Sequence[str] = (),
    ) -> AskedWindows:
        """Open both, draw windows, and find their classes."""
        at_least("limit", limit, 1)
        model = open_network(checkpoint, device, open_windows(windows))
        data = open_windows(windows, split, limit, of=of, limit_seed=limit_seed, network=model)
        check_preparation(model, data)
        check_target(model, data, class_)
        x = model.inputs(data.read())
        run = Runner(
            features=model.features,
            valid=torch.from_numpy(data.valid()).to(device),
            skeleton=model.skeleton,
            seed=seed,
        )
        positions = torch.from_numpy(data.positions()).to(device)
        return cls(model, data, x, positions, question(model, data, x, class_)[1], run)

    def explain(self, explainer: Explainer) -> Explanation:
        """Explain all windows."""
        made = explainer(self.model, self.x, self.target)
        return made.assign(coords={"sample": self.windows.names})

    def sizes(self, made: Mapping[str, Explanation]) -> pd.DataFrame:
        """Return the largest absolute value of maps, by method."""
        rows = []
        for name, explanation in made.items():
            maps = cells(explanation, self.positions.shape[-3])
            found = _interval(np.abs(maps).max((1, 2)), self.windows.group, self.run.seed)
            rows.append({"metric": "size", "method": name, "substrate": "", **found})
        return pd.DataFrame(rows)


def _made(name: str, layer: str, utility: str) -> Explainer:
    """Build a method at a layer and of a score, where it knows of them."""
    known = fields_of(METHODS.find(name))
    return make(name, {"utility": utility} if "utility" in known else {}, {"layer": layer})


def _interval(values: np.ndarray, groups: np.ndarray, seed: int) -> dict[str, float]:
    """Return the mean over windows with its interval over subjects."""
    mean, low, high = map(float, cluster_bootstrap(values, groups, seed=seed))
    return {"estimate": mean, "low": low, "high": high, "n": len(values)}


def _input_edit(text: str) -> InputEdit:
    edit = parse_edit(text)
    if not isinstance(edit, InputEdit):
        raise ValueError(f"Expected an input edit as substrate (got {text!r})")
    return edit
