"""`settings`: what can be set, and what it means."""

from __future__ import annotations

from typing import Annotated

import typer

Key = Annotated[
    str | None, typer.Argument(metavar="[KEY]", help="A setting or a section; default all.")
]
Markdown = Annotated[bool, typer.Option("--markdown", help="Print the page docs/settings.md.")]


def settings(key: Key = None, markdown: Markdown = False) -> None:
    """Explain the settings of experiment files: type, default and meaning.

    Example: hargcn settings train

    Example: hargcn settings model.width
    """
    from hargcn.pipeline.settings import settings_reference

    typer.echo(settings_reference(key, markdown=markdown), nl=False)


COMMANDS = (settings,)
