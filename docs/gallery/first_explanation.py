"""
A first explanation
===================

Bodies are generated, and in one class the right wrist trembles. A small network learns to tell the
classes apart, and SHAP says which joints made it say "tremor". We know where it must point: to the
right hand.
"""

# %%
# **Data.** 160 windows of 60 frames, ten people, 25 joints as a Kinect sees them. In *both*
# classes two other limbs tremble just as much, so that a joint that moves unusually is no answer.
# People 3, 4, 8 and 9 are kept for testing.

from pathlib import Path
from tempfile import mkdtemp

import hargcn
from hargcn.analysis.ranking import Ranking
from hargcn.pipeline.config import read_config
from hargcn.pipeline.explain import explain
from hargcn.pipeline.network import test
from hargcn.pipeline.prepare import synthesise
from hargcn.pipeline.train import train
from hargcn.plots import plot_ranking, plot_strip

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

# %%
# **Training**, and a look at people whom the network never saw. An explanation of a network that
# guesses explains a guess, so this comes first.

network = train(read_config(settings), out=folder / "run", progress=False).path
accuracy = test(network, windows.path, progress=False).windows["accuracy"]
print(f"accuracy for unseen people {accuracy:.2f}")
assert accuracy > 0.85

# %%
# **SHAP** divides the score of "tremor" among joints, frames and branches: with the base value,
# the mean score of the background windows, the parts add up to the score.

(file,) = explain(
    network, windows.path, folder / "shap.h5", method="shap", target="tremor", of=["tremor"],
    background=20, limit=12,
)  # fmt: skip
shap = hargcn.Explanation.open(file)
print(f"largest gap between sum and score, as a share: {float(shap.relative_gap.max()):.1e}")
assert float(shap.relative_gap.max()) < 1e-3

# %%
# **The ranking.** A box is the distribution over twelve windows of what a joint adds to the
# score.

figure, _ = plot_ranking(shap, top=12)

# %%
# *What is seen:* the joints of the right hand lead, far ahead of all others. The ankles tremble
# in both classes alike, and their boxes lie about zero: the network does not take them for
# evidence. Both is checked:

ranking = Ranking.of(shap)
medians = dict(zip(ranking.features, sorted(ranking.medians, reverse=True), strict=True))
hand = ["right_thumb", "right_hand", "right_hand_tip", "right_wrist"]
assert set(ranking.features[:3]) <= set(hand)
assert max(abs(medians["left_ankle"]), abs(medians["right_ankle"])) < 0.1 * medians["right_hand"]

# %%
# **One window**, as a strip. Red speaks for "tremor", blue against it; larger is more.

figure, _ = plot_strip(shap, 0)

# %%
# *What is seen:* wherever there is colour it is at the end of the right arm, most of it in one
# moment, and now and then a frame there speaks against a tremor. The rest of the body stays
# white.

one = shap.isel(sample=[0]).sum("branch", "channel", "person").values
assert str(one.isel(one.argmax(...))["joint"].values) in hand
share = float(abs(one.sel(joint=hand)).sum() / abs(one).sum())
print(f"share of the window's attribution, by size, on the right hand: {share:.2f}")
assert share > 0.5
