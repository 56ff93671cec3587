"""What all pictures share: figures without global state, colours, names, and saving.

Figures are made through matplotlib's object interface; pyplot, with its list of open figures, is
never touched, so that nothing needs closing and no display is opened.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import TwoSlopeNorm
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.text import Text
from matplotlib.textpath import text_to_path
from matplotlib.ticker import ScalarFormatter

from hargcn.files import replacing

STYLE: Any = {
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.labelsize": 9,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "figure.constrained_layout.h_pad": 0.06,
    "text.parse_math": False,  # a dollar in a name is no formula
    "svg.hashsalt": "hargcn",  # the same picture gives the same file
}
"""Settings of every picture, used inside `matplotlib.rc_context` only."""

SIGNED = "RdBu_r"
"""Colour map of signed values: blue against, nearly white at zero, red for the class."""

COLOURS = ("#0072B2", "#56B4E9", "#D55E00", "#E69F00", "#009E73", "#CC79A7", "#F0E442")
"""Okabe & Ito's palette, told apart with any colour vision; neighbours pair left with right."""

PICTURES = (".png", ".svg", ".pdf")
"""What a picture's name may end in."""

LINE = 0.17
"""Inches that a line of a title takes."""

_EDGE = 0.1  # inches between a title and the picture's edge
_ROUNDS = 4  # at most, of laying out a picture to fit its titles

GREY = "#8c8c8c"

_RAISED = str.maketrans("\N{MINUS SIGN}0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")

_PATTERNS = (("", "o"), ("////", "s"), ("....", "^"), ("xxxx", "D"))


class Look(NamedTuple):
    """How one of several things looks: its colour, and its hatch as a box or marker as a point."""

    colour: str
    hatch: str
    marker: str


