"""Explainers: small classes with plain arguments, called as `explainer(model, x, target)`.

They meet any `torch.nn.Module` (see `adapter`) and return an `Explanation`, or one per layer.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hargcn.explainers.cam.base import ActivationMap

_WHERE = {
    "AblationCAM": "cam.ablation",
    "CAM": "cam.gradient",
    "GradCAM": "cam.gradient",
    "GradCAMElementwise": "cam.gradient",
    "GradCAMPlusPlus": "cam.gradient",
    "HiResCAM": "cam.gradient",
    "LayerCAM": "cam.gradient",
    "LiftCAM": "cam.ablation",
    "RandomCAM": "cam.gradient",
    "ScoreCAM": "cam.score_cam",
    "ShapCAM": "cam.shap_cam",
    "ShapleyCAM": "cam.gradient",
    "ShapleyCAME": "cam.gradient",
    "ShapleyCAMH": "cam.gradient",
    "XGradCAM": "cam.gradient",
    "DeepSHAP": "deepshap.explainer",
    "register_rule": "deepshap.rules_nary",
    "explain_all": "cam.base",
}

# Names on the command line -> class and its fixed arguments.
METHODS: dict[str, tuple[str, dict[str, Any]]] = {
    "cam": ("CAM", {}),
    "gradcam": ("GradCAM", {}),
    "gradcam-negated": ("GradCAM", {"negated": True}),
    "hirescam": ("HiResCAM", {}),
    "gradcam-elementwise": ("GradCAMElementwise", {}),
    "layercam": ("LayerCAM", {}),
    "xgradcam": ("XGradCAM", {}),
    "gradcam++": ("GradCAMPlusPlus", {}),
    "shapleycam": ("ShapleyCAM", {}),
    "shapleycam-h": ("ShapleyCAMH", {}),
    "shapleycam-e": ("ShapleyCAME", {}),
    "scorecam": ("ScoreCAM", {}),
    "ablationcam": ("AblationCAM", {}),
    "liftcam": ("LiftCAM", {}),
    "shapcam": ("ShapCAM", {}),
    "randomcam": ("RandomCAM", {}),
}


def cam_explainer(method: str, layers: list[str], **settings: Any) -> ActivationMap:
    """Build a class activation map by its name on the command line.

    Parameters
    ----------
    method
        One of `METHODS`.
    layers
        Layer names.
    settings
        Arguments of the class; None leaves its default, and so does what the class does not take.
    """
    import inspect

    if method not in METHODS:
        raise ValueError(f"Expected a method of shap, {', '.join(METHODS)} (got {method!r})")
    name, fixed = METHODS[method]
    cls = getattr(import_module("hargcn.explainers"), name)
    known = inspect.signature(cls).parameters
    given = {k: v for k, v in settings.items() if v is not None and k in known}
    return cls(**{**given, **fixed, "layers": layers})


def __getattr__(name: str) -> Any:
    if name in _WHERE:
        return getattr(import_module(f"hargcn.explainers.{_WHERE[name]}"), name)
    raise AttributeError(f"module 'hargcn.explainers' has no attribute {name!r}")
