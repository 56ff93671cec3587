"""Axioms of attribution as checks of any explainer on any network: one function each.

[S]: Sundararajan et al. 2017, Axiomatic attribution for deep networks. [X]: Choi, Interpreting deep
networks for time series, part 1. [A]: Adebayo et al. 2018, Sanity checks for saliency maps.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from hargcn.analysis.statistics import rank_correlation
from hargcn.explainers.adapter import adapted
from hargcn.explainers.base import Explainer
from hargcn.explainers.hooks import undisturbed
from hargcn.explainers.outputs import logits_of
from hargcn.explainers.scores import class_scores
from hargcn.explanation import Explanation
from hargcn.metrics.sanity import randomise
from hargcn.metrics.transformed import Around, rewritten
from hargcn.outputs import outputs_of
from hargcn.registry import fields_of

Verdict = Literal["pass", "fail", "figure", "not applicable"]
ROUNDING = 1e-3
"""Difference of two maps, relative to the largest value, that single precision may make."""


class Inapplicable(ValueError):
    """An axiom that says nothing of this method or network, and why."""


@dataclass(frozen=True)
class Trial:
    """A method, a network and windows that axioms are checked on.

    Parameters
    ----------
    explainer, model, x
        The method, any network, and an input of it, samples first.
    target
        (sample,) outputs to explain.
    seed
        Of what an axiom draws.
    """

    explainer: Explainer
    model: nn.Module
    x: Tensor
    target: Tensor
    seed: int = 1234

    @property
    def dims(self) -> tuple[str, ...]:
        """Names of the input's axes."""
        return adapted(self.model, self.x).input_dims

    def axis(self, name: str) -> int:
        """Return the place of an input axis.

        Raises
        ------
        Inapplicable
            If the input has none of that name.
        """
        if name not in self.dims:
            raise Inapplicable(f"the input names no axis '{name}'")
        return self.dims.index(name)

    def map(self, model: nn.Module | None = None, x: Tensor | None = None) -> Explanation:
        """Explain, the network or the input exchanged for another one."""
        return self.explainer(
            self.model if model is None else model, self.x if x is None else x, self.target
        )

    def scores(self, x: Tensor) -> np.ndarray:
        """Return the explained scores (row, output) by plain forward passes."""
        utility = getattr(self.explainer, "utility", "logit")
        with undisturbed(self.model), torch.no_grad():
            found = class_scores(logits_of(self.model(x)), utility, outputs_of(self.model))
        return found.double().cpu().numpy()

    def changed(self, change: Callable[[Tensor], Tensor]) -> Trial:
        """Return the trial of changed windows; a method's background changes with them."""
        method = self.explainer
        rows = getattr(method, "background", None)
        if rows is not None:
            method = replace(method, **{"background": change(torch.as_tensor(rows))})
        return replace(self, explainer=method, x=change(self.x))


@dataclass(frozen=True)
class AxiomResult:
    """What came of an axiom.

    Parameters
    ----------
    axiom, method
        Which, and of which method.
    verdict
        "pass", "fail", "figure" (nothing was promised) or "not applicable".
    figure, threshold
        What was measured, and up to where it passes; NaN where there is none.
    why
        The reason in words.
    """

    axiom: str
    method: str
    verdict: Verdict
    figure: float = float("nan")
    threshold: float = float("nan")
    why: str = ""


def completeness(trial: Trial) -> float:
    """Worst |sum of values + base value - score| / |score - base value| ([S] 3).

    The score comes from forward passes of ours, not from what the method stores. The base value is
    the one that it states; else the mean score over its background, 0 for a method without one.
    """
    made = trial.map()
    values = made.values.to_numpy().astype(float)
    score = np.take_along_axis(trial.scores(trial.x), trial.target.cpu().numpy()[:, None], 1)[:, 0]
    base = np.zeros_like(score)
    rows = getattr(trial.explainer, "background", None)
    if "base_value" in made.dataset:
        base = made.base_value.to_numpy().astype(float)
    elif rows is not None:
        levels = trial.scores(torch.as_tensor(rows).to(trial.x.device))
        weights = getattr(trial.explainer, "weights", None)
        base = np.average(levels, axis=0, weights=weights)[trial.target.cpu().numpy()]
    gap = np.abs(values.reshape(len(values), -1).sum(1) + base - score)
    return float((gap / np.maximum(np.abs(score - base), 1e-6)).max())


def null_player(trial: Trial) -> float:
    """Largest value of a joint that the network cannot read, relative to the map ([S] 2.1, [X]).

    The joint with most of the map; a network that multiplies it by 0 before anything else.
    """
    axis = trial.axis("joint")
    before = trial.map()
    joint = int(np.abs(_by_joint(before, trial)).sum((0, 2)).argmax())
    keep = torch.ones(trial.x.shape[axis])
    keep[joint] = 0
    keep = keep.view(-1, *[1] * (trial.x.ndim - axis - 1))
    blind = Around(trial.model, trial.x, lambda x: x * keep.to(x))
    maps = _by_joint(trial.map(blind), trial)
    return _largest(maps[:, joint]) / max(_largest(maps), 1e-30)


