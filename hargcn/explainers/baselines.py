"""Explanations that know nothing, everything, or how to cheat: what measures are judged by."""

from __future__ import annotations

import zlib
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from hargcn.explainers.hooks import undisturbed
from hargcn.explanation import Explanation


class Asked(NamedTuple):
    """What was asked: the windows (N, ..., T, V, M), the classes (N,) and their scores (N,)."""

    x: Tensor
    target: np.ndarray
    score: np.ndarray

    @property
    def shape(self) -> tuple[int, int, int]:
        """(N, T, V), the shape of the maps."""
        return len(self.x), self.x.shape[-3], self.x.shape[-2]


class Baseline(ABC):
    """Maps over (sample, time, joint) that are not computed from the model's inside."""

    name: str

    @abstractmethod
    def maps(self, asked: Asked) -> np.ndarray:
        """Return the maps (N, T, V)."""

    def settings(self) -> Mapping[str, Any]:
        """Return what the explanation stores as its settings."""
        return {}

    def __call__(
        self, model: nn.Module, x: Tensor, target: int | Sequence[int] | Tensor
    ) -> Explanation:
        """Explain the logits of one class, or of one class per sample.

        Parameters
        ----------
        x
            (N, ..., T, V, M).
        target
            An index or (N,) indices.
        """
        with undisturbed(model), torch.inference_mode():
            logits = model(x).double().cpu().numpy()
        classes = np.broadcast_to(np.asarray(target, int), len(x)).copy()
        score = logits[np.arange(len(x)), classes]
        names = getattr(model, "axis_names", {})
        coords = {"time": np.arange(x.shape[-3])}
        return Explanation.build(
            self.maps(Asked(x, classes, score)),
            ("sample", "time", "joint"),
            method=self.name,
            target=classes,
            score=score,
            predicted=logits.argmax(1),
            settings=self.settings(),
            coords=coords | ({"joint": names["joint"]} if "joint" in names else {}),
            skeleton=getattr(model, "skeleton", None),
            frames=x.shape[-3],
        )


class Random(Baseline):
    """Independent uniform numbers in [-1, 1] in every cell.

    They depend on the seed, the window, the class and the score, so that another window, class or
    model is explained by other numbers, and the same question always alike.

    Parameters
    ----------
    seed
        Another seed is another random explanation.
    """

    name = "random"

    def __init__(self, seed: int = 1234) -> None:
        self.seed = seed

    def settings(self) -> Mapping[str, Any]:
        """Return the seed."""
        return {"seed": self.seed}

    def maps(self, asked: Asked) -> np.ndarray:
        """Draw the maps (N, T, V)."""
        drawn = []
        for window, c, s in zip(*asked, strict=True):
            # Scores of another batch differ by rounding; the third digit does not.
            key = [
                self.seed,
                zlib.crc32(window.detach().cpu().numpy().tobytes()),
                int(c),
                zlib.crc32(f"{s:.3g}".encode()),
            ]
            drawn.append(np.random.default_rng(key).uniform(-1, 1, asked.shape[1:]))
        return np.stack(drawn).astype(np.float32)


class Constant(Baseline):
    """The same value everywhere: an explanation without any content."""

    name = "constant"

    def __init__(self, value: float = 1.0) -> None:
        self.value = value

    def settings(self) -> Mapping[str, Any]:
        """Return the value."""
        return {"value": self.value}

    def maps(self, asked: Asked) -> np.ndarray:
        """Return the maps (N, T, V)."""
        return np.full(asked.shape, self.value, np.float32)


class FakeCAM(Baseline):
    """Everything but one cell: keeps the input as it is and so drops no confidence.

    Poppi et al. 2021 (Revisiting the evaluation of class activation mapping), section 3: a cheat
    that wins Average Drop and loses Complexity, ADCC and every measure that ranks cells.
    """

    name = "fakecam"

    def maps(self, asked: Asked) -> np.ndarray:
        """Return the maps (N, T, V)."""
        maps = np.ones(asked.shape, np.float32)
        maps[:, 0, 0] = 0
        return maps


class Truth(Baseline):
    """The planted evidence itself: the ceiling of every measure that it is a ceiling of.

    Parameters
    ----------
    mask
        (N, T, V) bool, of exactly the windows that will be explained, in their order.
    """

    name = "truth"

    def __init__(self, mask: np.ndarray) -> None:
        self.mask = np.asarray(mask, bool)

    def maps(self, asked: Asked) -> np.ndarray:
        """Return the maps (N, T, V)."""
        if self.mask.shape != asked.shape:
            raise ValueError(
                f"Expected a truth mask of shape {asked.shape} (got {self.mask.shape})"
            )
        return self.mask.astype(np.float32)
