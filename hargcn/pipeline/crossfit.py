"""Cross-fitting: every subject is scored and explained by networks that never saw it."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch

from hargcn.checks import at_least, one_of, writable
from hargcn.data.folds import Fold, deal
from hargcn.data.splits import strata_of
from hargcn.data.windows import Windows
from hargcn.explainers.base import METHODS
from hargcn.files import locked, replacing
from hargcn.networks.stgcn import MultiBranchSTGCN
from hargcn.pipeline import network
from hargcn.pipeline.config import ExperimentConfig, read_content
from hargcn.pipeline.explain import build_explainer, explain, layers_of
from hargcn.pipeline.explain_windows import KEPT, check_target
from hargcn.pipeline.job import code_of, package
from hargcn.pipeline.joining import join
from hargcn.pipeline.pooling import Pool
from hargcn.pipeline.shards import job_of, outputs
from hargcn.pipeline.train import Recipe, read_recipe
from hargcn.training.fit import FILES, expect_run, fit
from hargcn.training.objectives import expect_monitored, monitored

BY = {"subject": "group", "group": "group", "camera": "camera", "setup": "setup"}
"""What can be held out, by the name it is asked for."""

_DAYS = {"device", "workers", "threads"}  # settings that do not make another result


@dataclass(frozen=True, eq=False)
class CrossFit:
    """A finished cross-fitting.

    Parameters
    ----------
    path
        `crossfit.json`, in its folder.
    figures
        What it holds: `folds` (who was held out, who chose the epoch, the figures), `pooled` and
        `mean_over_folds`.
    explanations
        The joined explanation files.
    """

    path: Path
    figures: dict[str, Any]
    explanations: list[Path]


def crossfit(
    config: str | Path | ExperimentConfig,
    *,
    folds: int = 5,
    by: str = "subject",
    val_share: float | None = None,
    seed: int = 1234,
    set_: Sequence[str] = (),
    out: str | Path | None = None,
    methods: Sequence[str] = (),
    layer: Sequence[str] = (),
    target: str = "predicted",
    background: int = 100,
    background_by: str = "random",
    keep: str = "full",
    aggregate: str = "mean",
    device: str = "cpu",
    progress: bool = True,
    say: Callable[[str], None] | None = None,
) -> CrossFit:
    """Train a network per fold, without the fold's subjects; test and explain these with it.

    Outcomes may be of any kind; where some are not known, their windows are explained but not
    tested. The sets of the windows file are not used. Nothing sees who is held out: the epoch is
    chosen by subjects drawn from the others, class weights, batch statistics and SHAP's background
    come from those that train. The same call after a kill goes on where it stopped.

    Writes `fold-1/` and so on (runs as of `train`, with the fold's explanations), `crossfit.json`,
    `predictions.csv` (a row per recording of known outcome), and of each method `explanations.h5`
    (of several methods or layers with their names in it) for all windows in the order of the file,
    with the variable `fold`.

    Parameters
    ----------
    config
        An experiment file, or its content.
    folds
        How many; as many as there are subjects leaves one out at a time.
    by
        What is held out as a whole: "subject" (or "group"), "camera", "setup".
    val_share
        Share of the other subjects that choose the epoch; by default that of the experiment's
        `prepare.split`, or 0.2 where its `train` asks for a choice (`select: best`, `patience`,
        `monitor`), else none.
    seed
        Of the deal of subjects, the draw of those that choose, and the explanations.
    set_
        Changes `key.sub=value` of the experiment, and `METHOD.key=value` of a method's settings.
    out
        Folder of the results; of an experiment file by default `runs/<its name>_crossfit`.
    methods
        Methods of explanation, see `hargcn.explainers.methods`; none explains nothing.
    layer
        Layers of those methods that need one, as for `explain`.
    target, background, background_by, keep
        As for `explain`.
    aggregate
        How a recording's probabilities come from those of its windows: "mean" or "median".
    device
        Where networks are tested and explain.
    progress
        Whether to show progress bars.
    say
        Gets a line before every fold, and what is finished already.

    Raises
    ------
    FileNotFoundError
        Without the experiment file or its windows.
    ValueError
        For fewer subjects than folds, windows without labels or subjects, one class only in a
        fold's sets, and what `train`, `test` and `explain` refuse.

    Warns
    -----
    UserWarning
        For classes that fewer subjects show than there are folds.
    """
    one_of("by", by, BY)
    one_of("aggregate", aggregate, ("mean", "median"))
    one_of("--keep", keep, KEPT)
    at_least("--background", background, 1)
    changes, own_changes = _apart(set_, methods)
    own = read_recipe(config, changes, out, "_crossfit")
    if own.settings.train.distil is not None:
        raise ValueError(
            "Expected no train.distil for a cross-fitting: its teacher may have seen whom the "
            f"students are tested with (got {own.settings.train.distil.teacher})"
        )
    data = Windows.open(own.windows)
    dealt = _dealt(data, own.settings, folds, by, val_share, seed)
    common = {
        "target": target, "background": background, "background_by": background_by, "keep": keep,
        "seed": seed, "device": device,
    }  # fmt: skip
    asked = {
        name: {**common, "method": name, "settings": own_changes[name], "layer": chosen}
        for name, chosen in _layers(methods, layer).items()
    }
    job, files = _planned(own, data, dealt, asked, aggregate)
    path, predictions = own.out / "crossfit.json", own.out / "predictions.csv"
    for each in (path, predictions, *(own.out / name for name in files)):
        writable(each, *own.inputs)
    for fold in dealt:
        _check_run(own, fold, files)
    say = say or _silent
    with locked(path):
        if done := _finished(path, job, [predictions, *(own.out / name for name in files)]):
            say(f"{path}: finished before, nothing to do (remove it to make it anew)")
            return CrossFit(path, done, [own.out / name for name in files])
        if given := ", ".join(sorted({str(name) for name in data.split if name})):
            say(f"{data.path}: its sets ({given}) are not used: everybody is tested once")
        parts = []
        for fold in dealt:
            say(_introduced(fold, data))
            parts.append(_fold(own, data, fold, asked, aggregate, device, progress, say))
        pool = Pool.of(data, [_sets(fold, data) == "test" for fold in dealt], parts, aggregate)
        figures = _figures(own, data, dealt, parts, pool) | {"job": job}
        rows = [np.flatnonzero(_sets(fold, data) == "test") for fold in dealt]
        for name in files:
            _join(own.out, name, rows, job)
        pool.write_predictions(predictions)
        with replacing(path) as temporary:
            temporary.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    return CrossFit(path, figures, [own.out / name for name in files])


# -- before anything is trained ------------------------------------------------------------------


def _apart(
    set_: Sequence[str], methods: Sequence[str]
) -> tuple[list[str], dict[str, dict[str, Any]]]:
    """Tell changes of the experiment from those of methods' settings."""
    rest: list[str] = []
    own: dict[str, list[str]] = {METHODS.find(name).name: [] for name in methods}
    for change in set_:
        name, _, setting = change.partition(".")
        if name not in METHODS.all():
            rest.append(change)
        elif name in own:
            own[name].append(setting)
        else:
            raise ValueError(f"--set {change}: expected --method {name} with it")
    return rest, {name: read_content(None, changes) for name, changes in own.items()}


def _layers(methods: Sequence[str], layer: Sequence[str]) -> dict[str, list[str]]:
    """Return the layers asked for, by method: those that need none get none."""
    found = {
        name: [*layer] if "layer" in METHODS.find(name).needs else []
        for name in dict.fromkeys(methods)
    }
    if layer and not any(found.values()):
        raise ValueError(f"--layer: expected a method of layers (got {', '.join(methods) or 0})")
    return found


def _dealt(
    data: Windows,
    settings: ExperimentConfig,
    count: int,
    by: str,
    val_share: float | None,
    seed: int,
) -> list[Fold]:
    """Deal the subjects, and refuse what some fold's training would stumble over."""
    if data.outputs.kind == "classes" and (lost := int((data.label < 0).sum())):
        raise ValueError(f"{data.path}: expected a label for every window (got {lost} without)")
    if val_share is None:
        train, split = settings.train, settings.prepare.split
        chooses = train.select == "best" or train.patience or train.monitor
        val_share = (split.val_share if split else 0) or (0.2 if chooses else 0)
    columns = {name: getattr(data, name) for name in ("label", "group", "camera", "setup")}
    if data.outcome is not None:
        columns |= strata_of(data.outputs, data.outcome)
    try:
        dealt = deal(columns, count, one_of("by", BY[by], BY), val_share, seed)
    except ValueError as error:
        raise ValueError(f"{data.path}: {error}") from error
    for fold in dealt:
        _expect_varied(data, fold, settings)
    ids = np.asarray(columns[BY[by]])
    rare = [
        name
        for i, name in enumerate(data.classes)
        if 0 < len(np.unique(ids[data.label == i])) < count
    ]
    if rare:
        warnings.warn(
            f"{data.path}: fewer than {count} {by}s show {', '.join(rare)}: some of the {count} "
            "folds do not test that",
            stacklevel=3,
        )
    return dealt


def _expect_varied(data: Windows, fold: Fold, settings: ExperimentConfig) -> None:
    """Refuse a fold that has nothing to learn from, to choose an epoch by, or to test."""
    sets, outputs = np.where(data.known, _sets(fold, data), ""), data.outputs
    if not (sets == "test").any():
        raise ValueError(
            f"{data.path}: expected windows of known outcome to test fold {fold.number} with (got "
            "none): ask for fewer folds"
        )
    if not outputs.listed:
        _expect_values(data, fold, sets, settings)
        return
    for name in ("train", "val"):
        shown = np.unique(data.label[sets == name])
        if len(shown) == 1:
            raise ValueError(
                f"{data.path}: expected at least 2 classes in the set {name} of fold "
                f"{fold.number} (got {data.classes[shown[0]]!r} only)"
            )


def _expect_values(data: Windows, fold: Fold, sets: np.ndarray, settings: ExperimentConfig) -> None:
    """Refuse a fold whose training outcomes are alike, or whose validation says nothing."""
    train, names = data.wanted[sets == "train"], data.outputs.names
    same = [len(np.unique(each[~np.isnan(each)])) < 2 for each in train.T]
    if all(same) or (any(same) and data.outputs.kind == "regression"):
        alike = ", ".join(name for name, one in zip(names, same, strict=True) if one)
        raise ValueError(
            f"{data.path}: expected different outcomes in the set train of fold {fold.number} (all "
            f"are alike in {alike})"
        )
    if (sets == "val").any():
        monitor = monitored(settings.train, data.outputs)
        try:
            expect_monitored(monitor, data.subset(np.flatnonzero(sets == "val")))
        except ValueError as error:
            raise ValueError(f"fold {fold.number}: {error}") from error


def _planned(
    own: Recipe,
    data: Windows,
    dealt: Sequence[Fold],
    asked: Mapping[str, Mapping[str, Any]],
    aggregate: str,
) -> tuple[str, list[str]]:
    """Return what marks this job, and the names of its explanation files.

    Methods, their settings and layers are tried on an untrained network of the first fold.
    """
    with torch.random.fork_rng(devices=[]):
        model = MultiBranchSTGCN(own.settings.model, data.skeleton, data.outputs)
    first = replace(data, split=_sets(dealt[0], data))
    files: list[str] = []
    code = [package(), f"torch {version('torch')}"]
    for name, request in asked.items():
        layers = layers_of(model, name, request["layer"])
        tried = {**request, "background": str(request["background"]), "background_class": []}
        explainer = build_explainer(model, first, tried, layers)
        explainer.expect_outputs(model)
        code += code_of(explainer)
        check_target(model, data, request["target"])
        base = Path("explanations.h5" if len(asked) == 1 else f"explanations.{name}.h5")
        files += [each.name for each in outputs(base, layers or [""]).values()]
    job = {
        "code": code, "windows": data.digest, "folds": [fold.model_dump() for fold in dealt],
        "model": own.settings.model.model_dump(mode="json"),
        "train": own.settings.train.model_dump(mode="json", exclude=_DAYS),
        "asked": asked, "aggregate": aggregate,
    }  # fmt: skip
    return hashlib.sha256(json.dumps(job, sort_keys=True).encode()).hexdigest(), files


def _check_run(own: Recipe, fold: Fold, files: Sequence[str]) -> None:
    run = own.out / f"fold-{fold.number}"
    for name in (*FILES, *files):
        writable(run / name, *own.inputs)
    expect_run(run)


def _finished(path: Path, job: str, files: Sequence[Path]) -> dict[str, Any]:
    """Return the figures of this job where everything is there and whole, else none."""
    if not path.is_file() or not all(each.is_file() for each in files):
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:  # something else, which the result will replace
        return {}
    joined = [each for each in files if each.suffix == ".h5"]
    ours = found.get("job") == job and all(job_of(each) == job for each in joined)
    return found if ours else {}


# -- fold by fold --------------------------------------------------------------------------------


def _sets(fold: Fold, data: Windows) -> np.ndarray:
    return fold.sets({name: getattr(data, name) for name in ("group", "camera", "setup")})


def _introduced(fold: Fold, data: Windows) -> str:
    sets = _sets(fold, data)
    train, val = (len(np.unique(data.group[sets == name])) for name in ("train", "val"))
    some = ", ".join(fold.test[:8]) + (", ..." if len(fold.test) > 8 else "")
    chooses = f", choose the epoch: {val}" if val else ""
    what = {"group": "subject", "camera": "camera", "setup": "set-up"}[fold.by]
    return (
        f"fold {fold.number}/{fold.of}: {what} {some} held out; subjects that train: "
        f"{train}{chooses}"
    )


def _fold(
    own: Recipe,
    data: Windows,
    fold: Fold,
    asked: Mapping[str, Mapping[str, Any]],
    aggregate: str,
    device: str,
    progress: bool,
    say: Callable[[str], None],
) -> dict[str, Any]:
    """Train without a fold's subjects, test and explain them; return figures and answers."""
    run = own.out / f"fold-{fold.number}"
    trained = fit(
        own.settings.model,
        replace(data, split=_sets(fold, data)),
        own.settings.train,
        run,
        progress=progress,
        card={**own.card, "crossfit": fold.model_dump(mode="json")},
    )
    found = network.test(
        trained.path, data.path, device=device, aggregate=aggregate, progress=progress
    )
    for name, request in asked.items():
        out = run / ("explanations.h5" if len(asked) == 1 else f"explanations.{name}.h5")
        explain(trained.path, data.path, out, **request, progress=progress, say=say)
    return {"epoch": trained.epoch, "figures": found.to_dict(), "said": found.probabilities}


def _silent(_: str) -> None:
    """Say nothing."""


# -- together ------------------------------------------------------------------------------------


def _figures(
    own: Recipe,
    data: Windows,
    dealt: Sequence[Fold],
    parts: Sequence[Mapping[str, Any]],
    pool: Pool,
) -> dict[str, Any]:
    return {
        "hargcn": version("hargcn"),
        **own.card,
        "windows": {"file": data.path.name, "digest": data.digest},
        **pool.figures(),
        "folds": [
            {**fold.model_dump(mode="json"), "epoch": part["epoch"], **part["figures"]}
            for fold, part in zip(dealt, parts, strict=True)
        ],
    }


def _join(out: Path, name: str, rows: Sequence[np.ndarray], job: str) -> None:
    """Join the folds' explanations of one method and layer, in the order of the windows file."""
    files = [out / f"fold-{number}" / name for number in range(1, len(rows) + 1)]
    said = []
    for file in files:
        with h5py.File(file, "r") as part:
            said.append({key: str(part.attrs[key]) for key in ("model", "settings")})
    settings = [json.loads(each["settings"]) for each in said]
    alike = {k: v for k, v in settings[0].items() if all(each.get(k) == v for each in settings)}
    numbers = np.empty(sum(map(len, rows)), np.int64)
    for number, own in enumerate(rows, 1):
        numbers[own] = number
    with replacing(out / name) as temporary:
        join(
            files,
            temporary,
            "sample",
            at=rows,
            without=["background"],  # each fold has its own
            columns={"fold": numbers},
            attrs={
                "model": " ".join(each["model"] for each in said),
                "settings": json.dumps(alike),
                "request": "",
                "crossfit": json.dumps({"folds": len(files)}),
                "job": job,
            },
        )
