"""A picture of which players act together."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from hargcn.analysis.asked import asked_name, class_name
from hargcn.analysis.interactions import Together
from hargcn.checks import nearest, writable
from hargcn.explanation import Explanation
from hargcn.plots import plot_interactions, save_figure


def interactions(
    explanation: str | Path,
    out: str | Path,
    *,
    sample: str | None = None,
    class_: str | None = None,
    dpi: int = 200,
    say: Callable[[str], None] | None = None,
) -> Together:
    """Draw which players act together, as a matrix and between the joints of a body.

    Parameters
    ----------
    explanation
        Explanation file that holds interactions.
    out
        Picture to write (.png, .svg, .pdf).
    sample
        Name of one window, `recording@start`; by default the mean over all.
    class_
        Only windows that were explained for this class.
    dpi
        Dots per inch of a PNG.
    say
        Gets a warning where windows of several classes are averaged: players that act together for
        one may stand in for each other for another.

    Returns
    -------
    Together
        What is drawn.

    Raises
    ------
    FileNotFoundError
        Without the file.
    ValueError
        For a file without interactions, or a damaged one, an unknown window, or a class that no
        window was explained for.
    """
    out = writable(out, explanation)
    found = Explanation.open(explanation)
    Together.of(found)  # refuse before anything is chosen
    asked = np.array([class_name(found, int(target)) for target in found.target])
    names = found.dataset["sample"].to_numpy().astype(str)
    for what, wanted, known in (("class", class_, asked), ("window", sample, names)):
        if wanted is not None and wanted not in known:
            raise ValueError(
                f"{explanation}: expected a {what} that was explained (got {wanted!r}"
                f"{nearest(wanted, list(dict.fromkeys(known)))})"
            )
    kept = (names == sample if sample is not None else True) & (
        asked == class_ if class_ is not None else np.ones(len(found), bool)
    )
    if not kept.any():
        raise ValueError(f"{explanation}: expected {sample!r} explained for {class_!r} (was not)")
    chosen = found.isel(sample=np.flatnonzero(kept))
    together = Together.of(chosen)
    classes, counts = np.unique(asked[kept], return_counts=True)
    if say is not None and len(classes) > 1:
        each = ", ".join(f"{n} of {name}" for name, n in zip(classes, counts, strict=True))
        say(f"{explanation}: the mean over {len(classes)} classes ({each}); --class for one alone")
    one = f"{names[kept][0]}: " if len(chosen) == 1 else ""
    figure, _ = plot_interactions(
        together, found.skeleton, title=f"{one}{found.title} for {asked_name(chosen)}"
    )
    save_figure(figure, out, dpi)
    return together
