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
from hargcn.outputs import Outputs, outputs_of

Utility = Literal["logit", "prob", "logprob", "rest"]
UTILITIES: tuple[Utility, ...] = get_args(Utility)


_CLASSES = Outputs()


def class_scores(logits: Tensor, utility: str, outputs: Outputs = _CLASSES) -> Tensor:
    """Return every output's score (N, output): z, p, log p, or z + log p ("rest").

    The last is the ReST score of Cai 2025, CAMs as Shapley Value-based Explainers, equation 16. The
    probability of a class is a softmax, that of a label or of reaching a level a sigmoid. Values of
    a regression are their own score, in their units.

    Raises
    ------
    ValueError
        For an unknown utility, and for another than the logit of a regression, or of a network of
        one class, whose probability would be 1 whatever it sees.
    """
    expect_utility(utility, outputs)
    if utility == "logit":
        return logits
    if outputs.kind != "classes":
        log_p = nn.functional.logsigmoid(logits)
        return {"prob": logits.sigmoid(), "logprob": log_p, "rest": logits + log_p}[utility]
    if logits.shape[1] == 1:
        raise ValueError(f"Expected utility 'logit' for a model of one output (got {utility!r})")
    if utility == "prob":
        return logits.softmax(dim=1)
    log_p = logits.log_softmax(dim=1)
    return log_p if utility == "logprob" else logits + log_p


def expect_utility(utility: str, outputs: Outputs) -> None:
    """Refuse an unknown utility, and one of probabilities where there are none.

    Raises
    ------
    ValueError
        Names both.
    """
    one_of("utility", utility, UTILITIES)
    if utility != "logit" and not outputs.probable:
        raise ValueError(
            f"Expected utility 'logit', the value itself, for {outputs.kind} outputs, which have "
            f"no probability (got {utility!r}): --set utility=logit"
        )


def scores_of(logits: Tensor, target: Tensor, utility: str, outputs: Outputs = _CLASSES) -> Tensor:
    """Return the score (N,) of one output per row."""
    return class_scores(logits, utility, outputs).gather(1, target[:, None])[:, 0]


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
        wide = out.unsqueeze(1) if out.ndim == 1 else out
        return class_scores(wide, self.utility, outputs_of(self.model))


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
