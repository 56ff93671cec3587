"""Layer-wise relevance propagation, deep Taylor decomposition and RAP of any torch module."""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from hargcn.explainers.adapter import input_axes
from hargcn.explainers.attribution.gradients import InputAttribution
from hargcn.explainers.base import Need
from hargcn.explainers.deepshap.plan import Plan, make_plan
from hargcn.explainers.deepshap.resources import available_memory
from hargcn.explainers.finite import finite_input
from hargcn.explainers.passes import Passes, PassForecast
from hargcn.explainers.relevance.book import Book
from hargcn.explainers.relevance.patterns import Pattern
from hargcn.explainers.relevance.recipes import DEEP_TAYLOR, RELATIVE, Recipe, recipe_of
from hargcn.explainers.relevance.recorded import Box, Recorded
from hargcn.explainers.relevance.roles import mark_head
from hargcn.explainers.scores import Score, frozen
from hargcn.explainers.targets import class_numbers
from hargcn.explanation import Explanation
from hargcn.registry import settings

ROWS = 32
"""Samples per pass."""

_KEPT = 6
"""Copies of a network's activations that a pass may need at once."""


@settings
class Relevance(InputAttribution):
    """What methods that hand the score back layer by layer share.

    The explanation holds besides `values`: `additivity_gap` (sum - score), `relative_gap` (its size
    relative to |score|), and `relevance_lost` (sample, operation), what each operation received and
    did not hand on: its names say operation, module and reason (a bias, epsilon, a function's value
    at 0). The last one, "elsewhere", is what views and selections dropped. Score - sum is the sum
    of what was lost. Operations where a gate takes no relevance are listed too; they lose nothing.

    Parameters
    ----------
    utility
        The score: the logit, from which relevance starts.
    epsilon
        Keeps denominators away from 0.
    gates
        Of a product of a signal and its gate (attention, squeeze and excitation, a normalisation's
        scale): the "signal" takes all relevance, or each takes half ("split"). Where none of the
        two is a gate each takes half.
    """

    cost: ClassVar[str] = "F + 2 (F + B)"
    head_by_size: ClassVar[bool] = False
    """Whether the head shares by the size of contributions, of either sign."""
    conserves: ClassVar[bool] = True
    """Whether the values are parts of the score, and what is lost of it is measured."""
    learns: ClassVar[bool] = False
    """Whether patterns are learned before the first explanation."""

    utility: Literal["logit"] = Field(default="logit", kw_only=True)
    epsilon: Annotated[float, Field(gt=0)] = 1e-6
    gates: Literal["signal", "split"] = "signal"

    @abstractmethod
    def recipe(self) -> Recipe:
        """Return the rule of each kind of operation."""

    def book(self) -> Book:
        """Return the rules of one explanation."""
        return Book(dict(self.recipe()), self.epsilon, split=self.gates == "split")

    def box(self, model: nn.Module, x: Tensor) -> Box | None:
        """Return the bounds of the input, each (N, ...), where the rules ask for them."""
        return None

    def learned(self, score: Score, plan: Plan, x: Tensor) -> Mapping[int, Pattern]:
        """Return what the rules ask for of each step of a plan, learned from other samples."""
        return {}

    def explain(self, model: nn.Module, x: Tensor, target: Any) -> Explanation:
        """Return the explanation.

        Raises
        ------
        ValueError
            For an operation through which relevance has no rule, a rule of the input without a
            layer that it applies to, or a model that mixes samples or branches on their values.
        """
        with frozen(model, self.utility, x, x) as (score, samples, _):
            with torch.no_grad():
                scores = torch.cat([score(part.clone()) for part in samples.split(ROWS)])
            wanted = class_numbers(target, scores)
            values, lost = self._handed_back(score, samples, wanted)
        return self._wrap(model, values, wanted, scores, lost)

    def forecast(
        self, model: nn.Module, x: Tensor, samples: int | None = None
    ) -> PassForecast | None:
        """Estimate the time of a long run from one sample; rules take longer than their passes."""
        if self.supports(model, x):
            return None
        times = []
        for _again in range(2):  # the first warms up, and learns what is learned once
            start = time.perf_counter()
            self(model, x[:1], 0)
            times.append(time.perf_counter() - start)
        count = len(x) if samples is None else samples
        seconds = times[1] * count + (max(times[0] - times[1], 0) if self.learns else 0)
        bounds = 0 if self.box(model, x[:1]) is None else 2
        return PassForecast(count, Passes(2 + bounds, 1), seconds, seconds)

    def _handed_back(
        self, score: Score, x: Tensor, wanted: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the relevance of the input, and what was lost where, (N,)."""
        book, box = self.book(), self.box(score.model, x)
        plan = make_plan(score, score.model, _two(x), book.rules)
        patterns = self.learned(score, plan, x)
        values, lost = [], list[dict[str, Tensor]]()
        for rows in torch.arange(len(x)).split(rows_per_pass(plan, x)):
            graph, book.lost = Recorded(score, plan, x[rows]), {}
            if "input" in book.recipe and not graph.first:
                raise ValueError(
                    f"{self.name}: expected a layer with weights right behind the input for the "
                    f"rule {book.recipe['input']!r} (got none: other operations come first)"
                )
            if box is not None:
                graph.bound((box[0][rows], box[1][rows]))
            graph.teach(patterns)
            if self.head_by_size:
                mark_head(graph.graph)
            values.append(graph.relevance(wanted[rows]))
            lost.append(book.lost)
        return torch.cat(values), {k: torch.cat([each[k] for each in lost]) for k in lost[0]}

    def _wrap(
        self,
        model: nn.Module,
        values: Tensor,
        wanted: Tensor,
        scores: Tensor,
        lost: Mapping[str, Tensor],
    ) -> Explanation:
        if not self.conserves:
            return self.built(model, values, wanted, scores)
        score = scores.gather(1, wanted[:, None])[:, 0].double()
        gap = values.double().flatten(1).sum(1) - score
        known = [*lost.values(), torch.zeros_like(score)]
        every = torch.stack([*lost.values(), -gap - torch.stack(known).sum(0)], dim=1)
        variables = {
            "additivity_gap": gap,
            "relative_gap": gap.abs() / score.abs().clamp(min=torch.finfo(values.dtype).tiny),
            "relevance_lost": (("sample", "operation"), every),
        }
        made = self.built(model, values, wanted, scores, variables=variables)
        return made.assign(coords={"operation": [*lost, "elsewhere"]})


@settings
class LRP(Relevance):
    """Layer-wise relevance propagation: the score, handed back in proportion to contributions.

    Parameters
    ----------
    composite
        A recipe by its name, or one's own as a mapping from kinds of operations (linear,
        convolution, graph, sum, shift, input) to rules (epsilon, gamma, alpha1-beta0, alpha2-beta1,
        z-plus; of the input also flat, w2, z-box). Names: epsilon, gamma, alpha1-beta0,
        alpha2-beta1 (one rule everywhere); epsilon-plus, epsilon-alpha2-beta1, epsilon-gamma
        (epsilon at the head), also with -flat behind them, and epsilon-gamma-box, epsilon-gamma-w2.
    gamma
        How much the rule gamma favours what has the sign of the result.
    background
        (n, ...) samples whose range bounds the input, for the rule z-box.
    """

    name = "lrp"
    label = "LRP"
    source = "Bach et al. 2015; Montavon et al. 2019; composites as in zennit (Anders et al. 2021)"

    composite: str | dict[str, str] = "epsilon"
    gamma: Annotated[float, Field(ge=0)] = 0.25
    background: Any = None

    def __post_init__(self) -> None:
        if "z-box" in self.recipe().values() and self.background is None:
            raise ValueError("Expected a background for the rule z-box (got none)")
        take_background(self)

    @classmethod
    def needed(cls, given: Mapping[str, Any]) -> tuple[Need, ...]:
        """Return that a box needs a background."""
        recipe = recipe_of(given.get("composite", "epsilon"))
        return ("background",) if "z-box" in recipe.values() else ()

    def recipe(self) -> Recipe:
        """Return the composite."""
        return recipe_of(self.composite)

    def book(self) -> Book:
        """Return the rules with this gamma."""
        book = super().book()
        book.gamma = self.gamma
        return book

    def box(self, model: nn.Module, x: Tensor) -> Box | None:
        """Return the background's range, for the rule z-box."""
        return _range(self.background, model, x) if "z-box" in self.recipe().values() else None


