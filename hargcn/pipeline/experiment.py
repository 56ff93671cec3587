"""Experiments, each a folder of data: a question, a recipe, and the steps that answer it."""

from __future__ import annotations

import inspect
import json
import os
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, field_validator, model_validator

from hargcn.checks import checked, nearest, one_of
from hargcn.files import replacing
from hargcn.pipeline import network
from hargcn.pipeline.axioms import axioms
from hargcn.pipeline.combine import combine
from hargcn.pipeline.config import read_content
from hargcn.pipeline.costs import costs
from hargcn.pipeline.decided import TooFewWindows, decided_by_sign
from hargcn.pipeline.evaluate import correlate, evaluate, perturb, pool
from hargcn.pipeline.explain import explain
from hargcn.pipeline.job import package
from hargcn.pipeline.parts import Compare, compare, join_tables
from hargcn.pipeline.pictures import rank, show
from hargcn.pipeline.prepare import prepare, synthesise
from hargcn.pipeline.rhythms import draw_shares, rhythms
from hargcn.pipeline.train import train

COMMANDS: Mapping[str, Callable[..., Any]] = {
    function.__name__: function
    for function in (
        prepare, synthesise, train, network.test, decided_by_sign, explain, combine, rank, show,
        correlate, perturb, evaluate, axioms, costs, rhythms,
    )
}  # fmt: skip
"""What a step may be: the functions of the pipeline by name, most of them commands as well."""

_FILES = (
    "out", "inputs", "explanation", "explanations", "shap", "cam", "convergence", "names",
    "without_sign", "without_decoys",
)  # fmt: skip

_SEEDED = ("prepare.plant", "prepare.synthetic", "train")
_EXPLAINING = ("explain", "combine")
_TABLES = ("decided_by_sign", "axioms", "costs", "rhythms")  # joined over cases and seeds

Steps = tuple[tuple[str, Mapping[str, Any]], ...]


class CaseConfig(BaseModel):
    """One of several recipes that all steps are done with.

    Parameters
    ----------
    extends, recordings
        As of the experiment, whose own hold where a case says nothing.
    set
        Changes `key.sub=value` of the recipe.
    arguments
        `{command: arguments}`, laid over those of all steps of this case.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    extends: Path | None = None
    recordings: Path | None = None
    set: tuple[str, ...] = ()
    arguments: Mapping[str, Mapping[str, Any]] = {}

    @field_validator("arguments", mode="before")
    @classmethod
    def _known(cls, given: Any) -> dict[str, Mapping[str, Any]]:
        return _by_command(given)


class Experiment(BaseModel):
    """What `experiments/NAME/config.yaml` holds.

    Parameters
    ----------
    question
        What it answers.
    after
        The published figure or table that it follows.
    extends
        The recipe of data, model and training; relative to the file, as `checkpoint`. Not needed
        where every case says its own.
    recordings
        Their folder, below that of all recordings; none where a step generates bodies.
    checkpoint
        A network that is used instead of training one.
    cases
        Do all steps, in a folder each, for every of these recipes; tables are joined then, with
        columns `case` and `seed`. The first seed of all cases comes before the second of any. What
        is finished is not done again.
    seeds
        Do all steps, in a folder each, once with every of these seeds of planting, shuffling and
        training; the tables of `evaluate` are joined then.
    once
        Steps that come before all others and that seeds do not repeat: with some, seeds are of the
        training alone.
    afterwards
        Steps that come after all seeds, once per case, in the folder of the first seed.
    compare
        Which figures of the tables of `evaluate` are joined over cases (`measures.csv`), and what
        methods are compared with (`paired.csv`).
    steps
        A list of `{command: arguments}`: the keyword arguments of a function of the pipeline.
        Files are named as in the experiment's folder of results; network, windows and recipe need
        no mention, nor do explanations where all that were made count.
    quick
        `{command: arguments}`, laid over those of all its steps for a quick run.
    quick_cases
        A quick run does these cases only, with the first seed; without any it does all of both.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    question: str
    after: str = ""
    extends: Path | None = None
    recordings: Path | None = None
    checkpoint: Path | None = None
    cases: Mapping[str, CaseConfig] = {}
    seeds: tuple[int, ...] = ()
    once: Steps = ()
    afterwards: Steps = ()
    compare: Compare = Compare()
    steps: Steps
    quick: Mapping[str, Mapping[str, Any]] = {}
    quick_cases: tuple[str, ...] = ()

    @field_validator("steps", "once", "afterwards", mode="before")
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
        return _by_command(given)

    @model_validator(mode="after")
    def _has_a_network(self) -> Experiment:
        if self.checkpoint is None and "train" not in [command for command, _ in self.steps]:
            raise ValueError("Expected a step `train`, or a `checkpoint`")
        if self.checkpoint is not None and (self.seeds or self.cases):
            raise ValueError(
                "Expected seeds and cases of networks that are trained (got a checkpoint)"
            )
        if unknown := {*self.quick_cases} - {*self.cases}:
            raise ValueError(f"Expected quick_cases among the cases (got {min(unknown)!r})")
        for name, case in self.recipes.items():
            if case.extends is None:
                raise ValueError(f"Expected the key 'extends', here or in every case (not {name})")
        return self

    @property
    def recipes(self) -> dict[str, CaseConfig]:
        """Its cases by name; without any, itself as the only one, without a name."""
        own = {"extends": self.extends, "recordings": self.recordings}
        return {
            name: CaseConfig.model_validate(own | case.model_dump(exclude_none=True))
            for name, case in (self.cases or {"": CaseConfig()}).items()
        }

    def tables(self, *commands: str) -> list[str]:
        """Return the names of the tables that steps of some commands write."""
        steps = (*self.steps, *self.afterwards)
        return [args["out"] for command, args in steps if command in commands]


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

    def whole(given: Path | None) -> Path | None:
        return None if given is None else (path.parent / given).resolve()

    cases = {
        name: case.model_copy(update={"extends": whole(case.extends)})
        for name, case in read.cases.items()
    }
    beside = {"extends": whole(read.extends), "checkpoint": whole(read.checkpoint)}
    return read.model_copy(update={**beside, "cases": cases})


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
    if quick and own.quick_cases:
        cases = {name: own.cases[name] for name in own.quick_cases}
        own = own.model_copy(update={"cases": cases, "seeds": own.seeds[:1]})
    parts: dict[tuple[str, str], Path] = {}
    runs: dict[str, _Run] = {}
    for seed in own.seeds or (None,):
        for case, recipe in own.recipes.items():
            home = out / case
            folder = home if seed is None else home / f"seed{seed}"
            parts[case, "" if seed is None else str(seed)] = folder
            windows = (home if own.once else folder) / "windows.h5"
            run = _Run(path, own, recipe, windows, quick, trained, fresh, progress, say, out)
            if runs.setdefault(case, run) is run:
                run.do(own.once, home, [*recipe.set, *set_], "once")
            of = ("train",) if own.once else _SEEDED
            seeded = [f"{each}.seed={seed}" for each in of if seed is not None]
            run.do(own.steps, folder, [*recipe.set, *seeded, *set_], "steps")
        if own.cases:  # what is finished is a table, should time be over
            _join(own, parts, out)
    for (case, _), folder in [*parts.items()][: len(runs)]:
        runs[case].do(own.afterwards, folder, [*runs[case].recipe.set, *set_], "afterwards")
    _join(own, parts, out)
    return out


