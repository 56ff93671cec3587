"""Experiments, each a folder of data: a question, a recipe, and the steps that answer it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from hargcn.checks import one_of
from hargcn.files import digest
from hargcn.pipeline.cluster import check_engine
from hargcn.pipeline.config import read_content
from hargcn.pipeline.decided import TooFewWindows
from hargcn.pipeline.evaluate import pool
from hargcn.pipeline.experiment_file import (
    CaseConfig,
    Experiment,
    Steps,
    experiments,
    read_experiment,
)
from hargcn.pipeline.job import package
from hargcn.pipeline.journal import Journal, keys, time_left, write_seconds
from hargcn.pipeline.parts import Parts, compare, join_tables, write_made
from hargcn.pipeline.rhythms import draw_shares
from hargcn.pipeline.steps import EXPLAINING, PREPARING, run_step, with_files, written

_SEEDED = ("prepare.plant", "prepare.synthetic", "train")


def experiment(
    name: str | Path,
    *,
    quick: bool = False,
    out: str | Path | None = None,
    cases: Sequence[str] = (),
    windows: str | Path | None = None,
    config: str | Path | None = None,
    checkpoint: str | Path | None = None,
    networks: str | Path | None = None,
    set_: Sequence[str] = (),
    fresh: bool = False,
    engine: str = "local",
    address: str | None = None,
    progress: bool = True,
    say: Callable[[str], None] | None = None,
) -> Path:
    """Run an experiment, step by step; what was done before is not done again.

    Parameters
    ----------
    name
        The name of one of the checkout's, or the file of another.
    quick
        Lay its section `quick` over the steps: everything is run once, in small.
    out
        Folder of the results; by default `results`, or `quick`, beside its file.
    cases
        Only these; by default all, or those of a quick run.
    windows
        A windows file of one's own: the only case, named after it, for which nothing is prepared.
    config, checkpoint
        Its recipe, by default that of the first case, or a network that was trained on it.
    networks
        Folder of the networks of all experiments, which are trained once; by default `networks`
        beside the experiment's folder.
    set_
        Changes `key.sub=value` of the recipe.
    fresh
        Do everything anew; train even where the experiment names a checkpoint.
    engine, address
        "local", or "ray": what is done once for a case, its steps with a seed, and what comes after
        its seeds are a task each of a Ray cluster, as for `explain`; `together` is done here.
    progress
        Whether to show progress bars.
    say
        Gets a line before every step, and a forecast before the first.

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
    check_engine(engine, address)
    path = Path(name)
    if path.suffix != ".yaml":
        known = experiments()
        path = known[one_of("an experiment", str(name), known)]
    own = _chosen(read_experiment(path), quick, cases)
    if windows is not None:
        own = _on_own_windows(own, Path(windows), config, checkpoint)
    elif config is not None or checkpoint is not None:
        raise ValueError("Expected --windows with --config and --checkpoint (got none)")
    out = Path(out) if out is not None else path.parent / ("quick" if quick else "results")
    if fresh:
        own = _untrained(own)
    trained = [case for case in own.recipes.values() if case.checkpoint is None]
    lost = [each for each in set_ if not each.startswith("prepare.")]
    if lost and not trained:
        raise ValueError(f"--set {lost[0]}: expected --fresh with it, to train another network")
    home = Path(networks) if networks is not None else path.resolve().parents[1] / "networks"
    data = _recordings(path)
    if "prepare" in [command for command, _ in (*own.once, *own.steps)]:
        _expect_recordings(data, own)
    run = _Run(own, out, home, data, windows, tuple(set_), quick, fresh, progress, say)
    if not quick:
        run.tell(time_left(path.parent / "results" / "seconds.csv", run.to_do()))
    if engine == "ray":
        run.on_cluster(address)
    else:
        run.in_turn()
    run.finish()
    return out


