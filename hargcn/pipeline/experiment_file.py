"""The file of an experiment: a question, a recipe, and the steps that answer it."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, field_validator, model_validator

from hargcn.checks import checked
from hargcn.pipeline.config import read_content
from hargcn.pipeline.parts import Compare
from hargcn.pipeline.steps import PREPARING, Step, by_command, one_by_one, written

Steps = tuple[Step, ...]


class CaseConfig(BaseModel):
    """One of several recipes that all steps are done with.

    Parameters
    ----------
    extends, recordings, checkpoint
        As of the experiment, whose own hold where a case says nothing.
    set
        Changes `key.sub=value` of the recipe.
    arguments
        `{command: arguments}`, laid over those of all steps of this case.
    optional
        Done only where it is asked for by name, or by a quick run.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    extends: Path | None = None
    recordings: Path | None = None
    checkpoint: Path | None = None
    set: tuple[str, ...] = ()
    arguments: Mapping[str, Mapping[str, Any]] = {}
    optional: bool = False

    @field_validator("arguments", mode="before")
    @classmethod
    def _known(cls, given: Any) -> dict[str, Mapping[str, Any]]:
        return by_command(given)

    def does(self, command: str) -> bool:
        """Whether a step is one of this case: real recordings are prepared, others generated."""
        if command in PREPARING:
            return (command == "prepare") == (self.recordings is not None)
        return command != "train" or self.checkpoint is None


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
        Their folder, below that of all recordings; without it no step `prepare` is done, with it no
        `synthesise`, so that cases of both kinds share their steps.
    checkpoint
        A network that is used instead of training one.
    cases
        Do all steps, in a folder each, for every of these recipes; tables are joined then, with
        columns `case` and `seed`. The first seed of all cases comes before the second of any.
    seeds
        Do all steps, in a folder each, once with every of these seeds of planting, shuffling and
        training; tables are joined then. A case with a checkpoint is done once.
    once
        Steps that come before all others and that seeds do not repeat: with some, seeds are of the
        training alone.
    afterwards
        Steps that come after all seeds, once per case, in the folder of the first seed.
    together
        Steps that come last, once, in the folder of all results; a function's argument `parts` is
        given the folders by case and seed.
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
    together: Steps = ()
    compare: Compare = Compare()
    steps: Steps
    quick: Mapping[str, Mapping[str, Any]] = {}
    quick_cases: tuple[str, ...] = ()

    @field_validator("steps", "once", "afterwards", "together", mode="before")
    @classmethod
    def _single(cls, given: Any) -> list[Step]:
        return one_by_one(given)

    @field_validator("quick", mode="before")
    @classmethod
    def _known(cls, given: Any) -> dict[str, Mapping[str, Any]]:
        return by_command(given)

    @model_validator(mode="after")
    def _has_a_network(self) -> Experiment:
        trains = "train" in [command for command, _ in self.steps]
        if not trains and any(case.checkpoint is None for case in self.recipes.values()):
            raise ValueError("Expected a step `train`, or a `checkpoint`")
        if self.checkpoint is not None and self.seeds:
            raise ValueError("Expected seeds of networks that are trained (got a checkpoint)")
        if unknown := {*self.quick_cases} - {*self.cases}:
            raise ValueError(f"Expected quick_cases among the cases (got {min(unknown)!r})")
        for name, case in self.recipes.items():
            if case.extends is None:
                raise ValueError(f"Expected the key 'extends', here or in every case (not {name})")
        return self

    @property
    def recipes(self) -> dict[str, CaseConfig]:
        """Its cases by name; without any, itself as the only one, without a name."""
        own = {key: getattr(self, key) for key in ("extends", "recordings", "checkpoint")}
        return {
            name: CaseConfig.model_validate(own | case.model_dump(exclude_none=True))
            for name, case in (self.cases or {"": CaseConfig()}).items()
        }

    def parts(self) -> list[tuple[str, str]]:
        """Return case and seed of all that is done by itself; a seed is "" where there is none."""
        return [
            (name, str(seed))
            for at, seed in enumerate(self.seeds or ("",))
            for name, case in self.recipes.items()
            if case.checkpoint is None or at == 0
        ]

    def tables(self, *commands: str) -> list[str]:
        """Return the names of the tables that steps of some commands write, or of all but evaluate.

        Those of `evaluate` are pooled and compared, not laid one under the other.
        """
        steps = (*self.steps, *self.afterwards)
        named = [
            written(command, args)
            for command, args in steps
            if (command in commands if commands else command != "evaluate")
        ]
        return [*dict.fromkeys(name for name in named if name is not None)]


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
        name: case.model_copy(
            update={"extends": whole(case.extends), "checkpoint": whole(case.checkpoint)}
        )
        for name, case in read.cases.items()
    }
    beside = {"extends": whole(read.extends), "checkpoint": whole(read.checkpoint)}
    return read.model_copy(update={**beside, "cases": cases})