def symmetry(trial: Trial) -> float:
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

    same = trial.changed(alike)
    maps = _by_joint(same.map(Around(trial.model, trial.x, alike)), trial)
    return _largest(maps[:, one] - maps[:, other]) / max(_largest(maps), 1e-30)


def linearity(trial: Trial) -> float:
    """Largest |e(2 f - g / 2) - 2 e(f) + e(g) / 2|, f, g two outputs, relative ([S] 4.2)."""
    if getattr(trial.explainer, "utility", "logit") != "logit":
        raise Inapplicable("the score explained is not linear in the outputs")
    count = trial.scores(trial.x[:1]).shape[1]
    if count < 2:
        raise Inapplicable("the network has one output")
    mix = torch.eye(count)
    mix[0, :2] = torch.tensor([2.0, -0.5])
    first, second = (replace(trial, target=torch.full_like(trial.target, c)) for c in (0, 1))
    mixed = _values(first.map(Around(trial.model, trial.x, mix=mix)))
    return _relative(mixed, 2 * _values(first.map()) - 0.5 * _values(second.map()))


def implementation_invariance(trial: Trial) -> float:
    """Largest relative difference for the same function written differently ([S] 2.2).

    Batch norms as a scale and a shift, linear layers as two, SiLU as x sigmoid(x), ReLU as a limit.
    """
    model, changed = rewritten(trial.model)
    if not changed:
        raise Inapplicable("the network has no module that we know to write differently")
    other = replace(trial, model=model)
    ours, theirs = trial.scores(trial.x), other.scores(trial.x)
    if _relative(theirs, ours) > ROUNDING:
        raise Inapplicable("the network written differently answers otherwise")
    return _relative(_values(other.map()), _values(trial.map()))


def continuity(trial: Trial) -> float:
    """Worst relative change of the map over that of the input, for a change of 0.1% ([X])."""
    noise = torch.randn(trial.x.shape, generator=torch.Generator().manual_seed(trial.seed))
    size = 1e-3 * _norm(trial.x.cpu().numpy()) / _norm(noise.numpy())
    near = trial.x + noise.to(trial.x) * torch.as_tensor(size).to(trial.x).view(
        -1, *[1] * (trial.x.ndim - 1)
    )
    before, after = _values(trial.map()), _values(trial.map(x=near))
    change = _norm(after - before) / np.maximum(_norm(before), 1e-30)
    return float(change.max() / 1e-3)


def same_for_outputs(trial: Trial) -> float:
    """Mean cosine of the maps of two outputs, 1 where they are the same ([X])."""
    count = trial.scores(trial.x[:1]).shape[1]
    if count < 2:
        raise Inapplicable("the network has one output")
    other = replace(trial, target=(trial.target + 1) % count)
    return _cosine(_values(trial.map()), _values(other.map()))


def same_when_random(trial: Trial) -> float:
    """Mean rank correlation with the maps of the same network, all parameters random ([A] 3)."""
    broken = copy.deepcopy(trial.model)
    rng = torch.Generator().manual_seed(trial.seed)
    for module in broken.modules():
        if list(module.parameters(recurse=False)):
            randomise(module, rng)
    before, after = (
        each.reshape(len(each), -1) for each in (_values(trial.map()), _values(trial.map(broken)))
    )
    rho = rank_correlation(before, after)
    if np.isnan(rho).all():
        return 1.0  # a map without contrast is the same whatever was learnt
    return float(np.nanmean(rho))


def relabelling(trial: Trial) -> float:
    """Largest relative difference after the joints of input and network are numbered anew ([X])."""
    axis = trial.axis("joint")
    generator = torch.Generator().manual_seed(trial.seed)
    order = torch.randperm(trial.x.shape[axis], generator=generator)
    again = trial.changed(lambda x: x.index_select(axis, order.to(x.device)))
    back = order.argsort()
    other = Around(
        trial.model, trial.x, lambda x: x.index_select(axis, back.to(x.device)), joints=order
    )
    maps = _by_joint(again.map(other), trial)
    return _relative(maps, _by_joint(trial.map(), trial)[:, order.numpy()])


def swapped_persons(trial: Trial) -> float:
    """Largest relative difference of the maps once persons change places ([X])."""
    axis = trial.axis("person")
    if trial.x.shape[axis] < 2:
        raise Inapplicable("the windows hold one person")
    swapped = trial.changed(lambda x: x.flip(axis))
    if _relative(swapped.scores(swapped.x), trial.scores(trial.x)) > ROUNDING:
        raise Inapplicable("the network tells persons apart by their places")
    found, expected = swapped.map().values, trial.map().values
    if "person" not in found.dims:
        return _relative(found.to_numpy(), expected.to_numpy())
    return _relative(found.isel(person=slice(None, None, -1)).to_numpy(), expected.to_numpy())


@dataclass(frozen=True)
class Axiom:
    """An axiom as the report knows it.

    Parameters
    ----------
    measure
        Trial -> a figure; 0 is best, or least.
    threshold
        Up to where it passes.
    source
        Where it is defined.
    why
        What a failure means.
    promised
        Whether only methods that promise it can fail; for the others it is a figure.
    """

    measure: Callable[[Trial], float]
    threshold: float
    source: str
    why: str
    promised: bool = False


