"""A warning where explanations point at what nobody saw."""

from __future__ import annotations

import warnings
from collections import defaultdict
from pathlib import Path

import xarray as xr

from hargcn.analysis.observed import said_of_unseen, tells_seen, unseen
from hargcn.explanation import Explanation


class Unseen:
    """Which share of the positive attribution lies on cells that nobody saw, of one file or many.

    Of every explanation only shares are kept. One that does not hold what was seen says nothing.
    """

    def __init__(self) -> None:
        self.shares: dict[str | Path, list[xr.DataArray]] = defaultdict(list)

    def add(self, name: str | Path, explanation: Explanation) -> None:
        """Take in an explanation, of other windows than those before by one method.

        Parameters
        ----------
        name
            What it is of or in, for the message.
        explanation
            What to look at.
        """
        if tells_seen(explanation):
            self.shares[name].append(unseen(explanation))

    def warn(self) -> None:
        """Warn where it is much, with the share and the joints that have most of it.

        Warns
        -----
        UserWarning
            Beyond `analysis.observed.MOST`.
        """
        for name, shares in self.shares.items():
            if said := said_of_unseen(xr.concat(shares, "sample")):
                warnings.warn(f"{name}: {said}", stacklevel=3)


def warn_unseen(name: str, explanation: Explanation) -> None:
    """Warn where much of the positive attribution of one explanation lies on what nobody saw."""
    found = Unseen()
    found.add(name, explanation)
    found.warn()
