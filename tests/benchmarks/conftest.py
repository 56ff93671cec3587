"""Figures beside their aims: `judge` takes them, the run ends with one table of all.

`--verdicts FILE` writes them too; `docs/benchmarks.md` and the README are drawn from that file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fixtures.verdicts import Verdict, keep, told

FOUND = pytest.StashKey[list[Verdict]]()
OWN = pytest.StashKey[list[Verdict]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--verdicts", type=Path, help="write the benchmarks' figures to this CSV file")


def pytest_configure(config: pytest.Config) -> None:
    config.stash[FOUND] = []


@pytest.fixture
def judge(request: pytest.FixtureRequest) -> Callable[..., None]:
    """Take a figure and its aim (see `Verdict`); beyond its limit the test fails at its end."""
    module = request.path.stem.removeprefix("test_bench_")
    own = request.node.stash.setdefault(OWN, [])

    def take(what: str, value: float, against: str, **aim: Any) -> None:
        own.append(Verdict(module, what, float(value), against, **aim))
        request.config.stash[FOUND].append(own[-1])

    return take


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Iterator[None]:
    """Fail a benchmark when all its figures are in: the table has those behind a bad one too."""
    done = yield
    beyond = [str(each) for each in pyfuncitem.stash.get(OWN, []) if not each.within(each.limit)]
    assert not beyond, "\n".join(beyond)
    return done


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    found = config.stash[FOUND]
    if found:
        terminalreporter.section("figures and their aims")
    for line in told(found):
        terminalreporter.write_line(line)
    path = config.getoption("verdicts")
    if path and found:
        keep(found, path)
        terminalreporter.write_line(f"written: {path}")
