"""Attributions from the gradient of the score: saliency, input x gradient, and what all share.

They are a few lines on `torch.autograd.grad`. captum's `Saliency` and `InputXGradient` are the same
numbers; they neither take one target per sample by the rules of the house nor leave a network's
training flags as they were.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from hargcn.explainers.adapter import axis_labels, input_axes
from hargcn.explainers.attribution.groups import in_sight
from hargcn.explainers.base import Explainer
from hargcn.explainers.passes import Passes
from hargcn.explainers.scores import Utility, frozen
from hargcn.explainers.targets import class_numbers
from hargcn.explanation import Explanation
from hargcn.registry import settings

Network = Callable[[Tensor], Tensor]


@settings
class Attribution(Explainer):
    """What attributions to the input, or to edges, share: a score of samples of real numbers.

    Parameters
    ----------
    utility
        The score: logit z, prob p, logprob log p, or rest z + log p.
    """

    utility: Utility = Field(default="logit", kw_only=True)

    def supports(self, model: nn.Module, x: Tensor) -> str:
        """Return why not: no samples, no real numbers, or what `expect_features` says."""
        if x.ndim < 1 or not len(x) or not x.is_floating_point():
            return f"expected samples of real numbers (got {tuple(x.shape)} of {x.dtype})"
        try:
            self.expect_features(model, x)
        except ValueError as error:
            return str(error)
        return ""

    @abstractmethod
    def expect_features(self, model: nn.Module, x: Tensor) -> None:
        """Raise a ValueError where there is nothing to attribute the score to."""


@settings
class InputAttribution(Attribution):
    """What attributions to the input share: the explanation has the axes of the input."""

    def expect_features(self, model: nn.Module, x: Tensor) -> None:
        """Refuse an input of other axes than the network names."""
        input_axes(model, x)

    def built(
        self,
        model: nn.Module,
        values: Tensor,
        target: Tensor,
        scores: Tensor,
        score: Any = None,
        variables: Mapping[str, Any] | None = None,
    ) -> Explanation:
        """Wrap attributions shaped like the input.

        Parameters
        ----------
        model
            The network.
        values
            (sample, ...) attributions.
        target
            (sample,) class numbers.
        scores
            (sample, class) scores of all classes.
        score
            (sample,) scores explained, where they were computed in another precision.
        variables
            More results, as `Explanation.build` takes them.
        """
        dims = input_axes(model, values)
        sizes = dict(zip(dims, values.shape, strict=True))
        return Explanation.build(
            values,
            dims,
            method=self.name,
            label=self.label,
            target=target,
            score=scores.gather(1, target[:, None])[:, 0] if score is None else score,
            predicted=scores.argmax(dim=1),
            utility=self.utility,
            settings=self.settings,
            variables=variables,
            frames=sizes.get("time"),
            **axis_labels(model, sizes),
        )


@settings
class PlainGradient(InputAttribution):
    """A method that needs the gradient at the samples only: its `rule`."""

    cost: ClassVar[str] = "F + B"

    def passes(self, model: nn.Module, x: Tensor) -> Passes:
        """Return one pass forward and one backward."""
        return Passes(1, 1)

    @abstractmethod
    def rule(self, x: Tensor, gradient: Tensor) -> Tensor:
        """Return attributions (sample, ...) from samples and the gradient, shaped alike."""

    def explain(self, model: nn.Module, x: Tensor, target: Any) -> Explanation:
        """Return the explanation, from one forward and one backward pass."""
        with frozen(model, self.utility, x, x) as (score, samples, _):
            gradient, scores, wanted = gradients(score, samples, target)
            return self.built(model, self.rule(samples, gradient), wanted, scores)


@settings
class Saliency(PlainGradient):
    """|ds/dx|: how much the score moves with each number, in whatever direction.

    Also called sensitivity analysis. It says what the score would react to, not what it consists
    of.

    Parameters
    ----------
    signed
        Keep the sign, ds/dx: positive where a larger number raises the score.
    """

    name = "saliency"
    label = "saliency"
    source = "Simonyan et al. 2014, section 3"

    signed: bool = False

    def rule(self, x: Tensor, gradient: Tensor) -> Tensor:
        """Return the gradient or its size."""
        return gradient if self.signed else gradient.abs()


class InputXGradient(PlainGradient):
    """x * ds/dx: each number's share of the score, were the network linear and without biases.

    It depends on where the zero of the input lies: of coordinates, on the centring.
    """

    name = "inputxgradient"
    label = "input x gradient"
    source = "Shrikumar et al. 2016, section 2"

    def rule(self, x: Tensor, gradient: Tensor) -> Tensor:
        """Weigh the samples by the gradient."""
        return x * gradient


def gradients(score: Network, x: Tensor, target: Any) -> tuple[Tensor, Tensor, Tensor]:
    """Return the gradient of one score per row, all scores, and the class numbers.

    Parameters
    ----------
    score
        From rows to scores (row, class); in evaluation mode, with frozen parameters.
    x
        Rows; left as they are.
    target
        One class number, or one per row.

    Returns
    -------
    gradient
        Shaped like `x`; 0 where the score does not depend on it.
    scores
        (row, class).
    target
        (row,) class numbers.
    """
    with torch.enable_grad():
        leaf = x.detach().requires_grad_()
        scores = score(leaf.clone())  # a copy: a network may begin with an operation in place
        wanted = class_numbers(target, scores.detach())
        total = scores.gather(1, wanted[:, None]).sum()
        if not total.requires_grad:
            return torch.zeros_like(x), scores.detach(), wanted
        (found,) = torch.autograd.grad(total, leaf, materialize_grads=True)
    return found, scores.detach(), wanted


def somebody(x: Tensor, dims: tuple[str, ...]) -> Tensor | None:
    """Return where persons are (see `in_sight`); None of an input without axes of time and persons.

    Parameters
    ----------
    x
        The input, samples first.
    dims
        Names of its axes.
    """
    return in_sight(x, dims) if {"time", "person"} <= {*dims} else None
