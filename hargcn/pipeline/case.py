"""What `perturb` and `evaluate` work on: a network, explanations, and their windows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from hargcn.allocator import keep_freed_memory
from hargcn.data.windows import Windows
from hargcn.explanation import Explanation
from hargcn.metrics.runner import Runner
from hargcn.networks.checkpoint import load_model
from hargcn.networks.stgcn import MultiBranchSTGCN
from hargcn.pipeline.explain import rebuilt


@dataclass(frozen=True, eq=False)
class Bench:
    """A network, the windows its explanations are about, and how to run it on them."""

    model: MultiBranchSTGCN
    data: Windows
    chosen: Windows
    explanations: dict[str, Explanation]
    positions: torch.Tensor
    run: Runner

    @classmethod
    def open(
        cls,
        checkpoint: Path,
        windows: Path,
        files: list[Path],
        device: str,
        batch: int | None,
        seed: int,
    ) -> Bench:
        """Open everything and match the explanations' windows by name.

        Raises
        ------
        ValueError
            For an explanation of another network or of windows that the file does not have.
        """
        keep_freed_memory()
        model, data = load_model(checkpoint, device), Windows.open(windows)
        labelled = open_explanations(files)
        for file, explanation in zip(files, labelled.values(), strict=True):
            _check_about(file, explanation, model, data)
        rows = {name: i for i, name in enumerate(data.names)}
        samples = [str(s) for s in next(iter(labelled.values())).dataset["sample"].to_numpy()]
        lost = [name for name in samples if name not in rows]
        if lost:
            raise ValueError(f"{windows}: expected the explained windows (it has no {lost[0]!r})")
        _check_alike(files, list(labelled.values()))
        chosen = data.subset([rows[name] for name in samples])
        run = Runner(
            features=model.features,
            valid=torch.from_numpy(chosen.valid()).to(device),
            skeleton=model.skeleton,
            batch=batch,
            seed=seed,
            progress=True,
        )
        positions = torch.from_numpy(chosen.positions()).to(device)
        return cls(model, data, chosen, labelled, positions, run)

    def explainers(self) -> dict[str, Any]:
        """Rebuild what made the explanations from their settings."""
        made: dict[str, Any] = {}
        for name, explanation in self.explanations.items():
            if "request" in explanation.dataset.attrs:
                made[name] = rebuilt(explanation, self.model, self.data)
        if not made:
            raise ValueError("--remake: found no explanation whose method can be run again")
        return made


def _check_alike(files: list[Path], explanations: list[Explanation]) -> None:
    """Refuse explanations of other windows or classes than the first one's."""
    first = explanations[0]
    for file, other in zip(files, explanations, strict=True):
        for what, name in (("windows, in the same order,", "sample"), ("classes", "target")):
            mine, theirs = (e.dataset[name].to_numpy() for e in (first, other))
            if len(mine) != len(theirs) or (mine != theirs).any():
                raise ValueError(
                    f"{file}: expected an explanation of the same {what} as in {files[0]}"
                )


def _check_about(
    file: Path, explanation: Explanation, model: MultiBranchSTGCN, data: Windows
) -> None:
    """Refuse an explanation of another network or of other windows."""
    attrs = explanation.dataset.attrs
    for what, mine in (("model", model.card.get("weights", "")), ("data", data.digest)):
        theirs = attrs.get(what, "")
        if theirs and mine and theirs != mine:
            named = {"model": "this network", "data": f"the windows of {data.path}"}[what]
            raise ValueError(f"{file}: expected an explanation of {named} (it is of another)")


def open_explanations(paths: Sequence[Path]) -> dict[str, Explanation]:
    """Open explanation files by method and layer, or by file name where these are the same."""
    read = [Explanation.open(path) for path in paths]
    for names in ([e.name for e in read], [path.stem for path in paths]):
        if len(set(names)) == len(names):
            return dict(zip(names, read, strict=True))
    return dict(zip(map(str, paths), read, strict=True))
