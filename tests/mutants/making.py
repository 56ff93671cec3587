"""Small faults for a module: mutmut's operators, with the lines whose tests could notice each.

mutmut's own runner leaves decorated functions (our properties) and everything outside functions
(our settings) alone and draws no sample. Its operators are used as they are, texts left out.
"""

from __future__ import annotations

import ast
import difflib
import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import chain, zip_longest
from pathlib import Path
from typing import Any

import libcst as cst
import yaml
from libcst.metadata import MetadataWrapper, ParentNodeProvider
from mutmut.mutation.mutators import mutation_operators

TEXTS = {"label", "source", "help", "description", "title"}
"""Names of what people read; what is assigned to them or passed under them is left alone."""
_PAIRS = ["min max", "amin amax", "argmin argmax", "fmin fmax", "minimum maximum", "any all",
          "sum mean", "floor ceil", "cos sin", "clamp_min clamp_max", "zeros ones",
          "zeros_like ones_like", "nanmin nanmax", "cumsum cumprod", "median mean"]  # fmt: skip
NEIGHBOURS = dict(pair.split() for pair in _PAIRS) | dict(
    pair.split()[::-1] for pair in _PAIRS if "median" not in pair
)
"""Functions that are easily taken for one another: a kind of fault that mutmut lacks."""
COARSE = (cst.Call, cst.BaseString, cst.Assign, cst.AnnAssign, cst.Lambda)
"""Most of their faults (an argument gone, None for a value) end at once: half of the sample."""


@dataclass(frozen=True)
class Mutant:
    """A file of the project with one fault.

    Parameters
    ----------
    file
        Relative to the root, with slashes.
    text
        The whole file with the fault.
    line, old, new
        Where it is, and the changed lines before and after.
    lines
        Lines inside functions: a test that runs none of them cannot notice.
    declared
        The changed lines where they stand outside functions' bodies: settings, defaults, tables.
    what
        What a named one means.
    """

    file: str
    text: str
    line: int
    old: str
    new: str
    lines: frozenset[int]
    declared: frozenset[int]
    what: str = ""

    @property
    def key(self) -> str:
        """What identifies the fault as long as its file stays as it is."""
        return hashlib.sha256(f"{self.file}\n{self.text}".encode()).hexdigest()[:16]

    @property
    def change(self) -> tuple[str, str, str]:
        """What identifies it in the list of those that no test can notice."""
        return self.file, self.old, self.new


