"""`report`: explanations as one page to look at."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hargcn.cli.options import Explanations, say

Page = Annotated[Path, typer.Option("--out", "-o", help="Page to write (.html).")]
Anonymise = Annotated[
    bool,
    typer.Option("--anonymise", help="Hash the names of subjects and recordings, salted."),
]
Explained = Annotated[
    Path | None, typer.Option("--network", help="The network that was explained: in words.")
]
Source = Annotated[
    Path | None, typer.Option("--windows", help="The windows file: how it came about, its sets.")
]
Tables = Annotated[
    list[Path] | None, typer.Option("--table", help="A table of `evaluate` (.csv); repeatable.")
]
CurveFiles = Annotated[
    list[Path] | None, typer.Option("--curves", help="Curves of `perturb` (.h5); repeatable.")
]
PerPage = Annotated[
    int, typer.Option(min=1, help="Windows on a page; of more there are several and an index.")
]


def report(
    explanations: Explanations,
    out: Page,
    network: Explained = None,
    windows: Source = None,
    table: Tables = None,
    curves: CurveFiles = None,
    per_page: PerPage = 500,
    anonymise: Anonymise = False,
) -> None:
    """Write explanations as one page: windows in motion, a list of them, overview, groups.

    The page is a single file that any browser opens by double click, without a network.

    Example: hargcn report shap.h5 gradcam.h5 --out report.html
    """
    from hargcn.pipeline.report import write_report

    first, *others = write_report(
        explanations, out, network=network, windows=windows, tables=table or (),
        curves=curves or (), per_page=per_page, anonymise=anonymise,
        say=say,
    )  # fmt: skip
    say(f"open it in a browser; it needs no network, only the {len(others)} pages beside it"
        if others else "open it in a browser; it needs no network")  # fmt: skip
    typer.echo(str(first))


COMMANDS = (report,)
