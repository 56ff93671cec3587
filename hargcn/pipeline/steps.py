"""What a step of an experiment may be: functions of the pipeline, called with a part's files."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from hargcn.checks import nearest, one_of
from hargcn.pipeline import network
from hargcn.pipeline.axioms import axioms
from hargcn.pipeline.background_study import backgrounds
from hargcn.pipeline.branch_study import branch_worths
from hargcn.pipeline.cam_family import compare_maps, second_order, show_masked
from hargcn.pipeline.cascades import cascades
from hargcn.pipeline.clusters import cluster
from hargcn.pipeline.combine import combine
from hargcn.pipeline.costs import costs
from hargcn.pipeline.decided import decided_by_sign
from hargcn.pipeline.drawn_tables import draw
from hargcn.pipeline.evaluate import correlate, evaluate
from hargcn.pipeline.explain import explain
from hargcn.pipeline.feature_shares import shares_by
from hargcn.pipeline.measure_curves import curves
from hargcn.pipeline.multiplicity import multiplicity
from hargcn.pipeline.parts import compare_tables, draw_means
from hargcn.pipeline.perturb import perturb
from hargcn.pipeline.pictures import maps, rank, show
from hargcn.pipeline.prepare import prepare, synthesise
from hargcn.pipeline.rhythms import rhythms
from hargcn.pipeline.runtimes import runtimes
from hargcn.pipeline.sampling_study import samplings
from hargcn.pipeline.trained import train_once

COMMANDS: dict[str, Callable[..., Any]] = {
    "prepare": prepare,
    "synthesise": synthesise,
    "train": train_once,
    **{
        function.__name__: function
        for function in (
            network.test, decided_by_sign, explain, combine, rank, show, maps, correlate,
            perturb, evaluate, axioms, costs, rhythms, draw_means,
            compare_maps, second_order, show_masked,
            backgrounds, draw, curves, samplings,
            shares_by, branch_worths, multiplicity, cascades,
            cluster, compare_tables, runtimes,
        )
    },
}  # fmt: skip
"""By name; most of them are commands as well."""

EXPLAINING = ("explain", "combine")
"""Their outputs are the explanations that later steps take where they name none."""

DRAWING = ("draw", "draw_means")
"""They write a picture alone, of a table that lies beside it."""

PREPARING = ("prepare", "synthesise")
"""They make windows."""

_FILES = (
    "out", "table", "inputs", "explanation", "explanations", "shap", "cam", "convergence", "names",
    "windows", "checkpoint", "teacher", "tables", "picture", "without_sign", "without_decoys",
)  # fmt: skip

Step = tuple[str, Mapping[str, Any]]


def run_step(command: str, arguments: Mapping[str, Any], given: Mapping[str, Any]) -> None:
    """Call a step: its arguments, as `with_files`, before those that are given to all."""
    function = COMMANDS[command]
    calls = {key: value for key, value in given.items() if key in _parameters(function)}
    for key in ("set_", "changes"):
        if key in arguments and key in calls:
            arguments = {**arguments, key: [*arguments[key], *calls[key]]}
    function(**{**calls, **arguments})


def with_files(arguments: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Return arguments with the files that they name in the folder of a part."""
    calls = dict(arguments)
    for key, value in arguments.items():
        if key == "split" and value.endswith(".txt"):
            calls[key] = str(folder / value)
        elif key in _FILES:
            calls[key] = (
                [_within(folder, each) for each in value]
                if isinstance(value, list)
                else _within(folder, value)
            )
    return calls


def _within(folder: Path, name: str) -> Path:
    """Return a file below a folder, or beside it: one that is not made yet has no "..", either."""
    return Path(os.path.normpath(folder / name))


def written(command: str, arguments: Mapping[str, Any]) -> str | None:
    """Return the name of the table that a step writes, or None where it writes none.

    Beside what is named `out` commands put a table of the same stem.
    """
    if command in (*EXPLAINING, *DRAWING) or "out" not in arguments:
        return None
    return str(Path(arguments["out"]).with_suffix(".csv"))


def by_command(given: Any) -> dict[str, Mapping[str, Any]]:
    """Check `{command: arguments}`.

    Raises
    ------
    ValueError
        For anything else, an unknown command or argument.
    """
    if not isinstance(given, dict):
        raise ValueError("Expected {command: {argument: value}}")
    return dict(_arguments(command, own) for command, own in given.items())


def one_by_one(given: Any) -> list[Step]:
    """Check a list of `{command: arguments}`, one each.

    Raises
    ------
    ValueError
        For anything else, an unknown command or argument.
    """
    if not isinstance(given, list) or not all(isinstance(s, dict) and len(s) == 1 for s in given):
        raise ValueError("Expected a list of {command: {argument: value}}")
    return [_arguments(command, own) for step in given for command, own in step.items()]


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


def _parameters(function: Callable[..., Any]) -> list[str]:
    return list(inspect.signature(function).parameters)
