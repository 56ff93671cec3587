"""Integrated and expected gradients: the gradient averaged over paths from a reference.

The integral along a straight path is taken by Gauss-Legendre points on stretches of it. Over any
stretch the attributions must sum to the change of the score, so that each tells its own error, and
is halved where this is too large. captum's `IntegratedGradients` takes a fixed number of points and
leaves the gap to the caller; its `GradientShap` adds noise and draws from the global generator.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from hargcn.explainers.adapter import input_axes
from hargcn.explainers.attribution.gradients import (
    InputAttribution,
    Network,
    gradients,
    somebody,
)
from hargcn.explainers.base import Need, Promise
from hargcn.explainers.finite import finite_input, finite_values
from hargcn.explainers.passes import Passes
from hargcn.explainers.scores import Score, frozen
from hargcn.explainers.targets import class_numbers
from hargcn.explanation import Explanation
from hargcn.registry import settings

NARROWEST = 2.0**-20
"""Share of the path below which a stretch is not halved: what is left there is a jump."""

_Span = tuple[float, float, float, float]
"""Begin and end of a stretch of the path, and the scores there."""


@settings
class PathAttribution(InputAttribution):
    """What methods of paths from a background share.

    Parameters
    ----------
    background
        (n, ...) samples, as the model takes them.
    weights
        (n,) weights of the background samples; equal by default.
    chunk
        Rows per pass. Changes the result by rounding.
    """

    needs: ClassVar[tuple[Need, ...]] = ("background",)

    background: Any = None
    weights: Any = None
    chunk: Annotated[int, Field(ge=1)] = 32

    def __post_init__(self) -> None:
        if self.background is None:
            return
        rows = torch.as_tensor(self.background).detach()
        n = len(rows)
        weights = np.full(n, 1 / n) if self.weights is None else np.asarray(self.weights, float)
        if n == 0 or weights.shape != (n,) or not weights.sum() > 0:
            raise ValueError(f"Expected a background and a weight for each of its {n} samples")
        finite_input(rows, "background sample")
        object.__setattr__(self, "background", rows)
        object.__setattr__(self, "weights", weights / weights.sum())

    def supports(self, model: nn.Module, x: Tensor) -> str:
        """Return why not: samples of another shape than the background's, or than axes name."""
        reason = super().supports(model, x)
        if reason or self.background is None or x.shape[1:] == self.background.shape[1:]:
            return reason
        return (
            f"expected samples shaped like the background {tuple(self.background.shape[1:])} "
            f"(got {tuple(x.shape)})"
        )

    def outputs(self, score: Network, rows: Tensor) -> Tensor:
        """Return scores (row, class) by plain forward passes."""
        with torch.no_grad():
            return torch.cat([score(part.clone()) for part in rows.split(self.chunk)])


