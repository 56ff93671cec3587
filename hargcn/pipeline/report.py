"""`report`: explanation files as one page to look at."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from pathlib import Path

from hargcn.checks import writable
from hargcn.explanation import Explanation
from hargcn.files import replacing
from hargcn.pipeline.opening import open_explanations
from hargcn.report.names import anonymised
from hargcn.report.page import render_report


def write_report(
    explanations: Sequence[str | Path], out: str | Path, *, anonymise: bool = False
) -> Path:
    """Write a page of explanations: an overview, windows in motion, and a list of them.

    The page is one file, needs no server and asks for nothing over the network.

    Parameters
    ----------
    explanations
        Explanation files of the same windows and classes, with stored positions.
    out
        The page to write (.html).
    anonymise
        Replace names of subjects, recordings and files by salted hashes and numbers; the salt is
        random and nobody keeps it, so no two pages have names in common.

    Returns
    -------
    pathlib.Path
        The page.

    Raises
    ------
    FileNotFoundError
        Without one of the files.
    ValueError
        For another ending, and for what `render_report` refuses.
    """
    out = writable(out, *explanations, suffix=".html")
    named = open_explanations(explanations)
    page = render_report(_nameless(named) if anonymise else named)
    with replacing(out) as temporary:
        temporary.write_text(page, encoding="utf-8")
    return out


def _nameless(named: dict[str, Explanation]) -> dict[str, Explanation]:
    """Hash names; explanations that only their files tell apart are numbered."""
    salt = secrets.token_bytes(32)
    return {
        key if key == each.name else f"{each.title} ({number})": anonymised(each, salt)
        for number, (key, each) in enumerate(named.items(), 1)
    }