def _join(own: Experiment, parts: Mapping[tuple[str, str], Path], out: Path) -> None:
    """Put the tables of all parts together, as far as there are any."""
    judged = own.tables("evaluate")
    if own.cases:
        for table in own.tables(*_TABLES):
            join_tables(parts, table, out)
        draw_shares([out / table for table in own.tables("rhythms")])
        compare(parts, judged, out, own.compare)
    elif own.seeds and len(parts) == len(own.seeds):
        for table in judged:
            pool({each.name: each / table for each in parts.values()}, out / table)


@dataclass(frozen=True)
class _Run:
    """What steps need to be done: the experiment, one of its recipes, and how."""

    path: Path
    own: Experiment
    recipe: CaseConfig
    windows: Path
    quick: bool
    trained: bool
    fresh: bool
    progress: bool
    say: Callable[[str], None] | None
    out: Path

    def do(self, steps: Steps, folder: Path, set_: Sequence[str], name: str) -> None:
        """Do steps in a folder; of an experiment of several parts, unless it is done."""
        own, less = self.recipe.arguments, self.own.quick if self.quick else {}
        asked = [
            (command, {**arguments, **own.get(command, {}), **less.get(command, {})})
            for command, arguments in steps
            if self.trained or command != "train"
        ]
        job = {"code": package(), "steps": asked, "set": list(set_), "recipe": self.recipe}
        noted = json.dumps(job, default=str, indent=1)
        mark = folder / f"{name}.json"
        several = bool(self.own.cases or self.own.seeds)
        if several and not self.fresh and _read(mark) == noted:
            return
        if several:  # what an earlier job left is no result of this one
            mark.unlink(missing_ok=True)
            for table in (args["out"] for _, args in asked if args.get("out", "").endswith(".csv")):
                (folder / table).unlink(missing_ok=True)
        given = self._given(folder, set_)
        made = [folder / args["out"] for command, args in asked if command in _EXPLAINING]
        for number, (command, arguments) in enumerate(asked, 1):
            file = (folder / arguments.get("out", "")).relative_to(self.out)
            self._tell(f"{number}/{len(asked)} {command} {file}".removesuffix(" ."))
            try:
                more = {"progress": self.progress, "explanations": made, **given[command]}
                _run(command, arguments, more, folder)
            except TooFewWindows as few:
                self._tell(str(few))
                break
        if several and asked:
            with replacing(mark) as temporary:
                temporary.write_text(noted, encoding="utf-8")

    def _tell(self, line: str) -> None:
        if self.say is not None:
            self.say(line)

    def _given(self, out: Path, set_: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Return the arguments that steps need not mention, by command."""
        recipe, windows = self.recipe, self.windows
        checkpoint = out / "run" / "model.safetensors" if self.trained else self.own.checkpoint
        changes = [each.removeprefix("prepare.") for each in set_ if each.startswith("prepare.")]
        made = {"out": windows, "config": recipe.extends, "changes": changes, "force": True}
        where = recipe.recordings
        recordings = {} if where is None else {"path": _recordings(self.path, where)}
        run = {"config": recipe.extends, "out": out / "run", "fresh": self.fresh}
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
        if key == "split" and value.endswith(".txt"):
            value = str(out / value)
        elif key in _FILES:
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


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.is_file() else ""


def _parameters(function: Callable[..., Any]) -> list[str]:
    return list(inspect.signature(function).parameters)


def _by_command(given: Any) -> dict[str, Mapping[str, Any]]:
    """Check `{command: arguments}`."""
    if not isinstance(given, dict):
        raise ValueError("Expected {command: {argument: value}}")
    return dict(_arguments(command, own) for command, own in given.items())


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
