"""Which class of each sample is explained: one parser for numbers and one for words."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hargcn.checks import nearest
from hargcn.outputs import Outputs

RANKS = {"predicted": 0, "second": 1, "least": -1}
"""Words for places in the order of probabilities."""

WORDS = (*RANKS, "label")
"""Words for classes that are others from sample to sample; a name is the same for all."""


def class_numbers(target: Any, logits: Tensor) -> Tensor:
    """Return class numbers (N,) for one class, or one per sample.

    Parameters
    ----------
    target
        A whole number, or N of them: a sequence, an array or a tensor; or a function of the logits
        that returns these (see `Later`).
    logits
        (N, classes) of the samples.

    Raises
    ------
    TypeError
        For numbers that are not whole: 1.7 is no class.
    ValueError
        For numbers that are no class, or neither one nor N, and for logits that are no numbers.
    """
    wanted = torch.as_tensor(target(logits) if callable(target) else target, device=logits.device)
    if wanted.is_floating_point() or wanted.is_complex() or wanted.dtype == torch.bool:
        raise TypeError(f"Expected class numbers as targets (got {wanted.dtype})")
    if logits.ndim != 2:
        raise ValueError(f"Expected logits (sample, class) (got {tuple(logits.shape)})")
    samples, classes = logits.shape
    if wanted.shape not in ((), (samples,)):
        raise ValueError(f"Expected one target, or {samples} (got shape {tuple(wanted.shape)})")
    wanted = wanted.expand(samples).long()
    nothing = logits.isnan().any(dim=1)
    if bool(nothing.any()):
        raise ValueError(
            f"sample {int(nothing.int().argmax())}: expected logits that are numbers (got nan); "
            "are the input and every weight of the network finite?"
        )
    if samples and not 0 <= int(wanted.min()) <= int(wanted.max()) < classes:
        raise ValueError(
            f"Expected targets 0 to {classes - 1} (got {int(wanted.min())} to {int(wanted.max())})"
        )
    return wanted


class Later:
    """A target that is chosen when a method's own forward pass has the logits, and keeps these.

    For methods that tell logits (`Explainer.tells_logits`): whoever names the predicted class needs
    no forward pass of his own.

    Parameters
    ----------
    choose
        Maps logits (N, classes) to class numbers (N,).
    """

    def __init__(self, choose: Callable[[Tensor], Tensor]) -> None:
        self.choose = choose
        self._told: Tensor | None = None

    def __call__(self, logits: Tensor) -> Tensor:
        """Keep the logits and return the class numbers."""
        self._told = logits.detach()
        return self.choose(self._told)

    @property
    def told(self) -> Tensor:
        """(N, classes) logits of the method's forward pass, once there was one."""
        assert self._told is not None
        return self._told


def named_classes(
    target: str, logits: Tensor, labels: np.ndarray, classes: Sequence[str] | Outputs
) -> Tensor:
    """Return numbers of outputs (N,) for a word.

    "predicted" is the predicted class, the most probable label, that the predicted level is reached
    (the second one, where it is the lowest), or the value of a regression that has only one.
    "second" and "least" are the second most and the least probable class or label. "label" is the
    true class, or that the true level is reached.

    Parameters
    ----------
    target
        One of `WORDS`, or the name of a class or output.
    logits
        (N, output) of the samples.
    labels
        (N,) true classes or levels, -1 where the network has no such.
    classes
        Names in the order of the logits, or what else the outputs are.

    Raises
    ------
    ValueError
        For an unknown name (offers the nearest), "label" where one is missing, and a word that says
        nothing of such outputs.
    """
    outputs = Outputs.of(classes)
    if target in RANKS and outputs.kind in ("classes", "multi-label"):
        return _of_rank(target, logits)
    if target in WORDS and outputs.kind != "classes":
        return _of_outputs(target, logits, labels, outputs)
    if target == "label":
        if (labels < 0).any():
            raise ValueError(
                "expected labels among the network's classes to explain "
                f"(missing for {int((labels < 0).sum())} of {len(labels)} windows, "
                f"first number {int((labels < 0).argmax())})"
            )
        return torch.as_tensor(labels, device=logits.device)
    known = (*WORDS, *outputs.columns, *outputs.names)
    column = outputs.column(target)
    if column is None:
        what = (
            "a class" if outputs.kind == "classes" else f"an output of {', '.join(outputs.columns)}"
        )
        raise ValueError(
            f"expected {', '.join(WORDS)} or the name of {what} to explain "
            f"(got {target!r}{nearest(target, known)})"
        )
    return torch.full((len(logits),), column, device=logits.device)


def _of_rank(word: str, logits: Tensor) -> Tensor:
    """Return the output at a place in the order of probabilities; of equal ones the first."""
    if word != "predicted" and logits.shape[1] < 2:
        raise ValueError(f"expected at least 2 classes to explain the {word} one (got 1)")
    return logits.argsort(dim=1, descending=True, stable=True)[:, RANKS[word]]


def _of_outputs(target: str, logits: Tensor, labels: np.ndarray, outputs: Outputs) -> Tensor:
    """Return what "predicted" and "label" mean for other outputs than classes."""
    if outputs.kind == "ordinal" and target in ("predicted", "label"):
        levels = torch.as_tensor(labels, device=logits.device)
        levels = (logits > 0).sum(dim=1) if target == "predicted" else levels
        if bool((levels < 0).any()):
            raise ValueError(
                f"expected levels of all windows to explain them (missing for "
                f"{int((levels < 0).sum())} of {len(levels)})"
            )
        return (levels - 1).clamp(min=0)
    if target == "predicted" and len(outputs.columns) == 1:
        return logits.argmax(dim=1)
    raise ValueError(
        f"expected the name of an output of {', '.join(outputs.columns)} to explain (got "
        f"{target!r}, which says nothing of {outputs.kind} outputs)"
    )
