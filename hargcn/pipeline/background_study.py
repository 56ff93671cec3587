"""How much a SHAP explanation depends on its background: one that has all rows is taken apart.

SHAP values are means over background rows. Explained against each row of the training set alone,
windows tell what any background among these rows would have said, without another pass.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score

from hargcn.analysis.statistics import cluster_bootstrap, rank_correlation
from hargcn.checks import at_least, one_of, writable
from hargcn.data.windows import Windows
from hargcn.explainers.base import make
from hargcn.explainers.deepshap.background import choose, shares
from hargcn.explainers.deepshap.explainer import DeepSHAP
from hargcn.explainers.deepshap.row_error import standard_errors
from hargcn.files import replacing, track
from hargcn.pipeline.auto_background import find_rows
from hargcn.pipeline.background import answers
from hargcn.pipeline.explain_windows import question
from hargcn.pipeline.opening import open_network, open_windows, own_sets, some_of, true_classes

WAYS = (
    "random", "balanced", "herding", "medoids", "own class", "other classes", "one class",
    "one subject",
)  # fmt: skip
"""Of all training windows as `explain --background-by` chooses them; or at random from those of the
explained class, of all others, of one class or of one subject, another one in every draw."""

_STEP = 8  # windows that are explained before the bar moves


def backgrounds(
    checkpoint: str | Path,
    windows: str | Path,
    out: str | Path,
    *,
    ways: Sequence[str] = WAYS,
    sizes: Sequence[int] = (5, 10, 20, 50, 100, 200),
    draws: int = 10,
    tolerances: Sequence[float] = (),
    rows: int = 500,
    target: str = "label",
    split: str = "test",
    limit: int | None = None,
    limit_seed: int | None = None,
    settings: Mapping[str, Any] | None = None,
    device: str = "cpu",
    seed: int = 1234,
    progress: bool = True,
) -> pd.DataFrame:
    """Measure how far SHAP's attributions move with the background's size, kind and seed.

    Parameters
    ----------
    checkpoint, windows
        The network, and a windows file whose training set the rows are from.
    out
        The table to write (.csv).
    ways, sizes
        How many rows are chosen how (`WAYS`); where there are fewer, the size is left out.
    draws
        Backgrounds of each way and size, with another seed each.
    tolerances
        Relative errors that `explain --background auto` is asked for.
    rows
        Most training windows; of more so many are drawn. All of these are the reference.
    target, split, limit, limit_seed
        Which class of which windows is explained, as for `explain`.
    settings
        Of SHAP.
    device
        "cpu", "cuda" or "cuda:N".
    seed
        Of all draws.
    progress
        Whether to show a bar.

    Returns
    -------
    pandas.DataFrame
        A row per way and size. Of the map of joints x time: `error`, |map - reference| /
        |reference|, mean over draws and windows, with its 95% interval over windows clustered by
        subject (`low`, `high`) and `draw_sd`, the spread of draws around their mean; `joint_error`,
        `rho` (Spearman) and `first` (share of equal first joints) of joint scores; `within`,
        relative to the reference, how far a draw lies from the mean of the draws, what varies by
        chance alone; `stored`, the error that the standard errors in the file say, `expected`, the
        one that `--background auto` expects; `covered`, the share of cells whose reference lies
        within 1.96 standard errors as stored. Where evidence was planted `auroc` of the map's cells
        as its detector. `n` windows, `draws`, `total` rows of the reference.

    Raises
    ------
    ValueError
        For an unknown way, numbers below 1 (sizes below 2), or files that do not fit together.
    """
    ways = [one_of("a way", way, WAYS) for way in ways]
    for name, number in (("draws", draws), ("rows", rows), ("size", min(sizes, default=2) - 1)):
        at_least(name, number, 1)
    out = writable(out, checkpoint, windows, suffix=".csv")
    data = Windows.open(windows)
    network = open_network(checkpoint, device, data)
    data = _fewer(own_sets(network, data), rows, seed)
    chosen = open_windows(windows, split, limit, limit_seed=limit_seed, network=network)
    request = {
        "background_by": "herding", "background_class": (), "background_group": (), "seed": seed,
        "settings": dict(settings or {}), "target": target, "versus": "",
    }  # fmt: skip
    study = _Study.of(network, data.subset("train"), chosen, request, progress)
    found = [
        study.judged(way, size, draws, seed)
        for way in ways
        for size in sizes
        if study.offers(way) >= size
    ]
    for tolerance in tolerances:
        auto = find_rows(network, data, chosen, request, tolerance, out, progress)
        said = study.judged("herding", auto.rows, 1, seed)
        found.append({**said, "way": f"auto {tolerance:.0%}"})
    table = pd.DataFrame(found)
    with replacing(out) as temporary:
        table.to_csv(temporary, index=False, float_format="%.4g")
    return table


def _fewer(data: Windows, rows: int, seed: int) -> Windows:
    """Return windows with so many for training at most."""
    train = np.flatnonzero(data.split == "train")
    if len(train) <= rows:
        return data
    kept = train[some_of(len(train), rows, seed)]
    return data.subset(np.sort(np.concatenate([np.flatnonzero(data.split != "train"), kept])))


class _Draw(NamedTuple):
    """A background: rows (N, n), or (n,) of all windows alike, and weights (n,)."""

    rows: np.ndarray
    weights: np.ndarray


@dataclass(frozen=True)
class _Study:
    """Windows that were explained against every row alone, and what is known of both."""

    by_row: np.ndarray  # (N, R, T, V)
    said: np.ndarray  # (R, outputs)
    train: Windows
    labels: np.ndarray  # (R,)
    asked: np.ndarray  # (N,)
    groups: np.ndarray
    truth: np.ndarray | None

    @classmethod
    def of(
        cls, network: Any, train: Windows, chosen: Windows, request: Mapping[str, Any], bar: bool
    ) -> _Study:
        """Explain windows against every row."""
        explainer = make("shap", request["settings"], {"background": network.inputs(train.read())})
        assert isinstance(explainer, DeepSHAP)
        parts, asked = [], []
        starts = range(0, len(chosen), _STEP)
        for start in track(starts, "explaining", len(starts), bar):
            some = chosen.subset(slice(start, start + _STEP))
            x = network.inputs(some.read())
            model, wanted, _ = question(network, some, x, request["target"])
            parts.append(explainer.by_row(model, x, wanted))
            asked.append(wanted.cpu().numpy())
        return cls(
            np.concatenate(parts), answers(network, train), train, true_classes(network, train),
            np.concatenate(asked), chosen.group, chosen.truth(),
        )  # fmt: skip

    @cached_property
    def positions(self) -> np.ndarray:
        """The rows' positions (R, C, T, V, M), which medoids compare."""
        return self.train.positions()

    def offers(self, way: str) -> int:
        """Return how many rows there are to choose from, for the window that has fewest."""
        if way == "own class":
            return int(min((self.labels == each).sum() for each in np.unique(self.asked)))
        if way == "other classes":
            return int(min((self.labels != each).sum() for each in np.unique(self.asked)))
        if way in ("one class", "one subject"):
            of = self.labels if way == "one class" else self.train.group
            return int(np.unique(of, return_counts=True)[1].max())
        return len(self.labels)

    def draw(self, way: str, size: int, seed: int) -> _Draw:
        """Choose a background."""
        rng = np.random.default_rng(seed)
        equal = np.full(size, 1 / size)
        if way in ("own class", "other classes"):
            pools = {
                each: np.flatnonzero((self.labels == each) == (way == "own class"))
                for each in np.unique(self.asked)
            }
            taken = {each: rng.choice(pool, size, replace=False) for each, pool in pools.items()}
            return _Draw(np.stack([taken[each] for each in self.asked]), equal)
        if way in ("one class", "one subject"):
            of = self.labels if way == "one class" else self.train.group
            names, counts = np.unique(of, return_counts=True)
            pool = np.flatnonzero(of == rng.choice(names[counts >= size]))
            return _Draw(rng.choice(pool, size, replace=False), equal)
        values = self.positions if way == "medoids" else self.said  # others look at no values
        rows = choose(values, self.labels, size, way, seed)
        if way != "medoids":
            return _Draw(rows, equal)
        return _Draw(rows, shares(self.positions, rows))

    def judged(self, way: str, size: int, draws: int, seed: int) -> dict[str, Any]:
        """Return a row of the table."""
        whole = self.by_row.mean(axis=1)
        seeds = [seed + number for number in range(draws)]
        maps, kept = [], []
        for each in seeds:
            drawn = self.draw(way, size, each)
            of = np.broadcast_to(drawn.rows, (len(whole), drawn.rows.shape[-1]))
            some = np.stack([own[rows] for own, rows in zip(self.by_row, of, strict=True)])
            made = np.einsum("nr...,r->n...", some, drawn.weights)
            maps.append(made)
            kept.append(self._figures(made, whole) | self._promised(way, some, made, whole, drawn))
        table = {name: np.stack([each[name] for each in kept]) for name in kept[0]}
        row: dict[str, Any] = {"way": way, "size": size, "draws": draws, "n": len(whole)}
        row |= {"total": len(self.labels), "draw_sd": np.nan, "within": np.nan}
        if draws > 1:
            centre = np.mean(maps, axis=0)
            away = np.stack([_relative(each, centre, whole) for each in maps])
            row["draw_sd"] = table["error"].mean(axis=1).std(ddof=1)
            row["within"] = away.mean() * np.sqrt(draws / (draws - 1))
        for name, values in table.items():
            estimate, low, high = cluster_bootstrap(values.mean(axis=0), self.groups, seed=seed)
            prefix = "" if name == "error" else f"{name}_"
            row |= {name: float(estimate)}
            row |= {f"{prefix}low": float(low), f"{prefix}high": float(high)}
        return row

    def _figures(self, made: np.ndarray, whole: np.ndarray) -> dict[str, np.ndarray]:
        """Return how far maps (N, T, V) are from the reference, per window."""
        joints, reference = made.mean(axis=1), whole.mean(axis=1)
        found = {
            "error": _relative(made, whole, whole),
            "joint_error": _relative(joints, reference, reference),
            "rho": rank_correlation(joints, reference),
            "first": (joints.argmax(axis=1) == reference.argmax(axis=1)).astype(float),
        }
        if self.truth is not None:
            found["auroc"] = np.array([*_detected(made, self.truth)])
        return found

    def _promised(
        self, way: str, some: np.ndarray, made: np.ndarray, whole: np.ndarray, drawn: _Draw
    ) -> dict[str, np.ndarray]:
        """Return what standard errors say of the error, and how many cells they cover."""
        size = some.shape[1]
        share = drawn.weights.reshape(-1, *[1] * (some.ndim - 2))
        squares = ((some - made[:, None]) ** 2 * share**2).sum(axis=1)
        stored = np.sqrt(squares * size / (size - 1))  # as DeepSHAP stores it
        # Of cells that rounding alone tells apart nobody asks.
        real = np.abs(whole) > 1e-9 * np.abs(whole).max()
        inside = np.abs(made - whole) <= 1.96 * stored
        found = {"stored": _relative(stored, 0, made)}
        found["covered"] = np.array([a[b].mean() for a, b in zip(inside, real, strict=True)])
        if way in ("random", "herding"):
            spread = self.said[drawn.rows] if way == "herding" else None
            error = standard_errors(some, len(self.labels), spread)
            found["expected"] = _relative(error, 0, made)
        return found


def _relative(a: np.ndarray, b: np.ndarray | float, size: np.ndarray) -> np.ndarray:
    """Return |a - b| / |size| per window, Euclidean norms."""
    far, scale = (np.sqrt((each**2).reshape(len(a), -1).sum(1)) for each in (a - b, size))
    return far / np.where(scale > 0, scale, np.nan)


def _detected(maps: np.ndarray, truth: np.ndarray) -> Iterator[float]:
    """Yield per window the area under the ROC curve of a map's cells as detector of the truth."""
    for made, mask in zip(maps, truth, strict=True):
        both = 0 < mask.sum() < mask.size
        yield roc_auc_score(mask.ravel(), made.ravel()) if both else np.nan
