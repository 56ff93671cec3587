"""Sums over the background: attributions, base value, their spread, and the additivity gap."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

RESOLVED = 1e-10
"""Share of a score below which double precision need not tell it from the base value."""


class Tally:
    """Collects the attributions of some samples, background chunk by background chunk.

    Parameters
    ----------
    shape : sequence of int
        Of the samples (N, ...).
    dims : sequence of str
        Names of those axes.
    weights : (n,) array
        Weights of the background rows; they sum to 1.
    outputs : (N, n) array
        The background's scores of the class of each sample.

    Attributes
    ----------
    values : (N, ...) array
        Weighted mean attributions.
    scores, base_value, additivity_gap, relative_gap : (N,) array
        Set by `close`.
    double : (N,) array of bool
        Which samples are of double precision.
    """

    def __init__(
        self, shape: Sequence[int], dims: Sequence[str], weights: np.ndarray, outputs: np.ndarray
    ) -> None:
        self.dims = tuple(dims)
        self.weights = weights
        self.values = np.zeros(tuple(shape))
        # Sums with squared weights, of the squares and of the values, for the standard error; of
        # distances from the first row's attributions, since squares of large numbers would cancel.
        self.shift: np.ndarray | None = None
        self.squares: np.ndarray | None = None
        self.firsts: np.ndarray | None = None
        self.equal = bool(np.ptp(weights) < 1e-12)
        self.base_value, self.spread = _level(outputs, weights)
        self.double = np.zeros(shape[0], bool)
        self.joints: np.ndarray | None = None
        if "joint" in self.dims:
            self.joints = np.zeros((shape[0], len(weights), shape[self.dims.index("joint")]))

    def add(self, i: int, start: int, phi: Tensor) -> None:
        """Add one sample's attributions against consecutive background rows.

        Parameters
        ----------
        i : int
            The sample.
        start : int
            First of the background rows.
        phi : Tensor of shape (n, ...)
            m(x, r) * (x - r).
        """
        if self.squares is None:
            self.squares, self.shift = np.zeros_like(self.values), np.zeros_like(self.values)
            self.firsts = None if self.equal else np.zeros_like(self.values)
        rows = slice(start, start + len(phi))
        self.double[i] = phi.dtype == torch.float64
        w = torch.from_numpy(self.weights[rows]).to(phi)
        self.values[i] += _weighted(w, phi)
        if self.joints is not None:
            joint = self.dims.index("joint")
            others = [d for d in range(1, phi.ndim) if d != joint]
            # A mean over no axes would be one over all of them.
            scores = phi.mean(others, dtype=torch.float64) if others else phi.double()
            self.joints[i, rows] = scores.cpu().numpy()
        assert self.shift is not None
        if start == 0:
            self.shift[i] = phi[0].cpu().numpy()
        away = phi.sub_(torch.from_numpy(self.shift[i]).to(phi))
        if self.firsts is not None:
            self.firsts[i] += _weighted(w * w, away)
        self.squares[i] += _weighted(w * w, away.square_())

    def add_mean(self, i: int, mean: Tensor, weight: float) -> None:
        """Add one sample's mean attributions over rows of this weight together."""
        self.values[i] += mean.double().cpu().numpy() * weight
        self.joints = None

    def close(self, scores: np.ndarray) -> None:
        """Compare the sums with the scores (N,)."""
        self.scores = scores
        axes = tuple(range(1, self.values.ndim))
        with np.errstate(invalid="ignore"):  # an overflow makes the gap NaN, which is refused
            self.additivity_gap = self.values.sum(axes) + self.base_value - scores
            size = np.maximum(np.abs(scores - self.base_value), 0.01 * self.spread)
            # A sample that equals every row has no size of its own, and gaps of rounding.
            size = np.maximum(size, RESOLVED * np.abs(scores))
            size = np.where(size > 0, size, 1.0)
            self.relative_gap = np.abs(self.additivity_gap) / size

    def judge(self, samples: np.ndarray, scores: np.ndarray, outputs: np.ndarray) -> None:
        """Compare some samples' sums with scores (n,), background's (n, rows), known better."""
        self.base_value[samples], self.spread[samples] = _level(outputs, self.weights)
        known = self.scores.copy()
        known[samples] = scores
        self.close(known)

    def replace(self, samples: np.ndarray, other: Tally) -> None:
        """Take other sums for some samples, those of a closed tally of just these."""
        kept = ("values", "shift", "squares", "firsts", "joints", "double", "base_value", "spread")
        for name in kept:
            mine, theirs = getattr(self, name), getattr(other, name)
            if mine is not None and theirs is not None:
                mine[samples] = theirs
        scores = self.scores.copy()
        scores[samples] = other.scores
        self.close(scores)

    def variables(self) -> dict[str, Any]:
        """Give what an explanation stores besides the attributions."""
        found: dict[str, Any] = {
            "base_value": self.base_value,
            "additivity_gap": self.additivity_gap,
            "relative_gap": self.relative_gap,
        }
        if self.squares is not None:
            found["double_precision"] = self.double
        n = len(self.weights)
        if n > 1 and self.squares is not None and self.shift is not None:
            total = float((self.weights**2).sum())
            mean = self.values - self.shift
            firsts = mean * total if self.firsts is None else self.firsts
            square = self.squares - 2 * mean * firsts + mean**2 * total
            error = np.sqrt(np.maximum(square, 0) * n / (n - 1)).astype(np.float32)
            found["standard_error"] = (self.dims, error)
        if self.joints is not None:
            found["joint_by_background"] = (
                ("sample", "background", "joint"),
                self.joints.astype(np.float32),
            )
            if n > 1:
                away = self.joints - np.einsum("nrv,r->nv", self.joints, self.weights)[:, None]
                error = np.sqrt(np.einsum("nrv,r->nv", away**2, self.weights**2) * n / (n - 1))
                found["joint_standard_error"] = (("sample", "joint"), error.astype(np.float32))
        return found


def _level(outputs: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of the background's outputs (N, n)."""
    mean = outputs @ weights
    with np.errstate(invalid="ignore"):  # infinite outputs are refused later
        return mean, np.sqrt((outputs - mean[:, None]) ** 2 @ weights)


def _weighted(w: Tensor, phi: Tensor) -> np.ndarray:
    """Weighted sum over the rows."""
    return torch.tensordot(w, phi, 1).double().cpu().numpy()