def _chosen(own: Experiment, quick: bool, cases: Sequence[str]) -> Experiment:
    """Return the cases that are asked for; of a quick run with the first seed only."""
    for each in cases:
        one_of("a case", each, own.cases)
    small = quick and own.quick_cases
    usual = [name for name, case in own.cases.items() if not case.optional] or own.cases
    kept = cases or (own.quick_cases if small else usual)
    if kept:
        own = own.model_copy(update={"cases": {name: own.cases[name] for name in kept}})
    return own.model_copy(update={"seeds": own.seeds[:1]}) if small else own


def _untrained(own: Experiment) -> Experiment:
    """Return an experiment without the networks that come with it."""
    cases = {name: case.model_copy(update={"checkpoint": None}) for name, case in own.cases.items()}
    return own.model_copy(update={"checkpoint": None, "cases": cases})


def _on_own_windows(
    own: Experiment, windows: Path, config: str | Path | None, checkpoint: str | Path | None
) -> Experiment:
    """Return an experiment on somebody's windows: one case, for which nothing is prepared."""
    first = next(iter(own.recipes.values()))
    case = CaseConfig(
        extends=first.extends if config is None else Path(config),
        checkpoint=None if checkpoint is None else Path(checkpoint),
        set=tuple(each for each in first.set if not each.startswith("prepare.")),
    )
    left = {
        section: tuple(step for step in getattr(own, section) if step[0] not in PREPARING)
        for section in ("once", "steps")
    }
    alone = {"cases": {windows.stem: case}, "checkpoint": None, "recordings": None}
    return own.model_copy(update={**left, **alone})


