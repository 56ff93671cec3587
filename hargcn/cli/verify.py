"""`verify`: whether a file is still what hargcn wrote."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


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
        explains = "attribution" in content
    # First, because it says which data set is damaged.
    hdf5.verify(file, "file of hargcn", progress=file.stat().st_size > hdf5.QUICK)
    opened = Explanation.open(file) if explains else Windows.open(file)
    return f"{len(opened)} {'explanations' if explains else 'windows'}"


COMMANDS = (verify,)