@settings
class IntegratedGradients(PathAttribution):
    """(x - b) times the mean gradient on the straight path from a baseline b to x.

    The values and the baseline's score add up to the score: the path is divided until the gap, and
    the root of the sum of the squared gaps of its stretches, is below `tolerance` of |score - base
    value| (or of 1% of the background's spread, if that is more). Each sample is explained for
    itself: others in the batch change nothing. The explanation holds besides `values`: `score`,
    `base_value`, `additivity_gap` (sum + base value - score), `relative_gap`, `steps` (gradients
    taken, those included that a finer division replaced) and `double_precision`: what single
    precision cannot complete is done again in double.

    Frames in which a person of the sample is absent (all zero) are so in its baseline: nobody is
    credited there, and the path keeps to windows that a network knows.

    Parameters
    ----------
    baseline
        "mean": that of the background, so that a background of one row is a baseline of one's own.
        "zero": zeros.
    tolerance
        Largest relative gap.
    steps
        Gauss-Legendre points per stretch of the path.
    max_steps
        Gradients per sample, and again in double precision, after which the gap is an error.
    allow_gap
        Accept whatever gap is left.
    """

    name = "integrated-gradients"
    label = "integrated gradients"
    source = "Sundararajan et al. 2017, section 3"
    promise: ClassVar[Promise] = "adds up"
    cost = "(F + B) x steps, chosen per sample"

    baseline: Literal["mean", "zero"] = "mean"
    tolerance: Annotated[float, Field(gt=0, lt=1)] = 1e-3
    steps: Annotated[int, Field(ge=1, le=64)] = 4
    max_steps: Annotated[int, Field(ge=1)] = 8192
    allow_gap: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.background is None and self.baseline == "mean":
            raise ValueError("Expected a background for its mean, or baseline='zero' (got none)")

    def passes(self, model: nn.Module, x: Tensor) -> Passes:
        """Return the passes of a sample that is complete at once, and the most, twice if doubled.

        The background's passes, once for a whole batch, are left out.
        """
        steps = max(self.steps, self.max_steps)
        path = 2 + 2 * steps + steps // (2 * self.steps)
        return Passes(3 + self.steps, self.steps, most=1 + path * (1 if self.allow_gap else 2))

    def explain(self, model: nn.Module, x: Tensor, target: Any) -> Explanation:
        """Explain one class per sample.

        Raises
        ------
        ValueError
            For a sample whose attributions do not add up within `max_steps`.
        """
        with frozen(model, self.utility, x, x) as (score, samples, _):
            scores = self.outputs(score, samples)
            wanted = class_numbers(target, scores)
            paths = self._paths(score, samples, wanted)
            kind = samples.dtype
        if kind != torch.float64:
            self._again(model, x, wanted, paths)
        self._refuse(paths)
        said = {
            "base_value": [path.base for path in paths],
            "additivity_gap": [path.gap for path in paths],
            "relative_gap": [path.relative for path in paths],
            "steps": [path.steps for path in paths],
            "double_precision": [path.double for path in paths],
        }
        values = torch.cat([path.values.to(kind) for path in paths])
        top = np.array([path.score for path in paths])
        variables = {name: np.array(each) for name, each in said.items()}
        return self.built(model, values, wanted, scores, top, variables)

    def _paths(self, score: Score, samples: Tensor, wanted: Tensor) -> list[_Path]:
        """Integrate along the path of every sample."""
        starts = self._starts(samples, input_axes(score.model, samples))
        spread = self._spread(score, samples, wanted)
        return [
            self._path(score, samples[i : i + 1], starts[i : i + 1], int(column), 0.01 * least)
            for i, (column, least) in enumerate(zip(wanted, spread, strict=True))
        ]

    def _again(self, model: nn.Module, x: Tensor, wanted: Tensor, paths: list[_Path]) -> None:
        """Integrate again in double precision what single precision did not complete."""
        doubtful = [i for i, path in enumerate(paths) if not path.relative <= self.tolerance]
        if not doubtful or self.allow_gap:
            return
        try:
            some = x[doubtful]
            with frozen(model, self.utility, some, x, torch.float64) as (score, samples, _):
                better = self._paths(score, samples, wanted[doubtful])
        except torch.OutOfMemoryError:
            raise
        except (RuntimeError, TypeError) as error:
            warnings.warn(f"no double precision for {self.name}: {error}", stacklevel=4)
            return
        for i, path in zip(doubtful, better, strict=True):
            paths[i] = replace(path, steps=path.steps + paths[i].steps)

    def _spread(self, score: Score, samples: Tensor, wanted: Tensor) -> np.ndarray:
        """Return the background's standard deviation of each sample's score, (N,)."""
        if self.background is None or len(self.background) == 1:
            return np.zeros(len(samples))
        levels = self.outputs(score, self.background.to(samples)).double().cpu().numpy()
        return _spread(levels[:, wanted.cpu().numpy()], self.weights)

    def _starts(self, samples: Tensor, dims: tuple[str, ...]) -> Tensor:
        """Return the baseline of each sample, (N, ...)."""
        if self.baseline == "zero":
            return torch.zeros_like(samples)
        rows, weights = self.background, torch.from_numpy(self.weights)
        mean = torch.tensordot(weights, rows.double().cpu(), 1).to(samples)
        here = somebody(samples, dims)
        return mean.expand_as(samples) if here is None else torch.where(here, mean, 0)

    def _path(self, score: Network, x: Tensor, start: Tensor, column: int, least: float) -> _Path:
        """Integrate along the path of one sample (1, ...) by stretches that are halved."""

        def heights(places: Sequence[float]) -> list[float]:
            rows = torch.cat([torch.lerp(start, x, place) for place in places])
            return self.outputs(score, rows)[:, column].double().tolist()

        base, top = heights([0.0, 1.0])
        size = max(abs(top - base), least) or 1.0
        stretches = self._integrals(score, x, start, column, [(0.0, 1.0, base, top)])
        steps = self.steps
        while over := self._too_coarse(stretches, size):
            if steps + 2 * self.steps * len(over) > self.max_steps:
                break
            middles = heights([(each.begin + each.end) / 2 for each in over])
            pairs = [each.halves(at) for each, at in zip(over, middles, strict=True)]
            halves = self._integrals(
                score, x, start, column, [half for two in pairs for half in two]
            )
            stretches = [each for each in stretches if each not in over] + halves
            steps += self.steps * len(halves)
        values = torch.stack([each.values for each in stretches]).sum(0)
        worst = max(stretches, key=lambda each: abs(each.gap))
        return _Path(values, base, top, size, steps, x.dtype == torch.float64, worst)

    def _too_coarse(self, stretches: list[_Stretch], size: float) -> list[_Stretch]:
        """Return the stretches to halve; none where their gaps are small enough.

        Small enough is their sum, and the root of the sum of their squares: gaps of either sign
        that happen to cancel are none the smaller.
        """
        gaps = np.array([each.gap for each in stretches])
        if max(abs(gaps.sum()), np.linalg.norm(gaps)) <= self.tolerance * size:
            return []
        mean = np.abs(gaps).mean()
        return [each for each in stretches if abs(each.gap) >= mean and each.width > NARROWEST]

    def _integrals(
        self, score: Network, x: Tensor, start: Tensor, column: int, todo: Sequence[_Span]
    ) -> list[_Stretch]:
        """Return the integrals over some stretches of the path of one sample."""
        points, weights = _legendre(self.steps)
        places = torch.tensor(
            [begin + (end - begin) * point for begin, end, *_ in todo for point in points],
            dtype=torch.float64,
        )
        # Row k of the shares adds up the points of stretch k.
        shares = torch.block_diag(
            *[torch.tensor((end - begin) * weights)[None] for begin, end, *_ in todo]
        )
        total = x.new_zeros((len(todo), *x.shape[1:]), dtype=torch.float64)
        for part in torch.arange(len(places)).split(self.chunk):
            ways = places[part].to(x).view(-1, *[1] * (x.ndim - 1))
            gradient = gradients(score, torch.lerp(start, x, ways), column)[0].double()
            total += torch.tensordot(shares[:, part].to(gradient), gradient, 1)
        values = (total * (x - start).double()).cpu()
        return [_Stretch(*one, values[k : k + 1]) for k, one in enumerate(todo)]

    def _refuse(self, paths: list[_Path]) -> None:
        """Raise if attributions do not add up, and say where on the path."""
        finite_values(self.name, "score", np.array([path.score for path in paths]))
        finite_values(self.name, "base value", np.array([path.base for path in paths]))
        finite_values(self.name, "attributions", np.array([path.gap for path in paths]))
        relative = np.array([path.relative for path in paths])
        worst = int(relative.argmax())
        if self.allow_gap or relative[worst] <= self.tolerance:
            return
        path = paths[worst]
        where = f"{path.worst.begin:.4g} to {path.worst.end:.4g}"
        what = (
            "the score jumps there, as where somebody appears: choose another baseline"
            if path.worst.width <= NARROWEST
            else "max_steps may mend it"
        )
        raise ValueError(
            f"sample {worst}: expected integrated gradients that add up to its score within "
            f"{self.tolerance:.0e} (got {relative[worst]:.1e} after {path.steps} steps, most of it "
            f"at {where} of the path from baseline to sample); {what}; allow_gap accepts this"
        )


