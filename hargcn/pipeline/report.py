"""`report`: explanation files as one page to look at, or several with an index."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import xarray as xr

from hargcn.checks import at_least, writable
from hargcn.data.windows import Windows
from hargcn.explanation import Explanation
from hargcn.files import replacing
from hargcn.metrics.gap_curve import GapCurve
from hargcn.networks.network import SkeletonNetwork
from hargcn.pipeline.opening import open_explanations, open_network, open_windows
from hargcn.report.card import data_words, network_words
from hargcn.report.common import in_common
from hargcn.report.names import anonymised
from hargcn.report.page import MOST, Beside, render_pages
from hargcn.report.results import curve_charts, expect_columns, measured

_NAMELESS = ("random", "truth")  # methods of tables that no file names


def write_report(
    explanations: Sequence[str | Path],
    out: str | Path,
    *,
    network: str | Path | None = None,
    windows: str | Path | None = None,
    tables: Sequence[str | Path] = (),
    curves: Sequence[str | Path] = (),
    per_page: int = MOST,
    anonymise: bool = False,
    say: Callable[[str], object] | None = None,
) -> list[Path]:
    """Write explanations as a page: windows in motion, a list of them, an overview.

    The page is one file, needs no server and asks for nothing over the network. Of more windows
    than a page holds there are several beside it, and it is their index.

    Parameters
    ----------
    explanations
        Explanation files with stored positions; windows that are not in all of them are left out.
    out
        The page to write (.html); further ones are called like it, with a number.
    network, windows
        The network that was explained and the windows file: said in words.
    tables
        Tables of `evaluate` (.csv).
    curves
        Curves of `perturb` (.h5).
    per_page
        Windows on a page.
    anonymise
        Replace names of subjects, recordings and files by salted hashes and numbers; the salt is
        random and nobody keeps it, so no two pages have names in common.
    say
        Called with a line for each explanation of which windows are left out.

    Returns
    -------
    list of pathlib.Path
        The pages; the first is `out`.

    Raises
    ------
    FileNotFoundError
        Without one of the files.
    ValueError
        For another ending, a network or windows that were not explained, tables and curves of
        other commands, and for what `render_pages` refuses.
    """
    at_least("per_page", per_page, 1)
    beside = [path for path in (network, windows) if path is not None]
    inputs = (*explanations, *beside, *tables, *curves)
    out = writable(out, *inputs, suffix=".html")
    opened = open_explanations(explanations)
    # Of several with one name the page says the method, too.
    named = {
        key if key == each.name else f"{each.title} ({key})": each for key, each in opened.items()
    }
    known = _Known(named, anonymise)
    said = Beside(
        network={} if network is None else _network(network, windows, named, not anonymise),
        data={} if windows is None else _data(windows, named),
        tables={known.file(path): known.table(path) for path in tables},
        charts=[chart for path in curves for chart in known.charts(path)],
    )
    shown = _nameless(opened) if anonymise else named
    if say is not None:
        for line in in_common(shown)[1]:
            say(line)
    pages = render_pages(shown, out.name, said, per_page)
    for name in pages:
        writable(out.with_name(name), *inputs)
    for name, text in pages.items():
        with replacing(out.with_name(name)) as temporary:
            temporary.write_text(text, encoding="utf-8")
    return [out, *(out.with_name(name) for name in pages if name != out.name)]


class _Known:
    """What tables and curves call files and methods, or numbers in the place of unknown names."""

    def __init__(self, named: dict[str, Explanation], anonymise: bool) -> None:
        self.anonymise = anonymise
        self.names = {name for each in named.values() for name in (each.name, each.title)}
        self.numbers: dict[str, str] = {}

    def file(self, path: str | Path) -> str:
        return self._numbered("file", str(path)) if self.anonymise else Path(path).name

    def method(self, name: str) -> str:
        if not self.anonymise or name in self.names or name in _NAMELESS:
            return name
        return self._numbered("method", name)

    def table(self, path: str | Path) -> dict[str, Any]:
        if not Path(path).is_file():
            raise FileNotFoundError(f"{path}: no such table")
        try:
            table = pd.read_csv(path)
        except (ValueError, UnicodeDecodeError) as error:
            said = str(error).splitlines()[0]
            raise ValueError(f"{path}: expected a table of `hargcn evaluate` ({said})") from error
        expect_columns(table, path)
        return measured(table.assign(method=table["method"].astype(str).map(self.method)))

    def charts(self, path: str | Path) -> list[dict[str, Any]]:
        curves = GapCurve.open(path).dataset
        titles = json.loads(curves.attrs.get("titles", "{}"))
        names = curves["explanation"].to_numpy().astype(str).tolist()
        own = {name: self.method(titles.get(name, name)) for name in names}
        renamed: xr.Dataset = curves.assign_attrs(titles=json.dumps(own))
        return curve_charts(self.file(path), renamed)

    def _numbered(self, what: str, name: str) -> str:
        return self.numbers.setdefault(f"{what} {name}", f"{what} {len(self.numbers) + 1}")


def _network(
    path: str | Path, windows: str | Path | None, named: dict[str, Explanation], files: bool
) -> dict[str, str]:
    """Say what the network that was explained is; refuse another."""
    own = None if windows is None else open_windows(windows)
    model = open_network(path, windows=own)
    _expect_explained(path, "network", "model", str(model.card.get("weights", "")), named)
    return network_words(_card(model), files)


def _card(model: SkeletonNetwork) -> dict[str, Any]:
    """Return a network's card; of one that somebody's factory made, what can be counted."""
    counted = sum(each.numel() for each in model.parameters())
    return {"parameters": counted, "classes": list(model.classes), **model.card}


def _data(path: str | Path, named: dict[str, Explanation]) -> dict[str, Any]:
    windows: Windows = open_windows(path)
    _expect_explained(path, "windows file", "data", windows.digest, named)
    return data_words(windows)


def _expect_explained(
    path: str | Path, what: str, key: str, found: str, named: dict[str, Explanation]
) -> None:
    stored: Iterable[tuple[str, str]] = (
        (name, str(each.dataset.attrs.get(key, ""))) for name, each in named.items()
    )
    for name, wanted in stored:
        if wanted and found and wanted != found:
            raise ValueError(
                f"{path}: expected the {what} that explanation {name!r} is of, {wanted} (got "
                f"{found}): name that one, or leave it out"
            )


def _nameless(named: dict[str, Explanation]) -> dict[str, Explanation]:
    """Hash names; explanations that only their files tell apart are numbered."""
    salt = secrets.token_bytes(32)
    return {
        key if key == each.name else f"{each.title} ({number})": anonymised(each, salt)
        for number, (key, each) in enumerate(named.items(), 1)
    }
