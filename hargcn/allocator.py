"""Keep freed memory: large tensors are otherwise mapped and unmapped at every operation.

glibc hands every block above 32 MB (at first above 128 kB) to the kernel when it is freed and asks
for it again, page by page, at the next operation. On machines where page faults are dear this
slows a network down many times over. PyTorch has no allocator of its own on the CPU.
"""

from __future__ import annotations

import ctypes
import sys

_M_TRIM_THRESHOLD = -1
_M_MMAP_MAX = -4


def keep_freed_memory() -> bool:
    """Tell glibc to keep what is freed and never to map single blocks; a no-op elsewhere.

    The process then holds its peak memory until it ends. Called by the command line; a program
    that uses hargcn as a library decides for itself.

    Returns
    -------
    bool
        Whether the settings were accepted.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    return bool(mallopt(_M_MMAP_MAX, 0)) and bool(mallopt(_M_TRIM_THRESHOLD, -1))
