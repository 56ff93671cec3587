"""Training: a network fitted to windows, reproducibly, and able to go on after a kill.

`fit` writes into one folder, which it marks as its own: `state.pt` and `log.csv` after every epoch,
`model.safetensors` with its card at the end.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from hargcn.data.windows import Windows
from hargcn.files import locked, replacing
from hargcn.networks.checkpoint import save_model
from hargcn.networks.stgcn import ModelConfig, MultiBranchSTGCN
from hargcn.training.classification import Evaluation
from hargcn.training.optimisation import TrainConfig
from hargcn.training.processes import Processes, together
from hargcn.training.trainer import Build, Row, Trainer

FILES = ("state.pt", "log.csv", "model.safetensors", "model.json")
"""What a run writes into its folder."""

_RUN = "hargcn-run.json"  # marks a folder as a run's

Say = Callable[[str], None]

__all__ = ["TrainConfig", "TrainResult", "fit"]


@dataclass(frozen=True, eq=False)
class TrainResult:
    """A finished training.

    Parameters
    ----------
    model
        The network with the chosen weights, in evaluation mode.
    path
        Its checkpoint.
    windows
        The file it learned from.
    epoch
        The epoch the weights are from, counted from 1.
    history
        One row per epoch, as in `log.csv`.
    validation
        The chosen weights on the validation windows; None without any.
    """

    model: MultiBranchSTGCN
    path: Path
    windows: Path
    epoch: int
    history: list[Row]
    validation: Evaluation | None


def fit(
    model: ModelConfig | Build,
    windows: Windows,
    config: TrainConfig,
    out: str | Path,
    *,
    progress: bool = True,
    resume: bool = True,
    card: Mapping[str, Any] | None = None,
) -> TrainResult:
    """Train a network on the windows of the set "train"; choose an epoch by those of "val", if any.

    On the CPU equal seeds give equal weights, bit for bit (for one number of threads, and of
    processes), whether or not the run was interrupted. Processes that torchrun started train the
    network together; the first one validates and writes.

    Parameters
    ----------
    model
        The architecture, or a function that builds (or loads) a network.
    windows
        Labelled windows with their sets.
    config
        How to train.
    out
        Folder for `state.pt`, `log.csv`, `model.safetensors` and its card.
    progress
        Whether to show a progress bar; where standard error is no terminal, a line per epoch
        instead.
    resume
        Go on from `state.pt` where there is one; else start over.
    card
        More entries for the model card.

    Returns
    -------
    TrainResult
        The network, its checkpoint and its history.

    Raises
    ------
    ValueError
        Empty sets, missing labels, one class only, another skeleton, settings that contradict the
        data, a state of another run, another process that trains into `out`, files in it that no
        run of hargcn made, a loss that is not finite.
    """
    out = Path(out)
    expect_run(out)
    run = Trainer(model, windows, config)
    state = out / "state.pt"
    with together(run.device) as processes, locked(state) if processes.first else nullcontext():
        run.share(processes)
        if processes.first:
            with replacing(out / _RUN) as temporary:
                temporary.write_text(f'{{"hargcn": "{version("hargcn")}"}}\n', encoding="utf-8")
        if processes.agreed(resume and state.is_file()):
            run.restore(state)
        with _shown(run, progress and processes.first) as (advance, said):
            while not run.finished:
                run.go_on(advance)
                seconds = run.history[-1]["seconds"]
                said(f"epoch {run.epoch}/{config.epochs}: {run.said()}, {seconds:.1f} s")
                if processes.first:
                    _save(run, state)
        epoch, validation = processes.agreed(run.finish() if processes.first else (0, None))
        processes.agree(run.average)
        run.share(Processes())
        run.average.eval()
        path = out / "model.safetensors"
        if processes.first:
            save_model(run.average, path, {**(card or {}), **_card(run, epoch, validation)})
    return TrainResult(run.average, path, windows.path, epoch, run.history, validation)


def _save(run: Trainer, state: Path) -> None:
    """Write what a later process needs to go on, and the log."""
    whole = io.BytesIO()  # torch's own errors do not say why a file was not written
    torch.save(run.state(), whole)
    with replacing(state) as temporary:
        temporary.write_bytes(whole.getbuffer())
    _write_log(run.history, state.with_name("log.csv"))


def expect_run(out: Path) -> None:
    """Refuse a folder in which somebody else's files would be replaced."""
    there = [name for name in FILES if (out / name).exists()]
    if there and not (out / _RUN).is_file():
        raise ValueError(
            f"{out}: expected a folder of a run of hargcn train, which holds {_RUN}, or a new one "
            f"(it holds somebody's {there[0]})"
        )


def _card(run: Trainer, epoch: int, validation: Evaluation | None) -> dict[str, Any]:
    """Say what a checkpoint was trained on, how, and how good it is."""
    windows = run.train
    return {
        "training": run.config.model_dump(mode="json"),
        "epoch": epoch,
        "input": windows.preparation,
        "seconds": round(sum(row["seconds"] or 0 for row in run.history), 1),
        "data": {
            "file": windows.path.name,
            "digest": windows.digest,
            "source": windows.attrs.get("source"),
            "windows": windows.attrs.get("windows"),
            "shape": list(windows.shape),
            "train": len(windows),
            "val": 0 if run.val is None else len(run.val),
        },
        "validation": None if validation is None else validation.to_dict(),
    }


def _write_log(history: list[Row], path: Path) -> None:
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, fieldnames=list(history[0]))
        writer.writeheader()
        writer.writerows(history)


@contextmanager
def _shown(run: Trainer, progress: bool) -> Iterator[tuple[Say, Say]]:
    """Give what moves a progress bar by a step, and what says a line where there can be no bar."""
    if not progress:
        yield _silent, _silent
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    console = Console(stderr=True)
    if not (console.is_terminal or console.is_jupyter):
        yield _silent, lambda line: console.print(line, markup=False, soft_wrap=True)
        return
    columns = (
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.description}"),
    )
    with Progress(*columns, console=console) as bar:
        task = bar.add_task(
            "", total=run.config.epochs * run.steps, completed=run.epoch * run.steps
        )
        yield lambda said: bar.update(task, advance=1, description=said), _silent


def _silent(_: str) -> None:
    """Show nothing."""