@settings
class DeepTaylor(Relevance):
    """Deep Taylor decomposition: z-plus inside, z-box at the input.

    Relevance is shared among what speaks for the score alone; biases take none. The input's box is
    the range of the background, by branch and channel.

    Parameters
    ----------
    background
        (n, ...) samples whose range bounds the input.
    """

    name = "deep-taylor"
    label = "deep Taylor"
    source = "Montavon et al. 2017, sections 4 and 5"
    needs: ClassVar[tuple[Need, ...]] = ("background",)

    background: Any = None

    def __post_init__(self) -> None:
        if self.background is None:
            raise ValueError("Expected a background (got none)")
        take_background(self)

    def recipe(self) -> Recipe:
        """Return z-plus with a box."""
        return DEEP_TAYLOR

    def box(self, model: nn.Module, x: Tensor) -> Box | None:
        """Return the background's range."""
        return _range(self.background, model, x)


class RAP(Relevance):
    """Relative attributing propagation: negative relevance is what matters less than the rest.

    Each input of the head has a share of the score by the size of its contribution, whatever its
    sign. In every layer below, what has the sign of the result shares what is received, what has
    the other sign as much of it as its part of all contributions, and the same is then taken from
    all that have any, so that the sum is kept. Negative does not mean that it speaks against the
    class, but that it is less than the mean. As in the authors' code convolutions, here graph
    products too, hand negative relevance to contributions of the other sign. Of two signs in a sum
    that of the result takes all; biases take nothing; the first layer is like every other, without
    the box that images have, and somebody absent may have relevance.
    """

    name = "rap"
    label = "RAP"
    source = "Nam et al. 2020, and the authors' code"
    head_by_size: ClassVar[bool] = True

    def recipe(self) -> Recipe:
        """Return the relative rule for all weights."""
        return RELATIVE


