"""From recordings, or from generated bodies, to a windows file."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import h5py

from hargcn.checks import writable
from hargcn.data.planted import planting, synthetic
from hargcn.data.preprocess import preprocess
from hargcn.data.readers import READERS, Reader, find_reader
from hargcn.data.readers.base import Part
from hargcn.data.splits import SplitConfig
from hargcn.data.windows import Windows, write_windows
from hargcn.files import locked, track
from hargcn.outputs import Outputs
from hargcn.pipeline.config import PrepareConfig, read_config, read_content
from hargcn.processes import cores
from hargcn.registry import build, fields_of

Config = str | Path | Mapping[str, Any] | None
"""An experiment file, or the content of its section `prepare`."""

_WORTH_IT = 500  # recordings: a process takes a second to begin
_SYNTHETIC = {"preprocess": "utd-mhad", "windows": {"mode": "whole", "length": 90}}


def prepare(
    path: str | Path,
    out: str | Path | None = None,
    config: Config = None,
    changes: Sequence[str] = (),
    *,
    format: str | None = None,
    sets: Mapping[str, Sequence[str]] | None = None,
    plant: bool = False,
    shuffle_labels: bool = False,
    skip_broken: bool = False,
    force: bool = False,
    workers: int | None = 1,
    progress: bool = False,
) -> Windows:
    """Turn recordings into a windows file.

    Parameters
    ----------
    path
        A folder of recordings, or a single one.
    out
        The file to write; it appears when whole. By default the `windows` of the experiment file.
    config
        An experiment file, whose section `prepare` counts, or the content of that section. What it
        does not say is as the format's `recipes` of that preprocessing and its `defaults` say.
    changes
        `key.sub=value` in that section; they win.
    format
        The reader's name, before that of the settings; by default a look at the files finds it.
    sets
        Ids of those who are in "train", "val" and "test"; they win over any other rule of the
        split but for what the ids name (`split.by`).
    plant
        Plant a known sign, and decoys of it: the classes are those of `plant.classes` then.
    shuffle_labels
        Exchange the labels within every subject, as a control.
    skip_broken
        Leave out recordings that cannot be read; they are listed in the quality report.
    force
        Replace a finished file.
    workers
        How many processes read and preprocess recordings, for the same file; with 1 it is this one.
        None for as many as there are cores, if there are 500 files for each (of a file that holds
        many recordings every process would read all). A script that asks for several guards its
        main part by `if __name__ == "__main__":`.
    progress
        Whether to show a progress bar.

    Returns
    -------
    Windows
        The file, opened; its attribute `quality` says what was lost on the way.

    Raises
    ------
    FileNotFoundError
        If an input is not there.
    ValueError
        For unknown or wrong settings, a format that cannot be told, recordings that are damaged or
        do not fit the settings, or an output that is there or is an input. An earlier file stays.
    """
    path, out = Path(path), _out(out, config)
    changes = [*changes, *_named_sets(config, changes, sets or {})]
    name = format or _named("format", config, changes)
    kind = READERS.find(name) if name else find_reader(path)
    chain = _named("preprocess", config, changes)
    recipe = kind.recipes.get(chain, {}) if isinstance(chain, str) else {}
    settings = _settings(config, changes, {**kind.defaults, **recipe})
    reader = build(kind, settings.reader, f"reader {kind.name}")
    split = None
    if settings.split is not None:
        split = kind.split(settings.split, reader.published(path))
    published = None if settings.split is None else settings.split.published
    found = reader.recordings(path, published, "skip" if skip_broken else "raise", progress)
    inputs = [path, *{Path(item) for item in found.items}, *_files_of(reader), *_file(config)]
    about = [kind.label, *([published] if published else [])]
    if workers is None:
        own_files = not any(isinstance(item, Part) for item in found.items)
        workers = max(1, min(cores(), len(found) // _WORTH_IT)) if own_files else 1
    outputs = found.outputs or Outputs("classes", found.classes)
    ready = found.map(partial(preprocess, config=settings.preprocess))
    ready = replace(ready, workers=workers)
    if plant:
        ready = ready.through(
            partial(planting.plant, config=settings.plant, windows=settings.windows)
        )
        about, outputs = [*about, "planted"], settings.plant.outputs
    if shuffle_labels:
        ready = ready.through(partial(planting.shuffle_labels, seed=settings.plant.seed))
        about = [*about, "labels shuffled"]
    with _output(out, inputs, force):
        return _write(out, ready, outputs, settings, ", ".join(about), split, kind.name)


def synthesise(
    out: str | Path,
    config: Config = None,
    changes: Sequence[str] = (),
    *,
    force: bool = False,
    progress: bool = False,
) -> Windows:
    """Write windows of generated bodies whose class evidence is known.

    Parameters
    ----------
    out, config, changes, force, progress
        As in `prepare`; `synthetic` says what is generated. Without a split two of five subjects
        test.

    Returns
    -------
    Windows
        The file, opened.

    Raises
    ------
    FileNotFoundError, ValueError
        As `prepare`.
    """
    out = Path(out)
    settings = _settings(config, changes, _SYNTHETIC)
    made = settings.synthetic
    people = range(min(made.subjects, made.recordings))
    test = SplitConfig(test=tuple(f"subject{i:02d}" for i in people if i % 5 >= 3))
    split = settings.split if "split" in settings.model_fields_set else test
    bodies = synthetic.generate(made, settings.windows, settings.preprocess.fps)
    bodies = track(bodies, "generating", made.recordings, progress)
    ready = (preprocess(body, settings.preprocess) for body in bodies)
    with _output(out, _file(config), force):
        return _write(out, ready, made.plant.outputs, settings, "synthetic", split)


def _out(out: str | Path | None, config: Config) -> Path:
    """Return the file to write: as given, or as the experiment file names it for training."""
    named = out
    if named is None and isinstance(config, str | Path):
        named = read_content(config).get("windows")
    if named is None:
        raise ValueError("Expected a windows file to write (got neither --out nor `windows`)")
    return Path(str(named))


def _named_sets(
    config: Config, changes: Sequence[str], sets: Mapping[str, Sequence[str]]
) -> list[str]:
    """Return the change of the split that puts people into sets by their ids."""
    if not any(sets.values()):
        return []
    section = read_content(*_experiment(config, changes)).get("prepare") or {}
    split = section.get("split")
    rule = {"by": split["by"]} if isinstance(split, Mapping) and "by" in split else {}
    return [f"split={json.dumps(rule | {name: list(ids) for name, ids in sets.items() if ids})}"]


def _experiment(config: Config, changes: Sequence[str]) -> tuple[Config, list[str]]:
    """Return a whole experiment, and changes of its keys."""
    whole = {"prepare": config} if isinstance(config, Mapping) else config
    return whole, [f"prepare.{change}" for change in changes]


def _named(key: str, config: Config, changes: Sequence[str]) -> Any:
    """Return the format or the preprocessing of the settings: they decide the other defaults."""
    section = read_content(*_experiment(config, changes)).get("prepare")
    return section.get(key) if isinstance(section, Mapping) else None


def _settings(config: Config, changes: Sequence[str], defaults: Mapping[str, Any]) -> PrepareConfig:
    return read_config(*_experiment(config, changes), {"prepare": defaults}).prepare


def _write(
    out: Path,
    recordings: Iterable[Any],
    outputs: Outputs,
    settings: PrepareConfig,
    source: str,
    split: SplitConfig | None,
    reader: str = "",
) -> Windows:
    return write_windows(
        out,
        recordings,
        outputs,
        settings.windows,
        source=source,
        reader=reader,
        preprocessing=settings.preprocess.model_dump(mode="json"),
        split=split,
    )


def _file(config: Config) -> list[Path]:
    return [Path(config)] if isinstance(config, str | Path) else []


def _files_of(reader: Reader) -> list[Path]:
    """Return the tables, lists and layouts that a reader's options name."""
    values = (getattr(reader, name) for name in fields_of(type(reader)))
    return [Path(value) for value in values if isinstance(value, str | Path)]


@contextmanager
def _output(out: Path, inputs: Iterable[Path], force: bool) -> Iterator[None]:
    """Refuse an output before anything is computed, one that is there unless by force; keep it."""
    inputs = list(inputs)
    writable(out, *inputs)
    beside = any(each.is_dir() and each.resolve() in out.resolve().parents for each in inputs)
    if beside and out.exists() and not h5py.is_hdf5(out):
        raise ValueError(
            f"{out}: expected another file to write than one of the recordings' folder"
        )
    with locked(out):
        if out.exists() and not force:
            raise ValueError(f"{out}: expected a new file (it is there; --force replaces it)")
        yield
