"""`hargcn prepare`: recordings become windows."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hargcn.data.recording import Recording
    from hargcn.data.windows import Windows
    from hargcn.pipeline.config import PrepareConfig

app = typer.Typer(
    help="Turn recordings into a windows file (HDF5).",
    no_args_is_help=True,
    rich_markup_mode="rich",
)

Out = Annotated[
    Path, typer.Option("--out", "-o", dir_okay=False, help="The windows file to write (.h5).")
]
Config = Annotated[
    Path | None,
    typer.Option("--config", "-c", help="Experiment file whose section `prepare` is used."),
]
Layout = Annotated[str, typer.Option(help="Key points: a layout's name or a skeleton.yaml.")]
Fps = Annotated[str, typer.Option(help="Key points: column with the frame rate, or a number.")]
Outcomes = Annotated[
    Path | None,
    typer.Option(help="Key points: table (CSV), a row per video with its outcome, subject, fps."),
]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", "-s", help="Change a setting, e.g. -s windows.overlap=50."),
]
Folder = Annotated[Path, typer.Argument(help="Folder with the recordings.")]
SkipBroken = Annotated[
    bool, typer.Option("--skip-broken", help="Leave unreadable recordings out and list them.")
]


def _settings(config: Path | None, changes: list[str] | None, **defaults: Any) -> PrepareConfig:
    """Read the section `prepare`; what it does not set falls back to the source's defaults.

    A split is one rule: it is replaced as a whole.
    """
    from hargcn.pipeline.config import read_config

    split = defaults.pop("split", None)
    own = read_config(
        config, [f"prepare.{change}" for change in changes or ()], {"prepare": defaults}
    ).prepare
    return own if own.split is not None else own.model_copy(update={"split": split})


def _write(
    recordings: Iterable[Recording],
    classes: tuple[str, ...],
    settings: PrepareConfig,
    out: Path,
    source: str,
    raw: bool = True,
) -> Windows:
    from hargcn.data.preprocess import preprocess
    from hargcn.data.quality import Quality
    from hargcn.data.recording import Recordings
    from hargcn.data.windows import write_windows

    chain = settings.preprocess
    if raw:
        change = partial(preprocess, config=chain)
        recordings = (
            recordings.map(change)
            if isinstance(recordings, Recordings)
            else map(change, recordings)
        )
    windows = write_windows(
        out,
        recordings,
        classes,
        settings.windows,
        source=source,
        preprocessing=chain.model_dump(mode="json"),
        split=settings.split,
    )
    for line in Quality.from_dict(windows.attrs["quality"]).lines():
        typer.echo(line)
    typer.echo(f"{out}: {len(windows)} windows of {windows.frames} frames")
    return windows


@app.command()
def ntu(
    folder: Folder,
    out: Out,
    protocol: Annotated[
        str | None,
        typer.Option(help="Split: xsub (the default), xview (NTU 60), xsub120 or xset (NTU 120)."),
    ] = None,
    missing: Annotated[
        Path | None, typer.Option(help="The official list of samples without skeletons.")
    ] = None,
    config: Config = None,
    set_: Set = None,
    skip_broken: SkipBroken = False,
) -> None:
    """NTU RGB+D `.skeleton` files.

    Example: hargcn prepare ntu nturgb+d_skeletons --protocol xview --missing missing.txt
    --out data/ntu60_xview.h5
    """
    from hargcn.checks import checked
    from hargcn.data.readers import reader
    from hargcn.data.splits import SplitConfig

    split = checked(SplitConfig, {"protocol": protocol or "xsub"}, "--protocol")
    whole = {"mode": "whole", "length": 150, "fit": "pad"}
    settings = _settings(config, set_, preprocess="ntu", windows=whole, split=split)
    used = settings.split.protocol if settings.split else None
    if protocol not in (None, used):
        wanted = used or "none"
        raise ValueError(f"--protocol: expected {wanted}, as the config says (got {protocol})")
    recordings = reader("ntu").read_folder(
        folder, missing=missing, protocol=used, on_error=_policy(skip_broken), progress=True
    )
    _write(recordings, recordings.classes, settings, out, "NTU RGB+D")


@app.command()
def keypoints(
    folder: Folder,
    out: Out,
    outcomes: Outcomes = None,
    skeleton: Layout = "inmotion29",
    video: Annotated[str, typer.Option(help="Column with the CSV's name.")] = "video",
    outcome: Annotated[str, typer.Option(help="Column with the class.")] = "outcome",
    subject: Annotated[str, typer.Option(help="Column with the subject.")] = "subject",
    fps: Fps = "fps",
    classes: Annotated[
        str | None,
        typer.Option(help="Outcomes in order, the positive one last; default sorted by name."),
    ] = None,
    likelihood: Annotated[
        float, typer.Option(help="Key points below this likelihood count as not observed.")
    ] = 0.0,
    config: Config = None,
    set_: Set = None,
    skip_broken: SkipBroken = False,
) -> None:
    """Key points of single videos: a folder of CSVs with columns `<joint>_x,<joint>_y`.

    Example: hargcn prepare keypoints videos/ --outcomes outcomes.csv --skeleton inmotion29
    --set preprocess=cp --set split.val_share=0.2 --out data/cp.h5
    """
    from hargcn.data.readers import reader

    settings = _settings(config, set_, preprocess="cp")
    recordings = reader("keypoints").read_folder(
        folder,
        outcomes,
        skeleton,
        video=video,
        outcome=outcome,
        subject=subject,
        fps=fps,
        likelihood=likelihood,
        classes=None if classes is None else [name.strip() for name in classes.split(",")],
        on_error=_policy(skip_broken),
        progress=True,
    )
    _write(recordings, recordings.classes, settings, out, "key points")


@app.command("utd-mhad")
def utd_mhad(
    folder: Folder,
    out: Out,
    config: Config = None,
    set_: Set = None,
    skip_broken: SkipBroken = False,
) -> None:
    """UTD-MHAD skeletons (`aA_sS_tT_skeleton.mat`), split across subjects.

    Example: hargcn prepare utd-mhad UTD-MHAD/Skeleton --out data/utd_mhad.h5
    """
    from hargcn.data.readers import reader
    from hargcn.data.splits import SplitConfig

    settings = _settings(
        config,
        set_,
        preprocess="utd-mhad",
        windows={"mode": "whole", "length": 64},
        split=SplitConfig(train=("s1", "s3", "s5", "s7")),
    )
    recordings = reader("utd-mhad").read_folder(
        folder, on_error=_policy(skip_broken), progress=True
    )
    _write(recordings, recordings.classes, settings, out, "UTD-MHAD")


@app.command("mini-rgbd")
def mini_rgbd(
    folder: Folder,
    out: Out,
    config: Config = None,
    set_: Set = None,
    skip_broken: SkipBroken = False,
) -> None:
    """MINI-RGBD infants in 2D; without labels, so usually the start of `prepare plant`.

    Example: hargcn prepare mini-rgbd MINI-RGBD/raw --out data/mini_rgbd.h5
    """
    from hargcn.data.readers import reader

    settings = _settings(config, set_, preprocess="mini-rgbd")
    recordings = reader("mini-rgbd").read_folder(
        folder, on_error=_policy(skip_broken), progress=True
    )
    _write(recordings, recordings.classes, settings, out, "MINI-RGBD")


@app.command()
def synthetic(
    out: Out,
    config: Config = None,
    set_: Set = None,
) -> None:
    """Articulated bodies whose class evidence is known: which joints, which frames.

    Example: hargcn prepare synthetic -s synthetic.skeleton=inmotion29 -s synthetic.recordings=400
    --out data/synthetic.h5
    """
    from hargcn.data.planted.synthetic import synthesise
    from hargcn.data.splits import SplitConfig

    settings = _settings(
        config, set_, preprocess="utd-mhad", windows={"mode": "whole", "length": 90}
    )
    made = settings.synthetic
    if settings.split is None:
        people = min(made.subjects, made.recordings)
        test = tuple(f"subject{i:02d}" for i in range(people) if i % 5 >= 3)
        settings = settings.model_copy(update={"split": SplitConfig(test=test)})
    _write(synthesise(made), tuple(made.plant.classes), settings, out, "synthetic")


@app.command()
def plant(
    source: Annotated[str, typer.Argument(help="Reader: ntu, keypoints, utd-mhad, mini-rgbd.")],
    folder: Folder,
    out: Out,
    skeleton: Layout = "inmotion29",
    outcomes: Outcomes = None,
    fps: Fps = "fps",
    config: Config = None,
    set_: Set = None,
    shuffle: Annotated[
        bool,
        typer.Option("--shuffle-labels", help="Exchange the labels within subjects (a control)."),
    ] = False,
    skip_broken: SkipBroken = False,
) -> None:
    """Plant a known sign, and decoys of it, in real recordings.

    Half of the recordings get the sign; all get decoys of its kind and size elsewhere.

    Example: hargcn prepare plant utd-mhad UTD-MHAD/Skeleton --out data/utd_tremor.h5

    Example: hargcn prepare plant mini-rgbd MINI-RGBD --config configs/mini_rgbd_planted.yaml
    --out data/mini_rgbd_planted.h5
    """
    from hargcn.data.planted.planting import plant as planted
    from hargcn.data.planted.planting import shuffle_labels
    from hargcn.data.preprocess import preprocess
    from hargcn.data.readers import reader

    chain = source if source in ("ntu", "utd-mhad", "mini-rgbd") else "cp"
    settings = _settings(config, set_, preprocess=chain)
    own = {"layout": skeleton, "outcomes": outcomes, "fps": fps} if source == "keypoints" else {}
    read = reader(source).read_folder(folder, on_error=_policy(skip_broken), progress=True, **own)
    ready = read.map(lambda recording: preprocess(recording, settings.preprocess))
    marked: Iterable[Recording] = planted(ready, settings.plant)
    if shuffle:
        marked = shuffle_labels(marked, settings.plant.seed)
    about = f"{source}, planted{', labels shuffled' if shuffle else ''}"
    _write(marked, tuple(settings.plant.classes), settings, out, about, raw=False)


def _policy(skip: bool) -> str:
    return "skip" if skip else "raise"
