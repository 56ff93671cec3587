"""The documents stay true: their code runs, their commands parse, their files exist."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import torch
import typer.main

import hargcn
from hargcn.cli import app
from hargcn.data.planted.synthetic import generate
from hargcn.data.preprocess import preprocess
from hargcn.data.windows import Windows, write_windows
from hargcn.explainers import DeepSHAP
from hargcn.explainers.deepshap import rules as shap_rules
from hargcn.pipeline.config import read_config
from hargcn.pipeline.explain import explain_windows

ROOT = Path(__file__).resolve().parents[1]
PAGES = ("README.md", "CONTRIBUTING.md", "checkpoints/README.md", "experiments/README.md")
FENCE = re.compile(
    r"(?:<!-- (?P<mark>test|file: \S+) -->\n)?```(?P<kind>\w+)\n(?P<text>.*?)^```$", re.S | re.M
)
SHELL = ("sh", "console", "bash")


def text(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def blocks(page: str) -> list[tuple[str, str, str]]:
    """Fenced blocks as (mark, language, text)."""
    return [(m["mark"] or "", m["kind"], m["text"]) for m in FENCE.finditer(text(page))]


def examples() -> list[str]:
    """Command lines of the pages, in shell blocks and between backticks."""
    found = []
    for page in PAGES:
        shell = "".join(block for _, kind, block in blocks(page) if kind in SHELL)
        found += shell.replace("\\\n", " ").splitlines()
        found += re.findall(r"`(hargcn [^`\n]+)`", FENCE.sub("", text(page)))
    return sorted({line.strip() for line in found if line.strip().startswith("hargcn ")})


def marked() -> list:
    return [
        pytest.param(block, id=f"{page.removesuffix('.md').lower()}-{number}")
        for page in PAGES
        for number, (mark, kind, block) in enumerate(blocks(page))
        if mark == "test" and kind == "python"
    ]


@pytest.fixture(scope="module")
def demo_out(tmp_path_factory) -> Path:
    """A folder as `make demo` leaves it, with few windows and an untrained network."""
    folder = tmp_path_factory.mktemp("readme")
    config = read_config(
        ROOT / "hargcn" / "pipeline" / "demo.yaml", ["prepare.synthetic.recordings=20"]
    )
    settings = config.prepare
    classes = tuple(settings.synthetic.plant.classes)
    windows = write_windows(
        folder / "demo-out" / "windows.h5",
        (preprocess(moved, settings.preprocess) for moved in generate(settings.synthetic)),
        classes,
        settings.windows,
        source="demo",
        split=settings.split,
    )
    with torch.random.fork_rng():
        torch.manual_seed(1234)
        model = hargcn.MultiBranchSTGCN(config.model, windows.skeleton, classes)
    hargcn.save_model(model, folder / "demo-out" / "run" / "model.safetensors")
    model = hargcn.load_model(folder / "demo-out" / "run" / "model.safetensors")
    few = Windows.open(windows.path).subset(slice(0, 3))
    background = model.features(torch.from_numpy(few.positions()))
    explain_windows(
        model, few, DeepSHAP(background), folder / "demo-out" / "shap.h5", target="tremor"
    )
    return folder


@pytest.fixture
def reader_of_the_page(demo_out, monkeypatch):
    """Stand where a reader stands: the demo has run, the page's files are written."""
    monkeypatch.chdir(demo_out)
    rules = dict(shap_rules.RULES)
    for page in PAGES:
        for mark, _, content in blocks(page):
            if mark.startswith("file: "):
                path = demo_out / mark.removeprefix("file: ")
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(content, encoding="utf-8")
    yield
    shap_rules.RULES.clear()
    shap_rules.RULES.update(rules)


@pytest.mark.usefixtures("reader_of_the_page")
@pytest.mark.parametrize("block", marked())
def test_python_blocks_run(block):
    exec(compile(block, "README", "exec"), {"__name__": "readme"})


def test_there_are_blocks_to_run():
    assert len(marked()) >= 6


@pytest.mark.parametrize("line", examples())
def test_command_lines_parse(line):
    command, words = typer.main.get_command(app), shlex.split(line, comments=True)[1:]
    while hasattr(command, "commands") and words and not words[0].startswith("-"):
        assert words[0] in command.commands, f"no command {words[0]!r}: {line}"
        command, words = command.commands[words[0]], words[1:]
    if hasattr(command, "commands") or words in ([], ["--help"]):
        return
    command.make_context(command.name, words)  # raises where an option or argument is wrong


def test_a_wrong_option_would_be_noticed():
    command = typer.main.get_command(app).commands["rank"]
    with pytest.raises(Exception, match="No such option"):
        command.make_context("rank", ["a.h5", "--out", "b.png", "--no-such-option"])


def test_the_readme_names_every_command():
    names = []
    for name, command in typer.main.get_command(app).commands.items():
        inner = getattr(command, "commands", None)
        names += [name] if inner is None else [f"{name} {child}" for child in inner]
    lines = "\n".join(examples())
    missing = [name for name in names if f"hargcn {name} " not in lines]
    assert not missing


def test_settings_named_in_commands_exist():
    for line in examples():
        words = shlex.split(line, comments=True)
        changes = [b for a, b in zip(words, words[1:], strict=False) if a in ("-s", "--set")]
        prefix = "prepare." if words[1] in ("prepare", "synthesise") else ""
        read_config(None, [prefix + change for change in changes])


@pytest.mark.parametrize("page", PAGES)
def test_named_files_exist(page):
    named = re.findall(r"`((?:tests|configs|hargcn)/[\w/.-]*\w\.(?:py|yaml))`", text(page))
    assert not [path for path in named if not (ROOT / path).is_file()]
