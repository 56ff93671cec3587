"""hargcn: skeleton-based activity-recognition networks that explain themselves.

`hargcn.skeleton(name)`, `hargcn.load_model(path)`, `hargcn.Windows.open(path)`,
`hargcn.Explanation.open(path)` and `hargcn.explainers` are the front door. Everything heavy is
imported on first use, so that `import hargcn` stays cheap.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hargcn.skeleton import Skeleton, skeleton

__all__ = [
    "Explanation",
    "MultiBranchSTGCN",
    "Skeleton",
    "Windows",
    "__version__",
    "explainers",
    "load_model",
    "save_model",
    "show",
    "skeleton",
]

# A type checker reads the names, Python finds them when they are asked for.
if TYPE_CHECKING:
    from hargcn import explainers
    from hargcn.data.windows import Windows
    from hargcn.explanation import Explanation
    from hargcn.networks.checkpoint import load_model, save_model
    from hargcn.networks.stgcn import MultiBranchSTGCN
    from hargcn.report.notebook import show

    __version__: str
else:
    _WHERE = {
        "Explanation": "hargcn.explanation",
        "MultiBranchSTGCN": "hargcn.networks.stgcn",
        "Windows": "hargcn.data.windows",
        "load_model": "hargcn.networks.checkpoint",
        "save_model": "hargcn.networks.checkpoint",
        "show": "hargcn.report.notebook",
    }

    def __getattr__(name):
        from importlib import import_module, metadata

        if name == "__version__":
            return metadata.version("hargcn")
        if name == "explainers":
            return import_module("hargcn.explainers")
        if name in _WHERE:
            return getattr(import_module(_WHERE[name]), name)
        raise AttributeError(f"module 'hargcn' has no attribute {name!r}")

    def __dir__():
        return list(__all__)
