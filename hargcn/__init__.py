"""hargcn: skeleton-based activity-recognition networks that explain themselves.

`hargcn.skeleton(name)`, `hargcn.load_model(path)`, `hargcn.Windows.open(path)`,
`hargcn.Explanation.open(path)` and `hargcn.explainers` are the front door. Everything heavy is
imported on first use, so that `import hargcn` stays cheap.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from hargcn.skeleton import Skeleton, skeleton

if TYPE_CHECKING:
    __version__: str
    from hargcn import explainers
    from hargcn.data.windows import Windows
    from hargcn.explanation import Explanation
    from hargcn.networks.checkpoint import load_model, save_model
    from hargcn.networks.stgcn import MultiBranchSTGCN

_LAZY = {
    "Explanation": "hargcn.explanation",
    "MultiBranchSTGCN": "hargcn.networks.stgcn",
    "Windows": "hargcn.data.windows",
    "load_model": "hargcn.networks.checkpoint",
    "save_model": "hargcn.networks.checkpoint",
}

__all__ = [
    "Explanation",
    "MultiBranchSTGCN",
    "Skeleton",
    "Windows",
    "explainers",
    "load_model",
    "save_model",
    "skeleton",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return import_module("importlib.metadata").version("hargcn")
    if name == "explainers":
        return import_module("hargcn.explainers")
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'hargcn' has no attribute {name!r}")
