"""Perturbation curves: what the model says as more and more joints, or edges, are perturbed."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import xarray as xr
from torch import Tensor, nn

from hargcn.explanation import Explanation, titles
from hargcn.files import track
from hargcn.metrics.gap_curve import GapCurve
from hargcn.metrics.maps import Order, cells, ordering
from hargcn.metrics.runner import Runner, probability
from hargcn.metrics.units import Units
from hargcn.outputs import Outputs, outputs_of
from hargcn.perturbation import EdgeEdit, Edit, InputEdit

Set = Literal["important", "unimportant", "complement"]
SETS: tuple[Set, ...] = ("important", "unimportant", "complement")
"""The k most important joints or edges, the k least important, all but the k most important."""


def perturbation_curves(
    model: nn.Module,
    x: Tensor,
    explanations: Mapping[str, Explanation],
    edit: Edit,
    *,
    labels: Sequence[int] | np.ndarray | None = None,
    groups: Sequence[str] | np.ndarray | None = None,
    top: int = 10,
    random: int = 20,
    draws: int = 1,
    order: Order = "signed",
    sets: Sequence[Set] = SETS,
    segments: int = 1,
    run: Runner | None = None,
) -> GapCurve:
    """Perturb joints in the order of explanations and in random orders (Tempel et al. 2024, 4.4).

    Parameters
    ----------
    model
        For edge edits with `edges()` and `forward(x, edges=...)`; to cut single edges any network
        with graphs.
    x
        (N, ..., T, V, M): the model's input, or positions where `run.features` is given.
    explanations
        By name; of the same samples and the same explained classes; of joints, or of edges.
    edit
        What happens to a perturbed joint, or edge ("single").
    labels
        (N,) true classes, for accuracy (and ROC-AUC with two classes); default: the explained. Of
        other outputs what is wanted, (N,) levels or (N, output) values and labels, NaN or -1 where
        not known: for accuracy (and ROC-AUC of one label), or the mean absolute error of values;
        without, these are left out.
    groups
        (N,) subjects, for the intervals.
    top
        The largest number k of joints, or edges.
    random
        Random orderings behind the band.
    draws
        Repetitions per ordering of an edit that draws random numbers.
    order
        "signed" descending, or by "magnitude".
    sets
        Which of them are perturbed at k.
    segments
        Cut the windows into so many equal stretches of time, rank and perturb each by itself. An
        input edit acts inside its stretch of the whole window; an edge edit, which has no time,
        acts on the stretch cut out, for networks that take windows of any length. Explanations of
        edges have no time to rank by: one segment only.

    Returns
    -------
    GapCurve
        With a leading axis `segment` where there is more than one.

    Raises
    ------
    ValueError
        For explanations of other samples or of different classes.
    """
    run = run or Runner()
    _check_names(explanations)
    units = Units.of(model, x, [*explanations.values()], edit, run)
    target = _common_target(explanations)
    truth = _truth(target, labels, outputs_of(model))
    _check_counts(units, x, top, random, segments)
    frames = x.shape[-3]
    bounds = np.linspace(0, frames, segments + 1).round().astype(int)
    parts = []
    for start, stop in zip(bounds, bounds[1:], strict=False):
        scores = {
            name: cells(each, frames)[:, start:stop].mean(1) if segments > 1 else units.scores(each)
            for name, each in explanations.items()
        }
        orders = np.stack([ordering(each, order, run.seed) for each in scores.values()])
        piece = (x, edit, run) if segments == 1 else _segment(x, edit, run, start, stop)
        parts.append(_one(model, piece, orders, target, truth, (top, random, draws), sets, units))
    names = [*explanations, "random"]
    curves = parts[0]
    if segments > 1:
        curves = xr.concat(parts, "segment").assign_coords(
            segment=[f"{a}-{b}" for a, b in zip(bounds, bounds[1:], strict=False)]
        )
    first = next(iter(explanations.values())).values
    curves = curves.assign(target=("sample", target))
    if truth is not None:
        curves = curves.assign(label=("sample", truth))
    if groups is not None:
        curves = curves.assign(group=("sample", np.asarray(groups).astype(str)))
    curves = curves.assign_coords(
        explanation=names, set=list(sets), sample=first["sample"].to_numpy()
    )
    about = {"edit": str(edit), "order": order, "draws": draws, "seed": run.seed, "random": random,
             "units": units.name, "titles": json.dumps(titles(explanations))}  # fmt: skip
    kind = outputs_of(model).kind
    said = {} if kind == "classes" else {"outputs": kind}
    return GapCurve.of(curves.assign_attrs(about | said))


def curves_seconds(
    model: nn.Module,
    x: Tensor,
    explanations: Mapping[str, Explanation],
    edit: Edit,
    *,
    top: int = 10,
    random: int = 20,
    draws: int = 1,
    segments: int = 1,
    run: Runner | None = None,
) -> float:
    """Return about how many seconds `perturbation_curves` takes, which has these arguments.

    From two orderings of the first windows, as many as a batch of rows needs.
    """
    run = run or Runner()
    edited = len(SETS) * (top + 1) * (draws if edit.drawn else 1)
    few = min(len(x), -(-run.rows(x) // max(1, edited)))
    name, first = next(iter(explanations.items()))
    quiet = run.first(few)
    quiet.logits(model, x[:few])  # the first pass pays for memory, the others do not
    start = time.perf_counter()
    perturbation_curves(
        model, x[:few], {name: first.isel(sample=slice(0, few))}, edit, top=top, random=1,
        draws=draws, segments=segments, run=quiet,
    )  # fmt: skip
    taken = time.perf_counter() - start
    return taken * (len(explanations) + random) / 2 * len(x) / few


def _one(
    model: nn.Module,
    piece: tuple[Tensor, Edit, Runner],
    orders: np.ndarray,
    target: np.ndarray,
    truth: np.ndarray | None,
    counts: tuple[int, int, int],
    sets: Sequence[Set],
    units: Units,
) -> xr.Dataset:
    """Return the curves of one stretch of time, per sample and per random ordering."""
    x, edit, run = piece
    top, random, draws = counts
    rng = np.random.default_rng(run.seed)
    shuffled = rng.random((random, len(x), len(units))).argsort(-1)
    before, outputs = run.logits(model, x), outputs_of(model)
    known: dict[str, list[np.ndarray]] = {}
    every = (*orders, *shuffled)
    quiet = replace(run, progress=False)  # one bar for all orderings
    for order in track(every, "perturbing", len(every), run.progress):
        ranks = order.argsort(-1)
        sets_of = _turns if isinstance(edit, EdgeEdit) and edit.ordered else _sets
        chosen = np.stack([sets_of(ranks, kind, top) for kind in sets], axis=1)
        flat = chosen.reshape(len(x), -1, len(units))
        logits = quiet.edited(model, x, edit, units.sets(flat), draws)
        p = probability(logits, target, outputs)
        gap = np.abs(p - probability(before, target, outputs)[:, None, None])
        found = {"score": p, "gap": gap} | _compared(logits, p, truth, outputs)
        for name, value in found.items():
            mean = value.mean(-1).reshape(len(x), len(sets), top + 1)
            known.setdefault(name, []).append(np.moveaxis(mean, 0, -1))
    data = {}
    n = len(orders)
    for name, values in known.items():
        stacked = np.stack(values)
        by_method = np.concatenate([stacked[:n], stacked[n:].mean(0)[None]])
        data[f"sample_{name}"] = (("explanation", "set", "k", "sample"), by_method)
        data[f"random_{name}"] = (("ordering", "set", "k", "sample"), stacked[n:])
    return xr.Dataset(data, {"k": np.arange(top + 1)}, {"classes": before.shape[-1]})


def _truth(target: np.ndarray, wanted: Any, outputs: Outputs) -> np.ndarray | None:
    """Return what is true of each sample's explained output (N,), NaN where not known."""
    if outputs.kind == "classes":
        return target if wanted is None else np.asarray(wanted)
    if wanted is None:
        return None
    given = np.asarray(wanted, dtype=float)
    if outputs.listed:
        return np.where(given < 0, np.nan, given)
    return given[np.arange(len(target)), target]


