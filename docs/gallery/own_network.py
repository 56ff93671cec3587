"""
A network of one's own
======================

Any ``torch.nn.Module`` is explained. `Adapter` says what its axes mean; nothing else of hargcn is
needed.
"""

# %%
# **A network and its training**, all in plain torch. Class 1 is where joint 7, the left hand,
# moves fast; which of the others does is drawn at random.

import torch
from torch import nn

import hargcn
from hargcn.explainers import Adapter, DeepSHAP, GradCAM, HiResCAM, explain_all
from hargcn.plots import plot_ranking

skeleton = hargcn.skeleton("ntu25")
left_hand = skeleton.index("left_hand")
torch.manual_seed(1234)


def movements(count):
    """Return (sample, channel, time, joint) positions, and their classes."""
    x = torch.randn(count, 3, 40, 25).cumsum(dim=2) * 0.1
    fast = torch.randint(0, 25, (count,))
    y = torch.randint(0, 2, (count,))
    fast = torch.where(y == 1, left_hand, torch.where(fast == left_hand, 0, fast))
    x[torch.arange(count), :, :, fast] += torch.randn(count, 3, 40)
    return x, y


class Small(nn.Module):
    """Two temporal convolutions over each joint, a mean over time, a linear layer over joints."""

    def __init__(self):
        super().__init__()
        self.temporal = nn.Sequential(
            nn.Conv2d(3, 16, (3, 1)), nn.ReLU(), nn.Conv2d(16, 16, (3, 1), (2, 1)), nn.ReLU()
        )
        self.head = nn.Linear(16 * 25, 2)

    def forward(self, x):
        """Return logits (sample, class)."""
        return self.head(self.temporal(x).mean(dim=2).flatten(1))


network = Small()
optimiser = torch.optim.Adam(network.parameters(), 0.003)
x, y = movements(400)
for _ in range(60):
    optimiser.zero_grad()
    nn.functional.cross_entropy(network(x), y).backward()
    optimiser.step()
network.eval()
test_x, test_y = movements(200)
accuracy = float((network(test_x).argmax(1) == test_y).float().mean())
print(f"accuracy on new windows {accuracy:.2f}")
assert accuracy > 0.85

# %%
# **The adapter** names the axes and the skeleton. Its method ``check`` says what the input and
# every layer are taken for and which methods explain them, before anything is explained; printed
# as a whole it also says what is missing, and why.

adapted = Adapter(
    network,
    input_dims=("sample", "channel", "time", "joint"),
    axis_names={"channel": ["x", "y", "z"], "class": ["other", "left hand"]},
    skeleton=skeleton,
)
for row in adapted.check(test_x[:2]).rows:
    print(f"{row.layer or '(input)':12} {row.understood or 'no map':60} {len(row.methods)} methods")

# %%
# **Three methods** on windows of class 1.

some = test_x[test_y == 1][:16]
shap = DeepSHAP(x[:30])(adapted, some, target=1)
cams = explain_all([GradCAM("temporal.3"), HiResCAM("temporal.3")], adapted, some, target=1)
named = {"SHAP": shap, "Grad-CAM": cams[0], "HiResCAM": cams[1]}
figure, _ = plot_ranking(named, top=10, sort="SHAP")

# %%
# *What is seen:* in SHAP, whose order all three panels have, and in HiResCAM the left hand leads,
# far from all others, as it must: it is the one joint that tells the classes apart. In Grad-CAM it
# is *last*, far to the left of zero. That is no defect of the network but of the match: Grad-CAM
# gives a feature one weight for all joints, the mean of its gradients, and this network's head has
# a weight for each joint. Of the 25 only the hand's matter. HiResCAM multiplies cell by cell, and
# SHAP needs no layer at all.

scores = {name: each.joint_scores().mean("sample").to_series() for name, each in named.items()}
assert scores["SHAP"].idxmax() == scores["HiResCAM"].idxmax() == "left_hand"
assert scores["Grad-CAM"].idxmin() == "left_hand"
print(f"SHAP's sums miss the score by {float(shap.relative_gap.max()):.1e} of it")
assert float(shap.relative_gap.max()) < 1e-3
