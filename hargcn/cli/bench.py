"""`bench`: what explanations take on a network and a machine of one's own."""

from __future__ import annotations

from typing import Annotated

import typer

from hargcn.cli.options import Checkpoint, Device, Seed, Split, Table, WindowsFile, table

Method = Annotated[
    list[str] | None,
    typer.Option(
        "--method", "-m", help="Method (again for more); default gradcam, inputxgradient, shap."
    ),
]
Layers = Annotated[list[str] | None, typer.Option("--layer", "-l", help="Layer of a CAM.")]
Rows = Annotated[int, typer.Option("--background", min=1, help="Background rows, where needed.")]
Windows = Annotated[int, typer.Option("--limit", min=2, help="Windows of the longer call.")]
Rounds = Annotated[int, typer.Option(min=1, help="Times that all is measured; medians count.")]

_USUAL = ("gradcam", "inputxgradient", "shap")


def bench(
    checkpoint: Checkpoint,
    windows: WindowsFile,
    out: Table,
    method: Method = None,
    layer: Layers = None,
    background: Rows = 20,
    limit: Windows = 3,
    rounds: Rounds = 3,
    split: Split = "test",
    device: Device = "cpu",
    seed: Seed = 1234,
) -> None:
    """Measure what an explanation takes, in turns: seconds, and passes of the network.

    On a CPU seconds are processor time. Ratios are to the first method.

    Example: hargcn bench runs/utd_1/model.safetensors data/utd_mhad.h5 --out bench.csv
    """
    from hargcn.pipeline.runtimes import named_methods, runtimes

    asked = named_methods(method or _USUAL, layer or (), background)
    found = runtimes(
        checkpoint, windows, out, methods=asked, limit=limit, rounds=rounds, split=split,
        device=device, seed=seed, progress=True,
    )  # fmt: skip
    head = ["method", "layer", "rows", "first, s", "further, s", "in forward passes", "ratio"]
    rows = [
        [
            str(each["method"]), str(each["layer"]), str(each["rows"] or ""),
            f"{each['first']:.3g}", f"{each['further']:.3g}",
            f"{each['forwards']:.3g}", f"{each['ratio']:.3g}",
        ]
        for _, each in found.iterrows()
    ]  # fmt: skip
    table(f"one window, on {found['machine'].iloc[0]}", head, rows)
    typer.echo(str(out))


COMMANDS = (bench,)
