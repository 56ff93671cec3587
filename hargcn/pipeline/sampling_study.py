"""How much Shap-CAM depends on the orders that it draws: maps and their measures over seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from hargcn.analysis.statistics import cluster_bootstrap, rank_correlation
from hargcn.checks import at_least, writable
from hargcn.explainers.base import make
from hargcn.explanation import Explanation
from hargcn.files import locked, replacing, track
from hargcn.metrics.masking import deletion, masked
from hargcn.pipeline.cam_family import AskedWindows
from hargcn.pipeline.explain import layers_of


def samplings(
    checkpoint: str | Path,
    windows: str | Path,
    out: str | Path,
    *,
    layer: str,
    permutations: Sequence[int],
    reference: int,
    seeds: int = 10,
    settings: Mapping[str, Any] | None = None,
    class_: str = "predicted",
    split: str = "test",
    of: Sequence[str] = (),
    limit: int = 8,
    limit_seed: int = 0,
    device: str = "cpu",
    seed: int = 1234,
    progress: bool = False,
) -> pd.DataFrame:
    """Explain windows by Shap-CAM with several seeds and numbers of orders.

    Parameters
    ----------
    checkpoint, windows
        The network and the windows file.
    out
        The table to write (.csv).
    layer
        Where maps are formed; a stage alone, such as "tcn", is the last layer that is called so.
    permutations
        Orders of the players per sample, with each of the seeds.
    reference
        Orders of the map, of another seed, that errors are from.
    seeds
        How many.
    settings
        More settings of Shap-CAM.
    class_, split, of, limit, limit_seed
        Which class of which windows, as for `compare_maps`.
    device
        "cpu", "cuda" or "cuda:N".
    seed
        The first seed; the reference has the one before.
    progress
        Whether to show a bar.

    Returns
    -------
    pandas.DataFrame
        A row per layer, number of `permutations` and figure, with `estimate`, `low`, `high` over
        subjects, `n` windows and `seeds`. Figures: "error", |map - reference| / |reference|;
        "spread", the standard deviation of maps over seeds, and "stored", what their standard
        errors say, of the same unit; "rho", the Spearman correlation of cells of two seeds;
        "first", the share of pairs of seeds with the same highest cell; standard deviations over
        seeds of a window's "average-drop" and "deletion", and, without limits, of their means over
        the windows ("average-drop of the mean", "deletion of the mean").

    Raises
    ------
    ValueError
        For an unknown layer or setting, and files that do not fit.
    """
    at_least("seeds less one", seeds - 1, 1)
    out = writable(out, checkpoint, windows, suffix=".csv")
    with locked(out):
        asked = AskedWindows.open(
            checkpoint, windows, class_, split, limit, limit_seed, device, seed, of
        )
        (place,) = layers_of(asked.model, "shapcam", [layer])

        def explained(orders: int, number: int) -> Explanation:
            own = {**(settings or {}), "permutations": orders, "seed": number}
            return asked.explain(make("shapcam", own, {"layer": place}))

        true = _flat(explained(reference, seed - 1).values)
        rows: list[dict[str, Any]] = []
        for orders in track(permutations, "orders", len(permutations), progress):
            made = [explained(orders, seed + number) for number in range(seeds)]
            figures = _spread(np.stack([_flat(one.values) for one in made]), true)
            figures["stored"] = np.mean([_stored(one) for one in made], axis=0)
            judged = [_judged(asked, one) for one in made]
            about = {"layer": place, "permutations": orders, "seeds": seeds}
            for name in judged[0]:
                every = np.stack([one[name] for one in judged])
                figures[name] = every.std(axis=0, ddof=1)
                rows.append(
                    {**about, "figure": f"{name} of the mean",
                     "estimate": every.mean(axis=1).std(ddof=1), "n": every.shape[1]}
                )  # fmt: skip
            for name, values in figures.items():
                mean, low, high = cluster_bootstrap(values, asked.windows.group, seed=seed)
                found = {"estimate": float(mean), "low": float(low), "high": float(high)}
                rows.append({**about, "figure": name, **found, "n": len(values)})
        columns = ["layer", "permutations", "seeds", "figure", "estimate", "low", "high", "n"]
        table = pd.DataFrame(rows, columns=columns)
        with replacing(out) as temporary:
            table.to_csv(temporary, index=False, float_format="%.4g")
    return table


def _spread(maps: np.ndarray, true: np.ndarray) -> dict[str, np.ndarray]:
    """Return how far maps (seed, N, cell) are from the reference, and from each other, (N,)."""
    size = np.linalg.norm(true, axis=-1)
    away = np.linalg.norm(maps - true, axis=-1).mean(axis=0)
    spread = np.sqrt(maps.var(axis=0, ddof=1).sum(axis=-1))
    pairs = list(combinations(maps, 2))
    return {
        "error": away / size,
        "spread": spread / size,
        "rho": np.mean([rank_correlation(a, b) for a, b in pairs], axis=0),
        "first": np.mean([a.argmax(1) == b.argmax(1) for a, b in pairs], axis=0),
    }


def _stored(explanation: Explanation) -> np.ndarray:
    """Return the norm of a map's standard errors over that of the map, (N,)."""
    errors, values = map(_flat, (explanation.dataset["standard_error"], explanation.values))
    return np.linalg.norm(errors, axis=1) / np.linalg.norm(values, axis=1)


def _flat(values: xr.DataArray) -> np.ndarray:
    """Return the cells of a layer (N, cell), not up-sampled."""
    return values.to_numpy().reshape(len(values), -1).astype(float)


def _judged(asked: AskedWindows, explanation: Explanation) -> dict[str, np.ndarray]:
    base = (asked.model, asked.positions, explanation)
    return {
        "average-drop": masked(*base, run=asked.run)["average-drop"].to_numpy(),
        "deletion": deletion(*base, run=asked.run).to_numpy(),
    }
