"""Explanations in a notebook: a summary, and a window in motion."""

from __future__ import annotations

from dataclasses import dataclass, field
from html import escape
from typing import Any

import numpy as np

from hargcn.analysis.asked import asked_name
from hargcn.analysis.features import feature_scores, joint_names
from hargcn.explanation import Explanation
from hargcn.report.overview import how_kept, promise
from hargcn.report.page import environment, render_report

_TOP = 5
_INSTEAD = escape(
    "Window in motion: shown once the cell is run or the notebook trusted (File > Trust Notebook)."
)


@dataclass(frozen=True)
class Player:
    """A page inside a notebook.

    Parameters
    ----------
    page
        The page (HTML), as `hargcn report` writes it.
    height
        Of its frame, in pixels.
    """

    page: str = field(repr=False)
    height: int = 720

    def _repr_html_(self) -> str:
        # Its own origin: the page's script reaches nothing of the notebook. Jupyter leaves frames
        # out of a notebook that is not trusted; the text that the frame covers is seen then.
        return (
            f'<div style="display:grid"><p style="grid-area:1/1">{_INSTEAD}</p>'
            f'<iframe srcdoc="{escape(self.page)}" sandbox="allow-scripts allow-downloads" '
            f'title="Window in motion" style="grid-area:1/1;border:0;width:100%;'
            f'height:{self.height}px"></iframe></div>'
        )


def show(explanation: Explanation, window: int | str = 0, *, height: int = 720) -> Player:
    """Show a window of an explanation in motion, inside a notebook.

    Parameters
    ----------
    explanation
        Over joints or edges, with a skeleton and stored positions.
    window
        Its number (from the end where negative) or its name.
    height
        Of the frame, in pixels.

    Returns
    -------
    Player
        The page of `hargcn report`, of this window alone. Jupyter draws it; without Jupyter its
        `page` is the HTML.

    Raises
    ------
    ValueError
        For a window that is not there, and for what `report.page.render_pages` refuses.
    """
    names = explanation.values["sample"].to_numpy().astype(str).tolist()
    number = window
    if isinstance(window, str):
        number = names.index(window) if window in names else len(names)
    if not -len(names) <= int(number) < len(names):
        raise ValueError(
            f"show: expected a window's name or a number from 0 to {len(names) - 1} of explanation "
            f"{explanation.name!r} (got {window!r})"
        )
    return Player(render_report({explanation.name: explanation.isel(sample=[number])}), height)


def summary(explanation: Explanation) -> str:
    """Return a summary as HTML without a script: what was explained, sums, the first joints.

    Parameters
    ----------
    explanation
        Of any axes; joints are listed where it has them.
    """
    values = explanation.values
    sizes = ", ".join(f"{dim} {size}" for dim, size in values.sizes.items())
    sums = values.sum([dim for dim in explanation.dims if dim != "sample"]).to_numpy()
    rows = {
        "Layer": explanation.layer or "input",
        "Explains": asked_name(explanation),
        "Windows": f"{len(explanation)} ({sizes})",
        "Score": f"{float(explanation.score.mean()):.3g} on average ({explanation.utility})",
        "Sum of values": f"{float(sums.mean()):.3g} on average; {promise(explanation)}",
        "Gap": how_kept(explanation),
    }
    return (
        environment()
        .get_template("summary.html")
        .render(
            title=explanation.dataset.attrs.get("method_label", explanation.method),
            rows=rows,
            bars=_bars(explanation),
            unit=explanation.utility,
        )
    )


def _bars(explanation: Explanation) -> list[dict[str, Any]]:
    """Return the joints with the largest mean sums, and bars from zero on, in percent."""
    if "joint" not in explanation.dims:
        return []
    means = feature_scores(explanation, "joint").to_numpy().mean(axis=0)
    names = joint_names(explanation)
    limit = float(np.abs(means).max()) or 1.0
    return [
        {
            "joint": names[i],
            "mean": f"{means[i]:+.2g}",
            "left": round(50 - max(0.0, -50 * means[i] / limit), 2),
            "width": round(50 * abs(means[i]) / limit, 2),
            "against": bool(means[i] < 0),
        }
        for i in np.argsort(-means, kind="stable")[:_TOP]
    ]
