"""PatternNet and PatternAttribution of any torch module, with patterns of a background."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from hargcn.explainers.base import Need
from hargcn.explainers.deepshap.plan import Plan
from hargcn.explainers.deepshap.rules import Step
from hargcn.explainers.hooks import lock_of
from hargcn.explainers.passes import Passes, PassForecast
from hargcn.explainers.relevance.explainer import Relevance, rows_per_pass, take_background
from hargcn.explainers.relevance.pattern_book import PatternBook
from hargcn.explainers.relevance.patterns import Estimator, Pattern, learn_patterns
from hargcn.explainers.relevance.recipes import Recipe
from hargcn.explainers.relevance.recorded import Recorded
from hargcn.explainers.scores import Score
from hargcn.explanation import Explanation
from hargcn.registry import settings


@dataclass
class Learned:
    """The patterns of the network that was explained last.

    Attributes
    ----------
    key
        Stands for that network.
    patterns
        By step.
    names
        Of these steps.
    """

    key: str = ""
    patterns: Mapping[int, Pattern] = field(default_factory=dict)
    names: Sequence[str] = ()


@settings
class PatternBased(Relevance):
    """What the two share: patterns, learned once from the background for a network.

    How many samples: a pattern is a covariance, whose error falls with the root of the number of
    samples times places (frames, joints) at which its neuron is positive. Convolutions and graph
    products have many places per sample, a head behind a mean has one: give it 100 or more.
    Samples on which no result of an operation varies are refused. `without_pattern` (weighted) of
    the explanation is the share of each operation's weights that have none, because their neuron
    was never positive, or constant; nothing goes back through these.

    Parameters
    ----------
    background
        (n, ...) samples to learn from: training windows.
    estimator
        Of neurons whose result is rectified: "two-component" looks at the samples and places where
        they are positive, beside their mean over all; "positive" at these alone; "linear" at all,
        as for neurons whose result is not rectified.
    """

    needs: ClassVar[tuple[Need, ...]] = ("background",)
    cost: ClassVar[str] = "F + 2 (F + B), and once (F + 2 B) x background"
    learns: ClassVar[bool] = True

    background: Any = None
    estimator: Estimator = "two-component"

    def __post_init__(self) -> None:
        if self.background is None:
            raise ValueError("Expected a background (got none)")
        take_background(self)
        if len(self.background) < 2:
            raise ValueError(
                f"Expected two background samples or more (got {len(self.background)})"
            )

    @cached_property
    def _learned(self) -> Learned:
        return Learned()

    def supports(self, model: nn.Module, x: Tensor) -> str:
        """Return why not: samples of another shape than the background's."""
        shape = tuple(self.background.shape[1:])
        if x.ndim and x.shape[1:] != shape:
            return f"expected samples shaped like the background {shape} (got {tuple(x.shape)})"
        return super().supports(model, x)

    def recipe(self) -> Recipe:
        """Return none: every operation has the one rule that there is."""
        return {}

    def book(self) -> PatternBook:
        """Return the rules."""
        split = self.gates == "split"
        return PatternBook({}, self.epsilon, split=split, attribution=self.conserves)

    def learned(self, score: Score, plan: Plan, x: Tensor) -> Mapping[int, Pattern]:
        """Return the patterns, those from before where network and steps are the same."""
        rows = self.background.to(x)
        key = _identity(score, plan, rows[:2])
        known = self._learned
        if known.key != key:
            rectified = Recorded(score, plan, rows[:2]).rectified
            chunks = rows.split(rows_per_pass(plan, x))
            known.patterns = learn_patterns(score, plan, chunks, rectified, self.estimator)
            known.names = [_named(plan.steps[index]) for index in known.patterns]
            known.key = key
        return known.patterns

    def explain(self, model: nn.Module, x: Tensor, target: Any) -> Explanation:
        """Return the explanation.

        Raises
        ------
        ValueError
            As of relevance, and where none of an operation's results varies on the background.
        """
        with lock_of(model):
            made = super().explain(model, x, target)
            known = self._learned
            without = np.array([pattern.without for pattern in known.patterns.values()])
            return made.assign(
                {"without_pattern": (("weighted",), without)}, {"weighted": known.names}
            )

    def forecast(
        self, model: nn.Module, x: Tensor, samples: int | None = None
    ) -> PassForecast | None:
        """Estimate the time of a long run, what is learned from the background included."""
        found = super().forecast(model, x, samples)
        if found is None:
            return None
        share = -(-len(self.background) // found.samples)
        return PassForecast(
            found.samples, found.each + Passes(share, 2 * share), found.seconds, found.most_seconds
        )


class PatternAttribution(PatternBased):
    """Relevance shared by weights times patterns: what of the input's signal made the score.

    As deep Taylor decomposition around the root point that a neuron's pattern finds, the input
    without its signal x - a y. What closed rectifiers stop is not conserved.
    """

    name = "pattern-attribution"
    label = "PatternAttribution"
    source = "Kindermans et al. 2018, section 5"


class PatternNet(PatternBased):
    """The signal that the score stands for: patterns instead of weights.

    It says what the network sees, not what of it speaks for the class. Of one neuron it is in units
    of the input; through layers the signals of all places that an input is part of add up, so that
    only its shape, not its size, says anything.
    """

    name = "pattern-net"
    label = "PatternNet"
    source = "Kindermans et al. 2018, section 5"
    conserves: ClassVar[bool] = False


def _identity(score: Score, plan: Plan, rows: Tensor) -> str:
    """Return what stands for a network: its steps, its state, and what it answers to two rows."""
    found = hashlib.sha256(repr([(step.name, step.path) for step in plan.steps]).encode())
    with torch.no_grad():
        answers = score(rows.clone())
    for value in (*score.state_dict().values(), answers):
        found.update(value.detach().cpu().contiguous().numpy().tobytes())
    return found.hexdigest()


def _named(step: Step) -> str:
    return f"{step.path or 'the model itself'}: {step.name}"
