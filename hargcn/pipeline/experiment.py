"""Experiments, each a folder of data: a question, a recipe, and the steps that answer it."""

from __future__ import annotations

import inspect
import json
import os
import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, field_validator, model_validator

from hargcn.checks import checked, nearest, one_of
from hargcn.pipeline import network
from hargcn.pipeline.combine import combine
from hargcn.pipeline.config import read_content
from hargcn.pipeline.evaluate import correlate, evaluate, perturb, pool
from hargcn.pipeline.explain import explain
from hargcn.pipeline.pictures import rank, show
from hargcn.pipeline.prepare import prepare, synthesise
from hargcn.pipeline.train import train

COMMANDS: Mapping[str, Callable[..., Any]] = {
    function.__name__: function
    for function in (
        prepare, synthesise, train, network.test, explain, combine, rank, show, correlate, perturb,
        evaluate,
    )
}  # fmt: skip
"""What a step may be: the functions of the pipeline by the name of their command."""

_FILES = ("out", "inputs", "explanation", "explanations", "shap", "cam", "convergence")

_SEEDED = ("prepare.plant", "prepare.synthetic", "train")

Steps = tuple[tuple[str, Mapping[str, Any]], ...]


class Experiment(BaseModel):
    """What `experiments/NAME/config.yaml` holds.

    Parameters
    ----------
    question
        What it answers.
    after
        The published figure or table that it follows.
    extends
        The recipe of data, model and training; relative to the file, as `checkpoint`.
    recordings
        Their folder, below that of all recordings; none where a step generates bodies.
    checkpoint
        A network that is used instead of training one.
    seeds
        Do all steps, in a folder each, once with every of these seeds of planting, shuffling and
        training; the tables of `evaluate` are joined then.
    steps
        A list of `{command: arguments}`: the keyword arguments of a function of the pipeline.
        Files are named as in the experiment's folder of results; network, windows and recipe need
        no mention.
    quick
        `{command: arguments}`, laid over those of all its steps for a quick run.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    question: str
    after: str = ""
    extends: Path
    recordings: Path | None = None
    checkpoint: Path | None = None
    seeds: tuple[int, ...] = ()
    steps: Steps
    quick: Mapping[str, Mapping[str, Any]] = {}

    @field_validator("steps", mode="before")
    @classmethod
    def _single(cls, given: Any) -> list[tuple[str, Mapping[str, Any]]]:
        if not isinstance(given, list) or not all(
            isinstance(s, dict) and len(s) == 1 for s in given
        ):
            raise ValueError("Expected a list of {command: {argument: value}}")
        return [_arguments(command, own) for step in given for command, own in step.items()]

    @field_validator("quick", mode="before")
    @classmethod
    def _known(cls, given: Any) -> dict[str, Mapping[str, Any]]:
        if not isinstance(given, dict):
            raise ValueError("Expected {command: {argument: value}}")
        return dict(_arguments(command, own) for command, own in given.items())

    @model_validator(mode="after")
    def _has_a_network(self) -> Experiment:
        if self.checkpoint is None and "train" not in [command for command, _ in self.steps]:
            raise ValueError("Expected a step `train`, or a `checkpoint`")
        if self.checkpoint is not None and self.seeds:
            raise ValueError("Expected seeds of networks that are trained (got a checkpoint)")
        return self


def experiments(start: str | Path = ".") -> dict[str, Path]:
    """Find the experiments of the checkout that a folder belongs to: their files by name.

    Raises
    ------
    FileNotFoundError
        Outside a checkout: experiments do not come with an installed hargcn.
    """
    start = Path(start).resolve()
    for folder in (start, *start.parents):
        project = folder / "pyproject.toml"
        if (folder / "experiments").is_dir() and project.is_file():
            about = tomllib.loads(project.read_text(encoding="utf-8"))
            if about.get("project", {}).get("name") == "hargcn":
                found = sorted((folder / "experiments").glob("*/config.yaml"))
                return {path.parent.name: path for path in found}
    raise FileNotFoundError(
        f"{start}: expected a folder in a checkout of hargcn, with its experiments/ "
        "(experiments come with the repository, not with the package)"
    )


def read_experiment(path: str | Path) -> Experiment:
    """Read an experiment; `extends` and `checkpoint` become whole paths.

    Raises
    ------
    FileNotFoundError, ValueError
        Without the file, or for defects of it; in one line.
    """
    path = Path(path)
    read = checked(Experiment, read_content(path), str(path))
    beside = {
        name: (path.parent / given).resolve()
        for name in ("extends", "checkpoint")
        if (given := getattr(read, name)) is not None
    }
    return read.model_copy(update=beside)


def experiment(
    name: str | Path,
    *,
    quick: bool = False,
    out: str | Path | None = None,
    set_: Sequence[str] = (),
    fresh: bool = False,
    progress: bool = True,
    say: Callable[[str], None] | None = None,
) -> Path:
    """Run an experiment, step by step.

    Parameters
    ----------
    name
        The name of one of the checkout's, or the file of another.
    quick
        Lay its section `quick` over the steps: everything is run once, in small.
    out
        Folder of the results; by default `results`, or `quick`, beside its file.
    set_
        Changes `key.sub=value` of the recipe.
    fresh
        Train, and anew, even where the experiment names a checkpoint.
    progress
        Whether to show progress bars.
    say
        Gets a line before every step.

    Returns
    -------
    Path
        The folder of the results.

    Raises
    ------
    FileNotFoundError
        Outside a checkout, or without the experiment's recipe or recordings.
    ValueError
        For an unknown experiment or a defect of it, or a step's arguments.
    """
    path = Path(name)
    if path.suffix != ".yaml":
        known = experiments()
        path = known[one_of("an experiment", str(name), known)]
    own = read_experiment(path)
    out = Path(out) if out is not None else path.parent / ("quick" if quick else "results")
    trained = own.checkpoint is None or fresh
    if not trained and (lost := [each for each in set_ if not each.startswith("prepare.")]):
        raise ValueError(f"--set {lost[0]}: expected --fresh with it, to train another network")
    steps = [
        (command, {**arguments, **(own.quick.get(command, {}) if quick else {})})
        for command, arguments in own.steps
        if trained or command != "train"
    ]
    folders: dict[str, Path] = {}
    for seed in own.seeds or (None,):
        seeded = [f"{of}.seed={seed}" for of in _SEEDED if seed is not None]
        folder = out if seed is None else out / f"seed{seed}"
        folders[folder.name] = folder
        given = _given(path, own, folder, [*seeded, *set_], trained, fresh)
        for number, (command, arguments) in enumerate(steps, 1):
            if say is not None:
                file = (folder / arguments.get("out", "")).relative_to(out)
                say(f"{number}/{len(steps)} {command} {file}".removesuffix(" ."))
            _run(command, arguments, {"progress": progress, **given[command]}, folder)
    for table in [arguments["out"] for command, arguments in steps if command == "evaluate"]:
        if own.seeds:
            pool({name: folder / table for name, folder in folders.items()}, out / table)
    return out


def _given(
    path: Path, own: Experiment, out: Path, set_: Sequence[str], trained: bool, fresh: bool
) -> dict[str, dict[str, Any]]:
    """Return the arguments that steps need not mention, by command."""
    windows = out / "windows.h5"
    checkpoint = out / "run" / "model.safetensors" if trained else own.checkpoint
    changes = [each.removeprefix("prepare.") for each in set_ if each.startswith("prepare.")]
    made = {"out": windows, "config": own.extends, "changes": changes, "force": True}
    recordings = {} if own.recordings is None else {"path": _recordings(path, own.recordings)}
    run = {"config": own.extends, "out": out / "run", "fresh": fresh}
    special: dict[str, dict[str, Any]] = {
        "prepare": {**made, **recordings},
        "synthesise": made,
        "train": {**run, "set_": [f"windows={json.dumps(str(windows))}", *set_]},
        "correlate": {"inputs": [checkpoint, windows]},
    }
    usual = {"checkpoint": checkpoint, "windows": windows}
    return {command: {**usual, **special.get(command, {})} for command in COMMANDS}


def _run(command: str, arguments: Mapping[str, Any], given: Mapping[str, Any], out: Path) -> None:
    """Call a step's function: its arguments before the given ones, changes of settings as well."""
    function = COMMANDS[command]
    calls = {key: value for key, value in given.items() if key in _parameters(function)}
    for key, value in arguments.items():
        if key in _FILES:
            value = [out / each for each in value] if isinstance(value, list) else out / value
        elif key in ("set_", "changes"):
            value = [*value, *calls.get(key, ())]
        calls[key] = value
    function(**calls)


def _recordings(path: Path, below: Path) -> Path:
    """Return a folder of recordings: below the one named by HARGCN_DATA, or beside the checkout."""
    beside = path.resolve().parents[2].parent / "shared" / "data"
    folder = Path(os.environ.get("HARGCN_DATA") or beside) / below
    if not folder.is_dir():
        raise FileNotFoundError(
            f"{folder}: no such folder of recordings; set HARGCN_DATA to the folder with {below}"
        )
    return folder


def _parameters(function: Callable[..., Any]) -> list[str]:
    return list(inspect.signature(function).parameters)


def _arguments(command: Any, given: Any) -> tuple[str, dict[str, Any]]:
    """Check the names of a command and its arguments; `class` and `set` need no underscore."""
    known = _parameters(COMMANDS[one_of("a command", command, COMMANDS)])
    if not isinstance(given or {}, dict):
        raise ValueError(f"Expected arguments of {command}, or nothing (got {given!r})")
    named = {key if key in known else f"{key}_": value for key, value in (given or {}).items()}
    for key in named:
        if key not in known:
            word = key.removesuffix("_")
            raise ValueError(
                f"Expected arguments of {command} (got {word!r}{nearest(word, known)})"
            )
    return command, named
