"""Perturbation curves: what the model says as more and more joints, or edges, are perturbed."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

import numpy as np
import xarray as xr
from torch import Tensor, nn

from hargcn.explanation import Explanation, titles
from hargcn.metrics.gap_curve import GapCurve
from hargcn.metrics.maps import Order, ordering
from hargcn.metrics.runner import Runner, probability
from hargcn.metrics.units import By, Units
from hargcn.outputs import Outputs, outputs_of
from hargcn.perturbation import EdgeEdit, Edit, InputEdit
from hargcn.perturbation.inputs import SIZED

Set = Literal["important", "unimportant", "complement"]
SETS: tuple[Set, ...] = ("important", "unimportant", "complement")
"""The k most important joints or edges, the k least important, all but the k most important."""

_USUAL_TOP = 10
_OUTPUTS = 20_000_000  # numbers: what orderings that are scored together may answer
_MORE = {"answer": ("draw",), "p": ("class",)}  # what has another axis, and no mean over orderings


def perturbation_curves(
    model: nn.Module,
    x: Tensor,
    explanations: Mapping[str, Explanation],
    edit: Edit,
    *,
    labels: Sequence[int] | np.ndarray | None = None,
    groups: Sequence[str] | np.ndarray | None = None,
    by: By = "joint",
    top: int | None = None,
    random: int = 20,
    draws: int = 1,
    order: Order = "signed",
    sets: Sequence[Set] = SETS,
    segments: int = 1,
    amounts: Sequence[float] = (),
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
        (N,) true classes, for accuracy, rates and ROC-AUC; default: the explained. Of other outputs
        what is wanted, (N,) levels or (N, output) values and labels, NaN or -1 where not known: for
        accuracy (and rates and ROC-AUC of one label), or the mean absolute error of values;
        without, these are left out.
    groups
        (N,) subjects, for the intervals.
    by
        Perturb single joints, or all joints of a body "part" at once.
    top
        The largest number k of joints, parts or edges; by default 10, or all where there are fewer.
    random
        Random orderings behind the band.
    draws
        Repetitions per ordering of an edit that draws random numbers.
    order
        "signed" descending, by "positive" parts only (ties are in random order), or by "magnitude".
    sets
        Which of them are perturbed at k.
    segments
        Cut the windows into so many equal stretches of time, rank and perturb each by itself. An
        input edit acts inside its stretch of the whole window; an edge edit, which has no time,
        acts on the stretch cut out, for networks that take windows of any length. Explanations of
        edges have no time to rank by: one segment only.
    amounts
        Do it with each of these amounts of the edit instead of its own.

    Returns
    -------
    GapCurve
        With a leading axis `amount` where amounts are given, and `segment` where there is more than
        one.

    Raises
    ------
    ValueError
        For explanations of other samples or of different classes, and amounts of an edit that has
        none.
    """
    return GapCurve.of(
        single_curves(
            model, x, explanations, edit, labels=labels, groups=groups, run=run, by=by, top=top,
            random=random, draws=draws, order=order, sets=sets, segments=segments, amounts=amounts,
        )
    )  # fmt: skip


def single_curves(
    model: nn.Module,
    x: Tensor,
    explanations: Mapping[str, Explanation],
    edit: Edit,
    *,
    labels: Sequence[int] | np.ndarray | None = None,
    groups: Sequence[str] | np.ndarray | None = None,
    classes: Sequence[int] | np.ndarray | None = None,
    run: Runner | None = None,
    **options: Any,
) -> xr.Dataset:
    """Return the curves of single windows, which `GapCurve.of` sums up.

    Parts of many windows, whose `run` says which they are, are joined along `sample`.

    Parameters
    ----------
    model, x, explanations, edit, labels, groups, run, options
        As for `perturbation_curves`.
    classes
        The true classes of all windows, where these are a part of them; default: of these.
    """
    run = run or Runner()
    _check_names(explanations)
    plan = _Plan.of(model, x, explanations, edit, run, **options)
    target = _common_target(explanations)
    truth = _truth(target, labels, outputs_of(model))
    known = np.unique(truth if classes is None else classes) if truth is not None else None
    parts = [
        xr.concat([_one(model, piece, target, truth, known, plan) for piece in pieces], "segment")
        for pieces in plan.pieces
    ]
    curves = xr.concat(parts, "amount")
    curves = curves.assign_coords(segment=plan.stretches, amount=list(plan.amounts) or [0.0])
    lone = {} if plan.amounts else {"amount": 0}
    several = len(plan.stretches) > 1
    curves = curves.isel(lone if several else lone | {"segment": 0}, drop=True)
    first = next(iter(explanations.values())).values
    curves = curves.assign(target=("sample", target))
    if truth is not None:
        curves = curves.assign(label=("sample", truth))
    if groups is not None:
        curves = curves.assign(group=("sample", np.asarray(groups).astype(str)))
    curves = curves.assign_coords(
        explanation=[*explanations, "random"],
        set=list(plan.sets),
        sample=first["sample"].to_numpy(),
    )
    about = {"edit": ", ".join(map(str, plan.edits)), "order": plan.order, "draws": plan.draws,
             "seed": run.seed, "random": plan.random, "units": plan.units.name,
             "titles": json.dumps(titles(explanations))}  # fmt: skip
    kind = outputs_of(model).kind
    said = {} if kind == "classes" else {"outputs": kind}
    return curves.assign_attrs(about | said)


