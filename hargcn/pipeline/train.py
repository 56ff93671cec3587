"""Training a network: from an experiment file to a checkpoint."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hargcn.checks import writable
from hargcn.data.windows import Windows
from hargcn.pipeline.config import ExperimentConfig, read_config
from hargcn.training.fit import FILES, TrainResult, expect_run, fit


def train(
    config: str | Path | ExperimentConfig,
    *,
    set_: Sequence[str] = (),
    out: str | Path | None = None,
    fresh: bool = False,
    progress: bool = True,
) -> TrainResult:
    """Train a network on a windows file.

    Parameters
    ----------
    config
        An experiment file, or its content.
    set_
        Changes `key.sub=value` of it.
    out
        Folder of the run, for log.csv, model.safetensors and its card; of an experiment file by
        default `runs/<its name>`.
    fresh
        Start anew, instead of going on where a killed run stopped.
    progress
        Whether to show a progress bar.

    Returns
    -------
    TrainResult
        The network, its checkpoint, epoch, history and validation.

    Raises
    ------
    FileNotFoundError
        Without the experiment file or its windows.
    ValueError
        For defects of the experiment, or of its windows (see `training.fit.fit`).
    """
    own = read_recipe(config, set_, out)
    for name in FILES:
        writable(own.out / name, *own.inputs)
    expect_run(own.out)
    return fit(
        own.settings.model,
        Windows.open(own.windows),
        own.settings.train,
        own.out,
        progress=progress,
        resume=not fresh,
        card=own.card,
    )


@dataclass(frozen=True)
class Recipe:
    """What an experiment asks for, before anything is trained.

    Parameters
    ----------
    settings
        All of it.
    windows
        The windows file that it names.
    out
        Folder of the results.
    inputs
        Files that must stay as they are.
    card
        What a network's card says of it.
    """

    settings: ExperimentConfig
    windows: Path
    out: Path
    inputs: list[Path]
    card: dict[str, Any]


def read_recipe(
    config: str | Path | ExperimentConfig,
    set_: Sequence[str],
    out: str | Path | None,
    ending: str = "",
) -> Recipe:
    """Read an experiment; without `out` its results go to `runs/<its name><ending>`.

    Raises
    ------
    FileNotFoundError
        Without the experiment file.
    ValueError
        For defects of it, no windows, or no `out` for an experiment that is no file.
    """
    if isinstance(config, ExperimentConfig):
        if out is None:
            raise ValueError("Expected a folder `out` for an experiment that is no file")
        settings = read_config(None, set_, config.model_dump(mode="json"))
        named, card, inputs = "experiment", {}, []
    else:
        settings = read_config(config, set_)
        out = out or Path("runs") / f"{Path(config).stem}{ending}"
        named, card, inputs = str(config), {"experiment": Path(config).name}, [Path(config)]
    if settings.network is not None:
        raise ValueError(
            f"{named}: expected no section 'network': hargcn trains the networks of its section "
            "'model'; one that a factory makes can be tested and explained"
        )
    if settings.windows is None:
        raise ValueError(f"{named}: expected the key 'windows', the windows file to train on")
    inputs.append(settings.windows)
    if settings.train.distil is not None:
        inputs.append(settings.train.distil.teacher)
    return Recipe(settings, settings.windows, Path(out), inputs, card)
