"""The documents stay true: their code runs, their commands parse, their files and links exist."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import typer.main

import hargcn
from hargcn.cli import app
from hargcn.data.readers import READERS
from hargcn.explainers import DeepSHAP
from hargcn.explainers.base import METHODS
from hargcn.explainers.deepshap.rules import RULES
from hargcn.explainers.relevance.book import OWN
from hargcn.pipeline.config import read_config
from hargcn.pipeline.explain_windows import explain_windows
from hargcn.pipeline.prepare import synthesise

ROOT = Path(__file__).resolve().parents[1]
PRINTED = "docs/settings.md"  # by a command, see tests/pipeline/test_settings.py
PAGES = (
    "README.md",
    "CONTRIBUTING.md",
    "checkpoints/README.md",
    "experiments/README.md",
    *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md")),
)
WRITTEN = [page for page in PAGES if page != PRINTED]
LONGEST = {"README.md": 160, "CONTRIBUTING.md": 130}
FENCE = re.compile(
    r"(?:<!-- (?P<mark>test|file: \S+) -->\n)?```(?P<kind>\w+)\n(?P<text>.*?)^```$", re.S | re.M
)
LINK = re.compile(r"\]\((?!https?:)(?P<file>[^)#\s]*)(?:#(?P<heading>[^)\s]+))?\)")
SHELL = ("sh", "console", "bash")
COMMANDS: dict[str, Any] = typer.main.get_command(app).commands


def text(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def prose(page: str) -> str:
    return FENCE.sub("", text(page))


def blocks(page: str) -> list[tuple[str, str, str]]:
    """Fenced blocks as (mark, language, text)."""
    return [(m["mark"] or "", m["kind"], m["text"]) for m in FENCE.finditer(text(page))]


def command_lines(page: str) -> list[str]:
    """Command lines of a page, in shell blocks and between backticks."""
    shell = "".join(block for _, kind, block in blocks(page) if kind in SHELL)
    lines = shell.replace("\\\n", " ").splitlines()
    lines += re.findall(r"`(hargcn [^`\n]+)`", prose(page))
    return [line.strip() for line in lines if line.strip().startswith("hargcn ")]


EXAMPLES = sorted({line for page in WRITTEN for line in command_lines(page)})


def marked() -> list[Any]:
    return [
        pytest.param(block, id=f"{page.removesuffix('.md').lower()}-{number}")
        for page in WRITTEN
        for number, (mark, kind, block) in enumerate(blocks(page))
        if mark == "test" and kind == "python"
    ]


def demo_in(folder: Path, recordings: int) -> Path:
    """Make a folder as `make demo` leaves it, with few windows and an untrained network."""
    demo = ROOT / "hargcn" / "pipeline" / "demo.yaml"
    few = [f"synthetic.recordings={recordings}"]
    windows = synthesise(folder / "demo-out" / "windows.h5", demo, few)
    with torch.random.fork_rng():
        torch.manual_seed(1234)
        model = hargcn.MultiBranchSTGCN(read_config(demo).model, windows.skeleton, windows.classes)
    card = {"input": windows.preparation}
    path = hargcn.save_model(model, folder / "demo-out" / "run" / "model.safetensors", card)
    model, some = hargcn.load_model(path), windows.subset(slice(0, 3))
    shap = DeepSHAP(model.inputs(some.read()))
    out = folder / "demo-out" / "shap.h5"
    explain_windows(model, some, shap, out, target="tremor", progress=False)
    return folder


@pytest.fixture(scope="module")
def demo_out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return demo_in(tmp_path_factory.mktemp("reader"), 20)


@pytest.fixture
def reader_of_the_page(demo_out: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Stand where a reader stands: the demo has run, the page's files are written."""
    monkeypatch.chdir(demo_out)
    for registry in (METHODS, READERS):
        monkeypatch.setattr(registry, "_known", dict(registry.all()))
    rules = [(known, dict(known)) for known in (RULES, OWN)]  # that pages may add to
    for page in WRITTEN:
        for mark, _, content in blocks(page):
            if mark.startswith("file: "):
                path = demo_out / mark.removeprefix("file: ")
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(content, encoding="utf-8")
    yield
    for known, before in rules:
        known.clear()
        known.update(before)


@pytest.mark.usefixtures("reader_of_the_page")
@pytest.mark.parametrize("block", marked())
def test_marked_python_runs(block):
    exec(compile(block, "page", "exec", dont_inherit=True), {"__name__": "page"})