def curves_seconds(
    model: nn.Module,
    x: Tensor,
    explanations: Mapping[str, Explanation],
    edit: Edit,
    *,
    run: Runner | None = None,
    **options: Any,
) -> float:
    """Return about how many seconds `perturbation_curves` takes, which has these arguments.

    From two orderings of the first windows, as many as a batch of rows needs.
    """
    run = run or Runner()
    unasked = ("labels", "groups", "classes")
    options = {key: value for key, value in options.items() if key not in unasked}
    every = _Plan.of(model, x, explanations, edit, run, **options)
    name, first = next(iter(explanations.items()))
    less = {**options, "random": 1, "amounts": every.amounts[:1]}
    edited = len(every.sets) * (every.top + 1) * (every.draws if edit.drawn else 1)
    few = min(len(x), -(-run.rows(x) // max(1, edited)))
    some = slice(0, few)
    quiet, own = run.part(some, len(x)), {name: first.isel(sample=some)}
    quiet.logits(model, x[:few])  # the first pass pays for memory, the others do not
    start = time.perf_counter()
    perturbation_curves(model, x[:few], own, edit, run=quiet, **less)
    taken = time.perf_counter() - start
    return taken * every.rows / _Plan.of(model, x[:few], own, edit, quiet, **less).rows


class _Piece(NamedTuple):
    """Windows, or a stretch of them, and in which orders their units are perturbed how."""

    x: Tensor
    edit: Edit
    run: Runner
    orders: np.ndarray  # (ordering, sample, unit), those of explanations first


@dataclass(frozen=True)
class _Plan:
    """What is done to which windows: everything but asking the network."""

    units: Units
    edits: tuple[Edit, ...]
    amounts: tuple[float, ...]
    methods: int
    random: int
    order: Order
    top: int
    draws: int
    sets: tuple[Set, ...]
    stretches: list[str]
    pieces: list[list[_Piece]]  # by amount and segment

    @classmethod
    def of(
        cls,
        model: nn.Module,
        x: Tensor,
        explanations: Mapping[str, Explanation],
        edit: Edit,
        run: Runner,
        *,
        by: By = "joint",
        top: int | None = None,
        random: int = 20,
        draws: int = 1,
        order: Order = "signed",
        sets: Sequence[Set] = SETS,
        segments: int = 1,
        amounts: Sequence[float] = (),
    ) -> _Plan:
        """Rank the units of all windows, and draw as many random orders."""
        units = Units.of(model, x, [*explanations.values()], edit, run, by)
        top = min(_USUAL_TOP, len(units)) if top is None else top
        _check_counts(units, x, top, random, segments)
        edits = tuple(_of_amount(edit, each) for each in amounts) or (edit,)
        frames = x.shape[-3]
        bounds = np.linspace(0, frames, segments + 1).round().astype(int).tolist()
        stretches = list(zip(bounds, bounds[1:], strict=False))
        pieces: list[list[_Piece]] = [[] for _ in edits]
        shuffled = run.uniform(random, len(x), len(units)).argsort(-1)
        for start, stop in stretches:
            stretch = None if segments == 1 else (start, stop, frames)
            scores = [units.scores(each, order, stretch) for each in explanations.values()]
            ranked = (ordering(each, order, run.seed, run.start) for each in scores)
            orders = np.stack([*ranked, *shuffled])
            for own, each in zip(pieces, edits, strict=True):
                cut = (x, each, run) if segments == 1 else _segment(x, each, run, start, stop)
                own.append(_Piece(*cut, orders))
        named = [f"{start}-{stop}" for start, stop in stretches]
        return cls(
            units, edits, tuple(amounts), len(explanations), random, order, top, draws,
            tuple(sets), named, pieces,
        )  # fmt: skip

    def chosen(self, piece: _Piece, classes: int) -> Iterator[np.ndarray]:
        """Yield what is edited, (sample, ordering x set x k, ...), some orderings at once.

        What several orderings have in common is scored once, so that as many go together as leave
        their outputs small.
        """
        turns = _turns if isinstance(piece.edit, EdgeEdit) and piece.edit.ordered else _sets
        ranks = piece.orders.argsort(-1)
        one = len(piece.x) * len(self.sets) * (self.top + 1) * classes
        one *= self.draws if piece.edit.drawn else 1
        size = max(1, _OUTPUTS // one)
        for start in range(0, len(ranks), size):
            some = ranks[start : start + size]
            flat = [turns(each, kind, self.top) for each in some for kind in self.sets]
            yield self.units.sets(np.concatenate(flat, axis=1))

    @property
    def rows(self) -> int:
        """How many windows will be scored."""
        return sum(
            len(piece.x)
            + sum(
                piece.run.distinct(piece.edit, each, self.draws) for each in self.chosen(piece, 1)
            )
            for pieces in self.pieces
            for piece in pieces
        )


def _one(
    model: nn.Module,
    piece: _Piece,
    target: np.ndarray,
    truth: np.ndarray | None,
    classes: np.ndarray | None,
    plan: _Plan,
) -> xr.Dataset:
    """Return the curves of one stretch of time, per sample and per random ordering."""
    x, edit, run, _ = piece
    before, outputs = run.logits(model, x), outputs_of(model)
    known: dict[str, list[np.ndarray]] = {}
    steps = plan.top + 1
    for joints in plan.chosen(piece, before.shape[-1]):
        logits = run.edited(model, x, edit, joints, plan.draws, "perturbing")
        p = probability(logits, target, outputs)
        gap = np.abs(p - probability(before, target, outputs)[:, None, None])
        found = {"score": p, "gap": gap} | _compared(logits, p, truth, outputs)
        mean = {name: value.mean(-1) for name, value in found.items()}
        for name, value in (mean | _answers(logits, p, classes, outputs)).items():
            # (sample, ordering x set x k, ...) -> (ordering, set, k, sample, ...)
            laid = value.reshape(len(x), -1, len(plan.sets), steps, *value.shape[2:])
            known.setdefault(name, []).append(np.moveaxis(laid, 0, 3))
    data: dict[str, Any] = {}
    dims = ("set", "k", "sample")
    for name, values in known.items():
        stacked = np.concatenate(values)
        own, shuffled = stacked[: plan.methods], stacked[plan.methods :]
        data[f"random_{name}"] = (("ordering", *dims, *_MORE.get(name, ())), shuffled)
        if name in _MORE:
            data[f"method_{name}"] = (("method", *dims, *_MORE[name]), own)
        else:
            by_method = np.concatenate([own, shuffled.mean(0)[None]])
            data[f"sample_{name}"] = (("explanation", *dims), by_method)
    coords = {"k": np.arange(steps)}
    if "p" in known and classes is not None:
        coords["class"] = classes
    return xr.Dataset(data, coords, {"classes": before.shape[-1]})


def _answers(
    logits: np.ndarray, p: np.ndarray, classes: np.ndarray | None, outputs: Outputs
) -> dict[str, np.ndarray]:
    """Return which class was answered (N, ..., draw), and the probability of all that are true."""
    if classes is None:
        return {}
    if outputs.kind == "multi-label":
        return {"answer": (p > 0.5).astype(np.int16)}
    if outputs.kind != "classes":
        return {}
    answer = logits.argmax(-1).astype(np.int16)
    every = np.stack(
        [probability(logits, np.full(len(p), each), outputs).mean(-1) for each in classes],
        axis=-1,
    )
    return {"answer": answer, "p": every.astype(np.float32)}


def _of_amount(edit: Edit, amount: float) -> Edit:
    """Return an edit of another amount; refuse what has none."""
    sized = edit.op != "zero" if isinstance(edit, EdgeEdit) else edit.op in SIZED
    if not sized:
        raise ValueError(f"Expected an edit that has an amount, to take several (got {edit})")
    return replace(edit, amount=amount)


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
