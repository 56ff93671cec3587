"""Explainers: frozen classes whose fields are settings, called as `explainer(model, x, target)`.

They meet any `torch.nn.Module` (see `Adapter`) and return an `Explanation`. A method is found by
being a class in a module of this package; `methods()` lists all of them.
"""

from hargcn.explainers.adapter import Adapter, ExplainableModel
from hargcn.explainers.attribution.gradients import InputXGradient, Saliency
from hargcn.explainers.attribution.guided import Deconvnet, GuidedBackprop, GuidedGradCAM
from hargcn.explainers.attribution.integrated_gradients import (
    ExpectedGradients,
    IntegratedGradients,
)
from hargcn.explainers.attribution.lime import Lime
from hargcn.explainers.attribution.mask import MeaningfulMask
from hargcn.explainers.attribution.noise import SmoothGrad, SmoothGradSquared
from hargcn.explainers.attribution.occlusion import Occlusion, PredictionDifference
from hargcn.explainers.attribution.rise import Rise
from hargcn.explainers.attribution.shapley_groups import ShapleyGroups
from hargcn.explainers.base import Explainer, make, methods
from hargcn.explainers.baselines import Constant, FakeCAM, Random, Truth
from hargcn.explainers.cam.ablation import AblationCAM, LiftCAM
from hargcn.explainers.cam.base import explain_all
from hargcn.explainers.cam.gradient import (
    CAM,
    GradCAM,
    GradCAMElementwise,
    GradCAMPlusPlus,
    HiResCAM,
    LayerCAM,
    NegatedGradCAM,
    RandomCAM,
    ShapleyCAM,
    ShapleyCAME,
    ShapleyCAMH,
    XGradCAM,
)
from hargcn.explainers.cam.score_cam import ScoreCAM
from hargcn.explainers.cam.shap_cam import ShapCAM
from hargcn.explainers.deepshap.explainer import DeepSHAP
from hargcn.explainers.deepshap.library import LibrarySHAP
from hargcn.explainers.deepshap.rhythm import RhythmSHAP
from hargcn.explainers.deepshap.rules import register_rule
from hargcn.explainers.edges.gradients import EdgeGradient, EdgeIntegratedGradients
from hargcn.explainers.edges.shapley import EdgeShapley
from hargcn.explainers.hybrid import HybridProduct, HybridRank, product, rank_average
from hargcn.explainers.interoperation import explain_func
from hargcn.explainers.relevance.book import register_relevance
from hargcn.explainers.relevance.explainer import LRP, RAP, DeepTaylor
from hargcn.explainers.relevance.pattern_based import PatternAttribution, PatternNet

__all__ = [
    "AblationCAM",
    "Adapter",
    "CAM",
    "Constant",
    "Deconvnet",
    "DeepSHAP",
    "DeepTaylor",
    "EdgeGradient",
    "EdgeIntegratedGradients",
    "EdgeShapley",
    "ExpectedGradients",
    "ExplainableModel",
    "Explainer",
    "FakeCAM",
    "GradCAM",
    "GradCAMElementwise",
    "GradCAMPlusPlus",
    "GuidedBackprop",
    "GuidedGradCAM",
    "HiResCAM",
    "HybridProduct",
    "HybridRank",
    "InputXGradient",
    "IntegratedGradients",
    "LRP",
    "LayerCAM",
    "LibrarySHAP",
    "LiftCAM",
    "Lime",
    "MeaningfulMask",
    "NegatedGradCAM",
    "Occlusion",
    "PatternAttribution",
    "PatternNet",
    "PredictionDifference",
    "RAP",
    "Random",
    "RandomCAM",
    "RhythmSHAP",
    "Rise",
    "Saliency",
    "ScoreCAM",
    "ShapCAM",
    "ShapleyCAM",
    "ShapleyCAME",
    "ShapleyCAMH",
    "ShapleyGroups",
    "SmoothGrad",
    "SmoothGradSquared",
    "Truth",
    "XGradCAM",
    "explain_all",
    "explain_func",
    "make",
    "methods",
    "product",
    "rank_average",
    "register_relevance",
    "register_rule",
]
