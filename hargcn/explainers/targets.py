"""Which class of each sample is explained: one parser for numbers and one for words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hargcn.checks import nearest


def class_numbers(target: Any, logits: Tensor) -> Tensor:
    """Return class numbers (N,) for one class, or one per sample.

    Parameters
    ----------
    target
        A whole number, or N of them: a sequence, an array or a tensor.
    logits
        (N, classes) of the samples.

    Raises
    ------
    TypeError
        For numbers that are not whole: 1.7 is no class.
    ValueError
        For numbers that are no class, or neither one nor N, and for logits that are no numbers.
    """
    wanted = torch.as_tensor(target, device=logits.device)
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


def named_classes(
    target: str, logits: Tensor, labels: np.ndarray, classes: Sequence[str]
) -> Tensor:
    """Return class numbers (N,) for a word.

    Parameters
    ----------
    target
        "predicted", "label", or the name of a class.
    logits
        (N, classes) of the samples.
    labels
        (N,) true classes, -1 where the network has no such.
    classes
        Names in the order of the logits.

    Raises
    ------
    ValueError
        For an unknown name (offers the nearest), or "label" where one is missing.
    """
    if target == "predicted":
        return logits.argmax(dim=1)
    if target == "label":
        if (labels < 0).any():
            raise ValueError(
                "expected labels among the network's classes to explain "
                f"(missing for {int((labels < 0).sum())} of {len(labels)} windows, "
                f"first number {int((labels < 0).argmax())})"
            )
        return torch.as_tensor(labels, device=logits.device)
    if target not in classes:
        raise ValueError(
            "expected predicted, label or the name of a class to explain "
            f"(got {target!r}{nearest(target, ['predicted', 'label', *classes])})"
        )
    return torch.full((len(logits),), list(classes).index(target), device=logits.device)
