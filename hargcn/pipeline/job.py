"""What makes two jobs the same: the code that runs, and the network it runs on."""

from __future__ import annotations

import hashlib
import inspect
import re
import uuid
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from torch import nn

from hargcn.explainers.base import Explainer
from hargcn.networks.checkpoint import fingerprint
from hargcn.registry import fields_of

_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


def code_of(explainer: Explainer) -> list[str]:
    """Name the code that a method consists of: its classes, their source, hargcn and torch.

    Code without a source file (typed at a prompt) is never the same as other code.
    """
    inner = [getattr(explainer, name) for name in fields_of(type(explainer))]
    nested = [code for each in inner if isinstance(each, Explainer) for code in code_of(each)]
    own = [_source(cls) for cls in type(explainer).__mro__ if issubclass(cls, Explainer)]
    return [package(), f"torch {version('torch')}", *own, *nested]


def identity(network: nn.Module) -> str:
    """Return the digest of a network: its modules, settings, classes and the weights it holds.

    Modules are told by what they print. Where something lies in memory does not count, or a module
    that prints a function would be another one in every process; nor does what a function does.
    """
    about = [repr(network)]
    for module in network.modules():
        names = ("config", "classes", "skeleton", "digest")
        known = (getattr(module, name, None) for name in names)
        about += [repr(each) for each in known if each is not None]
    return fingerprint(network, *(_ADDRESS.sub("", each) for each in about))


def _source(cls: type[Any]) -> str:
    name = f"{cls.__module__}.{cls.__qualname__}"
    if cls.__module__.startswith("hargcn."):
        return name
    try:
        return f"{name} {_digest(Path(inspect.getfile(cls)))}"
    except (OSError, TypeError):
        return f"{name} {uuid.uuid4()}"


@cache
def package(*rooms: str) -> str:
    """Return the digest of hargcn's own code, or of that in some of its rooms."""
    root = Path(__file__).parents[1]
    files = sorted(file for room in rooms or ("",) for file in (root / room).rglob("*.py"))
    return "hargcn " + hashlib.sha256("".join(map(_digest, files)).encode()).hexdigest()


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