@settings
class ExpectedGradients(PathAttribution):
    """Mean over background rows r and a in [0, 1] of (x - r) * ds/dx at r + a (x - r).

    Rows and places on the path are drawn with the seed, the same for every sample. The values add
    up to score - base value (the background's mean score) in expectation only: `additivity_gap` and
    `relative_gap` (relative to |score - base value|, or 1% of the background's spread, if that is
    more) are stored, and so are `standard_error` over the draws, shaped like `values`, and
    `sum_standard_error` (sample,), that of the values' sum.

    Parameters
    ----------
    samples
        Draws of a row and a place.
    seed
        Of the draws.
    """

    name = "expected-gradients"
    label = "expected gradients"
    source = "Erion et al. 2021, equation 3"
    cost = "(F + B) x samples"

    samples: Annotated[int, Field(ge=2)] = 200
    seed: int = 1234

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.background is None:
            raise ValueError("Expected a background (got none)")

    def passes(self, model: nn.Module, x: Tensor) -> Passes:
        """Return the passes per sample; the background's, once for a whole batch, are left out."""
        return Passes(1 + self.samples, self.samples)

    def explain(self, model: nn.Module, x: Tensor, target: Any) -> Explanation:
        """Explain one class per sample."""
        rng = np.random.default_rng(self.seed)
        drawn = rng.choice(len(self.background), self.samples, p=self.weights)
        places = torch.from_numpy(rng.uniform(size=self.samples))
        with frozen(model, self.utility, x, self.background) as (score, own, rows):
            rows = rows.to(own.device)
            scores = self.outputs(score, own)
            wanted = class_numbers(target, scores)
            levels = self.outputs(score, rows).double().cpu().numpy()[:, wanted.cpu().numpy()]
            found = [
                self._drawn(score, own[i : i + 1], rows[drawn], places, int(column))
                for i, column in enumerate(wanted)
            ]
        values, errors, of_sums = (
            torch.stack(each).to(own.dtype) for each in zip(*found, strict=True)
        )
        base = self.weights @ levels
        top = scores.gather(1, wanted[:, None])[:, 0].double().cpu().numpy()
        gap = values.double().flatten(1).sum(1).numpy() + base - top
        size = np.maximum(np.abs(top - base), 0.01 * _spread(levels, self.weights))
        variables = {
            "base_value": base,
            "additivity_gap": gap,
            "relative_gap": np.abs(gap) / np.where(size > 0, size, 1),
            "standard_error": (input_axes(model, values), errors.float()),
            "sum_standard_error": of_sums.float(),
        }
        return self.built(model, values, wanted, scores, variables=variables)

    def _drawn(
        self, score: Network, x: Tensor, rows: Tensor, places: Tensor, column: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return the mean over draws for one sample (1, ...), its standard error, its sum's."""
        mean, square = torch.zeros_like(x[0]).double(), torch.zeros_like(x[0]).double()
        sums = []
        ways = places.to(x).view(-1, *[1] * (x.ndim - 1))
        for part in torch.arange(len(rows), device=x.device).split(self.chunk):
            gradient = gradients(score, torch.lerp(rows[part], x, ways[part]), column)[0]
            phi = ((x - rows[part]) * gradient).double()
            mean += phi.sum(0)
            square += phi.square().sum(0)
            sums.append(phi.flatten(1).sum(1))
        n = len(rows)
        mean /= n
        variance = (square / n - mean.square()).clamp(min=0) / (n - 1)
        return mean.cpu(), variance.sqrt().cpu(), torch.cat(sums).std().cpu() / n**0.5


@dataclass(frozen=True, eq=False)
class _Stretch:
    """A part of a path, the scores at its ends, and the attributions (1, ...) over it."""

    begin: float
    end: float
    low: float
    high: float
    values: Tensor

    @property
    def width(self) -> float:
        return self.end - self.begin

    @property
    def gap(self) -> float:
        """Sum of the attributions less the change of the score."""
        return float(self.values.sum()) - (self.high - self.low)

    def halves(self, middle: float) -> list[_Span]:
        """Return the two halves, given the score between them."""
        at = (self.begin + self.end) / 2
        return [(self.begin, at, self.low, middle), (at, self.end, middle, self.high)]


@dataclass(frozen=True, eq=False)
class _Path:
    """The attributions of one sample (1, ...), and what they must sum to."""

    values: Tensor
    base: float
    score: float
    size: float
    steps: int
    double: bool
    worst: _Stretch

    @property
    def gap(self) -> float:
        return float(self.values.sum()) + self.base - self.score

    @property
    def relative(self) -> float:
        return abs(self.gap) / self.size


@cache
def _legendre(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return Gauss-Legendre points and weights on [0, 1]."""
    points, weights = np.polynomial.legendre.leggauss(n)
    return (points + 1) / 2, weights / 2


def _spread(levels: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the weighted standard deviation (N,) of the background's scores (n, N)."""
    return np.sqrt(weights @ (levels - weights @ levels) ** 2)