@dataclass(frozen=True)
class _Run:
    """One run of an experiment: what is asked of it, and where its parts lie."""

    own: Experiment
    out: Path
    networks: Path
    data: Path
    windows: str | Path | None
    set_: tuple[str, ...]
    quick: bool
    fresh: bool
    progress: bool
    say: Callable[[str], None] | None

    @cached_property
    def parts(self) -> Parts:
        """The folders of all parts, by case and seed."""
        return {
            (case, seed): self._home(case) / f"seed{seed}" if seed else self._home(case)
            for case, seed in self.own.parts()
        }

    @cached_property
    def sections(self) -> list[_Section]:
        """All that is done before tables are put together, in order."""
        once = {case: self._section("once", case, self._home(case)) for case in self.own.recipes}
        found: dict[Path, _Section] = {}
        for (case, seed), folder in self.parts.items():
            steps = self._section("steps", case, folder, seed, before=(once[case],))
            for each in (once[case], steps):
                found.setdefault(each.file, each)
        for case in self.own.recipes:
            own = [each for each in found.values() if (each.case, each.name) == (case, "steps")]
            last = self._section("afterwards", case, own[0].folder, before=own)
            found[last.file] = last
        return [*found.values()]

    @cached_property
    def together(self) -> _Section:
        """What is done last."""
        return self._section("together", "", self.out, before=self.sections)

    def to_do(self) -> list[tuple[str, str, str]]:
        """Return case, section and command of all steps that are not done."""
        return [
            (each.case, each.name, command)
            for each in (*self.sections, self.together)
            for command, _ in ([] if each.finished else each.asked[each.kept() :])
        ]

    def in_turn(self) -> None:
        """Do all sections, one after the other."""
        for each in self.sections:
            each.do()
            self._ended(each)

    def on_cluster(self, address: str | None) -> None:
        """Do all sections as tasks of a cluster; those that follow others when these are done."""
        from hargcn.pipeline.cluster import connected, on_cluster

        def ended(number: int) -> None:
            section = self.sections[number]
            self.tell(f"{section.file.relative_to(self.out)}: done")
            self._ended(section)

        far = replace(
            self, out=self.out.absolute(), networks=self.networks.absolute(),
            data=self.data.absolute(),
            windows=None if self.windows is None else Path(self.windows).absolute(),
            progress=False, say=None,
        )  # fmt: skip
        with connected(address):
            for name in ("once", "steps", "afterwards"):
                left = [
                    number
                    for number, each in enumerate(self.sections)
                    if each.name == name and each.asked and (self.fresh or not each.finished)
                ]
                on_cluster(far, left, ended, address=address, gpu=self.gpu)

    def __call__(self, number: int) -> None:
        """Do a section."""
        self.sections[number].do()

    @property
    def gpu(self) -> bool:
        """Whether a step names a GPU, or a change of the recipe does."""
        asked = [args for each in self.sections for _, args in each.asked]
        return any("cuda" in str(each) for each in (*asked, *self.set_))

    def finish(self) -> None:
        """Put the tables of all sections together, and do what comes last."""
        self.join()
        self.together.do()
        made = {part: self.files(part[0], folder) for part, folder in self.parts.items()}
        write_made(made, self.out / "made.csv")
        done = [
            (each.case, each.name, entry["command"], entry["seconds"])
            for each in (*self.sections, self.together)
            for entry in each.journal.entries
        ]
        write_seconds(done, self.out / "seconds.csv")

    def _ended(self, section: _Section) -> None:
        """Put the tables together that there are, should time be over."""
        if self.own.cases and section.name == "steps":
            self.join()

    def files(self, case: str, folder: Path) -> tuple[Path, Path]:
        """Return the windows and the network of a part."""
        home = self._home(case) if self.own.once else folder
        windows = home / "windows.h5" if self.windows is None else Path(self.windows)
        checkpoint = self.own.recipes[case].checkpoint
        return windows, checkpoint or folder / "run" / "model.safetensors"

    def join(self) -> None:
        """Put the tables of all parts that are done together."""
        done = {each.folder for each in self.sections if each.name == "steps" and each.finished}
        parts = {part: folder for part, folder in self.parts.items() if folder in done}
        judged = self.own.tables("evaluate")
        if self.own.cases or self.own.seeds:
            for table in self.own.tables():
                join_tables(parts, table, self.out)
        draw_shares([self.out / table for table in self.own.tables("rhythms")])
        if self.own.cases:
            compare(parts, judged, self.out, self.own.compare)
        elif self.own.seeds and len(parts) == len(self.parts):
            for table in judged:
                pool({each.name: each / table for each in parts.values()}, self.out / table)

    def tell(self, line: str) -> None:
        """Say a line, where somebody listens."""
        if self.say is not None:
            self.say(line)

    def _home(self, case: str) -> Path:
        return self.out / case

    def _section(
        self,
        name: str,
        case: str,
        folder: Path,
        seed: str = "",
        before: Sequence[_Section] = (),
    ) -> _Section:
        recipe = self.own.recipes.get(case, CaseConfig())
        of = ("train",) if self.own.once else _SEEDED
        seeded = [f"{each}.seed={seed}" for each in of if seed]
        changes = (*recipe.set, *seeded, *self.set_)
        return _Section(self, name, case, recipe, folder, changes, tuple(before))


