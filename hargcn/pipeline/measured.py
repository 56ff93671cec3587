"""Measuring explained windows shard by shard, so that a killed run goes on where it stopped."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import xarray as xr
from torch import nn

from hargcn import hdf5
from hargcn.checks import at_least
from hargcn.files import replacing
from hargcn.pipeline.case import ExplainedWindows
from hargcn.pipeline.job import identity, package
from hargcn.pipeline.shard_work import do_shards
from hargcn.pipeline.shards import Shards, parts_of

Measure = Callable[[slice], xr.Dataset]
"""From some of the windows to what was found of them, over `sample`; it travels to nodes."""


@dataclass(frozen=True, eq=False)
class Measuring:
    """What it takes to measure windows shard by shard; a shard is a data set over its windows.

    Parameters
    ----------
    measure
        Measures some of the windows, whatever the others are.
    network
        The network that it asks.
    windows, shard
        How many windows there are, and how many of them make a shard.
    shards
        Where they lie, until `end`.
    """

    measure: Measure
    network: nn.Module
    windows: int
    shard: int
    shards: Shards

    @classmethod
    def of(
        cls,
        measure: Measure,
        opened: ExplainedWindows,
        files: Sequence[str | Path],
        out: Path,
        *,
        asked: Mapping[str, Any],
        shard: int,
    ) -> Measuring:
        """Describe a job, whose shards are used by the same job only.

        Parameters
        ----------
        measure
            As of the class.
        opened, files
            Explained windows, and the files of their explanations.
        out
            The result; the shards lie beside it.
        asked
            Everything else that shapes the result.
        shard
            Windows per shard.

        Raises
        ------
        ValueError
            For less than a window per shard, or a folder of that name which no job made.
        """
        at_least("--shard", shard, 1)
        run, count = opened.run, len(opened.windows)
        job = {
            "code": [package(), f"torch {version('torch')}"], "model": identity(opened.model),
            "data": opened.data.digest, "windows": opened.windows.names, "shard": shard,
            "explanations": [hdf5.sealed_digest(file) for file in files], "batch": run.batch,
            "seed": run.seed, "device": opened.positions.device, **asked,
        }  # fmt: skip
        shards = Shards(parts_of(out), job, -(-count // shard))
        return cls(measure, opened.model, count, shard, shards)

    def size(self, number: int) -> int:
        """Return how many windows a shard has."""
        return min(self.shard, self.windows - number * self.shard)

    def __call__(self, number: int) -> None:
        """Measure a shard and write it."""
        first = number * self.shard
        found = self.measure(slice(first, first + self.size(number)))
        self.shards.write(number, {"": partial(_save, found)})

    @property
    def left(self) -> float:
        """The share of the windows that is not measured yet."""
        numbers = range(self.shards.count)
        undone = (self.size(each) for each in numbers if not self.shards.done(each))
        return sum(undone) / self.windows

    def found(self, label: str, *, engine: str, address: str | None, progress: bool) -> xr.Dataset:
        """Measure what is left, as `do_shards`, and join everything along `sample`."""
        numbers = range(self.shards.count)
        do_shards(self, numbers, label, engine=engine, address=address, progress=progress)
        (files,) = self.shards.files().values()
        return _joined(xr.load_dataset(file, engine="h5netcdf") for file in files)

    def end(self) -> None:
        """Remove the shards: the result is written."""
        self.shards.end()


def _save(found: xr.Dataset, path: Path) -> None:
    with replacing(path) as temporary, hdf5.writing(temporary) as sink:
        found.to_netcdf(sink, engine="h5netcdf")


def _joined(parts: Iterable[xr.Dataset]) -> xr.Dataset:
    """Return parts that differ in their windows alone as one."""
    joined = xr.concat(
        [*parts], "sample", data_vars="minimal", coords="minimal", compat="override",
        join="exact", combine_attrs="override",
    )  # fmt: skip
    return joined.drop_encoding()
