"""Explanations that know nothing, everything, or how to cheat: what measures are judged by."""

from __future__ import annotations

import zlib
from abc import abstractmethod
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from hargcn.explainers.adapter import axis_labels, input_axes
from hargcn.explainers.base import Explainer
from hargcn.explainers.contrast import questions
from hargcn.explainers.hooks import undisturbed
from hargcn.explainers.outputs import logits_of
from hargcn.explainers.passes import Passes
from hargcn.explainers.scores import scores_of
from hargcn.explainers.targets import class_numbers
from hargcn.explanation import Explanation
from hargcn.registry import settings


class Asked(NamedTuple):
    """The windows, numbers of the questions (N,), their scores (N,), frames and joints."""

    x: Tensor
    target: np.ndarray
    score: np.ndarray
    frames: int
    joints: int

    @property
    def shape(self) -> tuple[int, int, int]:
        """(N, T, V), the shape of the maps."""
        return len(self.x), self.frames, self.joints


def frames_and_joints(model: nn.Module, x: Tensor) -> tuple[int, int]:
    """Return the sizes T and V of an input by its axes' names, else of (N, ..., T, V, M).

    Raises
    ------
    ValueError
        For an input that names no joint, or of fewer axes.
    """
    dims = input_axes(model, x)
    if "time" in dims and "joint" in dims:
        return x.shape[dims.index("time")], x.shape[dims.index("joint")]
    if x.ndim < 4 or "time" in dims:
        raise ValueError(
            "expected an input with axes 'time' and 'joint', or (N, ..., T, V, M) (got "
            f"({', '.join(dims)}) of {tuple(x.shape)})"
        )
    return x.shape[-3], x.shape[-2]


@settings
class Baseline(Explainer):
    """Maps over (sample, time, joint) that are not computed from the model's inside."""

    source = "a control, see its docstring"
    cost = "F"

    def passes(self, model: nn.Module, x: Tensor) -> Passes:
        """Return the pass for the score."""
        return Passes(1)

    @abstractmethod
    def maps(self, asked: Asked) -> np.ndarray:
        """Return the maps (N, T, V)."""

    def supports(self, model: nn.Module, x: Tensor) -> str:
        """Return why not: an input without time or joints."""
        try:
            frames_and_joints(model, x)
        except ValueError as error:
            return str(error)
        return ""

    def explain(self, model: nn.Module, x: Tensor, target: Any) -> Explanation:
        """Explain the logits of one class, or of one class per sample."""
        with undisturbed(model), torch.no_grad():
            logits = logits_of(model(x))
        frames, joints = frames_and_joints(model, x)
        classes = class_numbers(target, logits)
        score = scores_of(logits.double(), classes, "logit").cpu().numpy()
        wanted, question = (each.cpu().numpy() for each in (classes, questions(model, classes)))
        known = axis_labels(model, {"joint": joints})
        return Explanation.build(
            self.maps(Asked(x, question, score, frames, joints)),
            ("sample", "time", "joint"),
            method=self.name,
            label=self.label,
            target=wanted,
            score=score,
            predicted=logits.argmax(dim=1),
            settings=self.settings,
            coords={"time": np.arange(frames), **known["coords"]},
            skeleton=known["skeleton"],
            frames=frames,
        )


@settings
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
    label = "random"

    seed: int = 1234

    def maps(self, asked: Asked) -> np.ndarray:
        """Draw the maps (N, T, V)."""
        drawn = []
        for window, c, s in zip(*asked[:3], strict=True):
            # Scores of another batch differ by rounding; the third digit does not.
            key = [
                self.seed,
                zlib.crc32(window.detach().cpu().numpy().tobytes()),
                int(c),
                zlib.crc32(f"{s:.3g}".encode()),
            ]
            drawn.append(np.random.default_rng(key).uniform(-1, 1, asked.shape[1:]))
        return np.stack(drawn).astype(np.float32)


@settings
class Constant(Baseline):
    """The same value everywhere: an explanation without any content.

    Parameters
    ----------
    value
        The value.
    """

    name = "constant"
    label = "constant"

    value: float = 1.0

    def maps(self, asked: Asked) -> np.ndarray:
        """Return the maps (N, T, V)."""
        return np.full(asked.shape, self.value, np.float32)


class FakeCAM(Baseline):
    """Everything but one cell: keeps the input as it is and so drops no confidence.

    Poppi et al. 2021 (Revisiting the evaluation of class activation mapping), section 3: a cheat
    that wins Average Drop and loses Complexity, ADCC and every measure that ranks cells.
    """

    name = "fakecam"
    label = "Fake-CAM"
    source = "Poppi et al. 2021, section 3"

    def maps(self, asked: Asked) -> np.ndarray:
        """Return the maps (N, T, V)."""
        maps = np.ones(asked.shape, np.float32)
        maps[:, 0, 0] = 0
        return maps


@settings
class Given(Baseline):
    """Maps that were made elsewhere, from the movement alone for instance.

    Parameters
    ----------
    mask
        (N, T, V), of exactly the windows that will be explained, in their order.
    """

    name = "given"
    label = "given map"
    needs = ("mask",)

    mask: Any

    def maps(self, asked: Asked) -> np.ndarray:
        """Return the maps (N, T, V)."""
        mask = np.asarray(self.mask)
        if mask.shape != asked.shape:
            raise ValueError(
                f"Expected a {self.name} mask of shape {asked.shape} (got {mask.shape})"
            )
        return mask.astype(np.float32)


class Truth(Given):
    """The planted evidence itself, a bool mask: the ceiling of measures that it is a ceiling of."""

    name = "truth"
    label = "planted truth"