def take_background(explainer: Any) -> None:
    """Check the samples of a background."""
    if explainer.background is not None:
        rows = torch.as_tensor(explainer.background).detach()
        finite_input(rows, "background sample")
        object.__setattr__(explainer, "background", rows)


def _range(background: Tensor, model: nn.Module, x: Tensor) -> Box:
    """Return the lowest and highest values of a background, by branch and channel, else by number.

    A sample beyond them is its own bound there, whatever else its batch holds.
    """
    if background.shape[1:] != x.shape[1:]:
        raise ValueError(
            f"expected samples shaped like the background {tuple(background.shape[1:])} "
            f"(got {tuple(x.shape)})"
        )
    dims, rows = input_axes(model, x), background.to(x)
    named = {"branch", "channel"} & set(dims)
    axes = [i for i, dim in enumerate(dims) if i == 0 or (named and dim not in named)]
    low, high = rows.amin(axes, keepdim=True), rows.amax(axes, keepdim=True)
    return torch.minimum(low, x), torch.maximum(high, x)


def _two(x: Tensor) -> Tensor:
    """Return two different rows, as a plan needs them."""
    return torch.stack([x[0], x[0] / 2])


def rows_per_pass(plan: Plan, x: Tensor) -> int:
    """Return how many samples a pass takes."""
    return max(1, min(ROWS, available_memory(x.device) // 2 // (_KEPT * max(plan.bytes, 1))))
