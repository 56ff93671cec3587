"""The built documents: `make docs`. Nothing here reaches for the network.

The source folder is the repository, so that links between pages, experiments and this folder are
the same for a reader of the code host and of the built pages.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import matplotlib as mpl
from docutils import nodes
from pygments.lexers.shell import BashLexer
from pygments.lexers.special import TextLexer
from pygments.token import Name, Text, _TokenType
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx_gallery.sorting import ExplicitOrder

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

import reference  # noqa: E402 - lies beside this file

project = "hargcn"
author = "The hargcn authors"
copyright = author
release = version = reference.version()

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_gallery.gen_gallery",
]
root_doc = "docs/index"
include_patterns = [
    "docs/**", "README.md", "CONTRIBUTING.md", "CHANGELOG.md",
    "experiments/**.md", "checkpoints/README.md",
]  # fmt: skip
exclude_patterns = [
    ".*", "docs/_build", "docs/gallery", "docs/examples/*.ipynb", "docs/examples/*.py",
    "experiments/networks",
]  # fmt: skip

myst_heading_anchors = 4
suppress_warnings = ["myst.header"]  # a page of the repository may begin with a table or a picture

autodoc_member_order = "bysource"
autodoc_default_options = {
    "members": True,
    "ignore-module-all": True,
    "show-inheritance": True,  # settings of a base class are described there
}
autodoc_typehints = "none"  # the numpydoc sections say types in words, with shapes and units
napoleon_numpy_docstring, napoleon_google_docstring = True, False
napoleon_use_param = napoleon_use_rtype = napoleon_use_keyword = False
napoleon_custom_sections = [("Attributes", "params_style")]  # "name, label" are two attributes
default_role = "name"  # of `setup` below

html_theme = "pydata_sphinx_theme"
html_title = "hargcn"
html_theme_options = {
    "navbar_end": ["theme-switcher"],
    "navigation_with_keys": False,
    "show_prev_next": False,
    "footer_start": ["copyright"],
    "footer_end": [],
    "show_toc_level": 2,
    "collapse_navigation": True,  # else each of 300 pages draws the whole tree
}
html_show_sourcelink = False
html_static_path = ["static"]
html_css_files = ["style.css"]
html_sidebars: dict[str, list[str]] = {"docs/start-here": []}
smartquotes = False  # --option is no dash
templates_path = ["templates"]
html_additional_pages = {"index": "to_start.html"}

EXAMPLES = [
    "first_explanation", "own_key_points", "shap_and_gradcam", "perturbation_curve",
    "misleading_picture", "own_network",
]  # fmt: skip
sphinx_gallery_conf = {
    "examples_dirs": "docs/gallery",
    "gallery_dirs": "docs/examples",
    "filename_pattern": r"\.py$",
    "ignore_pattern": "__init__",
    "within_subsection_order": ExplicitOrder([f"{name}.py" for name in EXAMPLES]),
    "download_all_examples": False,
    "write_computation_times": False,
    "show_memory": False,
    "remove_config_comments": True,
    "plot_gallery": True,
    "image_scrapers": ("figures",),
}
mpl.use("agg")


class Commands(BashLexer):
    """Shell commands whose options are words of their own, so that no line ends within one."""

    def get_tokens_unprocessed(
        self, text: str, *given: Any
    ) -> Iterator[tuple[int, _TokenType, str]]:
        """Tell options from the rest."""
        for at, token, value in super().get_tokens_unprocessed(text, *given):
            yield at, Name.Attribute if token is Text and value[:1] == "-" else token, value


def setup(app: Sphinx) -> None:
    """Write the generated pages; let names in docstrings lead to where they are documented."""
    reference.write(HERE / "reference")
    known = reference.targets()

    def name_role(
        _role: str, raw: str, text: str, _line: int, inliner: Any, *_rest: Any
    ) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        """Link a public name; show anything else between backticks as code."""
        del raw, inliner
        shown = nodes.literal(text, text, classes=["code"])
        if text not in known:
            return [shown], []
        return [pending_xref("", shown, refdomain="py", reftype="obj", reftarget=known[text])], []

    def process(
        _app: Sphinx, _what: str, _name: str, _it: Any, _how: Any, lines: list[str]
    ) -> None:
        lines[:] = map(reference.plain, lines)

    def unquoted(_app: Sphinx, document: nodes.document) -> None:
        """Pictures in folders with a space in their name: Markdown quotes it, Sphinx does not."""
        for image in document.findall(nodes.image):
            image["uri"] = unquote(image["uri"])

    scratch = tempfile.TemporaryDirectory()  # what examples write goes with the build
    tempfile.tempdir = scratch.name
    app.connect("build-finished", lambda *_: scratch.cleanup())
    app.add_role("name", name_role)
    app.connect("doctree-read", unquoted, priority=100)  # before pictures are collected
    app.connect("autodoc-process-docstring", process)
    app.add_lexer("csv", TextLexer)
    app.add_lexer("sh", Commands)
