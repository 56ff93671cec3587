"""A method, a network and windows to try axioms on, and what such a trial compares."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from torch import Tensor, nn

from hargcn.explainers.adapter import adapted
from hargcn.explainers.base import Explainer
from hargcn.explainers.hooks import undisturbed
from hargcn.explainers.outputs import logits_of
from hargcn.explainers.scores import class_scores
from hargcn.explanation import Explanation
from hargcn.outputs import outputs_of

ERRORS = 4
"""Standard errors that what a method draws may be off."""


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

    @cached_property
    def _asked(self) -> tuple[Explanation | Exception, float]:
        """The method's own answer, or how it broke, and the seconds that took."""
        start = time.perf_counter()
        made: Explanation | Exception
        try:
            made = self.map()
        except Exception as error:
            # A method may be anybody's and raise anything. It is not lost: `own` raises it again
            # wherever the answer is needed, and it is that axiom's verdict. Interrupts pass.
            made = error
        return made, time.perf_counter() - start

    @property
    def own(self) -> Explanation:
        """The explanation that all others are compared with; a method is asked for it once."""
        if isinstance(self._asked[0], Exception):
            raise self._asked[0]
        return self._asked[0]

    def ask(self) -> float:
        """Explain once, unless that is done already, and return the seconds it took."""
        return self._asked[1]

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

    def doubled(self) -> Trial:
        """Return the trial of a copy of the network and of windows in double precision."""
        wide = replace(self, model=copy.deepcopy(self.model).double())
        return wide.changed(torch.Tensor.double)

    @property
    def outputs(self) -> int:
        """How many outputs the network has.

        Raises
        ------
        Inapplicable
            If it has one only.
        """
        count = self.scores(self.x[:1]).shape[1]
        if count < 2:
            raise Inapplicable("the network has one output")
        return count

    def errors(self, explanation: Explanation) -> np.ndarray:
        """Return what each value may be off because the method draws; 0 for one that does not."""
        if not hasattr(self.explainer, "seed") or "standard_error" not in explanation.dataset:
            return np.zeros(explanation.values.shape)
        return ERRORS * explanation.standard_error.to_numpy().astype(float)

    def by_joint(self, explanation: Explanation, values: np.ndarray | None = None) -> np.ndarray:
        """Return its values, or others on its axes, as (sample, joint, everything else).

        Raises
        ------
        Inapplicable
            If the input, or the map, has no such axis.
        """
        size = self.x.shape[self.axis("joint")]
        if explanation.values.sizes.get("joint") != size:
            raise Inapplicable("the map has no axis of the input's joints")
        values = attributions(explanation) if values is None else values
        moved = np.moveaxis(values, explanation.dims.index("joint"), 1)
        return moved.reshape(len(moved), size, -1)


def attributions(explanation: Explanation) -> np.ndarray:
    """Return the attributions in double precision."""
    return explanation.values.to_numpy().astype(float)


def flattened(values: np.ndarray) -> np.ndarray:
    """Return (sample, everything else)."""
    return values.reshape(len(values), -1)


def norm(values: np.ndarray) -> np.ndarray:
    """Return each sample's Euclidean norm."""
    return np.linalg.norm(flattened(values).astype(float), axis=1)


def relative_to(difference: np.ndarray, to: np.ndarray) -> float:
    """Return the largest of a difference, relative to the largest of something else."""
    return float(np.abs(difference).max() / max(np.abs(to).max(), 1e-30))