def _compared(
    logits: np.ndarray, score: np.ndarray, truth: np.ndarray | None, outputs: Outputs
) -> dict[str, np.ndarray]:
    """Return whether answers (N, ..., output) are correct, or how far off a value is, (N, ...)."""
    if truth is None:
        return {}
    own = truth.reshape(-1, *[1] * (score.ndim - 1))
    if outputs.kind == "classes":
        return {"correct": logits.argmax(-1) == own}
    if outputs.kind == "regression":
        return {"error": np.abs(score - own)}
    said = (logits > 0).sum(-1) if outputs.listed else score > 0.5
    return {"correct": np.where(np.isnan(own), np.nan, said == own)}


def _sets(ranks: np.ndarray, kind: Set, top: int) -> np.ndarray:
    """Return the units perturbed at k = 0..top, (N, top + 1, unit) bool."""
    k = np.arange(top + 1)[:, None]
    if kind == "important":
        return ranks[:, None] < k
    if kind == "unimportant":
        return ranks[:, None] >= ranks.shape[1] - k
    if kind == "complement":
        return ranks[:, None] >= k
    raise ValueError(f"Expected sets of {SETS} (got {kind!r})")


def _turns(ranks: np.ndarray, kind: Set, top: int) -> np.ndarray:
    """Return the turns in which the joints of `_sets` are perturbed, 0 for the others.

    The most important first; of the least important the least first.
    """
    k = np.arange(top + 1)[:, None]
    turn = {
        "important": ranks[:, None] + 1,
        "unimportant": ranks.shape[1] - ranks[:, None],
        "complement": ranks[:, None] + 1 - k,
    }[kind]
    return np.where(_sets(ranks, kind, top), turn, 0)


