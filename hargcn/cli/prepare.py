"""`prepare`, `synthesise`: recordings become windows. `formats`, `layouts`: what can be read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hargcn.cli.options import next_command, table

if TYPE_CHECKING:
    from hargcn.data.readers import Reader
    from hargcn.data.windows import Windows
    from hargcn.skeleton import Skeleton

Out = Annotated[
    Path, typer.Option("--out", "-o", dir_okay=False, help="The windows file to write (.h5).")
]
OutOrConfigs = Annotated[
    Path | None,
    typer.Option(
        "--out", "-o", dir_okay=False,
        help="The windows file to write (.h5); default the `windows` of the experiment file.",
    ),
]  # fmt: skip
Train = Annotated[
    str | None, typer.Option("--train", help="Subjects to train on, e.g. s01,s03: sets by hand.")
]
Val = Annotated[str | None, typer.Option("--val", help="Subjects to choose the epoch by.")]
Test = Annotated[str | None, typer.Option("--test", help="Subjects to test on.")]
Config = Annotated[
    Path | None,
    typer.Option("--config", "-c", help="Experiment file whose section `prepare` is used."),
]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", "-s", help="Change a setting, e.g. -s windows.overlap=50."),
]
Force = Annotated[bool, typer.Option("--force", help="Replace a finished file.")]
Format = Annotated[
    str | None,
    typer.Option("--format", "-f", help="See `hargcn formats`; by default found by a look."),
]
Plant = Annotated[
    bool, typer.Option("--plant", help="Plant a known sign, and decoys of it: new classes.")
]
Shuffle = Annotated[
    bool, typer.Option("--shuffle-labels", help="Exchange the labels within subjects (a control).")
]
SkipBroken = Annotated[
    bool, typer.Option("--skip-broken", help="Leave unreadable recordings out and list them.")
]

Workers = Annotated[
    int | None,
    typer.Option(
        "--workers", min=1,
        help="Processes that read recordings; by default one per core, if each gets 500 files.",
    ),
]  # fmt: skip


def prepare(
    path: Annotated[Path, typer.Argument(help="Folder with the recordings, or a single one.")],
    out: OutOrConfigs = None,
    format_: Format = None,
    config: Config = None,
    set_: Set = None,
    train: Train = None,
    val: Val = None,
    test: Test = None,
    plant: Plant = False,
    shuffle: Shuffle = False,
    skip_broken: SkipBroken = False,
    workers: Workers = None,
    force: Force = False,
) -> None:
    """Turn recordings into a windows file (HDF5).

    Formats bring options (`--set reader.KEY=...`), defaults and splits: see `hargcn formats NAME`.

    Example: hargcn prepare UTD-MHAD/Skeleton --out data/utd_mhad.h5

    Example: hargcn prepare nturgb+d_skeletons --set split=xview --set reader.missing=missing.txt
    --out data/ntu60_xview.h5

    Example: hargcn prepare videos --set reader.outcomes=outcomes.csv --set
    reader.layout=inmotion19 --set split.val_share=0.2 --out data/cp.h5

    Example: hargcn prepare videos --config experiment.yaml --train s01,s03,s04 --val s05 --test s02

    Example: hargcn prepare MINI-RGBD --plant --config configs/mini_rgbd_planted.yaml
    --out data/mini_rgbd_planted.h5
    """
    from hargcn.pipeline import prepare as pipeline

    made = pipeline.prepare(
        path, out, config, set_ or (), format=format_, sets=_ids(train=train, val=val, test=test),
        plant=plant, shuffle_labels=shuffle, skip_broken=skip_broken, force=force,
        workers=workers, progress=True,
    )  # fmt: skip
    _report(made, config)


def synthesise(out: Out, config: Config = None, set_: Set = None, force: Force = False) -> None:
    """Generate articulated bodies whose class evidence is known: which joints, which frames.

    Example: hargcn synthesise -s synthetic.skeleton=inmotion29 -s synthetic.recordings=400
    --out data/synthetic.h5
    """
    from hargcn.pipeline import prepare as pipeline

    _report(pipeline.synthesise(out, config, set_ or (), force=force, progress=True), config)


def formats(
    name: Annotated[str | None, typer.Argument(help="Show one format's options.")] = None,
) -> None:
    """List the formats that `prepare` reads, or the options, defaults and splits of one.

    Example: hargcn formats ntu
    """
    from hargcn.data.readers import READERS

    if name is not None:
        _describe(READERS.find(name))
        return
    rows = [
        [each, reader.label, " ".join(reader.suffixes), reader.unknown]
        for each, reader in READERS.all().items()
    ]
    table("formats", ["name", "label", "suffixes", "what it cannot know"], rows, text=True)


def layouts(
    name: Annotated[
        str | None, typer.Argument(help="Show the joints of one, or of a skeleton.yaml.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", dir_okay=False, help="Draw it (.png, .svg, .pdf)."),
    ] = None,
) -> None:
    """List the key-point layouts that come with hargcn, or the joints, edges and parts of one.

    Example: hargcn layouts ntu25 --out ntu25.png
    """
    from hargcn.skeleton import names, skeleton

    if name is None and out is not None:
        raise ValueError("--out: expected the name of a layout to draw (got none)")
    if name is None:
        known = [skeleton(each) for each in names()]
        rows = [[s.name, str(s.n_joints), f"{s.ndim}D", ", ".join(s.parts)] for s in known]
        table("layouts", ["name", "joints", "space", "parts"], rows, text=True)
        return
    layout = skeleton(name)
    if out is None:
        _joints(layout)
        return
    from hargcn.checks import writable
    from hargcn.plots import plot_layout, save_figure

    writable(out, name)
    save_figure(plot_layout(layout)[0], out)
    typer.echo(str(out))


def _ids(**given: str | None) -> dict[str, list[str]]:
    """Return the ids of each set, from text with commas between them."""
    return {
        name: [each.strip() for each in text.split(",") if each.strip()]
        for name, text in given.items()
        if text is not None
    }


def _report(windows: Windows, config: Path | None) -> None:
    """Print what was done, what is in the sets, what nobody can know, and what comes next."""
    from hargcn.data.quality import Quality
    from hargcn.data.recipe import doubts, recipe

    quality = Quality.from_dict(windows.attrs["quality"])
    for line in [*recipe(windows), *quality.lines(), *doubts(windows)]:
        typer.echo(line)
    typer.echo(f"{windows.path}: {len(windows)} windows of {windows.frames} frames")
    if config is not None:
        next_command("hargcn", "train", config)


def _describe(reader: type[Reader]) -> None:
    """Print what a reader declares."""
    import yaml

    from hargcn.data.readers import Reader as Base
    from hargcn.registry import fields_of, meanings

    typer.echo(f"{reader.name}: {reader.label} ({', '.join(reader.suffixes)})")
    typer.echo(f"source: {reader.source}")
    typer.echo(f"unknown: {reader.unknown}")
    defaults = yaml.safe_dump(dict(reader.defaults), default_flow_style=True, width=1000)
    typer.echo(f"defaults: {defaults.strip()}")
    for chain, recipe in reader.recipes.items():
        brought = yaml.safe_dump(dict(recipe), default_flow_style=True, width=1000)
        typer.echo(f"with preprocess={chain}: {brought.strip()}")
    for key, split in reader.splits.items():
        ids = split.model_dump(include={"by", "train", "val", "test"}, exclude_defaults=True)
        listed = "; ".join(f"{k} {v if k == 'by' else ', '.join(v)}" for k, v in ids.items())
        typer.echo(f"split: {key} ({listed})")
    if reader.published is not Base.published:
        typer.echo("split: those that the files hold, by name; an unknown name lists them")
    said = meanings(reader)
    rows = [
        [
            f"reader.{key}",
            "null" if field.default is None else str(field.default),
            said.get(key, ""),
        ]
        for key, field in fields_of(reader).items()
    ]
    if rows:
        table("options (--set)", ["key", "default", "meaning"], rows, text=True)


def _joints(layout: Skeleton) -> None:
    """Print the joints of a layout with their parts, and its edges."""
    part = {joint: name for name, joints in layout.parts.items() for joint in joints}
    rows = [[str(i), joint, part[i]] for i, joint in enumerate(layout.joints)]
    table(
        f"{layout.name}: {layout.n_joints} joints in {layout.ndim}D",
        ["", "joint", "part"],
        rows,
        True,
    )
    edges = ", ".join(f"{layout.joints[a]} - {layout.joints[b]}" for a, b in layout.edges)
    typer.echo(f"edges: {edges}")


COMMANDS = (prepare, synthesise, formats, layouts)
