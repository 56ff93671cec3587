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


def report(explanations: Explanations, out: Page, anonymise: Anonymise = False) -> None:
    """Write explanations of the same windows as one page: overview, windows in motion, list.

    The page is a single file that any browser opens by double click, without a network.

    Example: hargcn report shap.h5 gradcam.h5 --out report.html
    """
    from hargcn.pipeline.report import write_report

    page = write_report(explanations, out, anonymise=anonymise)
    say("open it in a browser; it needs no network")
    typer.echo(str(page))


COMMANDS = (report,)
