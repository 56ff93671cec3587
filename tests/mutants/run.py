"""Put small faults into the core, one at a time, and see whether any test notices.

`make mutants` runs it. A server imports the packages we use, never the project, and forks for each
fault: the child compiles the faulty text in place of its file, in memory only, and runs the tests
that reach the changed lines, those of the mirrored test file first, then those of the room, then
all others, until one fails. Which tests reach a line is measured beforehand, file by file.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import hashlib
import importlib
import importlib.machinery
import importlib.util
import json
import os
import resource
import signal
import sys
import time
import traceback
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence, Set
from functools import partial
from pathlib import Path
from types import CodeType
from typing import Any

import coverage
import pytest
import yaml

sys.path.insert(0, str(Path(__file__).parent))
from making import Mutant, named, sample

ROOMS = ("explainers", "metrics", "perturbation", "analysis", "data")
WARM = (
    "torch numpy pandas xarray h5py h5netcdf scipy.stats scipy.signal sklearn.metrics pydantic "
    "yaml typer typer.testing matplotlib.pyplot hypothesis.extra.numpy torch_geometric shap "
    "captum.attr"
)
READERS = ("tests/pipeline/test_settings.py",)
"""Tests that read declarations (defaults, bounds) without running a line beside them."""
LEFT_OUT = "slow or documents or browser or cluster or remake"
"""Tests that `make test` leaves out are left out here."""


BROKEN = 70
"""Exit code of a process that ended before pytest did."""


class Faulty(importlib.machinery.SourceFileLoader):
    """Import one module from another text than its file's."""

    def __init__(self, module: str, path: Path, text: str) -> None:
        super().__init__(module, str(path))
        self.text = text

    def find_spec(self, name: str, *_: object) -> importlib.machinery.ModuleSpec | None:
        """Answer for the one module."""
        if name != self.name:
            return None
        return importlib.util.spec_from_file_location(name, self.path, loader=self)

    def get_code(self, *_: str) -> CodeType:
        """Compile the text; no byte code is read or written."""
        return compile(self.text, self.path, "exec", dont_inherit=True)


class Chosen:
    """A pytest plugin: all tests, or some and the quickest first, and how long each took.

    Parameters
    ----------
    left_out
        Tests that cannot notice; one that nobody knows (a fault changed its name) is run.
    seconds
        How long the others took.
    cover
        The coverage to tell which test runs.
    """

    def __init__(
        self, left_out: Set[str] = frozenset(), seconds: dict[str, float] | None = None,
        cover: coverage.Coverage | None = None,
    ) -> None:  # fmt: skip
        self.left_out, self.expected, self.cover = left_out, seconds or {}, cover
        self.seconds: dict[str, float] = {}

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items[:] = [item for item in items if item.nodeid not in self.left_out]
        if self.expected:
            files = list(dict.fromkeys(item.path for item in items))
            items.sort(key=lambda i: (files.index(i.path), self.expected.get(i.nodeid, 0)))

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Any:
        start = time.process_time()
        if self.cover:
            self.cover.switch_context(item.nodeid)
        try:
            return (yield)
        finally:
            if self.cover:
                self.cover.switch_context("")
            self.seconds[item.nodeid] = round(time.process_time() - start, 3)


def forked(task: Callable[[], int], seconds: float | None = None) -> int:
    """Run a task in a process of its own; its exit code, negative for the signal that ended it."""
    pid = os.fork()
    if not pid:
        code = BROKEN
        try:
            os.setpgid(0, 0)
            if seconds is not None:
                resource.setrlimit(resource.RLIMIT_CPU, (int(seconds) + 1, int(seconds) + 2))
                signal.signal(signal.SIGALRM, signal.SIG_DFL)
                signal.alarm(int(10 * seconds) + 60)  # for what waits and never ends
            code = task()
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    status = os.waitpid(pid, 0)[1]
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)  # what it left running
    return os.waitstatus_to_exitcode(status)


