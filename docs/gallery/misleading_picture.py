"""
A picture that misleads
=======================

A ranking can be clear, stable and true of the network, and still tell nothing about the movement
in question. Here one class has, besides its tremor of the right wrist, a twitch of the left ankle
in most of its recordings, as a loose sensor or another site would leave it: a shortcut.
"""

# %%
# **Data.** The tremor of the class is small, the twitch large; 95% of the class's recordings have
# the twitch, and none of the others.

from pathlib import Path
from tempfile import mkdtemp

import hargcn
from hargcn.analysis.ranking import Ranking
from hargcn.metrics.model_free import acceleration
from hargcn.pipeline.config import read_config
from hargcn.pipeline.explain import explain
from hargcn.pipeline.network import test
from hargcn.pipeline.prepare import synthesise
from hargcn.pipeline.train import train
from hargcn.plots import plot_ranking

folder = Path(mkdtemp())
plant = {
    "share": 0.5,
    "classes": {"no tremor": None, "tremor": {"kind": "tremor", "size": 0.04}},
    "distractors": 0,
    "decoys": [
        {
            "kind": "tremor",
            "joint": "left_ankle",
            "size": 0.24,
            "classes": ["tremor"],
            "chance": 0.95,
        }
    ],
}
settings = {
    "windows": str(folder / "windows.h5"),
    "prepare": {
        "preprocess": {"centre": "median", "scale": "trunk"},
        "windows": {"mode": "whole", "length": 60},
        "synthetic": {"recordings": 200, "frames": [60, 60], "plant": plant},
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
# A good network, it seems. Which joints speak for "tremor"?

(file,) = explain(
    network, windows.path, folder / "shap.h5", method="shap", target="tremor", of=["tremor"],
    background=20, limit=16,
)  # fmt: skip
shap = hargcn.Explanation.open(file)
figure, _ = plot_ranking(shap, top=12)

# %%
# *What is seen:* the left ankle and foot lead, the right hand, which trembles, follows far
# behind. The picture is right: this is what the network goes by. What would be wrong is to read
# it as "one tells the tremor by the left ankle". The circles far to the left are the hint to look
# closer: a window of the same class (how many is printed below) in which ankle and foot speak
# *against* it, because they do not twitch.

ranking = Ranking.of(shap)
assert set(ranking.features[:2]) == {"left_ankle", "left_foot"}
ankle = shap.sum("branch", "channel", "time", "person").values.sel(joint="left_ankle")
against = int((ankle < -0.5).sum())
print(f"windows in which the ankle speaks against the class: {against} of {len(ankle)}")
assert 1 <= against <= 3
shown = windows.subset("test")
shown = shown.subset(shown.label == windows.classes.index("tremor")).subset(slice(0, 16))
moves = acceleration(shown.positions())[..., shown.skeleton.index("left_ankle")].mean(axis=1)
assert moves[ankle < -0.5].max() < 0.6 * moves[ankle > 0].mean()  # nothing twitches there

# %%
# **The control.** The same recordings without the twitch; hands tremble as before.

clean = synthesise(folder / "clean.h5", settings["prepare"], ["synthetic.plant.leave_out=decoys"])
without = test(network, clean.path, progress=False).windows["accuracy"]
print(f"accuracy without the twitch {without:.2f}")
assert without < accuracy - 0.2

# %%
# Most of what looked like skill is gone. With recordings of one's own nothing can be left out so
# neatly, but the same questions can be asked: another site, another camera, the joint covered
# (`hargcn perturb`), labels shuffled. `Reading a picture <../reading-pictures.html>`__ has the
# list.
