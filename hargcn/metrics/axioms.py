"""Axioms of attribution as checks of any explainer on any network: one function each.

[S]: Sundararajan et al. 2017, Axiomatic attribution for deep networks. [X]: Choi, Interpreting deep
networks for time series, part 1. [A]: Adebayo et al. 2018, Sanity checks for saliency maps.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from hargcn.analysis.statistics import rank_correlation
from hargcn.explainers.base import Explainer
from hargcn.metrics.sanity import cascade
from hargcn.metrics.transformed import Around, rewritten
from hargcn.metrics.trial import (
    ERRORS,
    Inapplicable,
    Trial,
    attributions,
    flattened,
    norm,
    relative_to,
)
from hargcn.outputs import outputs_of

Verdict = Literal["pass", "fail", "figure", "not applicable", "error"]
Kind = Literal["theorem", "criterion"]
ROUNDING = 1e-3
"""Difference of two maps, relative to the largest value, that rounding may make."""
SMALL = 0.1
"""A difference below this is measured again in double precision before it is a failure."""
STEPS = 6
"""Steps of the cascade of random parameters."""


class Broken(ValueError):
    """An axiom that a method itself says it breaks, and how."""


class Measured(NamedTuple):
    """What was measured.

    Parameters
    ----------
    figure
        0 is best, or least.
    drawn
        What the method's draws may make of it, in the figure's own unit.
    curve
        The figures it is the mean of.
    unpromised
        Why a figure that is too large is no failure; "" where it is one.
    """

    figure: float
    drawn: float = 0.0
    curve: tuple[float, ...] = ()
    unpromised: str = ""


@dataclass(frozen=True)
class AxiomResult:
    """What came of an axiom.

    Parameters
    ----------
    axiom, kind, method
        Which, whether it is a theorem or a criterion (see `Axiom`), and of which method.
    verdict
        "pass", "fail", "figure" (nothing was promised), "not applicable", or "error" (the method
        broke).
    figure, threshold
        What was measured, and up to where it passes; NaN where there is none.
    why
        The reason in words.
    curve
        The figures of single steps that `figure` is the mean of.
    seconds
        How long it took.
    """

    axiom: str
    kind: Kind
    method: str
    verdict: Verdict
    figure: float = float("nan")
    threshold: float = float("nan")
    why: str = ""
    curve: tuple[float, ...] = ()
    seconds: float = 0.0


def completeness(trial: Trial) -> Measured:
    """Worst |sum of values + base value - score| / |score - base value| ([S] 3).

    The score comes from forward passes of ours, not from what the method stores. The base value is
    the one that it states; else the mean score over its background, 0 for a method without one.
    Methods that draw answer for their sum where they store its standard error.
    """
    method = trial.explainer
    try:
        made = trial.own
    except ValueError as error:
        raise (Broken(str(error)) if method.promise != "none" else error) from error
    target = trial.target.cpu().numpy()
    score = np.take_along_axis(trial.scores(trial.x), target[:, None], 1)[:, 0]
    base = np.zeros_like(score)
    rows = getattr(method, "background", None)
    if "base_value" in made.dataset:
        base = made.base_value.to_numpy().astype(float)
    elif rows is not None:
        levels = trial.scores(torch.as_tensor(rows).to(trial.x.device))
        base = np.average(levels, axis=0, weights=getattr(method, "weights", None))[target]
    size = np.maximum(np.abs(score - base), 1e-6)
    gap = np.abs(flattened(attributions(made)).sum(1) + base - score) / size
    drawn = np.zeros_like(gap)
    if "sum_standard_error" in made.dataset:
        drawn = ERRORS * made.dataset["sum_standard_error"].to_numpy() / size
    elif method.promise == "none":
        return Measured(float(gap.max()), unpromised="the method promises no sum")
    worst = (gap - drawn).argmax()
    return Measured(float(gap[worst]), float(drawn[worst]))


def null_player(trial: Trial) -> Measured:
    """Largest value of a joint that the network cannot read, relative to the map ([S] 2.1, [X]).

    The joint with most of the map; a network that multiplies it by 0 before anything else.
    """
    axis = trial.axis("joint")
    joint = int(np.abs(trial.by_joint(trial.own)).sum((0, 2)).argmax())
    keep = torch.ones(trial.x.shape[axis])
    keep[joint] = 0
    keep = keep.view(-1, *[1] * (trial.x.ndim - axis - 1))
    blind = trial.map(Around(trial.model, trial.x, lambda x: x * keep.to(x)))
    maps, errors = trial.by_joint(blind), trial.by_joint(blind, trial.errors(blind))
    return Measured(relative_to(maps[:, joint], maps), relative_to(errors[:, joint], maps))


def symmetry(trial: Trial) -> Measured:
    """Largest difference of two joints that enter the network alike and move alike ([S] 4.1, [X]).

    Both are given their mean, in windows and background, and once more inside the network.
    """
    axis = trial.axis("joint")
    if trial.x.shape[axis] < 2:
        raise Inapplicable("the input has one joint")
    one, other = 0, trial.x.shape[axis] - 1
    order = torch.arange(trial.x.shape[axis])
    order[one], order[other] = other, one

    def alike(x: Tensor) -> Tensor:
        return (x + x.index_select(axis, order.to(x.device))) / 2

    made = trial.changed(alike).map(Around(trial.model, trial.x, alike))
    maps, errors = trial.by_joint(made), trial.by_joint(made, trial.errors(made))
    drawn = relative_to(errors[:, one] + errors[:, other], maps)
    return Measured(relative_to(maps[:, one] - maps[:, other], maps), drawn)


def linearity(trial: Trial) -> Measured:
    """Largest |e(2 f - g / 2) - 2 e(f) + e(g) / 2|, f, g two outputs, relative ([S] 4.2)."""
    if getattr(trial.explainer, "utility", "logit") != "logit":
        raise Inapplicable("the score explained is not linear in the outputs")
    mix = torch.eye(trial.outputs)
    mix[0, :2] = torch.tensor([2.0, -0.5])
    first, second = (replace(trial, target=torch.full_like(trial.target, c)) for c in (0, 1))
    mixed = attributions(first.map(Around(trial.model, trial.x, mix=mix)))
    expected = 2 * attributions(first.map()) - 0.5 * attributions(second.map())
    return Measured(relative_to(mixed - expected, expected))


def implementation_invariance(trial: Trial) -> Measured:
    """Largest relative difference for the same function written differently ([S] 2.2).

    What is rewritten, see `transformed.rewritten`. A method that refuses the other network while it
    takes this one breaks the axiom, too.
    """
    model, changed = rewritten(trial.model, trial.x)
    if not changed:
        raise Inapplicable("the network has no module that we know to write differently")
    other, own = replace(trial, model=model), attributions(trial.own)
    scores = trial.scores(trial.x)
    if relative_to(other.scores(trial.x) - scores, scores) > ROUNDING:
        raise Inapplicable("the network written differently answers otherwise")
    try:
        return Measured(relative_to(attributions(other.map()) - own, own))
    except ValueError as error:
        raise Broken(f"the same function written differently is refused: {error}") from error


def continuity(trial: Trial) -> Measured:
    """Change of the map for a change of 0.01% of the window over that for one of 0.1% ([X])."""
    noise = torch.randn(trial.x.shape, generator=torch.Generator().manual_seed(trial.seed))
    unit = norm(trial.x.cpu().numpy()) / norm(noise.numpy())
    step = torch.as_tensor(unit).to(trial.x).view(-1, *[1] * (trial.x.ndim - 1))
    before = attributions(trial.own)
    size = np.maximum(norm(before), 1e-30)
    small, large = (
        float(np.linalg.norm(norm(attributions(trial.map(x=near)) - before) / size))
        for near in (trial.x + share * step * noise.to(trial.x) for share in (1e-4, 1e-3))
    )
    # Below that, what is left is rounding.
    return Measured(0.0 if small <= ROUNDING else small / max(large, 1e-30))


def same_for_outputs(trial: Trial) -> Measured:
    """Mean cosine of the maps of two outputs, 1 where they are the same ([X])."""
    if outputs_of(trial.model).kind == "ordinal":
        raise Inapplicable("one score is behind all levels")
    other = replace(trial, target=(trial.target + 1) % trial.outputs)
    one, another = attributions(trial.own), attributions(other.map())
    product = flattened(one * another).sum(1)
    return Measured(float((product / np.maximum(norm(one) * norm(another), 1e-30)).mean()))


def same_when_random(trial: Trial) -> Measured:
    """Mean rank correlation with the maps of the network while its parameters become random.

    From the output down, in steps ([A] 3 and 4; see `sanity.cascade`); the curve is that of the
    steps, each a mean over the windows.
    """
    before = flattened(attributions(trial.own))
    curve = []
    for _, broken in cascade(trial.model, trial.x, STEPS, trial.seed):
        after = flattened(attributions(trial.map(broken)))
        # Without contrast before and after, nothing has changed; only after, everything has.
        both_flat = (np.ptp(before, axis=1) == 0) & (np.ptp(after, axis=1) == 0)
        rho = rank_correlation(before, after)
        curve.append(float(np.where(np.isnan(rho), both_flat, rho).mean()))
    return Measured(float(np.mean(curve)), curve=tuple(curve))


def relabelling(trial: Trial) -> Measured:
    """Largest relative difference after the joints of input and network are numbered anew ([X])."""
    axis = trial.axis("joint")
    own = trial.own
    generator = torch.Generator().manual_seed(trial.seed)
    order = torch.randperm(trial.x.shape[axis], generator=generator)
    again = trial.changed(lambda x: x.index_select(axis, order.to(x.device)))
    back = order.argsort()
    other = Around(
        trial.model, trial.x, lambda x: x.index_select(axis, back.to(x.device)), joints=order
    )
    made = again.map(other)
    expected = trial.by_joint(own)[:, order.numpy()]
    drawn = trial.errors(own).max() + trial.errors(made).max()
    return Measured(
        relative_to(trial.by_joint(made) - expected, expected), relative_to(drawn, expected)
    )


def swapped_persons(trial: Trial) -> Measured:
    """Largest relative difference of the maps once persons change places ([X])."""
    axis = trial.axis("person")
    if trial.x.shape[axis] < 2:
        raise Inapplicable("the windows hold one person")
    swapped = trial.changed(lambda x: x.flip(axis))
    scores = trial.scores(trial.x)
    if relative_to(swapped.scores(swapped.x) - scores, scores) > ROUNDING:
        raise Inapplicable("the network tells persons apart by their places")
    own, made = trial.own, swapped.map()
    back = made.isel(person=slice(None, None, -1)) if "person" in made.dims else made
    expected = attributions(own)
    drawn = trial.errors(own).max() + trial.errors(made).max()
    return Measured(
        relative_to(attributions(back) - expected, expected), relative_to(drawn, expected)
    )


@dataclass(frozen=True)
class Axiom:
    """An axiom as the report knows it.

    Parameters
    ----------
    measure
        Trial -> what was found.
    source
        Where it is defined.
    why
        What a failure means.
    maps
        Explanations that it takes besides the method's own.
    kind
        "theorem": it holds or it does not, and the threshold leaves room for rounding and draws.
        "criterion": theory gives no threshold; ours has a reason.
    threshold
        Up to where it passes.
    reason
        Why there, for a criterion.
    """

    measure: Callable[[Trial], Measured]
    source: str
    why: str
    maps: int = 1
    kind: Kind = "theorem"
    threshold: float = ROUNDING
    reason: str = ""


AXIOMS: dict[str, Axiom] = {
    "completeness": Axiom(
        completeness, "Sundararajan et al. 2017, 3", "values and base value miss the score", maps=0
    ),
    "null-player": Axiom(
        null_player, "Sundararajan et al. 2017, 2.1; Choi, part 1",
        "a joint that the network cannot read is credited",
    ),
    "symmetry": Axiom(
        symmetry, "Sundararajan et al. 2017, 4.1; Choi, part 1",
        "two joints that do the same are credited differently",
    ),
    "linearity": Axiom(
        linearity, "Sundararajan et al. 2017, 4.2; Choi, part 1",
        "the map of a sum of outputs is not the sum of their maps", maps=3,
    ),
    "implementation-invariance": Axiom(
        implementation_invariance, "Sundararajan et al. 2017, 2.2",
        "the same function written differently has another map",
    ),
    "relabelling": Axiom(
        relabelling, "Choi, part 1", "the map depends on the numbers of the joints"
    ),
    "swapped-persons": Axiom(
        swapped_persons, "Choi, part 1", "the map depends on the places of the persons"
    ),
    "continuity": Axiom(
        continuity, "Choi, part 1", "the map does not settle as windows come nearer", 2,
        "criterion", 10**-0.25,
        "a tenth of the change: smooth maps change by 0.1, gradients between kinks by 0.32, maps "
        "that jump by 1; 0.56 is halfway between the last two",
    ),
    "class-sensitivity": Axiom(
        same_for_outputs, "Choi, part 1", "two outputs have the same map", 1,
        "criterion", 1 - ROUNDING**2 / 2,
        "two outputs may have like maps; only maps that are the same up to rounding fail",
    ),
    "randomisation": Axiom(
        same_when_random, "Adebayo et al. 2018, 3 and 4",
        "the map depends little on what was learnt", STEPS,
        "criterion", 0.5,
        "a map that ignores the parameters keeps 1 at every step, of one that follows them nothing "
        "is left, 0; 0.5 is halfway",
    ),
}  # fmt: skip
"""Every axiom by its name, theorems first."""


def check_axiom(name: str, trial: Trial) -> AxiomResult:
    """Check one axiom; whatever breaks is its verdict (see `refused`), but an interrupt passes.

    Where a method that draws stores its standard error, the threshold is widened by four of it, in
    the unit of the axiom.
    """
    start = time.perf_counter()
    try:
        result = _judged(name, trial)
    except Exception as error:
        result = refused(name, trial.explainer.name, error)
    return replace(result, seconds=time.perf_counter() - start)


def refused(axiom: str, method: str, error: Exception) -> AxiomResult:
    """Return what an exception means.

    A ValueError says why a method, network or axiom do not go together: not applicable; `Broken` is
    a failure; every other exception is an error of the method, so that the rest goes on.
    """
    verdict: Verdict = "error"
    if isinstance(error, ValueError):
        verdict = "fail" if isinstance(error, Broken) else "not applicable"
    kind = "" if isinstance(error, ValueError) else type(error).__name__
    why = ": ".join(filter(None, (kind, str(error))))
    return AxiomResult(axiom, AXIOMS[axiom].kind, method, verdict, why=why)


def _judged(name: str, trial: Trial) -> AxiomResult:
    axiom, method = AXIOMS[name], trial.explainer
    if unsupported := method.supports(trial.model, trial.x):
        raise Inapplicable(unsupported)
    found = axiom.measure(trial)
    close = ROUNDING + found.drawn < found.figure < SMALL
    if close and axiom.kind == "theorem" and not found.unpromised:
        found = axiom.measure(trial.doubled())  # secants of nearly equal inputs lose digits
    known = AxiomResult(
        name, axiom.kind, method.name, "pass", found.figure, axiom.threshold + found.drawn,
        axiom.reason, found.curve,
    )  # fmt: skip
    if found.unpromised:
        return replace(known, verdict="figure", threshold=float("nan"), why=found.unpromised)
    if found.figure <= known.threshold:  # NaN passes nothing
        return known
    why = "; ".join(filter(None, (_reason(axiom, method), axiom.reason)))
    return replace(known, verdict="fail", why=why)


def _reason(axiom: Axiom, method: Explainer) -> str:
    if axiom.measure in (null_player, symmetry) and "layer" in method.needs:
        return f"{axiom.why}: it maps a layer's cells, which hold neighbours' evidence, too"
    return axiom.why
