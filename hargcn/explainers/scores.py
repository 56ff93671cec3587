"""The score that is explained: logit, probability, their like, and a network that returns it."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from hargcn.checks import one_of
from hargcn.explainers.hooks import plain, undisturbed

Utility = Literal["logit", "prob", "logprob", "rest"]
UTILITIES: tuple[Utility, ...] = get_args(Utility)


def class_scores(logits: Tensor, utility: str) -> Tensor:
    """Return every class's score (N, classes): z, p, log p, or z + log p ("rest").

    The last is the ReST score of Cai 2025, CAMs as Shapley Value-based Explainers, equation 16.

    Raises
    ------
    ValueError
        For an unknown utility, and for another than the logit of a network of one output, whose
        probability would be 1 whatever it sees.
    """
    one_of("utility", utility, UTILITIES)
    if utility == "logit":
        return logits
    if logits.shape[1] == 1:
        raise ValueError(f"Expected utility 'logit' for a model of one output (got {utility!r})")
    if utility == "prob":
        return logits.softmax(dim=1)
    log_p = logits.log_softmax(dim=1)
    return log_p if utility == "logprob" else logits + log_p


def scores_of(logits: Tensor, target: Tensor, utility: str) -> Tensor:
    """Return the score (N,) of one class per row."""
    return class_scores(logits, utility).gather(1, target[:, None])[:, 0]


class Score(nn.Module):
    """The scores (n, classes) of a network as its output."""

    def __init__(self, model: nn.Module, utility: str) -> None:
        super().__init__()
        self.model = model
        self.utility = utility

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, ...) to (n, classes); a model of one output per sample has one class."""
        out = self.model(x)
        if not isinstance(out, Tensor) or out.ndim not in (1, 2):
            found = tuple(out.shape) if isinstance(out, Tensor) else type(out).__name__
            raise ValueError(
                f"Expected the model to return (n, classes) (got {found}); an Adapter's `output` "
                "says where they are"
            )
        return class_scores(out.unsqueeze(1) if out.ndim == 1 else out, self.utility)


@contextmanager
def frozen(
    model: nn.Module, utility: str, x: Tensor, rows: Tensor, dtype: torch.dtype | None = None
) -> Iterator[tuple[Score, Tensor, Tensor]]:
    """Give a model's score, samples and background in one precision, by default the model's.

    The model is frozen and in evaluation mode meanwhile; another precision works on a copy of it.
    """
    if x.ndim < 1 or len(x) == 0 or x.shape[1:] != rows.shape[1:]:
        raise ValueError(
            f"Expected samples shaped like the background {tuple(rows.shape[1:])} "
            f"(got {tuple(x.shape)})"
        )
    first = next(iter(model.parameters()), x)
    wanted = dtype or (first.dtype if first.is_floating_point() else x.dtype)
    with undisturbed(model):
        model = model if wanted == first.dtype else copy.deepcopy(model).to(wanted)
        score = Score(model, utility).eval()
        yield score, plain(x).to(first.device, wanted), plain(rows).to(wanted)
