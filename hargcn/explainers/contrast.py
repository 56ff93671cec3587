"""Why one class and not another: a network whose outputs are differences of two logits.

What is asked is a property of the score, not of a method: any method explains this network as any
other. z_A - z_B is the log odds of A against B, so that the probability of such an output is
p_A / (p_A + p_B), how probable A is where it must be one of the two.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from hargcn.explainers.adapter import ExplainableModel, Head, adapted
from hargcn.explainers.hooks import plain, undisturbed
from hargcn.explainers.outputs import logits_of
from hargcn.explainers.targets import class_numbers
from hargcn.outputs import Outputs, outputs_of

if TYPE_CHECKING:
    from hargcn.explanation import Explanation

_SAID = ("axis_names", "channel_names", "skeleton")  # what a network may say of its axes


class Contrast(nn.Module):
    """A network seen through differences of two of its logits, one output for every pair asked for.

    Parameters
    ----------
    model
        A network of classes.
    x
        Its input, samples first.
    target, versus
        One class number, or one per sample: why the one and not the other.
    logits
        (N, classes) of the input, where they are known.

    Attributes
    ----------
    asked
        (N,) the output that answers what is asked of each sample.

    Raises
    ------
    ValueError
        For a network of other outputs, for numbers that are no classes, and where both are one.
    """

    difference: Tensor

    def __init__(
        self,
        model: nn.Module,
        x: Tensor,
        target: Any,
        versus: Any,
        logits: Tensor | None = None,
    ) -> None:
        super().__init__()
        expect_classes(outputs_of(model))
        at = adapted(model, x)
        if logits is None:
            with undisturbed(model), torch.no_grad():
                logits = logits_of(model(plain(x)))
        self.pairs = torch.stack([class_numbers(each, logits) for each in (target, versus)], 1)
        expect_two(self.pairs)
        self.predicted = logits.argmax(dim=1)
        self.model, self.input_dims = model, at.input_dims
        for name in _SAID:
            if hasattr(model, name):
                setattr(self, name, getattr(model, name))
        each, self.asked = self.pairs.unique(dim=0, return_inverse=True)
        one_hot = torch.eye(logits.shape[1], dtype=logits.dtype, device=logits.device)
        self.register_buffer("difference", one_hot[each[:, 0]] - one_hot[each[:, 1]])
        self.outputs = Outputs(
            "multi-label", tuple(f"{a} rather than {b}" for a, b in each.tolist())
        )
        self.adapter = self._seen_through(at)

    def _seen_through(self, at: ExplainableModel) -> ExplainableModel:
        """Return a network's answers with the head that these outputs have."""

        def linear_head(layer: str) -> Head | None:
            head = at.linear_head(layer)
            return None if head is None else (self.difference @ head[0], self.difference @ head[1])

        seen = copy.copy(at)
        vars(seen)["linear_head"] = linear_head
        return seen

    def forward(self, x: Tensor) -> Tensor:
        """Return the differences (N, pair) of logits."""
        return nn.functional.linear(logits_of(self.model(x)), self.difference)

    def named(self, explanation: Explanation) -> Explanation:
        """Return an explanation of this network as one of the classes of its samples."""
        target, versus = self.pairs.T
        return explanation.assign({"target": target, "versus": versus, "predicted": self.predicted})


def questions(model: nn.Module, columns: Tensor) -> Tensor:
    """Return (N,) a number for what is asked of each sample, whatever else its batch holds.

    Parameters
    ----------
    model
        Any network.
    columns
        (N,) the outputs that are explained: of a contrast they depend on the batch.
    """
    if not isinstance(model, Contrast):
        return columns
    target, versus = model.pairs.T
    return target * model.difference.shape[1] + versus


def expect_classes(outputs: Outputs) -> None:
    """Refuse outputs of which two do not compete.

    Raises
    ------
    ValueError
        Names them.
    """
    if outputs.kind != "classes":
        raise ValueError(
            f"expected a network of classes to explain one rather than another (got {outputs.kind} "
            "outputs, which do not exclude each other)"
        )


def expect_two_words(target: str, versus: str) -> None:
    """Refuse a word for a class, and the same again for the one instead of which.

    Raises
    ------
    ValueError
        Names it.
    """
    if target == versus:
        raise ValueError(f"expected another class than {target!r} instead of which to explain it")


def expect_two(pairs: Tensor) -> None:
    """Refuse pairs (N, 2) of a class and itself.

    Raises
    ------
    ValueError
        Says how many, and the first.
    """
    same = pairs[:, 0] == pairs[:, 1]
    if bool(same.any()):
        raise ValueError(
            "expected two different classes to explain one rather than the other (the same for "
            f"{int(same.sum())} of {len(pairs)} samples, first number {int(same.int().argmax())})"
        )