def spread(items: Sequence[Any], jobs: int, task: Callable[[int, Any], None]) -> None:
    """Do a task for numbered items in several processes; stop where one fails."""
    parent = os.getpid()

    def some(first: int) -> int:
        for number, item in list(enumerate(items, 1))[first::jobs]:
            if os.getppid() != parent:
                return 1  # nobody waits any more
            task(number, item)
        return 0

    children = []
    for first in range(jobs):
        if not (pid := os.fork()):
            code = 1
            try:
                code = some(first)
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(code)
        children.append(pid)
    if any([os.waitpid(pid, 0)[1] for pid in children]):
        sys.exit("ended early; the same command goes on where it stopped")


class Bench:
    """Runs the tests of one project.

    Parameters
    ----------
    root
        Holds the package, `tests` and the notes.
    package
        Name of the package.
    notes
        Folder of what is known from earlier runs.
    patience
        Seconds of processor time that tests may take besides five times what they took.
    """

    def __init__(self, root: Path, package: str, notes: Path, patience: float) -> None:
        self.root, self.package, self.notes, self.patience = root, package, notes, patience
        notes.mkdir(exist_ok=True)
        apart = root / "tests" / "mutants", root / "tests" / "benchmarks"
        tests = [p for p in (root / "tests").rglob("*.py") if not {*apart} & {*p.parents}]
        self.tests = sorted(path for path in tests if path.name.startswith("test_"))
        self.common = digest({*(root / package).rglob("*.py"), *tests} - {*self.tests})
        self.reach: dict[str, dict[str, Any]] = {}

    def pytest(self, files: Sequence[str], plugin: Chosen, log: str = os.devnull) -> int:
        """Run test files in this process, until the first failure."""
        out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(out, 1), os.dup2(out, 2)
        os.chdir(self.root)
        os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"  # half a second a fault
        sys.dont_write_bytecode, sys.pycache_prefix = False, str(self.notes / "pycache")
        if "hypothesis" in sys.modules:
            from hypothesis import HealthCheck, settings

            settings.register_profile(
                "mutants", derandomize=True, database=None, deadline=None,
                suppress_health_check=list(HealthCheck),
            )  # fmt: skip
            settings.load_profile("mutants")
        options = ["-x", "-q", "-p", "no:cacheprovider", "-m", f"not ({LEFT_OUT})"]
        options += [f"--rootdir={self.root}", "-Wignore::pytest.PytestAssertRewriteWarning"]
        return int(pytest.main([*options, *files], plugins=[plugin]))

    def measure(self, folders: Sequence[str], jobs: int) -> None:
        """Learn which tests in folders run which lines, without a fault; all must pass."""
        files = [path.relative_to(self.root).as_posix() for path in self.tests]
        files = [file for file in files if file.startswith(tuple(folders))]
        spread([file for file in files if self._known(file) is None], jobs, self._learn)
        self.reach = {file: self._known(file) or {} for file in files}
        if not any(reach["seconds"] for reach in self.reach.values()):
            sys.exit(f"{self.root / 'tests'}: no test in {', '.join(folders)}")
        # As for a fault, but without one: what fails now would count as noticing.
        together, stamp = self.notes / "together", self.common + digest(self.tests)
        if not together.exists() or together.read_text() != stamp:
            spread([files[first::jobs] for first in range(jobs)], jobs, self._together)
            together.write_text(stamp)

    def _known(self, file: str) -> dict[str, Any] | None:
        """Return what was measured of a test file as it is now."""
        made = self._made(file)
        found = json.loads(made.read_text()) if made.exists() else {}
        return found if found.get("stamp") == self.common + digest([self.root / file]) else None

    def _made(self, file: str) -> Path:
        return self.notes / (file.replace("/", "-") + ".json")

    def _learn(self, number: int, file: str) -> None:
        log = self._made(file).with_suffix(".log")
        self._passed(forked(partial(self._reach, file, str(log))), file, log)
        say(f"{number} {file}: measured")

    def _together(self, number: int, files: list[str]) -> None:
        log = self.notes / f"together-{number}.log"
        code = forked(partial(self.pytest, files, Chosen(), str(log)))
        self._passed(code, f"{len(files)} files in one process", log)

    def _passed(self, code: int, what: str, log: Path) -> None:
        if code not in (0, 5):
            told = log.read_text(errors="replace")[-3000:] if log.exists() else ""
            raise RuntimeError(f"{what}: fails without a fault\n{told}")

    def _reach(self, file: str, log: str) -> int:
        cover = coverage.Coverage(data_file=None, source=[str(self.root / self.package)])
        plugin = Chosen(cover=cover)
        cover.start()
        code = self.pytest([file], plugin, log)
        cover.stop()
        data, lines = cover.get_data(), {}
        number = {test: n for n, test in enumerate(plugin.seconds)}
        for path in data.measured_files():
            of_file = data.contexts_by_lineno(path).items()
            # -1 is what runs outside tests: fixtures, the test module itself.
            lines[Path(path).relative_to(self.root).as_posix()] = {
                line: [number.get(test, -1) for test in tests] for line, tests in of_file
            }
        stamp = self.common + digest([self.root / file])
        made = {"stamp": stamp, "seconds": plugin.seconds, "lines": lines}
        self._made(file).write_text(json.dumps(made))
        return code

    def groups(self, mutant: Mutant) -> list[dict[str, dict[str, float]]]:
        """Return the tests (file -> test -> seconds) that reach a fault, the nearest first."""
        inside = Path(mutant.file).relative_to(self.package)
        mirrored, room = f"tests/{inside.parent}/test_{inside.stem}.py", f"tests/{inside.parts[0]}/"
        groups: list[dict[str, dict[str, float]]] = [{}, {}, {}]
        for file, reach in self.reach.items():
            lines, seconds = reach["lines"].get(mutant.file, {}), reach["seconds"]
            chosen = {test for line in mutant.lines for test in lines.get(str(line), ())}
            if mutant.declared:  # lines that run on import say nothing, those of lambdas do
                chosen |= {t for line in mutant.declared for t in lines.get(str(line), ())} - {-1}
                chosen |= {-1} if file in (mirrored, *READERS) else set()
            tests = {t: s for n, (t, s) in enumerate(seconds.items()) if chosen & {n, -1}}
            if tests:
                groups[0 if file == mirrored else 1 if file.startswith(room) else 2][file] = tests
        return [dict(sorted(g.items(), key=lambda t: sum(t[1].values()))) for g in groups if g]

    def noticed(self, mutant: Mutant) -> str:
        """Return how the tests notice a fault; "" if they do not."""
        for group in self.groups(mutant):
            chosen = {t: s for tests in group.values() for t, s in tests.items()}
            limit = self.patience + 5 * sum(chosen.values())
            code = forked(partial(self._with, mutant, list(group), chosen), limit)
            if code == BROKEN:
                raise RuntimeError(f"{mutant.file}:{mutant.line}: the runner itself failed")
            if code not in (0, 5):  # 5: no test is left, all have other names
                return "failed" if code > 0 else signal.Signals(-code).name
        return ""

    def _with(self, mutant: Mutant, files: list[str], chosen: dict[str, float]) -> int:
        module = mutant.file.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        sys.meta_path.insert(0, Faulty(module, self.root / mutant.file, mutant.text))
        left_out = {test for file in files for test in self.reach[file]["seconds"]} - {*chosen}
        return self.pytest(files, Chosen(left_out, chosen))

    def judge(self, mutants: Sequence[Mutant], jobs: int) -> dict[str, dict[str, Any]]:
        """Return how each fault was noticed, by its key; what is known is not done again."""
        store = self.notes / "results.jsonl"
        tests = self.common + digest(self.tests)
        known = _read(store)
        todo = [m for m in mutants if not known.get(m.key, {}).get("how")
                and known.get(m.key, {}).get("tests") != tests]  # fmt: skip

        def one(number: int, mutant: Mutant) -> None:
            start = time.perf_counter()
            how = self.noticed(mutant)
            spent = round(time.perf_counter() - start, 1)
            entry = {"key": mutant.key, "how": how, "seconds": spent, "tests": tests}
            with store.open("a") as file:
                file.write(json.dumps(entry) + "\n")
            mark = how or "NOT NOTICED"
            say(f"{number}/{len(todo)} {mutant.file}:{mutant.line} {mark} ({spent} s)")

        spread(todo, jobs, one)
        return _read(store)


