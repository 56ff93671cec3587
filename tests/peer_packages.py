"""Bring in other people's packages that the tests compare with.

pytorch-grad-cam imports three names of torchvision that its maps never use, and torchvision's
wheels for other builds of torch do not load here: where torchvision is missing, empty stand-ins
take the place of those three modules while the package is imported.
"""

from __future__ import annotations

import importlib.util
import sys
import warnings
from types import ModuleType

import pytest

STAND_INS = {
    "torchvision": (),
    "torchvision.transforms": ("Compose", "Normalize", "ToTensor"),
    "torchvision.transforms.functional": ("resize",),
}


def grad_cam() -> ModuleType:
    """Return the module pytorch_grad_cam, or skip."""
    pytest.importorskip("cv2", reason="needs opencv-python-headless")
    pytest.importorskip("ttach", reason="needs ttach")
    added = []
    if importlib.util.find_spec("torchvision") is None:
        for name, attributes in STAND_INS.items():
            if name not in sys.modules:
                module = ModuleType(name)
                for attribute in attributes:
                    setattr(module, attribute, None)
                sys.modules[name] = module
                added.append(name)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # theirs
            return pytest.importorskip("pytorch_grad_cam", reason="needs grad-cam")
    finally:
        for name in added:
            del sys.modules[name]


def raw_map(cam: object, x: object, target: list[int]) -> object:
    """Return pytorch-grad-cam's signed map (sample, rows, columns), before ReLU and scaling."""
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    kept = []
    original = cam.get_cam_image

    def keep(*args: object, **kwargs: object) -> object:
        kept.append(original(*args, **kwargs))
        return kept[-1]

    cam.get_cam_image = keep
    cam(x, [ClassifierOutputTarget(t) for t in target])
    return kept[0]
