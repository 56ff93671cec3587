"""What an explanation costs, in passes through the network and in seconds."""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from hargcn.explainers.hooks import plain, undisturbed
from hargcn.explainers.outputs import logits_of


@dataclass(frozen=True)
class Passes:
    """Passes of one sample through a network.

    Attributes
    ----------
    forward, backward
        Through all of it.
    tail
        Forward passes through what lies behind a layer only.
    most
        Of a method that finds on its way how many it needs: the most of all of these together.
    """

    forward: int
    backward: int = 0
    tail: int = 0
    most: int | None = None

    @property
    def total(self) -> int:
        """All passes, of whatever kind; the least of them where there is a most."""
        return self.forward + self.backward + self.tail

    def __add__(self, other: Passes) -> Passes:
        known = [each.most for each in (self, other)]
        totals = [each.most or each.total for each in (self, other)]
        return Passes(
            self.forward + other.forward,
            self.backward + other.backward,
            self.tail + other.tail,
            None if known == [None, None] else sum(totals),
        )


@dataclass(frozen=True)
class PassForecast:
    """Cost of an explanation of samples, each a number of passes, in seconds.

    Attributes
    ----------
    samples
        How many are explained.
    each
        Passes of one of them.
    seconds, most_seconds
        Time for all, and for the most that the method may need.
    """

    samples: int
    each: Passes
    seconds: float
    most_seconds: float

    @property
    def passes(self) -> int:
        """Passes of one sample, forward and backward."""
        return self.each.total

    def __str__(self) -> str:
        count, about = f"{self.passes} passes", f"about {_time(self.seconds)}, or less in batches"
        if self.each.most is not None:
            count = f"{self.passes} to {self.each.most} passes, as it needs"
            about = f"{_time(self.seconds)} to {_time(self.most_seconds)}"
        elif self.each.backward:
            count += f" ({self.each.backward} of them backward)"
        if self.each.tail:
            count += " (those behind the layer are shorter)"
        return f"{self.samples} samples x {count}: {about}"


def forecast_of(each: Passes, model: nn.Module, x: Tensor, samples: int) -> PassForecast:
    """Estimate the time of many passes from one, of the first sample of x."""
    forward = _seconds(model, x[:1], backward=False)
    both = _seconds(model, x[:1], backward=True) if each.backward else forward
    back = max(both - forward, 0.0)
    seconds = samples * ((each.forward + each.tail) * forward + each.backward * back)
    most = each.total if each.most is None else each.most
    return PassForecast(samples, each, seconds, max(seconds, samples * most * max(forward, back)))


def _seconds(model: nn.Module, x: Tensor, backward: bool) -> float:
    """Return the time of a forward pass, or of one with its backward pass."""
    took = 0.0
    with undisturbed(model), torch.set_grad_enabled(backward):
        for _again in range(2):  # the first warms up
            leaf = plain(x).requires_grad_(backward)
            begun = time.perf_counter()
            score = logits_of(model(leaf.clone())).sum()
            if score.requires_grad:
                torch.autograd.grad(score, leaf, materialize_grads=True)
            score.item()  # waits for a GPU
            took = time.perf_counter() - begun
    return took


def _time(seconds: float) -> str:
    minutes = seconds / 60
    return f"{seconds:.0f} s" if minutes < 2 else f"{minutes:.0f} min"
