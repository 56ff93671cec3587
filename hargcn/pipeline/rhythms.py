"""A table of bands: how much attribution, and how much movement, lies in each of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd

from hargcn.analysis.ranking import sample_groups
from hargcn.analysis.statistics import cluster_bootstrap
from hargcn.checks import writable
from hargcn.explanation import Explanation
from hargcn.files import replacing
from hargcn.metrics.rhythm import band_shares
from hargcn.pipeline.opening import open_explanations
from hargcn.plots import plot_shares, save_figure


def rhythms(
    explanations: Sequence[str | Path], out: str | Path, *, seed: int = 1234
) -> pd.DataFrame:
    """Measure which share lies in each band, in explained windows that bear a planted sign.

    Parameters
    ----------
    explanations
        Files that `explain --method shap-rhythm` made of planted windows, with named bands.
    out
        The table to write (.csv).
    seed
        Of the intervals.

    Returns
    -------
    pandas.DataFrame
        A row per explanation, share, joints and band (see `metrics.rhythm.band_shares`): `method`,
        `share`, `joints`, `band`, `mean` over the windows with its 95% interval `low`, `high`,
        clustered by subject; `n`, windows; `recognised`, the share of these that the network
        takes for the class explained.

    Raises
    ------
    ValueError
        For explanations without bands or planted truth, and where no window bears a sign.
    """
    out = writable(out, *explanations, suffix=".csv")
    parts = [_rows(name, each, seed) for name, each in open_explanations(explanations).items()]
    table = pd.concat(parts, ignore_index=True)
    with replacing(out) as temporary:
        table.to_csv(temporary, index=False, float_format="%.4g")
    return table


def draw_shares(tables: Iterable[Path]) -> None:
    """Draw the shares of joined tables, with columns `case` and `seed`, beside those that exist."""
    for table in tables:
        if table.is_file():
            save_figure(plot_shares(pd.read_csv(table))[0], table.with_suffix(".png"), 110)


def _rows(name: str, explanation: Explanation, seed: int) -> pd.DataFrame:
    shares = band_shares(explanation)
    signed = shares["power"].notnull().any(["joints", "frequency"]).to_numpy()
    if not signed.any():
        raise ValueError(f"explanation {name!r}: expected windows with a planted sign (got none)")
    some = explanation.isel(sample=signed.nonzero()[0])
    values = shares.isel(sample=signed.nonzero()[0]).to_dataarray("share")
    stacked = values.stack(row=["share", "joints", "frequency"]).transpose("sample", "row")
    found = cluster_bootstrap(stacked, sample_groups(some), seed=seed)
    table = stacked["row"].to_index().to_frame(index=False).rename(columns={"frequency": "band"})
    columns = dict(zip(("mean", "low", "high"), found, strict=True))
    right = float((some.predicted == some.target).mean())
    return table.assign(**columns, n=len(some), recognised=right).pipe(_named, name)


def _named(table: pd.DataFrame, name: str) -> pd.DataFrame:
    return pd.concat([pd.DataFrame({"method": name}, index=table.index), table], axis=1)
