"""How pictures of an example get onto its page: hargcn draws without pyplot's list of figures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from sphinx_gallery.scrapers import figure_rst


def figures(
    _block: tuple[Any, ...], variables: Mapping[str, Any], gallery: Mapping[str, Any]
) -> str:
    """Save the figure that a block of code assigned to `figure`, and show it.

    Parameters
    ----------
    variables
        Of sphinx-gallery: the names of the example, where to save, the example's file.
    gallery
        Its settings.
    """
    names = variables["example_globals"]
    figure = names.pop("figure", None)  # so that no block shows that of another
    if not isinstance(figure, Figure):
        return ""
    path = next(variables["image_path_iterator"])
    figure.savefig(path, dpi=110)
    about = " ".join(ax.get_title() for ax in figure.axes if ax.get_title())
    source = Path(variables["src_file"]).stem.replace("_", " ")
    return str(figure_rst([path], gallery["src_dir"], f"{source}: {about}".replace("\n", " ")))


def _get_sg_image_scraper() -> Callable[..., str]:
    """Name the scraper to sphinx-gallery."""
    return figures