@dataclass(frozen=True)
class _Section:
    """Steps that are done in one folder, after those of other sections."""

    run: _Run
    name: str
    case: str
    recipe: CaseConfig
    folder: Path
    set_: tuple[str, ...]
    before: tuple[_Section, ...]

    @property
    def file(self) -> Path:
        """What notes that steps are done."""
        return self.folder / f"{self.name}.json"

    @property
    def journal(self) -> Journal:
        """What of it is done, here or elsewhere."""
        return Journal.open(self.file)

    @cached_property
    def asked(self) -> Steps:
        """Its steps, with the arguments of the case and of a quick run."""
        own = self.recipe.arguments
        less = self.run.own.quick if self.run.quick else {}
        return tuple(
            (command, {**arguments, **own.get(command, {}), **less.get(command, {})})
            for command, arguments in getattr(self.run.own, self.name)
            if self.recipe.does(command)
        )

    @cached_property
    def keys(self) -> list[str]:
        """For each step a digest of all that its results follow from."""
        base = [package(), self.set_, self.case, *self._recipe()]
        return keys("".join(each.key for each in self.before), base, self.asked)

    @property
    def key(self) -> str:
        """The digest of all that the results of all its steps follow from."""
        return self.keys[-1] if self.keys else "".join(each.key for each in self.before)

    @property
    def finished(self) -> bool:
        """Whether all of its steps are done."""
        journal = self.journal
        done = journal.kept(self.keys)
        return done == len(self.keys) or (journal.ended and done == len(journal.entries))

    def kept(self) -> int:
        """Return how many of its steps are done already."""
        return 0 if self.run.fresh else self.journal.kept(self.keys)

    def do(self) -> None:
        """Do the steps that are not done yet."""
        if self.finished and not self.run.fresh:
            return
        kept, journal = self.kept(), self.journal
        journal.cut(kept)
        for command, arguments in self.asked[kept:]:  # an earlier job's tables are none of this one
            if table := written(command, arguments):
                (self.folder / table).unlink(missing_ok=True)
        made = [self.folder / args["out"] for command, args in self.asked if command in EXPLAINING]
        for number in range(kept, len(self.asked)):
            if journal.ended:
                break
            command, arguments = self.asked[number]
            file = (self.folder / arguments.get("out", "")).relative_to(self.run.out)
            line = f"{number + 1}/{len(self.asked)} {command} {file}"
            self.run.tell(line.removesuffix(" ."))
            given = {"explanations": made, **self._given(command)}
            began, ended = time.perf_counter(), False
            try:
                run_step(command, with_files(arguments, self.folder), given)
            except TooFewWindows as few:
                self.run.tell(str(few))
                ended = True
            took = time.perf_counter() - began
            journal.note(self.keys[number], command, took, ended=ended)

    def _recipe(self) -> list[Any]:
        """Return what its recipe, network and windows are, by content."""
        extends, checkpoint, windows = self.recipe.extends, self.recipe.checkpoint, self.run.windows
        return [
            None if extends is None else read_content(extends),
            None if checkpoint is None else digest(checkpoint),
            None if windows is None else digest(windows),
        ]

    def _given(self, command: str) -> dict[str, Any]:
        """Return the arguments that a step need not mention."""
        usual = {"progress": self.run.progress, "parts": self.run.parts}
        if not self.case and self.name == "together":
            return usual
        recipe, out = self.recipe, self.folder
        windows, checkpoint = self.run.files(self.case, out)
        if command in PREPARING:
            changes = [e.removeprefix("prepare.") for e in self.set_ if e.startswith("prepare.")]
            usual |= {"out": windows, "config": recipe.extends, "changes": changes, "force": True}
            if command == "prepare" and recipe.recordings is not None:
                usual["path"] = self.run.data / recipe.recordings
        elif command == "train":
            usual |= {
                "config": recipe.extends, "out": out / "run", "networks": self.run.networks,
                "fresh": self.run.fresh, "windows": windows, "set_": self.set_,
            }  # fmt: skip
        else:
            usual |= {"checkpoint": checkpoint, "windows": windows}
            usual["inputs"] = [checkpoint, windows]
        return usual


def _recordings(path: Path) -> Path:
    """Return the folder of all recordings: the one named by HARGCN_DATA, or beside the checkout."""
    beside = path.resolve().parents[2].parent / "shared" / "data"
    return Path(os.environ.get("HARGCN_DATA") or beside)


def _expect_recordings(data: Path, own: Experiment) -> None:
    """Refuse, before anything runs, recordings that are not there."""
    generated = [name for name, case in own.cases.items() if case.recordings is None]
    for case in own.recipes.values():
        if case.recordings is not None:
            folder = data / case.recordings
            if not folder.is_dir():
                instead = f", or take --case {generated[0]!r}" if generated else ""
                raise FileNotFoundError(
                    f"{folder}: no such folder of recordings; set HARGCN_DATA to the folder with "
                    f"{case.recordings}{instead}"
                )