def _read(store: Path) -> dict[str, dict[str, Any]]:
    rows = map(json.loads, store.read_text().splitlines() if store.exists() else ())
    return {row["key"]: row for row in rows}


def digest(paths: Iterable[Path]) -> str:
    """Return the digest of files."""
    return hashlib.sha256(b"".join(path.read_bytes() for path in sorted(paths))).hexdigest()[:16]


def say(text: str) -> None:
    """Tell how far it is."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def report(mutants: Sequence[Mutant], found: dict[str, Any], listed: dict[Any, str]) -> str:
    """Write the rate by room, and each fault that no test noticed with its reason."""
    rooms: dict[str, list[bool]] = defaultdict(list)
    lost = []
    for mutant in mutants:
        reason = listed.get(mutant.change, "NO REASON GIVEN")
        how = mutant.change not in listed and found[mutant.key]["how"]
        for room in (mutant.file.split("/")[1], "all"):
            rooms[room].append(bool(how))
        if not how:
            lost.append(
                f"- {mutant.file}:{mutant.line} {mutant.what}\n"
                f"    - `{mutant.old}`\n    - `{mutant.new}`\n    - {reason}"
            )
    rows = [
        f"| {room} | {len(each)} | {sum(each)} | {sum(each) / len(each):.1%} |"
        for room, each in sorted(rooms.items(), key=lambda row: row[0] == "all")
    ]
    head = ["| faults in | number | noticed | rate |", "|---|---|---|---|"]
    return "\n".join([*head, *rows, "", f"Not noticed: {len(lost)}", *lost, ""])


def main() -> None:
    """Read the command line and do it all."""
    here = Path(__file__).resolve().parent
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, default=here.parents[1])
    parser.add_argument("--package", default="hargcn")
    parser.add_argument("--rooms", nargs="*", default=ROOMS)
    parser.add_argument("--lists", type=Path, default=here, help="named.yaml, unnoticed.yaml")
    parser.add_argument("--number", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1234)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--patience", type=float, default=30, help="seconds for endless loops")
    parser.add_argument("--near", action="store_true", help="only tests of the rooms: quicker")
    parser.add_argument("--warm", default=WARM, help="packages to import once")
    given = parser.parse_args()
    root = given.root.resolve()
    sys.path.insert(0, str(root))
    folders = [f"{given.package}/{room}" for room in given.rooms]
    mutants = named(root, given.lists / "named.yaml")
    mutants += sample(root, folders, given.number, given.seed)
    bench = Bench(root, given.package, root / ".mutants", given.patience)
    for name in given.warm.split():
        importlib.import_module(name)
    if any(name.split(".")[0] == given.package for name in sys.modules):
        sys.exit(f"{given.package} is imported already: no fault would be seen")
    gc.freeze()  # pytest collects garbage twice a run: not among what was there before
    near = [*(f"tests/{room}/" for room in given.rooms), *READERS]
    bench.measure(near if given.near else [""], given.jobs)
    entries = yaml.safe_load((given.lists / "unnoticed.yaml").read_text(encoding="utf-8")) or []
    listed = {(each["file"], each["old"], each["new"]): each["reason"] for each in entries}
    # What no test can notice is not tried again.
    found = bench.judge([m for m in mutants if m.change not in listed], given.jobs)
    text = report(mutants, found, listed)
    (bench.notes / "report.md").write_text(text, encoding="utf-8")
    say(text)


if __name__ == "__main__":
    main()
