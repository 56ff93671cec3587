"""How many background rows a job of SHAP needs, found once, on a handful of its windows.

All windows share the rows and the base value: whoever stops at each window when its own error looks
small enough stops too early where the error is underestimated, and keeps 82 to 84% of 95%.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from hargcn import hdf5, remote
from hargcn.checks import one_of
from hargcn.data.windows import Windows
from hargcn.explainers.base import make
from hargcn.explainers.deepshap.background import in_order
from hargcn.explainers.deepshap.explainer import DeepSHAP
from hargcn.explainers.deepshap.row_error import relative_error, standard_errors
from hargcn.explanation import FORMAT, WHAT
from hargcn.pipeline.background import Network, answers, candidates, herding_pool
from hargcn.pipeline.explain_windows import question
from hargcn.pipeline.job import identity, package
from hargcn.pipeline.shards import parts_of

AUTO = "auto"

TOLERANCE = 0.1
"""Relative error of joint x time attributions; that of joint scores is a third of it or less."""

ORDERS = ("herding", "random")
"""Orders of rows whose reference is all of the training set."""

LEAST = 40
PILOTS = 8
GROWTH = 2**0.25


@dataclass(frozen=True)
class FoundRows:
    """A number of background rows, and what it was found by.

    Attributes
    ----------
    rows, total
        The number, and how many windows there are to choose from.
    by
        "herding" or "random".
    tolerance
        Largest relative error that was asked for.
    pilots
        Names of the windows it was found on.
    errors, joint_errors
        By number of rows: the relative error of their joint x time attributions against all rows,
        and of their joint scores, estimated (see `row_error`).
    job
        What else it was found for.
    """

    rows: int
    total: int
    by: str
    tolerance: float
    pilots: list[str]
    errors: dict[str, float]
    joint_errors: dict[str, float]
    job: str

    def __str__(self) -> str:
        last, joint = (each[str(self.rows)] for each in (self.errors, self.joint_errors))
        if self.rows < self.total:
            said = (
                f"background auto: {self.rows} of {self.total} rows by {self.by}, expected error "
                f"{last:.1%} (joint scores {joint:.1%})"
            )
            if last <= self.tolerance:
                return said
            return f"{said}: the tolerance of {self.tolerance:.1%} needs more than {self.by} takes"
        fewer = [size for size in self.errors if int(size) < self.rows]
        said = f"background auto: all {self.rows} rows"
        if not fewer:
            return f"{said}, there are no more"
        return (
            f"{said}, expected error {self.errors[fewer[-1]]:.1%} with {fewer[-1]}: the tolerance "
            f"of {self.tolerance:.1%} cannot be reached with fewer"
        )

    def as_request(self) -> dict[str, Any]:
        """Return what a request stores: the number as if it had been asked for, and why."""
        return {"background": str(self.rows), "background_auto": asdict(self)}


def check_auto(method: str, background: str, tolerance: float | None) -> None:
    """Refuse what does not go together, before anything is opened.

    Raises
    ------
    ValueError
        For "auto" with another method than SHAP, a tolerance without it, or none to reach.
    """
    if background == AUTO and method != DeepSHAP.name:
        raise ValueError(f"--background auto: expected --method shap (got {method})")
    if tolerance is not None and background != AUTO:
        raise ValueError(f"--tolerance: expected --background auto (got {background})")
    if tolerance is not None and not 0 < tolerance < float("inf"):
        raise ValueError(f"Expected --tolerance above 0 (got {tolerance})")


def find_rows(
    network: Network,
    data: Windows,
    windows: Windows,
    request: Mapping[str, Any],
    tolerance: float,
    out: Path,
    progress: bool = False,
) -> FoundRows:
    """Find how many rows a job needs, or read it where the same job was begun.

    Rows come in one order; the number grows from 40 by fourth roots of 2 until the error of the
    pilot windows, a seeded handful of the job's, is expected to be no larger than the tolerance.

    Parameters
    ----------
    network, data
        The network, and the windows whose training set gives the background.
    windows
        What the job explains.
    request
        Arguments of `explain`, as its files store them.
    tolerance
        Largest relative error: the root mean square over pilots of the size of the standard errors
        relative to that of the attributions, over joints x time (Euclidean norms).
    out
        The job's result, beside which its shards lie.
    progress
        Whether to show progress bars.

    Raises
    ------
    ValueError
        For rows chosen in a way that is no order, or is another reference than the training set.
    """
    by = one_of("--background-by with --background auto", request["background_by"], ORDERS)
    train = candidates(data, request["background_class"], request["background_group"])
    job = _job(network, data, windows, request, tolerance)
    known = _begun(out, job)
    if known is not None:
        return known
    seed = request["seed"]
    some = herding_pool(train, seed) if by == "herding" else train
    said = answers(network, some) if by == "herding" else None
    order = in_order(said if said is not None else [], some.label, by, seed)
    drawn = np.random.default_rng(seed).permutation(len(windows))[:PILOTS]
    pilots = windows.subset(np.sort(drawn))
    errors: dict[str, float] = {}
    joints: dict[str, float] = {}
    own = {"progress": progress, **request["settings"]}
    for by_row in _growing(network, some.subset(order), pilots, {**request, "settings": own}):
        size = by_row.shape[1]
        spread = None if said is None else said[order[:size]]
        for kept, each in ((errors, by_row), (joints, by_row.mean(axis=2))):
            error = standard_errors(each, len(train), spread, len(some))
            kept[str(size)] = relative_error(each, error)
        if errors[str(size)] <= tolerance:
            break
    return FoundRows(size, len(train), by, tolerance, pilots.names, errors, joints, job)


def _growing(
    network: Network, rows: Windows, pilots: Windows, request: Mapping[str, Any]
) -> Iterator[np.ndarray]:
    """Give attributions (pilot, row, time, joint) against growing numbers of rows."""
    x = network.inputs(pilots.read())
    asked, wanted, _ = question(network, pilots, x, request["target"], request["versus"])
    found: list[np.ndarray] = []
    done = 0
    for size in _sizes(len(rows)):
        background = network.inputs(rows.subset(slice(done, size)).read())
        explainer = make("shap", request["settings"], {"background": background})
        assert isinstance(explainer, DeepSHAP)
        found.append(explainer.by_row(asked, x, wanted))
        done = size
        yield np.concatenate(found, axis=1)


def _sizes(total: int) -> list[int]:
    """Return 40, 48, 57, 67, 80 ... and all."""
    steps = 0 if total <= LEAST else int(np.log(total / LEAST) / np.log(GROWTH)) + 1
    grown = {round(LEAST * GROWTH**step) for step in range(steps)}
    return sorted({size for size in grown if size < total} | {total})


def _job(
    network: Network, data: Windows, windows: Windows, request: Mapping[str, Any], tolerance: float
) -> str:
    """Return the digest of what the number follows from."""
    about = [
        package(), version("torch"), identity(network), data.digest, windows.names,
        dict(request), tolerance,
    ]  # fmt: skip
    return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()


def _begun(out: Path, job: str) -> FoundRows | None:
    """Return what was found for the same job, which its result or one of its shards stores."""
    for path in (out, *sorted(parts_of(out).glob("*.h5"))[:1]):
        if not remote.is_file(path):
            continue
        try:
            with hdf5.checked(path, WHAT, FORMAT, "explain") as file:
                stored = json.loads(file.attrs.get("request", "{}")).get("background_auto", {})
        except ValueError:  # something else, or not whole: the result will replace it
            continue
        if stored.get("job") == job:
            return FoundRows(**stored)
    return None