@pytest.mark.documents
def test_the_quick_start_in_the_shell_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(demo_in(tmp_path, 200))
    theirs = ("experiment", "--strip")  # of the page on one's own videos, which has its own test
    shown = [
        line for line in command_lines("README.md") if not any(word in line for word in theirs)
    ]
    lines = [line for line in shown if " demo-out/" in line or ".h5" in line]
    assert len(lines) == 5
    for line in lines:
        assert app(shlex.split(line)[1:], standalone_mode=False) in (None, 0)
    assert {"ranking.png", "report.html", "table.csv"} <= {path.name for path in tmp_path.iterdir()}


@pytest.mark.documents
@pytest.mark.usefixtures("reader_of_the_page")
def test_the_commands_on_ones_own_network_run():
    lines = [line for line in command_lines("docs/own-network.md") if "my_gcn" in line]
    assert len(lines) == 8
    for line in lines:
        assert app(shlex.split(line)[1:], standalone_mode=False) in (None, 0)
    assert {"my_cam.h5", "my_shap.h5", "my_table.csv"} <= {path.name for path in Path().iterdir()}


def test_there_is_code_to_run():
    assert len(marked()) >= 9
    # Shown and not run, or written for a command, is for another language.
    assert not [
        (page, block)
        for page in WRITTEN
        for mark, kind, block in blocks(page)
        if kind == "python" and not mark
    ]


@pytest.mark.parametrize("line", EXAMPLES)
def test_command_lines_parse(line):
    name, *words = shlex.split(line, comments=True)[1:]
    if name.startswith("-"):
        return
    assert name in COMMANDS, f"no command {name!r}"
    if words not in ([], ["--help"]):  # `hargcn evaluate` in a sentence means the command itself
        COMMANDS[name].make_context(name, words)  # raises for a wrong option or argument


def test_a_wrong_option_would_be_noticed():
    with pytest.raises(Exception, match="No such option"):
        COMMANDS["rank"].make_context("rank", ["a.h5", "--out", "b.png", "--no-such-option"])


def test_every_command_has_its_row():
    rows = [line for line in text("docs/commands.md").splitlines() if line.startswith("| `")]
    shown = {row.split("`")[1]: row for row in rows}
    assert set(shown) == set(COMMANDS)
    assert not [name for name, row in shown.items() if f"`hargcn {name} " not in row]


def test_settings_named_in_commands_exist():
    for line in EXAMPLES:
        name, *words = shlex.split(line, comments=True)[1:]
        changes = [b for a, b in zip(words, words[1:], strict=False) if a in ("-s", "--set")]
        if name == "explain":
            method = next(
                (b for a, b in zip(words, words[1:], strict=False) if a == "--method"), "gradcam"
            )
            known = METHODS.find(method).__dataclass_fields__
            assert {change.split("=")[0] for change in changes} <= set(known), line
        else:
            prefix = "prepare." if name in ("init", "prepare", "synthesise", "show") else ""
            read_config(None, [prefix + change for change in changes])


@pytest.mark.parametrize("page", PAGES)
def test_named_files_exist(page):
    named = re.findall(r"`((?:tests|configs|hargcn|docs)/[\w/.-]*\w\.(?:py|yaml|md))`", text(page))
    assert not [path for path in named if not (ROOT / path).is_file()]


def headings(page: Path) -> set[str]:
    """Return the headings of a page as links write them."""
    found = re.findall(r"^#+ (.*)$", FENCE.sub("", page.read_text(encoding="utf-8")), re.M)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in found}


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page):
    for link in LINK.finditer(prose(page)):
        there = (ROOT / page).parent / link["file"] if link["file"] else ROOT / page
        assert there.exists(), link[0]
        assert link["heading"] is None or link["heading"] in headings(there), link[0]


@pytest.mark.parametrize("page", PAGES)
def test_tables_are_whole_and_say_nothing_twice(page):
    for table in re.findall(r"(?:^\| .*\n(?:\|-.*\n)?)+", prose(page), re.M):
        lines = table.splitlines()
        assert "".join(lines[1:2]).replace(" ", "").startswith("|--"), f"no head: {lines[0]}"
        first = [line.split(" | ")[0] for line in lines[2:] if line.startswith("| `")]
        assert len(first) == len(set(first)), first


def test_every_page_is_in_the_index():
    linked = {link["file"] for link in LINK.finditer(text("docs/README.md"))}
    assert {Path(page).name for page in PAGES if page.startswith("docs/")} - linked == {"README.md"}


def test_every_checkpoint_has_its_row():
    there = {path.name for path in (ROOT / "checkpoints").glob("*.safetensors")}
    assert there == set(re.findall(r"^\| `(\S+)` \|", text("checkpoints/README.md"), re.M))


@pytest.mark.parametrize("page", LONGEST)
def test_a_page_that_is_read_is_short(page):
    assert len(text(page).splitlines()) <= LONGEST[page]
