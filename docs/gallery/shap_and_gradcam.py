"""
SHAP against Grad-CAM
=====================

Two explanations of the same network and the same windows, over joints and time. The tremor is
there for half of every window, so both questions have a known answer: *where* (the right hand) and
*when*.
"""

# %%
# **Data and network**, as in :doc:`first_explanation`. Windows of "tremor" carry the mask of what
# was planted.

from pathlib import Path
from tempfile import mkdtemp

import hargcn
from hargcn.analysis.ranking import Ranking
from hargcn.metrics.localisation import auroc, energy, mask_area
from hargcn.pipeline.config import read_config
from hargcn.pipeline.explain import explain
from hargcn.pipeline.network import test
from hargcn.pipeline.prepare import synthesise
from hargcn.pipeline.train import train
from hargcn.plots import plot_heatmap, plot_ranking

folder = Path(mkdtemp())
settings = {
    "windows": str(folder / "windows.h5"),
    "prepare": {
        "preprocess": {"centre": "median", "scale": "trunk"},
        "windows": {"mode": "whole", "length": 60},
        "synthetic": {
            "recordings": 200,
            "frames": [60, 60],
            "plant": {
                "share": 0.5,
                "classes": {"no tremor": None, "tremor": {"kind": "tremor", "size": 0.16}},
            },
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
    "train": {"epochs": 12, "batch_size": 16, "lr": 0.02, "label_smoothing": 0},
}
windows = synthesise(folder / "windows.h5", settings["prepare"])
network = train(read_config(settings), out=folder / "run", progress=False).path
accuracy = test(network, windows.path, progress=False).windows["accuracy"]
print(f"accuracy for unseen people {accuracy:.2f}")
assert accuracy > 0.85

# %%
# **Both explanations.** SHAP is of the inputs, each frame and each joint by itself. Grad-CAM is a
# map of a layer's cells: each has seen several frames and, through the graph, the joints around
# it.

asked = {"target": "tremor", "of": ["tremor"], "limit": 16}
(shap_file,) = explain(
    network, windows.path, folder / "shap.h5", method="shap", background=20, **asked
)
(cam_file,) = explain(network, windows.path, folder / "cam.h5", layer=["main.1.attention"], **asked)
shap, cam = map(hargcn.Explanation.open, (shap_file, cam_file))
truth = windows.subset("test")
truth = truth.subset(truth.label == windows.classes.index("tremor")).subset(slice(0, 16)).truth()

figure, _ = plot_heatmap(shap, 0)

# %%
# *What is seen in SHAP's map:* the rows of the right hand are coloured, the elbow's a little, no
# others; red and blue stand side by side. A tremor goes to and fro, and so does what single frames
# say; the sum of all cells, with the base value, is the score.

figure, _ = plot_heatmap(cam, 0)

# %%
# *What is seen in Grad-CAM's map:* the same rows, and one red stretch that begins, grows and
# fades. It says *when* as one would mark it by hand. Its cells add up to nothing in particular,
# and the elbow is coloured a little: its cells have seen the wrist.
#
# Figures for all sixteen windows say the same: by the share of positive attribution on what was
# planted the two are alike; by AUROC (does a cell of the evidence lie above another cell?),
# Grad-CAM is ahead, since SHAP's blue cells within the tremor count against it.

figures = {name: (float(energy(each, truth).mean()), float(auroc(each, truth).mean()))
           for name, each in (("SHAP", shap), ("Grad-CAM", cam))}  # fmt: skip
for name, (share, area) in figures.items():
    print(f"{name:9} share on the evidence {share:.2f}, AUROC {area:.2f}")
print(f"chance    share on the evidence {float(mask_area(truth).mean()):.2f}, AUROC 0.50")
assert min(share for share, _ in figures.values()) > 0.6
assert figures["Grad-CAM"][1] > figures["SHAP"][1] + 0.1 > 0.6

cells = shap.isel(sample=[0]).sum("branch", "channel", "person").values
cells = cells.where(truth[:1])
assert float(cells.min()) < -0.2 * float(cells.max())  # blue among the red
assert float(shap.relative_gap.max()) < 1e-3

# %%
# **Joints alone.** Over time the reds and blues of SHAP add up, and the rankings agree.

figure, _ = plot_ranking({"SHAP": shap, "Grad-CAM": cam}, top=12)

# %%
# *What is seen:* the same four joints lead in both. SHAP's axis is in shares of the score;
# Grad-CAM's is not, and the two must not be compared in size.

first = [set(Ranking.of(each).features[:4]) for each in (shap, cam)]
assert first[0] == first[1] == {"right_thumb", "right_hand", "right_hand_tip", "right_wrist"}
