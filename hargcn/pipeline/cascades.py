"""How explanations fade as a network forgets: parameter randomisation, step by step."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from hargcn.analysis.statistics import cluster_bootstrap
from hargcn.checks import at_least, writable
from hargcn.explainers.baselines import Random
from hargcn.explanation import Explanation
from hargcn.files import replacing
from hargcn.metrics.sanity import randomisation
from hargcn.pipeline.case import ExplainedWindows


def cascades(
    checkpoint: str | Path,
    windows: str | Path,
    explanations: Sequence[str | Path],
    out: str | Path,
    *,
    stages: int = 6,
    absolute: bool = False,
    limit: int | None = None,
    limit_seed: int | None = None,
    batch: int | None = None,
    device: str = "cpu",
    seed: int = 1234,
    progress: bool = True,
) -> pd.DataFrame:
    """Explain networks whose parameters become random from the output down, by every method.

    Parameters
    ----------
    checkpoint, windows, explanations
        The network, a windows file, and explanation files of the same windows and classes that
        `explain` made; others are left out.
    out
        The table to write (.csv).
    stages
        Steps of the cascade (`metrics.sanity.cascade`).
    absolute
        Compare magnitudes instead of signed values.
    limit, limit_seed
        Of the explained windows the first so many, or so many drawn with a seed.
    batch
        Rows per pass; by default what runs fastest.
    device
        "cpu", "cuda" or "cuda:N".
    seed
        Of the random parameters and of the intervals.
    progress
        Whether to show progress bars.

    Returns
    -------
    pandas.DataFrame
        A row per `method` and `stage`, the share of modules that are random (0: none, the same
        map): `mean` Spearman correlation over cells with the map of the network as trained, with
        its 95% interval over subjects, `low`, `high`; `n` windows whose map is not constant.
        "random" draws another map of every network: chance.

    Raises
    ------
    FileNotFoundError, ValueError
        As `evaluate`; and where no explanation can be made again.
    """
    at_least("stages", stages, 1)
    out = writable(out, checkpoint, windows, *explanations, suffix=".csv")
    opened = ExplainedWindows.open(
        checkpoint, windows, explanations, device=device, batch=batch, seed=seed,
        limit=limit, limit_seed=limit_seed, progress=progress,
    )  # fmt: skip
    explainers: dict[str, Any] = opened.explainers()
    made = {name: opened.explanations[name] for name in explainers}
    explainers["random"] = Random(seed)
    made["random"] = _random(opened, seed)
    rows: list[dict[str, Any]] = []
    for name, explanation in made.items():
        found = randomisation(
            opened.model, opened.positions, explanation, explainers[name],
            stages=stages, absolute=absolute, run=opened.run,
        )  # fmt: skip
        over = cluster_bootstrap(found.to_numpy(), opened.windows.group, seed=seed)
        known = found.notnull().sum("sample").to_numpy()
        rows.append({"method": name, "stage": 0.0, "mean": 1.0, "low": 1.0, "high": 1.0,
                     "n": len(explanation)})  # fmt: skip
        for at, share in enumerate(found["stage"].to_numpy()):
            figures = {key: each[at] for key, each in over._asdict().items() if key != "estimate"}
            rows.append({"method": name, "stage": share, "mean": over.estimate[at], **figures,
                         "n": known[at]})  # fmt: skip
    table = pd.DataFrame(rows)
    with replacing(out) as temporary:
        table.to_csv(temporary, index=False, float_format="%.4g")
    return table


def _random(opened: ExplainedWindows, seed: int) -> Explanation:
    """Return a random explanation of the windows."""
    first = next(iter(opened.explanations.values()))
    ready = opened.run.prepare(opened.positions, np.arange(len(first))).detach()
    made = Random(seed)(opened.model, ready, torch.as_tensor(first.target.to_numpy()))
    return made.assign(coords={"sample": first.values["sample"].to_numpy()})