def _segment(
    x: Tensor, edit: Edit, run: Runner, start: int, stop: int
) -> tuple[Tensor, Edit, Runner]:
    """Return windows, edit and run for a stretch of time."""
    if isinstance(edit, InputEdit):
        if edit.frames is not None:
            raise ValueError(f"Expected an edit of whole windows to cut in segments (got {edit})")
        return x, replace(edit, frames=(int(start), int(stop))), run
    valid = None if run.valid is None else run.valid[:, start:stop]
    return x[..., start:stop, :, :], edit, replace(run, valid=valid)


def _check_names(explanations: Mapping[str, Explanation]) -> None:
    if not explanations or "random" in explanations:
        raise ValueError(
            f"Expected explanations by name, none of them 'random' (got {list(explanations)})"
        )


def _check_counts(units: Units, x: Tensor, top: int, random: int, segments: int) -> None:
    if not 1 <= top <= len(units):
        raise ValueError(f"Expected top from 1 to {len(units)} {units.name} (got {top})")
    if random < 1:
        raise ValueError(f"Expected at least one random ordering (got {random})")
    if not 1 <= segments <= x.shape[-3]:
        raise ValueError(f"Expected 1 to {x.shape[-3]} segments (got {segments})")
    if units.edges is not None and segments > 1:
        raise ValueError(
            f"Expected one segment of explanations of edges, which have no time (got {segments})"
        )


def _common_target(explanations: Mapping[str, Explanation]) -> np.ndarray:
    targets = {name: each.target.to_numpy() for name, each in explanations.items()}
    first = next(iter(targets))
    for name, target in targets.items():
        if not np.array_equal(target, targets[first]):
            raise ValueError(
                f"Expected explanations of the same classes (got others in {name!r} than in "
                f"{first!r})"
            )
    return targets[first].astype(int)
