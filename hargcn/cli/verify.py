"""`verify`: whether a file is still what hargcn wrote."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

_QUICK = 2**27  # bytes that are read in about a second


def verify(
    file: Annotated[Path, typer.Argument(help="Windows or explanations (.h5), or a checkpoint.")],
) -> None:
    """Read a whole file and compare it with its checksums; says what is wrong.

    Windows and explanations: every chunk, the attributes and columns, and every byte. Checkpoints:
    the weights against the card beside them.

    Example: hargcn verify data/utd_mhad.h5
    """
    if file.suffix in (".safetensors", ".json"):
        from hargcn import load_model

        model = load_model(file.with_suffix(".safetensors"))
        found = f"a network of {model.card['parameters']} parameters on {model.skeleton.name}"
    else:
        found = _data(file)
    typer.echo(f"{file}: whole ({found})")


def _data(file: Path) -> str:
    from hargcn import Explanation, Windows, hdf5

    with hdf5.opened(file, "file of hargcn") as content:
        is_windows = str(content.attrs.get("format")).startswith("hargcn-windows")
    opened = Windows.open(file) if is_windows else Explanation.open(file)
    kind = "windows" if is_windows else "explanations"
    hdf5.verify(file, f"{kind} file", progress=file.stat().st_size > _QUICK)
    return f"{len(opened)} {kind}"


COMMANDS = (verify,)
