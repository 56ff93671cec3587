"""The documents as `make docs` builds them: whole, with pictures, true, and without a request."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
import typer.main

from hargcn import explainers
from hargcn.cli import app

ROOT = Path(__file__).resolve().parents[1]
GALLERY = sorted((ROOT / "docs" / "gallery").glob("*.py"))
LOADED = {"script": "src", "img": "src", "iframe": "src", "source": "src", "link": "href"}
"""What a browser asks for by itself, unlike the links that a reader may follow."""


def checkout(folder: Path) -> Path:
    """Return a copy to build in, of all that pages link to; nothing that was generated."""
    folder.mkdir()
    large = shutil.ignore_patterns("__pycache__", "*.h5", "*.safetensors", "networks", "quick")
    for name in ("checkpoints", "configs", "experiments", "tests"):
        shutil.copytree(ROOT / name, folder / name, ignore=large)
    made = shutil.ignore_patterns("__pycache__", "_build", "examples", "reference")
    shutil.copytree(ROOT / "docs", folder / "docs", ignore=made)
    for path in (*ROOT.glob("*.md"), ROOT / "LICENSE", ROOT / "CITATION.cff"):
        shutil.copy(path, folder)
    return folder


def build(source: Path, out: Path, *options: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    environment["TMPDIR"] = str(out.parent)  # where examples leave their files
    return subprocess.run(
        [sys.executable, "-m", "sphinx", "-q", "-b", "html", "-d", out.parent / "doctrees",
         *options, "-c", source / "docs", source, out],
        env=environment, cwd=source, capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built pages; a warning is an error."""
    folder = tmp_path_factory.mktemp("documents")
    made = build(checkout(folder / "checkout"), folder / "html", "-W", "--keep-going")
    assert made.returncode == 0, made.stdout + made.stderr
    assert not [*folder.glob("tmp*")], "examples left files behind"
    return folder / "html"


class Page(HTMLParser):
    """What a page shows and asks for."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self.asked: list[str] = []
        self.links: list[str] = []
        self.ids: set[str] = set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        self.ids.add(named.get("id") or "")
        if tag == "a":
            self.links.append(named.get("href") or "")
        elif (url := named.get(LOADED.get(tag, ""))) is not None:
            self.asked.append(url)

    def files(self) -> list[Path]:
        """Files of the site that the page asks for."""
        return [self.path.parent / unquote(urlsplit(url).path) for url in self.asked]


def pages_of(site: Path) -> list[Page]:
    """Return all pages; the theme's templates are none."""
    return [Page(path) for path in site.rglob("*.html") if "_static" not in path.parts]


def test_every_example_says_what_is_seen_and_checks_it():
    assert 4 <= len(GALLERY) <= 6
    for path in GALLERY:
        text = path.read_text(encoding="utf-8")
        pictures, said = text.count("\nfigure, "), len(re.findall(r"^# \*What is seen", text, re.M))
        assert said == pictures >= 1, path.name
        assert text.count("\n    assert ") + text.count("\nassert ") > pictures, path.name


@pytest.mark.documents
@pytest.mark.slow
def test_every_page_is_there(site):
    pages = [path.relative_to(ROOT).with_suffix(".html") for path in (ROOT / "docs").glob("*.md")]
    pages += [Path("README.html"), Path("CONTRIBUTING.html"), Path("experiments/README.html")]
    assert not [page for page in pages if not (site / page).is_file()]
    assert "url=docs/index.html" in (site / "index.html").read_text(encoding="utf-8")


@pytest.mark.documents
@pytest.mark.slow
@pytest.mark.parametrize("path", GALLERY, ids=lambda path: path.stem)
def test_an_example_shows_its_pictures(site, path):
    page = Page(site / "docs" / "examples" / f"{path.stem}.html")
    shown = [file for file in page.files() if file.name.startswith(f"sphx_glr_{path.stem}_0")]
    assert len(shown) == path.read_text(encoding="utf-8").count("\nfigure, ")
    assert min(file.stat().st_size for file in shown) > 5_000


@pytest.mark.documents
@pytest.mark.slow
def test_no_page_asks_for_anything_from_elsewhere(site):
    pages = pages_of(site)
    assert len(pages) > 250
    outside = {url for page in pages for url in page.asked if urlsplit(url).netloc}
    assert not outside
    missing = {file for page in pages for file in page.files() if not file.exists()}
    assert not missing
    styles = [*site.rglob("*.css")]
    assert styles
    for path in styles:
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"(url\(|@import)\s*['\"]?(https?:)?//", text), path.name


@pytest.mark.documents
@pytest.mark.slow
def test_links_within_the_site_lead_somewhere(site):
    pages = {page.path.resolve(): page for page in pages_of(site)}
    broken = []
    for path, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc or not link:
                continue
            there = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            named = {"", *(pages[there].ids if there in pages else {parts.fragment})}
            if not there.exists() or unquote(parts.fragment) not in named:
                broken.append((path.name, link))
    assert not broken[:20]


@pytest.mark.documents
@pytest.mark.slow
def test_every_command_and_every_explainer_has_its_place(site):
    commands = Page(site / "docs" / "reference" / "commands.html")
    assert set(typer.main.get_command(app).commands) <= commands.ids
    links = {link.rpartition("#")[2] for link in Page(site / "docs/reference/api.html").links}
    for name in explainers.__all__:
        thing = getattr(explainers, name)
        assert f"{thing.__module__}.{name}" in links


@pytest.mark.documents
@pytest.mark.slow
def test_a_claim_that_is_not_true_ends_the_build(tmp_path):
    source = checkout(tmp_path / "checkout")
    for path in (source / "docs" / "gallery").glob("*.py"):
        path.unlink()
    false = source / "docs" / "gallery" / "first_explanation.py"
    false.write_text('"""\nA\n=\n\nA claim.\n"""\n\nassert 1 == 2, "no longer seen"\n', "utf-8")
    made = build(source, tmp_path / "html", "-D", "include_patterns=docs/index.rst")
    assert made.returncode != 0
    assert "AssertionError: no longer seen" in made.stdout + made.stderr