def looks(names: Sequence[str]) -> dict[str, Look]:
    """Return a look for each name: own colours, and own patterns where there are more names."""
    return {
        name: Look(COLOURS[i % len(COLOURS)], *_PATTERNS[i // len(COLOURS) % len(_PATTERNS)])
        for i, name in enumerate(names)
    }


def wrapped(text: str, width: float, size: float = 10.0) -> str:
    """Break a title into lines that are at most so wide, as measured in its font.

    Words are kept whole as long as they fit.

    Parameters
    ----------
    text
        One line.
    width
        Inches.
    size
        Of the font, in points; by default that of titles.
    """
    lines = [""]
    for word in chain.from_iterable(_parts(each, width, size) for each in text.split()):
        together = f"{lines[-1]} {word}".strip()
        if inches(together, size) <= width:
            lines[-1] = together
        else:
            lines.append(word)
    return "\n".join(line for line in lines if line)


def _parts(word: str, width: float, size: float) -> list[str]:
    """Cut a word that is too wide into parts that fit, behind "_" where there is one."""
    parts = []
    while word:
        end = len(word)
        while end > 1 and inches(word[:end], size) > width:
            end -= 1
        if end < len(word):
            end = word.rfind("_", 0, end) + 1 or end
        parts.append(word[:end])
        word = word[end:]
    return parts


def inches(text: str, size: float) -> float:
    """Return how wide a text is in the font of pictures."""
    font = FontProperties(size=size)
    return float(text_to_path.get_text_width_height_descent(text, font, False)[0]) / 72


def fit_titles(figure: Figure, titles: Sequence[Text], grow: bool = True) -> None:
    """Wrap titles where they would run out of the picture, as its renderer lays them out.

    Parameters
    ----------
    figure
        The picture, with all that takes room beside its axes.
    titles
        Titles below each other, a line for each thing that is said; they are wrapped in place.
    grow
        Make the picture higher by the lines that came; not a caller's own.
    """
    said = [text.get_text().split("\n") for text in titles]
    height, wide = figure.get_figheight(), figure.get_figwidth() - 2 * _EDGE
    rooms = [0.8 * wide] * len(titles)  # no wider, or titles would push their axes aside
    for _ in range(_ROUNDS):  # a higher picture may have its axes elsewhere
        more = 0.0
        for text, lines, room in zip(titles, said, rooms, strict=True):
            _wrap(figure, text, lines, room)
            added = text.get_text().count("\n") + 1 - len(lines)
            more += LINE * float(text.get_fontsize()) / 10 * added
        if grow:
            figure.set_figheight(height + more)
        figure.draw_without_rendering()
        before, rooms = rooms, [_room(figure, text) for text in titles]
        if np.allclose(before, rooms, atol=0.02):
            return


def _wrap(figure: Figure, title: Text, lines: Sequence[str], room: float) -> None:
    """Wrap a title to the inches there are, first as its font says, then as it is drawn."""
    allowed, size = room, float(title.get_fontsize())
    for _ in range(2):
        title.set_text("\n".join(wrapped(each, allowed, size) for each in lines))
        # Pixels are whole: letters may be some percent wider on them than in their font.
        allowed *= min(1.0, room * figure.dpi / max(title.get_window_extent().width, 1.0))


def _room(figure: Figure, title: Text) -> float:
    """Return how many inches a title may be wide where it stands."""
    box, high = title.get_window_extent(), figure.get_figwidth() - _EDGE
    left, right = box.x0 / figure.dpi, box.x1 / figure.dpi
    if title.get_horizontalalignment() == "left":
        return high - left
    middle = (left + right) / 2
    return 2 * min(middle - _EDGE, high - middle)


def canvas(
    ax: Axes | Sequence[Axes] | np.ndarray | None,
    size: tuple[float, float],
    panels: int = 1,
    across: int | None = None,
    **options: Any,
) -> tuple[Figure, list[Axes]]:
    """Return the figure and axes to draw on, made where the caller gave none.

    Parameters
    ----------
    ax
        The caller's axes, one per panel, or None.
    size
        Width and height of a new figure in inches.
    panels
        Panels, side by side.
    across
        Panels in a row of a new figure, by default all.
    options
        For `Figure.subplots`.

    Raises
    ------
    ValueError
        If the caller's axes are not one per panel.
    """
    if ax is None:
        made = Figure(figsize=size, layout="constrained")
        FigureCanvasAgg(made)
        wide = across or panels
        grid = made.subplots(-(-panels // wide), wide, squeeze=False, **options).ravel()
        for rest in grid[panels:]:
            rest.remove()
        return made, list(grid[:panels])
    axes = [ax] if isinstance(ax, Axes) else list(np.ravel(np.asarray(ax, dtype=object)))
    if len(axes) != panels:
        raise ValueError(f"Expected {panels} axes, one per panel (got {len(axes)})")
    figure: Any = axes[0].get_figure(root=True)
    return figure, axes


class PowerOfTen(ScalarFormatter):
    """Few digits at ticks and their common power of ten beside the axis: small values are long."""

    def __init__(self) -> None:
        super().__init__(useOffset=False, useMathText=False)
        self.set_powerlimits((-2, 3))

    def get_offset(self) -> str:
        """Return the power as people write it."""
        power = super().get_offset().removeprefix("1e")
        return f"×10{power.translate(_RAISED)}" if power else ""


def all_drawn(axes: Sequence[Axes]) -> Axes | np.ndarray:
    """Return the axes of a picture as its caller gets them: alone, or an array of several."""
    return axes[0] if len(axes) == 1 else np.array(axes)


def signed_norm(values: Any, limit: float | None = None) -> TwoSlopeNorm:
    """Return a scale on which zero is the neutral colour.

    Parameters
    ----------
    values
        Signed values; NaN is ignored.
    limit
        The magnitude at the ends of the scale; default the largest in `values` (1 if all are 0).
    """
    if limit is None:
        sizes = np.abs(np.asarray(values, dtype=float))
        limit = float(np.nanmax(sizes)) if np.isfinite(sizes).any() else 0.0
    limit = limit if limit > 0 else 1.0
    return TwoSlopeNorm(0.0, -limit, limit)


def signed_bar(figure: Figure, axes: Any, norm: TwoSlopeNorm, label: str, low: float) -> Any:
    """Add the colour bar of a signed scale; without negative values (`low` >= 0) its upper half."""
    bar = figure.colorbar(
        ScalarMappable(norm, SIGNED), ax=axes, label=label, shrink=0.9, pad=0.02, aspect=25
    )
    bar.outline.set_linewidth(0.5)
    if low >= 0:
        bar.ax.set_ylim(0, norm.vmax)
    return bar


def save_figure(figure: Figure, path: str | Path, dpi: int = 200) -> None:
    """Write a picture, whole or not at all; the suffix chooses the format.

    Parameters
    ----------
    figure
        What a plot returned.
    path
        `.png`, `.svg` or `.pdf`; its folder is created.
    dpi
        Dots per inch of a PNG.

    Raises
    ------
    ValueError
        For another suffix.
    """
    suffix = Path(path).suffix.lower()
    undated = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}, ".png": {}}
    if suffix not in undated:
        raise ValueError(f"{path}: expected a picture .png, .svg or .pdf (got {suffix!r})")
    with replacing(path) as temporary, mpl.rc_context(STYLE):
        figure.savefig(temporary, dpi=dpi, metadata=undated[suffix])