AXIOMS: dict[str, Axiom] = {
    "completeness": Axiom(
        completeness, ROUNDING, "Sundararajan et al. 2017, 3",
        "values and base value miss the score", promised=True,
    ),
    "null-player": Axiom(
        null_player, ROUNDING, "Sundararajan et al. 2017, 2.1; Choi, part 1",
        "a joint that the network cannot read is credited",
    ),
    "symmetry": Axiom(
        symmetry, ROUNDING, "Sundararajan et al. 2017, 4.1; Choi, part 1",
        "two joints that do the same are credited differently",
    ),
    "linearity": Axiom(
        linearity, ROUNDING, "Sundararajan et al. 2017, 4.2; Choi, part 1",
        "the map of a sum of outputs is not the sum of their maps",
    ),
    "implementation-invariance": Axiom(
        implementation_invariance, ROUNDING, "Sundararajan et al. 2017, 2.2",
        "the same function written differently has another map",
    ),
    "continuity": Axiom(
        continuity, 100.0, "Choi, part 1", "a change of 0.1% of the window makes another map"
    ),
    "class-sensitivity": Axiom(
        same_for_outputs, 0.99, "Choi, part 1", "two outputs have the same map"
    ),
    "randomisation": Axiom(
        same_when_random,
        0.5,
        "Adebayo et al. 2018, 3", "the map does not depend on what was learnt"
    ),
    "relabelling": Axiom(
        relabelling, ROUNDING, "Choi, part 1", "the map depends on the numbers of the joints"
    ),
    "swapped-persons": Axiom(
        swapped_persons, ROUNDING, "Choi, part 1", "the map depends on the places of the persons"
    ),
}  # fmt: skip
"""Every axiom by its name."""


def check_axiom(name: str, trial: Trial) -> AxiomResult:
    """Check one axiom; what a method refuses is not applicable, and says why.

    A method that promises a sum and refuses a network that it supports has failed the sum. Where
    two maps must be equal, the threshold of a method that draws samples and stores their standard
    error is widened by four of its largest, relative to the map.
    """
    axiom, method = AXIOMS[name], trial.explainer
    if unsupported := method.supports(trial.model, trial.x):
        return AxiomResult(name, method.name, "not applicable", why=unsupported)
    try:
        figure = axiom.measure(trial)
        drawn = _sampling(trial) if axiom.threshold == ROUNDING else 0.0
        threshold = axiom.threshold + drawn
    except ValueError as error:
        broken = axiom.promised and method.promise != "none" and not isinstance(error, Inapplicable)
        return AxiomResult(
            name, method.name, "fail" if broken else "not applicable", why=str(error)
        )
    if axiom.promised and method.promise == "none":
        why = f"{method.label} has no promise of a sum"
        return AxiomResult(name, method.name, "figure", figure, why=why)
    passed = figure <= threshold  # NaN passes nothing
    why = "" if passed else _reason(axiom, method)
    return AxiomResult(name, method.name, "pass" if passed else "fail", figure, threshold, why)


def _reason(axiom: Axiom, method: Explainer) -> str:
    if axiom.measure in (null_player, symmetry) and "layer" in method.needs:
        return f"{axiom.why}: it maps a layer's cells, which hold neighbours' evidence, too"
    return axiom.why


def _sampling(trial: Trial) -> float:
    """Return four standard errors of what a method draws, relative to its map; 0 if it does not."""
    if "seed" not in fields_of(type(trial.explainer)):
        return 0.0
    made = trial.map()
    if "standard_error" not in made.dataset:
        return 0.0
    return 4 * _largest(made.standard_error.to_numpy()) / max(_largest(_values(made)), 1e-30)


def _values(explanation: Explanation) -> np.ndarray:
    return explanation.values.to_numpy().astype(float)


def _by_joint(explanation: Explanation, trial: Trial) -> np.ndarray:
    """Return the values as (sample, joint, everything else)."""
    size = trial.x.shape[trial.axis("joint")]
    if explanation.values.sizes.get("joint") != size:
        raise Inapplicable("the map has no axis of the input's joints")
    rest = [dim for dim in explanation.dims if dim not in ("sample", "joint")]
    values = explanation.values.transpose("sample", "joint", *rest).to_numpy().astype(float)
    return values.reshape(len(values), size, -1)


def _largest(values: np.ndarray) -> float:
    return float(np.abs(values).max())


def _relative(found: np.ndarray, expected: np.ndarray) -> float:
    return _largest(found - expected) / max(_largest(expected), 1e-30)


def _norm(values: np.ndarray) -> np.ndarray:
    return np.linalg.norm(values.reshape(len(values), -1).astype(float), axis=1)


def _cosine(one: np.ndarray, other: np.ndarray) -> float:
    product = (one * other).reshape(len(one), -1).sum(1)
    return float((product / np.maximum(_norm(one) * _norm(other), 1e-30)).mean())
