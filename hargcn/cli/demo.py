"""`demo`: the whole path on data that comes with hargcn, and a table that says who found what."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hargcn.cli.options import Seed, table

Out = Annotated[Path, typer.Option("--out", "-o", help="Folder of what it makes.")]
Set = Annotated[
    list[str] | None, typer.Option("--set", "-s", hidden=True, help="Change a setting.")
]


def demo(out: Out = Path("demo-out"), seed: Seed = 1234, set_: Set = None) -> None:
    """Generate bodies, train a small network on a planted tremor, explain it, and evaluate that.

    One class trembles with the right wrist; both classes show the same tremor elsewhere, so that
    size of movement alone points nowhere. The table says how much of each explanation's positive
    attribution lies on the evidence; report.html shows it in motion.

    Example: hargcn demo --out demo-out
    """
    from hargcn.pipeline.demo import demo

    found = demo(out, seed=seed, set_=set_ or ())
    accuracy, n = (found.classified.windows[name] for name in ("accuracy", "n"))
    typer.echo(f"test accuracy {accuracy:.3f} ({n} windows of unseen subjects)")
    typer.echo("\n".join(map(str, found.pictures)))
    rows = [
        [name.replace("chance", "chance (even spread)"), *(f"{v:.2f}" for v in shares)]
        for name, shares in found.shares.items()
    ]
    header = ["", "evidence", "distractors", "elsewhere", "evidence / (evidence + distractors)"]
    table("where the positive attribution lies", header, rows)
    typer.echo(f"all of it in motion: open {found.report} in a browser, by double click")


COMMANDS = (demo,)
