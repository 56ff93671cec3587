"""
Does the network react where the explanation points?
====================================================

An explanation makes a prediction: take away the joints that it ranks first, and the answer changes
more than if others were taken away. A perturbation curve asks the network, beside random orders of
the joints.
"""

# %%
# **Data, network, explanations**, as in :doc:`first_explanation`.

from pathlib import Path
from tempfile import mkdtemp

from hargcn.pipeline.config import read_config
from hargcn.pipeline.explain import explain
from hargcn.pipeline.network import test
from hargcn.pipeline.perturb import perturb
from hargcn.pipeline.prepare import synthesise
from hargcn.pipeline.train import train
from hargcn.plots import plot_curves

folder = Path(mkdtemp())
settings = {
    "windows": str(folder / "windows.h5"),
    "prepare": {
        "preprocess": {"centre": "median", "scale": "trunk"},
        "windows": {"mode": "whole", "length": 60},
        "synthetic": {
            "recordings": 160,
            "frames": [60, 60],
            "plant": {"share": 1, "classes": {"no tremor": None, "tremor": {"kind": "tremor"}}},
        },
    },
    "model": {
        "branches": ["V"],
        "width": 16,
        "min_width": 16,
        "max_width": 32,
        "last_width": 32,
        "branch": {"blocks": 1, "depth": 1, "stride": 2},
        "main": {"blocks": 2},
    },
    "train": {"epochs": 10, "batch_size": 16, "lr": 0.02, "label_smoothing": 0},
}
windows = synthesise(folder / "windows.h5", settings["prepare"])
network = train(read_config(settings), out=folder / "run", progress=False).path
assert test(network, windows.path, progress=False).windows["accuracy"] > 0.85
asked = {"target": "tremor", "of": ["tremor"], "limit": 16}
(shap,) = explain(network, windows.path, folder / "shap.h5", method="shap", background=20, **asked)
(cam,) = explain(network, windows.path, folder / "cam.h5", layer=["main.1.attention"], **asked)

# %%
# **The curve.** The k joints that an explanation ranks first are frozen where they are on average
# (`input:mean`), for k = 0, 1, 2 ... 10, and the change of the probability is drawn. The left
# panel does so with the most important joints, the middle one with the least important, the right
# one with all but the most important. Grey is what 20 random orders do: 95% of them lie in the
# band.

curves = perturb(
    network, windows.path, [shap, cam], folder / "curves.h5", edit="input:mean", top=10, random=20,
    progress=False,
)  # fmt: skip
figure, _ = plot_curves(curves.dataset, "gap")

# %%
# *What is seen:* without the two or three joints that SHAP or Grad-CAM ranks first the
# probability of "tremor" breaks down (left), far above the band of random orders; without the
# least important ones nothing happens (middle), and the three most important joints alone keep it
# (right). Both explanations name joints that the network uses. Which of them says better *when*
# the tremor happens this curve does not tell: :doc:`shap_and_gradcam` does.

important = curves.dataset.sel(set="important", k=3)
others = curves.dataset.sel(set="unimportant", k=10)
for name in curves.dataset["explanation"].values[:2]:
    gap, least = (float(each["gap"].sel(explanation=name)) for each in (important, others))
    print(f"{name}: without the first three {gap:.2f}, without the last ten {least:.2f}")
    assert gap > 2 * float(important["gap_band_high"])  # the upper edge of the band
    assert least < 0.05
