"""DeepSHAP by the shap library: the comparison for hargcn's own, and its oracle where it is exact.

`shap.DeepExplainer` has no rule for products of two computed factors (attention gates), for
functional calls, nor for modules used twice: there its values miss the sum, and the gap says by how
much.
"""

from __future__ import annotations

import itertools
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn

from hargcn.explainers.deepshap.explainer import DeepSHAP
from hargcn.explainers.deepshap.tally import Tally
from hargcn.explainers.scores import Score
from hargcn.files import track

ELEMENTWISE = (
    "SiLU", "Hardswish", "Hardsigmoid", "Hardtanh", "ReLU6", "GELU", "Mish", "SELU", "CELU",
    "Softsign", "Tanhshrink", "Hardshrink", "Softshrink", "LogSigmoid",
)  # fmt: skip
"""Modules of one elementwise function for which the library may lack its own rescale rule."""

LINEAR = (
    "Upsample", "ZeroPad1d", "ZeroPad2d", "ConstantPad1d", "ConstantPad2d", "PixelShuffle",
    "Unflatten", "AdaptiveAvgPool1d", "AdaptiveAvgPool2d", "AdaptiveAvgPool3d", "ConvTranspose1d",
)  # fmt: skip
"""Linear modules that the library may not know."""

_TABLE = threading.Lock()


class _Column(nn.Module):
    """One output of a network, so that the library explains no other."""

    def __init__(self, network: nn.Module, column: int) -> None:
        super().__init__()
        self.network = network
        self.column = column

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, ...) to (n, 1)."""
        return self.network(x)[:, self.column : self.column + 1]


@contextmanager
def _handlers() -> Iterator[None]:
    """Let the library use its rules for these modules too; take that back after.

    One thread at a time: the library's table is one for all.
    """
    from shap.explainers._deep import deep_pytorch

    known = deep_pytorch.op_handler
    with _TABLE:
        added = {name: deep_pytorch.nonlinear_1d for name in ELEMENTWISE if name not in known}
        added |= {name: deep_pytorch.linear_1d for name in LINEAR if name not in known}
        known.update(added)
        try:
            yield
        finally:
            for name in added:
                del known[name]


@contextmanager
def _as_it_was(network: nn.Module) -> Iterator[None]:
    """Take back what the library leaves on modules when it fails: hooks and attributes."""
    before = [
        (m, {k: (v, dict(v) if isinstance(v, dict) else None) for k, v in vars(m).items()})
        for m in network.modules()
    ]
    try:
        yield
    finally:
        for module, kept in before:
            for name in vars(module).keys() - kept.keys():
                del vars(module)[name]
            for name, (value, content) in kept.items():
                vars(module)[name] = value
                if content is not None:  # in place: whoever added a hook holds its dict
                    value.clear()
                    value.update(content)


def library_attributions(network: nn.Module, rows: Tensor, sample: Tensor, column: int) -> Tensor:
    """Give attributions of one sample by shap.DeepExplainer, as a mean over background rows.

    Parameters
    ----------
    network : nn.Module
        Maps (n, ...) to (n, outputs), frozen.
    rows : Tensor of shape (n, ...)
        Background rows.
    sample : Tensor of shape (1, ...)
        The sample.
    column : int
        The explained output.

    Returns
    -------
    Tensor of shape (...)
        Mean over the rows of m(x, r) * (x - r).
    """
    import shap

    with _as_it_was(network), _handlers(), warnings.catch_warnings(), torch.enable_grad():
        # The library announces modules without a rule here; the additivity gap measures the harm.
        warnings.filterwarnings("ignore", message="unrecognized nn.Module")
        warnings.filterwarnings("ignore", message="Full backward hook is firing")
        explainer = shap.DeepExplainer(_Column(network, column), rows)
        values = explainer.shap_values(sample.clone(), check_additivity=False)
    return torch.as_tensor(values).reshape(sample.shape[1:])


class LibrarySHAP(DeepSHAP):
    """SHAP values by shap.DeepExplainer in chunks: no standard errors, one weight for all rows.

    Gaps wherever the library lacks a rule are stored, but no error.
    """

    name = "shap-library"
    label = "SHAP (library)"
    promise = "none"
    source = "Lundberg and Lee 2017, the package shap"
    cost = "(F + B) x background x 10"
    exact = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if np.ptp(self.weights) > 1e-12:
            raise ValueError(f"Expected equal weights with {self.name}")

    def _fill(
        self, tallies: list[Tally], score: Score, x: Tensor, rows: Tensor, columns: np.ndarray
    ) -> None:
        parts = rows.to(x.device).split(self.chunk)
        jobs = list(itertools.product(parts, range(len(x)), range(len(tallies))))
        for part, i, k in track(jobs, self.label, progress=self.progress):
            mean = library_attributions(score, part, x[i : i + 1], int(columns[i, k]))
            tallies[k].add_mean(i, mean, len(part) / len(rows))
