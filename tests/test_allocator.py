from __future__ import annotations

import subprocess
import sys

import pytest

from hargcn.allocator import keep_freed_memory

SCRIPT = """
import resource, sys, numpy as np
from hargcn.allocator import keep_freed_memory
if sys.argv[1] == "keep":
    assert keep_freed_memory()
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        np.ones(8_000_000)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
faults()
print(faults())
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc only")
def test_large_blocks_are_not_mapped_again():
    def run(mode):
        command = [sys.executable, "-c", SCRIPT, mode]
        return int(subprocess.run(command, capture_output=True, check=True, text=True).stdout)

    assert run("keep") < 0.1 * run("default")


def test_elsewhere_nothing_happens(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    assert keep_freed_memory() is False
