"""What explanations cost: passes through the network, counted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor, nn

from hargcn.checks import at_least, writable
from hargcn.explainers.base import Explainer
from hargcn.explainers.hooks import watch
from hargcn.files import replacing
from hargcn.pipeline.case import ExplainedWindows


def costs(
    checkpoint: str | Path,
    windows: str | Path,
    explanations: Sequence[str | Path],
    out: str | Path,
    *,
    limit: int = 2,
    device: str = "cpu",
) -> pd.DataFrame:
    """Explain a few windows again, and count.

    Parameters
    ----------
    checkpoint, windows, explanations
        The network, a windows file, and explanation files that `explain` made.
    out
        The table to write (.csv).
    limit
        How many of the explained windows.
    device
        "cpu", "cuda" or "cuda:N".

    Returns
    -------
    pandas.DataFrame
        A row per explanation: `method`; `passes`, rows that went forward through the network's
        last layer per window, also where only its last part was run again.

    Raises
    ------
    ValueError
        For files that do not fit together.
    """
    at_least("limit", limit, 1)
    out = writable(out, checkpoint, windows, *explanations, suffix=".csv")
    opened = ExplainedWindows.open(
        checkpoint, windows, explanations, device=device, limit=limit, progress=False
    )
    x = opened.model.inputs(opened.windows.read())
    target = torch.as_tensor(next(iter(opened.explanations.values())).target.to_numpy())
    rows = []
    for name, explainer in opened.explainers().items():
        rows.append({"method": name, "passes": passes(explainer, opened.model, x, target) / len(x)})
    table = pd.DataFrame(rows)
    with replacing(out) as temporary:
        table.to_csv(temporary, index=False, float_format="%.4g")
    return table


def passes(explainer: Explainer, model: nn.Module, x: Tensor, target: Tensor) -> int:
    """Return the rows that a method sends through a network's last layer."""
    with _rows(last_layer(model, x[:1])) as rows:
        explainer(model, x, target)
    return sum(rows)


def last_layer(model: nn.Module, x: Tensor) -> nn.Module:
    """Return the module without modules of its own that runs last."""
    ran: list[nn.Module] = []
    leaves = [module for module in model.modules() if not any(module.children())]
    watch(model, x, leaves, lambda module, *_: ran.append(module))
    return ran[-1]


@contextmanager
def _rows(layer: nn.Module) -> Iterator[list[int]]:
    """Collect the rows of every pass through a layer."""
    rows: list[int] = []
    hook = layer.register_forward_pre_hook(lambda _, inputs: rows.append(len(inputs[0])))
    try:
        yield rows
    finally:
        hook.remove()
