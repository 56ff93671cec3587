"""What `perturb` and `evaluate` work on: explained windows, and the network they are about."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from hargcn.checks import at_least
from hargcn.data.windows import Windows
from hargcn.explainers.deepshap.resources import duration
from hargcn.explanation import Explanation
from hargcn.metrics.runner import Runner
from hargcn.networks.network import SkeletonNetwork
from hargcn.perturbation import EdgeEdit, Edit
from hargcn.pipeline.explain import rebuilt
from hargcn.pipeline.opening import (
    check_preparation,
    of_one_network,
    open_explanations,
    open_network,
    open_windows,
    own_sets,
    some_of,
)

_WORTH_A_WORD = 5.0  # seconds


@dataclass(frozen=True, eq=False)
class ExplainedWindows:
    """Windows, their explanations, and the network that these explain.

    Parameters
    ----------
    model
        The network.
    data
        All windows of the file.
    windows
        The explained ones.
    explanations
        By name; of the same windows and classes.
    positions
        (N, C, T, V, M) of the explained windows, on the network's device.
    run
        How measures run the network on positions.
    """

    model: SkeletonNetwork
    data: Windows
    windows: Windows
    explanations: dict[str, Explanation]
    positions: torch.Tensor
    run: Runner

    @classmethod
    def open(
        cls,
        checkpoint: str | Path,
        windows: str | Path,
        explanations: Sequence[str | Path],
        *,
        device: str = "cpu",
        batch: int | None = None,
        other_preparation: bool = False,
        limit: int | None = None,
        limit_seed: int | None = None,
        seed: int = 1234,
        progress: bool = True,
    ) -> ExplainedWindows:
        """Open everything and match the explanations' windows by name.

        Of them the first `limit`, or so many drawn with `limit_seed`.

        Raises
        ------
        ValueError
            For an explanation of another network or of windows that the file does not have, for
            explanations of different windows or classes, and for windows prepared otherwise than
            those the network learned from, unless `other_preparation` allows it.
        """
        at_least("batch", batch, 1)
        at_least("limit", limit, 1)
        data = open_windows(windows)
        model = open_network(checkpoint, device, data)
        data = own_sets(model, data)
        check_preparation(model, data, other_preparation)
        named = open_explanations(explanations)
        for file, explanation in zip(explanations, named.values(), strict=True):
            of_one_network(file, explanation)
            _check_about(file, explanation, model, data)
            _check_single(file, explanation)
        rows = {name: i for i, name in enumerate(data.names)}
        samples = [str(s) for s in next(iter(named.values())).dataset["sample"].to_numpy()]
        lost = [name for name in samples if name not in rows]
        if lost:
            raise ValueError(f"{windows}: expected the explained windows (it has no {lost[0]!r})")
        _check_alike(explanations, list(named.values()))
        if limit is not None:
            some = some_of(len(samples), limit, limit_seed)
            samples = [samples[i] for i in some]
            named = {name: each.isel(sample=some) for name, each in named.items()}
        explained = data.subset([rows[name] for name in samples])
        run = Runner(
            features=model.features,
            valid=torch.from_numpy(explained.valid()).to(device),
            skeleton=model.skeleton,
            batch=batch,
            seed=seed,
            progress=progress,
        )
        positions = torch.from_numpy(explained.positions()).to(device)
        return cls(model, data, explained, named, positions, run)

    def explainers(self) -> dict[str, Any]:
        """Rebuild what made the explanations from their settings.

        Raises
        ------
        ValueError
            If none of them can be made again.
        """
        made: dict[str, Any] = {}
        for name, explanation in self.explanations.items():
            with suppress(ValueError):  # of another origin: it is left out
                made[name] = rebuilt(explanation, self.model, self.data)
        if not made:
            raise ValueError("Expected an explanation to remake (found none that can be run again)")
        return made


def _check_alike(files: Sequence[str | Path], explanations: Sequence[Explanation]) -> None:
    """Refuse explanations of other windows or classes than the first one's."""
    first = explanations[0]
    for file, other in zip(files, explanations, strict=True):
        for what, name in (("windows, in the same order,", "sample"), ("classes", "target")):
            mine, theirs = (e.dataset[name].to_numpy() for e in (first, other))
            if len(mine) != len(theirs) or (mine != theirs).any():
                raise ValueError(
                    f"{file}: expected an explanation of the same {what} as in {files[0]}"
                )


def _check_single(file: str | Path, explanation: Explanation) -> None:
    """Refuse an explanation of a contrast: measures ask what happens to one class's probability."""
    if "versus" in explanation.dataset:
        raise ValueError(
            f"{file}: expected an explanation of single classes, whose probability is measured "
            "(got one of a class rather than another)"
        )


def _check_about(
    file: str | Path, explanation: Explanation, model: SkeletonNetwork, data: Windows
) -> None:
    """Refuse an explanation of another network or of other windows."""
    attrs = explanation.dataset.attrs
    for what, mine in (("model", model.card.get("weights", "")), ("data", data.digest)):
        theirs = attrs.get(what, "")
        if theirs and mine and theirs != mine:
            named = {"model": "this network", "data": f"the windows of {data.path}"}[what]
            raise ValueError(f"{file}: expected an explanation of {named} (it is of another)")


def announce_time(announce: Callable[[str], Any], seconds: float) -> None:
    """Say how long something will take, where that is worth a word."""
    if seconds >= _WORTH_A_WORD:
        announce(f"about {duration(seconds)} (--limit N takes fewer windows)")


def check_edit(model: SkeletonNetwork, edit: Edit) -> None:
    """Refuse to edit the edges of a network that has none; single ones it may make as it runs."""
    if isinstance(edit, EdgeEdit) and edit.which != "single" and not model.edges():
        raise ValueError(
            f"Expected an edit of the input, such as --edit input:freeze, for a network without "
            f"learnt edges (got {edit})"
        )