def sample(root: Path, folders: Iterable[str], n: int, seed: int) -> list[Mutant]:
    """Draw n faults: one half from calls, texts and assignments, one half from all others.

    A place is drawn by the digest of its code, so that a change elsewhere leaves the sample alone.
    """
    halves: tuple[list[Any], list[Any]] = [], []
    for path in sorted(path for folder in folders for path in (root / folder).rglob("*.py")):
        wrapper = MetadataWrapper(cst.parse_module(path.read_text(encoding="utf-8")))
        places, file, seen = _Places(), path.relative_to(root).as_posix(), Counter[str]()
        wrapper.visit(places)
        for node, faults in places.found:
            code = wrapper.module.code_for_node(node)
            seen[code] += 1
            digest = hashlib.sha256(f"{seed} {file} {seen[code]} {code}".encode()).hexdigest()
            fault = faults[int(digest, 16) % len(faults)]
            halves[isinstance(node, COARSE)].append((digest, file, wrapper.module, node, fault))
    drawn = [sorted(half, key=lambda place: place[0])[: n // 2] for half in halves]
    mixed = chain.from_iterable(zip_longest(*drawn))  # so that a part of the run is fair as well
    return [
        _made(root, file, module.deep_replace(node, fault).code)
        for _, file, module, node, fault in filter(None, mixed)
    ]


def named(root: Path, listed: Path) -> list[Mutant]:
    """Read the faults with a name: a file, a text that it holds once, another text, a meaning."""
    found = []
    for entry in yaml.safe_load(listed.read_text(encoding="utf-8")):
        source = (root / entry["file"]).read_text(encoding="utf-8")
        if source.count(entry["old"]) != 1:
            raise ValueError(f"{listed}: expected once in {entry['file']}: {entry['old']!r}")
        found.append(_made(root, entry["file"], source.replace(entry["old"], entry["new"])))
        found[-1] = replace(found[-1], what=entry["what"])
    return found


def _made(root: Path, file: str, text: str) -> Mutant:
    before = (root / file).read_text(encoding="utf-8").splitlines()
    after = text.splitlines()
    edits = difflib.SequenceMatcher(None, before, after, autojunk=False).get_opcodes()
    changed = [edit for edit in edits if edit[0] != "equal"]
    first, last = min(edit[1] for edit in changed), max(edit[2] for edit in changed)
    until = max(edit[4] for edit in changed)
    return Mutant(
        file,
        text,
        first + 1,
        " ".join(line.strip() for line in before[first:last]),
        " ".join(line.strip() for line in after[min(edit[3] for edit in changed) : until]),
        *_speaking("\n".join(before), range(first + 1, max(last, first + 1) + 1)),
    )


def _speaking(source: str, changed: range) -> tuple[frozenset[int], frozenset[int]]:
    """Return the lines inside functions that show a change, and its own outside of them.

    Those of the changed statement; for a signature all of its function, for the body of a class or
    a module all functions in it, so that lines that merely run on import choose no test.
    """
    scope: Any = ast.parse(source)
    while inner := [node for node in _definitions(scope) if _spans(node, changed)]:
        scope = inner[0]
    if isinstance(scope, ast.FunctionDef) and changed[0] >= scope.body[0].lineno:
        for node in ast.walk(scope):
            if isinstance(node, ast.stmt) and _spans(node, changed):
                body = getattr(node, "body", None)
                last: Any = body[0].lineno - 1 if body else node.end_lineno
                if last >= changed[-1]:
                    return frozenset(range(node.lineno, last + 1)), frozenset()
        return frozenset(changed), frozenset()
    functions = [scope] if isinstance(scope, ast.FunctionDef) else _functions(scope)
    if not functions:  # settings alone: whatever the module does
        functions = _functions(ast.parse(source))
    bodies = [range(each.body[0].lineno, (each.end_lineno or 0) + 1) for each in functions]
    return frozenset(line for body in bodies for line in body), frozenset(changed)


def _definitions(scope: ast.AST) -> Iterator[ast.AST]:
    for node in ast.walk(scope):
        if node is not scope and isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node


def _functions(scope: ast.AST) -> list[ast.FunctionDef]:
    return [node for node in ast.walk(scope) if isinstance(node, ast.FunctionDef)]


def _spans(node: Any, changed: range) -> bool:
    return node.lineno <= changed[0] and changed[-1] <= node.end_lineno


class _Places(cst.CSTVisitor):
    """Collect the nodes of a module that can be made faulty, with their faults."""

    METADATA_DEPENDENCIES = (ParentNodeProvider,)

    def __init__(self) -> None:
        self.found: list[tuple[cst.CSTNode, list[cst.CSTNode]]] = []

    def on_visit(self, node: cst.CSTNode) -> bool:
        left_out = cst.Annotation, cst.Raise, cst.Decorator, cst.Import, cst.ImportFrom
        if isinstance(node, left_out) or self._is_text(node):
            return False
        if isinstance(node, cst.If) and getattr(node.test, "value", "") == "TYPE_CHECKING":
            return False
        faults = [fault for kind, made in mutation_operators if isinstance(node, kind)
                  for fault in made(node)]  # fmt: skip
        if isinstance(node, cst.Call):
            faults += _neighbours(node)
        if faults:
            self.found.append((node, faults))
        return True

    def _is_text(self, node: cst.CSTNode) -> bool:
        """Tell texts for people from names and keys."""
        if isinstance(node, cst.FormattedString | cst.ConcatenatedString):
            return True
        if not isinstance(node, cst.SimpleString):
            return False
        parent = self.get_metadata(ParentNodeProvider, node)
        if isinstance(parent, cst.Expr) or " " in node.value:
            return True
        if isinstance(parent, cst.Arg) and parent.keyword is not None:
            return parent.keyword.value in TEXTS
        while isinstance(parent, cst.Tuple | cst.Element):
            parent = self.get_metadata(ParentNodeProvider, parent)
        names = cst.Module([]).code_for_node(parent).split("=")[0] if parent else ""
        return isinstance(parent, cst.Assign) and any(name in names for name in TEXTS)


def _neighbours(node: cst.Call) -> list[cst.CSTNode]:
    name = node.func.attr if isinstance(node.func, cst.Attribute) else node.func
    if not isinstance(name, cst.Name) or name.value not in NEIGHBOURS:
        return []
    return [node.with_deep_changes(name, value=NEIGHBOURS[name.value])]
