"""SmoothGrad and its square: the gradient averaged over noisy copies of the input.

captum's `NoiseTunnel` draws from the global generator, and its noise has by default a standard
deviation of 1 in the input's own units, whatever they are: for a body scaled to 1 it leaves nothing
of the movement.
"""

from __future__ import annotations

from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor, nn

from hargcn.explainers.adapter import input_axes
from hargcn.explainers.attribution.gradients import InputAttribution, gradients, somebody
from hargcn.explainers.passes import Passes
from hargcn.explainers.scores import frozen
from hargcn.explanation import Explanation
from hargcn.registry import settings


@settings
class SmoothGrad(InputAttribution):
    """Mean of ds/dx over copies of the input with Gaussian noise.

    The noise's standard deviation is a share of the input's range, max - min over time, joints and
    persons, of each sample and each of its channels (of each branch), so that velocities are not
    drowned by noise of the size of positions. Nobody gets noise in frames in which a person is
    absent. Every sample gets the same draws. The explanation holds `standard_error` over the draws.

    Parameters
    ----------
    noise
        Standard deviation as a share of the range.
    samples
        Noisy copies.
    seed
        Of the noise.
    """

    name = "smoothgrad"
    label = "SmoothGrad"
    source = "Smilkov et al. 2017, section 3"
    cost = "(F + B) x samples"

    noise: Annotated[float, Field(gt=0)] = 0.1
    samples: Annotated[int, Field(ge=2)] = 50
    seed: int = 1234

    def each(self, gradient: Tensor) -> Tensor:
        """Return what is averaged, of the gradient at a noisy copy."""
        return gradient

    def passes(self, model: nn.Module, x: Tensor) -> Passes:
        """Return the passes per sample: for its scores, and two for each draw."""
        return Passes(1 + self.samples, self.samples)

    def explain(self, model: nn.Module, x: Tensor, target: Any) -> Explanation:
        """Return the explanation, from a forward and a backward pass for each draw."""
        dims = input_axes(model, x)
        generator = torch.Generator().manual_seed(self.seed)
        with frozen(model, self.utility, x, x) as (score, own, _):
            with torch.no_grad():
                scores = score(own.clone())
            deviation = self.deviation(own, dims)
            mean, square = torch.zeros_like(own).double(), torch.zeros_like(own).double()
            for _draw in range(self.samples):
                noise = torch.randn(own.shape[1:], generator=generator).to(own)
                found, _, wanted = gradients(score, own + deviation * noise, target)
                value = self.each(found).double()
                mean += value / self.samples
                square += value.square() / self.samples
        error = ((square - mean.square()).clamp(min=0) / (self.samples - 1)).sqrt().float()
        variables = {"standard_error": (dims, error)}
        return self.built(model, mean.to(own.dtype), wanted, scores, variables=variables)

    def deviation(self, x: Tensor, dims: tuple[str, ...]) -> Tensor:
        """Return the noise's standard deviation, broadcast against samples with these axes."""
        cells = [i for i, dim in enumerate(dims) if dim in ("time", "joint", "person", "y", "x")]
        over = cells or list(range(1, x.ndim))
        size = self.noise * (x.amax(dim=over, keepdim=True) - x.amin(dim=over, keepdim=True))
        here = somebody(x, dims)
        return size if here is None else size * here


class SmoothGradSquared(SmoothGrad):
    """Mean of (ds/dx)^2 over copies of the input with Gaussian noise: without signs."""

    name = "smoothgrad-squared"
    label = "SmoothGrad squared"
    source = "Hooker et al. 2019, section 3"

    def each(self, gradient: Tensor) -> Tensor:
        """Return what is averaged, of the gradient at a noisy copy."""
        return gradient.square()
