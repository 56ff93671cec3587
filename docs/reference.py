"""The reference pages: what the package says of itself, as pages for Sphinx."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages
from types import ModuleType
from typing import Any

import typer.main

import hargcn
from hargcn import explainers, plots
from hargcn.cli import app

ROOMS = {
    "The rest reads explanations": ("pipeline", "training", "metrics", "plots", "report"),
    "Networks and explanations of them": ("networks", "explainers", "analysis"),
    "Windows, edits, explanations": ("data", "perturbation", "explanation"),
    "Underneath": (
        "skeleton", "outputs", "registry", "hdf5", "files", "processes", "allocator", "checks",
        "remote",
    ),
}  # fmt: skip
"""The floors of CONTRIBUTING, the highest first; the command line has a page of its own."""


def version() -> str:
    """Return the version of the package that is documented."""
    return hargcn.__version__


def write(folder: Path) -> None:
    """Write all reference pages into a folder that holds nothing else."""
    pages = {"commands.md": _commands(), "api.rst": _api()}
    for modules in _modules().values():
        names = [module.__name__ for module in modules]
        pages |= {f"{module.__name__}.rst": _module(module, names) for module in modules}
    folder.mkdir(exist_ok=True)
    for old in folder.iterdir():
        if old.name not in pages:
            old.unlink()
    for name, text in pages.items():
        path = folder / name
        if not path.is_file() or path.read_text(encoding="utf-8") != text:  # else built again
            path.write_text(text, encoding="utf-8")


def _modules() -> dict[str, list[ModuleType]]:
    """Return the documented modules of every room."""
    rooms: dict[str, list[ModuleType]] = {name: [] for floor in ROOMS.values() for name in floor}
    for found in walk_packages(hargcn.__path__, "hargcn."):
        _, room, *below = found.name.split(".")
        if room not in ("cli", "__main__") and not any(name.startswith("_") for name in below):
            rooms[room].append(import_module(found.name))
    return rooms


def _own(module: ModuleType) -> Iterator[tuple[str, Any]]:
    """Yield the public classes and functions that a module defines."""
    for name, value in vars(module).items():
        if name.startswith("_") or getattr(value, "__module__", "") != module.__name__:
            continue
        if inspect.isclass(value) or inspect.isroutine(value):
            yield name, value


def targets() -> dict[str, str]:
    """Return where every public class and function is documented, by its name.

    A name has one meaning in the package; the few that have several are left out.
    """
    found: dict[str, set[str]] = {}
    for modules in _modules().values():
        for module in modules:
            for name, _ in _own(module):
                found.setdefault(name, set()).add(f"{module.__name__}.{name}")
    return {name: places.pop() for name, places in found.items() if len(places) == 1}


def plain(line: str) -> str:
    """Return a line of a docstring whose bars are those of |x|, no substitutions of Sphinx."""
    return line.replace("|", r"\|")


def _first_line(thing: Any) -> str:
    return plain((inspect.getdoc(thing) or "").partition("\n\n")[0].replace("\n", " "))


def _title(text: str, under: str) -> str:
    return f"{text}\n{under * len(text)}\n\n"


def _row(name: str, value: Any) -> str:
    """Return a definition: a link to where it is documented, and its first line."""
    target = f"{value.__module__}.{value.__qualname__}"
    return f":py:obj:`{name} <{target}>`\n    {_first_line(value)}\n\n"


def _api() -> str:
    text = _title("API", "=")
    text += (
        "From the docstrings. Shapes stand in the order of the axes; what is raised, and which "
        "paper and equation a method follows, stands with it.\n\n"
    )
    text += _title("The front door", "-") + "``import hargcn`` gives\n\n"
    named = [(f"hargcn.{name}", getattr(hargcn, name)) for name in hargcn.__all__]
    text += "".join(_row(*each) for each in named if hasattr(each[1], "__qualname__"))
    text += _title("Explainers", "-") + "``hargcn.explainers`` gives\n\n"
    text += "".join(_row(name, getattr(explainers, name)) for name in explainers.__all__)
    text += _title("Pictures", "-") + "``hargcn.plots`` gives\n\n"
    text += "".join(_row(name, getattr(plots, name)) for name in plots.__all__)
    for floor, names in ROOMS.items():
        text += _title(floor, "-") + _tree([f"hargcn.{room}" for room in names], depth=2)
    return text


def _tree(modules: list[str], depth: int = 1) -> str:
    listed = "".join(f"   {name.rpartition('.')[2]} <{name}>\n" for name in modules)
    return f".. toctree::\n   :maxdepth: {depth}\n\n{listed}\n"


def _module(module: ModuleType, names: list[str]) -> str:
    """Return the page of a module; that of a package leads to its modules."""
    name = module.__name__
    below = [other for other in names if other.rpartition(".")[0] == name]
    text = _title(name.removeprefix("hargcn."), "=") + f".. automodule:: {name}\n\n"
    return text + (_tree(below) if below else "")


def _commands() -> str:
    text = (
        "# Every command with all its options\n\nAs `hargcn COMMAND --help` prints them; "
        "[commands](../commands.md) has an example for each, [settings](../settings.md) what "
        "`--set` changes.\n\n"
    )
    commands: dict[str, Any] = typer.main.get_command(app).commands
    return text + "\n".join(_command(name, commands[name]) for name in sorted(commands))


def _command(name: str, command: Any) -> str:
    about, _, example = inspect.cleandoc(command.help).partition("Example: ")
    text = f"## {name}\n\n{about.strip()}\n\n"
    if example:
        text += f"```sh\n{' '.join(example.split())}\n```\n\n"
    context = command.make_context(name, [], resilient_parsing=True)
    found = (each.get_help_record(context) for each in command.params)
    rows = "".join(f"| `{what}` | {_escaped(said)} |\n" for what, said in filter(None, found))
    return f"{text}| option | meaning |\n|---|---|\n{rows}"


def _escaped(said: str) -> str:
    """Return plain text as Markdown in a table takes it."""
    return re.sub(r"([\\`*_{}\[\]<>|#])", r"\\\1", " ".join(said.split()))
