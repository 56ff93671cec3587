"""Explanation files: reading them, and refusing those that are damaged."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import xarray as xr

FORMAT = "hargcn-explanation-1"

_VARIABLES = ("attribution", "target", "score")
_ATTRIBUTES = ("method", "layer", "utility", "settings", "skeleton")


def read(path: str | Path) -> xr.Dataset:
    """Read an explanation file.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is no explanation file, or a damaged one; names the file and what was found.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"{path}: no such explanation file")
    try:
        loaded = xr.load_dataset(path, engine="h5netcdf", phony_dims="sort")
    except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise ValueError(
            f"{path}: expected an explanation file (HDF5), found something else or a "
            f"truncated file ({str(error).splitlines()[0]})"
        ) from error
    dataset = loaded.drop_encoding()  # or its string lengths cut longer names of other shards
    if dataset.attrs.get("format") != FORMAT:
        raise ValueError(
            f"{path}: expected an explanation file of format {FORMAT} "
            f"(got {dataset.attrs.get('format', 'variables ' + str(list(dataset)))})"
        )
    _check(path, dataset)
    return dataset


def _check(path: str | Path, dataset: xr.Dataset) -> None:
    lost = [name for name in _VARIABLES if name not in dataset]
    lost += [name for name in _ATTRIBUTES if name not in dataset.attrs]
    if lost:
        raise ValueError(f"{path}: expected an explanation with {', '.join(lost)} (it has none)")
    for name in ("settings", "skeleton", "classes"):
        text = str(dataset.attrs.get(name, ""))
        try:
            json.loads(text or "null")
        except ValueError as error:
            raise ValueError(f"{path}: expected JSON in attribute {name!r} ({error})") from error
    values = dataset["attribution"].to_numpy()
    finite = np.isfinite(values).reshape(len(values), -1).all(axis=1)
    if not finite.all():
        sample = dataset["attribution"][int(finite.argmin())].coords.get("sample")
        named = int(finite.argmin()) if sample is None else sample.item()
        raise ValueError(f"{path}: expected finite attributions (got NaN or infinity in {named})")
